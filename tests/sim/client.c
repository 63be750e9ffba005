/*
 * client.c - a client's process around the real session and reads, as the lane through the broker is of client/remote.c.
 */
#include "client/remote_wire.h"
#include "tests/sim/world.h"

#include <assert.h>

enum { RECEIVE_MOST = 3 };

/* ---- life ---- */

void handle_start(struct sim_handle *handle)
{
    *handle = (struct sim_handle){.earliest_ns = INT64_MAX};
    handle->session = remote_session_new();
    handle->reads = remote_reads_new();
    assert(handle->session && handle->reads && world.lineage_count < LINEAGES);
    handle->lineage = &world.lineages[world.lineage_count++];
    *handle->lineage = (struct lineage){0, 0};
}

static void count(const struct sim_handle *handle)
{
    struct remote_session_counters met;

    remote_session_counters(handle->session, &met);
    world.counters.resent += met.resent;
    world.counters.skips += met.skips;
    world.counters.out_of_order += met.out_of_order;
}

void handle_kill(struct sim_handle *handle)
{
    count(handle);
    for (size_t i = 0; i < handle->open_count; i++)
        handle->open[i]->ended = true;
    if (handle->wire)
        wire_break(handle->wire);
    remote_session_free(&handle->session);
    remote_reads_free(&handle->reads);
    handle_start(handle);
}

void handle_lose_wire(struct sim_handle *handle)
{
    handle->wire = NULL;
    handle->welcomed = false;
}

static void connect(struct sim_handle *handle)
{
    if (!world.broker.route)
        return;
    handle->wire = wire_open(false, (uint32_t)(handle - world.handles));
    if (!handle->wire)
        return;
    handle->welcomed = false;
    queue_put(&handle->wire->up, packet_new(0));
    handle->wire->up.tail->probe = true;
}

/* ---- sending ---- */

static bool has_room(const struct sim_handle *handle)
{
    return handle->wire->up.count < WIRE_PACKETS;
}

static void send(struct sim_handle *handle, struct packet *packet)
{
    world.counters.events++;
    queue_put(&handle->wire->up, packet);
}

static void ask_for_credit(struct sim_handle *handle, uint64_t size)
{
    struct packet *packet;

    if (handle->grant.asked || handle->grant.retry_at_ns > world.now_ns || !has_room(handle))
        return;
    packet = packet_new(MESSAGE_CREDIT);
    packet->envelope.first = handle->grant.number = remote_reads_take_number(handle->reads);
    packet->envelope.bytes = handle->grant.asked_bytes = size;
    handle->grant.asked = true;
    send(handle, packet);
}

enum leave { LEAVE, LEAVE_LATER, LEAVE_NEVER };

static enum leave may_leave(struct sim_handle *handle, uint64_t size)
{
    uint64_t in_flight = remote_session_in_flight_bytes(handle->session) + remote_reads_in_flight_bytes(handle->reads);

    if (size > handle->hello.max_message_bytes)
        return LEAVE_NEVER;
    if (in_flight && in_flight + size > handle->hello.client_in_flight_bytes)
        return LEAVE_LATER;
    if (size <= handle->hello.uncredited_bytes || size <= handle->grant.bytes)
        return LEAVE;
    ask_for_credit(handle, size);
    return LEAVE_LATER;
}

static void use_grant(struct sim_handle *handle, uint64_t size)
{
    if (size <= handle->hello.uncredited_bytes)
        return;
    handle->grant.bytes = 0;
    world.counters.grants++;
}

static struct sim_call *call_of(const struct request *request)
{
    return (struct sim_call *)((uintptr_t)request->id.data - offsetof(struct sim_call, id));
}

static struct body *body_of(const struct request *requests, size_t count)
{
    struct body *body = body_new();

    body->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        body->requests[i].operation = requests[i].operation;
        body->requests[i].call = requests[i].id.data ? call_of(&requests[i]) : NULL;
        body->requests[i].deadline_ns = requests[i].deadline_ns;
        body->bytes += remote_request_estimate(&requests[i]);
    }
    return body;
}

