/* sqlite_scan.c - lists: as rows within a snapshot, and as a scan that holds one of its own. */
#include "storage/sqlite_reading.h"

#include <assert.h>
#include <stdlib.h>

struct storage_scan {
    struct sqlite_store *store;
    struct request list; /* its spans point behind this struct */
    struct list_rows rows;
    int status; /* how it ended; OK: it goes on */
    unsigned char bytes[];
};

/* ---- rows ---- */

static int bind_limit(sqlite3_stmt *row, int index, uint32_t limit)
{
    return sqlite3_bind_int64(row, index, limit ? (sqlite3_int64)limit : -1);
}

static int bind_resources(struct list_rows *rows, const struct request *list)
{
    sqlite_range_make(&rows->range, list->id, list->after);
    int rc = sqlite_bind_text(rows->row, 1, list->kind);
    if (rc == SQLITE_OK)
        rc = sqlite_range_bind(rows->row, 2, &rows->range);
    return rc == SQLITE_OK ? bind_limit(rows->row, 4, list->limit) : rc;
}

static int bind_history(struct list_rows *rows, const struct request *list)
{
    int rc = sqlite_bind_text(rows->row, 1, list->kind);
    if (rc == SQLITE_OK)
        rc = sqlite_bind_text(rows->row, 2, list->id);
    return rc == SQLITE_OK ? bind_limit(rows->row, 3, list->limit) : rc;
}

static int bind_list(struct list_rows *rows, const struct request *list)
{
    switch (list->operation) {
    case OPERATION_LIST:
        return bind_resources(rows, list);
    case OPERATION_AUDIT_HISTORY:
        return bind_history(rows, list);
    case OPERATION_AUDIT_SCAN:
        return sqlite_bind_text(rows->row, 1, list->kind);
    default:
        return SQLITE_OK;
    }
}

static enum read_statement list_statement(const struct request *list)
{
    bool keys_only = list->flags & REQUEST_KEYS_ONLY;
    switch (list->operation) {
    case OPERATION_LIST:
        return keys_only ? READ_LIST_KEYS : READ_LIST;
    case OPERATION_AUDIT_HISTORY:
        return keys_only ? READ_AUDIT_HISTORY_KEYS : READ_AUDIT_HISTORY;
    case OPERATION_AUDIT_SCAN:
        return READ_AUDIT_SCAN;
    default:
        return READ_KINDS;
    }
}

int sqlite_list_open(struct sqlite_store *store, const struct request *list, struct list_rows *rows)
{
    assert(operation_is_list(list->operation));
    int status;
    rows->are_kinds = list->operation == OPERATION_KINDS;
    rows->with_data = !(list->flags & REQUEST_KEYS_ONLY);
    rows->kind = list->kind;
    rows->row = sqlite_read_statement(store, list_statement(list), &status);
    if (!rows->row)
        return status;
    int rc = bind_list(rows, list);
    if (rc == SQLITE_OK)
        return STATUS_OK;
    sqlite_list_close(rows);
    return sqlite_status(store, rc);
}

static int read_kind(sqlite3_stmt *row, struct item *item, struct arena *arena, size_t *room)
{
    size_t bytes = STORAGE_ITEM_BYTES + (size_t)sqlite3_column_bytes(row, 0);
    if (bytes > *room)
        return STATUS_TOO_LARGE;
    *room -= bytes;
    memset(item, 0, sizeof(*item));
    item->kind = arena_copy(arena, sqlite_column_span(row, 0));
    return item->kind.data ? STATUS_OK : STATUS_NO_MEMORY;
}

int sqlite_list_next(struct sqlite_store *store, struct list_rows *rows, struct item *item, struct arena *arena,
                     size_t *room)
{
    int rc = sqlite3_step(rows->row);
    if (rc == SQLITE_DONE)
        return STATUS_END;
    if (rc != SQLITE_ROW)
        return sqlite_status(store, rc);
    if (rows->are_kinds)
        return read_kind(rows->row, item, arena, room);
    return sqlite_read_item(rows->row, rows->with_data, rows->kind, (struct span){0}, item, arena, room);
}

void sqlite_list_close(struct list_rows *rows)
{
    sqlite3_reset(rows->row);
    rows->row = NULL;
}

/* ---- scans ---- */

static struct span keep(unsigned char **at, struct span bytes)
{
    struct span kept = {*at, bytes.size};
    if (bytes.size)
        memcpy(*at, bytes.data, bytes.size);
    *at += bytes.size;
    return kept;
}

static struct storage_scan *scan_new(struct sqlite_store *store, const struct request *list)
{
    struct storage_scan *scan = calloc(1, sizeof(*scan) + list->kind.size + list->id.size + list->after.size);
    if (!scan)
        return NULL;
    unsigned char *at = scan->bytes;
    scan->store = store;
    scan->list = (struct request){.operation = list->operation, .flags = list->flags, .limit = list->limit};
    scan->list.kind = keep(&at, list->kind);
    scan->list.id = keep(&at, list->id);
    scan->list.after = keep(&at, list->after);
    return scan;
}

int sqlite_scan_open(struct storage *storage, const struct request *list, struct storage_scan **out, uint64_t *revision,
                     struct failure *failure)
{
    struct sqlite_store *store = sqlite_of(storage);
    *out = NULL;
    int status = sqlite_read_begin(store);
    if (status != STATUS_OK)
        return failure_set(failure, status, "cannot read %s: %s", store->path, status_text(status));
    assert(!store->reading->scan);
    struct storage_scan *scan = scan_new(store, list);
    status = scan ? sqlite_list_open(store, &scan->list, &scan->rows) : STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        free(scan);
        sqlite_read_end(store);
        return failure_set(failure, status, "cannot list %s: %s", store->path, status_text(status));
    }
    store->reading->scan = scan;
    *revision = store->reading->snapshot.revision;
    *out = scan;
    return STATUS_OK;
}

/* The kind of each item must outlive the scan, as the rest of it does. */
static int next(struct storage_scan *scan, struct item *item, struct arena *arena)
{
    size_t room = SIZE_MAX;
    int status = sqlite_list_next(scan->store, &scan->rows, item, arena, &room);
    if (status == STATUS_OK && !scan->rows.are_kinds) {
        item->kind = arena_copy(arena, item->kind);
        status = item->kind.data ? STATUS_OK : STATUS_NO_MEMORY;
    }
    return status == STATUS_OK && !sqlite_is_unchanged(scan->store) ? STATUS_SNAPSHOT_EXPIRED : status;
}

int sqlite_scan_next(struct storage_scan *scan, struct item *item, struct arena *arena, struct failure *failure)
{
    if (scan->status == STATUS_OK)
        scan->status = next(scan, item, arena);
    if (scan->status == STATUS_OK || scan->status == STATUS_END)
        return scan->status;
    return failure_set(failure, scan->status, "cannot go on listing %s: %s", scan->store->path,
                       status_text(scan->status));
}

void sqlite_scan_close(struct storage_scan **scan)
{
    struct storage_scan *self = *scan;
    if (!self)
        return;
    struct sqlite_store *store = self->store;
    sqlite_list_close(&self->rows);
    store->reading->scan = NULL;
    sqlite_read_end(store);
    *scan = NULL;
    free(self);
}
