/*
 * storage_file_support.h - what the tests of whole files share: a folder a test, databases made by plain SQL.
 */
#ifndef TESTS_STORAGE_FILE_SUPPORT_H
#define TESTS_STORAGE_FILE_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "storage/schema.h"

#include <dirent.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[64];
    char name[128]; /* of the last file_in */
};

static inline int folder_setup(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);

    if (!folder)
        return -1;
    snprintf(folder->path, sizeof folder->path, "/tmp/stigstore-test-XXXXXX");
    if (!mkdtemp(folder->path)) {
        free(folder);
        return -1;
    }
    *state = folder;
    return 0;
}

static inline int folder_teardown(void **state)
{
    struct folder *folder = *state;
    char command[96];

    snprintf(command, sizeof command, "rm -rf '%s'", folder->path);
    int rc = system(command);
    free(folder);
    return rc;
}

static inline const char *file_in(struct folder *folder, const char *name)
{
    snprintf(folder->name, sizeof folder->name, "%s/%s", folder->path, name);
    return folder->name;
}

static inline sqlite3 *open_database(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    return db;
}

static inline void run_sql(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static inline void make_database(const char *path, const char *sql)
{
    sqlite3 *db = open_database(path);
    run_sql(db, sql);
    sqlite3_close(db);
}

/* All rows of a query as text: columns by '|', rows by newline. */
static inline char *query_text(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_str *text = sqlite3_str_new(db);
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const char *value = (const char *)sqlite3_column_text(statement, i);
            sqlite3_str_appendf(text, "%s%s", i ? "|" : "", value ? value : "NULL");
        }
        sqlite3_str_appendall(text, "\n");
    }
    assert_int_equal(rc, SQLITE_DONE);
    sqlite3_finalize(statement);
    sqlite3_str_appendall(text, "");
    char *result = sqlite3_str_finish(text);
    return result ? result : sqlite3_mprintf("");
}

static inline void assert_query(const char *path, const char *sql, const char *expected)
{
    sqlite3 *db = open_database(path);
    char *text = query_text(db, sql);

    assert_string_equal(text, expected);
    sqlite3_free(text);
    sqlite3_close(db);
}

/* A file's bytes; the caller frees. */
static inline char *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static inline void write_whole(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static inline unsigned count_entries(const char *folder)
{
    DIR *directory = opendir(folder);
    unsigned count = 0;

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* Stigmer's tables. */
#define STIGMER_VERSIONS \
    "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL DEFAULT (datetime('now')));"
#define STIGMER_RESOURCES                                                                         \
    "CREATE TABLE resources (kind TEXT NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL,"           \
    " updated_at TEXT NOT NULL DEFAULT (datetime('now')), PRIMARY KEY (kind, id)) WITHOUT ROWID;" \
    "CREATE INDEX idx_resources_kind_id ON resources (kind, id);"
#define STIGMER_AUDIT                                                                                      \
    "CREATE TABLE resource_audit (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"               \
    " resource_id TEXT NOT NULL, data BLOB NOT NULL, archived_at TEXT NOT NULL DEFAULT (datetime('now'))," \
    " version_hash TEXT, tag TEXT);"                                                                       \
    "CREATE INDEX idx_audit_resource ON resource_audit (kind, resource_id);"                               \
    "CREATE INDEX idx_audit_hash ON resource_audit (kind, resource_id, version_hash);"                     \
    "CREATE INDEX idx_audit_tag ON resource_audit (kind, resource_id, tag, archived_at DESC);"
#define STIGMER_SCHEMA_1                                            \
    "PRAGMA journal_mode = WAL;" STIGMER_VERSIONS STIGMER_RESOURCES \
    "INSERT INTO schema_version VALUES (1, '2026-01-25 10:00:00');"
#define STIGMER_SCHEMA_2 STIGMER_SCHEMA_1 STIGMER_AUDIT "INSERT INTO schema_version VALUES (2, '2026-01-25 18:00:00');"

#define OURS                                                                                                \
    "INSERT INTO resources (kind, id, revision, created_at, updated_at, data) VALUES"                       \
    " ('k', 'a', 1, '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000', x'01'),"                          \
    " ('k', 'b', 2, '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000', x'02');"                          \
    "INSERT INTO resource_audit (kind, resource_id, archived_at, version_hash, tag, revision, data) VALUES" \
    " ('k', 'a', '2026-01-01 00:00:00.000', 'h', 't', 2, x'03');"                                           \
    "INSERT INTO idempotency VALUES (x'', 'key', 0, 8, x'', x'', 2, 0), (zeroblob(32), 'key', 0, 8, x'', x'', 2, 0);"

/* A file of ours as an opener makes it, in WAL mode, closed. */
static inline void make_ours(const char *path, int64_t version)
{
    struct schema_meta meta = schema_new_meta();
    sqlite3 *db = open_database(path);

    meta.version = version;
    meta.revision = 2;
    run_sql(db, "PRAGMA journal_mode = WAL");
    run_sql(db, schema_sql);
    run_sql(db, OURS);
    assert_int_equal(schema_store_meta(db, &meta), SQLITE_OK);
    sqlite3_close(db);
}
#endif
