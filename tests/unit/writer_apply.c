/*
 * writer_apply.c - groups: what is answered, what is recorded, and what is left after failures and restarts.
 */
#include "tests/unit/writer_fixture.h"

#include <string.h>

static void test_outcomes_survive_a_restart(void **state)
{
    struct fixture *f = *state;
    struct request guarded = save_request("a");
    struct reply first = run_request(f, "s", 1, 1, save_request("a")), again;

    guarded.condition = CONDITION_IF_ABSENT;
    assert_int_equal(first.status, STATUS_OK);
    assert_int_equal(run_request(f, "s", 1, 2, guarded).status, STATUS_CONFLICT);
    assert_int_equal(run_request(f, "s", 1, 3, delete_request("a")).count, 1);
    for (int i = 0; i < 2; i++) {
        uint64_t revision = storage_counters_of(f).revision;
        again = run_request(f, "s", 1, 1, save_request("a"));
        assert_int_equal(again.status, STATUS_OK);
        assert_int_equal(again.revision, first.revision);
        again = run_request(f, "s", 1, 2, guarded);
        assert_int_equal(again.status, STATUS_CONFLICT);
        assert_int_equal(again.revision, first.revision);
        assert_int_equal(run_request(f, "s", 1, 3, delete_request("a")).count, 1);
        assert_int_equal(storage_counters_of(f).revision, revision);
        assert_int_equal(count_rows(f, ""), 0);
        fixture_restart(f);
    }
}

static void test_copies_in_one_group(void **state)
{
    struct fixture *f = *state;
    struct request requests[2] = {save_request("a"), save_request("b")};
    struct write_message *messages[] = {session_message(f, "s", 1, 1, requests, 2),
                                        session_message(f, "s", 1, 1, requests, 2),
                                        session_message(f, "s", 1, 4, requests, 1)};

    run_all(f, messages, 3);
    assert_int_equal(faults.commits, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(messages[1]->replies[i].status, STATUS_OK);
        assert_int_equal(messages[1]->replies[i].revision, messages[0]->replies[i].revision);
    }
    assert_int_equal(messages[2]->replies[0].status, STATUS_OUT_OF_ORDER);
    assert_int_equal(messages[2]->replies[0].number, 3);
    assert_int_equal(storage_counters_of(f).revision, 2);
}

static void test_nothing_but_copies_takes_no_transaction(void **state)
{
    struct fixture *f = *state;
    int begins;

    run_request(f, "s", 1, 1, save_request("a"));
    begins = faults.begins;
    assert_int_equal(run_request(f, "s", 1, 1, save_request("a")).status, STATUS_OK);
    assert_int_equal(run_request(f, "s", 1, 5, save_request("a")).status, STATUS_OUT_OF_ORDER);
    assert_int_equal(faults.begins, begins);
}

static void test_a_failing_request_fails_alone(void **state)
{
    struct fixture *f = *state;
    struct request requests[] = {save_request("a"), save_request("poison"), save_request("b")};
    struct write_message *messages[] = {session_message(f, "s", 1, 1, requests, 3),
                                        session_message(f, "t", 1, 1, requests, 1)};

    faults.poison_id = "poison";
    faults.poison_status = STATUS_NO_MEMORY;
    run_all(f, messages, 2);
    assert_int_equal(messages[0]->replies[0].status, STATUS_OK);
    assert_int_equal(messages[0]->replies[1].status, STATUS_NO_MEMORY);
    assert_true(messages[0]->replies[1].flags & REPLY_NOT_APPLIED);
    assert_true(messages[0]->replies[1].retry_after_ms > 0);
    assert_int_equal(messages[0]->replies[2].status, STATUS_OUT_OF_ORDER);
    assert_int_equal(messages[0]->replies[2].number, 2);
    assert_int_equal(messages[1]->replies[0].status, STATUS_OK);
    faults.poison_id = NULL;
    assert_int_equal(run_request(f, "s", 1, 2, requests[1]).status, STATUS_OK);
}

static void test_passing_answers_are_not_recorded(void **state)
{
    struct fixture *f = *state;
    struct request requests[] = {save_request("a"), save_request("poison"), save_request("b")};
    struct write_message *message = session_message(f, "s", 1, 1, requests, 3);

    faults.poison_id = "poison";
    faults.poison_status = STATUS_KEYS_EXHAUSTED;
    faults.poison_is_answer = true;
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_OK);
    assert_int_equal(message->replies[1].status, STATUS_KEYS_EXHAUSTED);
    assert_true(message->replies[1].retry_after_ms > 0);
    assert_int_equal(message->replies[2].status, STATUS_OUT_OF_ORDER);
    assert_int_equal(message->replies[2].number, 2);
    faults.poison_id = NULL;
    assert_int_equal(run_request(f, "s", 1, 2, requests[1]).status, STATUS_OK);
}

