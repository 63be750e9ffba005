/* actor_worker.c - the workers' side of the wire, against a ROUTER that plays the broker. */
#include "actor/worker.h"
#include "actor_stage.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

static struct stage stage_of_test;
static struct worker *worker;

static int setup(void **state)
{
    struct failure failure;
    stage_of_test = (struct stage){0};
    stage_open(&stage_of_test);
    assert_int_equal(worker_new(stage_of_test.endpoint, 8, &worker, &failure), STATUS_OK);
    *state = &stage_of_test;
    return 0;
}

static int teardown(void **state)
{
    worker_free(&worker);
    stage_close(*state);
    return 0;
}

static void broker_says_hello(struct stage *stage, uint16_t flags, uint64_t writer_epoch)
{
    struct hello hello = {.life = stage->life, .writer_epoch = writer_epoch, .path = span_text("/a/db")};
    stage_says_hello(stage, flags, &hello);
}

/* ---- the worker's part ---- */

static int next(struct worker_message *message)
{
    return worker_next(worker, clock_deadline_ns(STAGE_PATIENCE_MS), -1, message);
}

static void set_state(uint64_t epoch)
{
    struct worker_state state = {.role = ROLE_READER,
                                 .life = 5,
                                 .pid = 6,
                                 .epoch = epoch,
                                 .path = span_text("/a/db"),
                                 .status = span_text("{}")};
    worker_set_state(worker, &state);
}

/* The worker's thread is this one: libzmq sends its probe when somebody calls it. */
static void await_probe(struct stage *stage)
{
    struct envelope envelope;
    struct worker_message message;
    size_t size = 0;
    zmq_pollitem_t item = {.socket = stage->router, .events = ZMQ_POLLIN};
    int64_t until_ns = clock_deadline_ns(STAGE_PATIENCE_MS);
    while (clock_boot_ns() < until_ns && zmq_poll(&item, 1, 0) == 0)
        assert_int_equal(worker_next(worker, clock_boot_ns() + NS_PER_MS, -1, &message), STATUS_END);
    assert_false(stage_receives(stage, &envelope, NULL, &size));
}

static void connect_worker(struct stage *stage)
{
    struct worker_message message;
    await_probe(stage);
    broker_says_hello(stage, ENVELOPE_WELCOME, 0);
    assert_int_equal(next(&message), STATUS_END);
}

static void expect_state(struct stage *stage, uint8_t type, uint64_t epoch)
{
    uint8_t body[1024];
    size_t size = sizeof body;
    struct envelope envelope;
    struct worker_state state;
    assert_true(stage_receives(stage, &envelope, body, &size));
    assert_int_equal(envelope.type, type);
    assert_int_equal(envelope.life, stage->life);
    assert_int_equal(worker_state_decode(body, size, &state), STATUS_OK);
    assert_int_equal(state.life, 5);
    assert_int_equal(state.epoch, epoch);
    assert_true(span_equal(state.path, span_text("/a/db")));
}

/* ---- tests ---- */

static void says_nothing_before_the_welcome(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    set_state(1);
    assert_null(worker_hello(worker));
    await_probe(stage);
    assert_int_equal(worker_next(worker, clock_boot_ns() + NS_PER_MS, -1, &message), STATUS_END);
    broker_says_hello(stage, 0, 4); /* a change, though nothing was welcomed: not believed */
    broker_says_hello(stage, ENVELOPE_WELCOME, 3);
    assert_int_equal(next(&message), STATUS_END);
    assert_int_equal(worker_hello(worker)->writer_epoch, 3);
    assert_int_equal(worker_bad_messages(worker), 1);
    expect_state(stage, MESSAGE_READY, 1);
}

static void follows_changes_of_hello(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    connect_worker(stage);
    assert_int_equal(worker_hello(worker)->writer_epoch, 0);
    broker_says_hello(stage, 0, 9);
    assert_int_equal(next(&message), STATUS_END);
    assert_int_equal(worker_hello(worker)->writer_epoch, 9);
    assert_true(span_equal(worker_hello(worker)->path, span_text("/a/db")));
    assert_int_equal(worker_connection(worker), 1);
}

static void beats_by_itself_and_at_a_change(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    connect_worker(stage);
    set_state(1);
    expect_state(stage, MESSAGE_READY, 1);
    set_state(2);
    expect_state(stage, MESSAGE_HEARTBEAT, 2);
    int64_t began_ns = clock_boot_ns();
    assert_int_equal(worker_next(worker, began_ns + 1100 * NS_PER_MS, -1, &message), STATUS_END);
    expect_state(stage, MESSAGE_HEARTBEAT, 2);
}

