/* supervisor_state.c - who is started, restarted and stopped when, with a clock of the test's own. */
#include "actor/actor.h"
#include "cli/supervise_state.h"
#include "proto/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { BROKER, WRITER, READER, SECOND_READER, READERS = 2 };

static const struct supervise_end clean = {true, 0}, killed = {false, SIGKILL}, failed = {true, ACTOR_EXIT_FAILED},
                                  refused = {true, ACTOR_EXIT_REFUSED};

static int64_t at(int64_t ms)
{
    return 1000 * NS_PER_S + ms * NS_PER_MS;
}

static void expect(struct supervise *state, int64_t ms, enum supervise_order order, size_t child)
{
    size_t found = 99;
    assert_int_equal(supervise_next(state, at(ms), &found), order);
    if (order != SUPERVISE_NOTHING)
        assert_int_equal(found, child);
}

static void expect_nothing(struct supervise *state, int64_t ms)
{
    expect(state, ms, SUPERVISE_NOTHING, 0);
}

/* Everybody runs and has said READY. */
static void start_all(struct supervise *state)
{
    supervise_init(state, READERS, at(0));
    expect(state, 0, SUPERVISE_START, BROKER);
    expect_nothing(state, 0);
    assert_false(supervise_said_ready(state, BROKER));
    expect(state, 0, SUPERVISE_START, WRITER);
    expect(state, 0, SUPERVISE_START, READER);
    expect(state, 0, SUPERVISE_START, SECOND_READER);
    expect_nothing(state, 0);
    assert_false(supervise_said_ready(state, READER));
    assert_true(supervise_said_ready(state, WRITER));
    assert_false(supervise_said_ready(state, SECOND_READER));
}

static void workers_wait_for_the_first_broker(void **state)
{
    (void)state;
    struct supervise s;
    supervise_init(&s, READERS, at(0));
    expect(&s, 0, SUPERVISE_START, BROKER);
    assert_true(supervise_wait_until(&s) == INT64_MAX);
    supervise_ended(&s, BROKER, killed, at(10));
    expect_nothing(&s, 10);
    assert_true(supervise_wait_until(&s) == at(110));
    expect(&s, 110, SUPERVISE_START, BROKER);
    expect_nothing(&s, 110);
}

static void the_service_is_ready_once(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    supervise_ended(&s, WRITER, killed, at(5));
    expect(&s, 5, SUPERVISE_START, WRITER);
    assert_false(supervise_said_ready(&s, WRITER));
}

static void what_was_ready_is_restarted_at_once(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    for (size_t child = 0; child < 4; child++)
        for (int64_t ms = 0; ms < 5; ms++) {
            supervise_ended(&s, child, ms % 2 ? clean : killed, at(ms));
            expect(&s, ms, SUPERVISE_START, child);
            expect_nothing(&s, ms);
            supervise_said_ready(&s, child);
        }
}

static void what_dies_before_ready_waits_longer_and_longer(void **state)
{
    (void)state;
    struct supervise s;
    static const int64_t waits_ms[] = {100, 200, 400, 800, 1600, 2000, 2000};
    start_all(&s);
    supervise_ended(&s, WRITER, killed, at(0));
    expect(&s, 0, SUPERVISE_START, WRITER);
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        supervise_ended(&s, WRITER, failed, at(ms));
        expect_nothing(&s, ms + waits_ms[i] - 1);
        ms += waits_ms[i];
        assert_true(supervise_wait_until(&s) == at(ms));
        expect(&s, ms, SUPERVISE_START, WRITER);
    }
    supervise_said_ready(&s, WRITER);
    supervise_ended(&s, WRITER, failed, at(ms));
    expect(&s, ms, SUPERVISE_START, WRITER);
    supervise_ended(&s, WRITER, failed, at(ms));
    assert_true(supervise_wait_until(&s) == at(ms + 100));
}

static void a_refusal_before_ready_ends_the_service(void **state)
{
    (void)state;
    struct supervise s;
    supervise_init(&s, READERS, at(0));
    expect(&s, 0, SUPERVISE_START, BROKER);
    supervise_said_ready(&s, BROKER);
    expect(&s, 0, SUPERVISE_START, WRITER);
    expect(&s, 0, SUPERVISE_START, READER);
    expect(&s, 0, SUPERVISE_START, SECOND_READER);
    supervise_ended(&s, WRITER, refused, at(1));
    assert_true(s.stopping);
    assert_int_equal(s.exit_code, ACTOR_EXIT_REFUSED);
    expect(&s, 1, SUPERVISE_TERMINATE, BROKER);
    expect_nothing(&s, 1);
}

