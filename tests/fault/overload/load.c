/*
 * load.c - more than the service can do: by all, by one, by large bodies.
 */
#include "tests/fault/overload/callers.h"
#include "tests/fault/overload/flood.h"
#include "tests/fault/overload/overload.h"
#include "tests/fault/overload/peer.h"

#include "proto/clock.h"

#include <poll.h>
#include <stdlib.h>

enum {
    PEERS = 32,
    BATCH = 64,
    WINDOW = 4,
    READ_BYTES = 512, /* small requests that are dear to do: what refuses them has little to do itself */
    WRITE_BYTES = 32,
    ROUNDS = 5,
    DEADLINE_MS = 1000,
    TRIES = 3, /* others may use the processors just now */
    ONE_RATE = 1000000,
    LARGE_PEERS = 4,
    LARGE_PARTS = 3,
    LARGE_PART_BYTES = (4 << 20) - 4096, /* three of them: half of all that may be in flight */
    SESSION_BYTES = 64,                  /* of a body, beside its requests */
    SMALL_BYTES = 60000,                 /* as large as it may be without a grant */
    SETTLE_MS = 300,                     /* from an empty service to a full one, and not measured */
};
static const double LEAST_OF_PEAK = 0.8, MOST_TIMES_P99 = 3;

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double median(const double *values, size_t count)
{
    double sorted[64];
    for (size_t i = 0; i < count; i++)
        sorted[i] = values[i];
    qsort(sorted, count, sizeof(double), compare);
    return sorted[count / 2];
}

/* A fault that is there is seen at once. */
static unsigned rounds_of(const struct trial *trial)
{
    return trial->fault ? 3 : ROUNDS;
}

/* ---- ten times the capacity ---- */

static double service_processor_s(const struct trial *trial)
{
    static const char *const programs[] = {"stigstore-broker", "stigstore-writer", "stigstore-reader"};
    double sum = 0;
    for (size_t p = 0; p < 3; p++) {
        pid_t pids[16];
        size_t count = process_children(trial->service.pid, programs[p], pids, 16);
        for (size_t i = 0; i < count && i < 16; i++)
            sum += process_processor_s(pids[i]);
    }
    return sum;
}

static struct flood_options flood_of(const struct trial *trial)
{
    return (struct flood_options){.endpoint = trial->service.endpoint,
                                  .peers = PEERS,
                                  .batch = BATCH,
                                  .writes_of_4 = 2,
                                  .value_bytes = WRITE_BYTES,
                                  .timeout_ms = DEADLINE_MS,
                                  .patience_ms = trial->fault ? 500 : 0};
}

struct speed {
    double done_s;      /* requests done a second */
    double processor_s; /* of the service, a second */
};

static struct speed measure(struct trial *trial, const struct flood *flood, double seconds)
{
    poll(NULL, 0, SETTLE_MS);
    uint64_t before = flood_done(flood);
    double processor_s = service_processor_s(trial);
    int64_t begin_ns = clock_boot_ns();
    poll(NULL, 0, (int)(seconds * 1000));
    double took_s = (double)(clock_boot_ns() - begin_ns) / 1e9;
    return (struct speed){(double)(flood_done(flood) - before) / took_s,
                          (service_processor_s(trial) - processor_s) / took_s};
}

static struct speed measure_peak(struct trial *trial, double seconds)
{
    struct flood_options options = flood_of(trial);
    options.window = WINDOW;
    options.timeout_ms = 60000;
    struct flood *flood = flood_start(&options);
    assert_non_null(flood);
    struct speed speed = measure(trial, flood, seconds);
    struct flood_counts counts = flood_stop(&flood);
    overload_check_answers(trial, &counts, "closed loop");
    return speed;
}

/* The library's callers beside it, who do not wait either. */
static struct callers *start_submitting(const struct trial *trial)
{
    struct callers_options options = {.url = trial_through(trial),
                                      .threads = 1,
                                      .timeout_ms = DEADLINE_MS,
                                      .pace_ms = 10,
                                      .reads = true,
                                      .writes = true,
                                      .value_bytes = WRITE_BYTES,
                                      .is_submitting = true};
    return callers_start(&options);
}

static void check_calls(struct trial *trial, const struct callers_figures *figures)
{
    trial_check(trial, figures->unanswered == 0 && figures->twice == 0, "answers",
                "of the library's calls %llu have no result, %llu two", (unsigned long long)figures->unanswered,
                (unsigned long long)figures->twice);
    trial_check(trial, figures->other == 0, "answers", "%llu of the library's calls ended otherwise, as %s",
                (unsigned long long)figures->other, stigstore_status_name(figures->other_status));
    printf("  library: %llu done, %llu overloaded, %llu expired\n", (unsigned long long)figures->done,
           (unsigned long long)figures->overloaded, (unsigned long long)figures->expired);
}

