/* snapshot.c - kept snapshots by comparing the head of SQLite's WAL-index. */
#include "storage/snapshot.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

enum {
    WAL_INDEX_VERSION = 3007000, /* iVersion, the first 32 bits */
    WAL_INDEX_REGION_BYTES = 32768,
    WAL_INDEX_COPY_BYTES = 48, /* the header stands there twice */
};

/* Shared memory that other processes write: the fences order the copy against our transaction's own reads. */
static void copy_header(const void *wal_index, uint8_t out[SNAPSHOT_HEADER_BYTES])
{
    atomic_thread_fence(memory_order_seq_cst);
    const volatile uint32_t *words = wal_index;
    for (size_t i = 0; i < SNAPSHOT_HEADER_BYTES / sizeof(uint32_t); i++) {
        uint32_t word = words[i];
        memcpy(out + i * sizeof(word), &word, sizeof(word));
    }
    atomic_thread_fence(memory_order_seq_cst);
}

static bool is_whole(const uint8_t header[SNAPSHOT_HEADER_BYTES])
{
    uint32_t version;
    memcpy(&version, header, sizeof(version));
    return version == WAL_INDEX_VERSION && memcmp(header, header + WAL_INDEX_COPY_BYTES, WAL_INDEX_COPY_BYTES) == 0;
}

/* The first region of the WAL-index as the connection has it mapped; NULL: there is none. Stays while a transaction is
 * open. */
static const void *find_wal_index(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    void volatile *region = NULL;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file || !file->pMethods)
        return NULL;
    if (file->pMethods->iVersion < 2 || !file->pMethods->xShmMap)
        return NULL;
    if (file->pMethods->xShmMap(file, 0, WAL_INDEX_REGION_BYTES, 0, &region) != SQLITE_OK)
        return NULL;
    return (const void *)region;
}

static bool is_newest(const struct snapshot *snapshot)
{
    uint8_t now[SNAPSHOT_HEADER_BYTES];
    copy_header(snapshot->wal_index, now);
    return memcmp(now, snapshot->header, sizeof(now)) == 0;
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

static void take_header(struct snapshot *snapshot, sqlite3 *db, bool keep)
{
    snapshot->may_keep = false;
    snapshot->wal_index = keep ? find_wal_index(db) : NULL;
    if (!snapshot->wal_index)
        return;
    copy_header(snapshot->wal_index, snapshot->header);
    snapshot->may_keep = is_whole(snapshot->header);
}

int snapshot_begin(struct snapshot *snapshot, sqlite3 *db, bool keep)
{
    if (snapshot->is_open && keep && snapshot->may_keep && !sqlite3_get_autocommit(db) && is_newest(snapshot))
        return SQLITE_OK;
    snapshot_release(snapshot, db);
    /* Before the transaction: a commit in between then counts as seen too late, never as not seen. */
    take_header(snapshot, db, keep);
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
