/*
 * raw.c - frames in and out of the real broker.
 */
#include "tests/system/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { WAIT_MS = 10000 };

static void wait_for_ready(int fd)
{
    char line[16] = {0};
    ssize_t size = read(fd, line, sizeof line - 1);
    assert_true(size > 0);
    assert_string_equal(line, "READY\n");
    close(fd);
}

void raw_broker_again(struct raw_broker *broker)
{
    int ready[2];
    char number[16];
    assert_int_equal(pipe(ready), 0);
    snprintf(number, sizeof number, "%d", ready[1]);
    const char *arguments[10] = {"stigstore-broker", "--endpoint", broker->endpoint, "--ready-fd", number};
    if (broker->keys) {
        const char *const more[] = {"--listen", "tcp://127.0.0.1:*", "--keys", broker->keys};
        memcpy(arguments + 5, more, sizeof more);
    }
    broker->pid = process_start(arguments, -1, -1, ready[1]);
    close(ready[1]);
    wait_for_ready(ready[0]);
}

void raw_broker_prepare(struct raw_broker *broker)
{
    memset(broker, 0, sizeof *broker);
    broker->folder = folder_new();
    broker->context = zmq_ctx_new();
    assert_non_null(broker->context);
    snprintf(broker->endpoint, sizeof broker->endpoint, "ipc://%s/b.sock", broker->folder);
    snprintf(broker->workers, sizeof broker->workers, "%s.workers", broker->endpoint);
}

void raw_broker_start(struct raw_broker *broker)
{
    raw_broker_prepare(broker);
    raw_broker_again(broker);
}

int raw_broker_stop(struct raw_broker *broker)
{
    pid_t pid = broker->pid;
    broker->pid = 0;
    kill(pid, SIGTERM);
    return process_join(pid);
}

void raw_broker_free(struct raw_broker *broker)
{
    if (broker->pid > 0) {
        kill(broker->pid, SIGKILL);
        process_join(broker->pid);
    }
    for (size_t i = 0; i < RAW_SOCKETS; i++)
        if (broker->sockets[i])
            zmq_close(broker->sockets[i]);
    zmq_ctx_term(broker->context);
    folder_remove(&broker->folder);
}

void raw_message_free(struct raw_message *message)
{
    free(message->body);
    message->body = NULL;
}

/* ---- sockets ---- */

static void set_int(void *socket, int option, int value)
{
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof value), 0);
}

void *raw_dealer_unconnected(struct raw_broker *broker, bool probe)
{
    size_t at = 0;
    while (at < RAW_SOCKETS && broker->sockets[at])
        at++;
    assert_true(at < RAW_SOCKETS);
    void *socket = broker->sockets[at] = zmq_socket(broker->context, ZMQ_DEALER);
    assert_non_null(socket);
    set_int(socket, ZMQ_LINGER, 0);
    set_int(socket, ZMQ_IMMEDIATE, 1);
    set_int(socket, ZMQ_RCVTIMEO, WAIT_MS);
    set_int(socket, ZMQ_SNDTIMEO, WAIT_MS);
    set_int(socket, ZMQ_RECONNECT_IVL, 20);
    set_int(socket, ZMQ_PROBE_ROUTER, probe);
    return socket;
}

void *raw_dealer(struct raw_broker *broker, const char *endpoint, bool probe)
{
    void *socket = raw_dealer_unconnected(broker, probe);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void expect_welcome(void *socket)
{
    struct raw_message message = raw_receive_any(socket);
    struct hello hello;
    assert_int_equal(message.envelope.type, MESSAGE_HELLO);
    assert_true(message.envelope.flags & ENVELOPE_WELCOME);
    assert_int_equal(hello_decode(message.body, message.size, &hello), STATUS_OK);
    assert_int_equal(hello.life, message.envelope.life);
    assert_int_equal(hello.uncredited_bytes, LIMIT_UNCREDITED_BYTES);
    raw_message_free(&message);
}

void *raw_client(struct raw_broker *broker)
{
    void *socket = raw_dealer(broker, broker->endpoint, true);
    expect_welcome(socket);
    return socket;
}

void *raw_worker(struct raw_broker *broker, uint8_t role, uint64_t life, uint64_t epoch)
{
    void *socket = raw_dealer(broker, broker->workers, true);
    expect_welcome(socket);
    struct worker_state state = {
        .role = role,
        .life = life,
        .pid = 4711,
        .epoch = epoch,
        .max_data_bytes = LIMIT_DATA_BYTES,
        .path = span_text("/nowhere/test.sqlite"),
        .status = span_text("{\"groups\":12}"),
    };
    struct arena *arena = arena_new(0);
    struct span body = worker_state_encode(&state, arena);
    struct envelope envelope = raw_envelope(MESSAGE_READY, 0);
    raw_send(socket, &envelope, body.data, body.size);
    arena_free(&arena);
    return socket;
}

void raw_close(struct raw_broker *broker, void **socket)
{
    for (size_t i = 0; i < RAW_SOCKETS; i++)
        if (broker->sockets[i] == *socket)
            broker->sockets[i] = NULL;
    zmq_close(*socket);
    *socket = NULL;
}

/* ---- messages ---- */

struct envelope raw_envelope(uint8_t type, uint64_t first)
{
    struct envelope envelope = envelope_make(type, clock_deadline_ns(WAIT_MS));
    envelope.first = first;
    envelope.count = 1;
    return envelope;
}

void raw_send_frames(void *socket, const struct span *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int sent =
            zmq_send(socket, frames[i].size ? frames[i].data : "", frames[i].size, i + 1 < count ? ZMQ_SNDMORE : 0);
        assert_int_equal(sent, frames[i].size);
    }
}

