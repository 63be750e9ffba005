/*
 * flood.h - load from many connections by hand: so much under way (closed loop), or begun on time whatever becomes of it
 * (open loop). Each request is followed to its one answer.
 *
 * Owns: a thread with its connections.  Thread: its counts may be read from another while it runs.
 * Invariant: offered = withheld + sent; after flood_stop each request sent is answered, or counted as unanswered.
 */
#ifndef TESTS_FAULT_OVERLOAD_FLOOD_H
#define TESTS_FAULT_OVERLOAD_FLOOD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOOD_IDS = 1000 }; /* of kind "load", which the test fills before */

struct flood_options {
    const char *endpoint;
    unsigned peers;
    unsigned batch;       /* requests of one message */
    unsigned window;      /* messages that a peer has out; 0: open loop, by the rate */
    double rate;          /* requests a second, of all peers together */
    unsigned writes_of_4; /* so many of four messages are writes, the others reads */
    size_t value_bytes;
    uint32_t timeout_ms;
    uint32_t patience_ms; /* beyond that for answers, at the end; 0: long enough */
};

struct flood_counts { /* of requests */
    uint64_t offered, withheld, sent;
    uint64_t done, overloaded, expired, other;
    uint64_t twice;           /* answers to what is not under way */
    uint64_t unanswered, cut; /* of the latter: of connections that ended */
    int other_status;
    double processor_s;
};

struct flood;
/* Returns when all its connections are welcome; NULL: they are not. */
struct flood *flood_start(const struct flood_options *options);
/* Requests done so far. */
uint64_t flood_done(const struct flood *flood);
/* Offers no more, waits for what is under way, frees. */
struct flood_counts flood_stop(struct flood **flood);
#endif
