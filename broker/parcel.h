/*
 * parcel.h - bodies as they pass through the broker, and the bytes that libzmq still holds of them.
 *
 * A parcel holds the body frame of a message.  Lent to libzmq as an answer it comes back by its free callback, from
 * the I/O thread, when the peer has taken it; until then its bytes count.
 *
 * Owns: every parcel.  Thread: one; what comes back crosses from I/O threads by a lock-free list.
 * Invariant: a lent parcel comes back exactly once.
 */
#ifndef BROKER_PARCEL_H
#define BROKER_PARCEL_H
#include "proto/envelope.h"

#include <zmq.h>

struct parcel_pool;

struct parcel {
    zmq_msg_t body;
    struct parcel *next; /* whoever has it */
    struct parcel_pool *pool;
    bool counted; /* the route wants to hear of its release */
    uint32_t slot, generation;
    uint64_t bytes;
    uint8_t envelope[ENVELOPE_BYTES];
};

/* NULL when memory or descriptors are short. */
struct parcel_pool *parcel_pool_new(void);
/* After the context is gone: nothing is lent then. */
void parcel_pool_free(struct parcel_pool **pool);
/* Readable when something came back after parcel_pool_arm. */
int parcel_pool_fd(const struct parcel_pool *pool);
/* From now on a return makes the descriptor readable, once. */
void parcel_pool_arm(struct parcel_pool *pool);
/* Makes the descriptor unreadable. */
void parcel_pool_clear(struct parcel_pool *pool);
/* What came back, as a list in no order; each is to be dropped. */
struct parcel *parcel_pool_returned(struct parcel_pool *pool);

/* With an empty body; NULL when memory is short. */
struct parcel *parcel_new(struct parcel_pool *pool);
/* A parcel of `size` bytes, copied. */
struct parcel *parcel_of(struct parcel_pool *pool, const void *bytes, size_t size);
/* Closes its body. */
void parcel_drop(struct parcel *parcel);
/* The two frames of an answer, whose release gives the parcel back. False when memory is short: it is not lent. */
bool parcel_lend(struct parcel *parcel, zmq_msg_t *envelope, zmq_msg_t *body);
#endif
