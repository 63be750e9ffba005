/*
 * remote_lane.c - the lane through the broker: WELCOME, batches, resends, credit, lists, threads.
 */
#include "tests/unit/remote_fixture.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { THREADS = 8, THREAD_CALLS = 200 };

static void nothing_but_the_probe_before_the_welcome(void **state)
{
    struct fixture *f = *state;

    broker_start(f);
    open_lane(f, NULL, NULL);
    submit(f, OPERATION_SAVE, 0);
    submit(f, OPERATION_SAVE, 0);
    submit(f, OPERATION_GET, 0);
    assert_true(expect(f).probe);
    expect_nothing(f);
    broker_greets(f, true);
    assert_int_equal(expect_type(f, MESSAGE_READ).batch.count, 1);
    struct incoming in = expect_type(f, MESSAGE_WRITE);
    assert_int_equal(in.batch.count, 2); /* what was queued leaves in one message */
    assert_int_equal(in.envelope.count, 2);
    assert_true(in.batch.has_session);
    assert_int_equal(in.batch.session.counter, 3);
    broker_answers(f, &in, STATUS_OK, 7);
    lead_until_ended(f, &f->users[1]);
    assert_true(f->users[0].revision == 7 && f->users[1].revision == 8);
}

static void a_new_broker_gets_all_that_is_unsettled(void **state)
{
    struct fixture *f = *state;
    struct incoming in;

    submit(f, OPERATION_SAVE, 0);
    expect_type(f, MESSAGE_WRITE);
    submit(f, OPERATION_SAVE, 0);
    expect_type(f, MESSAGE_WRITE);
    submit(f, OPERATION_GET, 0);
    expect_type(f, MESSAGE_READ);
    broker_stop(f);
    broker_start(f);
    connect_lane(f);
    assert_int_equal(expect_type(f, MESSAGE_READ).batch.count, 1);
    in = expect_type(f, MESSAGE_WRITE);
    assert_true(in.envelope.first == 1 && in.batch.count == 2);
    broker_answers(f, &in, STATUS_OK, 7);
    lead_until_ended(f, &f->users[1]);
    assert_int_equal(f->users[2].ends, 0);
}

static void large_bodies_wait_for_credit(void **state)
{
    struct fixture *f = *state;
    static char large[200 * 1024];
    struct incoming in;

    submit_call(f, &(struct call){.request = {.operation = OPERATION_SAVE,
                                              .kind = span_text("k"),
                                              .id = span_text("i"),
                                              .data = {large, sizeof large}}});
    in = expect_type(f, MESSAGE_CREDIT);
    assert_true(in.envelope.bytes > sizeof large && !(in.envelope.flags & ENVELOPE_STREAM));
    submit(f, OPERATION_GET, 0); /* others pass */
    expect_type(f, MESSAGE_READ);
    expect_nothing(f);
    broker_sends(f, &(struct envelope){.type = MESSAGE_CREDIT, .first = in.envelope.first, .bytes = in.envelope.bytes},
                 (struct span){NULL, 0});
    assert_true(expect_type(f, MESSAGE_WRITE).body_bytes <= in.envelope.bytes);
}

static void bodies_in_flight_are_bounded(void **state)
{
    struct fixture *f = *state;
    static char block[40 * 1024];
    struct incoming in;

    f->hello.client_in_flight_bytes = 64 * KIB;
    broker_greets(f, false);
    while (f->hellos < 2)
        lead(f);
    for (int i = 0; i < 2; i++)
        submit_call(f, &(struct call){.request = {.operation = OPERATION_SAVE,
                                                  .kind = span_text("k"),
                                                  .id = span_text("i"),
                                                  .data = {block, sizeof block}}});
    in = expect_type(f, MESSAGE_WRITE);
    expect_nothing(f);
    broker_answers(f, &in, STATUS_OK, 7);
    assert_int_equal(expect_type(f, MESSAGE_WRITE).envelope.first, 2);
}

