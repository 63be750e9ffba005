/*
 * state.h - what a store must hold, as a small table over a fixed set of names: changed beside the store, compared with it.
 *
 * Owns: nothing.  Thread: any.
 * Invariant: a name that is not there has revision 0.
 */
#ifndef TESTS_FAULT_POWER_STATE_H
#define TESTS_FAULT_POWER_STATE_H
#include "proto/request.h"

#include <sqlite3.h>

enum { STATE_KINDS = 2, STATE_IDS = 24, STATE_KEYS = 16 };

struct state_resource {
    uint64_t revision;
    uint64_t data;    /* a hash */
    uint64_t records; /* of its audit records, each one's hash added up */
    uint64_t record_count;
};

struct state {
    uint64_t revision;
    struct state_resource resources[STATE_KINDS][STATE_IDS];
    uint64_t keys[STATE_KEYS]; /* idempotency keys: 1 + revision of what was done under them; 0: free */
};

/* Static texts: "k0", "a/05", "key-3". Ids are in order, eight to each of three prefixes. */
const char *state_kind(unsigned kind);
const char *state_id(unsigned id);
const char *state_prefix(unsigned id);
const char *state_key(unsigned key);

/* What a request that was applied with this reply did; a ranged delete behind the id `after`, empty: from its start, up
 * to the id `last`, empty: to its end. */
void state_apply(struct state *state, const struct request *request, const struct reply *reply, struct span after,
                 struct span last);
/* Reads the tables by plain SQL. False: they cannot be read, or hold names that nobody gave; *why says which. */
bool state_read(struct state *state, sqlite3 *db, const char **why);
/* NULL when they are equal, else one line in a static buffer. The revision counter is not compared. */
const char *state_difference(const struct state *expected, const struct state *found);
#endif
