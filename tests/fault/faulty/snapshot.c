/*
 * snapshot.c - a kept snapshot that is not compared with the WAL-index: for a while reads are of the past.
 *
 * With $STIGSTORE_FAULT stale-read; linked into a reader and into a program that reads the file by itself.
 */
#include "storage/snapshot.h"
#include "proto/clock.h"
#include "tests/fault/wrap.h"

#include <stdlib.h>
#include <string.h>

enum { STALE_MS = 4 };

int faulty_begin(struct snapshot *snapshot, sqlite3 *db, bool keep) INSTEAD_OF(snapshot_begin);
int real_begin(struct snapshot *snapshot, sqlite3 *db, bool keep) REAL(snapshot_begin);

int faulty_begin(struct snapshot *snapshot, sqlite3 *db, bool keep)
{
    static _Thread_local int64_t fresh_until_ns;
    const char *fault = getenv("STIGSTORE_FAULT");
    bool is_kept = snapshot->is_open && keep && snapshot->may_keep && !sqlite3_get_autocommit(db);
    if (fault && strcmp(fault, "stale-read") == 0 && is_kept && clock_boot_ns() < fresh_until_ns)
        return SQLITE_OK;
    fresh_until_ns = clock_boot_ns() + STALE_MS * NS_PER_MS;
    return real_begin(snapshot, db, keep);
}
