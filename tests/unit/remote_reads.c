/*
 * remote_reads.c - reads, streams and control verbs on their way, rule by rule.
 */
#include "client/remote_reads.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CALLS = 200, MOST = 256 };

struct fixture;
struct user {
    struct call call; /* first */
    struct fixture *fixture;
    int pieces, ends;
    int status;
    uint64_t credit;   /* granted at each piece */
    bool gives_up;     /* at the first piece */
    uint64_t revision; /* of the last reply */
};

struct fixture {
    struct remote_reads *reads;
    struct user users[CALLS];
    size_t submitted;
    struct request requests[MOST];
    struct remote_read read;
    uint64_t revision; /* that the handle has seen */
    int64_t now_ns;
};

static void settle(struct call *call, const struct reply *reply, bool last)
{
    struct user *user = (struct user *)call;

    assert_int_equal(user->ends, 0);
    user->status = reply->status;
    user->revision = reply->revision;
    if (last) {
        user->ends++;
        return;
    }
    user->pieces++;
    if (user->credit)
        remote_reads_credit(user->fixture->reads, call, user->credit);
    if (user->gives_up)
        assert_true(remote_reads_abandon(user->fixture->reads, call));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->reads = remote_reads_new();
    assert_non_null(f->reads);
    f->now_ns = 10 * NS_PER_S;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    remote_reads_free(&f->reads);
    free(f);
    return 0;
}

static struct user *submit_call(struct fixture *f, const struct call *call)
{
    struct user *user = &f->users[f->submitted++];

    user->call = *call;
    user->call.settle = settle;
    user->call.request.deadline_ns = f->now_ns + 5 * NS_PER_S;
    user->call.request.limit = (uint32_t)f->submitted;
    user->fixture = f;
    remote_reads_submit(f->reads, &user->call);
    return user;
}

static struct user *submit(struct fixture *f)
{
    return submit_call(f, &(struct call){.request = {.operation = OPERATION_GET}});
}

static struct user *submit_stream(struct fixture *f)
{
    return submit_call(f,
                       &(struct call){.request = {.operation = OPERATION_LIST}, .streamed = true, .credit_bytes = 100});
}

static size_t gather(struct fixture *f)
{
    return remote_reads_gather(f->reads, f->now_ns, MOST, 64 * KIB, f->revision, f->requests, &f->read);
}

static size_t send_read(struct fixture *f)
{
    size_t count = gather(f);

    if (count)
        remote_reads_sent(f->reads, &f->read, 10);
    return count;
}

static bool answer(struct fixture *f, uint64_t first, const struct reply *replies, size_t count)
{
    struct envelope envelope = {.type = MESSAGE_REPLY, .first = first, .count = (uint32_t)count};
    uint64_t revision;

    return remote_reads_reply(f->reads, &envelope, replies, count, f->now_ns, &revision);
}

static void refuse(struct fixture *f, uint64_t first, int status)
{
    struct envelope envelope = {.type = MESSAGE_REPLY, .first = first, .status = status, .retry_after_ms = 20};
    uint64_t revision;

    remote_reads_reply(f->reads, &envelope, NULL, 0, f->now_ns, &revision);
}

static void piece(struct fixture *f, uint64_t first, uint32_t number, bool last, int status)
{
    struct envelope envelope = {
        .type = MESSAGE_STREAM, .flags = last ? ENVELOPE_LAST : 0, .first = first, .piece = number, .status = status};
    const struct reply reply = {.status = STATUS_OK};
    uint64_t revision;

    remote_reads_reply(f->reads, &envelope, status ? NULL : &reply, status ? 0 : 1, f->now_ns, &revision);
}

static void reads_share_a_message(void **state)
{
    struct fixture *f = *state;
    const struct reply replies[2] = {{.status = STATUS_OK, .revision = 3}, {.status = STATUS_NOT_FOUND}};

    submit(f);
    submit(f);
    submit_stream(f);
    assert_int_equal(send_read(f), 2);
    uint64_t first = f->read.first;
    assert_int_equal(send_read(f), 1);
    assert_int_equal(f->read.flags, ENVELOPE_STREAM);
    assert_int_equal(f->read.credit_bytes, 100);
    assert_true(f->read.first != first);
    answer(f, first, replies, 2);
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_OK);
    assert_true(f->users[1].ends == 1 && f->users[1].status == STATUS_NOT_FOUND);
    assert_int_equal(remote_reads_take_revision(f->reads), 3);
}

