/*
 * raw_sqlite.c - SQLite alone in one process: the same tables, settings and group size, and nothing around them.
 *
 *     raw_sqlite put    saves of random keys, --group of them a transaction, each synced; latency is a transaction's
 *     raw_sqlite get    one prepared SELECT a read, each its own transaction, by a connection that only reads
 *     raw_sqlite scan   all rows in order of id, by one SELECT
 *
 * --unsynced 1 leaves the syncs out, --cached 1 reads in one transaction with all pages in memory: what no store on SQLite
 * goes past.  With --db the keys are those of that file, which somebody else may be writing to.
 */
#include "bench/draw.h"
#include "bench/peers/peer.h"
#include "storage/schema.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOAD_GROUP = 1024, ID_BYTES = 32, TIME_BYTES = 23 };

static const char time_text[] = "2026-01-01 00:00:00.000", kind[] = "bench";

struct raw {
    struct peer peer;
    sqlite3 *db;
    sqlite3_stmt *save, *get, *begin, *commit;
    char (*ids)[ID_BYTES];
    char kind[128];
    uint8_t *data;
    uint64_t revision;
    struct draw draw;
};

static void check(struct raw *raw, int rc)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        peer_fail(&raw->peer, "SQLite: %s", raw->db ? sqlite3_errmsg(raw->db) : sqlite3_errstr(rc));
}

