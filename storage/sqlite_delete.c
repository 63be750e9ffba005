/*
 * sqlite_delete.c - ranged deletes, whole or a step of one: a transaction alone, without a savepoint, that ends at its
 * deadline.
 *
 * Records go with their resources, and also where there is no resource: afterwards nothing of the range is left.  The
 * indexes alone tell where a step ends; then records and resources go by two statements.
 */
#include "proto/clock.h"
#include "storage/sqlite_writing.h"

#include <assert.h>

enum { OPS_BETWEEN_LOOKS = 2000 }; /* of SQLite's machine, between two looks at the clock: well under a millisecond */

struct step {
    struct sqlite_store *store;
    const struct request *request;
    struct sqlite_range range;
    struct span last; /* the last id it may take; empty: all of the range */
};

static void make_range(struct step *step, struct span after)
{
    bool is_prefix = step->request->operation == OPERATION_DELETE_PREFIX;
    sqlite_range_make(&step->range, is_prefix ? step->request->id : (struct span){NULL, 0}, after);
}

static sqlite3_stmt *bind_range(const struct step *step, enum write_statement which, int *rc)
{
    sqlite3_stmt *statement = sqlite_writing_statement(step->store, which, rc);
    if (!statement)
        return NULL;
    sqlite_bind_text(statement, 1, step->request->kind);
    sqlite_range_bind(statement, 2, &step->range);
    return statement;
}

/* Resources and records, up to `most` of each. */
static int count_range(const struct step *step, uint64_t most, uint64_t *count)
{
    int rc;
    sqlite3_stmt *statement = bind_range(step, WRITE_RANGE_COUNT, &rc);
    *count = 0;
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 4, most > INT64_MAX ? INT64_MAX : (sqlite3_int64)most);
    if (sqlite3_step(statement) == SQLITE_ROW)
        *count = (uint64_t)sqlite3_column_int64(statement, 0);
    return sqlite3_reset(statement);
}

/* Ends the step with the id of its `most`-th resource or record, whichever comes first, if it has so many. */
static int cut(struct step *step, uint64_t most, struct arena *arena)
{
    int rc;
    if (most >= INT64_MAX)
        return SQLITE_OK;
    sqlite3_stmt *statement = bind_range(step, WRITE_RANGE_LAST, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)most - 1);
    sqlite3_bind_int64(statement, 5, LIMIT_ID_BYTES);
    struct span last = {NULL, 0};
    if (sqlite3_step(statement) == SQLITE_ROW)
        last = sqlite_column_span(statement, 0);
    bool is_cut = last.size > 0;
    if (is_cut)
        step->last = arena_copy(arena, last);
    rc = sqlite3_reset(statement);
    if (rc != SQLITE_OK || !is_cut)
        return rc;
    if (!step->last.data)
        return SQLITE_NOMEM;
    sqlite_range_cut(&step->range, step->last);
    return SQLITE_OK;
}

static int delete_range(const struct step *step, enum write_statement which, uint64_t *count)
{
    int rc;
    sqlite3_stmt *statement = bind_range(step, which, &rc);
    if (!statement)
        return rc;
    rc = sqlite_run(statement);
    *count = rc == SQLITE_OK ? (uint64_t)sqlite3_changes64(step->store->db) : 0;
    return rc;
}

static int find_more(const struct step *step, bool *more)
{
    struct step next = {.store = step->store, .request = step->request};
    uint64_t count = 0;
    if (step->last.size == 0)
        return SQLITE_OK;
    make_range(&next, step->last);
    int rc = count_range(&next, 1, &count);
    *more = count > 0;
    return rc;
}

static int delete_step(struct step *step, uint64_t most, struct reply *reply, bool *more, struct arena *arena)
{
    uint64_t records = 0;
    int rc = cut(step, most, arena);
    if (rc == SQLITE_OK)
        rc = delete_range(step, WRITE_RANGE_DELETE_AUDIT, &records);
    if (rc == SQLITE_OK)
        rc = delete_range(step, WRITE_RANGE_DELETE, &reply->count);
    if (rc == SQLITE_OK)
        rc = find_more(step, more);
    if (rc == SQLITE_OK && (records || reply->count))
        reply->revision = ++step->store->writing->pending.revision;
    return rc;
}

/* The key is recorded with the whole count once nothing is left. */
static int record_key(struct step *step, const struct sqlite_key *key, uint64_t before, const struct reply *reply)
{
    struct reply whole = *reply;
    whole.count += before;
    return sqlite_key_record(step->store, key, step->request, &whole);
}

static int delete_with_key(struct step *step, const struct storage_caller *caller, struct span after, uint64_t before,
                           uint64_t most, struct reply *reply, bool *more, struct arena *arena)
{
    bool has_key = step->request->idempotency_key.size != 0, answered = false;
    struct sqlite_key key;
    int rc =
        has_key ? sqlite_key_look(step->store, caller->principal, step->request, &key, reply, &answered) : SQLITE_OK;
    if (rc != SQLITE_OK || (answered && after.size == 0))
        return rc;
    *reply = (struct reply){.status = STATUS_OK};
    rc = delete_step(step, most, reply, more, arena);
    return rc == SQLITE_OK && has_key && !*more ? record_key(step, &key, before, reply) : rc;
}

static int look_at_clock(void *context)
{
    const struct sqlite_writing *writing = context;
    return clock_boot_ns() >= writing->deadline_ns;
}

int sqlite_delete_rows(struct storage *storage, const struct storage_caller *caller, const struct request *request,
                       struct span after, uint64_t before, uint64_t most, struct reply *reply, struct span *last,
                       bool *more, struct arena *arena)
{
    struct sqlite_store *store = sqlite_of(storage);
    struct sqlite_writing *writing = store->writing;
    struct step step = {.store = store, .request = request};
    assert(writing->in_transaction && operation_is_ranged_delete(request->operation));
    *reply = (struct reply){.status = STATUS_OK};
    *more = false;
    make_range(&step, after);
    writing->deadline_ns = request->deadline_ns;
    if (request->deadline_ns != INT64_MAX)
        sqlite3_progress_handler(store->db, OPS_BETWEEN_LOOKS, look_at_clock, writing);
    int rc = look_at_clock(writing) ? SQLITE_INTERRUPT
                                    : delete_with_key(&step, caller, after, before, most, reply, more, arena);
    sqlite3_progress_handler(store->db, 0, NULL, NULL);
    *last = step.last;
    return rc == SQLITE_OK ? STATUS_OK : sqlite_writing_give_up(store, rc);
}

int sqlite_count_rows(struct storage *storage, const struct request *request, uint64_t most, uint64_t *count)
{
    struct sqlite_store *store = sqlite_of(storage);
    struct step step = {.store = store, .request = request};
    make_range(&step, (struct span){NULL, 0});
    int rc = count_range(&step, most, count);
    return rc == SQLITE_OK ? STATUS_OK : sqlite_status(store, rc);
}
