/*
 * sqlite_write.c - the life of a transaction: begin, commit, rollback, and the session log that rides in it.
 *
 * A commit counts as failed only where SQLite surely wrote no commit frame: a full disk, met while frames were being
 * written.  Every other failure of COMMIT may be behind the commit frame, and is unknown.
 */
#include "proto/clock.h"
#include "storage/sqlite_writing.h"

#include <assert.h>

#define RESOURCE_RANGE "kind = ?1 AND id >= ?2 AND id < ?3"
#define RECORD_RANGE   "kind = ?1 AND resource_id >= ?2 AND resource_id < ?3"

static const char *const write_sql[WRITE_STATEMENTS] = {
    [WRITE_BEGIN] = "BEGIN IMMEDIATE",
    [WRITE_COMMIT] = "COMMIT",
    [WRITE_ROLLBACK] = "ROLLBACK",
    [WRITE_SAVEPOINT] = "SAVEPOINT request",
    [WRITE_SAVEPOINT_UNDO] = "ROLLBACK TO request",
    [WRITE_SAVEPOINT_RELEASE] = "RELEASE request",
    [WRITE_SAVE] = "INSERT INTO resources (kind, id, revision, created_at, updated_at, data)"
                   " VALUES (?1, ?2, ?3, ?4, ?4, ?5) ON CONFLICT (kind, id) DO UPDATE SET"
                   " revision = excluded.revision, updated_at = excluded.updated_at, data = excluded.data",
    [WRITE_IMPORT] = "INSERT INTO resources (kind, id, revision, created_at, updated_at, data)"
                     " VALUES (?1, ?2, ?3, coalesce(?6, ?4), ?4, ?5) ON CONFLICT (kind, id) DO UPDATE SET"
                     " revision = excluded.revision, created_at = coalesce(?6, created_at),"
                     " updated_at = excluded.updated_at, data = excluded.data",
    [WRITE_REVISION_OF] = "SELECT revision FROM resources WHERE kind = ?1 AND id = ?2",
    [WRITE_DELETE] = "DELETE FROM resources WHERE kind = ?1 AND id = ?2",
    [WRITE_AUDIT_SAVE] =
        "INSERT INTO resource_audit (kind, resource_id, archived_at, version_hash, tag, revision, data)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [WRITE_AUDIT_DELETE] = "DELETE FROM resource_audit WHERE kind = ?1 AND resource_id = ?2",
    [WRITE_RANGE_COUNT] = "SELECT (SELECT count(*) FROM (SELECT 1 FROM resources WHERE " RESOURCE_RANGE " LIMIT ?4))"
                          " + (SELECT count(*) FROM (SELECT 1 FROM resource_audit WHERE " RECORD_RANGE " LIMIT ?4))",
    /* Ids against the rules, which others may have written, are no ends. */
    [WRITE_RANGE_LAST] =
        "SELECT min(id) FROM (SELECT * FROM (SELECT id FROM resources WHERE " RESOURCE_RANGE
        " AND length(CAST(id AS BLOB)) BETWEEN 1 AND ?5 ORDER BY id LIMIT 1 OFFSET ?4) UNION ALL"
        " SELECT * FROM (SELECT resource_id FROM resource_audit WHERE " RECORD_RANGE
        " AND length(CAST(resource_id AS BLOB)) BETWEEN 1 AND ?5 ORDER BY resource_id LIMIT 1 OFFSET ?4))",
    [WRITE_RANGE_DELETE] = "DELETE FROM resources WHERE " RESOURCE_RANGE,
    [WRITE_RANGE_DELETE_AUDIT] = "DELETE FROM resource_audit WHERE " RECORD_RANGE,
    [WRITE_META] = "UPDATE meta SET value = ?2 WHERE name = ?1",
    [WRITE_LOG_APPEND] = "INSERT INTO session_log (sequence, bytes) VALUES (?1, ?2)",
    [WRITE_LOG_DROP] = "DELETE FROM session_log WHERE sequence <= ?1",
    [WRITE_KEY_FIND] = "SELECT operation, target, fingerprint, revision, count, expires_s FROM idempotency"
                       " WHERE principal = ?1 AND key = ?2",
    [WRITE_KEY_RECORD] = "INSERT INTO idempotency (principal, key, expires_s, operation, target, fingerprint, revision,"
                         " count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (principal, key) DO UPDATE SET"
                         " expires_s = excluded.expires_s, operation = excluded.operation, target = excluded.target,"
                         " fingerprint = excluded.fingerprint, revision = excluded.revision, count = excluded.count",
    [WRITE_KEY_EXPIRE] = "DELETE FROM idempotency WHERE rowid IN"
                         " (SELECT rowid FROM idempotency WHERE expires_s <= ?1 ORDER BY expires_s LIMIT ?2)",
    [WRITE_PAGE_COUNT] = "PRAGMA page_count",
    [WRITE_PAGE_SIZE] = "PRAGMA page_size",
    [WRITE_FREE_COUNT] = "PRAGMA freelist_count",
};

