/*
 * peers.h - who is connected, by routing id.
 *
 * A peer is a slot of the route.  Routing ids are those of one ROUTER, so the door is part of the key.
 *
 * Owns: the table.  Thread: one.
 * Invariant: at most one peer has a descriptor of a door; it is one that the door's monitor says is open.
 */
#ifndef BROKER_PEERS_H
#define BROKER_PEERS_H
#include "broker/list.h"
#include "broker/parcel.h"

enum { ROUTING_ID_BYTES = 255 };

struct door;

struct peer {
    bool open;
    uint8_t id_size;
    uint8_t id[ROUTING_ID_BYTES];
    struct door *door;
    int fd;
    uint32_t slot, generation;
    struct peer *same_bucket;              /* or the next closed one */
    struct link slow;                      /* among those with something waiting */
    struct parcel *waiting, **waiting_end; /* answers that libzmq did not take yet */
};

struct peers;

/* NULL when memory is short. */
struct peers *peers_new(uint32_t most);
void peers_free(struct peers **peers);

struct peer *peers_find(struct peers *peers, const struct door *door, const void *id, size_t id_size);
/* `fd` is open at the door and nobody's. NULL when all slots are taken. */
struct peer *peers_open(struct peers *peers, struct door *door, const void *id, size_t id_size, int fd);
/* Nothing may be waiting for it. */
void peers_close(struct peers *peers, struct peer *peer);
struct peer *peers_at(struct peers *peers, uint32_t slot);
#endif
