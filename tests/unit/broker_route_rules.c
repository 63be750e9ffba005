/*
 * broker_route.c - what the broker decides about requests and workers: routing, order, death, expiry, drain.
 */
#include "tests/unit/broker_sim.h"

#include <stdlib.h>
#include <string.h>

enum { READER_A, READER_B, WRITER, WRITER_2 };

static struct sim sim;

static int set_up(void **state)
{
    (void)state;
    sim_start(&sim, NULL);
    sim_client(&sim, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sim_end(&sim);
    return 0;
}

static void a_read_goes_to_a_reader_and_its_answer_back(void **state)
{
    (void)state;
    sim_worker(&sim, READER_A, ROLE_READER, 1, 1);
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    struct route_message message = sim_message(&sim, MESSAGE_READ, 7);
    message.envelope.role = ROLE_NONE;
    message.envelope.principal[0] = 9;
    message.envelope.count = 3;
    sim_send(&sim, 0, message, 100);

    struct action read = sim_forwarded_to(&sim, READER_A, 7);
    assert_int_equal(read.envelope.type, MESSAGE_READ);
    assert_int_equal(read.envelope.count, 3);
    assert_int_equal(read.envelope.role, ROLE_ADMIN);
    assert_int_equal(read.envelope.principal[0], 0);
    assert_int_equal(read.envelope.attempt, 1);
    sim_reply(&sim, &read, STATUS_OK, 50);
    struct action answer = sim_answer(&sim);
    assert_int_equal(answer.envelope.type, MESSAGE_REPLY);
    assert_int_equal(answer.envelope.first, 7);
    assert_int_equal(answer.envelope.count, 3);
    assert_false(answer.envelope.flags & ENVELOPE_WRITE);
    assert_int_equal(answer.bytes, 50);
    assert_int_equal(sim.bodies, 0);
}

static void a_write_goes_to_the_writer_of_the_highest_epoch(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER_2, ROLE_WRITER, 3, 9);
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 8);
    sim_write(&sim, 0, 1);
    struct action write = sim_forwarded_to(&sim, WRITER_2, 1);
    sim_reply(&sim, &write, STATUS_OK, 10);
    assert_true(sim_answer(&sim).envelope.flags & ENVELOPE_WRITE);
    struct hello hello;
    route_hello(sim.route, &hello);
    assert_int_equal(hello.writer_epoch, 9);
}

/* What a dead writer said last may be read after its successor was ready, and after that one's end too. */
static void a_writer_that_says_ready_after_a_later_epoch_is_not_believed(void **state)
{
    (void)state;
    route_worker_open(sim.route, WRITER, sim.now_ns);
    sim_worker(&sim, WRITER_2, ROLE_WRITER, 3, 9);
    struct worker_state late = {.role = ROLE_WRITER, .life = 2, .epoch = 8};
    route_worker_state(sim.route, WRITER, true, &late, sim.now_ns);
    sim_take(&sim);
    sim_worker_gone(&sim, WRITER_2);
    sim_write(&sim, 0, 1);
    assert_false(sim_has_forwarded(&sim));
    sim_worker(&sim, WRITER_2, ROLE_WRITER, 4, 10);
    sim_forwarded_to(&sim, WRITER_2, 1);
}

static void reads_go_to_the_reader_with_the_least_to_do(void **state)
{
    (void)state;
    sim_worker(&sim, READER_A, ROLE_READER, 1, 1);
    sim_worker(&sim, READER_B, ROLE_READER, 2, 1);
    sim_read(&sim, 0, 1);
    sim_read(&sim, 0, 2);
    sim_read(&sim, 0, 3);
    unsigned at[2] = {0};
    struct action read[3];
    for (unsigned i = 0; i < 3; i++) {
        read[i] = sim_forwarded(&sim);
        at[read[i].slot]++;
    }
    assert_true(at[0] >= 1 && at[1] >= 1);
    uint32_t busy = at[0] == 2 ? 0 : 1;
    sim_read(&sim, 0, 4);
    assert_int_equal(sim_forwarded(&sim).slot, 1 - busy);
}

static void a_silent_reader_is_out_of_rotation_until_it_is_heard(void **state)
{
    (void)state;
    sim_worker(&sim, READER_A, ROLE_READER, 1, 1);
    for (int i = 0; i < 4; i++) {
        sim_pass(&sim, 1000);
        sim_beat(&sim, READER_A, ROLE_READER, 1, 1);
    }
    sim_read(&sim, 0, 1);
    sim_reply(&sim, &(struct action){.slot = READER_A, .envelope = sim_forwarded(&sim).envelope}, STATUS_OK, 1);
    sim_answer(&sim);
    sim_pass(&sim, 4000);
    sim_read(&sim, 0, 2);
    assert_false(sim_has_forwarded(&sim));
    sim_beat(&sim, READER_A, ROLE_READER, 1, 1);
    sim_forwarded_to(&sim, READER_A, 2);
}

