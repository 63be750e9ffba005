/* sqlite_read.c - answers a batch of reads on one snapshot. */
#include "storage/sqlite_reading.h"

#include "proto/clock.h"

#include <assert.h>

enum { BATCH_MS = 20, FIRST_ITEMS = 16 };

/* One batch at work. */
struct batch {
    struct sqlite_store *store;
    struct arena *arena;
    size_t room; /* of the answer, in bytes */
};

static struct item *one_item(struct batch *batch, struct reply *reply)
{
    struct item *item = arena_calloc(batch->arena, 1, sizeof(*item));
    reply->items = item;
    reply->item_count = item ? 1 : 0;
    return item;
}

static int copy_name(struct batch *batch, struct span bytes, struct span *copy)
{
    *copy = arena_copy(batch->arena, bytes);
    return copy->data ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Steps a bound statement that gives at most one row, takes it as an item of kind and id, and resets it. */
static int take_row(struct batch *batch, sqlite3_stmt *row, bool with_data, const struct request *request,
                    struct item *item)
{
    struct span kind, id;
    int rc = sqlite3_step(row);
    int status = STATUS_NOT_FOUND;
    if (rc == SQLITE_ROW) {
        status = copy_name(batch, request->kind, &kind);
        if (status == STATUS_OK)
            status = copy_name(batch, request->id, &id);
        if (status == STATUS_OK)
            status = sqlite_read_item(row, with_data, kind, id, item, batch->arena, &batch->room);
    } else if (rc != SQLITE_DONE) {
        status = sqlite_status(batch->store, rc);
    }
    sqlite3_reset(row);
    return status;
}

/* A statement on kind and id, and a third text if there is one. */
static int read_one(struct batch *batch, enum read_statement which, const struct request *request,
                    const struct span *third, struct item *item)
{
    int status;
    sqlite3_stmt *row = sqlite_read_statement(batch->store, which, &status);
    if (!row)
        return status;
    int rc = sqlite_bind_text(row, 1, request->kind);
    if (rc == SQLITE_OK)
        rc = sqlite_bind_text(row, 2, request->id);
    if (rc == SQLITE_OK && third)
        rc = sqlite_bind_text(row, 3, *third);
    if (rc != SQLITE_OK)
        return sqlite_status(batch->store, rc);
    return take_row(batch, row, which != READ_STAT, request, item);
}

static int answer_one(struct batch *batch, enum read_statement which, const struct request *request,
                      const struct span *third, struct reply *reply)
{
    struct item *item = one_item(batch, reply);
    int status = item ? read_one(batch, which, request, third, item) : STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        reply->item_count = 0;
    return status;
}

static int answer_many(struct batch *batch, const struct request *request, struct reply *reply)
{
    struct item *items = arena_calloc(batch->arena, request->part_count, sizeof(*items));
    if (!items)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < request->part_count; i++) {
        const struct request *part = &request->parts[i];
        int status = read_one(batch, READ_GET, part, NULL, &items[i]);
        if (status == STATUS_NOT_FOUND) {
            size_t bytes = STORAGE_ITEM_BYTES + part->kind.size + part->id.size;
            if (bytes > batch->room)
                return STATUS_TOO_LARGE;
            batch->room -= bytes;
            items[i].status = STATUS_NOT_FOUND;
            status = copy_name(batch, part->kind, &items[i].kind);
            if (status == STATUS_OK)
                status = copy_name(batch, part->id, &items[i].id);
        }
        if (status != STATUS_OK)
            return status;
    }
    reply->items = items;
    reply->item_count = request->part_count;
    return STATUS_OK;
}

/* Room for one item more behind `count`; NULL when memory is short. */
static struct item *grow(struct batch *batch, struct item *items, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return items;
    size_t wanted = *capacity ? 2 * *capacity : FIRST_ITEMS;
    struct item *more = arena_calloc(batch->arena, wanted, sizeof(*more));
    if (more && count)
        memcpy(more, items, count * sizeof(*more));
    *capacity = more ? wanted : *capacity;
    return more;
}

static int collect(struct batch *batch, struct list_rows *rows, struct reply *reply)
{
    struct item *items = NULL;
    size_t count = 0, capacity = 0;
    int status = copy_name(batch, rows->kind, &rows->kind);
    while (status == STATUS_OK) {
        struct item *more = grow(batch, items, count, &capacity);
        if (!more)
            return STATUS_NO_MEMORY;
        items = more;
        status = sqlite_list_next(batch->store, rows, &items[count], batch->arena, &batch->room);
        count += status == STATUS_OK;
    }
    if (status != STATUS_END)
        return status;
    reply->items = items;
    reply->item_count = count;
    return STATUS_OK;
}

