/*
 * connections.c - clients that do not read, many clients, and more of them than there are descriptors.
 */
#include "proto/clock.h"
#include "tests/fault/overload/callers.h"
#include "tests/fault/overload/overload.h"
#include "tests/fault/overload/peer.h"
#include "tests/fault/process/series.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    DEAF = 12,
    DEAF_ASKS = 400,
    DEAF_BYTES = 48 * 1024, /* of an answer */
    CROWD = 1000,
    OWN_DESCRIPTORS = 4096,
    FEW_DESCRIPTORS = 64,
    MORE_CLIENTS = 100,
    SPIN_MS = 1000,
    GOES_MS = 60000,
    GOES_FAULTY_MS = 5000,
};

static void allow_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < OWN_DESCRIPTORS ? limit.rlim_max : OWN_DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void ask(struct peer_link *peer, const char *id)
{
    int64_t deadline_ns = clock_deadline_ns(60000);
    struct request get = {
        .operation = OPERATION_GET, .kind = span_text("load"), .id = span_text(id), .deadline_ns = deadline_ns};
    peer_send_requests(peer, MESSAGE_READ, &get, 1, deadline_ns);
}

/* ---- clients that stop to read ---- */

/* True: it was answered, with what it asked for or that there is too much. */
static unsigned count_answers(struct peer_link *peer, unsigned asked)
{
    unsigned answered = 0;
    struct peer_message message;
    while (answered < asked && peer_wait_message(peer, &message, 60000))
        answered += message.envelope.type == MESSAGE_REPLY;
    return answered;
}

void overload_deaf(struct trial *trial)
{
    struct peer_link deaf[DEAF];
    trial_serve(trial, NULL, 0);
    trial_fill(trial, DEAF_BYTES);
    struct callers_options options = {.url = trial_through(trial),
                                      .threads = 4,
                                      .timeout_ms = 20000,
                                      .pace_ms = 5,
                                      .reads = true,
                                      .writes = true,
                                      .value_bytes = 1000};
    struct callers *callers = callers_start(&options);
    for (unsigned i = 0; i < DEAF; i++) {
        assert_true(peer_open(&deaf[i], trial->service.endpoint));
        assert_true(peer_wait_welcome(&deaf[i], 60000));
    }
    for (unsigned turn = 0; turn < DEAF_ASKS; turn++)
        for (unsigned i = 0; i < DEAF; i++)
            ask(&deaf[i], "1");
    callers_look(callers);
    for (int64_t until_ns = clock_boot_ns() + (int64_t)(trial->seconds * 1e9); clock_boot_ns() < until_ns;)
        peers_wait(deaf, DEAF, false, 100);
    struct callers_figures others = callers_look(callers);
    printf("others: %llu done, p99 %.1f ms\n", (unsigned long long)others.done, others.p99_ms);
    trial_check(trial, others.done > 0 && others.overloaded + others.expired + others.other == 0, "neighbour",
                "others: %llu done, %llu overloaded, %llu expired, %llu otherwise (%s)",
                (unsigned long long)others.done, (unsigned long long)others.overloaded,
                (unsigned long long)others.expired, (unsigned long long)others.other,
                stigstore_status_name(others.other_status));
    trial_check_memory(trial);
    for (unsigned i = 0; i < DEAF; i++) { /* one after the other they read again, or have been cut */
        unsigned answered = count_answers(&deaf[i], DEAF_ASKS);
        trial_check(trial, answered == DEAF_ASKS || deaf[i].fd < 0, "answers", "one that reads again got %u of %d",
                    answered, DEAF_ASKS);
        peer_close(&deaf[i]);
    }
    callers_stop(&callers);
    trial_check_memory(trial);
    trial_check_serves(trial, "after those who do not read");
    trial_end(trial);
}

/* ---- a thousand connections ---- */

struct goal {
    pid_t pid;
    double most;
};

static bool is_below(void *context)
{
    struct goal *goal = context;
    return process_descriptors(goal->pid) <= goal->most;
}

static void check_descriptors_return(struct trial *trial, pid_t broker, double before)
{
    struct goal goal = {broker, before + 2};
    int64_t until_ns = clock_deadline_ns(trial->fault ? GOES_FAULTY_MS : GOES_MS);
    while (!is_below(&goal) && clock_boot_ns() < until_ns)
        poll(NULL, 0, 20);
    trial_check(trial, is_below(&goal), "descriptors", "the broker had %.0f before, and has %.0f", before,
                process_descriptors(broker));
}

