/*
 * schema.c - the tables of a store's file, and reading and writing its meta rows.
 *
 * resources is a rowid table with a unique index, not WITHOUT ROWID (values of 2 KiB wrote 2.1 and read 3.8 times as
 * fast), and `data` is the last column, since what stands behind it is reached only through its overflow pages.
 * Columns of ours may be NULL: other programs write rows without them, which two partial indexes find.
 */
#include "storage/schema.h"

#include "proto/clock.h"
#include "proto/span.h"

const char schema_sql[] =
    "PRAGMA application_id = 1398032211;"
    "CREATE TABLE IF NOT EXISTS resources ("
    "  kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER, created_at TEXT,"
    "  updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')), data BLOB NOT NULL,"
    "  UNIQUE (kind, id));"
    "CREATE INDEX IF NOT EXISTS resources_unstamped ON resources (revision) WHERE revision IS NULL;"
    "CREATE TABLE IF NOT EXISTS resource_audit ("
    "  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, resource_id TEXT NOT NULL,"
    "  archived_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),"
    "  version_hash TEXT, tag TEXT, revision INTEGER, data BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS resource_audit_resource ON resource_audit (kind, resource_id);"
    "CREATE INDEX IF NOT EXISTS resource_audit_hash ON resource_audit (kind, resource_id, version_hash);"
    "CREATE INDEX IF NOT EXISTS resource_audit_tag ON resource_audit (kind, resource_id, tag);"
    "CREATE INDEX IF NOT EXISTS resource_audit_unstamped ON resource_audit (revision) WHERE revision IS NULL;"
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS session_log (sequence INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS idempotency ("
    "  principal BLOB NOT NULL, key BLOB NOT NULL, expires_s INTEGER NOT NULL, operation INTEGER NOT NULL,"
    "  target BLOB NOT NULL, fingerprint BLOB NOT NULL, revision INTEGER NOT NULL, count INTEGER NOT NULL,"
    "  UNIQUE (principal, key));"
    "CREATE INDEX IF NOT EXISTS idempotency_expiry ON idempotency (expires_s);";

/* Where each row of meta lands; one table for loading and storing. */
enum meta_type { META_NUMBER, META_BYTES, META_FLAG };
struct meta_row {
    const char *name;
    enum meta_type type;
    size_t offset;
};
#define ROW(name, type, field)                          \
    {                                                   \
        name, type, offsetof(struct schema_meta, field) \
    }
static const struct meta_row meta_rows[] = {
    ROW("schema", META_NUMBER, version),    ROW("incarnation", META_BYTES, incarnation),
    ROW("revision", META_NUMBER, revision), ROW("revision_reserved", META_NUMBER, revision_reserved),
    ROW("epoch", META_NUMBER, epoch),       ROW("session_counter", META_NUMBER, session_counter),
    ROW("boot_id", META_BYTES, boot_id),    ROW("clean", META_FLAG, clean),
};
#undef ROW
enum { META_ROWS = sizeof meta_rows / sizeof *meta_rows, ID_BYTES = 16 };

static void take_row(sqlite3_stmt *statement, struct schema_meta *meta, bool *found)
{
    struct span name = {sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0)};
    for (size_t i = 0; i < META_ROWS; i++) {
        if (!span_equal(name, span_text(meta_rows[i].name)))
            continue;
        char *at = (char *)meta + meta_rows[i].offset;
        if (meta_rows[i].type == META_NUMBER) {
            int64_t number = sqlite3_column_int64(statement, 1);
            memcpy(at, &number, sizeof number);
        } else if (meta_rows[i].type == META_FLAG) {
            bool flag = sqlite3_column_int(statement, 1) != 0;
            memcpy(at, &flag, sizeof flag);
        } else if (sqlite3_column_bytes(statement, 1) == ID_BYTES) {
            memcpy(at, sqlite3_column_blob(statement, 1), ID_BYTES);
        }
        *found = *found || i == 0;
    }
}

int schema_load_meta(sqlite3 *db, struct schema_meta *meta, bool *found)
{
    *meta = (struct schema_meta){0};
    *found = false;
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'meta'", -1,
                                &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    rc = sqlite3_prepare_v2(db, "SELECT name, value FROM meta", -1, &statement, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        take_row(statement, meta, found);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int store_row(sqlite3_stmt *statement, const struct meta_row *row, const struct schema_meta *meta)
{
    const char *at = (const char *)meta + row->offset;
    int rc = sqlite3_bind_text(statement, 1, row->name, -1, SQLITE_STATIC);
    if (rc != SQLITE_OK)
        return rc;
    if (row->type == META_NUMBER) {
        int64_t number;
        memcpy(&number, at, sizeof number);
        rc = sqlite3_bind_int64(statement, 2, number);
    } else if (row->type == META_FLAG) {
        rc = sqlite3_bind_int(statement, 2, *(const bool *)at ? 1 : 0);
    } else {
        rc = sqlite3_bind_blob(statement, 2, at, ID_BYTES, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK)
        sqlite3_step(statement);
    int reset = sqlite3_reset(statement);
    return rc == SQLITE_OK ? reset : rc;
}

int schema_store_meta(sqlite3 *db, const struct schema_meta *meta)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db,
                                "INSERT INTO meta (name, value) VALUES (?1, ?2)"
                                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                                -1, &statement, NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < META_ROWS; i++)
        rc = store_row(statement, &meta_rows[i], meta);
    sqlite3_finalize(statement);
    return rc;
}

struct schema_meta schema_new_meta(void)
{
    struct schema_meta meta = {.version = SCHEMA_VERSION};
    random_bytes(meta.incarnation, sizeof meta.incarnation);
    return meta;
}

static int stamp_table(sqlite3 *db, const char *sql, uint64_t revision, uint64_t *stamped)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 1, (sqlite3_int64)revision);
    if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_DONE) {
        *stamped += (uint64_t)sqlite3_changes64(db);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return rc;
}

int schema_stamp(sqlite3 *db, uint64_t revision, uint64_t *stamped)
{
    *stamped = 0;
    int rc = stamp_table(db,
                         "UPDATE resources INDEXED BY resources_unstamped SET revision = ?1,"
                         " created_at = coalesce(created_at, updated_at) WHERE revision IS NULL",
                         revision, stamped);
    if (rc == SQLITE_OK)
        rc = stamp_table(db,
                         "UPDATE resource_audit INDEXED BY resource_audit_unstamped SET revision = ?1"
                         " WHERE revision IS NULL",
                         revision, stamped);
    return rc;
}
