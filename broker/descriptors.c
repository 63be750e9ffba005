/*
 * descriptors.c - an array that grows.
 */
#include "broker/descriptors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct descriptor {
    bool open;
    struct peer *peer;
};

void descriptors_free(struct descriptors *descriptors)
{
    free(descriptors->by_fd);
    *descriptors = (struct descriptors){0};
}

static bool has(const struct descriptors *descriptors, int fd)
{
    return fd >= 0 && (size_t)fd < descriptors->room;
}

static bool make_room(struct descriptors *descriptors, int fd)
{
    if (fd < 0 || has(descriptors, fd))
        return fd >= 0;
    size_t room = ((size_t)fd + 1) * 2;
    struct descriptor *by_fd = realloc(descriptors->by_fd, room * sizeof *by_fd);
    if (!by_fd)
        return false;
    memset(by_fd + descriptors->room, 0, (room - descriptors->room) * sizeof *by_fd);
    *descriptors = (struct descriptors){.by_fd = by_fd, .room = room};
    return true;
}

static struct peer *set(struct descriptors *descriptors, int fd, bool open)
{
    struct peer *before = descriptors->by_fd[fd].peer;
    descriptors->by_fd[fd] = (struct descriptor){.open = open};
    return before;
}

struct peer *descriptors_opened(struct descriptors *descriptors, int fd)
{
    return make_room(descriptors, fd) ? set(descriptors, fd, true) : NULL;
}

struct peer *descriptors_closed(struct descriptors *descriptors, int fd)
{
    return has(descriptors, fd) ? set(descriptors, fd, false) : NULL;
}

bool descriptors_is_open(const struct descriptors *descriptors, int fd)
{
    return has(descriptors, fd) && descriptors->by_fd[fd].open;
}

struct peer *descriptors_peer(const struct descriptors *descriptors, int fd)
{
    return has(descriptors, fd) ? descriptors->by_fd[fd].peer : NULL;
}

void descriptors_give(struct descriptors *descriptors, int fd, struct peer *peer)
{
    assert(descriptors_is_open(descriptors, fd));
    descriptors->by_fd[fd].peer = peer;
}