static void too_large_for_the_broker_is_not_sent(void **state)
{
    struct fixture *f = *state;
    static char large[200 * 1024];

    f->hello.max_message_bytes = 100 * KIB;
    broker_greets(f, false);
    while (f->hellos < 2)
        lead(f);
    submit_call(f, &(struct call){.request = {.operation = OPERATION_SAVE,
                                              .kind = span_text("k"),
                                              .id = span_text("i"),
                                              .data = {large, sizeof large}}});
    lead_until_ended(f, &f->users[0]);
    assert_int_equal(f->users[0].status, STATUS_TOO_LARGE);
}

static void lists_come_in_pieces(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit_call(f, &(struct call){.request = {.operation = OPERATION_LIST, .kind = span_text("k")},
                                                      .streamed = true,
                                                      .credit_bytes = 500});
    struct incoming in = expect_type(f, MESSAGE_READ);

    assert_true(in.envelope.flags & ENVELOPE_STREAM && in.envelope.bytes == 500);
    broker_sends_piece(f, in.envelope.first, 0, false);
    while (!user->pieces)
        lead(f);
    f->lane->ops->credit(f->lane, &user->call, 30);
    struct incoming credit = expect_type(f, MESSAGE_CREDIT);
    assert_true(credit.envelope.flags & ENVELOPE_STREAM);
    assert_true(credit.envelope.first == in.envelope.first && credit.envelope.bytes == 30);
    broker_sends_piece(f, in.envelope.first, 1, true);
    lead_until_ended(f, user);
    assert_int_equal(user->status, STATUS_OK);
    user = submit_call(f, &(struct call){.request = {.operation = OPERATION_LIST, .kind = span_text("k")},
                                         .streamed = true,
                                         .credit_bytes = 500});
    in = expect_type(f, MESSAGE_READ);
    assert_true(f->lane->ops->abandon(f->lane, &user->call));
    assert_int_equal(expect_type(f, MESSAGE_CANCEL).envelope.first, in.envelope.first);
}

static void without_a_broker_calls_wait_and_no_wait_does_not(void **state)
{
    struct fixture *f = *state;
    struct user *patient, *hasty;

    open_lane(f, NULL, NULL);
    patient = submit(f, OPERATION_SAVE, 0);
    hasty = submit(f, OPERATION_SAVE, REQUEST_NO_WAIT);
    lead(f);
    assert_true(hasty->ends == 1 && hasty->status == STATUS_UNAVAILABLE);
    assert_int_equal(patient->ends, 0);
    assert_true(f->lane->ops->abandon(f->lane, &patient->call));
    assert_int_equal(patient->call.copies_sent, 0);
}

static void a_restored_store_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit(f, OPERATION_SAVE, 0);
    struct incoming in = expect_type(f, MESSAGE_WRITE);

    broker_answers(f, &in, STATUS_OK, 50);
    lead_until_ended(f, user);
    f->hello.incarnation[0]++;
    broker_greets(f, false);
    while (f->hellos < 2)
        lead(f);
    user = submit(f, OPERATION_GET, 0);
    assert_true(user->ends == 1 && user->status == STATUS_WENT_BACK);
    user = submit(f, OPERATION_SAVE, 0);
    in = expect_type(f, MESSAGE_WRITE);
    assert_int_equal(in.batch.session.incarnation[0], f->hello.incarnation[0]);
    broker_answers(f, &in, STATUS_OK, 2);
    lead_until_ended(f, user);
    assert_int_equal(user->status, STATUS_OK);
    user = submit(f, OPERATION_GET, 0); /* what was seen in the store before says nothing about this one */
    in = expect_type(f, MESSAGE_READ);
    broker_answers(f, &in, STATUS_OK, 2);
    lead_until_ended(f, user);
    assert_int_equal(user->status, STATUS_OK);
}

