/*
 * sqlite_writing.h - the writing side of a connection: what a transaction knows, the counters, the disk's state.
 *
 * Owns: the writing statements, the reserve file.  Thread: that of the connection.
 * Invariant: `meta` is as committed; `pending` counts for the transaction that is open and is thrown away with it.
 */
#ifndef STORAGE_SQLITE_WRITING_H
#define STORAGE_SQLITE_WRITING_H
#include "storage/schema.h"
#include "storage/sqlite.h"
#include "storage/timetext.h"

#include <sys/types.h>

enum write_statement {
    WRITE_BEGIN,
    WRITE_COMMIT,
    WRITE_ROLLBACK,
    WRITE_SAVEPOINT,
    WRITE_SAVEPOINT_UNDO,
    WRITE_SAVEPOINT_RELEASE,
    WRITE_SAVE,
    WRITE_IMPORT,
    WRITE_REVISION_OF,
    WRITE_DELETE,
    WRITE_AUDIT_SAVE,
    WRITE_AUDIT_DELETE,
    WRITE_RANGE_COUNT,
    WRITE_RANGE_LAST,
    WRITE_RANGE_DELETE,
    WRITE_RANGE_DELETE_AUDIT,
    WRITE_META,
    WRITE_LOG_APPEND,
    WRITE_LOG_DROP,
    WRITE_KEY_FIND,
    WRITE_KEY_RECORD,
    WRITE_KEY_EXPIRE,
    WRITE_PAGE_COUNT,
    WRITE_PAGE_SIZE,
    WRITE_FREE_COUNT,
    WRITE_STATEMENTS
};

enum {
    WAL_LEAST_FRAMES = 512,      /* a WAL is as long as the database, within these two bounds: a page that */
    WAL_MOST_FRAMES = 16384,     /* is written again and again goes to the database once a checkpoint */
    WAL_FULL_FRAMES = 32,        /* on a full disk: half of what the smallest reserve holds */
    WAL_STEP_FRAMES = 1024,      /* so many more before a checkpoint that readers held up is tried again */
    WAL_MOST_COMMITS = 512,      /* of few pages each: a short WAL is written over and over, which syncs faster */
    RESTART_MOST_MS = 40,        /* so long at a time */
    BUSY_TIMEOUT_MS = 500,       /* another program beside us may be writing */
    REVISION_BLOCK = 100000,     /* durability normal: reserved durably at a time */
    REVISION_BLOCK_LEFT = 10000, /* the next block is reserved when no more than this is left */
    LOG_DROP_STEP = 16,          /* session log rows dropped with a commit */
    RESERVE_MOST_BYTES = 4 * 1024 * 1024, /* given up when the disk is full; on a small disk it is halved */
    RESERVE_LEAST_BYTES = 256 * 1024,
    WAL_KEPT_LEAST_BYTES = 8 * 1024 * 1024 /* at least what is kept of a WAL that grew larger */
};

struct sqlite_pending {
    uint64_t revision;
    uint64_t keys;
    int64_t page_count;
};

struct sqlite_writing {
    sqlite3_stmt *statements[WRITE_STATEMENTS];
    struct schema_meta meta;
    uint64_t keys;                /* idempotency keys that are kept */
    uint64_t log_first, log_last; /* session log: sequence numbers; first > last: empty */
    bool durability_normal;
    bool reserves_revisions; /* the next commit is synced and sets the next block aside */

    bool in_transaction;
    int64_t now_ms;
    char now_text[TIMETEXT_BYTES + 1];
    struct sqlite_pending pending;
    int64_t deadline_ns; /* of the statement that runs; INT64_MAX: none */
    uint32_t data_version;

    int wal_frames;         /* in the WAL after the last commit */
    int wal_commits;        /* since it began, or since it was checked */
    int wal_checked_frames; /* when a checkpoint was last tried */
    int wal_long_frames;    /* how long this WAL may become */
    int restart_at_frames;  /* RESTART is tried from here on */
    uint64_t commits, checkpoints, checkpoints_busy;

    char *reserve_path;
    bool has_reserve;
    off_t reserve_bytes; /* of the last one, or the least */
    bool is_broken;      /* UNKNOWN was said: nothing more is written */
    bool has_ended;      /* in order */
    bool is_full;        /* only what frees space is accepted */
    int64_t probe_ns;
};

/* The statement, prepared at its first use; NULL: *rc says why. */
sqlite3_stmt *sqlite_writing_statement(struct sqlite_store *store, enum write_statement which, int *rc);
/* Runs a bound statement to its end and resets it. */
int sqlite_run(sqlite3_stmt *statement);
/* Runs one that takes nothing. */
int sqlite_run_plain(struct sqlite_store *store, enum write_statement which);
/* Runs one that gives one integer. */
int sqlite_run_number(struct sqlite_store *store, enum write_statement which, int64_t *number);

/* Ends the transaction after a failure, whatever SQLite left of it; the status of `rc`. Finds out about a full disk. */
int sqlite_writing_give_up(struct sqlite_store *store, int rc);
/* Nothing more may be written by this connection; STORAGE_UNKNOWN, so that a function can end with it. */
int sqlite_writing_break(struct sqlite_store *store, const char *why);
/* SQLite's own count of commits, by which one that is not ours is noticed. */
int sqlite_data_version(struct sqlite_store *store, uint32_t *version);

/* ---- idempotency keys ---- */
enum { KEY_DIGEST_BYTES = 32 };
struct sqlite_key {
    uint32_t operation;
    uint8_t target[KEY_DIGEST_BYTES];
    uint8_t fingerprint[KEY_DIGEST_BYTES];
    size_t fingerprint_bytes; /* 0: nothing is compared */
    struct span principal;
    bool is_kept; /* a row of this name is there, be it expired */
};
/* Looks the key up before anything else is judged. *answered: *reply is final (a replay, a mismatch, exhausted). */
int sqlite_key_look(struct sqlite_store *store, const uint8_t *principal, const struct request *request,
                    struct sqlite_key *key, struct reply *reply, bool *answered);
/* Records the success in *reply under the key. */
int sqlite_key_record(struct sqlite_store *store, const struct sqlite_key *key, const struct request *request,
                      const struct reply *reply);
/* KEY_LOOKUP: fills *reply. */
int sqlite_key_answer(struct sqlite_store *store, const uint8_t *principal, const struct request *request,
                      struct reply *reply);

/* ---- the disk ---- */
/* Is the disk full, or was it one transaction too large for what is left? Outside a transaction. A result code of the
 * checkpoint behind it. */
int sqlite_full_enter(struct sqlite_store *store);
/* Has there come space again? Outside a transaction, at most once a second. A result code as above. */
int sqlite_full_probe(struct sqlite_store *store);
/* Makes the reserve file, as large as the disk allows; false: no space for the least. */
bool sqlite_full_take_reserve(struct sqlite_writing *writing);
void sqlite_full_give_reserve(struct sqlite_writing *writing);
/* May this request run while the disk is full: does it only free space? */
bool sqlite_full_allows(const struct request *request);
/* One passive checkpoint. A result code; SQLITE_BUSY is SQLITE_OK. */
int sqlite_checkpoint_once(struct sqlite_store *store, int mode, bool *complete);
/* How long the WAL may become, by the size that the database has now. A result code. */
int sqlite_wal_plan(struct sqlite_store *store);
#endif