static bool send_writes(struct sim_handle *handle)
{
    struct request requests[BATCH];
    struct remote_batch batch;
    struct packet *packet;
    struct body *body;
    enum leave leave;

    if (!remote_session_gather(handle->session, world.now_ns, 1 + roll(BATCH), handle->hello.uncredited_bytes, requests,
                               &batch))
        return false;
    if (batch.first < batch.header.floor || batch.first + batch.count - batch.header.floor > LIMIT_SESSION_WINDOW)
        violation("a message beyond the session's window");
    body = body_of(requests, batch.count);
    leave = may_leave(handle, body->bytes);
    if (leave == LEAVE_NEVER)
        remote_session_refuse(handle->session, &batch, STATUS_TOO_LARGE);
    if (leave != LEAVE || !has_room(handle)) {
        body_drop(body);
        return leave == LEAVE_NEVER;
    }
    packet = packet_new(MESSAGE_WRITE);
    packet->envelope.first = batch.first;
    packet->envelope.count = (uint32_t)batch.count;
    packet->envelope.deadline_ns = batch.deadline_ns;
    packet->body = body;
    body->session = batch.header;
    use_grant(handle, body->bytes);
    remote_session_sent(handle->session, &batch, body->bytes);
    send(handle, packet);
    return true;
}

static bool send_reads(struct sim_handle *handle)
{
    struct request requests[BATCH];
    struct remote_read read;
    struct packet *packet;
    struct body *body;

    if (!remote_reads_gather(handle->reads, world.now_ns, 1 + roll(BATCH), handle->hello.uncredited_bytes,
                             handle->store.revision, requests, &read))
        return false;
    body = body_of(requests, read.count);
    if (may_leave(handle, body->bytes) != LEAVE || !has_room(handle)) {
        body_drop(body);
        return false;
    }
    packet = packet_new(read.type);
    packet->envelope.flags = read.flags;
    packet->envelope.first = read.first;
    packet->envelope.count = (uint32_t)read.count;
    packet->envelope.bytes = read.credit_bytes;
    packet->envelope.deadline_ns = read.deadline_ns;
    packet->body = body;
    use_grant(handle, body->bytes);
    remote_reads_sent(handle->reads, &read, body->bytes);
    send(handle, packet);
    return true;
}

static void send_notices(struct sim_handle *handle)
{
    uint64_t first, bytes;
    uint8_t type;

    while (remote_reads_has_notice(handle->reads) && has_room(handle)) {
        struct packet *packet;
        if (!remote_reads_gather_notice(handle->reads, &type, &first, &bytes))
            return;
        packet = packet_new(type);
        packet->envelope.flags = ENVELOPE_STREAM;
        packet->envelope.first = first;
        packet->envelope.bytes = bytes;
        send(handle, packet);
    }
}

static void refuse_no_wait(struct sim_handle *handle)
{
    bool writer = handle->welcomed && handle->hello.writer_epoch != 0;

    if (!handle->hasty || handle->grant.asked)
        return;
    remote_session_refuse_unsent(handle->session, writer ? STATUS_OVERLOADED : STATUS_UNAVAILABLE, true);
    remote_reads_refuse_unsent(handle->reads, handle->welcomed ? STATUS_OVERLOADED : STATUS_UNAVAILABLE, true);
    handle->hasty = false;
}

static void pump(struct sim_handle *handle)
{
    bool more = handle->welcomed;

    if (more)
        send_notices(handle);
    while (more) {
        more = send_reads(handle);
        more |= send_writes(handle);
        more &= has_room(handle);
    }
    refuse_no_wait(handle);
}

/* ---- receiving ---- */

/*
 * A new writer's revision is that of its last heartbeat, so a handle that has read, before it hears of that writer, what
 * the same writer committed since, takes the store for an older one. It takes the death of broker and writer both, and
 * costs one WENT_BACK too many; it is counted here. What was seen before an earlier writer was announced must never
 * look as if it had gone.
 */
