/*
 * remote_socket.c - the DEALER socket to the broker and its monitor: options, CURVE keys, refusals.
 */
#include "client/remote_lane.h"
#include "proto/limits.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <zmq.h>

enum {
    FREE_DESCRIPTORS = 16, /* libzmq aborts when it finds none */
    HIGH_WATER_MARK = 8,
    RECONNECT_MS = 20,
    RECONNECT_MOST_MS = 500,
    HANDSHAKE_MS = 10000,
    TCP_IDLE_S = 30,
    TCP_INTERVAL_S = 10,
    TCP_PROBES = 3,
    TCP_GIVE_UP_MS = 60000,
    KEY_FILE_BYTES = 16384,
};

/* ---- keys ---- */

/* The 40 characters of `name = "..."`, in whatever section it stands. */
static bool read_key(const char *text, const char *name, char key[REMOTE_KEY_CHARS + 1])
{
    const char *at = strstr(text, name), *end;

    if (!at || !(at = strchr(at, '"')) || !(end = strchr(at + 1, '"')) || end - at - 1 != REMOTE_KEY_CHARS)
        return false;
    memcpy(key, at + 1, REMOTE_KEY_CHARS);
    key[REMOTE_KEY_CHARS] = '\0';
    return true;
}

static int read_file(const char *path, char *text, size_t room, struct failure *failure)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = descriptor < 0 ? -1 : read(descriptor, text, room - 1);
    int error = errno;

    if (descriptor >= 0)
        close(descriptor);
    if (got < 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "key file %s: %s", path, strerror(error));
    text[got] = '\0';
    return STATUS_OK;
}

int remote_keys_read(struct remote_keys *keys, const char *server_key, const char *file, struct failure *failure)
{
    char text[KEY_FILE_BYTES];
    int status;
    bool whole;

    if (strlen(server_key) != REMOTE_KEY_CHARS)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "the server's key must have %d characters",
                           REMOTE_KEY_CHARS);
    if (!file)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "a server's key needs a key file of our own");
    status = read_file(file, text, sizeof text, failure);
    if (status != STATUS_OK)
        return status;
    whole = read_key(text, "public-key", keys->public) && read_key(text, "secret-key", keys->secret);
    explicit_bzero(text, sizeof text);
    if (!whole)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s holds no pair of keys", file);
    memcpy(keys->server, server_key, sizeof keys->server);
    keys->used = true;
    return STATUS_OK;
}

/* ---- the socket ---- */

