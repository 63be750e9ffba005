/*
 * run.c - a whole run: handles opened, keys loaded, the load itself, the check, and everything put away.
 */
#include "bench/internal.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOAD_IN_FLIGHT = 1024, LOAD_BYTES = 4 * 1024 * 1024, DELETE_TIMEOUT_MS = 600000 };

const char *const bench_via_names[BENCH_VIAS] = {"embedded", "local", "broker", "raw"};

static bool fail(struct bench_report *report, const char *what, const char *why)
{
    snprintf(report->complaint, sizeof(report->complaint), "%s: %s", what, why);
    return false;
}

/* ---- options ---- */

static bool fill_in(struct bench *bench, struct bench_report *report)
{
    struct bench_options *options = &bench->options;
    bench->workload = workload_find(options->workload);
    if (!bench->workload)
        return fail(report, "no such workload", options->workload);
    options->threads = options->threads ? options->threads : 1;
    options->handles = options->handles ? options->handles : 1;
    options->in_flight = options->in_flight > options->threads ? options->in_flight : options->threads;
    options->batch = options->batch ? options->batch : 1;
    options->keys = options->keys ? options->keys : bench->workload->keys;
    options->value_bytes = options->value_bytes ? options->value_bytes : bench->workload->value_bytes;
    if (options->value_bytes < VALUE_HEAD_BYTES)
        return fail(report, "value-bytes", "a value that can be checked has at least 32 bytes");
    if (bench->workload->documents && options->value_bytes % VALUE_STEP_BYTES != 0)
        return fail(report, "value-bytes", "documents grow in steps of 1024 bytes");
    const struct workload *load = bench->workload;
    if (options->keep && (load->documents || load->archives || load->deletes || load->percent[ACTION_INSERT] ||
                          strlen(options->keep) > 20))
        return fail(report, "keep", "not for this load, or the name is too long");
    bench->keys = options->keys;
    bench->others = bench->workload->deletes ? OTHER_KEYS : 0;
    atomic_store(&bench->next_key, bench->keys + bench->others);
    return true;
}

/* ---- making and freeing ---- */

static bool open_handles(struct bench *bench, struct bench_report *report)
{
    const struct bench_options *options = &bench->options;
    uint32_t flags = options->via == BENCH_EMBEDDED                              ? STIGSTORE_OPEN_NO_ATTACH
                     : options->via == BENCH_BROKER || options->via == BENCH_RAW ? STIGSTORE_READS_THROUGH_BROKER
                                                                                 : 0;
    const stigstore_options store_options = {.struct_size = sizeof(store_options),
                                             .flags = flags,
                                             .timeout_ms = options->timeout_ms,
                                             .max_in_flight_bytes = UINT64_C(1) << 30,
                                             .max_in_flight = 65536,
                                             .durability_normal = options->durability_normal,
                                             .server_key = options->server_key,
                                             .key_file = options->key_file};
    bench->handles = calloc(options->handles + 1u, sizeof(stigstore *));
    for (unsigned i = 0; bench->handles && i <= options->handles; i++) {
        stigstore_result *result = NULL;
        int status = stigstore_open(options->url, &store_options, &bench->handles[i], &result);
        if (status != STIGSTORE_OK)
            fail(report, stigstore_status_name(status), result ? result->message : "");
        stigstore_result_free(&result);
        if (status != STIGSTORE_OK)
            return false;
    }
    return bench->handles || fail(report, "handles", "no memory");
}

static bool prepare(struct bench *bench, struct bench_report *report)
{
    uint32_t name = 0;
    random_bytes(&name, sizeof(name));
    snprintf(bench->kind, sizeof(bench->kind), "bench-%08" PRIx32, name);
    if (bench->options.keep)
        snprintf(bench->kind, sizeof(bench->kind), "%s", bench->options.keep);
    bool inserts = bench->workload->percent[ACTION_INSERT] > 0;
    bench->ledger = ledger_new(bench->keys + bench->others + (inserts ? INSERTS_MOST : 0));
    bench->values = values_new(bench->options.seed, bench->options.value_bytes);
    if (!bench->ledger || !bench->values)
        return fail(report, "keys and values", "no memory");
    if (bench->workload->choice != CHOICE_UNIFORM)
        bench->zipf = zipf_of(bench->keys);
    return open_handles(bench, report);
}

/* What was put goes, unless the store goes as a whole. */
static void put_away(struct bench *bench)
{
    stigstore *last = bench->handles ? bench->handles[bench->options.handles] : NULL;
    bool stays = bench->options.service > 0 || bench->options.keep;
    if (last && !stays) {
        stigstore_request all = {STIGSTORE_REQUEST(DELETE_KIND), .kind = stigstore_text(bench->kind),
                                 .timeout_ms = DELETE_TIMEOUT_MS};
        stigstore_call(last, &all, NULL);
        /* Audit records of ids that were never resources go one id at a time. */
        for (uint64_t key = 0; bench->workload->archives && key < bench->keys; key++) {
            char id[VALUE_ID_BYTES];
            stigstore_delete_audit_by_resource_id(last, stigstore_text(bench->kind), operation_id(bench, key, id),
                                                  NULL);
        }
    }
    for (unsigned i = 0; bench->handles && i <= bench->options.handles; i++)
        stigstore_free(&bench->handles[i]);
    free(bench->handles);
    values_free(&bench->values);
    ledger_free(&bench->ledger);
}

/* ---- phases ---- */

