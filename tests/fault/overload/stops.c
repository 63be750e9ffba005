/*
 * stops.c - something that stops, or is slow, or holds on: the writer, its disk, a reader of a list, a client.
 */
#include "proto/clock.h"
#include "tests/fault/overload/callers.h"
#include "tests/fault/overload/overload.h"
#include "tests/system/load.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    DEADLINE_MS = 1000,
    STOPPED_MS = 2500,
    SLACK_MS = 4000, /* beyond a deadline, on a slow machine */
    SYNC_MS = 100,
    LEAST_A_SYNC = 10, /* requests that share one */
    SNAPSHOT_S = 3,
    SHORT_WAL_KIB = 40 * 1024, /* as a store of this size keeps it */
    WRITTEN_BYTES = 72 << 20,  /* while it is held: more than that */
    LARGE_BYTES = 3000,        /* of a value */
    GROW_S = 90,
    LISTED_BYTES = 12 * 1024, /* of 1,000 values: more than is on its way to a client that does not take them */
};

static void wait_ms(int ms)
{
    poll(NULL, 0, ms);
}

static struct flood *start_writes(const struct trial *trial, unsigned batch, size_t value_bytes, uint32_t timeout_ms)
{
    struct flood_options options = {.endpoint = trial->service.endpoint,
                                    .peers = 128,
                                    .batch = batch,
                                    .window = 1, /* what is one at a time outlives its writer */
                                    .writes_of_4 = 4,
                                    .value_bytes = value_bytes,
                                    .timeout_ms = timeout_ms,
                                    .patience_ms = trial->fault ? 2000 : 0};
    struct flood *flood = flood_start(&options);
    assert_non_null(flood);
    return flood;
}

static struct callers *start_reads(const struct trial *trial)
{
    struct callers_options options = {
        .url = trial_through(trial), .threads = 4, .timeout_ms = 10000, .pace_ms = 5, .reads = true};
    return callers_start(&options);
}

static void check_reads(struct trial *trial, const struct callers_figures *reads, double most_p50_ms)
{
    printf("reads beside it: %llu done, p50 %.2f ms, p99 %.2f ms\n", (unsigned long long)reads->done, reads->p50_ms,
           reads->p99_ms);
    trial_check(trial, reads->done > 0 && reads->overloaded + reads->expired + reads->other == 0, "reads",
                "%llu done, %llu overloaded, %llu expired, %llu otherwise (%s)", (unsigned long long)reads->done,
                (unsigned long long)reads->overloaded, (unsigned long long)reads->expired,
                (unsigned long long)reads->other, stigstore_status_name(reads->other_status));
    trial_check(trial, reads->p50_ms < most_p50_ms, "reads", "half of them take %.1f ms", reads->p50_ms);
}

/* ---- a writer that is stopped and goes on ---- */

