/*
 * kinds.h - what peers do to a broker that they wish no good, one kind at a time.
 *
 * A peer speaks ZMTP over a bare socket.  One step does a little; who drives it sets the pace.
 */
#ifndef TESTS_HOSTILE_KINDS_H
#define TESTS_HOSTILE_KINDS_H
#include "tests/fault/dice.h"

#include <stdbool.h>
#include <stddef.h>

enum { PEER_CONNECTIONS = 4 };

struct peer {
    const char *endpoint; /* of clients */
    struct dice dice;
    int fds[PEER_CONNECTIONS]; /* -1: closed */
    uint64_t steps, sent;      /* messages, bytes of slow ones, connections that were begun */
    uint8_t slow[2048];        /* a message that goes byte by byte */
    size_t slow_bytes, slow_at[PEER_CONNECTIONS];
};
void peer_start(struct peer *peer, const char *endpoint, uint64_t seed);
void peer_stop(struct peer *peer);

struct kind {
    const char *name;
    const char *text;
    void (*step)(struct peer *peer);
};
extern const struct kind kinds[]; /* ends with a NULL name */

/* Not among them, because it takes all the broker's memory: frames of one message as fast as they go, until the
 * connection has gone or `bytes` were sent; how many were. `small`: tiny frames, for which libzmq keeps 64 bytes each and
 * ends its process when it cannot have them; else large ones, which it drops with the connection. */
uint64_t peer_send_without_end(const char *endpoint, uint64_t bytes, bool small);
#endif
