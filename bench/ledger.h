/*
 * ledger.h - what the store has acknowledged for each key: what reads and the check at the end are held against.
 *
 * Owns: an entry a key, reserved as pages are touched.  Thread: any.
 * Invariant: an entry is of the highest revision acknowledged so far.
 */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H
#include <stdbool.h>
#include <stdint.h>

struct ledger;

struct ledger_entry {
    uint64_t revision; /* 0: nothing acknowledged */
    uint64_t stamp;    /* of the value that has it */
    uint32_t count;    /* of acknowledged mutations */
    uint32_t unknown;  /* of mutations that may have been applied */
};

/* Room for the keys 0 to `keys` - 1; NULL: no memory. */
struct ledger *ledger_new(uint64_t keys);
void ledger_free(struct ledger **ledger);
uint64_t ledger_keys(const struct ledger *ledger);
void ledger_acknowledge(struct ledger *ledger, uint64_t key, uint64_t revision, uint64_t stamp);
void ledger_doubt(struct ledger *ledger, uint64_t key);
/* The revision that a read which begins now must see or pass. */
uint64_t ledger_revision(const struct ledger *ledger, uint64_t key);
struct ledger_entry ledger_entry(struct ledger *ledger, uint64_t key);
#endif
