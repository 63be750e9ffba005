/*
 * sqlite_reading.h - what the reading side keeps on a connection: its statements, its snapshot, what it watches.
 *
 * Owned by struct sqlite_store.  Thread: that of the connection.
 * Invariant: between calls every statement is reset, save for that of an open scan.
 */
#ifndef STORAGE_SQLITE_READING_H
#define STORAGE_SQLITE_READING_H
#include "storage/snapshot.h"
#include "storage/sqlite.h"

#include <sys/types.h>
#include <time.h>

enum read_statement {
    READ_GET,
    READ_STAT,
    READ_LIST,
    READ_LIST_KEYS,
    READ_COUNT,
    READ_KINDS,
    READ_AUDIT_SCAN,
    READ_AUDIT_BY_HASH,
    READ_AUDIT_WITHOUT_HASH,
    READ_AUDIT_BY_TAG,
    READ_AUDIT_WITHOUT_TAG,
    READ_AUDIT_HISTORY,
    READ_AUDIT_HISTORY_KEYS,
    READ_STATEMENTS
};

/* A file opened as immutable is read without any lock: it may be trusted while it has not changed. */
struct watched_file {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct sqlite_reading {
    sqlite3_stmt *statements[READ_STATEMENTS];
    struct snapshot snapshot;
    struct storage_scan *scan; /* the one that is open */
    int64_t deadline_ns;       /* of the request at work, for the progress handler */
    bool is_immutable;
    struct watched_file watched;
};

/* Made at the first use. NULL: no memory. */
struct sqlite_reading *sqlite_reading_of(struct sqlite_store *store);
/* A statement that is reset; NULL with *status. */
sqlite3_stmt *sqlite_read_statement(struct sqlite_store *store, enum read_statement which, int *status);
/* Statements run for this request stop at its deadline, on connections that only read. */
void sqlite_read_until(struct sqlite_store *store, int64_t deadline_ns);

/* A snapshot for a batch or a scan, and its end. A status. UNAVAILABLE: the file has changed where it must not. */
int sqlite_read_begin(struct sqlite_store *store);
int sqlite_read_end(struct sqlite_store *store);
/* Notes the file as it is now; false when it cannot be found. */
bool sqlite_watch(const char *path, struct watched_file *watched);

/*
 * The row that a statement stands on, as an item of `kind`. Its columns are
 *     revision, created_at, updated_at, data or its length [, id [, hash, tag]]
 * and `id` is taken where it brings none; kind and id as they are, the rest copied. OK, NO_MEMORY, or TOO_LARGE when
 * it takes more than *room of an answer; else *room is less by what it takes.
 */
int sqlite_read_item(sqlite3_stmt *row, bool with_data, struct span kind, struct span id, struct item *item,
                     struct arena *arena, size_t *room);

/* A list as rows: `range` and the request's spans live until it is reset. */
struct list_rows {
    sqlite3_stmt *row; /* NULL: over */
    struct span kind;  /* of each item, where the row does not say */
    bool are_kinds, with_data;
    struct sqlite_range range;
};
int sqlite_list_open(struct sqlite_store *store, const struct request *list, struct list_rows *rows);
/* OK, END, or why not. */
int sqlite_list_next(struct sqlite_store *store, struct list_rows *rows, struct item *item, struct arena *arena,
                     size_t *room);
void sqlite_list_close(struct list_rows *rows);
#endif
