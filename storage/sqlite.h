/*
 * sqlite.h - the SQLite engine's own view of itself: one connection, shared by the writing and the reading side.
 *
 * Owns: the connection and its prepared statements.  Thread: one at a time.
 * Invariant: an SQLite result code is turned into a status by sqlite_status alone.
 */
#ifndef STORAGE_SQLITE_H
#define STORAGE_SQLITE_H
#include "proto/limits.h"
#include "storage/storage.h"

#include <sqlite3.h>

struct sqlite_writing; /* sqlite_writing.h */
struct sqlite_reading; /* of the reading side, which makes it at its first use, on a writing connection too */

struct sqlite_store {
    struct storage base; /* first */
    sqlite3 *db;
    char *path; /* real path; base.path points here */
    struct log_sink log;
    uint64_t max_data_bytes;
    bool keep_snapshots;
    bool has_errno;                 /* of an error that is over, perhaps */
    struct sqlite_writing *writing; /* NULL: opened for reading */
    struct sqlite_reading *reading; /* NULL: not used yet */
};

static inline struct sqlite_store *sqlite_of(struct storage *storage)
{
    return (struct sqlite_store *)storage;
}

/* The status of a result code (extended); the log tells of what is not ordinary, with SQLite's own text. */
int sqlite_status(struct sqlite_store *store, int rc);
/* Before the next transaction: what the files met in the one before explains nothing in this one. */
void sqlite_forget_errno(struct sqlite_store *store);
/* The same as sqlite_status into `failure`, while opening: "WHAT: SQLite's text". Returns the status. */
int sqlite_fail(sqlite3 *db, int rc, const char *what, struct failure *failure);
/* The same of a file that this process made, and may write: SQLite opens for reading what it cannot open for writing. */
int sqlite_fail_own(sqlite3 *db, int rc, const char *what, struct failure *failure);
/* A read that the disk fails SQLite calls a damaged file; what cannot be read now may be whole. */
bool sqlite_failed_to_read(sqlite3 *db);
/* 13, 4874, and 778 unless a file of the connection's knows another errno of it: no space, no quota, a size limit. */
bool sqlite_rc_is_full(sqlite3 *db, int rc);
/* Did a sync fail? What was being written may have reached the disk or not. */
bool sqlite_rc_is_unknown(int rc);

/* Prepares into *slot at its first use (persistent). Returns SQLITE_OK or a result code. */
int sqlite_prepare(struct sqlite_store *store, sqlite3_stmt **slot, const char *sql);
/* The one number that `sql` gives; 0: no row. An SQLite result code. */
int sqlite_query_number(sqlite3 *db, const char *sql, int64_t *number);
void sqlite_finalize_all(sqlite3_stmt **slots, size_t count);
/* Binds without a copy: the span must live until the statement is reset. An empty span is '' or x'', never NULL. */
int sqlite_bind_text(sqlite3_stmt *statement, int index, struct span text);
int sqlite_bind_blob(sqlite3_stmt *statement, int index, struct span bytes);
struct span sqlite_column_span(sqlite3_stmt *statement, int column); /* TEXT or BLOB; until the next step or reset */

/*
 * Ids that begin with a prefix and stand behind `after`, as a half-open range for
 *     id >= ?from AND id < ?to
 * Both are bound as TEXT; a range without an end has an empty BLOB as `to`, which sorts above every TEXT.
 */
struct sqlite_range {
    uint8_t from[LIMIT_ID_BYTES + 1];
    uint8_t to[LIMIT_ID_BYTES + 1];
    size_t from_size, to_size;
    bool is_open;
};
/* `prefix` and `after` are at most LIMIT_ID_BYTES; an empty `after` is none. */
void sqlite_range_make(struct sqlite_range *range, struct span prefix, struct span after);
/* Ends it with `last`, which lies in it. */
void sqlite_range_cut(struct sqlite_range *range, struct span last);
/* Binds from and to at `index` and `index + 1`; the range must live until the statement is reset. */
int sqlite_range_bind(sqlite3_stmt *statement, int index, const struct sqlite_range *range);

/* Opening. The shared entry makes the store (path, log, limits) and fills `db` by one of the two; close and free work
 * on whatever has been filled. */
int sqlite_open_reading(struct sqlite_store *store, const struct storage_options *options, struct failure *failure);
int sqlite_open_writing(struct sqlite_store *store, const struct storage_options *options, struct failure *failure);
/* The real path of the file to be written, for free(), with its folders made if so asked; NULL: *failure says why. */
char *sqlite_make_path(const struct storage_options *options, struct failure *failure);
/* UNSUPPORTED naming the file system when `path` (or its folder, while it does not exist) lies on a network. */
int sqlite_refuse_network(const char *path, struct failure *failure);
/* Has this version of SQLite the WAL-reset bug? */
bool sqlite_version_is_affected(int version_number);
/* What every connection of ours sets: trusted_schema off, defensive, extended codes. */
int sqlite_harden(sqlite3 *db);
/* Fills identity from the open connection and the incarnation. An SQLite result code. */
int sqlite_identify(struct sqlite_store *store, const uint8_t incarnation[16]);
void sqlite_reading_free(struct sqlite_store *store); /* null-safe */
void sqlite_writing_free(struct sqlite_store *store); /* null-safe */

/* The operations. */
int sqlite_begin(struct storage *, int64_t now_ms);
int sqlite_apply(struct storage *, const struct storage_caller *, const struct request *, struct reply *,
                 struct arena *);
int sqlite_delete_rows(struct storage *, const struct storage_caller *, const struct request *, struct span after,
                       uint64_t before, uint64_t most, struct reply *, struct span *last, bool *more, struct arena *);
int sqlite_count_rows(struct storage *, const struct request *, uint64_t most, uint64_t *count);
int sqlite_expire_keys(struct storage *, int64_t now_ms, unsigned most, unsigned *removed);
int sqlite_commit(struct storage *, const struct storage_session_record *, uint64_t *sequence);
void sqlite_rollback(struct storage *);
int sqlite_session_log(struct storage *, int (*row)(void *context, uint64_t sequence, struct span bytes),
                       void *context);
int sqlite_checkpoint(struct storage *);
int sqlite_rest(struct storage *);
bool sqlite_wants_rest(const struct storage *);
int sqlite_end(struct storage *);
int sqlite_backup_open(struct storage *, const char *path, struct storage_backup **, struct failure *);
int sqlite_backup_step(struct storage_backup *, int pages, bool *done, struct failure *);
void sqlite_backup_close(struct storage_backup **);
/* The reading side's. */
int sqlite_answer(struct storage *, const struct request *, size_t count, struct reply *, struct arena *,
                  size_t most_bytes);
bool sqlite_holds_snapshot(const struct storage *);
void sqlite_release_snapshot(struct storage *);
int sqlite_scan_open(struct storage *, const struct request *, struct storage_scan **, uint64_t *revision,
                     struct failure *);
int sqlite_scan_next(struct storage_scan *, struct item *, struct arena *, struct failure *);
void sqlite_scan_close(struct storage_scan **);
/* Both. */
/* True while a file that was opened as immutable is as it was, and always on other connections. */
bool sqlite_is_unchanged(struct sqlite_store *store);
bool sqlite_is_current(struct storage *);
void sqlite_counters(struct storage *, struct storage_counters *);
void sqlite_close(struct storage *);
#endif
