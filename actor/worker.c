/*
 * worker.c - the workers' side of the wire over one DEALER.
 *
 * A connection lasts from the broker's WELCOME to libzmq's word that it is gone. Nothing is sent outside of one: the
 * broker gives the tickets of a lost one to others.
 */
#include "actor/worker.h"
#include "actor/actor.h"
#include "actor/send_queue.h"
#include "actor/socket_wait.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <zmq.h>

enum {
    /* Of what is queued in libzmq. The broker bounds what a worker holds. With less here a group under a slow disk would
     * be no larger: the I/O thread brings what is beyond it only when the worker has begun to take. */
    RECEIVE_MARK = LIMIT_GROUP_REQUESTS,
    LINGER_MS = 2000,
    HEARTBEAT_MS = 1000,
    RETRY_AFTER_MS = 50,
};

struct worker {
    void *context, *socket, *monitor;
    struct arena *arena; /* for encoding the state */

    void *hello_bytes; /* what `hello` borrows from */
    struct hello hello;
    uint64_t connection;
    bool welcomed, drained;
    bool socket_empty, monitor_empty; /* read to the end, and nothing sent since (socket_wait.h) */

    void *state_bytes;
    size_t state_size;
    struct worker_state state; /* without its spans */
    bool has_state, says_ready, changed;
    int64_t heartbeat_ns;

    struct send_queue queue;
    uint64_t bad_messages;
};

/* libzmq itself ends the process when memory is short; then the broker gives our work to another. */
static void *must_have(void *memory)
{
    if (memory)
        return memory;
    actor_log(LOG_LEVEL_ERROR, "no memory for a message");
    exit(ACTOR_EXIT_FAILED);
}

static int set_options(void *socket, int send_mark)
{
    const struct {
        int option, value;
    } options[] = {
        {ZMQ_PROBE_ROUTER, 1},      {ZMQ_IMMEDIATE, 1},      {ZMQ_LINGER, LINGER_MS},      {ZMQ_SNDHWM, send_mark},
        {ZMQ_RCVHWM, RECEIVE_MARK}, {ZMQ_RECONNECT_IVL, 50}, {ZMQ_RECONNECT_IVL_MAX, 500},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value) != 0)
            return -1;
    int64_t most = (int64_t)(LIMIT_DATA_BYTES_MOST + MIB);
    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
}

/* Tells when a connection is gone; before any later one can be used. */
static void *open_monitor(void *context, void *socket)
{
    static const char address[] = "inproc://worker-monitor";
    if (zmq_socket_monitor(socket, address, ZMQ_EVENT_DISCONNECTED) != 0)
        return NULL;
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    if (!monitor || zmq_connect(monitor, address) == 0)
        return monitor;
    zmq_close(monitor);
    return NULL;
}

int worker_new(const char *client_endpoint, int send_mark, struct worker **worker, struct failure *failure)
{
    *worker = NULL;
    char endpoint[sizeof "ipc://" + LIMIT_IPC_PATH_BYTES];
    if (endpoint_of_workers(client_endpoint, endpoint, sizeof endpoint, failure) != STATUS_OK)
        return STATUS_INVALID_ARGUMENT;
    struct worker *self = calloc(1, sizeof *self);
    if (!self)
        goto failed;
    send_queue_init(&self->queue);
    self->arena = arena_new(0);
    if (!self->arena)
        goto no_arena;
    self->context = zmq_ctx_new();
    if (!self->context)
        goto no_context;
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    if (!self->socket)
        goto no_socket;
    self->monitor = open_monitor(self->context, self->socket);
    if (!self->monitor)
        goto no_monitor;
    if (set_options(self->socket, send_mark) != 0 || zmq_connect(self->socket, endpoint) != 0)
        goto no_connection;
    *worker = self;
    return STATUS_OK;

no_connection:
    zmq_socket_monitor(self->socket, NULL, 0);
    zmq_close(self->monitor);
no_monitor:
    zmq_close(self->socket);
no_socket:
    zmq_ctx_term(self->context);
no_context:
    arena_free(&self->arena);
no_arena:
    free(self);
failed:
    return failure_set(failure, STATUS_IO_ERROR, "cannot connect to %s: %s", endpoint, zmq_strerror(errno));
}

