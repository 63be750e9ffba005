/*
 * remote_receive.c - what the broker sends: HELLO, replies, pieces of lists, credit.
 */
#include "client/remote_lane.h"
#include "client/remote_wire.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

/* ---- the store went back ---- */

static void tell_went_back(struct remote *remote)
{
    size_t told;

    remote->counters.went_back++;
    told = remote_session_other_store(remote->session, remote->store.used);
    if (!remote->store.used)
        return;
    told += remote_reads_went_back(remote->reads);
    remote->store.tell = told == 0;
}

static void notice(struct remote *remote, int level, const char *line)
{
    if (remote->options.notice)
        remote->options.notice(remote->options.context, level, line);
}

/* ---- HELLO ---- */

static void use_default(uint64_t *limit, uint64_t value)
{
    if (*limit == 0)
        *limit = value;
}

/* Keeps a copy; true when it differs from the one before. No memory: it counts as the same, with its limits taken. */
static bool keep_hello(struct remote *remote, const struct hello *hello, const void *bytes, size_t size)
{
    struct span fresh = {bytes, size};
    void *copy;

    if (span_equal(remote->hello_bytes, fresh))
        return false;
    remote->hello = *hello;
    remote->hello.path = (struct span){NULL, 0};
    use_default(&remote->hello.max_message_bytes, LIMIT_MESSAGE_BYTES);
    use_default(&remote->hello.client_in_flight_bytes, LIMIT_CLIENT_IN_FLIGHT_BYTES);
    use_default(&remote->hello.uncredited_bytes, LIMIT_UNCREDITED_BYTES);
    copy = malloc(size);
    if (!copy)
        return false;
    memcpy(copy, bytes, size);
    free((void *)remote->hello_bytes.data);
    remote->hello_bytes = (struct span){copy, size};
    return true;
}

static void take_hello(struct remote *remote, const struct envelope *envelope, const void *bytes, size_t size)
{
    bool welcome = envelope->flags & ENVELOPE_WELCOME, differs;
    enum remote_store_news news;
    struct hello hello;

    if (hello_decode(bytes, size, &hello) != STATUS_OK) {
        remote->counters.bad_messages++;
        return;
    }
    differs = keep_hello(remote, &hello, bytes, size);
    news = remote_store_hello(&remote->store, &hello);
    if (welcome) {
        remote->welcomed = true;
        remote->counters.welcomes++;
        remote->grant = (struct remote_grant){.number = remote->grant.number};
    }
    remote_session_hello(remote->session, &hello, welcome, clock_boot_ns());
    if (welcome)
        remote_reads_welcome(remote->reads);
    if (news == REMOTE_STORE_OTHER)
        tell_went_back(remote);
    else if (news == REMOTE_STORE_BEHIND)
        remote->store.tell = remote->store.used;
    if (news != REMOTE_STORE_SAME)
        notice(remote, LOG_LEVEL_WARNING, "the store is older than what this handle has seen: it was restored");
    if (differs && remote->options.hello)
        remote->options.hello(remote->options.context, &hello);
}

/* ---- answers ---- */

static void take_write_reply(struct remote *remote, const struct envelope *envelope, const struct reply *replies,
                             size_t count)
{
    if (remote_session_reply(remote->session, envelope, replies, count, clock_boot_ns()) == REMOTE_NEWS_OTHER_STORE) {
        remote_store_refused(&remote->store);
        tell_went_back(remote);
        return;
    }
    if (envelope->status == STATUS_OK)
        remote_store_saw(&remote->store, remote_session_take_revision(remote->session));
}

static void take_read_reply(struct remote *remote, const struct envelope *envelope, const struct reply *replies,
                            size_t count)
{
    uint64_t revision;

    if (remote_reads_reply(remote->reads, envelope, replies, count, clock_boot_ns(), &revision)) {
        remote->counters.went_back++;
        remote->store.revision = revision;
        return;
    }
    if (envelope->status == STATUS_OK)
        remote_store_saw(&remote->store, remote_reads_take_revision(remote->reads));
}

static void take_grant(struct remote *remote, const struct envelope *envelope)
{
    if (!remote->grant.asked || envelope->first != remote->grant.number)
        return;
    remote->grant.asked = false;
    remote->grant.bytes = envelope->status == STATUS_OK ? envelope->bytes : 0;
    if (envelope->status == STATUS_TOO_LARGE && remote->hello.max_message_bytes >= remote->grant.asked_bytes)
        remote->hello.max_message_bytes = remote->grant.asked_bytes - 1;
    else if (remote->grant.bytes == 0)
        remote->grant.retry_at_ns = remote_retry_at(envelope->retry_after_ms, clock_boot_ns());
}

