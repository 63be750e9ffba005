/*
 * descriptors.h - a door's connections by descriptor: those that its monitor says are open, and whose they are.
 *
 * Each door has its own: the events of two monitors come in no order, so a descriptor that another door's connection
 * has just left may be open here before that door says so.
 *
 * Owns: the table, not the peers.  Thread: one.
 * Invariant: only an open descriptor has a peer.
 */
#ifndef BROKER_DESCRIPTORS_H
#define BROKER_DESCRIPTORS_H
#include <stdbool.h>
#include <stddef.h>

struct peer;

/* All zero: none is open. */
struct descriptors {
    struct descriptor *by_fd;
    size_t room;
};

void descriptors_free(struct descriptors *descriptors);

/* The monitor's events. The peer that had the descriptor until now, NULL: nobody. Without memory for a descriptor it
 * stays closed. */
struct peer *descriptors_opened(struct descriptors *descriptors, int fd);
struct peer *descriptors_closed(struct descriptors *descriptors, int fd);

bool descriptors_is_open(const struct descriptors *descriptors, int fd);
/* NULL: nobody's, or not open. */
struct peer *descriptors_peer(const struct descriptors *descriptors, int fd);
/* `fd` is open. */
void descriptors_give(struct descriptors *descriptors, int fd, struct peer *peer);
#endif
