/* snapshot.c - kept snapshots by comparing the head of SQLite's WAL-index. */
#include "storage/snapshot.h"

#include <assert.h>
#include <string.h>

static bool is_newest(const struct snapshot *snapshot)
{
    uint8_t now[WAL_HEAD_BYTES];
    wal_copy_head(snapshot->wal_index, now);
    return memcmp(now, snapshot->head, sizeof(now)) == 0;
}

static int prepare(sqlite3 *db, sqlite3_stmt **slot, const char *sql)
{
    return *slot ? SQLITE_OK : sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
}

static int run(sqlite3 *db, sqlite3_stmt **slot, const char *sql)
{
    int rc = prepare(db, slot, sql);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_step(*slot);
    return sqlite3_reset(*slot);
}

/* The first read of the transaction: from here on it is a snapshot. */
static int read_revision(struct snapshot *snapshot, sqlite3 *db)
{
    int rc = prepare(db, &snapshot->read_revision, "SELECT value FROM meta WHERE name = 'revision'");
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(snapshot->read_revision);
    snapshot->revision = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(snapshot->read_revision, 0) : 0;
    return sqlite3_reset(snapshot->read_revision);
}

static void take_head(struct snapshot *snapshot, sqlite3 *db, bool keep)
{
    snapshot->may_keep = false;
    snapshot->wal_index = keep ? wal_find_index(db) : NULL;
    if (!snapshot->wal_index)
        return;
    wal_copy_head(snapshot->wal_index, snapshot->head);
    snapshot->may_keep = wal_head_is_whole(snapshot->head);
}

int snapshot_begin(struct snapshot *snapshot, sqlite3 *db, bool keep)
{
    if (snapshot->is_open && keep && snapshot->may_keep && !sqlite3_get_autocommit(db) && is_newest(snapshot))
        return SQLITE_OK;
    snapshot_release(snapshot, db);
    /* Before the transaction: a commit in between then counts as seen too late, never as not seen. */
    take_head(snapshot, db, keep);
    int rc = prepare(db, &snapshot->commit, "COMMIT"); /* to end it takes no memory */
    if (rc == SQLITE_OK)
        rc = run(db, &snapshot->begin, "BEGIN");
    if (rc != SQLITE_OK)
        return rc;
    snapshot->is_open = true;
    rc = read_revision(snapshot, db);
    if (rc != SQLITE_OK)
        snapshot_release(snapshot, db);
    return rc;
}

void snapshot_end(struct snapshot *snapshot, sqlite3 *db)
{
    if (!snapshot->may_keep || sqlite3_get_autocommit(db))
        snapshot_release(snapshot, db);
}

void snapshot_release(struct snapshot *snapshot, sqlite3 *db)
{
    if (!snapshot->is_open)
        return;
    snapshot->is_open = false;
    snapshot->may_keep = false;
    snapshot->wal_index = NULL;
    /* An error of SQLite's may have ended the transaction already. */
    if (!sqlite3_get_autocommit(db) && run(db, &snapshot->commit, "COMMIT") != SQLITE_OK)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    assert(sqlite3_get_autocommit(db));
}

void snapshot_free(struct snapshot *snapshot, sqlite3 *db)
{
    snapshot_release(snapshot, db);
    sqlite3_finalize(snapshot->begin);
    sqlite3_finalize(snapshot->commit);
    sqlite3_finalize(snapshot->read_revision);
    *snapshot = (struct snapshot){0};
}
