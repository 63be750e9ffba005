/*
 * remote_session.c - a client's session, rule by rule.
 */
#include "client/remote_session.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CALLS = 5000, MOST = 256 };

struct user {
    struct call call; /* first */
    int ends;
    int status;
    uint32_t flags;
};

struct fixture {
    struct remote_session *session;
    struct hello hello;
    struct user users[CALLS];
    size_t submitted;
    struct request requests[MOST];
    struct remote_batch batch;
    int64_t now_ns;
};

static void settle(struct call *call, const struct reply *reply, bool last)
{
    struct user *user = (struct user *)call;

    assert_true(last);
    user->ends++;
    user->status = reply->status;
    user->flags = reply->flags;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->session = remote_session_new();
    assert_non_null(f->session);
    f->now_ns = 10 * NS_PER_S;
    f->hello = (struct hello){.writer_epoch = 1, .session_counter = 5, .incarnation = {1}};
    remote_session_hello(f->session, &f->hello, true, f->now_ns);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    remote_session_free(&f->session);
    free(f);
    return 0;
}

static struct user *submit_with(struct fixture *f, uint32_t flags, int64_t deadline_ns)
{
    struct user *user = &f->users[f->submitted++];

    user->call.settle = settle;
    user->call.request = (struct request){
        .operation = OPERATION_SAVE, .flags = flags, .deadline_ns = deadline_ns, .if_revision = f->submitted};
    remote_session_submit(f->session, &user->call);
    return user;
}

static struct user *submit(struct fixture *f)
{
    return submit_with(f, 0, INT64_MAX);
}

static size_t gather(struct fixture *f)
{
    return remote_session_gather(f->session, f->now_ns, MOST, 64 * KIB, f->requests, &f->batch);
}

static size_t send_batch(struct fixture *f)
{
    size_t count = gather(f);

    if (count)
        remote_session_sent(f->session, &f->batch, 100);
    return count;
}

static enum remote_news answer_batch(struct fixture *f, const struct remote_batch *batch, const struct reply *replies)
{
    struct envelope envelope = {.type = MESSAGE_REPLY,
                                .flags = ENVELOPE_WRITE,
                                .first = batch->first,
                                .count = (uint32_t)batch->count,
                                .attempt = 1};

    return remote_session_reply(f->session, &envelope, replies, batch->count, f->now_ns);
}

/* The broker's own answer, after it gave the message to `attempts` writers. */
static void refuse_after(struct fixture *f, const struct remote_batch *batch, int status, uint32_t attempts)
{
    struct envelope envelope = {
        .type = MESSAGE_REPLY, .flags = ENVELOPE_WRITE, .first = batch->first, .attempt = attempts, .status = status};

    remote_session_reply(f->session, &envelope, NULL, 0, f->now_ns);
}

static void refuse_batch(struct fixture *f, const struct remote_batch *batch, int status, uint32_t retry_after_ms)
{
    struct envelope envelope = {.type = MESSAGE_REPLY,
                                .flags = ENVELOPE_WRITE,
                                .first = batch->first,
                                .status = status,
                                .retry_after_ms = retry_after_ms};

    remote_session_reply(f->session, &envelope, NULL, 0, f->now_ns);
}

static void welcome(struct fixture *f)
{
    remote_session_hello(f->session, &f->hello, true, f->now_ns);
}

static void numbers_begin_at_one_and_a_batch_is_a_run(void **state)
{
    struct fixture *f = *state;
    const struct reply replies[2] = {{.status = STATUS_OK}, {.status = STATUS_CONFLICT}};
    struct user *a = submit(f), *b = submit(f);

    assert_int_equal(send_batch(f), 2);
    assert_int_equal(f->batch.first, 1);
    assert_int_equal(f->batch.header.floor, 1);
    assert_int_equal(f->batch.header.counter, 5);
    assert_int_equal(gather(f), 0);
    answer_batch(f, &f->batch, replies);
    assert_true(a->ends == 1 && a->status == STATUS_OK);
    assert_true(b->ends == 1 && b->status == STATUS_CONFLICT);
    submit(f);
    assert_int_equal(send_batch(f), 1);
    assert_int_equal(f->batch.first, 3);
    assert_int_equal(f->batch.header.floor, 3);
}

static void nothing_is_sent_while_no_writer_is_ready(void **state)
{
    struct fixture *f = *state;

    submit(f);
    f->hello.writer_epoch = 0;
    remote_session_hello(f->session, &f->hello, false, f->now_ns);
    assert_int_equal(gather(f), 0);
    assert_int_equal(remote_session_due_ns(f->session), INT64_MAX);
    f->hello.writer_epoch = 2;
    remote_session_hello(f->session, &f->hello, false, f->now_ns);
    assert_int_equal(gather(f), 1);
}

static void deadlines_within_a_factor_of_two_share_a_batch(void **state)
{
    struct fixture *f = *state;

    submit_with(f, 0, f->now_ns + 10 * NS_PER_S);
    submit_with(f, 0, f->now_ns + 20 * NS_PER_S);
    submit_with(f, 0, f->now_ns + 41 * NS_PER_S);
    assert_int_equal(send_batch(f), 2);
    assert_int_equal(f->batch.deadline_ns, f->now_ns + 10 * NS_PER_S);
    assert_int_equal(send_batch(f), 1);
}

