/*
 * arena.h - memory that is taken piece by piece and given back all at once.
 *
 * Owns: its blocks.  Thread: one at a time.
 * Invariant: pieces are aligned for any type and stay where they are until arena_reset or arena_free.
 */
#ifndef PROTO_ARENA_H
#define PROTO_ARENA_H
#include "proto/span.h"

struct arena;

/* An empty arena; NULL when memory is short.  `limit_bytes` bounds what it will ever hold; 0: unbounded. */
struct arena *arena_new(size_t limit_bytes);
void arena_free(struct arena **arena);

/* `size` bytes, not cleared; NULL past the limit or when memory is short.  Size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);
/* `count` elements of `size` bytes, zeroed, overflow checked. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);
/* A copy of `bytes`, followed by one NUL that is not counted; data is NULL when memory is short. */
struct span arena_copy(struct arena *arena, struct span bytes);
/* A formatted line, NUL terminated; never NULL: "out of memory" when it could not be had. */
const char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Gives every piece back; keeps at most one block of 64 KiB for reuse. */
void arena_reset(struct arena *arena);
/* Bytes reserved from the system now. */
size_t arena_bytes(const struct arena *arena);
#endif
