/*
 * bench.c - `stigstore bench`: a load on a store, its own or a given one, and its figures.
 */
#include "bench/bench.h"

#include "bench/report.h"
#include "cli/cli.h"
#include "cli/own_service.h"
#include "client/locate.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { TMPFS_MAGIC_NUMBER = 0x01021994, TIMEOUT_MS = 30000 };

enum option_key {
    KEY_VIA = 0x200,
    KEY_THREADS,
    KEY_HANDLES,
    KEY_IN_FLIGHT,
    KEY_BATCH,
    KEY_VALUE_BYTES,
    KEY_KEYS,
    KEY_SECONDS,
    KEY_OPERATIONS,
    KEY_RATE,
    KEY_BESIDE,
    KEY_SEED,
    KEY_DURABILITY,
    KEY_KEEP,
    KEY_CSV,
    KEY_PLOT,
};

static const struct argp_option options[] = {
    {"via", KEY_VIA, "WAY", 0, "embedded, local, broker (the default) or raw: frames to the broker, no library", 0},
    {"threads", KEY_THREADS, "N", 0, "callers (1)", 0},
    {"handles", KEY_HANDLES, "N", 0, "store handles that the threads share (1)", 0},
    {"in-flight", KEY_IN_FLIGHT, "N", 0, "calls under way at once; more than threads: through queues", 0},
    {"batch", KEY_BATCH, "N", 0, "get: as get_many of N; raw: N requests a message (1)", 0},
    {"value-bytes", KEY_VALUE_BYTES, "N", 0, "size of a value (256; list 1024; status-storm 204800)", 0},
    {"keys", KEY_KEYS, "N", 0, "how many keys there are (200000; list, audit 10000; status-storm 64)", 0},
    {"seconds", KEY_SECONDS, "S", 0, "how long (5)", 0},
    {"operations", KEY_OPERATIONS, "N", 0, "stop after N operations instead", 0},
    {"rate", KEY_RATE, "N", 0, "begin N a second, latency from the intended begin", 0},
    {"beside", KEY_BESIDE, "N", 0, "N puts a second go on beside it", 0},
    {"seed", KEY_SEED, "N", 0, "of the random numbers (1)", 0},
    {"durability", KEY_DURABILITY, "full|normal", 0, "of a temporary store (full)", 0},
    {"keep", KEY_KEEP, "KIND", 0, "work in KIND of a given store; its keys stay, and are not loaded again", 0},
    {"csv", KEY_CSV, "FILE", 0, "append a line to FILE", 0},
    {"plot", KEY_PLOT, "FILE.png", 0, "plot latency by gnuplot", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

struct input {
    struct bench_options bench;
    const char *csv, *plot, *durability;
};

/* ---- the line ---- */

static uint64_t number_of(struct argp_state *state, const char *name, const char *text, uint64_t least, uint64_t most)
{
    uint64_t number = 0;
    if (!cli_number(text, most, &number) || number < least)
        argp_error(state, "--%s takes %" PRIu64 " to %" PRIu64 ", not '%s'", name, least, most, text);
    return number;
}

static double real_of(struct argp_state *state, const char *name, const char *text)
{
    double number = 0;
    if (!cli_real(text, 1e9, &number))
        argp_error(state, "--%s takes a number above 0, not '%s'", name, text);
    return number;
}

static void parse_via(struct argp_state *state, struct input *input, const char *text)
{
    for (unsigned i = 0; i < BENCH_VIAS; i++) {
        if (strcmp(text, bench_via_names[i]) == 0) {
            input->bench.via = (enum bench_via)i;
            return;
        }
    }
    argp_error(state, "--via takes embedded, local, broker or raw, not '%s'", text);
}

static void parse_workload(struct argp_state *state, struct input *input, const char *text)
{
    if (input->bench.workload)
        argp_error(state, "one workload at a time");
    for (const struct bench_about *about = bench_workloads(); about->name; about++) {
        if (strcmp(text, about->name) == 0) {
            input->bench.workload = text;
            return;
        }
    }
    argp_error(state, "no workload '%s'; --help lists them", text);
}

static error_t parse_load(int key, char *argument, struct argp_state *state, struct bench_options *bench)
{
    switch (key) {
    case KEY_THREADS:
        bench->threads = (unsigned)number_of(state, "threads", argument, 1, BENCH_MOST_THREADS);
        return 0;
    case KEY_HANDLES:
        bench->handles = (unsigned)number_of(state, "handles", argument, 1, BENCH_MOST_THREADS);
        return 0;
    case KEY_IN_FLIGHT:
        bench->in_flight = (unsigned)number_of(state, "in-flight", argument, 1, BENCH_MOST_IN_FLIGHT);
        return 0;
    case KEY_BATCH:
        bench->batch = (unsigned)number_of(state, "batch", argument, 1, BENCH_MOST_BATCH);
        return 0;
    case KEY_VALUE_BYTES:
        bench->value_bytes = (size_t)number_of(state, "value-bytes", argument, 32, 64U << 20);
        return 0;
    case KEY_KEYS:
        bench->keys = number_of(state, "keys", argument, 1, 1000000000);
        return 0;
    case KEY_SECONDS:
        bench->seconds = real_of(state, "seconds", argument);
        return 0;
    case KEY_OPERATIONS:
        bench->operations = number_of(state, "operations", argument, 1, INT64_MAX);
        return 0;
    case KEY_RATE:
        bench->rate = real_of(state, "rate", argument);
        return 0;
    case KEY_BESIDE:
        bench->beside_rate = real_of(state, "beside", argument);
        return 0;
    case KEY_SEED:
        bench->seed = number_of(state, "seed", argument, 0, INT64_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    switch (key) {
    case KEY_VIA:
        parse_via(state, input, argument);
        return 0;
    case KEY_DURABILITY:
        if (strcmp(argument, "full") != 0 && strcmp(argument, "normal") != 0)
            argp_error(state, "--durability takes full or normal, not '%s'", argument);
        input->durability = argument;
        return 0;
    case KEY_KEEP:
        input->bench.keep = argument;
        return 0;
    case KEY_CSV:
        input->csv = argument;
        return 0;
    case KEY_PLOT:
        input->plot = argument;
        return 0;
    case ARGP_KEY_ARG:
        parse_workload(state, input, argument);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which workload? --help lists them");
        return 0;
    default:
        return parse_load(key, argument, state, &input->bench);
    }
}

static char *about_workloads(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fputs(
        "Loads a store and tells its speed, and whether all that was acknowledged is there. Without --store it makes a "
        "temporary store with a service of its own; in a given one it works in a kind of its own, which it deletes."
        "\vWorkloads:\n",
        out);
    for (const struct bench_about *about = bench_workloads(); about->name; about++)
        fprintf(out, "  %-14s %s\n", about->name, about->summary);
    return fclose(out) == 0 ? text : NULL;
}

/* ---- progress ---- */

static void show_progress(void *context, const char *phase, double part, uint64_t operations)
{
    enum { COLUMNS = 30 };
    int filled = (int)(part * COLUMNS);
    (void)context;
    fprintf(stderr, "\r%s [%.*s%*s] %3d%% %" PRIu64 " operations\033[K", phase, filled,
            "##############################", COLUMNS - filled, "", (int)(part * 100), operations);
}

static void stop(int number)
{
    (void)number;
    bench_stop();
}

/* ---- the store ---- */

/* On memory a sync costs nothing: nobody should take such figures for a disk's. */
static void warn_of_memory(const char *folder)
{
    struct statfs where;
    if (statfs(folder, &where) == 0 && where.f_type == TMPFS_MAGIC_NUMBER)
        cli_error("%s lies in memory, where a sync costs nothing; TMPDIR chooses another folder", folder);
}

static bool bring_store(struct input *input, struct own_service *own)
{
    const char *const durability[] = {"--durability", input->durability, NULL};
    bool embedded = input->bench.via == BENCH_EMBEDDED;
    if (!own_service_prepare(own, "bench"))
        return false;
    warn_of_memory(own->folder);
    input->bench.url = embedded ? own->database : own->endpoint;
    if (embedded)
        return true;
    bool started = own_service_start(own, durability);
    input->bench.service = own->pid;
    return started;
}

static bool is_endpoint(const char *url)
{
    return strncmp(url, "ipc://", 6) == 0 || strncmp(url, "tcp://", 6) == 0;
}

/* Frames go to an endpoint; the library finds the service of a path by itself. */
static bool find_store(struct input *input, char *endpoint, size_t room)
{
    const char *url = cli_common.store;
    struct failure failure = {0};
    input->bench.url = url;
    if (input->bench.via == BENCH_EMBEDDED && is_endpoint(url)) {
        cli_error("--via embedded takes a path, not an endpoint");
        return false;
    }
    if (input->bench.via != BENCH_RAW)
        return true;
    if (is_endpoint(url)) {
        snprintf(endpoint, room, "%.*s", (int)strcspn(url, "?"), url);
    } else if (locate_endpoint(url, endpoint, room, &failure) != STIGSTORE_OK) {
        cli_error("%s", failure.message);
        return false;
    }
    input->bench.url = endpoint;
    return true;
}

/* ---- the run ---- */

static int tell(const struct input *input, const struct bench_report *report)
{
    if (cli_common.json)
        report_json(report, stdout);
    else
        report_table(report, stdout);
    int code = report->verified ? CLI_OK : CLI_FAILED;
    if (input->csv && !report_csv(report, input->csv)) {
        cli_error("cannot write %s: %s", input->csv, strerror(errno));
        code = CLI_FAILED;
    }
    if (input->plot && !report_plot(report, input->plot)) {
        cli_error("cannot plot %s: gnuplot (Debian's gnuplot-nox) is not here or failed", input->plot);
        code = CLI_FAILED;
    }
    if (!report->verified)
        cli_error("not all is as it was acknowledged: %s", report->complaint);
    return code;
}

static int run(struct input *input)
{
    bool on_terminal = isatty(STDERR_FILENO) == 1;
    struct bench_report *report = malloc(sizeof(*report));
    if (!report) {
        cli_error("no memory");
        return CLI_FAILED;
    }
    input->bench.progress = on_terminal ? show_progress : NULL;
    bool done = bench_run(&input->bench, report);
    if (on_terminal)
        fputs("\r\033[K", stderr);
    int code = done ? tell(input, report) : CLI_FAILED;
    if (!done)
        cli_error("%s", report->complaint);
    free(report);
    return code;
}

int cli_bench(int argc, char **argv)
{
    struct input input = {.bench = {.via = BENCH_BROKER, .seconds = 5, .seed = 1}, .durability = "full"};
    struct argp argp = {.options = options, .parser = parse, .args_doc = "WORKLOAD", .doc = about_workloads()};
    struct own_service own = {0};
    char endpoint[256];
    cli_parse(&argp, argc, argv, &input);
    free((char *)(uintptr_t)argp.doc);
    input.bench.timeout_ms = cli_common.timeout_ms ? cli_common.timeout_ms : TIMEOUT_MS;
    input.bench.server_key = cli_common.server_key;
    input.bench.key_file = cli_common.key_file;
    input.bench.durability_normal = strcmp(input.durability, "normal") == 0;
    const struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bool ready = cli_common.store ? find_store(&input, endpoint, sizeof(endpoint)) : bring_store(&input, &own);
    int code = ready ? run(&input) : CLI_FAILED;
    if (!cli_common.store)
        own_service_stop(&own);
    return cli_finish(code);
}
