/*
 * sqlite_open_writing.c - opening for writing: the file and its folders, the connection's settings, taking it over.
 *
 * The first transaction raises the epoch and is always synced, which also syncs what is in use of the WAL, written once
 * more: whoever wrote last may have been told of a failed sync and died before telling anybody, and then pages of the
 * WAL read as written and are not on the disk.  In a new file the same transaction makes the tables, so a crash leaves
 * all of them or none.  secure_delete is off: deleted bytes stay in the file until they are overwritten, and deletes
 * write half as much.
 */
#include "proto/clock.h"
#include "storage/file.h"
#include "storage/path.h"
#include "storage/sqlite_writing.h"
#include "storage/upgrade.h"
#include "storage/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the path ---- */

char *sqlite_make_path(const struct storage_options *options, struct failure *failure)
{
    if (strlen(options->path) >= PATH_MAX || options->path[0] == '\0') {
        failure_set(failure, STATUS_INVALID_ARGUMENT, "the path of the database is empty or too long");
        return NULL;
    }
    if (options->create && path_make_folders(options->path, failure) != STATUS_OK)
        return NULL;
    char *real = path_real(options->path);
    if (!real)
        path_fail_errno(failure, "find", options->path);
    return real;
}

/* ---- the file ---- */

static int create_file(const char *path, struct failure *failure)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* -wal and -shm inherit its mode */
    if (fd < 0)
        return path_fail_errno(failure, "make", path);
    close(fd);
    return STATUS_OK;
}

/* The names that lead to a new file are as durable as what will be in it; who began to make them may have been killed. */
static int begin_file(const char *path, bool create, struct failure *failure)
{
    int status = create ? create_file(path, failure) : STATUS_OK;
    return status == STATUS_OK ? path_sync_folders(path, failure) : status;
}

/* SQLite makes files beside the database, so the folder must take them. */
static int refuse_read_only(const char *path, struct failure *failure)
{
    char copy[PATH_MAX];
    const char *folder = path_folder(path, copy);
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0)
        return path_fail_errno(failure, "write to", folder);
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) != 0)
        return path_fail_errno(failure, "write to", path);
    return STATUS_OK;
}

static int refuse(const struct failure *why, int status, const char *path, const char *text, struct failure *failure)
{
    return failure_set(failure, status, "%s", why->message[0] ? why->message : text ? text : path);
}

/* Read-only until it is known whose it is. */
static int prepare_file(struct sqlite_store *store, const struct storage_options *options, struct failure *failure)
{
    struct failure why = {0};
    enum file_kind kind = file_inspect(store->path, &why);
    int status = STATUS_OK;
    switch (kind) {
    case FILE_ABSENT:
        return options->create ? begin_file(store->path, true, failure)
                               : failure_set(failure, STATUS_NOT_FOUND, "%s: there is no such file", store->path);
    case FILE_OURS:
        return refuse_read_only(store->path, failure);
    case FILE_EMPTY:
        status = refuse_read_only(store->path, failure);
        return status == STATUS_OK ? begin_file(store->path, false, failure) : status;
    case FILE_STIGMER:
        status = refuse_read_only(store->path, failure);
        return status == STATUS_OK ? upgrade_run(store->path, &store->log, failure) : status;
    case FILE_BADGER:
        return refuse(&why, STATUS_UNSUPPORTED, store->path, "a BadgerDB directory, not a database file", failure);
    case FILE_NEWER:
    case FILE_FOREIGN:
        return refuse(&why, STATUS_UNSUPPORTED, store->path, NULL, failure);
    case FILE_DAMAGED:
        return refuse(&why, STATUS_CORRUPT, store->path, NULL, failure);
    case FILE_UNREADABLE:
        break;
    }
    return refuse(&why, why.status == STATUS_OK ? STATUS_IO_ERROR : why.status, store->path, NULL, failure);
}

/* ---- the connection ---- */

static int note_frames(void *context, sqlite3 *db, const char *name, int frames)
{
    struct sqlite_writing *writing = context;
    (void)db;
    (void)name;
    writing->wal_frames = frames;
    writing->wal_commits++;
    return SQLITE_OK;
}

static int set_pragmas(sqlite3 *db)
{
    static const char settings[] = "PRAGMA synchronous = FULL;"
                                   "PRAGMA secure_delete = OFF;"
                                   "PRAGMA foreign_keys = OFF;"
                                   "PRAGMA cache_size = -32768;";
    return sqlite3_exec(db, settings, NULL, NULL, NULL);
}