static void a_silent_writer_is_never_given_up(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    sim_write(&sim, 0, 1);
    struct action write = sim_forwarded(&sim);
    sim_pass(&sim, 60000);
    assert_quiet(&sim);
    sim_write(&sim, 0, 2);
    sim_forwarded_to(&sim, WRITER, 2);
    sim_reply(&sim, &write, STATUS_OK, 10);
    assert_answered(&sim, 0, 1, STATUS_OK);
}

static void writes_of_a_dead_writer_go_to_the_next_in_order_one_by_one(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    for (uint64_t number = 1; number <= 3; number++) {
        sim_write(&sim, 0, number);
        sim_forwarded(&sim);
    }
    sim_worker_gone(&sim, WRITER);
    sim_write(&sim, 0, 4);
    sim_pass(&sim, 500);
    assert_quiet(&sim);

    sim_worker(&sim, WRITER_2, ROLE_WRITER, 3, 2);
    for (uint64_t number = 1; number <= 3; number++) {
        struct action again = sim_forwarded_to(&sim, WRITER_2, number);
        assert_int_equal(again.envelope.attempt, 2);
        assert_false(sim_has_forwarded(&sim));
        sim_reply(&sim, &again, STATUS_OK, 10);
        assert_answered(&sim, 0, number, STATUS_OK);
    }
    assert_int_equal(sim_forwarded_to(&sim, WRITER_2, 4).envelope.attempt, 1);
}

static void a_request_alone_on_two_dead_workers_is_answered_internal(void **state)
{
    (void)state;
    sim_worker(&sim, READER_A, ROLE_READER, 1, 1);
    sim_read(&sim, 0, 1);
    sim_read(&sim, 0, 2);
    sim_forwarded(&sim);
    sim_forwarded(&sim);
    sim_worker_gone(&sim, READER_A); /* both were there */
    sim_worker(&sim, READER_A, ROLE_READER, 2, 1);
    sim_forwarded_to(&sim, READER_A, 1);
    sim_worker_gone(&sim, READER_A); /* the first alone */
    sim_worker(&sim, READER_A, ROLE_READER, 3, 1);
    sim_forwarded_to(&sim, READER_A, 1);
    assert_false(sim_has_answer(&sim));
    sim_worker_gone(&sim, READER_A); /* and again */
    assert_answered(&sim, 0, 1, STATUS_INTERNAL);
    sim_worker(&sim, READER_A, ROLE_READER, 4, 1);
    struct action second = sim_forwarded_to(&sim, READER_A, 2);
    sim_reply(&sim, &second, STATUS_OK, 1);
    assert_answered(&sim, 0, 2, STATUS_OK);
}

static void a_goodbye_is_no_death(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    sim_write(&sim, 0, 1);
    sim_write(&sim, 0, 2);
    sim_forwarded(&sim);
    sim_forwarded(&sim);
    struct envelope goodbye = {.type = MESSAGE_GOODBYE};
    route_worker_message(sim.route, WRITER, &goodbye, NULL, 0, sim.now_ns);
    sim_take(&sim);
    sim_worker(&sim, WRITER_2, ROLE_WRITER, 3, 2);
    sim_forwarded_to(&sim, WRITER_2, 1);
    sim_forwarded_to(&sim, WRITER_2, 2);
}

static void answers_that_come_late_are_dropped(void **state)
{
    (void)state;
    struct route_view view;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    sim_write(&sim, 0, 1);
    struct action first = sim_forwarded(&sim);
    sim_worker(&sim, WRITER_2, ROLE_WRITER, 3, 2); /* supersedes */
    struct action second = sim_forwarded_to(&sim, WRITER_2, 1);
    sim_reply(&sim, &first, STATUS_OK, 10);
    assert_quiet(&sim);
    struct action other_life = second;
    other_life.envelope.life++;
    sim_reply(&sim, &other_life, STATUS_OK, 10);
    assert_quiet(&sim);
    sim_reply(&sim, &second, STATUS_OK, 10);
    assert_answered(&sim, 0, 1, STATUS_OK);
    sim_reply(&sim, &second, STATUS_OK, 10);
    assert_quiet(&sim);
    route_view(sim.route, &view);
    assert_int_equal(view.counters.dropped_late, 3);
    assert_int_equal(sim.bodies, 0);
}

static void a_worker_that_is_back_with_the_same_life_leaves_its_old_connection(void **state)
{
    (void)state;
    sim_worker(&sim, READER_A, ROLE_READER, 1, 1);
    sim_read(&sim, 0, 1);
    sim_forwarded_to(&sim, READER_A, 1);
    sim_worker(&sim, READER_B, ROLE_READER, 1, 1);
    sim_forwarded_to(&sim, READER_B, 1);
}

