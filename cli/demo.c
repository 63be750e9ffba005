/*
 * demo.c - `stigstore demo`: a tour on a temporary store with a service of its own, which ends by itself.
 */
#include "actor/health.h"
#include "cli/cli.h"
#include "cli/own_service.h"
#include "proto/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <sha256.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_TEXT = SHA256_DIGEST_LENGTH * 2 + 1, CRASH_SAVES = 2000, CRASH_AT = 500 };

struct tour {
    struct own_service service;
    stigstore *store;
    stigstore_result *result;
    char **files;
    size_t file_count;
    stigstore_bytes *contents;
    int64_t step_ns;
};

struct input {
    char **files;
    int count;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    (void)argument;
    if (key == ARGP_KEY_ARG) {
        input->files = state->argv + state->next - 1;
        input->count = state->argc - state->next + 1;
        state->next = state->argc;
        return 0;
    }
    if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "name some files to load; `./run demo` names this project's own");
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static void begin(struct tour *tour)
{
    tour->step_ns = clock_boot_ns();
}

static void done(const struct tour *tour, const char *step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void done(const struct tour *tour, const char *step, const char *format, ...)
{
    double seconds = (double)(clock_boot_ns() - tour->step_ns) / 1e9;
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    printf("%-10s %-78s %8.3f s\n", step, text, seconds);
    (void)fflush(stdout);
}

/* True when the step's status is the one expected; else it says what came instead. */
static bool expect(const struct tour *tour, int expected, int status, const char *step)
{
    if (status != expected) {
        cli_error("%s: expected %s, got %s: %s", step, stigstore_status_name(expected), stigstore_status_name(status),
                  tour->result ? tour->result->message : "");
    }
    return status == expected;
}

static void hash_of(stigstore_bytes data, char out[HASH_TEXT])
{
    SHA2_CTX context;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256Init(&context);
    SHA256Update(&context, data.data, data.size);
    SHA256Final(digest, &context);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* ---- the service ---- */

static bool start(struct tour *tour)
{
    begin(tour);
    if (!own_service_prepare(&tour->service, "demo") || !own_service_start(&tour->service, NULL))
        return false;
    int status = stigstore_open(tour->service.endpoint, NULL, &tour->store, &tour->result);
    done(tour, "serve", "broker, writer and two readers on %s", tour->service.database);
    return expect(tour, STIGSTORE_OK, status, "open");
}

static bool stop(struct tour *tour)
{
    begin(tour);
    stigstore_result_free(&tour->result);
    stigstore_free(&tour->store);
    bool clean = own_service_stop(&tour->service);
    for (size_t i = 0; tour->contents && i < tour->file_count; i++)
        free((void *)(uintptr_t)tour->contents[i].data);
    free(tour->contents);
    done(tour, "stop", "the service ended %s; the temporary store is removed", clean ? "in order" : "badly");
    return clean;
}

/* ---- the steps ---- */

static stigstore_bytes id_of(const struct tour *tour, size_t i)
{
    return stigstore_text(tour->files[i]);
}

/* The first version of a file in the tour: its first half. */
static stigstore_bytes first_half(stigstore_bytes whole)
{
    return (stigstore_bytes){whole.data, whole.size / 2};
}

static int save_version(struct tour *tour, size_t i, stigstore_bytes data, const char *tag)
{
    char hash[HASH_TEXT];
    hash_of(data, hash);
    int status = stigstore_save_audit(tour->store, stigstore_text("skill"), id_of(tour, i), data, stigstore_text(hash),
                                      stigstore_text(tag), &tour->result);
    return status ? status
                  : stigstore_save_resource(tour->store, stigstore_text("skill"), id_of(tour, i), data, &tour->result);
}

static bool load(struct tour *tour)
{
    size_t bytes = 0;
    tour->contents = calloc(tour->file_count, sizeof(*tour->contents));
    begin(tour);
    for (size_t i = 0; tour->contents && i < tour->file_count; i++) {
        if (cli_read_file(tour->files[i], &tour->contents[i]) != CLI_OK)
            return false;
        bytes += tour->contents[i].size;
        int status = save_version(tour, i, first_half(tour->contents[i]), "v1");
        status = status ? status : save_version(tour, i, tour->contents[i], "v2");
        if (!expect(tour, STIGSTORE_OK, status, tour->files[i]))
            return false;
    }
    done(tour, "save", "%zu files, %zu KiB, archived and saved in two versions each", tour->file_count, bytes / 1024);
    return tour->contents != NULL;
}

static bool is_content(const struct tour *tour, stigstore_bytes data, size_t i)
{
    return data.size == tour->contents[i].size &&
           (data.size == 0 || memcmp(data.data, tour->contents[i].data, data.size) == 0);
}

static bool read_back(struct tour *tour)
{
    begin(tour);
    for (size_t i = 0; i < tour->file_count; i++) {
        int status = stigstore_get_resource(tour->store, stigstore_text("skill"), id_of(tour, i), &tour->result);
        if (!expect(tour, STIGSTORE_OK, status, "get"))
            return false;
        if (!is_content(tour, tour->result->items[0].data, i)) {
            cli_error("get: %s came back changed", tour->files[i]);
            return false;
        }
    }
    done(tour, "get", "all %zu, each bit for bit as it was saved", tour->file_count);
    return true;
}

static bool list(struct tour *tour)
{
    begin(tour);
    stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = stigstore_text("skill"),
                                 .flags = STIGSTORE_KEYS_ONLY};
    int status = stigstore_call(tour->store, &request, &tour->result);
    if (!expect(tour, STIGSTORE_OK, status, "list"))
        return false;
    done(tour, "list", "%zu resources, on one snapshot, as of revision %" PRIu64, tour->result->item_count,
         tour->result->revision);
    return true;
}

static bool find_versions(struct tour *tour)
{
    char hash[HASH_TEXT];
    begin(tour);
    hash_of(first_half(tour->contents[0]), hash);
    int status = stigstore_get_audit_by_hash(tour->store, stigstore_text("skill"), id_of(tour, 0), stigstore_text(hash),
                                             &tour->result);
    if (!expect(tour, STIGSTORE_OK, status, "by hash"))
        return false;
    done(tour, "by hash", "%.12s... is version %.*s of %s", hash, (int)tour->result->items[0].tag.size,
         (const char *)tour->result->items[0].tag.data, tour->files[0]);
    begin(tour);
    status = stigstore_get_audit_by_tag(tour->store, stigstore_text("skill"), id_of(tour, 0), stigstore_text("v2"),
                                        &tour->result);
    if (!expect(tour, STIGSTORE_OK, status, "by tag") || !is_content(tour, tour->result->items[0].data, 0))
        return false;
    done(tour, "by tag", "v2 is the %" PRIu64 " bytes that are current", tour->result->items[0].data_bytes);
    return true;
}

static bool conflict(struct tour *tour)
{
    begin(tour);
    stigstore_request request = {
        STIGSTORE_REQUEST(SAVE),         .kind = stigstore_text("skill"),    .id = id_of(tour, 0),
        .data = stigstore_text("stale"), .condition = STIGSTORE_IF_REVISION, .if_revision = 1};
    int status = stigstore_call(tour->store, &request, &tour->result);
    if (!expect(tour, STIGSTORE_CONFLICT, status, "conflict"))
        return false;
    done(tour, "conflict", "a save if the revision is still 1: refused, it is %" PRIu64, tour->result->revision);
    return true;
}

/* ---- the crash ---- */

static pid_t writer_pid(const struct tour *tour)
{
    bool fresh = false;
    char *text = health_collect(tour->service.endpoint, &fresh);
    json_t *health = text ? json_loads(text, 0, NULL) : NULL;
    json_t *actor = NULL;
    size_t index = 0;
    pid_t pid = 0;
    json_array_foreach(json_object_get(health, "actors"), index, actor)
    {
        const char *name = json_string_value(json_object_get(actor, "actor"));
        if (name && strcmp(name, "writer") == 0)
            pid = (pid_t)json_integer_value(json_object_get(actor, "pid"));
    }
    json_decref(health);
    free(text);
    return pid;
}

static bool submit_saves(struct tour *tour, stigstore_queue *queue)
{
    for (unsigned i = 0; i < CRASH_SAVES; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%06u", i);
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("execution"),
                                     .id = stigstore_text(id), .data = stigstore_text(id), .timeout_ms = 30000};
        if (!expect(tour, STIGSTORE_OK, stigstore_submit(queue, &request, i, NULL), "submit"))
            return false;
    }
    return true;
}

