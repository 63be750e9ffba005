/*
 * writer_session.c - what the session table decides about numbers, groups, closed and evicted sessions.
 */
#include "tests/support/cmocka_all.h"
#include "writer/session.h"

#include <string.h>

static const uint8_t store[INCARNATION_BYTES] = "store";
enum { NOW = 100000000, DAY_MS = 86400000, SESSIONS = 4 };

static struct session_key key_of(const char *principal, const char *id)
{
    struct session_key key = {0};

    memcpy(key.principal, principal, strlen(principal));
    memcpy(key.id, id, strlen(id));
    return key;
}

static struct session_header header_of(uint64_t floor, uint64_t counter)
{
    struct session_header header = {.floor = floor, .counter = counter};

    memcpy(header.incarnation, store, sizeof store);
    return header;
}

static struct session_decision decide_as(struct session_table *table, const char *principal, const char *id,
                                         uint64_t floor, uint64_t number)
{
    struct session_key key = key_of(principal, id);
    struct session_header header = header_of(floor, table->counter);

    return session_decide(table, &key, &header, number, NOW + 5000, NOW);
}

static struct session_decision decide(struct session_table *table, uint64_t floor, uint64_t number)
{
    return decide_as(table, "alice", "s", floor, number);
}

static void settle(struct session_decision decision, uint64_t revision)
{
    struct session_outcome outcome = {.status = STATUS_OK, .revision = revision};

    assert_int_equal(decision.verdict, SESSION_APPLY);
    assert_int_equal(session_settle(decision.session, &outcome), STATUS_OK);
}

static void commit(struct session_table *table, int64_t now_ms)
{
    session_seal(table, now_ms);
    session_commit(table);
}

static void assert_refused(struct session_decision decision, int status, uint64_t number)
{
    assert_int_equal(decision.verdict, SESSION_REFUSED);
    assert_int_equal(decision.status, status);
    assert_int_equal(decision.number, number);
}

static void assert_settled(struct session_decision decision, uint64_t revision)
{
    assert_int_equal(decision.verdict, SESSION_SETTLED);
    assert_int_equal(decision.outcome.revision, revision);
}

static int set_up(void **state)
{
    struct session_limits limits = {.sessions = SESSIONS, .idle_ms = DAY_MS, .outcomes = 64};

    *state = session_table_new(&limits, store, 7);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    session_table_free((struct session_table **)state);
    return 0;
}

static void test_numbers_go_in_order_once(void **state)
{
    struct session_table *table = *state;

    settle(decide(table, 1, 1), 11);
    settle(decide(table, 1, 2), 12);
    assert_settled(decide(table, 1, 1), 11); /* a copy within the group */
    assert_refused(decide(table, 1, 4), STATUS_OUT_OF_ORDER, 3);
    commit(table, NOW);
    assert_settled(decide(table, 1, 2), 12);
    assert_refused(decide(table, 1, 5), STATUS_OUT_OF_ORDER, 3);
    settle(decide(table, 1, 3), 13);
    commit(table, NOW);
    assert_settled(decide(table, 2, 3), 13);
}

static void test_unsettled_number_stops_later_ones(void **state)
{
    struct session_table *table = *state;

    settle(decide(table, 1, 1), 11);
    assert_int_equal(decide(table, 1, 2).verdict, SESSION_APPLY); /* fails in passing: nobody settles it */
    assert_refused(decide(table, 1, 3), STATUS_OUT_OF_ORDER, 2);
    commit(table, NOW);
    assert_int_equal(decide(table, 1, 2).verdict, SESSION_APPLY);
}

static void test_below_the_floor_is_final(void **state)
{
    struct session_table *table = *state;

    settle(decide(table, 1, 1), 11);
    commit(table, NOW);
    settle(decide(table, 5, 5), 15); /* 2 to 4 were given up before any of them came */
    assert_refused(decide(table, 1, 2), STATUS_BELOW_FLOOR, 5);
    assert_refused(decide(table, 1, 1), STATUS_BELOW_FLOOR, 5);
    commit(table, NOW);
    assert_refused(decide(table, 1, 4), STATUS_BELOW_FLOOR, 5);
    assert_settled(decide(table, 1, 5), 15);
    settle(decide(table, 6, 6), 16);
}

