/*
 * socket_wait.h - wait for libzmq's sockets by their descriptors.
 *
 * zmq_poll asks each socket before and after it blocks; with five sockets that takes some thirty system calls.  A socket's
 * descriptor alone tells of all that comes, as long as the socket was read until it was empty and nothing was sent since:
 * sending may take the news in.  So only its owner knows whether it must be asked.
 *
 * Owns: nothing.  Thread: that of the sockets.
 */
#ifndef ACTOR_SOCKET_WAIT_H
#define ACTOR_SOCKET_WAIT_H
#include <stdbool.h>
#include <stddef.h>

enum { SOCKET_WAIT_MOST = 16 }; /* items a wait */

struct socket_wait {
    void *socket; /* NULL: `fd` is a plain one, waited for until it is readable; -1: nothing */
    int fd;
    short events;        /* of a socket: ZMQ_POLLIN, ZMQ_POLLOUT */
    const bool *drained; /* the owner's word that the descriptor tells of all that comes; NULL: never */
    bool ready;          /* after the wait: there may be something */
};

/* Waits for input of `socket`. */
struct socket_wait socket_wait_of(void *socket, const bool *drained);
/* Until one of them is ready, or for `timeout_ms` (-1: for ever), or for less when a signal comes. */
void socket_wait(struct socket_wait *items, size_t count, int timeout_ms);
#endif
