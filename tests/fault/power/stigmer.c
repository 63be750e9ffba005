/*
 * stigmer.c - see stigmer.h.
 */
#include "tests/fault/power/stigmer.h"
#include "tests/fault/disk/calls.h"
#include "tests/fault/disk/disk.h"
#include "tests/unit/storage_file_support.h"

enum { ROWS = 20, VERSIONS = 3 };

/* Bytes that are no message: their hash and tag stay empty. */
static void fill_data(char *data, size_t size, unsigned number)
{
    memset(data, (int)(0xF0 + number % 8), size);
}

static void insert(sqlite3 *db, const char *sql, const char *id, unsigned number, size_t size)
{
    sqlite3_stmt *statement = NULL;
    char data[1200];

    fill_data(data, size, number);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        abort();
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_TRANSIENT);
    sqlite3_bind_blob(statement, 2, data, (int)size, SQLITE_TRANSIENT);
    if (sqlite3_step(statement) != SQLITE_DONE)
        abort();
    sqlite3_finalize(statement);
}

static void expect(struct state *state, uint32_t operation, unsigned id, unsigned number, size_t size)
{
    static const struct reply reply = {.status = STATUS_OK, .revision = 1};
    char data[1200];
    struct request request = {.operation = operation, .kind = span_text(state_kind(0)), .id = span_text(state_id(id))};

    fill_data(data, size, number);
    request.data = (struct span){data, size};
    state_apply(state, &request, &reply, (struct span){NULL, 0}, (struct span){NULL, 0});
}

static void add_records(sqlite3 *db, struct state *state, unsigned id, unsigned schema)
{
    char name[64];

    for (unsigned version = 0; version < VERSIONS; version++) {
        if (schema == 1) {
            snprintf(name, sizeof name, "%s_audit/%s/%u", state_kind(0), state_id(id), 100 + version);
            insert(db, "INSERT INTO resources (kind, id, data) VALUES ('k0', ?1, ?2)", name, version, 300);
        } else {
            insert(db, "INSERT INTO resource_audit (kind, resource_id, data) VALUES ('k0', ?1, ?2)", state_id(id),
                   version, 300);
        }
        expect(state, OPERATION_AUDIT_SAVE, id, version, 300);
    }
}

void stigmer_make(struct world *world, const char *path, unsigned schema)
{
    const char *root = calls.root;
    struct state state = {0};

    calls.root = NULL;
    sqlite3 *db = open_database(path);
    run_sql(db, schema == 1 ? STIGMER_SCHEMA_1 : STIGMER_SCHEMA_2);
    run_sql(db, "BEGIN");
    for (unsigned i = 0; i < ROWS; i++) {
        insert(db, "INSERT INTO resources (kind, id, data) VALUES ('k0', ?1, ?2)", state_id(i), i, 1000);
        expect(&state, OPERATION_SAVE, i, i, 1000);
        if (i % 4 == 0)
            add_records(db, &state, i, schema);
    }
    run_sql(db, "COMMIT");
    sqlite3_close(db);
    disk_settle();
    calls.root = root;
    world_forget(world, path, &state);
}

void stigmer_check_backup(struct world *world)
{
    char path[256];
    int64_t rows = 0;
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    for (int version = 1; version <= 2; version++) {
        snprintf(path, sizeof path, "file:%s.stigmer-v%d.backup?immutable=1", world->path, version);
        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK &&
            sqlite3_prepare_v2(db, "SELECT count(*) FROM resources WHERE id NOT LIKE '%_audit/%'", -1, &statement,
                               NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW)
            rows += sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        sqlite3_close(db);
        statement = NULL;
    }
    if (rows != ROWS)
        world_wrong(world, "the copy of what was upgraded holds %lld rows", (long long)rows);
}