static void a_request_comes_whole_and_its_reply_goes_back(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    struct envelope envelope;
    char body[64];
    size_t size = sizeof body;
    connect_worker(stage);
    stage_asks(stage, MESSAGE_WRITE, 42, span_text("question"));
    assert_int_equal(next(&message), STATUS_OK);
    assert_int_equal(message.envelope.type, MESSAGE_WRITE);
    assert_int_equal(message.envelope.role, ROLE_ADMIN);
    assert_true(span_equal(message.body, span_text("question")));
    assert_true(message.deadline_ns > clock_boot_ns());
    worker_reply(worker, &message, STATUS_OK, strdup("answer"), 6, 3);
    worker_message_free(&message);
    worker_message_free(&message);
    assert_true(stage_receives(stage, &envelope, body, &size));
    assert_int_equal(envelope.type, MESSAGE_REPLY);
    assert_int_equal(envelope.flags, ENVELOPE_WRITE);
    assert_int_equal(envelope.ticket, 42);
    assert_int_equal(envelope.first, 142);
    assert_int_equal(envelope.attempt, 2);
    assert_int_equal(envelope.life, stage->life);
    assert_int_equal(envelope.count, 3);
    assert_int_equal(size, 6);
    assert_memory_equal(body, "answer", 6);
}

static void a_status_goes_without_a_body(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    struct envelope envelope;
    size_t size = 0;
    connect_worker(stage);
    stage_asks(stage, MESSAGE_READ, 1, (struct span){0});
    assert_int_equal(next(&message), STATUS_OK);
    assert_int_equal(message.body.size, 0);
    worker_reply(worker, &message, STATUS_UNAVAILABLE, NULL, 0, 0);
    worker_message_free(&message);
    assert_true(stage_receives(stage, &envelope, NULL, &size));
    assert_int_equal(envelope.flags, 0);
    assert_int_equal(envelope.status, STATUS_UNAVAILABLE);
    assert_true(envelope.retry_after_ms > 0);
}

static void pieces_are_numbered_and_the_last_is_flagged(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    struct envelope envelope;
    connect_worker(stage);
    stage_asks(stage, MESSAGE_READ, 8, span_text("list"));
    assert_int_equal(next(&message), STATUS_OK);
    worker_piece(worker, &message.envelope, 0, false, STATUS_OK, strdup("a"), 1, 1);
    worker_piece(worker, &message.envelope, 1, true, STATUS_SNAPSHOT_EXPIRED, NULL, 0, 0);
    worker_message_free(&message);
    for (uint32_t piece = 0; piece < 2; piece++) {
        char body[8];
        size_t size = sizeof body;
        assert_true(stage_receives(stage, &envelope, body, &size));
        assert_int_equal(envelope.type, MESSAGE_STREAM);
        assert_int_equal(envelope.ticket, 8);
        assert_int_equal(envelope.piece, piece);
        assert_int_equal(envelope.flags, piece ? ENVELOPE_LAST : 0);
        assert_int_equal(envelope.status, piece ? STATUS_SNAPSHOT_EXPIRED : STATUS_OK);
    }
}

static void junk_is_counted_and_passed_over(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    uint8_t zeros[ENVELOPE_BYTES] = {0};
    connect_worker(stage);
    zmq_send(stage->router, stage->id, STAGE_ID_BYTES, ZMQ_SNDMORE);
    zmq_send(stage->router, "x", 1, 0);
    zmq_send(stage->router, stage->id, STAGE_ID_BYTES, ZMQ_SNDMORE);
    zmq_send(stage->router, zeros, sizeof zeros, ZMQ_SNDMORE);
    zmq_send(stage->router, "x", 1, 0);
    struct envelope envelope = envelope_make(MESSAGE_READ, INT64_MAX);
    envelope_encode(&envelope, zeros);
    zmq_send(stage->router, stage->id, STAGE_ID_BYTES, ZMQ_SNDMORE);
    zmq_send(stage->router, zeros, sizeof zeros, ZMQ_SNDMORE);
    for (int i = 0; i < 20; i++)
        zmq_send(stage->router, "x", 1, i < 19 ? ZMQ_SNDMORE : 0);
    envelope = envelope_make(MESSAGE_HELLO, INT64_MAX);
    stage_sends(stage, &envelope, span_text("short"));
    stage_asks(stage, MESSAGE_READY, 1, (struct span){0});
    stage_asks(stage, MESSAGE_CANCEL, 9, (struct span){0});
    assert_int_equal(next(&message), STATUS_OK);
    assert_int_equal(message.envelope.type, MESSAGE_CANCEL);
    assert_int_equal(message.envelope.ticket, 9);
    assert_int_equal(worker_bad_messages(worker), 5);
    worker_message_free(&message);
}

