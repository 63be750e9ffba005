/*
 * door.c - frames of a ROUTER that must not block and must not drop silently.
 */
#include "broker/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINGER_MS = 2000, BACKLOG = 1024 };

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(void *socket, const struct door_options *options)
{
    int64_t most = (int64_t)(options->message_bytes > ENVELOPE_BYTES ? options->message_bytes : ENVELOPE_BYTES);
    return set_int(socket, ZMQ_ROUTER_MANDATORY, 1) && set_int(socket, ZMQ_LINGER, LINGER_MS) &&
           set_int(socket, ZMQ_BACKLOG, BACKLOG) && set_int(socket, ZMQ_SNDHWM, options->send_mark) &&
           set_int(socket, ZMQ_RCVHWM, options->receive_mark) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0 &&
           (!options->secure || options->secure(socket, options->secure_context));
}

static bool attach_monitor(void *context, struct door *door, const char *name)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "inproc://monitor.%s", name);
    if (zmq_socket_monitor(door->socket, endpoint, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0)
        return false;
    door->monitor = zmq_socket(context, ZMQ_PAIR);
    return door->monitor && set_int(door->monitor, ZMQ_RCVHWM, 0) && set_int(door->monitor, ZMQ_LINGER, 0) &&
           zmq_connect(door->monitor, endpoint) == 0;
}

int door_open(void *context, const char *endpoint, const struct door_options *options, struct door *door,
              struct failure *failure)
{
    door->monitor = NULL;
    door->socket = zmq_socket(context, ZMQ_ROUTER);
    if (door->socket && set_options(door->socket, options) && attach_monitor(context, door, options->name) &&
        zmq_bind(door->socket, endpoint) == 0)
        return STATUS_OK;
    failure_set(failure, STATUS_IO_ERROR, "cannot bind %s: %s", endpoint, zmq_strerror(errno));
    door_close(door);
    return STATUS_IO_ERROR;
}

bool door_endpoint(const struct door *door, char *out, size_t out_bytes)
{
    return zmq_getsockopt(door->socket, ZMQ_LAST_ENDPOINT, out, &out_bytes) == 0;
}

void door_close(struct door *door)
{
    if (door->socket) {
        zmq_socket_monitor(door->socket, NULL, 0);
        zmq_close(door->socket);
    }
    if (door->monitor)
        zmq_close(door->monitor);
    door->socket = door->monitor = NULL;
    descriptors_free(&door->descriptors);
}

/* ---- in ---- */

static bool receive(void *socket, zmq_msg_t *frame)
{
    int size;
    do {
        size = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    return size >= 0;
}

/* Frames after the second are nobody's. */
static uint32_t drop_rest(void *socket)
{
    uint32_t count = 0;
    bool more = true;
    while (more) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        more = receive(socket, &frame);
        count += more;
        more = more && zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return count;
}

bool door_receive(struct door *door, struct parcel_pool *pool, struct incoming *incoming)
{
    struct parcel *parcel = parcel_new(pool);
    if (!parcel)
        return false;
    incoming->frames = 0;
    incoming->second = parcel;
    zmq_msg_init(&incoming->id);
    zmq_msg_init(&incoming->first);
    door->socket_drained = !receive(door->socket, &incoming->id);
    if (door->socket_drained) {
        parcel_drop(parcel);
        incoming_close(incoming);
        return false;
    }
    if (zmq_msg_more(&incoming->id) && receive(door->socket, &incoming->first))
        incoming->frames++;
    if (zmq_msg_more(&incoming->first) && receive(door->socket, &parcel->body))
        incoming->frames++;
    if (zmq_msg_more(&parcel->body))
        incoming->frames += drop_rest(door->socket);
    return true;
}

void incoming_close(struct incoming *incoming)
{
    zmq_msg_close(&incoming->id);
    zmq_msg_close(&incoming->first);
}

int incoming_fd(struct incoming *incoming)
{
    return zmq_msg_get(&incoming->first, ZMQ_SRCFD);
}

/* ---- out ---- */

static bool send_frame(void *socket, zmq_msg_t *frame, int more)
{
    int sent;
    do {
        sent = zmq_msg_send(frame, socket, more | ZMQ_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        zmq_msg_close(frame);
    return sent >= 0;
}

/* The routing id decides: what follows goes into the same pipe, or nowhere when that has gone meanwhile. */
static enum door_sent address(struct door *door, const void *id, size_t id_size)
{
    int sent;
    door->socket_drained = false;
    do {
        sent = zmq_send(door->socket, id, id_size, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return DOOR_SENT;
    return errno == EAGAIN ? DOOR_FULL : DOOR_GONE;
}

static void send_rest(struct door *door, zmq_msg_t *envelope, zmq_msg_t *body)
{
    send_frame(door->socket, envelope, ZMQ_SNDMORE);
    send_frame(door->socket, body, 0);
}

/* libzmq itself ends the process when memory is short; clients resend to the next broker. */
static void must(bool have_memory)
{
    if (!have_memory)
        abort();
}

enum door_sent door_answer(struct door *door, const void *id, size_t id_size, struct parcel *parcel)
{
    zmq_msg_t envelope, body;
    enum door_sent sent = address(door, id, id_size);
    if (sent != DOOR_SENT)
        return sent;
    must(parcel_lend(parcel, &envelope, &body));
    send_rest(door, &envelope, &body);
    return DOOR_SENT;
}

enum door_sent door_forward(struct door *door, const void *id, size_t id_size, const uint8_t *encoded,
                            struct parcel *parcel)
{
    zmq_msg_t envelope, body;
    enum door_sent sent = address(door, id, id_size);
    if (sent != DOOR_SENT)
        return sent;
    must(zmq_msg_init_size(&envelope, ENVELOPE_BYTES) == 0);
    memcpy(zmq_msg_data(&envelope), encoded, ENVELOPE_BYTES);
    zmq_msg_init(&body);
    if (parcel)
        zmq_msg_copy(&body, &parcel->body);
    send_rest(door, &envelope, &body);
    return DOOR_SENT;
}

/* ---- the monitor ---- */

static bool receive_event(void *monitor, uint16_t *event, int32_t *value)
{
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    bool got = receive(monitor, &frame);
    bool whole = got && zmq_msg_size(&frame) == sizeof *event + sizeof *value;
    if (whole) {
        const uint8_t *bytes = zmq_msg_data(&frame);
        memcpy(event, bytes, sizeof *event);
        memcpy(value, bytes + sizeof *event, sizeof *value);
    }
    if (got && zmq_msg_more(&frame))
        drop_rest(monitor);
    zmq_msg_close(&frame);
    return got;
}

bool door_next_event(struct door *door, struct door_event *event)
{
    uint16_t kind = 0;
    int32_t value = -1;
    door->monitor_drained = false;
    while (receive_event(door->monitor, &kind, &value)) {
        if (kind == ZMQ_EVENT_ACCEPTED || kind == ZMQ_EVENT_DISCONNECTED) {
            *event = (struct door_event){.opened = kind == ZMQ_EVENT_ACCEPTED, .fd = value};
            return true;
        }
    }
    door->monitor_drained = true;
    return false;
}
