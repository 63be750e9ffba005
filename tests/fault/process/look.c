/*
 * look.c - rows into tables.
 */
#include "tests/fault/process/look.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 20000 };

static void *one_more(void *array, size_t count, size_t size)
{
    if (count & (count - 1))
        return array; /* there is room up to the next power of two */
    void *larger = realloc(array, (count ? count * 2 : 1) * size);
    if (!larger)
        exit(1);
    return larger;
}

static uint64_t column_number(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

static const char *column_text(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "";
}

/* ---- rows ---- */

static void take_revision(struct look *look, sqlite3_stmt *row)
{
    look->revision = column_number(row, 0);
}

static void take_record(struct look *look, sqlite3_stmt *row)
{
    look->records = one_more(look->records, look->record_count, sizeof(*look->records));
    struct look_record *record = &look->records[look->record_count++];
    *record = (struct look_record){.handle = strtoull(column_text(row, 0), NULL, 10),
                                   .number = strtoull(column_text(row, 1), NULL, 10),
                                   .revision = column_number(row, 2)};
    if (sscanf(column_text(row, 3), "counter-%u", &record->counter) == 1)
        record->counter++;
}

static struct look_resource read_resource(sqlite3_stmt *row)
{
    struct look_resource resource = {.revision = column_number(row, 1)};
    snprintf(resource.id, sizeof(resource.id), "%s", column_text(row, 0));
    const void *data = sqlite3_column_blob(row, 2);
    resource.is_whole =
        deed_read(data ? data : "", (size_t)sqlite3_column_bytes(row, 2), &resource.handle, &resource.number);
    return resource;
}

static void take_own(struct look *look, sqlite3_stmt *row)
{
    look->own = one_more(look->own, look->own_count, sizeof(*look->own));
    look->own[look->own_count++] = read_resource(row);
}

static void take_trio(struct look *look, sqlite3_stmt *row)
{
    look->trios = one_more(look->trios, look->trio_count, sizeof(*look->trios));
    look->trios[look->trio_count++] = read_resource(row);
}

static void take_counter(struct look *look, sqlite3_stmt *row)
{
    unsigned counter;
    if (sscanf(column_text(row, 0), "counter-%u", &counter) == 1 && counter < DEED_COUNTERS)
        look->counters[counter] = (struct look_counter){strtoull(column_text(row, 2), NULL, 10), column_number(row, 1)};
}

static struct look_bulk *bulk_of(struct look *look, uint64_t handle, size_t first)
{
    if (look->bulk_count && look->bulks[look->bulk_count - 1].handle == handle)
        return &look->bulks[look->bulk_count - 1];
    look->bulks = one_more(look->bulks, look->bulk_count, sizeof(*look->bulks));
    look->bulks[look->bulk_count] = (struct look_bulk){.handle = handle, .first = first};
    return &look->bulks[look->bulk_count++];
}

static void take_bulk(struct look *look, sqlite3_stmt *row)
{
    char *end;
    uint64_t handle = strtoull(column_text(row, 0), &end, 10);
    size_t index = strtoull(*end ? end + 1 : end, NULL, 10), chunk = index / DEED_CHUNK_ROWS;
    struct look_bulk *bulk = bulk_of(look, handle, index);
    bulk->rows++;
    if (chunk < DEED_CHUNKS) {
        bulk->chunk_rows[chunk]++;
        bulk->chunk_revision[chunk] = column_number(row, 1);
    }
}

static void take_bulk_record(struct look *look, sqlite3_stmt *row)
{
    uint64_t handle = strtoull(column_text(row, 0), NULL, 10);
    for (size_t i = 0; i < look->bulk_count; i++)
        look->bulks[i].records += look->bulks[i].handle == handle;
}

static const struct {
    const char *sql;
    void (*take)(struct look *look, sqlite3_stmt *row);
} queries[] = {
    {"SELECT value FROM meta WHERE name = 'revision'", take_revision},
    {"SELECT resource_id, tag, revision, version_hash FROM resource_audit WHERE kind = 'log' ORDER BY +id",
     take_record},
    {"SELECT id, revision, data FROM resources WHERE kind = 'own' ORDER BY id", take_own},
    {"SELECT id, revision, data FROM resources WHERE kind = 'trio' ORDER BY id", take_trio},
    {"SELECT id, revision, data FROM resources WHERE kind = 'counter'", take_counter},
    {"SELECT id, revision FROM resources WHERE kind = 'bulk' ORDER BY id", take_bulk},
    {"SELECT resource_id FROM resource_audit WHERE kind = 'bulk'", take_bulk_record},
};

static bool read_all(struct look *look, sqlite3 *db)
{
    int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < sizeof(queries) / sizeof(*queries); i++) {
        sqlite3_stmt *row = NULL;
        rc = sqlite3_prepare_v2(db, queries[i].sql, -1, &row, NULL);
        while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
            queries[i].take(look, row);
            rc = SQLITE_OK;
        }
        rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
        sqlite3_finalize(row);
    }
    return rc == SQLITE_OK;
}

bool look_at(struct look *look, const char *database)
{
    sqlite3 *db = NULL;
    bool is_read = sqlite3_open_v2(database, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK;
    sqlite3_busy_timeout(db, BUSY_MS);
    is_read = is_read && read_all(look, db);
    if (!is_read)
        snprintf(look->failure, sizeof(look->failure), "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    return is_read;
}

void look_free(struct look *look)
{
    free(look->records);
    free(look->own);
    free(look->trios);
    free(look->bulks);
    *look = (struct look){0};
}

/* ---- finding ---- */

const struct look_resource *look_find(const struct look_resource *resources, size_t count, const char *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(resources[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcmp(resources[low].id, id) == 0 ? &resources[low] : NULL;
}

const struct look_bulk *look_bulk(const struct look *look, uint64_t handle)
{
    for (size_t i = 0; i < look->bulk_count; i++)
        if (look->bulks[i].handle == handle)
            return &look->bulks[i];
    return NULL;
}
