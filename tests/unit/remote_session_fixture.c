/*
 * remote_session_fixture.c - see remote_session_fixture.h.
 */
#include "tests/unit/remote_session_fixture.h"

#include <stdlib.h>

static void settle(struct call *call, const struct reply *reply, bool last)
{
    struct user *user = (struct user *)call;

    assert_true(last);
    user->ends++;
    user->status = reply->status;
    user->flags = reply->flags;
}

int session_setup(void **state)
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

int session_teardown(void **state)
{
    struct fixture *f = *state;

    remote_session_free(&f->session);
    free(f);
    return 0;
}

struct user *session_submit_with(struct fixture *f, uint32_t flags, int64_t deadline_ns)
{
    struct user *user = &f->users[f->submitted++];

    user->call.settle = settle;
    user->call.request = (struct request){
        .operation = OPERATION_SAVE, .flags = flags, .deadline_ns = deadline_ns, .if_revision = f->submitted};
    remote_session_submit(f->session, &user->call);
    return user;
}

struct user *session_submit(struct fixture *f)
{
    return session_submit_with(f, 0, INT64_MAX);
}

size_t session_gather(struct fixture *f)
{
    return remote_session_gather(f->session, f->now_ns, MOST, 64 * KIB, f->requests, &f->batch);
}

size_t session_send_batch(struct fixture *f)
{
    size_t count = session_gather(f);

    if (count)
        remote_session_sent(f->session, &f->batch, 100);
    return count;
}

enum remote_news session_answer_batch(struct fixture *f, const struct remote_batch *batch, const struct reply *replies)
{
    struct envelope envelope = {.type = MESSAGE_REPLY,
                                .flags = ENVELOPE_WRITE,
                                .first = batch->first,
                                .count = (uint32_t)batch->count,
                                .attempt = 1};

    return remote_session_reply(f->session, &envelope, replies, batch->count, f->now_ns);
}

void session_refuse_after(struct fixture *f, const struct remote_batch *batch, int status, uint32_t attempts)
{
    struct envelope envelope = {
        .type = MESSAGE_REPLY, .flags = ENVELOPE_WRITE, .first = batch->first, .attempt = attempts, .status = status};

    remote_session_reply(f->session, &envelope, NULL, 0, f->now_ns);
}

void session_refuse_batch(struct fixture *f, const struct remote_batch *batch, int status, uint32_t retry_after_ms)
{
    struct envelope envelope = {.type = MESSAGE_REPLY,
                                .flags = ENVELOPE_WRITE,
                                .first = batch->first,
                                .status = status,
                                .retry_after_ms = retry_after_ms};

    remote_session_reply(f->session, &envelope, NULL, 0, f->now_ns);
}

void session_welcome(struct fixture *f)
{
    remote_session_hello(f->session, &f->hello, true, f->now_ns);
}
