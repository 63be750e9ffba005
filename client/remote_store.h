/*
 * remote_store.h - what a handle has seen of the store behind the broker, so that it notices when that one goes back.
 *
 * Owns: nothing.  Thread: one at a time.
 * Invariant: one restored store is told once.
 */
#ifndef CLIENT_REMOTE_STORE_H
#define CLIENT_REMOTE_STORE_H
#include "proto/body.h"

struct remote_store {
    bool known;
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t epoch;    /* of the writer, the highest yet */
    uint64_t revision; /* the highest that an answer, or a writer that became ready, told */
    bool used;         /* an answer came from it: its going back matters to the handle */
    bool tell;         /* the handle's next call ends with WENT_BACK */
    bool expected;     /* the writer said that the store is another one before a HELLO did */
};

enum remote_store_news { REMOTE_STORE_SAME, REMOTE_STORE_OTHER, REMOTE_STORE_BEHIND };

/* Compares a HELLO with what was seen. A revision in HELLO may be a second old, so it tells of going back only when it
 * comes with a new writer, whose revision at its start cannot be below what an earlier one has told. */
enum remote_store_news remote_store_hello(struct remote_store *store, const struct hello *hello);
/* An answer told this revision (0: none). */
void remote_store_saw(struct remote_store *store, uint64_t revision);
/* The writer refused the incarnation: another HELLO is to come. */
void remote_store_refused(struct remote_store *store);
#endif
