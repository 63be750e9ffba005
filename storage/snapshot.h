/*
 * snapshot.h - a read transaction that may be kept from batch to batch while nothing was committed.
 *
 * Whether something was, the WAL-index of SQLite itself tells: its first 100 bytes (two copies of the header and
 * nBackfill) are compared with the copy taken before the snapshot began. A commit changes the header before it
 * returns; a finished checkpoint changes nBackfill, so that readers let go and the WAL can start anew.
 *
 * Owns: the open transaction.  Thread: that of the connection.
 * Invariant: a kept snapshot is as new as the header copy, which was taken before it.
 */
#ifndef STORAGE_SNAPSHOT_H
#define STORAGE_SNAPSHOT_H
#include "storage/wal.h"

struct snapshot {
    sqlite3_stmt *begin, *commit, *read_revision;
    bool is_open;
    bool may_keep; /* `head` is whole and of a version that we know */
    const void *wal_index;
    uint8_t head[WAL_HEAD_BYTES];
    uint64_t revision; /* of the store, in this snapshot */
};

/* Opens a snapshot that is as new as this call, or goes on with the kept one if it still is. `keep`: the connection
 * reads a WAL database that it has read before. An SQLite result code. */
int snapshot_begin(struct snapshot *snapshot, sqlite3 *db, bool keep);
/* The batch is over: keeps what may be kept. */
void snapshot_end(struct snapshot *snapshot, sqlite3 *db);
/* Lets go. */
void snapshot_release(struct snapshot *snapshot, sqlite3 *db);
void snapshot_free(struct snapshot *snapshot, sqlite3 *db);
#endif
