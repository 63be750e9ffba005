/*
 * wake.h - one thread that sleeps until it is told something, and needs no mutex to learn that it was.
 *
 * Owns: nothing; it lies on the sleeper's stack.
 * Thread: one sleeps, any tells.
 * Invariant: telling touches the memory once, and last; a sleeper that was told may return and drop it at once.
 */
#ifndef CLIENT_WAKE_H
#define CLIENT_WAKE_H
#include <stdatomic.h>
#include <stdint.h>

struct wake {
    _Atomic uint32_t word;
};
enum {
    WAKE_LOOK = 1,     /* look again: there may be something to do; forgotten once it was heard */
    WAKE_ANSWERED = 2, /* the answer is there; stays */
};
void wake_tell(struct wake *wake, uint32_t what);
/* What was told; 0 when CLOCK_BOOTTIME came to `until_ns` first (INT64_MAX: never), or for no reason at all. */
uint32_t wake_sleep(struct wake *wake, int64_t until_ns);
#endif