static void test_floor_rises_past_what_the_group_settled(void **state)
{
    struct session_table *table = *state;

    settle(decide(table, 1, 1), 11);
    settle(decide(table, 1, 2), 12);
    assert_refused(decide(table, 9, 10), STATUS_OUT_OF_ORDER, 9);
    settle(decide(table, 9, 9), 19);
    settle(decide(table, 10, 10), 20);
    commit(table, NOW);
    assert_settled(decide(table, 1, 10), 20);
    assert_refused(decide(table, 1, 9), STATUS_BELOW_FLOOR, 10);
    assert_int_equal(table->outcomes, 1);
}

static void test_floor_of_a_refused_message_is_kept(void **state)
{
    struct session_table *table = *state;

    settle(decide(table, 1, 1), 11);
    commit(table, NOW);
    assert_refused(decide(table, 4, 6), STATUS_OUT_OF_ORDER, 4);
    assert_false(session_has_staged(table));
    session_commit(table);
    assert_refused(decide(table, 1, 2), STATUS_BELOW_FLOOR, 4);
}

static void test_abort_leaves_no_trace(void **state)
{
    struct session_table *table = *state;

    settle(decide(table, 1, 1), 11);
    commit(table, NOW);
    settle(decide(table, 1, 2), 12);
    settle(decide(table, 2, 3), 13);
    settle(decide_as(table, "alice", "other", 1, 1), 14);
    session_close(decide(table, 9, 9).session);
    session_seal(table, NOW);
    session_abort(table);
    assert_settled(decide(table, 1, 1), 11);
    assert_int_equal(decide(table, 1, 2).verdict, SESSION_APPLY);
    assert_int_equal(table->count, 1);
    assert_int_equal(table->outcomes, 1);
}

static void test_session_belongs_to_its_principal(void **state)
{
    struct session_table *table = *state;

    settle(decide(table, 1, 1), 11);
    commit(table, NOW);
    assert_int_equal(decide_as(table, "mallory", "s", 1, 1).verdict, SESSION_APPLY);
    assert_refused(decide_as(table, "mallory", "s", 1, 2), STATUS_OUT_OF_ORDER, 1);
}

static void test_window_bounds_a_session(void **state)
{
    struct session_table *table = *state;

    for (uint64_t n = 1; n <= LIMIT_SESSION_WINDOW; n++)
        settle(decide(table, 1, n), n);
    assert_refused(decide(table, 1, LIMIT_SESSION_WINDOW + 1), STATUS_OUT_OF_ORDER, LIMIT_SESSION_WINDOW + 1);
    settle(decide(table, 2, LIMIT_SESSION_WINDOW + 1), 1);
}

static void test_births_are_judged(void **state)
{
    struct session_table *table = *state;
    struct session_key key = key_of("alice", "s");
    struct session_header header = header_of(1, 6);

    assert_refused(session_decide(table, &key, &header, 1, NOW, NOW), STATUS_UNKNOWN_SESSION, 7);
    header.counter = 8;
    header.incarnation[0] ^= 1;
    assert_refused(session_decide(table, &key, &header, 1, NOW, NOW), STATUS_OTHER_STORE, 0);
    assert_refused(decide(table, 0, 1), STATUS_INVALID_ARGUMENT, 0);
    assert_refused(decide(table, 1, 0), STATUS_INVALID_ARGUMENT, 0);
    assert_refused(decide(table, UINT64_MAX, UINT64_MAX), STATUS_INVALID_ARGUMENT, 0);
    assert_refused(decide(table, 3, 4), STATUS_OUT_OF_ORDER, 3);
    commit(table, NOW);
    assert_int_equal(table->count, 0); /* nothing was settled: no session */
}

static void close_session(struct session_table *table, const char *id)
{
    struct session_decision decision = decide_as(table, "alice", id, 1, 1);

    settle(decision, 0);
    session_close(decision.session);
    commit(table, NOW);
}

static void test_tombstone_until_the_last_deadline(void **state)
{
    struct session_table *table = *state;

    close_session(table, "s");
    assert_settled(decide(table, 1, 1), 0);
    assert_refused(decide(table, 1, 2), STATUS_BELOW_FLOOR, 2);
    commit(table, NOW + 4000);
    assert_int_equal(table->count, 1);
    commit(table, NOW + 5001);
    assert_int_equal(table->count, 0);
    assert_int_equal(table->counter, 7); /* nothing was evicted */
}

static void fill(struct session_table *table, int from, int to)
{
    for (int i = from; i < to; i++) {
        char id[] = {(char)('a' + i), '\0'};
        settle(decide_as(table, "alice", id, 1, 1), 1);
        commit(table, NOW);
    }
}

