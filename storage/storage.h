/*
 * storage.h - one connection to a store's database, for writing or for reading, behind a small table of functions.
 *
 * SQLite is the first engine.  A writing connection applies one transaction at a time and is the only one that
 * commits and checkpoints; a reading one answers batches on snapshots.  Whoever opens for writing holds both bytes of
 * the lock (lock.h) first, or works under a supervisor that holds byte 0.
 *
 * Thread: one at a time for each connection.
 * Invariant: outside begin..commit/rollback a writing connection holds no transaction.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H
#include "proto/arena.h"
#include "proto/failure.h"
#include "proto/request.h"

struct storage;
struct storage_scan;
struct storage_backup;

/* Beside enum status: whether it was committed is not known. Answer nothing, drop the connection, open anew. */
#define STORAGE_UNKNOWN (-1)

/* What a reply and an item count for in an answer's bytes beside their spans: at least what they take on the wire. */
enum { STORAGE_REPLY_BYTES = 80, STORAGE_ITEM_BYTES = 96 };

enum storage_access { STORAGE_FOR_READING, STORAGE_FOR_WRITING };

struct storage_options {
    const char *path;
    enum storage_access access;
    bool create;            /* writing: make the file, and missing directories with mode 0700 */
    bool durability_normal; /* writing: survives any process's death, not a power cut */
    bool keep_snapshots;    /* reading: keep a snapshot across batches while nothing was committed */
    uint64_t cache_bytes;   /* reading: of pages in memory at most; 0: SQLite's default, 2 MiB */
    uint64_t mapped_bytes;  /* reading: the first so many bytes of the file are read as memory; a failing disk or a file
                                that is cut short then ends the process, by SIGBUS. 0: none */
    uint64_t max_data_bytes; /* 0: the default */
    struct log_sink log;
};

/* Who a database file is: two with the same boot, device, inode and incarnation are surely the same file. */
struct storage_identity {
    uint8_t boot_id[16];
    uint64_t device, inode;
    uint8_t incarnation[16];
};

struct storage_counters {
    uint64_t revision;
    uint64_t epoch;
    uint64_t session_counter; /* raised by each eviction, see writer/ */
    uint64_t wal_bytes, database_bytes;
    uint64_t commits, checkpoints, checkpoints_busy;
    uint64_t idempotency_keys;
    bool full; /* disk full: only deletes are accepted */
};

/* Row of the session log that a group appends, and how far old rows are no longer needed. */
struct storage_session_record {
    struct span bytes;        /* empty: append nothing */
    uint64_t drop_through;    /* rows up to this sequence number may go; 0: none */
    uint64_t session_counter; /* stored when it differs from the present one */
};

/* Who asks: idempotency keys are scoped to it. */
struct storage_caller {
    const uint8_t *principal; /* PRINCIPAL_BYTES */
    uint8_t role;             /* ROLE_ADMIN may set times */
};

/*
 * Writing, unless said otherwise.  Functions give enum status.  A status other than OK from begin, apply, delete_rows
 * and record ends the transaction: it is rolled back (call `rollback` all the same), nothing of it is there, and the
 * requests may be applied again in a smaller group; STORAGE_FULL, IO_ERROR, NO_MEMORY, CORRUPT, BUSY are such.
 * STORAGE_UNKNOWN from any of them: see above.
 */