static void drain_is_told_once_then_goodbye(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    struct envelope envelope;
    size_t size = 0;
    connect_worker(stage);
    set_state(1);
    expect_state(stage, MESSAGE_READY, 1);
    stage_asks(stage, MESSAGE_READ, 1, (struct span){0});
    stage_asks(stage, MESSAGE_DRAIN, 0, (struct span){0});
    assert_int_equal(next(&message), STATUS_OK);
    worker_message_free(&message);
    assert_int_equal(next(&message), STATUS_CLOSED);
    assert_int_equal(worker_next(worker, 0, -1, &message), STATUS_END);
    worker_goodbye(worker);
    assert_true(stage_receives(stage, &envelope, NULL, &size));
    assert_int_equal(envelope.type, MESSAGE_GOODBYE);
}

static void a_descriptor_wakes_it(void **state)
{
    (void)state;
    struct worker_message message;
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(worker_next(worker, INT64_MAX, fd, &message), STATUS_END);
    close(fd);
}

/* Nothing may be lost or block while the broker does not read. */
static void a_slow_broker_gets_all_in_order(void **state)
{
    enum { REPLIES = 200, BYTES = 100000 };
    struct stage *stage = *state;
    struct worker_message message;
    connect_worker(stage);
    stage_asks(stage, MESSAGE_READ, 1, (struct span){0});
    assert_int_equal(next(&message), STATUS_OK);
    for (uint32_t i = 0; i < REPLIES; i++)
        worker_piece(worker, &message.envelope, i, false, STATUS_OK, calloc(1, BYTES), BYTES, 1);
    assert_true(worker_backlog_bytes(worker) > 0);
    worker_message_free(&message);
    char *body = malloc(BYTES);
    for (uint32_t i = 0; i < REPLIES; i++) {
        struct envelope envelope;
        size_t size = BYTES;
        worker_next(worker, 0, -1, &message);
        assert_true(stage_receives(stage, &envelope, body, &size));
        assert_int_equal(envelope.piece, i);
        assert_int_equal(size, BYTES);
    }
    free(body);
    assert_int_equal(worker_backlog_bytes(worker), 0);
}

static void a_new_broker_is_told_ready_and_nothing_old(void **state)
{
    struct stage *stage = *state;
    struct worker_message message;
    connect_worker(stage);
    set_state(1);
    expect_state(stage, MESSAGE_READY, 1);
    stage_asks(stage, MESSAGE_READ, 1, (struct span){0});
    assert_int_equal(next(&message), STATUS_OK);
    for (uint32_t i = 0; i < 50; i++)
        worker_piece(worker, &message.envelope, i, false, STATUS_OK, calloc(1, 100000), 100000, 1);
    assert_true(worker_backlog_bytes(worker) > 0);
    zmq_close(stage->router);
    stage->life = 78;
    stage_open_router(stage);
    await_probe(stage);
    worker_reply(worker, &message, STATUS_OK, strdup("old"), 3, 1);
    worker_message_free(&message);
    broker_says_hello(stage, ENVELOPE_WELCOME, 2);
    assert_int_equal(next(&message), STATUS_END);
    assert_int_equal(worker_connection(worker), 2);
    assert_int_equal(worker_hello(worker)->life, 78);
    expect_state(stage, MESSAGE_READY, 1);
}

static void a_bad_endpoint_is_refused(void **state)
{
    (void)state;
    struct worker *none;
    struct failure failure;
    assert_int_equal(worker_new("tcp://127.0.0.1:1", 8, &none, &failure), STATUS_INVALID_ARGUMENT);
    assert_null(none);
    worker_free(&none);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(says_nothing_before_the_welcome),
        STAGED(follows_changes_of_hello),
        STAGED(beats_by_itself_and_at_a_change),
        STAGED(a_request_comes_whole_and_its_reply_goes_back),
        STAGED(a_status_goes_without_a_body),
        STAGED(pieces_are_numbered_and_the_last_is_flagged),
        STAGED(junk_is_counted_and_passed_over),
        STAGED(drain_is_told_once_then_goodbye),
        STAGED(a_descriptor_wakes_it),
        STAGED(a_slow_broker_gets_all_in_order),
        STAGED(a_new_broker_is_told_ready_and_nothing_old),
        cmocka_unit_test(a_bad_endpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
