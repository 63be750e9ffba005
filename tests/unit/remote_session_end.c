/*
 * remote_session_end.c - a client's session, rule by rule: what is given up, and sessions that end.
 */
#include "tests/unit/remote_session_fixture.h"

static void giving_up_at_the_floor_raises_it(void **state)
{
    struct fixture *f = *state;
    struct user *user = session_submit(f);

    session_send_batch(f);
    assert_false(remote_session_abandon(f->session, &user->call));
    session_submit(f);
    session_send_batch(f);
    assert_int_equal(f->batch.first, 2);
    assert_int_equal(f->batch.header.floor, 2);
}

static void giving_up_above_the_floor_becomes_a_skip(void **state)
{
    struct fixture *f = *state;
    const struct reply replies[3] = {
        {.status = STATUS_OK}, {.status = STATUS_CANCELLED, .flags = REPLY_NOT_APPLIED}, {.status = STATUS_OK}};

    session_submit(f);
    struct user *user = session_submit(f);
    session_submit(f);
    session_send_batch(f);
    assert_false(remote_session_abandon(f->session, &user->call));
    session_welcome(f);
    assert_int_equal(session_send_batch(f), 3);
    assert_int_equal(f->requests[0].operation, OPERATION_SAVE);
    assert_int_equal(f->requests[1].operation, OPERATION_SKIP);
    assert_int_equal(f->requests[2].operation, OPERATION_SAVE);
    session_answer_batch(f, &f->batch, replies);
    assert_int_equal(f->users[0].ends, 1);
    assert_int_equal(user->ends, 0);
    assert_int_equal(f->users[2].ends, 1);
}

static void giving_up_what_was_never_sent_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    struct user *user = session_submit(f);

    session_gather(f); /* numbered, but the socket took it not */
    assert_true(remote_session_abandon(f->session, &user->call));
    session_submit(f);
    assert_int_equal(session_send_batch(f), 1);
    assert_int_equal(f->batch.first, 1);
    assert_int_equal(f->requests[0].if_revision, 2);
}

static void the_window_is_kept(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0;

    for (size_t i = 0; i < CALLS; i++)
        session_submit(f);
    for (size_t count; (count = session_send_batch(f)) > 0; sent += count) {
        struct reply replies[MOST] = {0};
        if (f->batch.first == 1)
            continue; /* the first message is never answered */
        session_answer_batch(f, &f->batch, replies);
    }
    assert_int_equal(sent, LIMIT_SESSION_WINDOW);
}

static void a_session_that_was_evicted_is_replaced_silently(void **state)
{
    struct fixture *f = *state;
    const struct reply unknown[2] = {{.status = STATUS_UNKNOWN_SESSION, .number = 9},
                                     {.status = STATUS_UNKNOWN_SESSION, .number = 9}};
    struct remote_batch old;

    session_submit(f);
    session_submit(f);
    session_send_batch(f);
    old = f->batch;
    session_submit(f);
    session_send_batch(f);
    session_answer_batch(f, &old, unknown);
    assert_int_equal(session_gather(f), 0); /* an answer is still out */
    session_answer_batch(f, &f->batch, unknown);
    assert_int_equal(session_send_batch(f), 3);
    assert_int_equal(f->batch.header.counter, 9);
    assert_memory_not_equal(f->batch.header.id, old.header.id, SESSION_ID_BYTES);
    assert_int_equal(f->users[0].ends + f->users[1].ends + f->users[2].ends, 0);
}

static void what_may_have_been_applied_is_lost_with_its_session(void **state)
{
    struct fixture *f = *state;
    const struct reply unknown[2] = {{.status = STATUS_UNKNOWN_SESSION, .number = 9},
                                     {.status = STATUS_UNKNOWN_SESSION, .number = 9}};

    session_submit(f);
    session_send_batch(f);
    session_welcome(f); /* the answer to that copy is lost */
    session_submit(f);
    assert_int_equal(session_send_batch(f), 2);
    session_answer_batch(f, &f->batch, unknown);
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_OUTCOME_LOST);
    assert_int_equal(f->users[1].ends, 0);
    assert_int_equal(session_send_batch(f), 1);
    assert_int_equal(f->batch.header.floor, 2);
}

static void another_store_is_told_and_waited_for(void **state)
{
    struct fixture *f = *state;
    const struct reply other = {.status = STATUS_OTHER_STORE};

    session_submit(f);
    session_send_batch(f);
    assert_int_equal(session_answer_batch(f, &f->batch, &other), REMOTE_NEWS_OTHER_STORE);
    assert_int_equal(remote_session_other_store(f->session, true), 1);
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_WENT_BACK);
    session_submit(f);
    assert_int_equal(session_gather(f), 0); /* the incarnation that we know is not the store's */
    f->hello.incarnation[0] = 2;
    remote_session_hello(f->session, &f->hello, false, f->now_ns);
    assert_int_equal(session_send_batch(f), 1);
    assert_int_equal(f->batch.header.incarnation[0], 2);
}

static void closing_is_the_last_number(void **state)
{
    struct fixture *f = *state;
    struct reply done = {.status = STATUS_OK};
    struct request request;

    assert_false(remote_session_close(f->session, f->now_ns, &request, &f->batch));
    session_submit(f);
    session_send_batch(f);
    session_answer_batch(f, &f->batch, &done);
    assert_true(remote_session_close(f->session, f->now_ns, &request, &f->batch));
    assert_int_equal(request.operation, OPERATION_CLOSE_SESSION);
    assert_int_equal(f->batch.first, 2);
    assert_int_equal(f->batch.header.floor, 2);
}

static void a_reply_that_is_short_ends_as_corrupt(void **state)
{
    struct fixture *f = *state;
    struct envelope envelope = {.type = MESSAGE_REPLY, .flags = ENVELOPE_WRITE, .first = 1, .count = 2};
    const struct reply done = {.status = STATUS_OK};

    session_submit(f);
    session_submit(f);
    session_send_batch(f);
    remote_session_reply(f->session, &envelope, &done, 1, f->now_ns);
    assert_int_equal(f->users[0].status, STATUS_OK);
    assert_true(f->users[1].ends == 1 && f->users[1].status == STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(giving_up_at_the_floor_raises_it),
        TEST(giving_up_above_the_floor_becomes_a_skip),
        TEST(giving_up_what_was_never_sent_leaves_no_trace),
        TEST(the_window_is_kept),
        TEST(a_session_that_was_evicted_is_replaced_silently),
        TEST(what_may_have_been_applied_is_lost_with_its_session),
        TEST(another_store_is_told_and_waited_for),
        TEST(closing_is_the_last_number),
        TEST(a_reply_that_is_short_ends_as_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