struct storage_ops {
    /* Starts a transaction; `now_ms` is what updated_at gets. */
    int (*begin)(struct storage *, int64_t now_ms);
    /* Applies one mutation, or all parts of a TRANSACT or none. OK: *reply holds its outcome (OK, CONFLICT,
     * IDEMPOTENCY_MISMATCH, KEYS_EXHAUSTED, ...), its spans in `arena`. Ranged deletes are `delete_rows`'s. Idempotency
     * keys are looked up before conditions and recorded on success, here. */
    int (*apply)(struct storage *, const struct storage_caller *, const struct request *, struct reply *,
                 struct arena *);
    /* A ranged delete, in key order behind `after` (empty: from the start): at most `most` resources and `most` audit
     * records, those of one id together and those of absent resources too; one revision if any went, reply->count the
     * resources. *more: some are left, behind the id *last (in `arena`). Its
     * idempotency key is looked up when `after` is empty (a replay fills *reply with flag REPLY_REPLAYED and deletes
     * nothing) and recorded when nothing is left, with total = `before` + this step. DEADLINE_EXCEEDED past the
     * request's deadline: the transaction is undone. */
    int (*delete_rows)(struct storage *, const struct storage_caller *, const struct request *, struct span after,
                       uint64_t before, uint64_t most, struct reply *reply, struct span *last, bool *more,
                       struct arena *);
    /* How many resources and records a ranged delete would take, up to `most` of each counted. May be called outside a
     * transaction. */
    int (*count_rows)(struct storage *, const struct request *, uint64_t most, uint64_t *count);
    /* Removes up to `most` expired idempotency keys; inside a transaction. */
    int (*expire_keys)(struct storage *, int64_t now_ms, unsigned most, unsigned *removed);
    /* Writes the revision, appends the record, commits; with durability full OK means synced. *sequence: the record's. */
    int (*commit)(struct storage *, const struct storage_session_record *, uint64_t *sequence);
    void (*rollback)(struct storage *);
    /* Session log, oldest first, for a starting writer. A callback other than OK ends it and is returned. */
    int (*session_log)(struct storage *, int (*row)(void *context, uint64_t sequence, struct span bytes),
                       void *context);
    /* Between groups: moves the WAL into the database as far as readers allow, bounded in time; BUSY is OK. Also
     * probes a full disk, at most once a second. STORAGE_UNKNOWN: a sync failed. */
    int (*checkpoint)(struct storage *);
    /* When nothing has come for a while: moves what `checkpoint` leaves for a busy store, waiting for nobody. */
    int (*rest)(struct storage *);
    bool (*wants_rest)(const struct storage *); /* is there enough of it? */
    /* Before `close`, which does it too but cannot say: writes that this writer ended in order, and nothing afterwards.
     * OK, or STORAGE_UNKNOWN: a sync failed. */
    int (*end)(struct storage *);
    /* Online copy from the writing connection, `pages` at a time between groups; the copy gets a fresh incarnation. */
    int (*backup_open)(struct storage *, const char *path, struct storage_backup **, struct failure *);
    int (*backup_step)(struct storage_backup *, int pages, bool *done, struct failure *);
    void (*backup_close)(struct storage_backup **); /* not done: the unfinished copy is removed */

    /* Reading (a writing connection has them too, outside transactions). All requests on one snapshot; every reply is
     * filled. Past `most_bytes` of answer the rest gets NOT_READ (the first never: alone it may be TOO_LARGE, judged
     * against most_bytes). OK, or a status that every reply then has. */
    int (*answer)(struct storage *, const struct request *, size_t count, struct reply *, struct arena *,
                  size_t most_bytes);
    /* A snapshot is being held / let go of it (an idle reader must). */
    bool (*holds_snapshot)(const struct storage *);
    void (*release_snapshot)(struct storage *);
    /* One list on one snapshot that lives from open to close; at most one a connection, nothing else meanwhile.
     * *revision is the snapshot's. */
    int (*scan_open)(struct storage *, const struct request *, struct storage_scan **, uint64_t *revision,
                     struct failure *);
    /* OK with *item in `arena`, END, or a failure's status. */
    int (*scan_next)(struct storage_scan *, struct item *item, struct arena *, struct failure *);
    void (*scan_close)(struct storage_scan **);

    /* True while the path still leads to the file that is open. */
    bool (*is_current)(struct storage *);
    void (*counters)(struct storage *, struct storage_counters *);
    void (*close)(struct storage *);
};

/* Engines put this first in their own struct. */
struct storage {
    const struct storage_ops *ops;
    struct storage_identity identity;
    const char *path; /* real path of the file */
};

/*
 * Opens.  For writing: looks at the file read-only first and leaves what it refuses as it was (UNSUPPORTED newer
 * schema, foreign, BadgerDB folder, network file system; CORRUPT; READ_ONLY directory; BUSY), upgrades Stigmer's
 * layouts after a backup copy beside them, stamps rows that others wrote, raises the epoch in a synced commit.
 * STORAGE_UNKNOWN: a sync of the database failed; another opening writes again what that sync may have lost.
 * For reading: never creates -wal or -shm; NOT_FOUND when there is no file, UNAVAILABLE while a service that owns it is
 * not ready.
 */
int storage_open_sqlite(const struct storage_options *options, struct storage **storage, struct failure *failure);
void storage_close(struct storage **storage);
/* What an operator should know about the library that this process runs with, in one line; NULL: nothing. */
const char *storage_sqlite_warning(void);
/* Settings of SQLite's for the whole process, before its first use: for programs of ours alone, never in a library. */
void storage_own_process(void);
#endif
