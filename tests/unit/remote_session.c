/*
 * remote_session.c - a client's session, rule by rule: what is sent, when again, and what an answer makes of it.
 */
#include "tests/unit/remote_session_fixture.h"

static void numbers_begin_at_one_and_a_batch_is_a_run(void **state)
{
    struct fixture *f = *state;
    const struct reply replies[2] = {{.status = STATUS_OK}, {.status = STATUS_CONFLICT}};
    struct user *a = session_submit(f), *b = session_submit(f);

    assert_int_equal(session_send_batch(f), 2);
    assert_int_equal(f->batch.first, 1);
    assert_int_equal(f->batch.header.floor, 1);
    assert_int_equal(f->batch.header.counter, 5);
    assert_int_equal(session_gather(f), 0);
    session_answer_batch(f, &f->batch, replies);
    assert_true(a->ends == 1 && a->status == STATUS_OK);
    assert_true(b->ends == 1 && b->status == STATUS_CONFLICT);
    session_submit(f);
    assert_int_equal(session_send_batch(f), 1);
    assert_int_equal(f->batch.first, 3);
    assert_int_equal(f->batch.header.floor, 3);
}

static void nothing_is_sent_while_no_writer_is_ready(void **state)
{
    struct fixture *f = *state;

    session_submit(f);
    f->hello.writer_epoch = 0;
    remote_session_hello(f->session, &f->hello, false, f->now_ns);
    assert_int_equal(session_gather(f), 0);
    assert_int_equal(remote_session_due_ns(f->session), INT64_MAX);
    f->hello.writer_epoch = 2;
    remote_session_hello(f->session, &f->hello, false, f->now_ns);
    assert_int_equal(session_gather(f), 1);
}

static void deadlines_within_a_factor_of_two_share_a_batch(void **state)
{
    struct fixture *f = *state;

    session_submit_with(f, 0, f->now_ns + 10 * NS_PER_S);
    session_submit_with(f, 0, f->now_ns + 20 * NS_PER_S);
    session_submit_with(f, 0, f->now_ns + 41 * NS_PER_S);
    assert_int_equal(session_send_batch(f), 2);
    assert_int_equal(f->batch.deadline_ns, f->now_ns + 10 * NS_PER_S);
    assert_int_equal(session_send_batch(f), 1);
}

static void no_deadline_is_an_hour_on_the_wire_and_renewed(void **state)
{
    struct fixture *f = *state;

    session_submit(f);
    session_send_batch(f);
    assert_int_equal(f->requests[0].deadline_ns, f->now_ns + LIMIT_DEADLINE_S * NS_PER_S);
    f->now_ns += LIMIT_DEADLINE_S * NS_PER_S;
    session_refuse_batch(f, &f->batch, STATUS_DEADLINE_EXCEEDED, 0);
    f->now_ns += NS_PER_S;
    assert_int_equal(session_send_batch(f), 1);
    assert_int_equal(f->requests[0].deadline_ns, f->now_ns + LIMIT_DEADLINE_S * NS_PER_S);
    assert_int_equal(f->users[0].ends, 0);
}

/* A longer copy is still with the writer when the broker refuses a shorter one that begins with the same number. */
static void a_refusal_is_of_the_copy_that_it_counts(void **state)
{
    struct fixture *f = *state;
    struct envelope refusal = {
        .type = MESSAGE_REPLY, .flags = ENVELOPE_WRITE, .first = 2, .count = 1, .status = STATUS_OVERLOADED};
    struct user *second, *third;

    session_submit(f);
    session_send_batch(f);
    struct remote_batch alone = f->batch;
    second = session_submit(f);
    third = session_submit(f);
    assert_int_equal(session_send_batch(f), 2);
    session_refuse_batch(f, &alone, STATUS_OVERLOADED, 1); /* so all is sent once more, one by one */
    f->now_ns += NS_PER_S;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(remote_session_gather(f->session, f->now_ns, 1, 64 * KIB, f->requests, &f->batch), 1);
        remote_session_sent(f->session, &f->batch, 100);
    }
    remote_session_reply(f->session, &refusal, NULL, 0, f->now_ns);
    refusal.first = 3;
    remote_session_reply(f->session, &refusal, NULL, 0, f->now_ns);
    assert_false(remote_session_abandon(f->session, &third->call));
    assert_false(remote_session_abandon(f->session, &second->call));
}

static void a_new_connection_sends_all_unsettled_again_in_order(void **state)
{
    struct fixture *f = *state;

    session_submit(f);
    session_send_batch(f);
    session_submit(f);
    session_send_batch(f);
    session_welcome(f);
    assert_int_equal(session_send_batch(f), 2);
    assert_int_equal(f->batch.first, 1);
    assert_int_equal(f->requests[1].if_revision, 2);
}