void raw_send(void *socket, const struct envelope *envelope, const void *body, size_t size)
{
    uint8_t encoded[ENVELOPE_BYTES];
    envelope_encode(envelope, encoded);
    const struct span frames[] = {{encoded, sizeof encoded}, {body, size}};
    raw_send_frames(socket, frames, 2);
}

struct raw_message raw_receive_any(void *socket)
{
    struct raw_message message = {0};
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    int received = zmq_msg_recv(&frame, socket, 0);
    if (received < 0)
        fail_msg("nothing came: %s", zmq_strerror(errno));
    assert_int_equal(envelope_decode(zmq_msg_data(&frame), zmq_msg_size(&frame), &message.envelope), STATUS_OK);
    assert_true(zmq_msg_more(&frame));
    assert_true(zmq_msg_recv(&frame, socket, 0) >= 0);
    assert_false(zmq_msg_more(&frame));
    message.size = zmq_msg_size(&frame);
    message.body = malloc(message.size + 1);
    assert_non_null(message.body);
    memcpy(message.body, zmq_msg_data(&frame), message.size);
    zmq_msg_close(&frame);
    return message;
}

struct raw_message raw_receive(void *socket)
{
    for (;;) {
        struct raw_message message = raw_receive_any(socket);
        if (message.envelope.type != MESSAGE_HELLO || (message.envelope.flags & ENVELOPE_WELCOME))
            return message;
        raw_message_free(&message);
    }
}

bool raw_is_quiet(void *socket, int ms)
{
    int64_t until_ns = clock_deadline_ns((uint32_t)ms);
    for (;;) {
        zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, clock_ms_until(until_ns, ms)) == 0)
            return true;
        struct raw_message message = raw_receive_any(socket);
        bool news = message.envelope.type == MESSAGE_HELLO;
        raw_message_free(&message);
        if (!news)
            return false;
    }
}

struct envelope raw_expect(void *socket, uint8_t type, uint64_t first, int32_t status)
{
    struct raw_message message = raw_receive(socket);
    assert_string_equal(message_type_name(message.envelope.type), message_type_name(type));
    assert_int_equal(message.envelope.first, first);
    assert_string_equal(status_name(message.envelope.status), status_name(status));
    raw_message_free(&message);
    return message.envelope;
}

void raw_reply(void *socket, const struct envelope *to, int32_t status, const void *body, size_t size)
{
    struct envelope envelope = envelope_make(MESSAGE_REPLY, to->deadline_ns);
    envelope.life = to->life;
    envelope.ticket = to->ticket;
    envelope.attempt = to->attempt;
    envelope.first = to->first;
    envelope.count = to->count;
    envelope.status = status;
    raw_send(socket, &envelope, body, size);
}

/* ---- status ---- */

char *raw_status(void *client)
{
    struct arena *arena = arena_new(0);
    struct control control = {.verb = CONTROL_STATUS};
    struct span body = control_encode(&control, arena);
    struct envelope envelope = raw_envelope(MESSAGE_CONTROL, 424242);
    raw_send(client, &envelope, body.data, body.size);
    struct raw_message message = raw_receive(client);
    const struct reply *replies;
    size_t count;
    assert_int_equal(message.envelope.type, MESSAGE_REPLY);
    assert_int_equal(message.envelope.first, 424242);
    assert_int_equal(message.envelope.status, STATUS_OK);
    assert_int_equal(body_decode_replies(message.body, message.size, arena, &replies, &count), STATUS_OK);
    assert_int_equal(count, 1);
    char *json = strndup(replies[0].message.data, replies[0].message.size);
    raw_message_free(&message);
    arena_free(&arena);
    return json;
}

long raw_number(const char *json, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    return at ? strtol(at + strlen(key), NULL, 10) : -1;
}