void overload_writer_stopped(struct trial *trial)
{
    trial_serve(trial, NULL, 0);
    trial_fill(trial, 100);
    struct load counting = {.url = NULL};
    load_start(&counting, trial->service.url, DEADLINE_MS);
    struct callers_options writes = {.url = trial->service.url,
                                     .threads = 4,
                                     .timeout_ms = DEADLINE_MS,
                                     .pace_ms = 1,
                                     .writes = true,
                                     .value_bytes = 100};
    struct callers *writers = callers_start(&writes), *readers = start_reads(trial);
    struct flood *flood = start_writes(trial, 4, 100, DEADLINE_MS);
    pid_t writer = service_actor(&trial->service, "stigstore-writer", 0);
    load_wait(&counting, 50);
    kill(writer, SIGSTOP);
    callers_look(readers);
    callers_look(writers);
    wait_ms(STOPPED_MS);
    struct callers_figures reads = callers_look(readers), stopped = callers_look(writers);
    kill(writer, SIGCONT);
    check_reads(trial, &reads, 1000);
    printf("writes: %llu done, %llu overloaded, %llu expired, at most %.0f ms\n", (unsigned long long)stopped.done,
           (unsigned long long)stopped.overloaded, (unsigned long long)stopped.expired, stopped.most_ms);
    trial_check(trial, stopped.expired > 0 && stopped.other == 0, "answers", "%llu expired, %llu otherwise (%s)",
                (unsigned long long)stopped.expired, (unsigned long long)stopped.other,
                stigstore_status_name(stopped.other_status));
    trial_check(trial, stopped.most_ms < DEADLINE_MS + SLACK_MS, "answers", "one took %.0f ms", stopped.most_ms);
    load_wait(&counting, 200);
    struct flood_counts counts = flood_stop(&flood);
    overload_check_answers(trial, &counts, "while the writer was stopped");
    callers_stop(&writers);
    callers_stop(&readers);
    stigstore *store = load_open(trial_through(trial), 60000);
    load_join(&counting);
    load_check(&counting, store, UINT64_MAX);
    stigstore_free(&store);
    trial_check(trial, service_actor(&trial->service, "stigstore-writer", 0) == writer, "life", "it was replaced");
    trial_check_memory(trial);
    trial_check_serves(trial, "after the writer went on");
    trial_end(trial);
}

/* ---- a slow disk ---- */

void overload_slow_disk(struct trial *trial)
{
    trial->sync_ms = SYNC_MS;
    trial_serve(trial, NULL, 0);
    trial_fill(trial, 100);
    struct callers *readers = start_reads(trial);
    struct flood *flood = start_writes(trial, 1, 100, 20000);
    wait_ms(1000);
    callers_look(readers);
    uint64_t before = flood_done(flood);
    int64_t begin_ns = clock_boot_ns();
    wait_ms((int)(trial->seconds * 1000));
    double syncs = (double)(clock_boot_ns() - begin_ns) / 1e6 / SYNC_MS;
    double done = (double)(flood_done(flood) - before);
    struct callers_figures reads = callers_look(readers);
    printf("%.0f writes, %.1f in the time of a sync\n", done, done / syncs);
    trial_check(trial, done >= LEAST_A_SYNC * syncs, "throughput", "%.1f writes a sync", done / syncs);
    check_reads(trial, &reads, SYNC_MS);
    struct flood_counts counts = flood_stop(&flood);
    overload_check_answers(trial, &counts, "on a slow disk");
    trial_check(trial, counts.overloaded + counts.expired == 0, "answers", "%llu overloaded, %llu expired",
                (unsigned long long)counts.overloaded, (unsigned long long)counts.expired);
    callers_stop(&readers);
    trial_check_memory(trial);
    trial_check_serves(trial, "on a slow disk");
    trial_end(trial);
}

/* ---- snapshots that are held ---- */

/* Until `seconds` have passed and so much more has been written; writes must go on all the time. */
static void write_on(struct trial *trial, const struct flood *flood, double seconds, const char *while_what)
{
    int64_t begin_ns = clock_boot_ns(), until_ns = begin_ns + GROW_S * NS_PER_S;
    uint64_t enough = flood_done(flood) + WRITTEN_BYTES / LARGE_BYTES;
    do {
        uint64_t before = flood_done(flood);
        for (unsigned i = 0; i < (trial->fault ? 20 : 200) && flood_done(flood) == before; i++)
            wait_ms(100);
        if (!trial_check(trial, flood_done(flood) > before, "life", "no write is done while %s", while_what))
            return;
        wait_ms(50);
    } while (clock_boot_ns() < until_ns &&
             ((double)(clock_boot_ns() - begin_ns) < seconds * 1e9 || flood_done(flood) < enough));
    printf("while %s the WAL came to %ld KiB\n", while_what, trial_wal_kib(trial));
}