/* Besides what callers may be told, each lane knows some statuses of the wire, which it deals with itself. */
static bool is_known(const struct envelope *envelope, int status)
{
    if (status_is_public(status))
        return true;
    if (envelope->type != MESSAGE_REPLY)
        return false;
    return envelope->flags & ENVELOPE_WRITE ? status >= STATUS_OUT_OF_ORDER && status <= STATUS_OTHER_STORE
                                            : status == STATUS_NOT_READ;
}

static bool all_known(const struct envelope *envelope, const struct reply *replies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_known(envelope, replies[i].status))
            return false;
        for (size_t k = 0; k < replies[i].item_count; k++)
            if (!status_is_public(replies[i].items[k].status))
                return false;
    }
    return true;
}

/* CORRUPT when the answer cannot be read, or no worker answers so. */
static int decode_answer(struct remote *remote, const struct envelope *envelope, struct span body,
                         const struct reply **replies, size_t *count)
{
    int status = STATUS_OK;

    if (!is_known(envelope, envelope->status))
        return STATUS_CORRUPT;
    if (envelope->status == STATUS_OK)
        status = body_decode_replies(body.data, body.size, remote->arena, replies, count);
    if (status == STATUS_OK && !all_known(envelope, *replies, *count))
        status = STATUS_CORRUPT;
    return status;
}

/* Decodes outside the mutex, settles with it held. */
static void take_answer(struct remote *remote, struct envelope *envelope, const void *bytes, size_t size)
{
    bool is_write = envelope->type == MESSAGE_REPLY && envelope->flags & ENVELOPE_WRITE;
    const struct reply *replies = NULL;
    size_t count = 0;
    int status = decode_answer(remote, envelope, (struct span){bytes, size}, &replies, &count);

    envelope->bytes = size;
    if (status != STATUS_OK)
        envelope->status = status;
    if (status == STATUS_NO_MEMORY && is_write) { /* ours: the answer is lost, and is asked for again */
        envelope->status = STATUS_UNAVAILABLE;
        envelope->attempt += envelope->attempt == 0;
    }
    pthread_mutex_lock(remote->lane.mutex);
    remote->counters.received_messages++;
    remote->counters.bad_messages += status == STATUS_CORRUPT;
    if (is_write)
        take_write_reply(remote, envelope, replies, count);
    else
        take_read_reply(remote, envelope, replies, count);
    remote_stir(remote);
    lane_unlock(&remote->lane);
    arena_reset(remote->arena);
}

static void take_message(struct remote *remote, zmq_msg_t *head, zmq_msg_t *body)
{
    struct envelope envelope;
    int status = envelope_decode(zmq_msg_data(head), zmq_msg_size(head), &envelope);

    if (status == STATUS_OK && (envelope.type == MESSAGE_REPLY || envelope.type == MESSAGE_STREAM)) {
        take_answer(remote, &envelope, zmq_msg_data(body), zmq_msg_size(body));
        return;
    }
    pthread_mutex_lock(remote->lane.mutex);
    remote->counters.received_messages++;
    if (status == STATUS_OK && envelope.type == MESSAGE_HELLO)
        take_hello(remote, &envelope, zmq_msg_data(body), zmq_msg_size(body));
    else if (status == STATUS_OK && envelope.type == MESSAGE_CREDIT)
        take_grant(remote, &envelope);
    else
        remote->counters.bad_messages++;
    remote_stir(remote);
    lane_unlock(&remote->lane);
}

bool remote_receive(struct remote *remote, unsigned most)
{
    zmq_msg_t head, body, rest;
    bool more = true;

    zmq_msg_init(&head);
    zmq_msg_init(&body);
    zmq_msg_init(&rest);
    while (most-- > 0 && (more = zmq_msg_recv(&head, remote->socket, ZMQ_DONTWAIT) >= 0)) {
        bool two = zmq_msg_more(&head) && zmq_msg_recv(&body, remote->socket, 0) >= 0,
             longer = two && zmq_msg_more(&body);

        while (longer)
            longer = zmq_msg_recv(&rest, remote->socket, 0) >= 0 && zmq_msg_more(&rest);
        if (two)
            take_message(remote, &head, &body);
    }
    remote->drained = !more && errno == EAGAIN;
    zmq_msg_close(&head);
    zmq_msg_close(&body);
    zmq_msg_close(&rest);
    return more;
}
