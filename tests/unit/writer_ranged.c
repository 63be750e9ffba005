/*
 * writer_ranged.c - ranged deletes: in one transaction or in steps, with others in between, across restarts.
 */
#include "tests/unit/writer_fixture.h"

enum { MANY = 50001, STEPS_LEAST = 6, FEW = 50 };

static void test_a_small_one_is_one_transaction(void **state)
{
    struct fixture *f = *state;
    struct reply reply;

    fill_rows(f, "a/", FEW);
    fill_rows(f, "b/", FEW);
    reply = run_request(f, "s", 1, 1, delete_prefix_request("a/"));
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.count, FEW);
    assert_int_equal(faults.steps, 1);
    assert_int_equal(count_rows(f, ""), FEW);
    fixture_restart(f);
    assert_int_equal(run_request(f, "s", 1, 1, delete_prefix_request("a/")).count, FEW);
    assert_int_equal(run_request(f, "s", 1, 2, delete_prefix_request("a/")).count, 0);
}

static void test_order_around_one(void **state)
{
    struct fixture *f = *state;
    struct request requests[] = {save_request("a/new"), delete_prefix_request("a/"), save_request("a/newer")};
    struct write_message *messages[] = {session_message(f, "s", 1, 1, requests, 3),
                                        session_message(f, "s", 1, 4, requests, 1)};

    fill_rows(f, "a/", FEW);
    requests[0] = save_request("a/new");
    messages[0] = session_message(f, "s", 1, 1, requests, 3);
    messages[1] = session_message(f, "s", 1, 4, requests, 1);
    run_all(f, messages, 2);
    assert_int_equal(messages[0]->replies[1].count, FEW + 1);
    assert_int_equal(messages[1]->replies[0].status, STATUS_OK);
    assert_int_equal(count_rows(f, "a/"), 2);
}

static void test_a_large_one_goes_in_steps(void **state)
{
    struct fixture *f = *state;
    struct request request = delete_prefix_request("a/"), own = save_request("own");
    struct write_message *messages[3];

    fill_rows(f, "a/", MANY);
    messages[0] = session_message(f, "s", 1, 1, &request, 1);
    messages[1] = session_message(f, "s", 1, 2, &own, 1);
    messages[2] = stream_message(f, 7, save_request("other"));
    while (messages[2]->settled == 0)
        assert_int_equal(writer_run(f->writer, messages, 3), STATUS_OK);
    assert_true(faults.rows < MANY);
    assert_int_equal(messages[0]->settled, 0);
    assert_int_equal(messages[1]->settled, 0); /* the same session waits */
    run_all(f, messages, 3);
    assert_true(faults.steps >= STEPS_LEAST);
    assert_int_equal(messages[0]->replies[0].status, STATUS_OK);
    assert_int_equal(messages[0]->replies[0].count, MANY);
    assert_int_equal(messages[1]->replies[0].status, STATUS_OK);
    assert_int_equal(count_rows(f, "a/"), 0);
}

/* Others wait for a step: one whose rows are slow to go takes few. */
static void test_slow_rows_make_short_steps(void **state)
{
    enum { STEP_MS = 20 };
    struct fixture *f = *state;
    struct write_message *message;
    uint64_t before;

    fill_rows(f, "a/", MANY);
    faults.step_ns = STEP_MS * NS_PER_MS;
    message = stream_message(f, 1, delete_prefix_request("a/"));
    assert_int_equal(writer_run(f->writer, &message, 1), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        before = faults.rows;
        assert_int_equal(writer_run(f->writer, &message, 1), STATUS_OK);
        assert_int_equal(faults.rows - before, LIMIT_DELETE_STEP_LEAST);
    }
}

