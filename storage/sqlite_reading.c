/* sqlite_reading.c - statements and snapshots of the reading side, and a row as an item. */
#include "storage/sqlite_reading.h"

#include "proto/clock.h"
#include "storage/path.h"
#include "storage/timetext.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PROGRESS_STEPS = 2000 };

/* length() of a BLOB is in its row's header; the length of a TEXT, which others may have stored, is not. */
#define DATA_BYTES "CASE typeof(data) WHEN 'blob' THEN length(data) ELSE length(CAST(data AS BLOB)) END"
#define RESOURCE   "SELECT revision, created_at, updated_at, "
#define AUDIT      "SELECT revision, archived_at, archived_at, "
#define AUDIT_ID   ", resource_id, version_hash, tag FROM resource_audit "
#define BY_RANGE   "FROM resources WHERE kind = ?1 AND id >= ?2 AND id < ?3 "
#define OF_ID      "WHERE kind = ?1 AND resource_id = ?2 "
#define NEWEST     "ORDER BY id DESC LIMIT 1"

static const char *const statement_sql[READ_STATEMENTS] = {
    [READ_GET] = RESOURCE "data FROM resources WHERE kind = ?1 AND id = ?2",
    [READ_STAT] = RESOURCE DATA_BYTES " FROM resources WHERE kind = ?1 AND id = ?2",
    [READ_LIST] = RESOURCE "data, id " BY_RANGE "ORDER BY id LIMIT ?4",
    [READ_LIST_KEYS] = RESOURCE DATA_BYTES ", id " BY_RANGE "ORDER BY id LIMIT ?4",
    [READ_COUNT] = "SELECT count(*) " BY_RANGE,
    /* Steps from kind to kind by the indexes; DISTINCT would walk every row. */
    [READ_KINDS] = "WITH RECURSIVE step (kind) AS ("
                   "SELECT min(kind) FROM (SELECT min(kind) AS kind FROM resources"
                   " UNION ALL SELECT min(kind) FROM resource_audit) "
                   "UNION ALL SELECT (SELECT min(kind) FROM ("
                   "SELECT min(kind) AS kind FROM resources WHERE kind > step.kind"
                   " UNION ALL SELECT min(kind) FROM resource_audit WHERE kind > step.kind))"
                   " FROM step WHERE step.kind IS NOT NULL) "
                   "SELECT kind FROM step WHERE kind IS NOT NULL",
    /* By the index, so that the next record of a rare kind is not looked for among all the others. */
    [READ_AUDIT_SCAN] = AUDIT "data" AUDIT_ID "INDEXED BY resource_audit_resource WHERE kind = ?1"
                              " ORDER BY resource_id, id",
    [READ_AUDIT_BY_HASH] = AUDIT "data" AUDIT_ID OF_ID "AND version_hash = ?3 " NEWEST,
    [READ_AUDIT_WITHOUT_HASH] = AUDIT "data" AUDIT_ID OF_ID "AND coalesce(version_hash, '') = '' " NEWEST,
    [READ_AUDIT_BY_TAG] = AUDIT "data" AUDIT_ID OF_ID "AND tag = ?3 " NEWEST,
    [READ_AUDIT_WITHOUT_TAG] = AUDIT "data" AUDIT_ID OF_ID "AND coalesce(tag, '') = '' " NEWEST,
    [READ_AUDIT_HISTORY] = AUDIT "data" AUDIT_ID OF_ID "ORDER BY id DESC LIMIT ?3",
    [READ_AUDIT_HISTORY_KEYS] = AUDIT DATA_BYTES AUDIT_ID OF_ID "ORDER BY id DESC LIMIT ?3",
};

static int is_late(void *context)
{
    const struct sqlite_reading *reading = context;
    return reading->deadline_ns != INT64_MAX && clock_boot_ns() > reading->deadline_ns;
}

struct sqlite_reading *sqlite_reading_of(struct sqlite_store *store)
{
    if (store->reading)
        return store->reading;
    struct sqlite_reading *reading = calloc(1, sizeof(*reading));
    if (!reading)
        return NULL;
    reading->deadline_ns = INT64_MAX;
    /* A writing connection has a handler of its own. */
    if (!store->writing)
        sqlite3_progress_handler(store->db, PROGRESS_STEPS, is_late, reading);
    store->reading = reading;
    return reading;
}

void sqlite_reading_free(struct sqlite_store *store)
{
    struct sqlite_reading *reading = store->reading;
    if (!reading)
        return;
    sqlite_scan_close(&reading->scan);
    snapshot_free(&reading->snapshot, store->db);
    sqlite_finalize_all(reading->statements, READ_STATEMENTS);
    if (!store->writing)
        sqlite3_progress_handler(store->db, 0, NULL, NULL);
    free(reading);
    store->reading = NULL;
}

