/*
 * remote_send.c - what many threads queued leaves in as few messages as the broker's limits allow.
 */
#include "client/remote_lane.h"
#include "client/remote_wire.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <zmq.h>

static size_t in_flight_bytes(const struct remote *remote)
{
    return remote_session_in_flight_bytes(remote->session) + remote_reads_in_flight_bytes(remote->reads);
}

static bool takes_more(struct remote *remote)
{
    remote->want_output = !(remote_socket_events(remote) & ZMQ_POLLOUT);
    return !remote->want_output;
}

/* Sends envelope and body, which it closes. False: nothing left, the socket takes no more now. */
static bool send_frames(struct remote *remote, struct envelope *envelope, zmq_msg_t *body)
{
    uint8_t bytes[ENVELOPE_BYTES];

    remote->drained = false; /* sending may take in what has come */
    envelope->life = remote->hello.life;
    envelope_encode(envelope, bytes);
    if (zmq_send(remote->socket, bytes, sizeof bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        remote->want_output = true;
        zmq_msg_close(body);
        return false;
    }
    /* The rest of a message is never refused; of a connection that broke meanwhile it is dropped. */
    if (zmq_msg_send(body, remote->socket, ZMQ_DONTWAIT) < 0)
        zmq_msg_close(body);
    remote->counters.sent_messages++;
    return true;
}

static bool send_bare(struct remote *remote, const struct envelope *envelope)
{
    struct envelope bare = *envelope;
    zmq_msg_t body;

    zmq_msg_init(&body);
    return send_frames(remote, &bare, &body);
}

/* ---- bounds ---- */

enum leave { LEAVE, LEAVE_LATER, LEAVE_NEVER };

static void ask_for_credit(struct remote *remote, size_t size, int64_t now_ns)
{
    struct envelope envelope = envelope_make(MESSAGE_CREDIT, now_ns + LIMIT_DEADLINE_S * NS_PER_S);

    if (remote->grant.asked || remote->grant.retry_at_ns > now_ns)
        return;
    envelope.first = remote->grant.number = remote_reads_take_number(remote->reads);
    envelope.bytes = remote->grant.asked_bytes = size;
    remote->grant.asked = send_bare(remote, &envelope);
}

/* May a body of this size be sent now? Asks for credit when it needs some. */
static enum leave may_leave(struct remote *remote, size_t size, int64_t now_ns)
{
    uint64_t in_flight = in_flight_bytes(remote);

    if (size > remote->hello.max_message_bytes)
        return LEAVE_NEVER;
    if (in_flight && in_flight + size > remote->hello.client_in_flight_bytes)
        return LEAVE_LATER;
    if (size <= remote->hello.uncredited_bytes || size <= remote->grant.bytes)
        return LEAVE;
    ask_for_credit(remote, size, now_ns);
    return LEAVE_LATER;
}

static void use_grant(struct remote *remote, size_t size)
{
    if (size <= remote->hello.uncredited_bytes)
        return;
    remote->grant.bytes = 0;
    remote->counters.grants++;
}

/* ---- one message of each lane ---- */

/* Without memory it is tried again a little later. */
static bool be_starved(struct remote *remote, int64_t now_ns)
{
    remote->starved_until_ns = remote_retry_at(0, now_ns);
    return false;
}

static bool make_body(struct remote *remote, zmq_msg_t *body, size_t size, int64_t now_ns)
{
    return zmq_msg_init_size(body, size) == 0 || be_starved(remote, now_ns);
}

/* True: a message left or a call ended, so there may be more to do. */
static bool send_writes(struct remote *remote, int64_t now_ns)
{
    struct remote_batch batch;
    struct envelope envelope;
    size_t most = REMOTE_BATCH_MOST, size;
    enum leave leave;
    zmq_msg_t body;

    do {
        if (!remote_session_gather(remote->session, now_ns, most, remote->hello.uncredited_bytes, remote->requests,
                                   &batch))
            return false;
        size = body_requests_size(&batch.header, remote->requests, batch.count, batch.deadline_ns);
        most = batch.count / 2;
    } while (batch.count > 1 && size > remote->hello.uncredited_bytes);
    leave = may_leave(remote, size, now_ns);
    if (leave == LEAVE_NEVER)
        remote_session_refuse(remote->session, &batch, STATUS_TOO_LARGE);
    if (leave != LEAVE || !takes_more(remote) || !make_body(remote, &body, size, now_ns))
        return leave == LEAVE_NEVER;
    body_encode_requests(&batch.header, remote->requests, batch.count, batch.deadline_ns, zmq_msg_data(&body));
    envelope = envelope_make(MESSAGE_WRITE, batch.deadline_ns);
    envelope.first = batch.first;
    envelope.count = (uint32_t)batch.count;
    if (!send_frames(remote, &envelope, &body))
        return false;
    use_grant(remote, size);
    remote_session_sent(remote->session, &batch, size);
    return true;
}

/* The encoded body of a CONTROL message, in the arena; of reads, its size alone. */
static size_t measure_read(struct remote *remote, const struct remote_read *read, struct span *control)
{
    if (read->type == MESSAGE_READ)
        return body_requests_size(NULL, remote->requests, read->count, read->deadline_ns);
    *control = control_encode(&(struct control){.verb = read->control_verb, .argument = remote->requests[0].data},
                              remote->arena);
    return control->size;
}

static bool encode_read(struct remote *remote, const struct remote_read *read, struct span control, zmq_msg_t *body,
                        size_t size, int64_t now_ns)
{
    if (read->type == MESSAGE_CONTROL && !control.data)
        return be_starved(remote, now_ns);
    if (!make_body(remote, body, size, now_ns))
        return false;
    if (read->type == MESSAGE_CONTROL)
        memcpy(zmq_msg_data(body), control.data, size);
    else
        body_encode_requests(NULL, remote->requests, read->count, read->deadline_ns, zmq_msg_data(body));
    return true;
}

static bool send_reads(struct remote *remote, int64_t now_ns)
{
    struct span control = {NULL, 0};
    struct remote_read read;
    struct envelope envelope;
    size_t most = REMOTE_BATCH_MOST, size;
    enum leave leave;
    zmq_msg_t body;

    do {
        if (!remote_reads_gather(remote->reads, now_ns, most, remote->hello.uncredited_bytes, remote->store.revision,
                                 remote->requests, &read))
            return false;
        size = measure_read(remote, &read, &control);
        most = read.count / 2;
    } while (read.count > 1 && size > remote->hello.uncredited_bytes);
    leave = may_leave(remote, size, now_ns);
    if (leave == LEAVE_NEVER)
        remote_reads_refuse(remote->reads, STATUS_TOO_LARGE);
    if (leave != LEAVE || !takes_more(remote) || !encode_read(remote, &read, control, &body, size, now_ns))
        return leave == LEAVE_NEVER;
    envelope = envelope_make(read.type, read.deadline_ns);
    envelope.flags = read.flags;
    envelope.first = read.first;
    envelope.count = (uint32_t)read.count;
    envelope.bytes = read.credit_bytes;
    if (!send_frames(remote, &envelope, &body))
        return false;
    use_grant(remote, size);
    remote_reads_sent(remote->reads, &read, size);
    return true;
}

/* CREDIT and CANCEL of streams; they must not be lost, so they are taken only when the socket takes them. */
static void send_notices(struct remote *remote, int64_t now_ns)
{
    while (remote_reads_has_notice(remote->reads) && takes_more(remote)) {
        struct envelope envelope = envelope_make(0, now_ns + LIMIT_DEADLINE_S * NS_PER_S);

        if (!remote_reads_gather_notice(remote->reads, &envelope.type, &envelope.first, &envelope.bytes))
            return;
        envelope.flags = ENVELOPE_STREAM; /* else CREDIT would ask for leave to send a large body */
        send_bare(remote, &envelope);
    }
}

/* Calls that do not want to wait, and would have to. */
static void refuse_no_wait(struct remote *remote)
{
    bool connected = remote->welcomed && !(remote->want_output && in_flight_bytes(remote) == 0);
    bool writer = connected && remote->hello.writer_epoch != 0;

    if (!remote->hasty || remote->grant.asked)
        return; /* nobody asked for it; or a large body waits for its credit, as part of being sent */
    remote_session_refuse_unsent(remote->session, writer ? STATUS_OVERLOADED : STATUS_UNAVAILABLE, true);
    remote_reads_refuse_unsent(remote->reads, connected ? STATUS_OVERLOADED : STATUS_UNAVAILABLE, true);
}

void remote_pump(struct remote *remote, int64_t now_ns)
{
    bool more = remote->welcomed;

    remote->idle = true;
    remote->want_output = false;
    remote->pumped_ns = now_ns;
    if (remote->welcomed)
        send_notices(remote, now_ns);
    while (more) {
        more = send_reads(remote, now_ns);
        more |= send_writes(remote, now_ns);
        more &= !remote->want_output;
    }
    refuse_no_wait(remote);
}

int64_t remote_retry_ns(const struct remote *remote)
{
    int64_t writes = remote_session_due_ns(remote->session), reads = remote_reads_due_ns(remote->reads);

    if (!remote->welcomed)
        return INT64_MAX;
    /* What was due when it was last looked waits for an event. */
    writes = writes > remote->pumped_ns ? writes : INT64_MAX;
    reads = reads > remote->pumped_ns ? reads : INT64_MAX;
    if (remote->grant.retry_at_ns > remote->pumped_ns && remote->grant.retry_at_ns < writes)
        writes = remote->grant.retry_at_ns;
    if (remote->starved_until_ns > remote->pumped_ns && remote->starved_until_ns < writes)
        writes = remote->starved_until_ns;
    return writes < reads ? writes : reads;
}

void remote_say_goodbye(struct remote *remote, int64_t now_ns)
{
    struct remote_batch batch;
    struct request request;
    zmq_msg_t body;
    size_t size;

    if (remote_session_close(remote->session, now_ns, &request, &batch)) {
        struct envelope envelope = envelope_make(MESSAGE_WRITE, batch.deadline_ns);

        size = body_requests_size(&batch.header, &request, 1, batch.deadline_ns);
        if (zmq_msg_init_size(&body, size) == 0) {
            body_encode_requests(&batch.header, &request, 1, batch.deadline_ns, zmq_msg_data(&body));
            envelope.first = batch.first;
            envelope.count = 1;
            send_frames(remote, &envelope, &body);
        }
    }
    send_bare(remote, &(struct envelope){.version = ENVELOPE_VERSION, .type = MESSAGE_GOODBYE});
}
