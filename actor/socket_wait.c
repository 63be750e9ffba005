/*
 * socket_wait.c - one poll() for sockets of libzmq and plain descriptors.
 */
#include "actor/socket_wait.h"

#include <assert.h>
#include <poll.h>
#include <zmq.h>

struct socket_wait socket_wait_of(void *socket, const bool *drained)
{
    struct socket_wait item = {.socket = socket, .fd = -1, .events = ZMQ_POLLIN, .drained = drained};
    size_t size = sizeof item.fd;
    if (socket && zmq_getsockopt(socket, ZMQ_FD, &item.fd, &size) != 0)
        item.fd = -1;
    return item;
}

/* Asking takes in what the descriptor would have told. */
static bool has_events(const struct socket_wait *item)
{
    int events = 0;
    size_t size = sizeof events;
    return zmq_getsockopt(item->socket, ZMQ_EVENTS, &events, &size) == 0 && events & item->events;
}

void socket_wait(struct socket_wait *items, size_t count, int timeout_ms)
{
    struct pollfd descriptors[SOCKET_WAIT_MOST];
    assert(count <= SOCKET_WAIT_MOST);
    for (size_t i = 0; i < count; i++) {
        struct socket_wait *item = &items[i];
        item->ready = item->socket && !(item->drained && *item->drained) && has_events(item);
        if (item->ready)
            timeout_ms = 0;
        descriptors[i] = (struct pollfd){.fd = item->fd, .events = POLLIN};
    }
    if (poll(descriptors, (nfds_t)count, timeout_ms) <= 0)
        return;
    for (size_t i = 0; i < count; i++)
        items[i].ready = items[i].ready || descriptors[i].revents;
}