sqlite3_stmt *sqlite_writing_statement(struct sqlite_store *store, enum write_statement which, int *rc)
{
    sqlite3_stmt **slot = &store->writing->statements[which];
    *rc = sqlite_prepare(store, slot, write_sql[which]);
    return *slot;
}

int sqlite_run(sqlite3_stmt *statement)
{
    int rc;
    do
        rc = sqlite3_step(statement);
    while (rc == SQLITE_ROW);
    int reset = sqlite3_reset(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : reset == SQLITE_OK ? rc : reset;
}

int sqlite_run_plain(struct sqlite_store *store, enum write_statement which)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(store, which, &rc);
    return statement ? sqlite_run(statement) : rc;
}

int sqlite_run_number(struct sqlite_store *store, enum write_statement which, int64_t *number)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(store, which, &rc);
    if (!statement)
        return rc;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    return sqlite3_reset(statement);
}

bool sqlite_rc_is_unknown(int rc)
{
    return rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC;
}

/* ---- beginning ---- */

int sqlite_data_version(struct sqlite_store *store, uint32_t *version)
{
    unsigned int value = 0;
    int rc = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_DATA_VERSION, &value);
    *version = value;
    return rc;
}

static int set_meta(struct sqlite_store *store, const char *name, uint64_t value)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(store, WRITE_META, &rc);
    if (!statement)
        return rc;
    sqlite_bind_text(statement, 1, span_text(name));
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)value);
    return sqlite_run(statement);
}

/* Somebody else committed. Another writer of ours: the file is not ours any more. Another program: what it wrote is
 * stamped, and goes on. */
static int take_foreign_commit(struct sqlite_store *store, bool *ours)
{
    struct sqlite_writing *writing = store->writing;
    struct schema_meta meta;
    bool found;
    int rc = schema_load_meta(store->db, &meta, &found);
    if (rc != SQLITE_OK)
        return rc;
    *ours = found && meta.version == SCHEMA_VERSION && meta.epoch == writing->meta.epoch &&
            memcmp(meta.incarnation, writing->meta.incarnation, sizeof meta.incarnation) == 0;
    if (!*ours)
        return SQLITE_OK;
    log_line(&store->log, LOG_LEVEL_WARNING, "%s: another program wrote to the database", store->path);
    if (meta.revision > writing->pending.revision)
        writing->pending.revision = meta.revision;
    uint64_t stamped;
    rc = schema_stamp(store->db, writing->pending.revision + 1, &stamped);
    if (rc == SQLITE_OK && stamped)
        writing->pending.revision++;
    return rc;
}

static int check_still_ours(struct sqlite_store *store, bool *ours)
{
    uint32_t version;
    *ours = true;
    int rc = sqlite_data_version(store, &version);
    if (rc != SQLITE_OK || version == store->writing->data_version)
        return rc;
    return take_foreign_commit(store, ours);
}

/* Durability normal: numbers are handed out only below what a synced commit has set aside, so that none comes twice
 * after a power cut.  This transaction is that commit when little is left. */