static void test_two_large_ones_take_turns(void **state)
{
    struct fixture *f = *state;
    struct write_message *messages[2];

    fill_rows(f, "a/", MANY);
    fill_rows(f, "b/", MANY);
    messages[0] = stream_message(f, 1, delete_prefix_request("a/"));
    messages[1] = stream_message(f, 2, delete_prefix_request("b/"));
    while (messages[0]->settled == 0)
        assert_int_equal(writer_run(f->writer, messages, 2), STATUS_OK);
    assert_true(faults.rows >= MANY + MANY / 2); /* the other one has come far too */
    run_all(f, messages, 2);
    assert_int_equal(messages[1]->replies[0].count, MANY);
}

static void test_all_or_nothing_is_one_transaction(void **state)
{
    struct fixture *f = *state;
    struct request request = delete_prefix_request("a/");
    struct reply reply;

    fill_rows(f, "a/", MANY);
    request.flags = REQUEST_ALL_OR_NOTHING;
    faults.jump_at_step = 1;
    reply = run_request(f, "s", 1, 1, request);
    assert_int_equal(reply.status, STATUS_DEADLINE_EXCEEDED);
    assert_true(reply.flags & REPLY_NOT_APPLIED);
    assert_int_equal(count_rows(f, "a/"), MANY);
    request.deadline_ns = clock_deadline_ns(60000);
    reply = run_request(f, "s", 1, 1, request);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.count, MANY);
    assert_int_equal(faults.steps, 2);
}

static void test_a_resend_goes_on_after_a_crash(void **state)
{
    struct fixture *f = *state;
    struct request request = delete_prefix_request("a/");
    struct write_message *message;
    struct reply reply;

    fill_rows(f, "a/", MANY);
    message = session_message(f, "s", 1, 1, &request, 1);
    for (int i = 0; i < 2; i++)
        assert_int_equal(writer_run(f->writer, &message, 1), STATUS_OK);
    assert_true(faults.rows > 0 && faults.rows < MANY);
    assert_int_equal(count_rows(f, "a/"), MANY - faults.rows);
    fixture_restart(f);
    reply = run_request(f, "s", 1, 1, request);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.count, MANY);
    assert_int_equal(count_rows(f, "a/"), 0);
    fixture_restart(f);
    assert_int_equal(run_request(f, "s", 1, 1, request).count, MANY);
}

static void test_the_deadline_ends_it_between_steps(void **state)
{
    struct fixture *f = *state;
    struct request request = delete_prefix_request("a/");
    struct reply reply;
    uint64_t went;

    fill_rows(f, "a/", MANY);
    faults.jump_at_step = 3;
    reply = run_request(f, "s", 1, 1, request);
    assert_int_equal(reply.status, STATUS_DEADLINE_EXCEEDED);
    went = faults.rows;
    assert_true(went > 0);
    assert_int_equal(reply.count, went);
    assert_false(reply.flags & REPLY_NOT_APPLIED);
    assert_int_equal(count_rows(f, "a/"), MANY - went);
    fixture_restart(f); /* it is the number's outcome: a copy deletes no more */
    reply = run_request(f, "s", 1, 1, delete_prefix_request("a/"));
    assert_int_equal(reply.status, STATUS_DEADLINE_EXCEEDED);
    assert_int_equal(reply.count, went);
    assert_int_equal(run_request(f, "s", 1, 2, delete_prefix_request("a/")).count, MANY - went);
}

static void test_a_skip_tells_how_many_went(void **state)
{
    struct fixture *f = *state;
    struct request request = delete_prefix_request("a/");
    struct write_message *message;
    struct reply reply;

    fill_rows(f, "a/", MANY);
    message = session_message(f, "s", 1, 1, &request, 1);
    assert_int_equal(writer_run(f->writer, &message, 1), STATUS_OK);
    fixture_restart(f);
    reply = run_request(f, "s", 1, 1, wire_request(OPERATION_SKIP));
    assert_int_equal(reply.status, STATUS_CANCELLED);
    assert_true(faults.rows > 0);
    assert_int_equal(reply.count, faults.rows);
    assert_false(reply.flags & REPLY_NOT_APPLIED);
}