static void test_a_failed_commit_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct request requests[64];
    struct write_message *message;

    for (int i = 0; i < 64; i++)
        requests[i] = save_request(arena_printf(f->arena, "r%d", i));
    faults.commits_failing = 9;
    faults.commit_status = STATUS_STORAGE_FULL;
    message = session_message(f, "s", 1, 1, requests, 64);
    /* 64, 32, 16, 8, 4, 2, 1 fail: the first one is answered so; then what follows it is out of order. */
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_STORAGE_FULL);
    assert_true(message->replies[0].retry_after_ms > 0);
    for (int i = 1; i < 64; i++)
        assert_int_equal(message->replies[i].status, STATUS_OUT_OF_ORDER);
    assert_int_equal(storage_counters_of(f).revision, 0);
    faults.commits_failing = 0;
    message = session_message(f, "s", 1, 1, requests, 64);
    run_one(f, message);
    for (int i = 0; i < 64; i++)
        assert_int_equal(message->replies[i].revision, i + 1);
}

static void test_an_unknown_commit_answers_nothing(void **state)
{
    struct fixture *f = *state;
    struct request request = save_request("a");
    struct write_message *message = session_message(f, "s", 1, 1, &request, 1);

    faults.commits_failing = 1;
    faults.commit_status = STORAGE_UNKNOWN;
    assert_int_equal(writer_run(f->writer, &message, 1), STORAGE_UNKNOWN);
    assert_int_equal(message->settled, 0);
}

static void test_late_requests_are_not_applied(void **state)
{
    struct fixture *f = *state;
    struct request requests[] = {save_request("a"), save_request("b")};
    struct write_message *message;

    requests[0].deadline_ns = clock_boot_ns() - 1;
    message = session_message(f, "s", 1, 1, requests, 2);
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_DEADLINE_EXCEEDED);
    assert_true(message->replies[0].flags & REPLY_NOT_APPLIED);
    assert_int_equal(message->replies[1].status, STATUS_OUT_OF_ORDER);
    assert_int_equal(message->replies[1].number, 1);
    assert_int_equal(run_request(f, "s", 1, 1, save_request("a")).status, STATUS_OK);
}

static void test_skips_settle_what_has_no_outcome(void **state)
{
    struct fixture *f = *state;
    struct reply reply;

    run_request(f, "s", 1, 1, save_request("a"));
    assert_int_equal(run_request(f, "s", 1, 1, wire_request(OPERATION_SKIP)).status, STATUS_OK);
    reply = run_request(f, "s", 1, 2, wire_request(OPERATION_SKIP));
    assert_int_equal(reply.status, STATUS_CANCELLED);
    assert_true(reply.flags & REPLY_NOT_APPLIED);
    fixture_restart(f);
    reply = run_request(f, "s", 1, 2, save_request("late"));
    assert_int_equal(reply.status, STATUS_CANCELLED);
    assert_true(reply.flags & REPLY_NOT_APPLIED);
    assert_int_equal(count_rows(f, "late"), 0);
    assert_int_equal(run_request(f, "s", 1, 3, save_request("b")).status, STATUS_OK);
}

static void test_a_closed_session_takes_nothing(void **state)
{
    struct fixture *f = *state;

    run_request(f, "s", 1, 1, save_request("a"));
    assert_int_equal(run_request(f, "s", 2, 2, wire_request(OPERATION_CLOSE_SESSION)).status, STATUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_request(f, "s", 2, 2, wire_request(OPERATION_CLOSE_SESSION)).status, STATUS_OK);
        assert_int_equal(run_request(f, "s", 1, 1, save_request("a")).status, STATUS_BELOW_FLOOR);
        assert_int_equal(run_request(f, "s", 3, 3, save_request("a")).status, STATUS_BELOW_FLOOR);
        fixture_restart(f);
    }
}

static void test_roles_are_judged(void **state)
{
    struct fixture *f = *state;
    struct request request = save_request("a");
    struct write_message *message = session_message(f, "s", 1, 1, &request, 1);

    message->role = ROLE_READER;
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_PERMISSION_DENIED);
    assert_int_equal(faults.begins, 0);
    request.created_ms = 1000;
    message = session_message(f, "s", 1, 1, &request, 1);
    message->role = ROLE_WRITER;
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_PERMISSION_DENIED);
    assert_int_equal(count_rows(f, ""), 0);
}