static void no_deadline_is_an_hour_on_the_wire_and_renewed(void **state)
{
    struct fixture *f = *state;

    submit(f);
    send_batch(f);
    assert_int_equal(f->requests[0].deadline_ns, f->now_ns + LIMIT_DEADLINE_S * NS_PER_S);
    f->now_ns += LIMIT_DEADLINE_S * NS_PER_S;
    refuse_batch(f, &f->batch, STATUS_DEADLINE_EXCEEDED, 0);
    f->now_ns += NS_PER_S;
    assert_int_equal(send_batch(f), 1);
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

    submit(f);
    send_batch(f);
    struct remote_batch alone = f->batch;
    second = submit(f);
    third = submit(f);
    assert_int_equal(send_batch(f), 2);
    refuse_batch(f, &alone, STATUS_OVERLOADED, 1); /* so all is sent once more, one by one */
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

    submit(f);
    send_batch(f);
    submit(f);
    send_batch(f);
    welcome(f);
    assert_int_equal(send_batch(f), 2);
    assert_int_equal(f->batch.first, 1);
    assert_int_equal(f->requests[1].if_revision, 2);
}

static void a_refused_message_goes_again_after_the_time_it_names(void **state)
{
    struct fixture *f = *state;

    submit(f);
    send_batch(f);
    refuse_batch(f, &f->batch, STATUS_OVERLOADED, 50);
    assert_int_equal(gather(f), 0);
    assert_int_equal(remote_session_due_ns(f->session), f->now_ns + 50 * NS_PER_MS);
    f->now_ns += 50 * NS_PER_MS;
    assert_int_equal(gather(f), 1);
    assert_int_equal(f->users[0].ends, 0);
}

static void out_of_order_goes_back_once(void **state)
{
    struct fixture *f = *state;
    const struct reply missing = {.status = STATUS_OUT_OF_ORDER, .number = 1};
    struct remote_batch b, c;

    submit(f);
    send_batch(f);
    struct remote_batch a = f->batch;
    submit(f);
    send_batch(f);
    b = f->batch;
    submit(f);
    send_batch(f);
    c = f->batch;
    refuse_batch(f, &a, STATUS_OVERLOADED, 1);
    answer_batch(f, &b, &missing);
    f->now_ns += NS_PER_MS;
    assert_int_equal(send_batch(f), 3);
    assert_int_equal(f->batch.first, 1);
    answer_batch(f, &c, &missing); /* of a copy before: 1 is on its way again */
    assert_int_equal(gather(f), 0);
}

static void no_wait_ends_at_once_when_one_copy_was_sent(void **state)
{
    struct fixture *f = *state;
    struct user *hasty = submit_with(f, REQUEST_NO_WAIT, INT64_MAX);

    send_batch(f);
    refuse_batch(f, &f->batch, STATUS_OVERLOADED, 50);
    assert_true(hasty->ends == 1 && hasty->status == STATUS_OVERLOADED);

    struct user *doubtful = submit_with(f, REQUEST_NO_WAIT, INT64_MAX);
    f->now_ns += NS_PER_S;
    send_batch(f);
    welcome(f); /* that copy's answer is lost */
    send_batch(f);
    refuse_batch(f, &f->batch, STATUS_OVERLOADED, 50);
    assert_int_equal(doubtful->ends, 0);
}

/* The writer that had it is gone, and its answer with it. */
static void what_a_writer_has_had_may_have_been_applied(void **state)
{
    static const int statuses[] = {STATUS_UNAVAILABLE, STATUS_OVERLOADED, STATUS_DEADLINE_EXCEEDED};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        for (uint32_t attempts = 0; attempts < 2; attempts++) {
            struct user *user = submit(f);

            f->now_ns += NS_PER_S;
            assert_int_equal(send_batch(f), 1);
            refuse_after(f, &f->batch, statuses[i], attempts);
            assert_int_equal(user->ends, 0);
            assert_int_equal(remote_session_abandon(f->session, &user->call), attempts == 0);
        }
    }
}

static void full_disk_is_final_only_without_other_copies(void **state)
{
    struct fixture *f = *state;
    const struct reply full = {.status = STATUS_STORAGE_FULL}, done = {.status = STATUS_OK};
    struct user *user = submit(f);

    send_batch(f);
    answer_batch(f, &f->batch, &full);
    assert_true(user->ends == 1 && user->status == STATUS_STORAGE_FULL);

    user = submit(f);
    send_batch(f);
    assert_int_equal(f->batch.header.floor, 2); /* the first number is given up */
    welcome(f);
    send_batch(f);
    answer_batch(f, &f->batch, &full);
    assert_int_equal(user->ends, 0);
    f->now_ns += NS_PER_S;
    send_batch(f);
    answer_batch(f, &f->batch, &done);
    assert_true(user->ends == 1 && user->status == STATUS_OK);
}

