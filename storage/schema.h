/*
 * schema.h - the tables of a store's file as SQL, and the counters in its meta table.
 *
 * Owns: nothing.  Thread: that of the connection passed in.
 */
#ifndef STORAGE_SCHEMA_H
#define STORAGE_SCHEMA_H
#include "proto/failure.h"

#include <sqlite3.h>
#include <stdint.h>

enum { SCHEMA_VERSION = 1, SCHEMA_APPLICATION_ID = 0x53544753 /* "STGS" */ };

/* Statements, each IF NOT EXISTS, that make every table and index of ours; run inside a transaction.  Upgrades run the
 * same text once they have moved the old tables away. */
extern const char schema_sql[];

/* What the meta table keeps; rows of other keys are left alone. */
struct schema_meta {
    int64_t version;            /* SCHEMA_VERSION */
    uint8_t incarnation[16];    /* random, new in every copy */
    uint64_t revision;          /* last one issued */
    uint64_t revision_reserved; /* durability normal: issued at most so far, durably; 0: every commit is synced */
    uint64_t epoch;             /* raised by each opening for writing */
    uint64_t session_counter;
    uint8_t boot_id[16]; /* of the last opening for writing */
    bool clean;          /* the last writer closed in order */
};

/* Loads the rows; *found false when there is no meta table or no version in it.  Returns an SQLite result code. */
int schema_load_meta(sqlite3 *db, struct schema_meta *meta, bool *found);
/* Writes every row of it, inside the caller's transaction.  Returns an SQLite result code. */
int schema_store_meta(sqlite3 *db, const struct schema_meta *meta);
/* Meta of a new file: a random incarnation, all counters 0. */
struct schema_meta schema_new_meta(void);
/* Gives rows that others wrote (revision NULL) `revision` and a created_at, in a transaction; *stamped is how many. */
int schema_stamp(sqlite3 *db, uint64_t revision, uint64_t *stamped);
#endif