/* A list that nobody goes on with: its snapshot ends by itself. */
void overload_held_snapshot(struct trial *trial)
{
    char seconds[16];
    snprintf(seconds, sizeof(seconds), "%d", SNAPSHOT_S);
    const char *const more[] = {"--snapshot-seconds", seconds, NULL};
    trial_serve(trial, more, 0);
    trial_fill(trial, LISTED_BYTES);
    stigstore *store = load_open(trial_through(trial), 60000);
    stigstore_request list = {STIGSTORE_REQUEST(LIST), .kind = stigstore_text("load")};
    stigstore_cursor *cursor = NULL;
    const stigstore_item *item = NULL;
    assert_int_equal(stigstore_cursor_open(store, &list, &cursor, NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_cursor_next(cursor, &item), STIGSTORE_OK);
    struct flood *flood = start_writes(trial, 16, LARGE_BYTES, 60000);
    write_on(trial, flood, SNAPSHOT_S + 1, "a list lies");
    struct flood_counts counts = flood_stop(&flood);
    overload_check_answers(trial, &counts, "while a list lies");
    trial_check_wal_shrinks(trial, SHORT_WAL_KIB);
    int status = STIGSTORE_OK;
    while (status == STIGSTORE_OK)
        status = stigstore_cursor_next(cursor, &item);
    trial_check(trial, status == STIGSTORE_SNAPSHOT_EXPIRED, "answers", "the list ends with %s",
                stigstore_status_name(status));
    stigstore_cursor_free(&cursor);
    stigstore_free(&store);
    trial_check_memory(trial);
    trial_check_serves(trial, "after a list that lay");
    trial_end(trial);
}

static bool status_names(const struct trial *trial, pid_t pid)
{
    char program[256], holder[64];
    snprintf(program, sizeof(program), "%s/stigstore", trial_programs(trial));
    snprintf(holder, sizeof(holder), "{\"pid\":%ld,", (long)pid);
    const char *arguments[] = {program, "status", "--json", "--store", trial->service.url, NULL};
    struct output output = process_run(arguments, NULL, 0);
    const char *holders = strstr(output.text, "\"snapshot_holders\"");
    bool names = holders && strstr(holders, holder);
    output_free(&output);
    return names;
}

static pid_t start_holder(const struct trial *trial)
{
    const char *arguments[] = {FAULT_BIN_DIR "/fault_holder", trial->service.url, NULL};
    pid_t holder = process_start(arguments, -1, -1, -1);
    int status = 0;
    assert_int_equal(waitpid(holder, &status, WUNTRACED), holder);
    assert_true(WIFSTOPPED(status));
    return holder;
}

void overload_stopped_client(struct trial *trial)
{
    trial_serve(trial, NULL, 0);
    trial_fill(trial, 1000);
    pid_t holder = start_holder(trial);
    struct flood *flood = start_writes(trial, 16, LARGE_BYTES, 60000);
    write_on(trial, flood, 1, "a client is stopped");
    pid_t writer = service_actor(&trial->service, "stigstore-writer", 0);
    kill(writer, SIGKILL);
    service_actor(&trial->service, "stigstore-writer", writer);
    write_on(trial, flood, 2, "a client is stopped, by another writer");
    bool is_named = status_names(trial, holder);
    printf("its holder is %s\n", is_named ? "named" : "not named");
    trial_check(trial, is_named || trial_wal_kib(trial) < SHORT_WAL_KIB, "wal", "%ld KiB, and nobody is named",
                trial_wal_kib(trial));
    kill(holder, SIGKILL);
    process_join(holder);
    struct flood_counts counts = flood_stop(&flood);
    overload_check_answers(trial, &counts, "while a client is stopped");
    trial_check_wal_shrinks(trial, SHORT_WAL_KIB);
    trial_check(trial, !status_names(trial, holder), "wal", "one that was killed is named");
    trial_check_memory(trial);
    trial_check_serves(trial, "after the stopped client was killed");
    trial_end(trial);
}