/* Takes all results; kills the writer when CRASH_AT have come. How many were acknowledged. */
static unsigned take_results(stigstore_queue *queue, pid_t writer)
{
    unsigned acknowledged = 0;
    for (unsigned seen = 0; seen < CRASH_SAVES;) {
        stigstore_result *results[64] = {NULL};
        size_t number = 0;
        if (stigstore_queue_wait(queue, results, 64, 60000, &number) != STIGSTORE_OK || number == 0)
            break;
        for (size_t i = 0; i < number; i++) {
            acknowledged += results[i]->status == STIGSTORE_OK;
            if (++seen == CRASH_AT)
                kill(writer, SIGKILL);
        }
        stigstore_results_free(results, number);
    }
    return acknowledged;
}

static bool crash(struct tour *tour)
{
    stigstore_queue *queue = NULL;
    pid_t writer = writer_pid(tour);
    begin(tour);
    if (writer <= 0 || !expect(tour, STIGSTORE_OK, stigstore_queue_new(tour->store, &queue), "queue")) {
        cli_error("the writer's pid is not known");
        return false;
    }
    bool submitted = submit_saves(tour, queue);
    unsigned acknowledged = submitted ? take_results(queue, writer) : 0;
    stigstore_queue_free(&queue);
    stigstore_request request = {STIGSTORE_REQUEST(COUNT), .kind = stigstore_text("execution")};
    int status = stigstore_call(tour->store, &request, &tour->result);
    if (!submitted || !expect(tour, STIGSTORE_OK, status, "count"))
        return false;
    done(tour, "kill -9", "the writer, in the middle of %d saves: %u acknowledged, %" PRIu64 " there", CRASH_SAVES,
         acknowledged, tour->result->count);
    return acknowledged == CRASH_SAVES && tour->result->count == CRASH_SAVES;
}

int cli_demo(int argc, char **argv)
{
    static const struct argp argp = {.parser = parse,
                                     .args_doc = "FILE...",
                                     .doc =
                                         "A tour that ends by itself: a temporary store with a service of its own, the "
                                         "files loaded as resources in two versions, read, listed, found by hash and "
                                         "tag, a conflict, and the writer killed in the middle."};
    static bool (*const steps[])(struct tour *) = {start, load, read_back, list, find_versions, conflict, crash};
    struct input input = {0};
    cli_parse_plain(&argp, argc, argv, &input);
    struct tour tour = {.files = input.files, .file_count = (size_t)input.count};
    bool went_well = true;
    for (size_t i = 0; went_well && i < sizeof(steps) / sizeof(*steps); i++)
        went_well = steps[i](&tour);
    went_well = stop(&tour) && went_well;
    puts(went_well ? "nothing was lost." : "the tour ended early.");
    return cli_finish(went_well ? CLI_OK : CLI_FAILED);
}