static struct reply run_as(struct fixture *f, uint8_t role, uint64_t number)
{
    struct request request = save_request("a");
    struct write_message *message = session_message(f, "s", 1, number, &request, 1);

    message->role = role;
    run_one(f, message);
    return message->replies[0];
}

/* A resend after the role was taken away: what was applied is told, what was not is settled as refused. */
static void test_a_lost_role_keeps_its_outcomes(void **state)
{
    struct fixture *f = *state;
    uint64_t revision = run_as(f, ROLE_WRITER, 1).revision;
    struct reply again = run_as(f, ROLE_READER, 1);

    assert_true(again.status == STATUS_OK && again.revision == revision);
    assert_int_equal(run_as(f, ROLE_READER, 2).status, STATUS_PERMISSION_DENIED);
    fixture_restart(f);
    assert_int_equal(run_as(f, ROLE_WRITER, 2).status, STATUS_PERMISSION_DENIED);
    assert_int_equal(run_as(f, ROLE_WRITER, 3).status, STATUS_OK);
}

static void test_bad_requests_are_refused_and_settled(void **state)
{
    struct fixture *f = *state;
    struct request requests[] = {save_request(""), save_request("a"), save_request("b")};
    struct write_message *message;

    requests[1].operation = OPERATION_GET;
    message = session_message(f, "s", 1, 1, requests, 3);
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_INVALID_ARGUMENT);
    assert_true(message->replies[0].message.size > 0);
    assert_int_equal(message->replies[1].status, STATUS_INVALID_ARGUMENT);
    assert_int_equal(message->replies[2].status, STATUS_OK);
    assert_int_equal(run_request(f, "s", 1, 1, save_request("now right")).status, STATUS_INVALID_ARGUMENT);
}

static void test_principals_do_not_share_sessions(void **state)
{
    struct fixture *f = *state;
    struct request request = save_request("b");
    struct write_message *message = session_message(f, "s", 1, 1, &request, 1);

    run_request(f, "s", 1, 1, save_request("a"));
    message->principal[0] = 1;
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_OK);
    assert_int_equal(count_rows(f, ""), 2);
}

static void test_sessions_of_another_store_are_told(void **state)
{
    struct fixture *f = *state;
    struct request request = save_request("a");
    struct write_message *message = session_message(f, "s", 1, 1, &request, 1);

    message->session.incarnation[3] ^= 1;
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_OTHER_STORE);
}

static void test_evictions_raise_the_stored_counter(void **state)
{
    struct fixture *f = *state;
    struct request request = save_request("x");
    struct write_message *old;
    struct writer_counters counters;

    writer_free(&f->writer);
    f->options.max_sessions = 2;
    fixture_open(f);
    old = session_message(f, "a", 1, 2, &request, 1);
    run_request(f, "a", 1, 1, save_request("a"));
    run_request(f, "b", 1, 1, save_request("b"));
    run_request(f, "c", 1, 1, save_request("c"));
    writer_counters(f->writer, &counters);
    assert_int_equal(counters.sessions, 2);
    assert_int_equal(counters.sessions_evicted, 1);
    assert_int_equal(storage_counters_of(f).session_counter, old->session.counter + 1);
    fixture_restart(f);
    run_one(f, old);
    assert_int_equal(old->replies[0].status, STATUS_UNKNOWN_SESSION);
    assert_int_equal(old->replies[0].number, old->session.counter + 1);
    assert_int_equal(run_request(f, "b", 1, 1, save_request("b")).status, STATUS_OK);
    assert_int_equal(storage_counters_of(f).revision, 3);
}

static void test_a_damaged_log_evicts_everybody(void **state)
{
    struct fixture *f = *state;
    struct storage *storage = writer_storage(f->writer);
    struct storage_session_record record = {.bytes = span_text("no row of ours")};
    struct request request = save_request("b");
    struct write_message *message;
    uint64_t sequence;

    for (uint64_t n = 1; n <= 40; n++) /* more rows than the engine drops at once */
        run_request(f, "s", 1, n, save_request("a"));
    message = session_message(f, "s", 1, 41, &request, 1);
    assert_int_equal(storage->ops->begin(storage, 0), STATUS_OK);
    assert_int_equal(storage->ops->commit(storage, &record, &sequence), STATUS_OK);
    fixture_restart(f);
    run_one(f, message);
    assert_int_equal(message->replies[0].status, STATUS_UNKNOWN_SESSION);
    assert_int_equal(run_request(f, "new", 1, 1, save_request("b")).status, STATUS_OK);
    fixture_restart(f); /* the damaged rows are gone, what came later is read */
    assert_int_equal(storage_counters_of(f).session_counter, message->session.counter + 1);
    assert_int_equal(run_request(f, "new", 1, 2, save_request("b")).status, STATUS_OK);
}

