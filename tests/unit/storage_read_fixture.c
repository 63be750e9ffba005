/* storage_read_fixture.c - see storage_read_fixture.h. */
#include "tests/unit/storage_read_fixture.h"

#include "proto/limits.h"
#include "storage/schema.h"
#include "tests/support/folder.h"

#include <stdio.h>
#include <stdlib.h>

static void run(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error ? error : "?");
}

sqlite3 *fixture_create(const char *path)
{
    sqlite3 *db = NULL;
    struct schema_meta meta = schema_new_meta();
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; BEGIN");
    run(db, schema_sql);
    assert_int_equal(schema_store_meta(db, &meta), SQLITE_OK);
    run(db, "COMMIT");
    return db;
}

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->folder = folder_new();
    fixture->path = folder_path(fixture->folder, "db");
    fixture->db = fixture_create(fixture->path);
    fixture->arena = arena_new(0);
    assert_non_null(fixture->arena);
    *state = fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    storage_close(&fixture->storage);
    sqlite3_close(fixture->db);
    arena_free(&fixture->arena);
    free(fixture->path);
    folder_remove(&fixture->folder);
    free(fixture);
    return 0;
}

void fixture_run(struct fixture *fixture, const char *sql)
{
    run(fixture->db, sql);
}

void fixture_close_writer(struct fixture *fixture)
{
    assert_int_equal(sqlite3_close(fixture->db), SQLITE_OK);
    fixture->db = NULL;
}

int fixture_try_open(const char *path, struct storage **storage, struct failure *failure)
{
    struct storage_options options = {.path = path, .access = STORAGE_FOR_READING, .keep_snapshots = true};
    return storage_open_sqlite(&options, storage, failure);
}

void fixture_open(struct fixture *fixture)
{
    struct failure failure = {0};
    if (fixture_try_open(fixture->path, &fixture->storage, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
}

static void bind(sqlite3_stmt *statement, int index, struct span text, bool is_blob)
{
    const void *data = text.data ? text.data : "";
    int rc = is_blob ? sqlite3_bind_blob64(statement, index, data, text.size, SQLITE_STATIC)
                     : sqlite3_bind_text64(statement, index, data, text.size, SQLITE_STATIC, SQLITE_UTF8);
    assert_int_equal(rc, SQLITE_OK);
}

static sqlite3_stmt *prepare(struct fixture *fixture, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(fixture->db, sql, -1, &statement, NULL), SQLITE_OK);
    return statement;
}

static void commit(struct fixture *fixture, sqlite3_stmt *statement)
{
    run(fixture->db, "BEGIN IMMEDIATE");
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    run(fixture->db, "UPDATE meta SET value = value + 1 WHERE name = 'revision'; COMMIT");
}

void fixture_put(struct fixture *fixture, const char *kind, struct span id, struct span data)
{
    sqlite3_stmt *statement =
        prepare(fixture, "INSERT INTO resources (kind, id, revision, created_at, updated_at, data)"
                         " VALUES (?1, ?2, ?3, '2024-02-29 12:00:00.250', '2024-03-01 00:00:00.001', ?4)"
                         " ON CONFLICT (kind, id) DO UPDATE SET data = excluded.data, revision = excluded.revision");
    bind(statement, 1, span_text(kind), false);
    bind(statement, 2, id, false);
    assert_int_equal(sqlite3_bind_int64(statement, 3, (sqlite3_int64)++fixture->revision), SQLITE_OK);
    bind(statement, 4, data, true);
    commit(fixture, statement);
}

void fixture_archive(struct fixture *fixture, const char *kind, const char *id, const char *hash, const char *tag,
                     const char *archived_at, struct span data)
{
    sqlite3_stmt *statement = prepare(
        fixture, "INSERT INTO resource_audit (kind, resource_id, archived_at, version_hash, tag, revision, data)"
                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    const char *texts[] = {kind, id, archived_at, hash, tag};
    for (int i = 0; i < 5; i++)
        if (texts[i])
            bind(statement, i + 1, span_text(texts[i]), false);
    assert_int_equal(sqlite3_bind_int64(statement, 6, (sqlite3_int64)++fixture->revision), SQLITE_OK);
    bind(statement, 7, data, true);
    commit(fixture, statement);
}

struct request fixture_request(uint32_t operation, const char *kind, const char *id)
{
    return (struct request){
        .operation = operation, .kind = span_text(kind), .id = span_text(id), .deadline_ns = INT64_MAX};
}

int fixture_ask_all(struct fixture *fixture, const struct request *requests, size_t count, struct reply *replies,
                    size_t most_bytes, size_t wanted)
{
    int status;
    do {
        status = fixture->storage->ops->answer(fixture->storage, requests, count, replies, fixture->arena, most_bytes);
    } while (status == STATUS_OK && replies[wanted - 1].status == STATUS_NOT_READ);
    return status;
}

struct reply fixture_ask(struct fixture *fixture, struct request request)
{
    struct reply reply;
    fixture->storage->ops->answer(fixture->storage, &request, 1, &reply, fixture->arena, LIMIT_MESSAGE_BYTES);
    return reply;
}

void assert_span_equal(struct span got, struct span wanted)
{
    assert_int_equal(got.size, wanted.size);
    if (wanted.size)
        assert_memory_equal(got.data, wanted.data, wanted.size);
}