void worker_free(struct worker **worker)
{
    struct worker *self = *worker;
    if (!self)
        return;
    send_queue_clear(&self->queue);
    zmq_socket_monitor(self->socket, NULL, 0); /* or libzmq goes on writing to a reader that is gone */
    zmq_close(self->monitor);
    zmq_close(self->socket);
    zmq_ctx_term(self->context);
    arena_free(&self->arena);
    free(self->hello_bytes);
    free(self->state_bytes);
    free(self);
    *worker = NULL;
}

/* ---- outgoing ---- */

static void flush(struct worker *worker)
{
    if (!worker->queue.head)
        return;
    worker->socket_empty = false;
    send_queue_flush(&worker->queue, worker->socket);
}

/* Takes `body` over. */
static void enqueue(struct worker *worker, const struct envelope *envelope, void *body, size_t size)
{
    if (!worker->welcomed) {
        free(body);
        return;
    }
    if (!send_queue_add(&worker->queue, envelope, body, size))
        must_have(NULL);
    flush(worker);
}

static void *copy_bytes(const void *bytes, size_t size)
{
    void *copy = must_have(malloc(size ? size : 1));
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

static void send_state(struct worker *worker, uint8_t type)
{
    struct envelope envelope = envelope_make(type, clock_deadline_ns(HEARTBEAT_MS));
    envelope.life = worker->hello.life;
    enqueue(worker, &envelope, copy_bytes(worker->state_bytes, worker->state_size), worker->state_size);
    worker->heartbeat_ns = clock_boot_ns() + HEARTBEAT_MS * NS_PER_MS;
    worker->changed = false;
}

/* While something is queued the broker is slow, and what is queued says that we live. */
static void announce(struct worker *worker)
{
    if (!worker->has_state || !worker->welcomed || worker->drained)
        return;
    if (worker->says_ready) {
        worker->says_ready = false;
        send_state(worker, MESSAGE_READY);
    } else if (!worker->queue.head && (worker->changed || clock_boot_ns() >= worker->heartbeat_ns)) {
        send_state(worker, MESSAGE_HEARTBEAT);
    }
}

static bool same_store(const struct worker_state *a, const struct worker_state *b)
{
    return a->epoch == b->epoch && a->device == b->device && a->inode == b->inode &&
           memcmp(a->incarnation, b->incarnation, sizeof a->incarnation) == 0;
}

void worker_set_state(struct worker *worker, const struct worker_state *state)
{
    struct span encoded = worker_state_encode(state, worker->arena);
    if (!encoded.data)
        must_have(NULL);
    free(worker->state_bytes);
    worker->state_bytes = copy_bytes(encoded.data, encoded.size);
    worker->state_size = encoded.size;
    arena_reset(worker->arena);
    worker->changed = worker->changed || (worker->has_state && !same_store(state, &worker->state));
    worker->says_ready = worker->says_ready || !worker->has_state;
    worker->has_state = true;
    worker->state = *state;
    worker->state.path = worker->state.status = (struct span){0};
    announce(worker);
}

static struct envelope answer_to(const struct envelope *to, uint8_t type, int32_t status, uint32_t count)
{
    int64_t deadline_ns = envelope_deadline_ns(to);
    struct envelope envelope = envelope_make(type, deadline_ns);
    envelope.life = to->life;
    envelope.ticket = to->ticket;
    envelope.attempt = to->attempt;
    envelope.first = to->first;
    envelope.count = count;
    envelope.status = status;
    if (status == STATUS_OVERLOADED || status == STATUS_UNAVAILABLE)
        envelope.retry_after_ms = RETRY_AFTER_MS;
    if (to->type == MESSAGE_WRITE)
        envelope.flags |= ENVELOPE_WRITE;
    return envelope;
}

void worker_reply(struct worker *worker, const struct worker_message *to, int32_t status, void *body, size_t size,
                  uint32_t count)
{
    struct envelope envelope = answer_to(&to->envelope, MESSAGE_REPLY, status, count);
    enqueue(worker, &envelope, body, size);
}

void worker_piece(struct worker *worker, const struct envelope *to, uint32_t piece, bool last, int32_t status,
                  void *body, size_t size, uint32_t count)
{
    struct envelope envelope = answer_to(to, MESSAGE_STREAM, status, count);
    envelope.piece = piece;
    if (last)
        envelope.flags |= ENVELOPE_LAST;
    enqueue(worker, &envelope, body, size);
}

size_t worker_backlog_bytes(const struct worker *worker)
{
    return worker->queue.bytes;
}

void worker_goodbye(struct worker *worker)
{
    int64_t until_ns = clock_deadline_ns(LINGER_MS);
    struct envelope envelope = envelope_make(MESSAGE_GOODBYE, until_ns);
    envelope.life = worker->hello.life;
    worker->drained = true;
    enqueue(worker, &envelope, NULL, 0);
    while (worker->queue.head && clock_boot_ns() < until_ns) {
        zmq_pollitem_t item = {.socket = worker->socket, .events = ZMQ_POLLOUT};
        zmq_poll(&item, 1, clock_ms_until(until_ns, LINGER_MS));
        send_queue_flush(&worker->queue, worker->socket);
    }
}

/* ---- incoming ---- */

const struct hello *worker_hello(const struct worker *worker)
{
    return worker->connection ? &worker->hello : NULL;
}

uint64_t worker_connection(const struct worker *worker)
{
    return worker->connection;
}

uint64_t worker_bad_messages(const struct worker *worker)
{
    return worker->bad_messages;
}

static int receive_frame(zmq_msg_t *frame, void *socket)
{
    int rc;
    do
        rc = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc;
}

static void drop_rest(struct worker *worker)
{
    zmq_msg_t frame;
    bool more = true;
    while (more && zmq_msg_init(&frame) == 0) {
        more = receive_frame(&frame, worker->socket) >= 0 && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
}

enum received { RECEIVED_NOTHING, RECEIVED_JUNK, RECEIVED_MESSAGE };

/* Reads one message of exactly two frames whose first is an envelope; `body` is initialised in any case. */
static enum received receive(struct worker *worker, struct envelope *envelope, zmq_msg_t *body)
{
    zmq_msg_t first;
    zmq_msg_init(&first);
    zmq_msg_init(body);
    enum received received = RECEIVED_NOTHING;
    if (receive_frame(&first, worker->socket) >= 0) {
        received = RECEIVED_JUNK;
        bool whole = zmq_msg_more(&first) && receive_frame(body, worker->socket) >= 0;
        if (whole && zmq_msg_more(body))
            drop_rest(worker);
        else if (whole && envelope_decode(zmq_msg_data(&first), zmq_msg_size(&first), envelope) == STATUS_OK)
            received = RECEIVED_MESSAGE;
    }
    zmq_msg_close(&first);
    return received;
}

static bool take_hello(struct worker *worker, const struct envelope *envelope, zmq_msg_t *body)
{
    struct hello hello;
    void *bytes = copy_bytes(zmq_msg_data(body), zmq_msg_size(body));
    bool welcome = envelope->flags & ENVELOPE_WELCOME;
    if (hello_decode(bytes, zmq_msg_size(body), &hello) != STATUS_OK || (!welcome && !worker->welcomed)) {
        worker->bad_messages++;
        free(bytes);
        return false;
    }
    free(worker->hello_bytes);
    worker->hello_bytes = bytes;
    worker->hello = hello;
    if (welcome) {
        worker->connection++;
        worker->welcomed = true;
        send_queue_clear(&worker->queue);
        worker->says_ready = worker->has_state;
        announce(worker);
    }
    return true;
}

static void fill_message(struct worker_message *message, const struct envelope *envelope, zmq_msg_t *body)
{
    zmq_msg_t *frame = must_have(malloc(sizeof *frame));
    zmq_msg_init(frame);
    zmq_msg_move(frame, body);
    message->envelope = *envelope;
    message->body = (struct span){zmq_msg_data(frame), zmq_msg_size(frame)};
    message->deadline_ns = envelope_deadline_ns(envelope);
    message->frame = frame;
}

/* What a message means to the caller of worker_next; -1: nothing, look for the next one. */
static int judge(struct worker *worker, const struct envelope *envelope, zmq_msg_t *body,
                 struct worker_message *message)
{
    switch (envelope->type) {
    case MESSAGE_HELLO:
        return take_hello(worker, envelope, body) ? STATUS_END : -1;
    case MESSAGE_DRAIN:
        if (worker->drained)
            return -1;
        worker->drained = true;
        return STATUS_CLOSED;
    case MESSAGE_READ:
    case MESSAGE_WRITE:
    case MESSAGE_CONTROL:
    case MESSAGE_CREDIT:
    case MESSAGE_CANCEL:
        fill_message(message, envelope, body);
        return STATUS_OK;
    default:
        worker->bad_messages++;
        return -1;
    }
}

static int take_arrived(struct worker *worker, struct worker_message *message)
{
    for (;;) {
        struct envelope envelope;
        zmq_msg_t body;
        enum received received = receive(worker, &envelope, &body);
        int meaning = received == RECEIVED_MESSAGE ? judge(worker, &envelope, &body, message) : -1;
        zmq_msg_close(&body);
        if (received == RECEIVED_JUNK)
            worker->bad_messages++;
        worker->socket_empty = received == RECEIVED_NOTHING;
        if (meaning >= 0 || worker->socket_empty)
            return meaning;
    }
}

static void notice_disconnection(struct worker *worker)
{
    zmq_msg_t frame;
    for (bool any = true; any;) {
        zmq_msg_init(&frame);
        any = receive_frame(&frame, worker->monitor) >= 0;
        zmq_msg_close(&frame);
        if (any && worker->welcomed) {
            worker->welcomed = false;
            send_queue_clear(&worker->queue);
        }
    }
    worker->monitor_empty = true;
}

/* Blocks until there may be something to do; true when the descriptor is readable. */
static bool wait_for_more(struct worker *worker, int64_t until_ns, int extra_fd)
{
    bool beats = worker->has_state && worker->welcomed && !worker->drained && !worker->queue.head;
    if (beats && worker->heartbeat_ns < until_ns)
        until_ns = worker->heartbeat_ns;
    long timeout_ms = until_ns == INT64_MAX ? -1 : clock_ms_until(until_ns, INT_MAX);
    struct socket_wait items[] = {
        socket_wait_of(worker->socket, &worker->socket_empty),
        socket_wait_of(worker->monitor, &worker->monitor_empty),
        {.fd = extra_fd},
    };
    if (worker->queue.head) { /* the last read may have taken the news in that there is room again */
        items[0].events |= ZMQ_POLLOUT;
        items[0].drained = NULL;
    }
    socket_wait(items, sizeof items / sizeof *items, (int)timeout_ms);
    return items[2].ready;
}

int worker_next(struct worker *worker, int64_t until_ns, int extra_fd, struct worker_message *message)
{
    for (;;) {
        notice_disconnection(worker);
        bool was_slow = worker->queue.head != NULL;
        flush(worker);
        announce(worker);
        int meaning = take_arrived(worker, message);
        if (meaning >= 0)
            return meaning;
        if (until_ns == 0 || clock_boot_ns() >= until_ns || (was_slow && !worker->queue.head))
            return STATUS_END;
        if (wait_for_more(worker, until_ns, extra_fd))
            return STATUS_END;
    }
}

void worker_message_free(struct worker_message *message)
{
    if (!message->frame)
        return;
    zmq_msg_close(message->frame);
    free(message->frame);
    *message = (struct worker_message){0};
}