static void test_groups_are_bounded(void **state)
{
    enum { COUNT = LIMIT_GROUP_REQUESTS / 2 + 1 };
    struct fixture *f = *state;
    struct request requests[COUNT];
    struct write_message *messages[2];

    for (int i = 0; i < COUNT; i++)
        requests[i] = wire_request(OPERATION_SKIP); /* quick enough for one group */
    messages[0] = session_message(f, "s", 1, 1, requests, COUNT);
    messages[1] = session_message(f, "t", 1, 1, requests, COUNT);
    assert_int_equal(writer_run(f->writer, messages, 2), STATUS_OK);
    assert_true(messages[0]->settled + messages[1]->settled <= LIMIT_GROUP_REQUESTS);
    assert_true(messages[0]->settled > 0);
    run_all(f, messages, 2);
    assert_true(faults.commits >= 2);
}

static void test_groups_are_bounded_in_bytes(void **state)
{
    struct fixture *f = *state;
    struct span data = arena_copy(f->arena, (struct span){arena_calloc(f->arena, 1, 3 * MIB), 3 * MIB});
    struct request requests[3];
    struct write_message *message;

    for (int i = 0; i < 3; i++) {
        requests[i] = save_request(arena_printf(f->arena, "big%d", i));
        requests[i].data = data;
    }
    message = session_message(f, "s", 1, 1, requests, 3);
    assert_int_equal(writer_run(f->writer, &message, 1), STATUS_OK);
    assert_true(message->settled < 3);
    run_one(f, message);
    assert_int_equal(message->replies[2].status, STATUS_OK);
}

static void test_groups_are_bounded_in_time(void **state)
{
    struct fixture *f = *state;
    struct request requests[] = {save_request("a"), save_request("b"), save_request("c")};
    struct write_message *message = session_message(f, "s", 1, 1, requests, 3);

    faults.apply_ns = (LIMIT_GROUP_MS + 1) * NS_PER_MS;
    assert_int_equal(writer_run(f->writer, &message, 1), STATUS_OK);
    assert_int_equal(message->settled, 1);
    run_one(f, message);
    assert_int_equal(message->replies[2].revision, 3);
}

static void test_handles_without_a_session_need_no_record(void **state)
{
    struct fixture *f = *state;
    struct write_message *messages[] = {
        stream_message(f, 1, save_request("a")), stream_message(f, 1, save_request("poison")),
        stream_message(f, 1, save_request("b")), stream_message(f, 1, wire_request(OPERATION_SKIP))};
    struct writer_counters counters;

    faults.poison_id = "poison";
    faults.poison_status = STATUS_NO_MEMORY;
    run_all(f, messages, 4);
    assert_int_equal(messages[0]->replies[0].status, STATUS_OK);
    assert_int_equal(messages[1]->replies[0].status, STATUS_NO_MEMORY);
    assert_int_equal(messages[2]->replies[0].status, STATUS_OK);
    assert_int_equal(messages[3]->replies[0].status, STATUS_INVALID_ARGUMENT);
    writer_counters(f->writer, &counters);
    assert_int_equal(counters.sessions, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_outcomes_survive_a_restart),
        TEST(test_copies_in_one_group),
        TEST(test_nothing_but_copies_takes_no_transaction),
        TEST(test_a_failing_request_fails_alone),
        TEST(test_passing_answers_are_not_recorded),
        TEST(test_a_failed_commit_changes_nothing),
        TEST(test_an_unknown_commit_answers_nothing),
        TEST(test_late_requests_are_not_applied),
        TEST(test_skips_settle_what_has_no_outcome),
        TEST(test_a_closed_session_takes_nothing),
        TEST(test_roles_are_judged),
        TEST(test_a_lost_role_keeps_its_outcomes),
        TEST(test_bad_requests_are_refused_and_settled),
        TEST(test_principals_do_not_share_sessions),
        TEST(test_sessions_of_another_store_are_told),
        TEST(test_evictions_raise_the_stored_counter),
        TEST(test_a_damaged_log_evicts_everybody),
        TEST(test_groups_are_bounded),
        TEST(test_groups_are_bounded_in_bytes),
        TEST(test_groups_are_bounded_in_time),
        TEST(test_handles_without_a_session_need_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