/* Steps that took only the records of absent resources have changed something too. */
static void test_steps_through_records_alone_are_steps(void **state)
{
    struct fixture *f = *state;
    struct request requests[1000], request = delete_prefix_request("a/");
    struct write_message *message;
    struct reply reply;

    for (int round = 0; round < 51; round++) {
        for (int i = 0; i < 1000; i++) {
            requests[i] = save_request(arena_printf(f->arena, "a/%02d%03d", round, i));
            requests[i].operation = OPERATION_AUDIT_SAVE;
        }
        struct request transact = wire_request(OPERATION_TRANSACT);
        transact.parts = requests;
        transact.part_count = 1000;
        run_one(f, stream_message(f, 1, transact));
    }
    message = session_message(f, "s", 1, 1, &request, 1);
    assert_int_equal(writer_run(f->writer, &message, 1), STATUS_OK);
    assert_int_equal(message->settled, 0);
    fixture_restart(f);
    reply = run_request(f, "s", 1, 1, wire_request(OPERATION_SKIP));
    assert_int_equal(reply.status, STATUS_CANCELLED);
    assert_int_equal(reply.count, 0);
    assert_false(reply.flags & REPLY_NOT_APPLIED);
    faults.steps = 0;
    assert_int_equal(run_request(f, "s", 1, 2, delete_prefix_request("a/")).count, 0);
    assert_true(faults.steps > 0);
}

static void test_an_embedded_one_goes_in_steps(void **state)
{
    struct fixture *f = *state;
    struct write_message *messages[2];

    fill_rows(f, "a/", MANY);
    messages[0] = stream_message(f, 1, delete_prefix_request("a/"));
    messages[1] = stream_message(f, 1, save_request("a/after"));
    run_all(f, messages, 2);
    assert_int_equal(messages[0]->replies[0].count, MANY);
    assert_int_equal(count_rows(f, "a/"), 1);
}

static void test_its_key_gives_the_whole_count(void **state)
{
    struct fixture *f = *state;
    struct request request = delete_prefix_request("a/");
    struct reply reply;

    fill_rows(f, "a/", MANY);
    request.idempotency_key = span_text("workflow/1");
    assert_int_equal(run_request(f, "s", 1, 1, request).count, MANY);
    fill_rows(f, "a/", FEW);
    reply = run_request(f, "t", 1, 1, request);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.count, MANY);
    assert_true(reply.flags & REPLY_REPLAYED);
    assert_int_equal(count_rows(f, "a/"), FEW);
}

static void test_small_steps_while_there_is_no_space(void **state)
{
    enum { ROWS = 2500 };
    struct fixture *f = *state;
    struct reply reply;

    fill_rows(f, "a/", ROWS);
    faults.rows_at_most = 1000;
    reply = run_request(f, "s", 1, 1, delete_prefix_request("a/"));
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.count, ROWS);
    fill_rows(f, "a/", ROWS);
    faults.rows_at_most = 1;
    reply = run_request(f, "s", 1, 2, delete_prefix_request("a/"));
    assert_int_equal(reply.status, STATUS_STORAGE_FULL);
    assert_int_equal(count_rows(f, "a/"), ROWS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_small_one_is_one_transaction),     TEST(test_order_around_one),
        TEST(test_a_large_one_goes_in_steps),          TEST(test_two_large_ones_take_turns),
        TEST(test_all_or_nothing_is_one_transaction),  TEST(test_a_resend_goes_on_after_a_crash),
        TEST(test_the_deadline_ends_it_between_steps), TEST(test_a_skip_tells_how_many_went),
        TEST(test_an_embedded_one_goes_in_steps),      TEST(test_steps_through_records_alone_are_steps),
        TEST(test_its_key_gives_the_whole_count),      TEST(test_small_steps_while_there_is_no_space),
        TEST(test_slow_rows_make_short_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