static struct speed measure_flooded(struct trial *trial, double rate, double seconds)
{
    struct flood_options options = flood_of(trial);
    options.rate = rate;
    struct callers *callers = start_submitting(trial);
    struct flood *flood = flood_start(&options);
    assert_non_null(flood);
    struct speed speed = measure(trial, flood, seconds);
    struct flood_counts counts = flood_stop(&flood);
    struct callers_figures figures = callers_stop(&callers);
    overload_check_answers(trial, &counts, "flooded");
    check_calls(trial, &figures);
    printf("  offered %llu, of which the sockets did not take %llu; done %llu, overloaded %llu, expired %llu; the "
           "generator took %.2f s of processor\n",
           (unsigned long long)counts.offered, (unsigned long long)counts.withheld, (unsigned long long)counts.done,
           (unsigned long long)counts.overloaded, (unsigned long long)counts.expired, counts.processor_s);
    return speed;
}

static double flooded_ratio(struct trial *trial)
{
    double peaks[ROUNDS], flooded[ROUNDS], seconds = trial->seconds / ROUNDS;
    const unsigned rounds = rounds_of(trial);
    for (unsigned i = 0; i < rounds; i++) {
        struct speed peak = measure_peak(trial, seconds < 2 ? seconds : 2);
        peaks[i] = peak.done_s;
        struct speed under = measure_flooded(trial, 10 * median(peaks, i + 1), seconds);
        flooded[i] = under.done_s;
        printf("peak %.0f/s with %.2f processors, flooded %.0f/s with %.2f\n", peak.done_s, peak.processor_s,
               under.done_s, under.processor_s);
    }
    return median(flooded, rounds) / median(peaks, rounds);
}

void overload_ten_times(struct trial *trial)
{
    double ratio = 0;
    trial_serve(trial, NULL, 0);
    trial_fill(trial, READ_BYTES);
    for (unsigned i = 0; i < (trial->fault ? 1 : TRIES) && ratio < LEAST_OF_PEAK; i++) {
        ratio = flooded_ratio(trial);
        printf("flooded does %.2f of the peak\n", ratio);
    }
    trial_check(trial, ratio >= LEAST_OF_PEAK, "throughput", "%.2f of the peak", ratio);
    trial_check_memory(trial);
    trial_check_serves(trial, "after the flood");
    trial_end(trial);
}

/* ---- one that floods, beside others ---- */

static double p99_of_window(struct trial *trial, struct callers *callers, double seconds)
{
    callers_look(callers);
    poll(NULL, 0, (int)(seconds * 1000));
    struct callers_figures figures = callers_look(callers);
    trial_check(trial, figures.overloaded + figures.expired + figures.other == 0, "neighbour",
                "%llu overloaded, %llu expired, %llu otherwise (%s)", (unsigned long long)figures.overloaded,
                (unsigned long long)figures.expired, (unsigned long long)figures.other,
                stigstore_status_name(figures.other_status));
    printf("  %llu calls, p50 %.2f ms, p99 %.2f ms, at most %.2f ms\n", (unsigned long long)figures.done,
           figures.p50_ms, figures.p99_ms, figures.most_ms);
    return figures.p99_ms;
}

/* As fast as one connection takes it. */
static double flooded_p99(struct trial *trial, struct callers *callers, double seconds)
{
    struct flood_options options = flood_of(trial);
    options.peers = 1;
    options.rate = ONE_RATE;
    struct flood *flood = flood_start(&options);
    assert_non_null(flood);
    poll(NULL, 0, SETTLE_MS);
    double p99_ms = p99_of_window(trial, callers, seconds);
    struct flood_counts counts = flood_stop(&flood);
    overload_check_answers(trial, &counts, "the one that floods");
    printf("  it: done %llu, overloaded %llu, expired %llu, not taken %llu\n", (unsigned long long)counts.done,
           (unsigned long long)counts.overloaded, (unsigned long long)counts.expired,
           (unsigned long long)counts.withheld);
    return p99_ms;
}

void overload_neighbour(struct trial *trial)
{
    double ratio = 1e9, seconds = trial->seconds / 2 / ROUNDS;
    const unsigned rounds = rounds_of(trial);
    trial_serve(trial, NULL, 0);
    trial_fill(trial, READ_BYTES);
    struct callers_options others = {.url = trial_through(trial),
                                     .threads = 16,
                                     .timeout_ms = 10000,
                                     .pace_ms = 4,
                                     .reads = true,
                                     .writes = true,
                                     .value_bytes = READ_BYTES};
    struct callers *callers = callers_start(&others);
    for (unsigned attempt = 0; attempt < (trial->fault ? 1 : TRIES) && ratio > MOST_TIMES_P99; attempt++) {
        double quiet[ROUNDS], flooded[ROUNDS];
        for (unsigned i = 0; i < rounds; i++) {
            quiet[i] = p99_of_window(trial, callers, seconds);
            flooded[i] = flooded_p99(trial, callers, seconds);
        }
        ratio = median(flooded, rounds) / median(quiet, rounds);
        printf("p99 of others: %.2f ms quiet, %.2f ms beside one that floods, %.2f times\n", median(quiet, rounds),
               median(flooded, rounds), ratio);
    }
    trial_check(trial, ratio <= MOST_TIMES_P99, "neighbour", "p99 is %.2f times as long", ratio);
    callers_stop(&callers);
    trial_check_memory(trial);
    trial_end(trial);
}