static void test_beyond_the_cap_the_longest_unused_goes(void **state)
{
    struct session_table *table = *state;
    struct session_key key = key_of("alice", "a");
    struct session_header header = header_of(1, 7);

    fill(table, 0, SESSIONS);
    assert_int_equal(table->counter, 7);
    fill(table, SESSIONS, SESSIONS + 1);
    assert_int_equal(table->count, SESSIONS);
    assert_int_equal(table->counter, 8);
    assert_int_equal(table->evicted, 1);
    /* Never taken for a new one, with its present number or its next. */
    assert_refused(session_decide(table, &key, &header, 1, NOW, NOW), STATUS_UNKNOWN_SESSION, 8);
    assert_refused(session_decide(table, &key, &header, 2, NOW, NOW), STATUS_UNKNOWN_SESSION, 8);
    assert_settled(decide_as(table, "alice", "b", 1, 1), 1);
}

static void test_tombstones_go_before_living_ones(void **state)
{
    struct session_table *table = *state;

    fill(table, 0, SESSIONS - 1);
    close_session(table, "closed");
    fill(table, SESSIONS, SESSIONS + 1);
    assert_settled(decide_as(table, "alice", "a", 1, 1), 1);
    assert_int_equal(table->counter, 8); /* its deadline had not passed */
}

static void test_outcomes_of_all_are_bounded(void **state)
{
    struct session_table *table = *state;

    for (uint64_t n = 1; n <= 60; n++)
        settle(decide(table, 1, n), n);
    commit(table, NOW);
    for (uint64_t n = 1; n <= 10; n++)
        settle(decide_as(table, "bob", "t", 1, n), n);
    commit(table, NOW);
    commit(table, NOW);
    assert_int_equal(table->count, 1);
    assert_int_equal(table->outcomes, 10);
}

static void test_idle_ones_go(void **state)
{
    struct session_table *table = *state;

    fill(table, 0, 2);
    commit(table, NOW + DAY_MS);
    assert_int_equal(table->count, 2);
    session_seal(table, NOW + DAY_MS + 1);
    assert_true(session_has_staged(table));
    session_abort(table);
    assert_int_equal(table->count, 2);
    assert_int_equal(table->counter, 7);
    commit(table, NOW + DAY_MS + 1);
    assert_int_equal(table->count, 0);
    assert_int_equal(table->counter, 8);
}

static void test_steps_are_part_of_the_session(void **state)
{
    struct session_table *table = *state;
    struct session_decision decision = decide(table, 1, 1);

    assert_int_equal(session_progress(decision.session, 10000, span_text("k/10000")), STATUS_OK);
    commit(table, NOW);
    decision = decide(table, 1, 1);
    assert_int_equal(decision.verdict, SESSION_APPLY);
    assert_true(decision.session->staged.step.active);
    assert_int_equal(decision.session->staged.step.count, 10000);
    assert_memory_equal(decision.session->staged.step.last, "k/10000", 7);
    assert_int_equal(session_progress(decision.session, 20000, span_text("k/20000")), STATUS_OK);
    session_abort(table);
    decision = decide(table, 1, 1);
    assert_int_equal(decision.session->staged.step.count, 10000);
    settle(decision, 5);
    commit(table, NOW);
    assert_false(decide(table, 1, 2).session->staged.step.active);
}

static void test_floor_ends_a_step(void **state)
{
    struct session_table *table = *state;

    assert_int_equal(session_progress(decide(table, 1, 1).session, 10000, span_text("x")), STATUS_OK);
    commit(table, NOW);
    assert_false(decide(table, 2, 2).session->staged.step.active);
    commit(table, NOW);
    assert_false(decide(table, 2, 2).session->now.step.active);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_numbers_go_in_order_once),
        TEST(test_unsettled_number_stops_later_ones),
        TEST(test_below_the_floor_is_final),
        TEST(test_floor_rises_past_what_the_group_settled),
        TEST(test_floor_of_a_refused_message_is_kept),
        TEST(test_abort_leaves_no_trace),
        TEST(test_session_belongs_to_its_principal),
        TEST(test_window_bounds_a_session),
        TEST(test_births_are_judged),
        TEST(test_tombstone_until_the_last_deadline),
        TEST(test_beyond_the_cap_the_longest_unused_goes),
        TEST(test_tombstones_go_before_living_ones),
        TEST(test_outcomes_of_all_are_bounded),
        TEST(test_idle_ones_go),
        TEST(test_steps_are_part_of_the_session),
        TEST(test_floor_ends_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