static int enter_wal(sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    bool is_wal = rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW &&
                  span_equal(sqlite_column_span(statement, 0), span_text("wal"));
    int finalized = sqlite3_finalize(statement);
    if (rc == SQLITE_OK)
        rc = finalized;
    return rc == SQLITE_OK && !is_wal ? SQLITE_CANTOPEN : rc;
}

static int connect(struct sqlite_store *store)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    int persist = 1;
    int rc = sqlite3_open_v2(store->path, &store->db, flags, NULL);
    if (rc == SQLITE_OK && sqlite3_db_readonly(store->db, "main") == 1)
        rc = SQLITE_READONLY;
    if (rc == SQLITE_OK)
        rc = sqlite_harden(store->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    if (rc == SQLITE_OK)
        rc = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    if (rc == SQLITE_OK)
        rc = enter_wal(store->db);
    if (rc == SQLITE_OK)
        rc = set_pragmas(store->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_autocheckpoint(store->db, 0);
    if (rc == SQLITE_OK)
        sqlite3_wal_hook(store->db, note_frames, store->writing);
    return rc;
}

/* ---- taking over ---- */

/* If the machine went down under the last writer: what it issued but perhaps did not keep lies below its reserve. */
static void resume_revision(struct sqlite_store *store, struct schema_meta *meta)
{
    static const uint8_t unknown[sizeof meta->boot_id];
    const uint8_t *boot_id = clock_boot_id();
    bool same_boot =
        memcmp(boot_id, unknown, sizeof unknown) != 0 && memcmp(boot_id, meta->boot_id, sizeof unknown) == 0;
    if (meta->clean || same_boot || meta->revision_reserved <= meta->revision)
        return;
    log_line(&store->log, LOG_LEVEL_NOTICE, "%s: not stopped cleanly before this boot; revisions go on from %llu",
             store->path, (unsigned long long)meta->revision_reserved);
    meta->revision = meta->revision_reserved;
}

static int load_bounds(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    int64_t first = 0, last = 0, keys = 0;
    int rc = sqlite_query_number(store->db, "SELECT coalesce(min(sequence), 1) FROM session_log", &first);
    if (rc == SQLITE_OK)
        rc = sqlite_query_number(store->db, "SELECT coalesce(max(sequence), 0) FROM session_log", &last);
    if (rc == SQLITE_OK)
        rc = sqlite_query_number(store->db, "SELECT count(*) FROM idempotency", &keys);
    writing->log_first = (uint64_t)first;
    writing->log_last = (uint64_t)last;
    writing->keys = (uint64_t)keys;
    return rc;
}

/* Inside the first transaction: *meta as it is to be. The commit's sync covers what is written again of the WAL; until
 * then nothing of it may be moved into the database, which a power cut would leave with pages that no WAL completes. */
static int take_over(struct sqlite_store *store, struct schema_meta *meta)
{
    bool found;
    uint64_t stamped = 0;
    int rc = wal_rewrite(store->db);
    if (rc == SQLITE_OK)
        rc = schema_load_meta(store->db, meta, &found);
    if (rc == SQLITE_OK && !found) {
        *meta = schema_new_meta();
        rc = sqlite3_exec(store->db, schema_sql, NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK)
        return rc;
    resume_revision(store, meta);
    rc = schema_stamp(store->db, meta->revision + 1, &stamped);
    meta->revision += stamped != 0;
    meta->revision_reserved = store->writing->durability_normal ? meta->revision + REVISION_BLOCK : 0;
    meta->epoch++;
    meta->clean = false;
    memcpy(meta->boot_id, clock_boot_id(), sizeof meta->boot_id);
    if (rc == SQLITE_OK)
        rc = schema_store_meta(store->db, meta);
    return rc == SQLITE_OK ? load_bounds(store) : rc;
}

static int commit_takeover(struct sqlite_store *store)
{
    struct schema_meta meta = {0};
    int rc = sqlite_run_plain(store, WRITE_BEGIN);
    if (rc == SQLITE_OK)
        rc = take_over(store, &meta);
    if (rc == SQLITE_OK)
        rc = sqlite_run_plain(store, WRITE_COMMIT);
    if (rc == SQLITE_OK)
        store->writing->meta = meta;
    else if (!sqlite3_get_autocommit(store->db))
        sqlite_run_plain(store, WRITE_ROLLBACK);
    return rc;
}

static int settle(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    int rc = commit_takeover(store);
    if (sqlite_rc_is_full(store->db, rc)) { /* the reserve of the writer before may give the little that it takes */
        sqlite_full_give_reserve(writing);
        rc = commit_takeover(store);
    }
    if (rc == SQLITE_OK && writing->durability_normal)
        rc = sqlite3_exec(store->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    if (rc == SQLITE_OK) /* made now: it is needed most when there is no memory to make it */
        sqlite_writing_statement(store, WRITE_ROLLBACK, &rc);
    if (rc == SQLITE_OK)
        rc = sqlite_wal_plan(store);
    if (rc == SQLITE_OK)
        rc = sqlite_data_version(store, &writing->data_version);
    if (rc == SQLITE_OK)
        rc = sqlite_identify(store, writing->meta.incarnation);
    return rc;
}

static struct sqlite_writing *writing_new(const struct storage_options *options, const char *path)
{
    struct sqlite_writing *writing = calloc(1, sizeof *writing);
    if (!writing)
        return NULL;
    if (asprintf(&writing->reserve_path, "%s-reserve", path) < 0) {
        free(writing);
        return NULL;
    }
    writing->durability_normal = options->durability_normal;
    writing->now_ms = INT64_MIN;
    writing->reserve_bytes = RESERVE_LEAST_BYTES;
    return writing;
}

int sqlite_open_writing(struct sqlite_store *store, const struct storage_options *options, struct failure *failure)
{
    int status = prepare_file(store, options, failure);
    if (status != STATUS_OK)
        return status;
    store->writing = writing_new(options, store->path);
    if (!store->writing)
        return failure_set(failure, STATUS_NO_MEMORY, "%s: no memory", store->path);
    store->writing->is_broken = true; /* until it is ours */
    int rc = connect(store);
    if (rc == SQLITE_OK)
        rc = settle(store);
    if (rc != SQLITE_OK) {
        status = sqlite_fail(store->db, rc, store->path, failure);
        /* SQLite opens for reading what it cannot open for writing, whatever the reason. */
        if (status == STATUS_READ_ONLY && refuse_read_only(store->path, NULL) == STATUS_OK)
            status = failure_set(failure, STATUS_IO_ERROR, "%s may be written, and could only be opened for reading",
                                 store->path);
        return sqlite_rc_is_unknown(rc) ? STORAGE_UNKNOWN : status;
    }
    /* SQLite tells nobody when it cannot make the new WAL's name durable. */
    status = path_sync_folder(store->path, failure);
    if (status != STATUS_OK)
        return status;
    store->writing->is_broken = false;
    if (!sqlite_full_take_reserve(store->writing))
        log_line(&store->log, LOG_LEVEL_WARNING, "%s: no space for a reserve; the database may not grow", store->path);
    return STATUS_OK;
}

/* ---- closing ---- */

/* Says that nothing was lost, so that the next boot need not skip numbers. */
static int mark_clean(struct sqlite_store *store)
{
    struct schema_meta meta = store->writing->meta;
    int rc = SQLITE_OK, status = STATUS_OK;
    meta.clean = true;
    if (!sqlite_is_current(&store->base) ||
        sqlite3_exec(store->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK)
        return STATUS_OK;
    status = sqlite_begin(&store->base, store->writing->now_ms);
    if (status != STATUS_OK)
        return status;
    meta.revision = store->writing->pending.revision;
    if (schema_store_meta(store->db, &meta) == SQLITE_OK)
        rc = sqlite_run_plain(store, WRITE_COMMIT);
    if (sqlite_rc_is_unknown(rc))
        return sqlite_writing_break(store, "the sync of the last commit failed");
    sqlite_rollback(&store->base);
    return STATUS_OK;
}

/* What fails here costs only the mark of a clean end; a sync that failed is told all the same. */
int sqlite_end(struct storage *storage)
{
    struct sqlite_store *store = sqlite_of(storage);
    if (store->writing->is_broken || store->writing->has_ended)
        return STATUS_OK;
    store->writing->has_ended = true;
    return mark_clean(store) == STORAGE_UNKNOWN ? STORAGE_UNKNOWN : STATUS_OK;
}

void sqlite_writing_free(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    if (!writing)
        return;
    if (writing->in_transaction)
        sqlite_rollback(&store->base);
    sqlite_end(&store->base);
    if (writing->is_broken && store->db) /* after a failed sync nothing is written that was not asked for */
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite_finalize_all(writing->statements, WRITE_STATEMENTS);
    if (store->db)
        sqlite3_wal_hook(store->db, NULL, NULL);
    free(writing->reserve_path);
    free(writing);
    store->writing = NULL;
}