/* ---- large bodies ---- */

struct large_body {
    uint8_t *data;
    size_t size;
};
struct large { /* one that sends bodies as large as they may be, one after the other */
    struct peer_link peer;
    unsigned done, refused;
};

static void make_large_body(struct large_body *body)
{
    struct request parts[LARGE_PARTS];
    uint8_t *value = calloc(1, LARGE_PART_BYTES);
    char ids[LARGE_PARTS][8];
    assert_non_null(value);
    for (unsigned i = 0; i < LARGE_PARTS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%u", i);
        parts[i] = (struct request){.operation = OPERATION_SAVE,
                                    .kind = span_text("large"),
                                    .id = span_text(ids[i]),
                                    .data = {value, LARGE_PART_BYTES},
                                    .deadline_ns = INT64_MAX};
    }
    const struct request all = {
        .operation = OPERATION_TRANSACT, .parts = parts, .part_count = LARGE_PARTS, .deadline_ns = INT64_MAX};
    body->size = body_requests_size(NULL, &all, 1, INT64_MAX);
    body->data = malloc(body->size);
    assert_non_null(body->data);
    body_encode_requests(NULL, &all, 1, INT64_MAX, body->data);
    free(value);
}

static void ask(struct large *large, const struct large_body *body)
{
    struct envelope envelope = envelope_make(MESSAGE_CREDIT, clock_deadline_ns(60000));
    envelope.first = large->peer.next_write;
    envelope.bytes = body->size + SESSION_BYTES;
    peer_send(&large->peer, &envelope, NULL, 0);
}

static void go_on(struct large *large, const struct large_body *body)
{
    struct peer_message message;
    while (peer_receive(&large->peer, &message)) {
        if (message.envelope.type == MESSAGE_CREDIT && message.envelope.status == STATUS_OK) {
            peer_send_encoded(&large->peer, MESSAGE_WRITE, body->data, body->size, 1, clock_deadline_ns(60000));
        } else if (message.envelope.type == MESSAGE_CREDIT || message.envelope.type == MESSAGE_REPLY) {
            large->done += message.envelope.status == STATUS_OK;
            large->refused += message.envelope.status != STATUS_OK;
            ask(large, body);
        }
    }
}

static void let_large_ones_go_on(struct large *large, const struct large_body *body, double seconds)
{
    int64_t until_ns = clock_boot_ns() + (int64_t)(seconds * 1e9);
    while (clock_boot_ns() < until_ns) {
        for (unsigned i = 0; i < LARGE_PEERS; i++) {
            go_on(&large[i], body);
            peers_wait(&large[i].peer, 1, true, 1);
        }
    }
}

/* Two of them fill what may be in flight to the last bytes. */
void overload_grants(struct trial *trial)
{
    struct large large[LARGE_PEERS] = {0};
    struct large_body body;
    trial_serve(trial, NULL, 0);
    trial_fill(trial, READ_BYTES);
    make_large_body(&body);
    struct flood_options small = flood_of(trial);
    small.peers = 2;
    small.batch = 1;
    small.window = 1;
    small.value_bytes = SMALL_BYTES;
    small.timeout_ms = 20000;
    struct flood *flood = flood_start(&small);
    assert_non_null(flood);
    for (unsigned i = 0; i < LARGE_PEERS; i++) {
        assert_true(peer_open(&large[i].peer, trial->service.endpoint));
        assert_true(peer_wait_welcome(&large[i].peer, 60000));
        ask(&large[i], &body);
    }
    let_large_ones_go_on(large, &body, trial->seconds);
    struct flood_counts counts = flood_stop(&flood);
    overload_check_answers(trial, &counts, "small ones beside large bodies");
    printf("small ones: %llu done, %llu overloaded, %llu expired\n", (unsigned long long)counts.done,
           (unsigned long long)counts.overloaded, (unsigned long long)counts.expired);
    trial_check(trial, counts.done > 0 && counts.overloaded + counts.expired == 0, "neighbour",
                "%llu small requests were done, %llu overloaded, %llu expired", (unsigned long long)counts.done,
                (unsigned long long)counts.overloaded, (unsigned long long)counts.expired);
    for (unsigned i = 0; i < LARGE_PEERS; i++) {
        printf("large bodies of %u: %u done, %u refused\n", i, large[i].done, large[i].refused);
        trial_check(trial, large[i].done > 0 && large[i].refused == 0, "answers", "%u large bodies done, %u refused",
                    large[i].done, large[i].refused);
        peer_close(&large[i].peer);
    }
    free(body.data);
    trial_check_memory(trial);
    trial_check_serves(trial, "after large bodies");
    trial_end(trial);
}