static bool has_free_descriptors(int any)
{
    int taken[FREE_DESCRIPTORS];
    int count = 0;

    while (count < FREE_DESCRIPTORS && (taken[count] = fcntl(any, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    for (int i = 0; i < count; i++)
        close(taken[i]);
    return count == FREE_DESCRIPTORS;
}

static bool set(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(void *socket)
{
    int64_t most = (int64_t)request_message_bytes(LIMIT_DATA_BYTES_MOST);

    return zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0 && set(socket, ZMQ_IMMEDIATE, 1) &&
           set(socket, ZMQ_PROBE_ROUTER, 1) && set(socket, ZMQ_SNDHWM, HIGH_WATER_MARK) &&
           set(socket, ZMQ_RCVHWM, HIGH_WATER_MARK) && set(socket, ZMQ_LINGER, 0) && set(socket, ZMQ_IPV6, 1) &&
           set(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) && set(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MOST_MS) &&
           set(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) && set(socket, ZMQ_TCP_KEEPALIVE, 1) &&
           set(socket, ZMQ_TCP_KEEPALIVE_IDLE, TCP_IDLE_S) && set(socket, ZMQ_TCP_KEEPALIVE_INTVL, TCP_INTERVAL_S) &&
           set(socket, ZMQ_TCP_KEEPALIVE_CNT, TCP_PROBES) && set(socket, ZMQ_TCP_MAXRT, TCP_GIVE_UP_MS);
}

static bool set_keys(void *socket, const struct remote_keys *keys)
{
    return !keys->used || (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->server, REMOTE_KEY_CHARS + 1) == 0 &&
                           zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public, REMOTE_KEY_CHARS + 1) == 0 &&
                           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret, REMOTE_KEY_CHARS + 1) == 0);
}

/* Lets epoll_fd watch the descriptor behind a libzmq socket. */
static bool watch(struct remote *remote, void *socket, int *descriptor)
{
    struct epoll_event event = {.events = EPOLLIN};
    size_t size = sizeof *descriptor;

    if (zmq_getsockopt(socket, ZMQ_FD, descriptor, &size) != 0)
        return false;
    if (epoll_ctl(remote->epoll_fd, EPOLL_CTL_ADD, *descriptor, &event) == 0)
        return true;
    *descriptor = -1;
    return false;
}

static void unwatch(struct remote *remote, int *descriptor)
{
    if (*descriptor >= 0)
        epoll_ctl(remote->epoll_fd, EPOLL_CTL_DEL, *descriptor, NULL);
    *descriptor = -1;
}

/* A client whose key is refused sees nothing on its socket: only the monitor tells. */
static bool open_monitor(struct remote *remote)
{
    char address[64];

    if (!remote->keys.used)
        return true;
    snprintf(address, sizeof address, "inproc://monitor-%llu", (unsigned long long)remote->counters.refusals);
    remote->monitor = zmq_socket(remote->context, ZMQ_PAIR);
    return remote->monitor && set(remote->monitor, ZMQ_LINGER, 0) &&
           zmq_socket_monitor(remote->socket, address, ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) == 0 &&
           zmq_connect(remote->monitor, address) == 0 && watch(remote, remote->monitor, &remote->monitor_fd);
}

int remote_socket_open(struct remote *remote, struct failure *failure)
{
    int error;

    assert(!remote->socket);
    if (!has_free_descriptors(remote->event_fd))
        return failure_set(failure, STATUS_NO_MEMORY, "fewer than %d free file descriptors", FREE_DESCRIPTORS);
    remote->socket = zmq_socket(remote->context, ZMQ_DEALER);
    if (remote->socket && set_options(remote->socket) && set_keys(remote->socket, &remote->keys) &&
        open_monitor(remote) && watch(remote, remote->socket, &remote->socket_fd) &&
        zmq_connect(remote->socket, remote->endpoint) == 0)
        return STATUS_OK;
    error = errno;
    remote_socket_close(remote, 0);
    return failure_set(failure, error == EINVAL || error == EPROTONOSUPPORT ? STATUS_INVALID_ARGUMENT : STATUS_IO_ERROR,
                       "%s: %s", remote->endpoint, zmq_strerror(error));
}

void remote_socket_close(struct remote *remote, int linger_ms)
{
    unwatch(remote, &remote->socket_fd);
    unwatch(remote, &remote->monitor_fd);
    if (remote->socket) {
        if (remote->monitor)
            zmq_socket_monitor(remote->socket, NULL, 0);
        set(remote->socket, ZMQ_LINGER, linger_ms);
        zmq_close(remote->socket);
    }
    if (remote->monitor)
        zmq_close(remote->monitor);
    remote->socket = remote->monitor = NULL;
    remote->drained = remote->welcomed = false;
}

bool remote_socket_was_refused(struct remote *remote)
{
    bool refused = false;
    zmq_msg_t frame;

    if (!remote->monitor)
        return false;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, remote->monitor, ZMQ_DONTWAIT) >= 0) {
        uint16_t event = 0;

        if (zmq_msg_more(&frame) && zmq_msg_size(&frame) >= sizeof event)
            memcpy(&event, zmq_msg_data(&frame), sizeof event);
        refused |= event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    }
    zmq_msg_close(&frame);
    return refused;
}

int remote_socket_events(struct remote *remote)
{
    int events = 0;
    size_t size = sizeof events;

    if (!remote->socket || zmq_getsockopt(remote->socket, ZMQ_EVENTS, &events, &size) != 0)
        return 0;
    remote->drained = !(events & ZMQ_POLLIN);
    return events;
}

bool remote_socket_has_input(struct remote *remote)
{
    struct pollfd descriptor = {.fd = remote->socket_fd, .events = POLLIN};

    if (remote->drained && poll(&descriptor, 1, 0) == 0)
        return false;
    return remote_socket_events(remote) & ZMQ_POLLIN;
}