static int plan_reservation(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    if (!writing->durability_normal || writing->reserves_revisions ||
        writing->meta.revision_reserved > writing->meta.revision + REVISION_BLOCK_LEFT)
        return SQLITE_OK;
    int rc = sqlite3_exec(store->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    writing->reserves_revisions = rc == SQLITE_OK;
    return rc;
}

static void end_reservation(struct sqlite_store *store)
{
    if (store->writing->reserves_revisions &&
        sqlite3_exec(store->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL) == SQLITE_OK)
        store->writing->reserves_revisions = false;
}

static int start(struct sqlite_store *store, bool *ours)
{
    struct sqlite_writing *writing = store->writing;
    int rc = plan_reservation(store);
    if (rc == SQLITE_OK)
        rc = sqlite_run_plain(store, WRITE_BEGIN);
    if (rc != SQLITE_OK)
        return rc;
    writing->in_transaction = true;
    writing->pending = (struct sqlite_pending){.revision = writing->meta.revision, .keys = writing->keys};
    if (!writing->has_reserve)
        rc = sqlite_run_number(store, WRITE_PAGE_COUNT, &writing->pending.page_count);
    return rc == SQLITE_OK ? check_still_ours(store, ours) : rc;
}

int sqlite_begin(struct storage *storage, int64_t now_ms)
{
    struct sqlite_store *store = sqlite_of(storage);
    struct sqlite_writing *writing = store->writing;
    bool ours = true;
    assert(writing && !writing->in_transaction);
    sqlite_forget_errno(store);
    sqlite_release_snapshot(storage);
    if (now_ms != writing->now_ms) {
        writing->now_ms = now_ms;
        timetext_format(now_ms, writing->now_text);
    }
    int rc = start(store, &ours);
    if (rc != SQLITE_OK)
        return sqlite_writing_give_up(store, rc);
    return ours ? STATUS_OK : sqlite_writing_break(store, "another writer has taken the database");
}

/* ---- ending ---- */

void sqlite_rollback(struct storage *storage)
{
    struct sqlite_store *store = sqlite_of(storage);
    assert(store->writing);
    store->writing->in_transaction = false;
    if (!sqlite3_get_autocommit(store->db))
        sqlite_run_plain(store, WRITE_ROLLBACK); /* whatever it says, the transaction is over */
}

int sqlite_writing_give_up(struct sqlite_store *store, int rc)
{
    if (sqlite_rc_is_unknown(rc))
        return sqlite_writing_break(store, "a sync failed");
    int status = sqlite_status(store, rc);
    sqlite_rollback(&store->base);
    if (!sqlite3_get_autocommit(store->db))
        return sqlite_writing_break(store, "a transaction cannot be undone");
    if (status == STATUS_STORAGE_FULL && sqlite_rc_is_unknown(sqlite_full_enter(store)))
        return sqlite_writing_break(store, "the sync of a checkpoint failed");
    return status;
}

int sqlite_writing_break(struct sqlite_store *store, const char *why)
{
    log_line(&store->log, LOG_LEVEL_ERROR, "%s: %s", store->path, why);
    store->writing->is_broken = true;
    sqlite_rollback(&store->base);
    return STORAGE_UNKNOWN;
}

static int append_record(struct sqlite_store *store, struct span bytes)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(store, WRITE_LOG_APPEND, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)store->writing->log_last + 1);
    sqlite_bind_blob(statement, 2, bytes);
    return sqlite_run(statement);
}

/* A few of the rows that may go; *first is the oldest that is left. */
static int drop_records(struct sqlite_store *store, uint64_t through, uint64_t *first)
{
    struct sqlite_writing *writing = store->writing;
    uint64_t most = writing->log_first + LOG_DROP_STEP - 1;
    uint64_t last = through < most ? through : most;
    if (last > writing->log_last)
        last = writing->log_last;
    if (last < writing->log_first)
        return SQLITE_OK;
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(store, WRITE_LOG_DROP, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)last);
    rc = sqlite_run(statement);
    if (rc == SQLITE_OK)
        *first = last + 1;
    return rc;
}

