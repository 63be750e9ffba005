/*
 * raw_link.c - one DEALER with the options that the protocol asks for.
 */
#include "bench/raw_link.h"

#include "proto/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { KEY_CHARS = 40, LINGER_MS = 1000, RECONNECT_MS = 50, RECONNECT_MOST_MS = 500, WAIT_MOST_MS = 1000 };

struct raw_link {
    void *context, *socket;
    struct hello hello;
};

static bool set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

static bool set_key(void *socket, int option, const char *text, const char *name)
{
    char key[KEY_CHARS + 1] = "";
    const char *at = name ? strstr(text, name) : NULL;
    at = name ? (at ? strchr(at, '"') : NULL) : text;
    if (!at || strlen(at + (name != NULL)) < KEY_CHARS)
        return false;
    memcpy(key, at + (name != NULL), KEY_CHARS);
    return zmq_setsockopt(socket, option, key, sizeof(key)) == 0;
}

static bool set_keys(void *socket, const char *server_key, const char *key_file)
{
    char text[4096] = "";
    FILE *file = key_file ? fopen(key_file, "re") : NULL;
    size_t got = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file)
        (void)fclose(file);
    bool done = got > 0 && set_key(socket, ZMQ_CURVE_SERVERKEY, server_key, NULL) &&
                set_key(socket, ZMQ_CURVE_PUBLICKEY, text, "public-key") &&
                set_key(socket, ZMQ_CURVE_SECRETKEY, text, "secret-key");
    explicit_bzero(text, sizeof(text));
    return done;
}

/* Marks are off: what is under way is bounded by the window. */
static bool open_socket(struct raw_link *link, const char *endpoint, const char *server_key, const char *key_file)
{
    link->context = zmq_ctx_new();
    link->socket = link->context ? zmq_socket(link->context, ZMQ_DEALER) : NULL;
    void *socket = link->socket;
    return socket && set(socket, ZMQ_PROBE_ROUTER, 1) && set(socket, ZMQ_IMMEDIATE, 1) &&
           set(socket, ZMQ_LINGER, LINGER_MS) && set(socket, ZMQ_SNDHWM, 0) && set(socket, ZMQ_RCVHWM, 0) &&
           set(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) && set(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MOST_MS) &&
           (!server_key || set_keys(socket, server_key, key_file)) && zmq_connect(socket, endpoint) == 0;
}

static bool wait_for_welcome(struct raw_link *link, int64_t until_ns)
{
    bool welcomed = false;
    while (!(welcomed && link->hello.writer_epoch)) {
        struct envelope envelope;
        zmq_msg_t body;
        if (raw_link_receive(link, &envelope, &body)) {
            zmq_msg_close(&body);
            welcomed = welcomed || (envelope.type == MESSAGE_HELLO && (envelope.flags & ENVELOPE_WELCOME));
            continue;
        }
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec * NS_PER_S + now.tv_nsec >= until_ns)
            return false;
        raw_link_wait(link, until_ns);
    }
    return true;
}

struct raw_link *raw_link_new(const char *endpoint, const char *server_key, const char *key_file, uint32_t timeout_ms,
                              char *why, size_t room)
{
    struct timespec now;
    struct raw_link *link = calloc(1, sizeof(*link));
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!link || !open_socket(link, endpoint, server_key, key_file)) {
        snprintf(why, room, "cannot connect to %s: %s", endpoint, zmq_strerror(zmq_errno()));
        goto fail;
    }
    if (!wait_for_welcome(link, now.tv_sec * NS_PER_S + now.tv_nsec + timeout_ms * NS_PER_MS)) {
        snprintf(why, room, "no service with a writer answers at %s", endpoint);
        goto fail;
    }
    return link;
fail:
    raw_link_free(&link);
    return NULL;
}

void raw_link_free(struct raw_link **link)
{
    if (!*link)
        return;
    if ((*link)->socket)
        zmq_close((*link)->socket);
    if ((*link)->context)
        zmq_ctx_term((*link)->context);
    free(*link);
    *link = NULL;
}

const struct hello *raw_link_hello(const struct raw_link *link)
{
    return &link->hello;
}

bool raw_link_send(struct raw_link *link, const struct envelope *envelope, const void *body, size_t body_bytes)
{
    uint8_t head[ENVELOPE_BYTES];
    envelope_encode(envelope, head);
    return zmq_send(link->socket, head, sizeof(head), ZMQ_SNDMORE | ZMQ_DONTWAIT) == (int)sizeof(head) &&
           zmq_send(link->socket, body_bytes ? body : "", body_bytes, ZMQ_DONTWAIT) == (int)body_bytes;
}

static void drop_rest(struct raw_link *link, zmq_msg_t *frame)
{
    while (zmq_msg_more(frame) && zmq_msg_recv(frame, link->socket, ZMQ_DONTWAIT) >= 0) {
    }
}

bool raw_link_receive(struct raw_link *link, struct envelope *envelope, zmq_msg_t *body)
{
    zmq_msg_t head;
    zmq_msg_init(&head);
    while (zmq_msg_recv(&head, link->socket, ZMQ_DONTWAIT) >= 0) {
        zmq_msg_init(body);
        bool is_whole = envelope_decode(zmq_msg_data(&head), zmq_msg_size(&head), envelope) == STATUS_OK &&
                        zmq_msg_more(&head) && zmq_msg_recv(body, link->socket, ZMQ_DONTWAIT) >= 0;
        if (!is_whole || zmq_msg_more(body)) { /* not ours to understand */
            drop_rest(link, is_whole ? body : &head);
            zmq_msg_close(body);
            continue;
        }
        struct hello hello;
        if (envelope->type == MESSAGE_HELLO &&
            hello_decode(zmq_msg_data(body), zmq_msg_size(body), &hello) == STATUS_OK) {
            link->hello = hello;
            link->hello.path = (struct span){NULL, 0};
        }
        zmq_msg_close(&head);
        return true;
    }
    zmq_msg_close(&head);
    return false;
}

void raw_link_wait(struct raw_link *link, int64_t until_ns)
{
    struct timespec now;
    int events = 0, fd = -1;
    size_t events_size = sizeof(events), fd_size = sizeof(fd);
    /* The descriptor tells of changes only: asking for the events first is what arms it. */
    if (zmq_getsockopt(link->socket, ZMQ_EVENTS, &events, &events_size) != 0 || (events & ZMQ_POLLIN) ||
        zmq_getsockopt(link->socket, ZMQ_FD, &fd, &fd_size) != 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left_ns = until_ns - (now.tv_sec * NS_PER_S + now.tv_nsec);
    left_ns = left_ns > WAIT_MOST_MS * NS_PER_MS ? WAIT_MOST_MS * NS_PER_MS : left_ns;
    if (left_ns > 0) {
        struct timespec left = {.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        ppoll(&readable, 1, &left, NULL);
    }
}
