/*
 * peers.c - one hash table by routing id and one array by descriptor.
 */
#include "broker/peers.h"

#include <assert.h>
#include <stdlib.h>

struct descriptor {
    bool open;
    struct peer *peer;
};

struct peers {
    struct peer *slots;
    struct peer *closed;
    uint32_t most;
    struct peer **buckets;
    uint32_t mask;
    struct descriptor *descriptors;
    size_t descriptor_room;
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
    free(peers->descriptors);
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
    assert(id_size <= ROUTING_ID_BYTES && peers_fd_is_open(peers, fd) && !peers_by_fd(peers, fd));
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
    peers->descriptors[fd].peer = peer;
    return peer;
}

void peers_close(struct peers *peers, struct peer *peer)
{
    assert(peer->open && !peer->waiting);
    struct peer **at = bucket_of(peers, peer->door, peer->id, peer->id_size);
    while (*at != peer)
        at = &(*at)->same_bucket;
    *at = peer->same_bucket;
    if (peers->descriptors[peer->fd].peer == peer)
        peers->descriptors[peer->fd].peer = NULL;
    peer->open = false;
    peer->same_bucket = peers->closed;
    peers->closed = peer;
}

struct peer *peers_at(struct peers *peers, uint32_t slot)
{
    assert(slot < peers->most);
    return &peers->slots[slot];
}

/* ---- descriptors ---- */

static bool has_descriptor(const struct peers *peers, int fd)
{
    return fd >= 0 && (size_t)fd < peers->descriptor_room;
}

static bool make_room(struct peers *peers, int fd)
{
    if (fd < 0 || has_descriptor(peers, fd))
        return fd >= 0;
    size_t room = ((size_t)fd + 1) * 2;
    struct descriptor *descriptors = realloc(peers->descriptors, room * sizeof *descriptors);
    if (!descriptors)
        return false;
    memset(descriptors + peers->descriptor_room, 0, (room - peers->descriptor_room) * sizeof *descriptors);
    peers->descriptors = descriptors;
    peers->descriptor_room = room;
    return true;
}

struct peer *peers_fd_opened(struct peers *peers, int fd)
{
    if (!make_room(peers, fd))
        return NULL;
    struct descriptor *descriptor = &peers->descriptors[fd];
    struct peer *before = descriptor->peer;
    *descriptor = (struct descriptor){.open = true};
    return before;
}

struct peer *peers_fd_closed(struct peers *peers, int fd)
{
    if (!has_descriptor(peers, fd))
        return NULL;
    struct descriptor *descriptor = &peers->descriptors[fd];
    struct peer *peer = descriptor->peer;
    *descriptor = (struct descriptor){0};
    return peer;
}

bool peers_fd_is_open(const struct peers *peers, int fd)
{
    return has_descriptor(peers, fd) && peers->descriptors[fd].open;
}

struct peer *peers_by_fd(const struct peers *peers, int fd)
{
    return has_descriptor(peers, fd) ? peers->descriptors[fd].peer : NULL;
}
