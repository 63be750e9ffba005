/*
 * deadlines.h - which queued call is due first: a binary heap.
 *
 * Owns: the array, not the calls.  Thread: one at a time (the handle's mutex).
 */
#ifndef CLIENT_DEADLINES_H
#define CLIENT_DEADLINES_H
#include <stddef.h>
#include <stdint.h>

struct deadlines;

/* What stands in it: the first member of whoever uses it, or found through `of`. */
struct deadline {
    int64_t due_ns;
    size_t place; /* 0: not in it */
};

struct deadlines *deadlines_new(void); /* NULL: no memory */
void deadlines_free(struct deadlines **deadlines);
/* Room for one more than are in it: OK or NO_MEMORY; deadlines_add after it cannot fail. */
int deadlines_reserve(struct deadlines *deadlines);
void deadlines_add(struct deadlines *deadlines, struct deadline *deadline, int64_t due_ns);
void deadlines_remove(struct deadlines *deadlines, struct deadline *deadline); /* also when it is not in it */
struct deadline *deadlines_first(const struct deadlines *deadlines);           /* NULL: empty */
#endif
