/*
 * peers.c - a hash table by routing id.
 */
#include "broker/peers.h"
#include "broker/door.h"

#include <assert.h>
#include <stdlib.h>

struct peers {
    struct peer *slots;
    struct peer *closed;
    uint32_t most;
    struct peer **buckets;
    uint32_t mask;
};

struct peers *peers_new(uint32_t most)
{
    struct peers *peers = calloc(1, sizeof *peers);
    if (!peers)
        return NULL;
    uint32_t buckets = 64;
    while (buckets < 2 * most)
        buckets *= 2;
    peers->slots = calloc(most, sizeof *peers->slots);
    peers->buckets = calloc(buckets, sizeof(struct peer *));
    if (!peers->slots || !peers->buckets) {
        peers_free(&peers);
        return NULL;
    }
    peers->most = most;
    peers->mask = buckets - 1;
    for (uint32_t i = most; i-- > 0;) {
        peers->slots[i].slot = i;
        peers->slots[i].same_bucket = peers->closed;
        peers->closed = &peers->slots[i];
    }
    return peers;
}

void peers_free(struct peers **pointer)
{
    struct peers *peers = *pointer;
    if (!peers)
        return;
    free(peers->slots);
    free(peers->buckets);
    free(peers);
    *pointer = NULL;
}

static struct peer **bucket_of(const struct peers *peers, const struct door *door, const uint8_t *id, size_t id_size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)(uintptr_t)door;
    for (size_t i = 0; i < id_size; i++)
        hash = (hash ^ id[i]) * UINT64_C(0x100000001b3);
    return &peers->buckets[(hash ^ hash >> 32) & peers->mask];
}

struct peer *peers_find(struct peers *peers, const struct door *door, const void *id, size_t id_size)
{
    struct peer *peer = *bucket_of(peers, door, id, id_size);
    while (peer && (peer->door != door || peer->id_size != id_size || memcmp(peer->id, id, id_size) != 0))
        peer = peer->same_bucket;
    return peer;
}

struct peer *peers_open(struct peers *peers, struct door *door, const void *id, size_t id_size, int fd)
{
    assert(id_size <= ROUTING_ID_BYTES && !descriptors_peer(&door->descriptors, fd));
    struct peer *peer = peers->closed;
    if (!peer)
        return NULL;
    peers->closed = peer->same_bucket;
    uint32_t slot = peer->slot;
    *peer = (struct peer){.open = true, .slot = slot, .door = door, .fd = fd, .id_size = (uint8_t)id_size};
    memcpy(peer->id, id, id_size);
    list_init(&peer->slow);
    peer->waiting_end = &peer->waiting;
    struct peer **bucket = bucket_of(peers, door, peer->id, id_size);
    peer->same_bucket = *bucket;
    *bucket = peer;
    descriptors_give(&door->descriptors, fd, peer);
    return peer;
}

void peers_close(struct peers *peers, struct peer *peer)
{
    assert(peer->open && !peer->waiting);
    struct peer **at = bucket_of(peers, peer->door, peer->id, peer->id_size);
    while (*at != peer)
        at = &(*at)->same_bucket;
    *at = peer->same_bucket;
    if (descriptors_peer(&peer->door->descriptors, peer->fd) == peer)
        descriptors_give(&peer->door->descriptors, peer->fd, NULL);
    peer->open = false;
    peer->same_bucket = peers->closed;
    peers->closed = peer;
}

struct peer *peers_at(struct peers *peers, uint32_t slot)
{
    assert(slot < peers->most);
    return &peers->slots[slot];
}