static void a_refused_message_goes_again_after_the_time_it_names(void **state)
{
    struct fixture *f = *state;

    session_submit(f);
    session_send_batch(f);
    session_refuse_batch(f, &f->batch, STATUS_OVERLOADED, 50);
    assert_int_equal(session_gather(f), 0);
    assert_int_equal(remote_session_due_ns(f->session), f->now_ns + 50 * NS_PER_MS);
    f->now_ns += 50 * NS_PER_MS;
    assert_int_equal(session_gather(f), 1);
    assert_int_equal(f->users[0].ends, 0);
}

static void out_of_order_goes_back_once(void **state)
{
    struct fixture *f = *state;
    const struct reply missing = {.status = STATUS_OUT_OF_ORDER, .number = 1};
    struct remote_batch b, c;

    session_submit(f);
    session_send_batch(f);
    struct remote_batch a = f->batch;
    session_submit(f);
    session_send_batch(f);
    b = f->batch;
    session_submit(f);
    session_send_batch(f);
    c = f->batch;
    session_refuse_batch(f, &a, STATUS_OVERLOADED, 1);
    session_answer_batch(f, &b, &missing);
    f->now_ns += NS_PER_MS;
    assert_int_equal(session_send_batch(f), 3);
    assert_int_equal(f->batch.first, 1);
    session_answer_batch(f, &c, &missing); /* of a copy before: 1 is on its way again */
    assert_int_equal(session_gather(f), 0);
}

static void no_wait_ends_at_once_when_one_copy_was_sent(void **state)
{
    struct fixture *f = *state;
    struct user *hasty = session_submit_with(f, REQUEST_NO_WAIT, INT64_MAX);

    session_send_batch(f);
    session_refuse_batch(f, &f->batch, STATUS_OVERLOADED, 50);
    assert_true(hasty->ends == 1 && hasty->status == STATUS_OVERLOADED);

    struct user *doubtful = session_submit_with(f, REQUEST_NO_WAIT, INT64_MAX);
    f->now_ns += NS_PER_S;
    session_send_batch(f);
    session_welcome(f); /* that copy's answer is lost */
    session_send_batch(f);
    session_refuse_batch(f, &f->batch, STATUS_OVERLOADED, 50);
    assert_int_equal(doubtful->ends, 0);
}

/* The writer that had it is gone, and its answer with it. */
static void what_a_writer_has_had_may_have_been_applied(void **state)
{
    static const int statuses[] = {STATUS_UNAVAILABLE, STATUS_OVERLOADED, STATUS_DEADLINE_EXCEEDED};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        for (uint32_t attempts = 0; attempts < 2; attempts++) {
            struct user *user = session_submit(f);

            f->now_ns += NS_PER_S;
            assert_int_equal(session_send_batch(f), 1);
            session_refuse_after(f, &f->batch, statuses[i], attempts);
            assert_int_equal(user->ends, 0);
            assert_int_equal(remote_session_abandon(f->session, &user->call), attempts == 0);
        }
    }
}

static void full_disk_is_final_only_without_other_copies(void **state)
{
    struct fixture *f = *state;
    const struct reply full = {.status = STATUS_STORAGE_FULL}, done = {.status = STATUS_OK};
    struct user *user = session_submit(f);

    session_send_batch(f);
    session_answer_batch(f, &f->batch, &full);
    assert_true(user->ends == 1 && user->status == STATUS_STORAGE_FULL);

    user = session_submit(f);
    session_send_batch(f);
    assert_int_equal(f->batch.header.floor, 2); /* the first number is given up */
    session_welcome(f);
    session_send_batch(f);
    session_answer_batch(f, &f->batch, &full);
    assert_int_equal(user->ends, 0);
    f->now_ns += NS_PER_S;
    session_send_batch(f);
    session_answer_batch(f, &f->batch, &done);
    assert_true(user->ends == 1 && user->status == STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(numbers_begin_at_one_and_a_batch_is_a_run),
        TEST(nothing_is_sent_while_no_writer_is_ready),
        TEST(deadlines_within_a_factor_of_two_share_a_batch),
        TEST(no_deadline_is_an_hour_on_the_wire_and_renewed),
        TEST(a_refusal_is_of_the_copy_that_it_counts),
        TEST(a_new_connection_sends_all_unsettled_again_in_order),
        TEST(a_refused_message_goes_again_after_the_time_it_names),
        TEST(out_of_order_goes_back_once),
        TEST(no_wait_ends_at_once_when_one_copy_was_sent),
        TEST(what_a_writer_has_had_may_have_been_applied),
        TEST(full_disk_is_final_only_without_other_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