/* While there is no reserve a commit must not make the file grow: the checkpoint behind it would find no space. On a
 * full disk, where only deletes are made, the little that they need comes out of what the reserve was. */
static int refuse_growth(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    int64_t pages = 0;
    if (writing->has_reserve || writing->is_full)
        return SQLITE_OK;
    int rc = sqlite_run_number(store, WRITE_PAGE_COUNT, &pages);
    return rc == SQLITE_OK && pages > writing->pending.page_count ? SQLITE_FULL : rc;
}

/* What the commit changes beside the requests' rows; `after` and *first are how things stand once it is done. */
static int write_counters(struct sqlite_store *store, const struct storage_session_record *record,
                          struct schema_meta *after, uint64_t *first)
{
    int rc = SQLITE_OK;
    if (after->revision != store->writing->pending.revision) {
        after->revision = store->writing->pending.revision;
        rc = set_meta(store, "revision", after->revision);
    }
    if (rc == SQLITE_OK && store->writing->reserves_revisions) {
        after->revision_reserved = after->revision + REVISION_BLOCK;
        rc = set_meta(store, "revision_reserved", after->revision_reserved);
    }
    if (rc == SQLITE_OK && record && record->session_counter > after->session_counter) {
        after->session_counter = record->session_counter;
        rc = set_meta(store, "session_counter", after->session_counter);
    }
    if (rc == SQLITE_OK && record && record->bytes.size)
        rc = append_record(store, record->bytes);
    if (rc == SQLITE_OK && record && record->drop_through)
        rc = drop_records(store, record->drop_through, first);
    return rc == SQLITE_OK ? refuse_growth(store) : rc;
}

static bool was_moved(struct sqlite_store *store)
{
    int moved = 0;
    return sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

static int end_commit(struct sqlite_store *store, int rc)
{
    if (sqlite_rc_is_full(store->db, rc) && rc != SQLITE_IOERR_SHMSIZE)
        return sqlite_writing_give_up(store, rc);
    sqlite_status(store, rc); /* says it in the log */
    return sqlite_writing_break(store, "whether the last group was committed is not known");
}

int sqlite_commit(struct storage *storage, const struct storage_session_record *record, uint64_t *sequence)
{
    struct sqlite_store *store = sqlite_of(storage);
    struct sqlite_writing *writing = store->writing;
    struct schema_meta after = writing->meta;
    uint64_t first = writing->log_first;
    assert(writing->in_transaction);
    int rc = write_counters(store, record, &after, &first);
    if (rc != SQLITE_OK)
        return sqlite_writing_give_up(store, rc);
    if (was_moved(store))
        return sqlite_writing_break(store, "the database file was moved away or replaced");
    rc = sqlite_run_plain(store, WRITE_COMMIT);
    if (rc != SQLITE_OK)
        return end_commit(store, rc);
    writing->in_transaction = false;
    writing->meta = after;
    writing->keys = writing->pending.keys;
    writing->log_first = first;
    writing->log_last += record && record->bytes.size;
    writing->commits++;
    end_reservation(store);
    if (sequence)
        *sequence = writing->log_last;
    rc = sqlite_data_version(store, &writing->data_version);
    return rc == SQLITE_OK ? STATUS_OK : sqlite_writing_break(store, "SQLite does not tell its data version");
}

/* ---- the session log ---- */

int sqlite_session_log(struct storage *storage, int (*row)(void *context, uint64_t sequence, struct span bytes),
                       void *context)
{
    struct sqlite_store *store = sqlite_of(storage);
    sqlite3_stmt *statement = NULL;
    int status = STATUS_OK;
    int rc = sqlite3_prepare_v2(store->db, "SELECT sequence, bytes FROM session_log ORDER BY sequence", -1, &statement,
                                NULL);
    while (rc == SQLITE_OK && status == STATUS_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        status = row(context, (uint64_t)sqlite3_column_int64(statement, 0), sqlite_column_span(statement, 1));
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return status != STATUS_OK ? status : sqlite_status(store, rc == SQLITE_DONE ? SQLITE_OK : rc);
}