static void what_was_not_read_is_asked_again_first(void **state)
{
    struct fixture *f = *state;
    const struct reply replies[3] = {{.status = STATUS_OK}, {.status = STATUS_NOT_READ}, {.status = STATUS_NOT_READ}};

    submit(f);
    submit(f);
    submit(f);
    send_read(f);
    submit(f);
    answer(f, f->read.first, replies, 3);
    assert_int_equal(f->users[0].ends, 1);
    assert_int_equal(send_read(f), 3);
    assert_int_equal(f->requests[0].limit, 2);
    assert_int_equal(f->requests[1].limit, 3);
    assert_int_equal(f->requests[2].limit, 4);
}

static void refused_reads_wait_and_go_again(void **state)
{
    struct fixture *f = *state;

    submit(f);
    send_read(f);
    refuse(f, f->read.first, STATUS_OVERLOADED);
    assert_int_equal(gather(f), 0);
    assert_int_equal(remote_reads_due_ns(f->reads), f->now_ns + 20 * NS_PER_MS);
    f->now_ns += 20 * NS_PER_MS;
    assert_int_equal(send_read(f), 1);
    refuse(f, f->read.first, STATUS_INTERNAL);
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_INTERNAL);
}

static void no_wait_ends_at_once(void **state)
{
    struct fixture *f = *state;

    submit_call(f, &(struct call){.request = {.operation = OPERATION_GET, .flags = REQUEST_NO_WAIT}});
    send_read(f);
    refuse(f, f->read.first, STATUS_OVERLOADED);
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_OVERLOADED);
}

static void a_new_connection_asks_again_in_order(void **state)
{
    struct fixture *f = *state;
    const struct reply done = {.status = STATUS_OK};
    uint64_t first;

    submit(f);
    send_read(f);
    first = f->read.first;
    submit(f);
    send_read(f);
    submit(f);
    remote_reads_welcome(f->reads);
    answer(f, first, &done, 1); /* of the old connection: nobody's */
    assert_int_equal(f->users[0].ends, 0);
    assert_int_equal(send_read(f), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(f->requests[i].limit, i + 1);
}

static void an_abandoned_read_is_not_touched(void **state)
{
    struct fixture *f = *state;
    const struct reply replies[2] = {{.status = STATUS_OK}, {.status = STATUS_OK}};

    submit(f);
    submit(f);
    send_read(f);
    assert_true(remote_reads_abandon(f->reads, &f->users[0].call));
    assert_true(remote_reads_in_flight_bytes(f->reads) > 0);
    answer(f, f->read.first, replies, 2);
    assert_int_equal(f->users[0].ends, 0);
    assert_int_equal(f->users[1].ends, 1);
    assert_int_equal(remote_reads_in_flight_bytes(f->reads), 0);
}

static void a_stream_brings_pieces_on_credit(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit_stream(f);
    uint64_t first, bytes;
    uint8_t type;

    user->credit = 40;
    send_read(f);
    piece(f, f->read.first, 0, false, STATUS_OK);
    piece(f, f->read.first, 1, false, STATUS_OK);
    assert_int_equal(user->pieces, 2);
    assert_true(remote_reads_gather_notice(f->reads, &type, &first, &bytes));
    assert_true(type == MESSAGE_CREDIT && first == f->read.first && bytes == 80);
    assert_false(remote_reads_gather_notice(f->reads, &type, &first, &bytes));
    piece(f, f->read.first, 2, true, STATUS_OK);
    assert_true(user->ends == 1 && user->status == STATUS_OK);
}

static void a_stream_that_has_delivered_ends_with_its_connection(void **state)
{
    struct fixture *f = *state;
    struct user *begun = submit_stream(f), *fresh;

    send_read(f);
    piece(f, f->read.first, 0, false, STATUS_OK);
    fresh = submit_stream(f);
    send_read(f);
    remote_reads_welcome(f->reads);
    assert_true(begun->ends == 1 && begun->status == STATUS_SNAPSHOT_EXPIRED);
    assert_int_equal(fresh->ends, 0);
    assert_int_equal(send_read(f), 1);
}

static void a_refused_stream_is_asked_again_unless_it_has_delivered(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit_stream(f);

    send_read(f);
    piece(f, f->read.first, 0, true, STATUS_OVERLOADED);
    assert_int_equal(user->ends, 0);
    f->now_ns += NS_PER_S;
    assert_int_equal(send_read(f), 1);
    piece(f, f->read.first, 0, false, STATUS_OK);
    piece(f, f->read.first, 1, true, STATUS_OVERLOADED);
    assert_true(user->ends == 1 && user->status == STATUS_OVERLOADED);
}

static void a_missing_piece_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit_stream(f);
    uint64_t first, bytes;
    uint8_t type;

    send_read(f);
    piece(f, f->read.first, 1, false, STATUS_OK);
    assert_true(user->ends == 1 && user->status == STATUS_CORRUPT);
    assert_true(remote_reads_gather_notice(f->reads, &type, &first, &bytes));
    assert_int_equal(type, MESSAGE_CANCEL);
}