static void a_refusal_of_the_first_broker_leaves_nothing_to_stop(void **state)
{
    (void)state;
    struct supervise s;
    supervise_init(&s, READERS, at(0));
    expect(&s, 0, SUPERVISE_START, BROKER);
    supervise_ended(&s, BROKER, refused, at(1));
    expect_nothing(&s, 1);
    assert_true(supervise_is_done(&s));
    assert_int_equal(s.exit_code, ACTOR_EXIT_REFUSED);
}

static void the_same_code_after_ready_is_a_death_like_any_other(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    supervise_ended(&s, READER, refused, at(1));
    assert_false(s.stopping);
    expect(&s, 1, SUPERVISE_START, READER);
}

static void stopping_goes_through_the_broker(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    supervise_stop(&s, 0, at(0));
    expect(&s, 0, SUPERVISE_TERMINATE, BROKER);
    expect_nothing(&s, 0);
    supervise_ended(&s, READER, clean, at(1));
    supervise_ended(&s, SECOND_READER, clean, at(1));
    supervise_ended(&s, WRITER, clean, at(2));
    expect_nothing(&s, 5000);
    assert_false(supervise_is_done(&s));
    supervise_ended(&s, BROKER, clean, at(3));
    assert_true(supervise_is_done(&s));
    assert_int_equal(s.exit_code, 0);
    expect_nothing(&s, 100000);
}

static void workers_that_outlive_the_broker_are_told(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    supervise_ended(&s, SECOND_READER, killed, at(0));
    supervise_stop(&s, 0, at(0));
    expect(&s, 0, SUPERVISE_TERMINATE, BROKER);
    supervise_ended(&s, BROKER, killed, at(1));
    expect(&s, 1, SUPERVISE_TERMINATE, WRITER);
    expect(&s, 1, SUPERVISE_TERMINATE, READER);
    expect_nothing(&s, 1);
}

static void without_a_broker_workers_are_told_at_once(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    supervise_ended(&s, BROKER, killed, at(0));
    supervise_stop(&s, 0, at(0));
    expect(&s, 0, SUPERVISE_TERMINATE, WRITER);
    expect(&s, 0, SUPERVISE_TERMINATE, READER);
    expect(&s, 0, SUPERVISE_TERMINATE, SECOND_READER);
    expect_nothing(&s, 0);
}

static void patience_ends_in_two_steps(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    supervise_stop(&s, 0, at(0));
    expect(&s, 0, SUPERVISE_TERMINATE, BROKER);
    expect_nothing(&s, SUPERVISE_DRAIN_MS - 1);
    assert_true(supervise_wait_until(&s) == at(SUPERVISE_DRAIN_MS));
    for (size_t child = WRITER; child <= SECOND_READER; child++)
        expect(&s, SUPERVISE_DRAIN_MS, SUPERVISE_TERMINATE, child);
    int64_t last = SUPERVISE_DRAIN_MS + SUPERVISE_TERMINATE_MS;
    expect_nothing(&s, last - 1);
    for (size_t child = BROKER; child <= SECOND_READER; child++)
        expect(&s, last, SUPERVISE_KILL, child);
    expect_nothing(&s, last + 100000);
    assert_true(supervise_wait_until(&s) == INT64_MAX);
}

static void another_signal_takes_a_step(void **state)
{
    (void)state;
    struct supervise s;
    start_all(&s);
    supervise_stop(&s, 0, at(0));
    supervise_stop(&s, 5, at(0));
    for (size_t child = BROKER; child <= SECOND_READER; child++)
        expect(&s, 0, SUPERVISE_TERMINATE, child);
    supervise_stop(&s, 5, at(0));
    supervise_stop(&s, 5, at(0));
    for (size_t child = BROKER; child <= SECOND_READER; child++) {
        expect(&s, 0, SUPERVISE_KILL, child);
        supervise_ended(&s, child, killed, at(0));
    }
    assert_true(supervise_is_done(&s));
    assert_int_equal(s.exit_code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_wait_for_the_first_broker),
        cmocka_unit_test(the_service_is_ready_once),
        cmocka_unit_test(what_was_ready_is_restarted_at_once),
        cmocka_unit_test(what_dies_before_ready_waits_longer_and_longer),
        cmocka_unit_test(a_refusal_before_ready_ends_the_service),
        cmocka_unit_test(a_refusal_of_the_first_broker_leaves_nothing_to_stop),
        cmocka_unit_test(the_same_code_after_ready_is_a_death_like_any_other),
        cmocka_unit_test(stopping_goes_through_the_broker),
        cmocka_unit_test(workers_that_outlive_the_broker_are_told),
        cmocka_unit_test(without_a_broker_workers_are_told_at_once),
        cmocka_unit_test(patience_ends_in_two_steps),
        cmocka_unit_test(another_signal_takes_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