static void an_idle_handle_reads_the_news_before_it_sends(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit(f, OPERATION_SAVE, 0);
    struct incoming in = expect_type(f, MESSAGE_WRITE);
    struct pollfd poll_fd = {.fd = f->lane->ops->descriptor(f->lane), .events = POLLIN};

    broker_answers(f, &in, STATUS_OK, 50);
    lead_until_ended(f, user);
    while (f->lane->ops->has_work(f->lane))
        lead(f);
    f->hello.incarnation[0]++;
    broker_greets(f, true);
    assert_int_equal(poll(&poll_fd, 1, PATIENCE_S * 1000), 1);
    user = submit(f, OPERATION_SAVE, 0);
    lead_until_ended(f, user);
    assert_int_equal(user->status, STATUS_WENT_BACK);
    expect_nothing(f);
}

static void a_freed_lane_closes_its_session(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit(f, OPERATION_SAVE, 0);
    struct incoming in = expect_type(f, MESSAGE_WRITE);
    int64_t until_ns = clock_boot_ns() + PATIENCE_S * NS_PER_S;

    broker_answers(f, &in, STATUS_OK, 50);
    lead_until_ended(f, user);
    f->lane->ops->free(f->lane);
    f->lane = NULL;
    while (!broker_takes(f, &in))
        assert_true(clock_boot_ns() < until_ns);
    assert_int_equal(in.envelope.type, MESSAGE_WRITE);
    assert_int_equal(in.envelope.first, 2);
    assert_int_equal(in.batch.requests[0].operation, OPERATION_CLOSE_SESSION);
    assert_int_equal(in.batch.session.floor, 2);
}

static void *interrupt_later(void *context)
{
    struct fixture *f = context;

    pthread_mutex_lock(&f->mutex); /* the leader has let go of it: it blocks, or is about to */
    f->lane->ops->interrupt(f->lane);
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

static void a_blocked_leader_can_be_woken(void **state)
{
    struct fixture *f = *state;
    int64_t begin_ns = clock_boot_ns();
    int fd = eventfd(1, EFD_CLOEXEC);
    pthread_t thread;

    pthread_create(&thread, NULL, interrupt_later, f);
    f->lane->ops->lead(f->lane, clock_deadline_ns(PATIENCE_S * 1000), -1);
    f->lane->ops->lead(f->lane, clock_deadline_ns(PATIENCE_S * 1000), fd);
    assert_true(clock_boot_ns() - begin_ns < PATIENCE_S * NS_PER_S);
    pthread_mutex_unlock(&f->mutex);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&f->mutex);
    close(fd);
}

static void the_descriptor_tells_of_input(void **state)
{
    struct fixture *f = *state;
    struct pollfd poll_fd = {.fd = f->lane->ops->descriptor(f->lane), .events = POLLIN};
    struct user *user = submit(f, OPERATION_SAVE, 0);
    struct incoming in;

    assert_true(f->lane->ops->has_work(f->lane));
    in = expect_type(f, MESSAGE_WRITE);
    for (int i = 0; i < QUIET_ROUNDS && f->lane->ops->has_work(f->lane); i++)
        lead(f);
    assert_false(f->lane->ops->has_work(f->lane));
    broker_answers(f, &in, STATUS_OK, 7);
    assert_int_equal(poll(&poll_fd, 1, PATIENCE_S * 1000), 1);
    while (!f->lane->ops->has_work(f->lane))
        assert_int_equal(poll(&poll_fd, 1, PATIENCE_S * 1000), 1);
    assert_int_equal(poll(&poll_fd, 1, 0), 1); /* having asked does not hide it */
    lead_until_ended(f, user);
}

static void scarce_descriptors_are_noticed_first(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, scarce;
    struct remote_options options = {.endpoint = f->endpoint, .mutex = &f->mutex};
    struct failure failure = {0};
    int next = dup(0);

    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    scarce = before;
    scarce.rlim_cur = (rlim_t)next + 12;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &scarce), 0);
    int status = remote_new(&options, &f->lane, &failure);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, STATUS_NO_MEMORY);
    assert_null(f->lane);
}