/* Else it would be taken for gone by both, and never be given anything again. */
static void what_an_old_connection_said_last_does_not_end_the_newer_one(void **state)
{
    (void)state;
    route_worker_open(sim.route, READER_A, sim.now_ns);
    sim_worker(&sim, READER_B, ROLE_READER, 1, 1);
    struct worker_state late = {.role = ROLE_READER, .life = 1, .epoch = 1};
    route_worker_state(sim.route, READER_A, true, &late, sim.now_ns);
    sim_take(&sim);
    sim_read(&sim, 0, 1);
    sim_forwarded_to(&sim, READER_B, 1);
    sim_worker_gone(&sim, READER_A);
    sim_read(&sim, 0, 2);
    sim_forwarded_to(&sim, READER_B, 2);
}

static void what_expires_waiting_is_answered_and_not_forwarded(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    sim_worker_gone(&sim, WRITER);
    struct route_message soon = sim_message(&sim, MESSAGE_WRITE, 1);
    soon.deadline_ns = sim.now_ns + 300 * NS_PER_MS;
    sim_send(&sim, 0, soon, 10);
    sim_pass(&sim, 290);
    assert_quiet(&sim);
    sim_pass(&sim, 50);
    assert_answered(&sim, 0, 1, STATUS_DEADLINE_EXCEEDED);
    struct route_message late = sim_message(&sim, MESSAGE_WRITE, 2);
    late.deadline_ns = sim.now_ns - 1;
    sim_send(&sim, 0, late, 10);
    assert_answered(&sim, 0, 2, STATUS_DEADLINE_EXCEEDED);
    sim_worker(&sim, WRITER, ROLE_WRITER, 3, 2);
    assert_quiet(&sim);
    assert_int_equal(sim.bodies, 0);
}

static void a_writer_may_be_away_for_a_second(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    sim_write(&sim, 0, 1);
    sim_forwarded(&sim);
    sim_worker_gone(&sim, WRITER);
    sim_write(&sim, 0, 2);
    sim_pass(&sim, 900);
    assert_quiet(&sim);
    sim_pass(&sim, 200);
    struct action refused = sim_answer(&sim);
    assert_int_equal(refused.envelope.first, 2);
    assert_int_equal(refused.envelope.status, STATUS_UNAVAILABLE);
    assert_true(refused.envelope.retry_after_ms > 0);
    sim_write(&sim, 0, 3);
    assert_answered(&sim, 0, 3, STATUS_UNAVAILABLE);
    /* The first may have been applied: it is not said to be not. */
    assert_quiet(&sim);
    sim_worker(&sim, WRITER_2, ROLE_WRITER, 3, 2);
    sim_forwarded_to(&sim, WRITER_2, 1);
}

static void reads_wait_a_second_for_a_reader(void **state)
{
    (void)state;
    sim_read(&sim, 0, 1);
    sim_pass(&sim, 500);
    assert_quiet(&sim);
    sim_pass(&sim, 700);
    assert_answered(&sim, 0, 1, STATUS_UNAVAILABLE);
}

static void a_client_that_goes_is_forgotten(void **state)
{
    (void)state;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    sim_write(&sim, 0, 1);
    struct action write = sim_forwarded(&sim);
    sim_worker(&sim, READER_A, ROLE_READER, 1, 1);
    sim_worker_gone(&sim, READER_A);
    sim_read(&sim, 0, 2);
    sim_client_gone(&sim, 0);
    assert_int_equal(sim.bodies, 0);
    sim_client(&sim, 0);
    sim_reply(&sim, &write, STATUS_OK, 10);
    sim_pass(&sim, 3000);
    assert_quiet(&sim);
    struct route_view view;
    route_view(sim.route, &view);
    assert_int_equal(view.tickets, 0);
    assert_int_equal(view.request_bytes, 0);
}

static void what_is_no_request_is_refused_or_counted(void **state)
{
    (void)state;
    struct route_message none = sim_message(&sim, MESSAGE_READ, 1);
    none.envelope.count = 0;
    sim_send(&sim, 0, none, 10);
    assert_answered(&sim, 0, 1, STATUS_INVALID_ARGUMENT);
    none.envelope.count = LIMIT_BATCH_REQUESTS + 1;
    sim_send(&sim, 0, none, 10);
    assert_answered(&sim, 0, 1, STATUS_INVALID_ARGUMENT);
    sim_send(&sim, 0, sim_message(&sim, MESSAGE_DRAIN, 2), 10);
    assert_answered(&sim, 0, 2, STATUS_INVALID_ARGUMENT);
    struct route_message control = sim_message(&sim, MESSAGE_CONTROL, 3);
    control.verb = 99;
    sim_send(&sim, 0, control, 10);
    assert_answered(&sim, 0, 3, STATUS_UNSUPPORTED);
    control.verb = CONTROL_BACKUP;
    control.remote = true;
    sim_send(&sim, 0, control, 10);
    assert_answered(&sim, 0, 3, STATUS_UNSUPPORTED);
    struct route_message stranger = sim_message(&sim, MESSAGE_READ, 4);
    stranger.role = ROLE_NONE;
    sim_send(&sim, 0, stranger, 10);
    assert_answered(&sim, 0, 4, STATUS_PERMISSION_DENIED);
    assert_int_equal(sim.bodies, 0);
}

