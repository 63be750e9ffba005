/*
 * writer_clock.c - a wall clock that steps back or ahead: order, revisions, sessions and keys do not depend on it.
 */
#include "tests/unit/writer_fixture.h"

#include <string.h>

#define NOW_MS INT64_C(1700000000000)
#define DAY_MS INT64_C(86400000)

static int64_t now_ms;

static int64_t told_ms(void)
{
    return now_ms;
}

static int set_up(void **state)
{
    now_ms = NOW_MS;
    int failed = fixture_set_up(state);
    struct fixture *fixture = *state;

    fixture->options.wall_ms = told_ms;
    fixture_restart(fixture);
    return failed;
}

static struct request audit_request(const char *data)
{
    struct request request = save_request("a");

    request.operation = OPERATION_AUDIT_SAVE;
    request.data = span_text(data);
    request.hash = span_text("h");
    request.tag = span_text("t");
    return request;
}

static struct reply read_one(struct fixture *fixture, uint32_t operation)
{
    struct storage *storage = writer_storage(fixture->writer);
    struct request request = save_request("a");
    struct reply reply = {0};

    request.operation = operation;
    request.data = span_text(NULL);
    if (operation == OPERATION_AUDIT_BY_TAG)
        request.tag = span_text("t");
    assert_int_equal(storage->ops->answer(storage, &request, 1, &reply, fixture->arena, MIB), STATUS_OK);
    assert_int_equal(reply.status, STATUS_OK);
    return reply;
}

static void test_a_clock_that_steps_back_changes_no_order(void **state)
{
    struct fixture *f = *state;
    struct reply reply;

    assert_int_equal(run_request(f, "s", 1, 1, save_request("a")).revision, 1);
    assert_int_equal(run_request(f, "s", 1, 2, audit_request("sooner")).revision, 2);
    now_ms -= DAY_MS;
    assert_int_equal(run_request(f, "s", 1, 3, save_request("a")).revision, 3);
    assert_int_equal(run_request(f, "s", 1, 4, audit_request("later")).revision, 4);

    reply = read_one(f, OPERATION_GET);
    assert_int_equal(reply.items[0].revision, 3);
    assert_int_equal(reply.items[0].created_ms, NOW_MS);
    assert_int_equal(reply.items[0].updated_ms, NOW_MS - DAY_MS);
    reply = read_one(f, OPERATION_AUDIT_BY_TAG);
    assert_true(span_equal(reply.items[0].data, span_text("later")));
    reply = read_one(f, OPERATION_AUDIT_HISTORY);
    assert_int_equal(reply.item_count, 2);
    assert_true(span_equal(reply.items[0].data, span_text("later")));
    assert_int_equal(reply.items[0].updated_ms, NOW_MS - DAY_MS);

    fixture_restart(f); /* and the same from the file */
    assert_int_equal(run_request(f, "s", 1, 5, save_request("a")).revision, 5);
    reply = read_one(f, OPERATION_AUDIT_BY_TAG);
    assert_true(span_equal(reply.items[0].data, span_text("later")));
}

/* What a session has settled is told again, whatever the clock did, across a restart too. */
static void test_sessions_do_not_mind(void **state)
{
    struct fixture *f = *state;
    static const int64_t steps_ms[] = {-DAY_MS, 3 * DAY_MS, -40 * DAY_MS, 365 * DAY_MS};
    uint64_t number = 1;

    assert_int_equal(run_request(f, "s", 1, number, save_request("a")).revision, 1);
    for (size_t i = 0; i < sizeof steps_ms / sizeof steps_ms[0]; i++) {
        now_ms += steps_ms[i];
        assert_int_equal(run_request(f, "s", number, number, save_request("a")).revision, number);
        if (i % 2)
            fixture_restart(f);
        assert_int_equal(run_request(f, "s", number, number, save_request("a")).revision, number);
        number++;
        assert_int_equal(run_request(f, "s", number, number, save_request("a")).revision, number);
    }
}

static void test_keys_are_kept_when_it_steps_back_and_go_when_their_time_has_come(void **state)
{
    struct fixture *f = *state;
    struct request request = save_request("a");
    struct reply reply;

    request.idempotency_key = span_text("once");
    assert_int_equal(run_request(f, "s", 1, 1, request).revision, 1);
    now_ms -= 30 * DAY_MS;
    reply = run_request(f, "s", 1, 2, request);
    assert_int_equal(reply.revision, 1);
    assert_true(reply.flags & REPLY_REPLAYED);
    now_ms = NOW_MS + 6 * DAY_MS;
    reply = run_request(f, "s", 1, 3, request);
    assert_true(reply.flags & REPLY_REPLAYED);
    now_ms = NOW_MS + 8 * DAY_MS;
    reply = run_request(f, "s", 1, 4, request);
    assert_false(reply.flags & REPLY_REPLAYED);
    assert_int_equal(reply.revision, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_clock_that_steps_back_changes_no_order, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_do_not_mind, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(test_keys_are_kept_when_it_steps_back_and_go_when_their_time_has_come, set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