static sqlite3_stmt *prepare(struct raw *raw, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    check(raw, sqlite3_prepare_v3(raw->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
    return statement;
}

static void run(struct raw *raw, sqlite3_stmt *statement)
{
    check(raw, sqlite3_step(statement));
    check(raw, sqlite3_reset(statement));
}

/* What the store's own writer sets. */
static void open_writing(struct raw *raw, const char *path)
{
    check(raw, sqlite3_open_v2(path, &raw->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    check(raw, sqlite3_exec(raw->db,
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF;"
                            "PRAGMA foreign_keys = OFF; PRAGMA cache_size = -32768;"
                            "PRAGMA wal_autocheckpoint = 16384",
                            NULL, NULL, NULL));
    if (raw->peer.unsynced)
        check(raw, sqlite3_exec(raw->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL));
    check(raw, sqlite3_exec(raw->db, schema_sql, NULL, NULL, NULL));
    raw->save = prepare(raw, "INSERT INTO resources (kind, id, revision, created_at, updated_at, data)"
                             " VALUES (?1, ?2, ?3, ?4, ?4, ?5) ON CONFLICT (kind, id) DO UPDATE SET"
                             " revision = excluded.revision, updated_at = excluded.updated_at, data = excluded.data");
    raw->begin = prepare(raw, "BEGIN IMMEDIATE");
    raw->commit = prepare(raw, "COMMIT");
}

static void open_reading(struct raw *raw, const char *path)
{
    check(raw, sqlite3_open_v2(path, &raw->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL));
    check(raw, sqlite3_busy_timeout(raw->db, 5000));
    raw->get = prepare(raw, "SELECT revision, created_at, updated_at, data FROM resources WHERE kind = ?1 AND id = ?2");
}

static void close_all(struct raw *raw)
{
    sqlite3_finalize(raw->save);
    sqlite3_finalize(raw->get);
    sqlite3_finalize(raw->begin);
    sqlite3_finalize(raw->commit);
    raw->save = raw->get = raw->begin = raw->commit = NULL;
    sqlite3_close(raw->db);
    raw->db = NULL;
}

static void save(struct raw *raw, const char *id)
{
    check(raw, sqlite3_bind_text(raw->save, 1, kind, sizeof(kind) - 1, SQLITE_STATIC));
    check(raw, sqlite3_bind_text(raw->save, 2, id, (int)strlen(id), SQLITE_STATIC));
    check(raw, sqlite3_bind_int64(raw->save, 3, (sqlite3_int64)++raw->revision));
    check(raw, sqlite3_bind_text(raw->save, 4, time_text, TIME_BYTES, SQLITE_STATIC));
    /* Another value each time, as callers have it. */
    memcpy(raw->data, &raw->revision, sizeof(raw->revision));
    check(raw, sqlite3_bind_blob64(raw->save, 5, raw->data, raw->peer.value_bytes, SQLITE_STATIC));
    run(raw, raw->save);
}

static void make_ids(struct raw *raw)
{
    raw->ids = calloc(raw->peer.keys, sizeof(*raw->ids));
    raw->data = malloc(raw->peer.value_bytes + sizeof(raw->revision));
    if (!raw->ids || !raw->data)
        peer_fail(&raw->peer, "no memory");
    peer_noise(raw->peer.seed, raw->data, raw->peer.value_bytes);
    for (uint64_t i = 0; i < raw->peer.keys; i++)
        peer_id(i, raw->ids[i]);
    snprintf(raw->kind, sizeof(raw->kind), "%s", kind);
}

static void load(struct raw *raw, const char *path)
{
    open_writing(raw, path);
    for (uint64_t i = 0; i < raw->peer.keys; i++) {
        if (i % LOAD_GROUP == 0)
            run(raw, raw->begin);
        save(raw, raw->ids[i]);
        if (i % LOAD_GROUP == LOAD_GROUP - 1 || i + 1 == raw->peer.keys)
            run(raw, raw->commit);
    }
}

/* The keys of a file that somebody else made: as many as are there, `keys` at most. */
static void find_ids(struct raw *raw)
{
    sqlite3_stmt *all = prepare(raw, "SELECT kind, id FROM resources LIMIT ?1");
    uint64_t count = 0;
    check(raw, sqlite3_bind_int64(all, 1, (sqlite3_int64)raw->peer.keys));
    while (count < raw->peer.keys && sqlite3_step(all) == SQLITE_ROW) {
        snprintf(raw->kind, sizeof(raw->kind), "%s", (const char *)sqlite3_column_text(all, 0));
        snprintf(raw->ids[count++], ID_BYTES, "%s", (const char *)sqlite3_column_text(all, 1));
    }
    sqlite3_finalize(all);
    raw->peer.keys = count;
    if (count == 0)
        peer_fail(&raw->peer, "no keys in %s", raw->peer.database);
}

static const char *random_id(struct raw *raw)
{
    return raw->ids[draw_below(&raw->draw, raw->peer.keys)];
}

static void put_some(struct raw *raw)
{
    for (peer_begin(&raw->peer); !peer_is_over(&raw->peer);) {
        int64_t begin_ns = peer_now_ns();
        run(raw, raw->begin);
        for (unsigned i = 0; i < raw->peer.group; i++)
            save(raw, random_id(raw));
        run(raw, raw->commit);
        peer_record(&raw->peer, begin_ns, raw->peer.group, 0);
    }
}

/* Takes all columns, as a caller would. */
static size_t take_row(sqlite3_stmt *statement, uint8_t *out)
{
    const void *data = sqlite3_column_blob(statement, 3);
    size_t size = (size_t)sqlite3_column_bytes(statement, 3);
    memcpy(out, data, size);
    return size + (size_t)sqlite3_column_int64(statement, 0) + strlen((const char *)sqlite3_column_text(statement, 1)) +
           strlen((const char *)sqlite3_column_text(statement, 2));
}

/* All pages in memory, and no transaction to begin and end. */
static void read_all_before(struct raw *raw)
{
    check(raw, sqlite3_exec(raw->db,
                            "PRAGMA cache_size = -4194304; BEGIN; SELECT sum(length(data)) FROM resources NOT INDEXED;"
                            "SELECT count(kind || id) FROM resources INDEXED BY sqlite_autoindex_resources_1",
                            NULL, NULL, NULL));
}

static void get_some(struct raw *raw)
{
    uint8_t *out = malloc((size_t)1 << 20);
    if (raw->peer.cached)
        read_all_before(raw);
    for (peer_begin(&raw->peer); out && !peer_is_over(&raw->peer);) {
        int64_t begin_ns = peer_now_ns();
        check(raw, sqlite3_bind_text(raw->get, 1, raw->kind, -1, SQLITE_STATIC));
        check(raw, sqlite3_bind_text(raw->get, 2, random_id(raw), -1, SQLITE_STATIC));
        if (sqlite3_step(raw->get) != SQLITE_ROW || take_row(raw->get, out) == 0)
            peer_fail(&raw->peer, "a key is not there");
        check(raw, sqlite3_reset(raw->get));
        peer_record(&raw->peer, begin_ns, 1, 1);
    }
    free(out);
}

static void scan_some(struct raw *raw)
{
    sqlite3_stmt *scan = prepare(raw, "SELECT revision, created_at, updated_at, data, id FROM resources WHERE kind = ?1"
                                      " AND id >= '' ORDER BY id");
    uint8_t *out = malloc((size_t)1 << 20);
    for (peer_begin(&raw->peer); out && !peer_is_over(&raw->peer);) {
        int64_t begin_ns = peer_now_ns();
        uint64_t rows = 0;
        check(raw, sqlite3_bind_text(scan, 1, raw->kind, -1, SQLITE_STATIC));
        while (sqlite3_step(scan) == SQLITE_ROW)
            rows += take_row(scan, out) > 0 && sqlite3_column_bytes(scan, 4) > 0;
        check(raw, sqlite3_reset(scan));
        peer_record(&raw->peer, begin_ns, 1, rows);
    }
    sqlite3_finalize(scan);
    free(out);
}

int main(int argc, char **argv)
{
    static struct raw raw;
    peer_parse(&raw.peer, argc, argv, "put|get|scan");
    raw.draw = draw_seeded(raw.peer.seed, 2);
    bool own = !raw.peer.database, puts = strcmp(raw.peer.mode, "put") == 0;
    char *path = own ? peer_path(&raw.peer, "raw.sqlite") : strdup(raw.peer.database);
    make_ids(&raw);
    if (own)
        load(&raw, path);
    if (own && !puts)
        close_all(&raw);
    if (!puts)
        open_reading(&raw, path);
    if (!own)
        find_ids(&raw);
    if (puts && own)
        put_some(&raw);
    else if (strcmp(raw.peer.mode, "get") == 0)
        get_some(&raw);
    else
        scan_some(&raw);
    close_all(&raw);
    peer_end(&raw.peer);
    free(raw.ids);
    free(raw.data);
    free(path);
    return 0;
}