static void giving_a_stream_up_cancels_it(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit_stream(f);
    uint64_t first, bytes;
    uint8_t type;

    user->gives_up = true;
    send_read(f);
    piece(f, f->read.first, 0, false, STATUS_OK);
    piece(f, f->read.first, 1, false, STATUS_OK);
    assert_true(user->pieces == 1 && user->ends == 0);
    assert_true(remote_reads_gather_notice(f->reads, &type, &first, &bytes));
    assert_true(type == MESSAGE_CANCEL && first == f->read.first);
    piece(f, f->read.first, 2, true, STATUS_OK);
    assert_int_equal(user->ends, 0);
}

static void a_backup_is_not_asked_twice(void **state)
{
    struct fixture *f = *state;
    struct user *user = submit_call(f, &(struct call){.control_verb = CONTROL_BACKUP});

    send_read(f);
    assert_int_equal(f->read.type, MESSAGE_CONTROL);
    remote_reads_welcome(f->reads);
    assert_true(user->ends == 1 && user->status == STATUS_OUTCOME_LOST);
    user = submit_call(f, &(struct call){.control_verb = CONTROL_STATUS});
    send_read(f);
    remote_reads_welcome(f->reads);
    assert_int_equal(user->ends, 0);
    assert_int_equal(send_read(f), 1);
}

static void an_answer_behind_what_was_seen_tells_it(void **state)
{
    struct fixture *f = *state;
    const struct reply old = {.status = STATUS_OK, .revision = 6};

    submit(f);
    f->revision = 7;
    send_read(f);
    assert_true(answer(f, f->read.first, &old, 1));
    assert_true(f->users[0].ends == 1 && f->users[0].status == STATUS_WENT_BACK);
    submit(f);
    f->revision = 6;
    send_read(f);
    f->revision = 9; /* seen after it was asked */
    assert_false(answer(f, f->read.first, &old, 1));
    assert_int_equal(f->users[1].status, STATUS_OK);
}

static void all_pending_reads_hear_that_the_store_went_back(void **state)
{
    struct fixture *f = *state;

    submit(f);
    send_read(f);
    submit(f);
    struct user *stream = submit_stream(f);
    struct user *control = submit_call(f, &(struct call){.control_verb = CONTROL_STATUS});
    assert_int_equal(remote_reads_went_back(f->reads), 3);
    assert_int_equal(f->users[0].status, STATUS_WENT_BACK);
    assert_int_equal(f->users[1].status, STATUS_WENT_BACK);
    assert_int_equal(stream->status, STATUS_WENT_BACK);
    assert_int_equal(control->ends, 0);
}

static void a_short_answer_is_corrupt(void **state)
{
    struct fixture *f = *state;
    const struct reply done = {.status = STATUS_OK};

    submit(f);
    submit(f);
    send_read(f);
    answer(f, f->read.first, &done, 1);
    assert_int_equal(f->users[0].status, STATUS_OK);
    assert_true(f->users[1].ends == 1 && f->users[1].status == STATUS_CORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_share_a_message),
        TEST(what_was_not_read_is_asked_again_first),
        TEST(refused_reads_wait_and_go_again),
        TEST(no_wait_ends_at_once),
        TEST(a_new_connection_asks_again_in_order),
        TEST(an_abandoned_read_is_not_touched),
        TEST(a_stream_brings_pieces_on_credit),
        TEST(a_stream_that_has_delivered_ends_with_its_connection),
        TEST(a_refused_stream_is_asked_again_unless_it_has_delivered),
        TEST(a_missing_piece_is_noticed),
        TEST(giving_a_stream_up_cancels_it),
        TEST(a_backup_is_not_asked_twice),
        TEST(an_answer_behind_what_was_seen_tells_it),
        TEST(all_pending_reads_hear_that_the_store_went_back),
        TEST(a_short_answer_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