sqlite3_stmt *sqlite_read_statement(struct sqlite_store *store, enum read_statement which, int *status)
{
    sqlite3_stmt **slot = &store->reading->statements[which];
    int rc = sqlite_prepare(store, slot, statement_sql[which]);
    *status = rc == SQLITE_OK ? STATUS_OK : sqlite_status(store, rc);
    return rc == SQLITE_OK ? *slot : NULL;
}

void sqlite_read_until(struct sqlite_store *store, int64_t deadline_ns)
{
    store->reading->deadline_ns = deadline_ns;
}

/* ---- the file and the snapshot ---- */

bool sqlite_watch(const char *path, struct watched_file *watched)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return false;
    *watched = (struct watched_file){file.st_dev, file.st_ino, file.st_size, file.st_mtim, file.st_ctim};
    return true;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool sqlite_is_unchanged(struct sqlite_store *store)
{
    struct watched_file now;
    if (!store->reading || !store->reading->is_immutable)
        return true;
    /* A writer that starts makes the -wal before it changes anything. */
    const struct watched_file *then = &store->reading->watched;
    return sqlite_watch(store->path, &now) && now.device == then->device && now.inode == then->inode &&
           now.size == then->size && is_same_time(now.modified, then->modified) &&
           is_same_time(now.changed, then->changed) && path_size_beside(store->path, "-wal") <= 0;
}

int sqlite_read_begin(struct sqlite_store *store)
{
    struct sqlite_reading *reading = sqlite_reading_of(store);
    if (!reading)
        return STATUS_NO_MEMORY;
    sqlite_forget_errno(store);
    if (!sqlite_is_unchanged(store))
        return STATUS_UNAVAILABLE;
    bool keep = store->keep_snapshots && !store->writing && !reading->is_immutable;
    return sqlite_status(store, snapshot_begin(&reading->snapshot, store->db, keep));
}

int sqlite_read_end(struct sqlite_store *store)
{
    sqlite_read_until(store, INT64_MAX);
    snapshot_end(&store->reading->snapshot, store->db);
    return sqlite_is_unchanged(store) ? STATUS_OK : STATUS_UNAVAILABLE;
}

bool sqlite_holds_snapshot(const struct storage *storage)
{
    const struct sqlite_store *store = (const struct sqlite_store *)storage;
    return store->reading && store->reading->snapshot.is_open;
}

void sqlite_release_snapshot(struct storage *storage)
{
    struct sqlite_store *store = sqlite_of(storage);
    if (store->reading && !store->reading->scan)
        snapshot_release(&store->reading->snapshot, store->db);
}

/* ---- a row as an item ---- */

/* Copies a column; false when memory is short. A NULL is empty. */
static bool take(struct span column, struct span *out, struct arena *arena)
{
    *out = arena_copy(arena, column);
    return out->data != NULL;
}

enum column { COLUMN_REVISION, COLUMN_CREATED, COLUMN_UPDATED, COLUMN_DATA, COLUMN_ID, COLUMN_HASH, COLUMN_TAG };

/* Most rows were never changed after they were made: their two times are one text. */
static void take_times(sqlite3_stmt *row, struct item *item)
{
    struct span updated = sqlite_column_span(row, COLUMN_UPDATED), created = sqlite_column_span(row, COLUMN_CREATED);
    item->updated_ms = timetext_parse(updated);
    item->created_ms = span_equal(created, updated) ? item->updated_ms : timetext_parse(created);
    if (!item->created_ms)
        item->created_ms = item->updated_ms;
}

int sqlite_read_item(sqlite3_stmt *row, bool with_data, struct span kind, struct span id, struct item *item,
                     struct arena *arena, size_t *room)
{
    struct span none = {0}, data = none, name = none, hash = none, tag = none;
    int columns = sqlite3_column_count(row);
    if (with_data)
        data = sqlite_column_span(row, COLUMN_DATA);
    if (columns > COLUMN_ID)
        name = sqlite_column_span(row, COLUMN_ID);
    if (columns > COLUMN_TAG) {
        hash = sqlite_column_span(row, COLUMN_HASH);
        tag = sqlite_column_span(row, COLUMN_TAG);
    }
    size_t bytes =
        STORAGE_ITEM_BYTES + kind.size + (columns > COLUMN_ID ? name : id).size + data.size + hash.size + tag.size;
    if (bytes > *room)
        return STATUS_TOO_LARGE;
    *room -= bytes;
    memset(item, 0, sizeof(*item));
    item->kind = kind;
    item->id = id;
    item->revision = (uint64_t)sqlite3_column_int64(row, COLUMN_REVISION);
    take_times(row, item);
    item->data_bytes = with_data ? data.size : (uint64_t)sqlite3_column_int64(row, COLUMN_DATA);
    bool got = !with_data || take(data, &item->data, arena);
    if (columns > COLUMN_ID)
        got = got && take(name, &item->id, arena);
    if (columns > COLUMN_TAG)
        got = got && take(hash, &item->hash, arena) && take(tag, &item->tag, arena);
    return got ? STATUS_OK : STATUS_NO_MEMORY;
}