void overload_crowd(struct trial *trial)
{
    allow_descriptors();
    trial_serve(trial, NULL, 0);
    trial_fill(trial, 1000);
    pid_t broker = service_actor(&trial->service, "stigstore-broker", 0);
    struct peer_link *crowd = calloc(CROWD, sizeof(*crowd));
    assert_non_null(crowd);
    double before = process_descriptors(broker);
    unsigned welcome = 0, answered = 0;
    for (unsigned i = 0; i < CROWD; i++)
        peer_open(&crowd[i], trial->service.endpoint);
    for (unsigned i = 0; i < CROWD; i++)
        welcome += peer_wait_welcome(&crowd[i], 60000);
    for (unsigned i = 0; i < CROWD; i++)
        ask(&crowd[i], "7");
    for (unsigned i = 0; i < CROWD; i++) {
        struct peer_message message;
        answered += peer_wait_message(&crowd[i], &message, 60000) && message.envelope.status == STATUS_OK;
    }
    printf("%u of %d welcome, %u answered; the broker has %.0f descriptors\n", welcome, CROWD, answered,
           process_descriptors(broker));
    trial_check(trial, welcome == CROWD && answered == CROWD, "answers", "%u of %d welcome, %u answered", welcome,
                CROWD, answered);
    trial_check_serves(trial, "beside a crowd");
    for (unsigned i = 0; i < CROWD; i++)
        peer_close(&crowd[i]);
    free(crowd);
    check_descriptors_return(trial, broker, before);
    trial_check_memory(trial);
    trial_check_serves(trial, "after a crowd");
    trial_end(trial);
}

/* ---- descriptors used up ---- */

/* While others knock, nobody asks for anything: processor that it takes then, it takes for nothing. */
static void check_rests(struct trial *trial, pid_t broker)
{
    double before_s = process_processor_s(broker);
    poll(NULL, 0, SPIN_MS);
    double took_s = process_processor_s(broker) - before_s;
    printf("at rest without descriptors the broker takes %.2f s of processor in %d ms\n", took_s, SPIN_MS);
    trial_check(trial, took_s < 0.3 * SPIN_MS / 1000, "spin", "%.2f s of processor in %d ms", took_s, SPIN_MS);
}

void overload_descriptors(struct trial *trial)
{
    struct peer_link peers[MORE_CLIENTS];
    trial_serve(trial, NULL, FEW_DESCRIPTORS);
    trial_fill(trial, 1000);
    pid_t broker = service_actor(&trial->service, "stigstore-broker", 0);
    double before = process_descriptors(broker);
    unsigned in = 0, refused = 0;
    stigstore *store = NULL;
    stigstore_options options = {.struct_size = sizeof(options), .timeout_ms = 60000, .open_timeout_ms = 60000};
    assert_int_equal(stigstore_open(trial_through(trial), &options, &store, NULL), STIGSTORE_OK);
    for (unsigned i = 0; i < MORE_CLIENTS && refused < (trial->fault ? 1 : 3); i++) {
        if (peer_open(&peers[in], trial->service.endpoint) && peer_wait_welcome(&peers[in], 10000))
            in++;
        else {
            peer_close(&peers[in]);
            refused++;
        }
    }
    printf("%u clients came in, then %u were turned away\n", in, refused);
    trial_check(trial, in > 0 && refused > 0, "life", "%u came in, %u were turned away", in, refused);
    check_rests(trial, broker);
    stigstore_bytes kind = stigstore_text("k"), id = stigstore_text("i");
    int status = stigstore_save_resource(store, kind, id, stigstore_text("x"), NULL);
    trial_check(trial, status == STIGSTORE_OK, "life", "who was in before is answered %s",
                stigstore_status_name(status));
    for (unsigned i = 0; i < in; i++)
        peer_close(&peers[i]);
    check_descriptors_return(trial, broker, before + 1);
    trial_check(trial, service_actor(&trial->service, "stigstore-broker", 0) == broker, "life", "it was replaced");
    stigstore_free(&store);
    trial_check_serves(trial, "with descriptors again");
    trial_check_memory(trial);
    trial_end(trial);
}
