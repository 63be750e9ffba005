/*
 * result.h - results as callers get them: a status, a line, and items in memory of the result's own.
 *
 * Thread: one at a time for each result.
 */
#ifndef CLIENT_RESULT_H
#define CLIENT_RESULT_H
#include "client/stigstore.h"
#include "proto/arena.h"
#include "proto/failure.h"
#include "proto/request.h"

struct result_box {
    stigstore_result open;  /* first: what the caller sees */
    struct arena *arena;    /* made when first needed */
    struct item *collected; /* of a list that comes in pieces: the array, on the heap */
    size_t collected_capacity;
    uint64_t credit_bytes;   /* of a piece: what it took of its list's credit */
    struct result_box *next; /* in a queue's or a cursor's list */
};

struct result_box *result_new(void); /* NULL: no memory */
void result_free(struct result_box **box);

/* The box to fill for a caller who passed `wanted`: its own, or a new one; NULL: no memory. */
struct result_box *result_begin(stigstore_result **wanted);
/* Hands the box over, or frees it when it is not wanted; returns its status. */
int result_end(struct result_box *box, stigstore_result **wanted);

/* Its arena, empty at first; NULL: no memory. */
struct arena *result_arena(struct result_box *box);
/* Forgets what it holds: as new. */
void result_reset(struct result_box *box);

/* An outcome without items; `format` NULL: the status' own text. Returns `status`. */
int result_set(struct result_box *box, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
int result_set_failure(struct result_box *box, const struct failure *failure);
/* A deep copy of `reply`. Where memory is short a read's status becomes NO_MEMORY, a mutation's stays. */
void result_copy(struct result_box *box, const struct reply *reply, bool is_write);
/* `reply` lies in the box's own arena already. */
void result_adopt(struct result_box *box, const struct reply *reply);
/* Appends the items of a piece: OK, or NO_MEMORY. */
int result_collect(struct result_box *box, const struct reply *piece);
/* Ends a collected list with the status and message of its last piece. */
void result_collected(struct result_box *box, const struct reply *last);
#endif