static void notice_store(struct sim_handle *handle, const struct hello *hello)
{
    enum remote_store_news news = remote_store_hello(&handle->store, hello);

    if (news == REMOTE_STORE_OTHER || (news == REMOTE_STORE_BEHIND && hello->revision < handle->seen_at_hello))
        violation("a handle thinks that the store went back");
    if (news == REMOTE_STORE_BEHIND)
        faults_count(&world.counters.false_alarms);
    if (hello->writer_epoch)
        handle->seen_at_hello = handle->store.revision;
}

static void take_hello(struct sim_handle *handle, const struct packet *packet)
{
    bool welcome = packet->envelope.flags & ENVELOPE_WELCOME;

    handle->hello = packet->hello;
    notice_store(handle, &packet->hello);
    if (welcome) {
        handle->welcomed = true;
        handle->grant.asked = false;
        handle->grant.bytes = 0;
        handle->grant.retry_at_ns = 0;
    }
    remote_session_hello(handle->session, &packet->hello, welcome, world.now_ns);
    if (welcome)
        remote_reads_welcome(handle->reads);
}

static void take_grant(struct sim_handle *handle, const struct envelope *envelope)
{
    if (!handle->grant.asked || envelope->first != handle->grant.number)
        return;
    handle->grant.asked = false;
    handle->grant.bytes = envelope->status == STATUS_OK ? envelope->bytes : 0;
    if (handle->grant.bytes == 0)
        handle->grant.retry_at_ns = remote_retry_at(envelope->retry_after_ms, world.now_ns);
}

static void take_answer(struct sim_handle *handle, struct packet *packet)
{
    struct envelope *envelope = &packet->envelope;
    const struct reply *replies = packet->body ? packet->body->replies : NULL;
    size_t count = packet->body ? packet->body->count : 0;
    uint64_t revision;

    envelope->bytes = packet->bytes;
    if (envelope->type == MESSAGE_REPLY && envelope->flags & ENVELOPE_WRITE) {
        if (remote_session_reply(handle->session, envelope, replies, count, world.now_ns) != REMOTE_NEWS_NONE)
            violation("a session was told of another store");
        remote_store_saw(&handle->store, remote_session_take_revision(handle->session));
    } else {
        if (remote_reads_reply(handle->reads, envelope, replies, count, world.now_ns, &revision))
            violation("a read was behind what its own handle had seen");
        remote_store_saw(&handle->store, remote_reads_take_revision(handle->reads));
    }
}

static void receive(struct sim_handle *handle)
{
    struct packet *packet = queue_take(&handle->wire->down);

    world.counters.events++;
    switch (packet->envelope.type) {
    case MESSAGE_HELLO:
        take_hello(handle, packet);
        break;
    case MESSAGE_CREDIT:
        take_grant(handle, &packet->envelope);
        break;
    default:
        take_answer(handle, packet);
    }
    packet_free(packet);
}

void handle_turn(struct sim_handle *handle)
{
    if (world.now_ns < handle->suspended_ns)
        return;
    calls_expire(handle);
    if (!handle->wire && roll(10) == 0)
        connect(handle);
    for (int i = 0; i < RECEIVE_MOST && handle->wire && handle->wire->down.count; i++)
        receive(handle);
    if (roll(3) == 0)
        calls_submit(handle);
    if (roll(world.calm ? 2000 : 60) == 0)
        calls_cancel(handle);
    if (roll(2) == 0)
        pump(handle);
}

void handle_close(struct sim_handle *handle)
{
    struct remote_batch batch;
    struct request request;

    while (handle->open_count)
        calls_cancel(handle);
    if (handle->wire && handle->welcomed && has_room(handle) &&
        remote_session_close(handle->session, world.now_ns, &request, &batch)) {
        struct packet *packet = packet_new(MESSAGE_WRITE);
        packet->envelope.first = batch.first;
        packet->envelope.count = 1;
        packet->envelope.deadline_ns = batch.deadline_ns;
        packet->body = body_of(&request, 1);
        packet->body->session = batch.header;
        send(handle, packet);
        send(handle, packet_new(MESSAGE_GOODBYE));
        world.counters.closes++;
    }
    handle_kill(handle);
}
