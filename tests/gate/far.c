/*
 * far.c - raw peers, over tcp and on this host.
 */
#include "tests/gate/far.h"

#include "proto/clock.h"
#include "proto/envelope.h"

#include <string.h>
#include <zmq.h>

enum { WAIT_MS = 20000 };

static void set_int(void *socket, int option, int value)
{
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof(value)), 0);
}

static void set_key(void *socket, int option, const char *key)
{
    assert_int_equal(zmq_setsockopt(socket, option, key, GATE_KEY_CHARS + 1), 0);
}

static void *new_socket(void *context, const struct gate *gate, const char *name, const char *server_key)
{
    void *socket = zmq_socket(context, ZMQ_DEALER);
    assert_non_null(socket);
    set_int(socket, ZMQ_LINGER, 0);
    set_int(socket, ZMQ_RCVTIMEO, WAIT_MS);
    set_int(socket, ZMQ_SNDTIMEO, WAIT_MS);
    set_int(socket, ZMQ_PROBE_ROUTER, 1);
    if (name) {
        char key[GATE_KEY_CHARS + 1];
        set_key(socket, ZMQ_CURVE_SERVERKEY, server_key);
        gate_key(gate, name, "public-key", key);
        set_key(socket, ZMQ_CURVE_PUBLICKEY, key);
        gate_key(gate, name, "secret-key", key);
        set_key(socket, ZMQ_CURVE_SECRETKEY, key);
    }
    return socket;
}

/* ---- the handshake ---- */

/* The first that it says of a connection. */
static int first_event(void *monitor)
{
    uint16_t event = 0;
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    if (zmq_msg_recv(&frame, monitor, 0) < 0)
        fail_msg("no end of the handshake: %s", zmq_strerror(zmq_errno()));
    assert_true(zmq_msg_size(&frame) >= sizeof(event));
    memcpy(&event, zmq_msg_data(&frame), sizeof(event));
    zmq_msg_close(&frame);
    return event;
}

static void *watch(void *context, void *socket, int events)
{
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    set_int(monitor, ZMQ_LINGER, 0);
    set_int(monitor, ZMQ_RCVTIMEO, WAIT_MS);
    assert_int_equal(zmq_socket_monitor(socket, "inproc://handshake", events), 0);
    assert_int_equal(zmq_connect(monitor, "inproc://handshake"), 0);
    return monitor;
}

static void unwatch(void *socket, void *monitor)
{
    zmq_socket_monitor(socket, NULL, 0);
    zmq_close(monitor);
}

bool far_is_let_in(const struct gate *gate, const char *name, const char *server_key)
{
    enum {
        ENDS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_DISCONNECTED
    };
    void *context = zmq_ctx_new(), *socket = new_socket(context, gate, name, server_key);
    set_int(socket, ZMQ_RECONNECT_IVL, -1);
    void *monitor = watch(context, socket, ENDS);
    assert_int_equal(zmq_connect(socket, gate->url), 0);
    int event = first_event(monitor);
    unwatch(socket, monitor);
    zmq_close(socket);
    zmq_ctx_term(context);
    return event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
}

/* ---- messages ---- */

static void receive(struct far *far, struct envelope *envelope, zmq_msg_t *body)
{
    zmq_msg_t head;
    zmq_msg_init(&head);
    if (zmq_msg_recv(&head, far->socket, 0) < 0)
        fail_msg("nothing came: %s", zmq_strerror(zmq_errno()));
    assert_int_equal(envelope_decode(zmq_msg_data(&head), zmq_msg_size(&head), envelope), STATUS_OK);
    assert_true(zmq_msg_more(&head));
    zmq_msg_init(body);
    assert_true(zmq_msg_recv(body, far->socket, 0) >= 0);
    zmq_msg_close(&head);
}

static void wait_for_writer(struct far *far)
{
    while (far->hello.writer_epoch == 0) {
        struct envelope envelope;
        zmq_msg_t body;
        receive(far, &envelope, &body);
        assert_int_equal(envelope.type, MESSAGE_HELLO);
        assert_int_equal(hello_decode(zmq_msg_data(&body), zmq_msg_size(&body), &far->hello), STATUS_OK);
        zmq_msg_close(&body);
    }
    far->hello.path = (struct span){0};
}

static void begin(struct far *far, const struct gate *gate, const char *name)
{
    *far = (struct far){.context = zmq_ctx_new(), .arena = arena_new(0)};
    far->socket = new_socket(far->context, gate, name, gate->server_key);
}

void far_open(struct far *far, const struct gate *gate, const char *name)
{
    begin(far, gate, name);
    assert_int_equal(zmq_connect(far->socket, gate->url), 0);
    far_greet(far);
}

void far_greet(struct far *far)
{
    wait_for_writer(far);
    random_bytes(far->session.id, sizeof(far->session.id));
    memcpy(far->session.incarnation, far->hello.incarnation, sizeof(far->session.incarnation));
    far->session.counter = far->hello.session_counter;
    far->session.floor = 1;
}

void far_connect_here(struct far *far, const struct gate *gate)
{
    begin(far, gate, NULL);
    void *monitor = watch(far->context, far->socket, ZMQ_EVENT_CONNECTED);
    assert_int_equal(zmq_connect(far->socket, gate->service.endpoint), 0);
    assert_int_equal(first_event(monitor), ZMQ_EVENT_CONNECTED);
    unwatch(far->socket, monitor);
}

void far_close(struct far *far)
{
    zmq_close(far->socket);
    zmq_ctx_term(far->context);
    arena_free(&far->arena);
}

struct request far_save(const char *id, const char *data)
{
    return (struct request){.operation = OPERATION_SAVE,
                            .kind = span_text("k"),
                            .id = span_text(id),
                            .data = span_text(data),
                            .deadline_ns = clock_deadline_ns(WAIT_MS)};
}

static void send_write(struct far *far, uint64_t number, const struct request *request)
{
    struct envelope envelope = envelope_make(MESSAGE_WRITE, request->deadline_ns);
    uint8_t encoded[ENVELOPE_BYTES];
    size_t size = body_requests_size(&far->session, request, 1, envelope.deadline_ns);
    void *body = arena_alloc(far->arena, size);
    envelope.first = number;
    envelope.count = 1;
    envelope_encode(&envelope, encoded);
    body_encode_requests(&far->session, request, 1, envelope.deadline_ns, body);
    assert_int_equal(zmq_send(far->socket, encoded, sizeof(encoded), ZMQ_SNDMORE), sizeof(encoded));
    assert_int_equal(zmq_send(far->socket, body, size, 0), size);
}

struct reply far_write(struct far *far, uint64_t number, const struct request *request)
{
    struct envelope envelope;
    zmq_msg_t body;
    send_write(far, number, request);
    for (receive(far, &envelope, &body); envelope.type == MESSAGE_HELLO; receive(far, &envelope, &body))
        zmq_msg_close(&body);
    assert_int_equal(envelope.type, MESSAGE_REPLY);
    assert_int_equal(envelope.first, number);
    const struct reply *replies = NULL;
    size_t count = 0;
    struct reply reply = {.status = envelope.status};
    if (reply.status == STATUS_OK) {
        assert_int_equal(body_decode_replies(zmq_msg_data(&body), zmq_msg_size(&body), far->arena, &replies, &count),
                         STATUS_OK);
        assert_int_equal(count, 1);
        reply = replies[0];
    }
    zmq_msg_close(&body);
    return reply;
}
