/*
 * door.h - one bound ROUTER with its monitor: whole messages in, answers out, connections that come and go.
 *
 * Owns: both sockets and the table of descriptors.  Thread: one.
 * Invariant: a send never blocks, and never leaves half a message behind.
 */
#ifndef BROKER_DOOR_H
#define BROKER_DOOR_H
#include "broker/descriptors.h"
#include "broker/parcel.h"
#include "proto/failure.h"

struct door_options {
    const char *name; /* of the monitor's inproc endpoint: "clients" */
    uint64_t message_bytes;
    int send_mark, receive_mark;
    bool (*secure)(void *socket, void *context); /* NULL: none; sets what must be set before the bind */
    void *secure_context;
};

struct door {
    void *socket, *monitor;
    bool socket_drained, monitor_drained; /* read until empty, and nothing sent since (socket_wait.h) */
    bool remote;                          /* its peers are on other hosts */
    struct descriptors descriptors;       /* as far as its events have been read */
};

int door_open(void *context, const char *endpoint, const struct door_options *options, struct door *door,
              struct failure *failure);
/* Where it is bound, with the port that was chosen for "*". */
bool door_endpoint(const struct door *door, char *out, size_t out_bytes);
/* What was sent lingers until the context ends, for 2 s at most. Null-safe. */
void door_close(struct door *door);

/* A message: its routing id, then `frames` frames, of which the first two are kept. */
struct incoming {
    zmq_msg_t id, first;
    struct parcel *second;
    uint32_t frames;
};
/* False when there is none now, or no memory for it. The caller closes it, `second` apart. */
bool door_receive(struct door *door, struct parcel_pool *pool, struct incoming *incoming);
void incoming_close(struct incoming *incoming);
/* The descriptor it came by; -1: unknown. */
int incoming_fd(struct incoming *incoming);

enum door_sent { DOOR_SENT, DOOR_FULL, DOOR_GONE };
/* Lends the parcel unless it says otherwise. */
enum door_sent door_answer(struct door *door, const void *id, size_t id_size, struct parcel *parcel);
/* Sends `envelope` and another reference to the parcel's body (NULL: empty). */
enum door_sent door_forward(struct door *door, const void *id, size_t id_size, const uint8_t *envelope,
                            struct parcel *parcel);

/* The next of the monitor's events: false when there is none. */
struct door_event {
    bool opened; /* else closed */
    int fd;
};
bool door_next_event(struct door *door, struct door_event *event);
#endif