static bool add(struct bench_report *report, const struct phase_result *result, bool is_main)
{
    const struct tally *tally = &result->tally;
    report->acknowledged += tally->acknowledged;
    report->verified = report->verified && tally->wrong == 0;
    report->failed += tally->failed;
    if (is_main) {
        report->elapsed_s = result->elapsed_s;
        report->beside_s = result->beside_s;
        report->operations = tally->operations;
        report->rows = tally->rows;
        report->conflicts = tally->conflicts;
        report->late = tally->late;
    }
    if (!*report->complaint)
        snprintf(report->complaint, sizeof(report->complaint), "%s", tally->complaint);
    return true;
}

static bool load(struct bench *bench, struct bench_report *report)
{
    uint64_t keys = bench->keys + bench->others;
    uint64_t window = LOAD_BYTES / bench->options.value_bytes;
    window = window > LOAD_IN_FLIGHT ? LOAD_IN_FLIGHT : window < 2 ? 2 : window;
    struct phase_plan plan = {.mix = &workload_load,
                              .name = "loading",
                              .keys = keys,
                              .most = keys,
                              .threads = 1,
                              .in_flight = (unsigned)window};
    struct phase_result result = {0};
    bool done = phase_run(bench, &plan, &result);
    add(report, &result, false);
    return done && result.tally.failed == 0;
}

/* Of a kind that was kept. */
static bool is_loaded(struct bench *bench)
{
    stigstore_result *result = NULL;
    stigstore_request request = {STIGSTORE_REQUEST(COUNT), .kind = stigstore_text(bench->kind)};
    bool loaded = bench->options.keep &&
                  stigstore_call(bench->handles[bench->options.handles], &request, &result) == STIGSTORE_OK &&
                  result->count == bench->keys;
    stigstore_result_free(&result);
    return loaded;
}

static struct phase_plan main_plan(const struct bench *bench)
{
    const struct bench_options *options = &bench->options;
    return (struct phase_plan){.mix = bench->workload,
                               .name = bench->workload->name,
                               .keys = bench->keys,
                               .most = options->operations,
                               .seconds = options->seconds,
                               .rate = options->rate,
                               .threads = options->threads,
                               .in_flight = options->in_flight,
                               .beside_rate = options->beside_rate};
}

static bool run_load(struct bench *bench, struct bench_report *report)
{
    struct phase_plan plan = main_plan(bench);
    struct phase_result result = {.latency = &report->latency, .beside = &report->beside};
    bool done = phase_run(bench, &plan, &result);
    return add(report, &result, true) && done;
}

struct deletion {
    struct bench_report *report;
    int status;
};

static void delete_victims(struct bench *bench, void *context)
{
    struct deletion *deletion = context;
    stigstore_result *result = NULL;
    int64_t begin_ns = bench_now_ns();
    stigstore_request request = {STIGSTORE_REQUEST(DELETE_PREFIX), .kind = stigstore_text(bench->kind),
                                 .id = stigstore_text(operation_victims), .timeout_ms = DELETE_TIMEOUT_MS};
    deletion->status = stigstore_call(bench->handles[bench->options.handles], &request, &result);
    deletion->report->delete_s = (double)(bench_now_ns() - begin_ns) / 1e9;
    if (deletion->status == STIGSTORE_OK)
        deletion->report->deleted = result->count;
    else
        fail(deletion->report, "delete", result ? result->message : stigstore_status_text(deletion->status));
    stigstore_result_free(&result);
}

/* Puts of other keys: first by themselves, then while the rest is deleted. */
static bool run_delete(struct bench *bench, struct bench_report *report)
{
    struct phase_plan plan = main_plan(bench);
    struct phase_result quiet = {.latency = &report->quiet}, busy = {.latency = &report->latency};
    struct deletion deletion = {.report = report};
    plan.first_key = bench->keys;
    plan.keys = bench->others;
    plan.name = "quiet";
    bool done = phase_run(bench, &plan, &quiet);
    add(report, &quiet, false);
    plan.name = "deleting";
    plan.seconds = 0;
    plan.most = 0;
    plan.meanwhile = delete_victims;
    plan.context = &deletion;
    done = done && phase_run(bench, &plan, &busy);
    add(report, &busy, true);
    bool all = deletion.status == STIGSTORE_OK && report->deleted == bench->keys;
    if (done && !all) {
        report->verified = false;
        fail(report, "delete", "another number of rows than there were");
    }
    return done && deletion.status == STIGSTORE_OK;
}

static bool run_all(struct bench *bench, struct bench_report *report)
{
    if (!bench->workload->archives && !is_loaded(bench) && !load(bench, report))
        return *report->complaint ? false : fail(report, "loading", "it was stopped");
    report->process_count = watch_begin(bench->options.service, report->processes);
    bool done = bench->workload->deletes ? run_delete(bench, report) : run_load(bench, report);
    watch_end(report->processes, report->process_count);
    if (!done)
        return *report->complaint ? false : fail(report, "load", "nothing was done");
    char complaint[sizeof(report->complaint)] = "";
    bool good = verify_all(bench, bench->workload->deletes, &report->checked, complaint, sizeof(complaint));
    if (!good) {
        report->verified = false;
        snprintf(report->complaint, sizeof(report->complaint), "%s", complaint);
    }
    return true;
}

bool bench_run(const struct bench_options *options, struct bench_report *report)
{
    struct bench bench = {.options = *options};
    *report = (struct bench_report){.verified = true};
    bool done = fill_in(&bench, report) && prepare(&bench, report);
    report->options = bench.options;
    done = done && run_all(&bench, report);
    put_away(&bench);
    report->verified = report->verified && done;
    return done;
}