static int answer_list(struct batch *batch, const struct request *request, struct reply *reply)
{
    struct list_rows rows;
    int status = sqlite_list_open(batch->store, request, &rows);
    if (status != STATUS_OK)
        return status;
    status = collect(batch, &rows, reply);
    sqlite_list_close(&rows);
    return status;
}

static int answer_count(struct batch *batch, const struct request *request, struct reply *reply)
{
    int status;
    struct sqlite_range range;
    sqlite3_stmt *row = sqlite_read_statement(batch->store, READ_COUNT, &status);
    if (!row)
        return status;
    sqlite_range_make(&range, request->id, (struct span){0});
    int rc = sqlite_bind_text(row, 1, request->kind);
    if (rc == SQLITE_OK)
        rc = sqlite_range_bind(row, 2, &range);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(row);
    if (rc == SQLITE_ROW)
        reply->count = (uint64_t)sqlite3_column_int64(row, 0);
    status = rc == SQLITE_ROW ? STATUS_OK : sqlite_status(batch->store, rc);
    sqlite3_reset(row);
    return status;
}

static int answer_request(struct batch *batch, const struct request *request, struct reply *reply)
{
    switch (request->operation) {
    case OPERATION_GET:
        return answer_one(batch, READ_GET, request, NULL, reply);
    case OPERATION_STAT:
        return answer_one(batch, READ_STAT, request, NULL, reply);
    case OPERATION_GET_MANY:
        return answer_many(batch, request, reply);
    case OPERATION_COUNT:
        return answer_count(batch, request, reply);
    case OPERATION_AUDIT_BY_HASH:
        return request->hash.size ? answer_one(batch, READ_AUDIT_BY_HASH, request, &request->hash, reply)
                                  : answer_one(batch, READ_AUDIT_WITHOUT_HASH, request, NULL, reply);
    case OPERATION_AUDIT_BY_TAG:
        return request->tag.size ? answer_one(batch, READ_AUDIT_BY_TAG, request, &request->tag, reply)
                                 : answer_one(batch, READ_AUDIT_WITHOUT_TAG, request, NULL, reply);
    default: /* KEY_LOOKUP is the writer's, which knows the principal */
        return operation_is_list(request->operation) ? answer_list(batch, request, reply) : STATUS_INVALID_ARGUMENT;
    }
}

/* An answer without items says nothing but its status. */
static void end_reply(struct batch *batch, struct reply *reply, int status)
{
    reply->status = status;
    if (status != STATUS_OK) {
        reply->items = NULL;
        reply->item_count = 0;
    }
    if (status == STATUS_TOO_LARGE)
        reply->message = span_text("the answer is over its limit; a list can be streamed");
    reply->revision = batch->store->reading->snapshot.revision;
}

static void fill_all(struct reply *replies, size_t count, int status)
{
    for (size_t i = 0; i < count; i++)
        replies[i] = (struct reply){.status = status};
}

/* Answers from the first on until the answer or the time is full. Returns how many. */
static size_t answer_some(struct batch *batch, const struct request *requests, size_t count, struct reply *replies)
{
    int64_t until_ns = count > 1 ? clock_boot_ns() + BATCH_MS * NS_PER_MS : 0;
    size_t done = 0;
    for (; done < count; done++) {
        if (done > 0 && (batch->room < STORAGE_REPLY_BYTES || clock_boot_ns() >= until_ns))
            break;
        replies[done] = (struct reply){0};
        batch->room -= batch->room < STORAGE_REPLY_BYTES ? batch->room : STORAGE_REPLY_BYTES;
        sqlite_read_until(batch->store, requests[done].deadline_ns);
        int status = answer_request(batch, &requests[done], &replies[done]);
        if (status == STATUS_TOO_LARGE && done > 0)
            break;
        end_reply(batch, &replies[done], status);
        /* A grave error ends the transaction, and with it the snapshot: the rest would be answered on another. */
        if (sqlite3_get_autocommit(batch->store->db))
            return done + 1;
    }
    return done;
}

int sqlite_answer(struct storage *storage, const struct request *requests, size_t count, struct reply *replies,
                  struct arena *arena, size_t most_bytes)
{
    struct sqlite_store *store = sqlite_of(storage);
    int status = sqlite_read_begin(store);
    if (status == STATUS_OK) {
        assert(!store->reading->scan);
        struct batch batch = {store, arena, most_bytes};
        size_t done = answer_some(&batch, requests, count, replies);
        fill_all(replies + done, count - done, STATUS_NOT_READ);
        status = sqlite_read_end(store);
    }
    if (status != STATUS_OK)
        fill_all(replies, count, status);
    return status;
}