static void giving_up_at_the_floor_raises_it(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit(f);

    send_batch(f);
    assert_false(remote_session_abandon(f->session, &user->call));
    submit(f);
    send_batch(f);
    assert_int_equal(f->batch.first, 2);
    assert_int_equal(f->batch.header.floor, 2);
}

static void giving_up_above_the_floor_becomes_a_skip(void **state)
{
    struct fixture *f = *state;
    const struct reply replies[3] = {
        {.status = STATUS_OK}, {.status = STATUS_CANCELLED, .flags = REPLY_NOT_APPLIED}, {.status = STATUS_OK}};

    submit(f);
    struct user *user = submit(f);
    submit(f);
    send_batch(f);
    assert_false(remote_session_abandon(f->session, &user->call));
    welcome(f);
    assert_int_equal(send_batch(f), 3);
    assert_int_equal(f->requests[0].operation, OPERATION_SAVE);
    assert_int_equal(f->requests[1].operation, OPERATION_SKIP);
    assert_int_equal(f->requests[2].operation, OPERATION_SAVE);
    answer_batch(f, &f->batch, replies);
    assert_int_equal(f->users[0].ends, 1);
    assert_int_equal(user->ends, 0);
    assert_int_equal(f->users[2].ends, 1);
}

static void giving_up_what_was_never_sent_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit(f);

    gather(f); /* numbered, but the socket took it not */
    assert_true(remote_session_abandon(f->session, &user->call));
    submit(f);
    assert_int_equal(send_batch(f), 1);
    assert_int_equal(f->batch.first, 1);
    assert_int_equal(f->requests[0].if_revision, 2);
}

static void the_window_is_kept(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0;

    for (size_t i = 0; i < CALLS; i++)
        submit(f);
    for (size_t count; (count = send_batch(f)) > 0; sent += count) {
        struct reply replies[MOST] = {0};
        if (f->batch.first == 1)
            continue; /* the first message is never answered */
        answer_batch(f, &f->batch, replies);
    }
    assert_int_equal(sent, LIMIT_SESSION_WINDOW);
}

static void a_session_that_was_evicted_is_replaced_silently(void **state)
{
    struct fixture *f = *state;
    const struct reply unknown[2] = {{.status = STATUS_UNKNOWN_SESSION, .number = 9},
                                     {.status = STATUS_UNKNOWN_SESSION, .number = 9}};
    struct remote_batch old;

    submit(f);
    submit(f);
    send_batch(f);
    old = f->batch;
    submit(f);
    send_batch(f);
    answer_batch(f, &old, unknown);
    assert_int_equal(gather(f), 0); /* an answer is still out */
    answer_batch(f, &f->batch, unknown);
    assert_int_equal(send_batch(f), 3);
    assert_int_equal(f->batch.header.counter, 9);
    assert_memory_not_equal(f->batch.header.id, old.header.id, SESSION_ID_BYTES);
    assert_int_equal(f->users[0].ends + f->users[1].ends + f->users[2].ends, 0);
}

static void what_may_have_been_applied_is_lost_with_its_session(void **state)
{
    struct fixture *f = *state;
    const struct reply unknown[2] = {{.status = STATUS_UNKNOWN_SESSION, .number = 9},
                                     {.status = STATUS_UNKNOWN_SESSION, .number = 9}};

    submit(f);
    send_batch(f);
    welcome(f); /* the answer to that copy is lost */
    submit(f);
    assert_int_equal(send_batch(f), 2);
    answer_batch(f, &f->batch, unknown);
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_OUTCOME_LOST);
    assert_int_equal(f->users[1].ends, 0);
    assert_int_equal(send_batch(f), 1);
    assert_int_equal(f->batch.header.floor, 2);
}

static void another_store_is_told_and_waited_for(void **state)
{
    struct fixture *f = *state;
    const struct reply other = {.status = STATUS_OTHER_STORE};

    submit(f);
    send_batch(f);
    assert_int_equal(answer_batch(f, &f->batch, &other), REMOTE_NEWS_OTHER_STORE);
    assert_int_equal(remote_session_other_store(f->session, true), 1);
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_WENT_BACK);
    submit(f);
    assert_int_equal(gather(f), 0); /* the incarnation that we know is not the store's */
    f->hello.incarnation[0] = 2;
    remote_session_hello(f->session, &f->hello, false, f->now_ns);
    assert_int_equal(send_batch(f), 1);
    assert_int_equal(f->batch.header.incarnation[0], 2);
}

static void closing_is_the_last_number(void **state)
{
    struct fixture *f = *state;
    struct reply done = {.status = STATUS_OK};
    struct request request;

    assert_false(remote_session_close(f->session, f->now_ns, &request, &f->batch));
    submit(f);
    send_batch(f);
    answer_batch(f, &f->batch, &done);
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

    submit(f);
    submit(f);
    send_batch(f);
    remote_session_reply(f->session, &envelope, &done, 1, f->now_ns);
    assert_int_equal(f->users[0].status, STATUS_OK);
    assert_true(f->users[1].ends == 1 && f->users[1].status == STATUS_CORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