static void a_forked_child_frees_without_the_broker(void **state)
{
    struct fixture *f = *state;
    struct incoming in;
    int status;
    pid_t child = fork();

    if (child == 0) {
        f->lane->ops->free(f->lane);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    submit(f, OPERATION_SAVE, 0); /* the parent's goes on */
    in = expect_type(f, MESSAGE_WRITE);
    broker_answers(f, &in, STATUS_OK, 7);
    lead_until_ended(f, &f->users[0]);
}

static void the_status_is_json(void **state)
{
    struct fixture *f = *state;
    struct span json;

    submit(f, OPERATION_SAVE, 0);
    expect_type(f, MESSAGE_WRITE);
    json = remote_status(f->lane, f->arena);
    assert_non_null(strstr(json.data, "\"welcomed\":true"));
    assert_non_null(strstr(json.data, "\"unsettled\":1"));
}

/* ---- threads ---- */

struct crowd {
    struct fixture *f;
    bool led;
    pthread_cond_t free;
    int done, failed;
};

/* A thread that waits for its calls one by one, and leads when nobody does. */
static void *call_often(void *context)
{
    struct crowd *crowd = context;
    struct lane *lane = crowd->f->lane;

    pthread_mutex_lock(&crowd->f->mutex);
    for (int i = 0; i < THREAD_CALLS; i++) {
        struct user user = {.cond = &crowd->free};
        user.call.settle = fixture_settle;
        user.call.request = (struct request){.operation = i % 2 ? OPERATION_SAVE : OPERATION_GET,
                                             .kind = span_text("k"),
                                             .id = span_text("i"),
                                             .deadline_ns = clock_boot_ns() + 60 * NS_PER_S};
        lane->ops->submit(lane, &user.call);
        while (!user.ends) {
            if (crowd->led) {
                pthread_cond_wait(&crowd->free, &crowd->f->mutex);
                continue;
            }
            crowd->led = true;
            lane->ops->lead(lane, clock_deadline_ns(60000), -1);
            crowd->led = false;
            pthread_cond_broadcast(&crowd->free);
        }
        crowd->failed += user.status != STATUS_OK;
    }
    crowd->done++;
    pthread_mutex_unlock(&crowd->f->mutex);
    return NULL;
}

static bool all_done(struct crowd *crowd)
{
    bool done;

    pthread_mutex_lock(&crowd->f->mutex);
    done = crowd->done == THREADS;
    pthread_mutex_unlock(&crowd->f->mutex);
    return done;
}

static void many_threads_share_one_socket(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd = {.f = f};
    int64_t until_ns = clock_boot_ns() + 6 * PATIENCE_S * NS_PER_S;
    pthread_t threads[THREADS];
    uint64_t revision = 100;
    struct incoming in;

    pthread_cond_init(&crowd.free, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, call_often, &crowd);
    pthread_mutex_unlock(&f->mutex);
    while (!all_done(&crowd)) {
        zmq_pollitem_t item = {.socket = f->router, .events = ZMQ_POLLIN};
        assert_true(clock_boot_ns() < until_ns);
        zmq_poll(&item, 1, ROUND_MS);
        while (broker_takes(f, &in)) {
            broker_answers(f, &in, STATUS_OK, revision);
            revision += in.envelope.count;
            arena_reset(f->arena);
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_lock(&f->mutex);
    assert_int_equal(crowd.failed, 0);
    pthread_cond_destroy(&crowd.free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(nothing_but_the_probe_before_the_welcome),
        CONNECTED(a_new_broker_gets_all_that_is_unsettled),
        CONNECTED(large_bodies_wait_for_credit),
        CONNECTED(bodies_in_flight_are_bounded),
        CONNECTED(too_large_for_the_broker_is_not_sent),
        CONNECTED(lists_come_in_pieces),
        ALONE(without_a_broker_calls_wait_and_no_wait_does_not),
        CONNECTED(a_restored_store_is_told_once),
        CONNECTED(an_idle_handle_reads_the_news_before_it_sends),
        CONNECTED(a_freed_lane_closes_its_session),
        CONNECTED(a_blocked_leader_can_be_woken),
        CONNECTED(the_descriptor_tells_of_input),
        ALONE(scarce_descriptors_are_noticed_first),
        CONNECTED(a_forked_child_frees_without_the_broker),
        CONNECTED(the_status_is_json),
        CONNECTED(many_threads_share_one_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