static void a_refused_write_says_how_many_it_had(void **state)
{
    (void)state;
    struct route_message message = sim_message(&sim, MESSAGE_WRITE, 5);
    message.envelope.count = 3;
    sim_send(&sim, 0, message, 100);
    sim_pass(&sim, 6000);
    struct action refused = sim_answer(&sim);
    assert_int_not_equal(refused.envelope.status, STATUS_OK);
    assert_int_equal(refused.envelope.count, 3);
    sim_send(&sim, 0, message, 100);
    refused = sim_answer(&sim);
    assert_int_equal(refused.envelope.status, STATUS_UNAVAILABLE);
    assert_int_equal(refused.envelope.count, 3);
}

static void a_drain_answers_what_is_in_flight_and_ends_readers_first(void **state)
{
    (void)state;
    sim_worker(&sim, READER_A, ROLE_READER, 1, 1);
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    sim_read(&sim, 0, 1);
    sim_write(&sim, 0, 2);
    struct action read = sim_forwarded(&sim), write = sim_forwarded(&sim);
    route_drain(sim.route, sim.now_ns);
    sim_take(&sim);
    assert_quiet(&sim);
    sim_read(&sim, 0, 3);
    assert_answered(&sim, 0, 3, STATUS_UNAVAILABLE);

    sim_reply(&sim, &read, STATUS_OK, 1);
    sim_answer(&sim);
    sim_pass(&sim, 50);
    assert_int_equal(sim_forwarded_to(&sim, READER_A, 0).envelope.type, MESSAGE_DRAIN);
    sim_reply(&sim, &write, STATUS_OK, 1);
    sim_answer(&sim);
    sim_pass(&sim, 50);
    assert_quiet(&sim);
    sim_worker_gone(&sim, READER_A);
    sim_pass(&sim, 50);
    assert_int_equal(sim_forwarded_to(&sim, WRITER, 0).envelope.type, MESSAGE_DRAIN);
    assert_false(sim.finished);
    sim_worker_gone(&sim, WRITER);
    sim_pass(&sim, 50);
    assert_true(sim.finished);
}

static void hello_goes_to_all_when_the_writer_changes(void **state)
{
    (void)state;
    sim_client(&sim, 1);
    uint32_t before = sim.hellos;
    sim_worker(&sim, WRITER, ROLE_WRITER, 2, 1);
    assert_int_equal(sim.hellos, before + 2);
    sim_beat(&sim, WRITER, ROLE_WRITER, 2, 1);
    assert_int_equal(sim.hellos, before + 2);
    sim_worker_gone(&sim, WRITER);
    assert_int_equal(sim.hellos, before + 4);
    struct hello hello;
    route_hello(sim.route, &hello);
    assert_int_equal(hello.writer_epoch, 0);
    assert_int_equal(hello.uncredited_bytes, LIMIT_UNCREDITED_BYTES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_read_goes_to_a_reader_and_its_answer_back),
        TEST(a_write_goes_to_the_writer_of_the_highest_epoch),
        TEST(a_writer_that_says_ready_after_a_later_epoch_is_not_believed),
        TEST(reads_go_to_the_reader_with_the_least_to_do),
        TEST(a_silent_reader_is_out_of_rotation_until_it_is_heard),
        TEST(a_silent_writer_is_never_given_up),
        TEST(writes_of_a_dead_writer_go_to_the_next_in_order_one_by_one),
        TEST(a_request_alone_on_two_dead_workers_is_answered_internal),
        TEST(a_goodbye_is_no_death),
        TEST(answers_that_come_late_are_dropped),
        TEST(a_worker_that_is_back_with_the_same_life_leaves_its_old_connection),
        TEST(what_an_old_connection_said_last_does_not_end_the_newer_one),
        TEST(what_expires_waiting_is_answered_and_not_forwarded),
        TEST(a_writer_may_be_away_for_a_second),
        TEST(reads_wait_a_second_for_a_reader),
        TEST(a_client_that_goes_is_forgotten),
        TEST(what_is_no_request_is_refused_or_counted),
        TEST(a_refused_write_says_how_many_it_had),
        TEST(a_drain_answers_what_is_in_flight_and_ends_readers_first),
        TEST(hello_goes_to_all_when_the_writer_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
