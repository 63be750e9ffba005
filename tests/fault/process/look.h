/*
 * look.h - what a database file shows of the mutations of a fault test, on one snapshot, by plain SQLite.
 *
 * Opened read-only, and never in a process that has the store open: closing it would drop that process's locks.
 * Owns: what it read.  Thread: one.
 */
#ifndef TESTS_FAULT_PROCESS_LOOK_H
#define TESTS_FAULT_PROCESS_LOOK_H
#include "tests/fault/process/deeds.h"

struct look_record { /* an audit record of kind "log", in order of insertion */
    uint64_t handle, number, revision;
    uint32_t counter; /* COUNT_UP: 1 and up; else 0 */
};
struct look_resource {
    char id[40];
    uint64_t handle, number, revision;
    bool is_whole;
};
struct look_counter {
    uint64_t value, revision;
};
struct look_bulk {
    uint64_t handle;
    size_t first, rows, records; /* the lowest row that is left; how many are; their audit records */
    unsigned chunk_rows[DEED_CHUNKS];
    uint64_t chunk_revision[DEED_CHUNKS];
};

struct look {
    uint64_t revision; /* the store's */
    struct look_record *records;
    size_t record_count;
    struct look_resource *own, *trios; /* by id */
    size_t own_count, trio_count;
    struct look_counter counters[DEED_COUNTERS];
    struct look_bulk *bulks;
    size_t bulk_count;
    char failure[128];
};

/* False: `failure` says why. */
bool look_at(struct look *look, const char *database);
void look_free(struct look *look);
const struct look_resource *look_find(const struct look_resource *resources, size_t count, const char *id);
const struct look_bulk *look_bulk(const struct look *look, uint64_t handle);
#endif
