/*
 * sqlite_delete.c - ranged deletes, whole or a step of one: a transaction alone, without a savepoint, that ends at its
 * deadline.
 *
 * The index alone tells how many rows a step takes and where it ends; then records and resources go by two statements.
 */
#include "proto/clock.h"
#include "storage/sqlite_writing.h"

#include <assert.h>

enum { OPS_BETWEEN_LOOKS = 2000 }; /* of SQLite's machine, between two looks at the clock: well under a millisecond */

struct step {
    struct sqlite_store *store;
    const struct request *request;
    struct sqlite_range range;
    struct span last; /* the last id it takes */
    uint64_t count;
};

static void make_range(struct step *step, struct span after)
{
    bool is_prefix = step->request->operation == OPERATION_DELETE_PREFIX;
    sqlite_range_make(&step->range, is_prefix ? step->request->id : (struct span){NULL, 0}, after);
}

/* Counts the rows up to `most`; the last of them is copied into `arena`, if there is one. */
static int measure(struct step *step, uint64_t most, struct arena *arena)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(step->store, WRITE_RANGE_MEASURE, &rc);
    if (!statement)
        return rc;
    sqlite_bind_text(statement, 1, step->request->kind);
    sqlite_range_bind(statement, 2, &step->range);
    sqlite3_bind_int64(statement, 4, most > INT64_MAX ? INT64_MAX : (sqlite3_int64)most);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        step->count = (uint64_t)sqlite3_column_int64(statement, 0);
        if (arena && step->count)
            step->last = arena_copy(arena, sqlite_column_span(statement, 1));
    }
    rc = sqlite3_reset(statement);
    return rc == SQLITE_OK && arena && step->count && !step->last.data ? SQLITE_NOMEM : rc;
}

static int delete_through_last(struct step *step, enum write_statement which)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(step->store, which, &rc);
    if (!statement)
        return rc;
    sqlite_bind_text(statement, 1, step->request->kind);
    sqlite_bind_text(statement, 2, (struct span){step->range.from, step->range.from_size});
    sqlite_bind_text(statement, 3, step->last);
    return sqlite_run(statement);
}

static int find_more(const struct step *step, bool *more)
{
    struct step next = {.store = step->store, .request = step->request};
    make_range(&next, step->last);
    int rc = measure(&next, 1, NULL);
    *more = next.count > 0;
    return rc;
}

static int delete_step(struct step *step, uint64_t most, struct reply *reply, bool *more, struct arena *arena)
{
    int rc = measure(step, most, arena);
    if (rc != SQLITE_OK || step->count == 0)
        return rc;
    rc = delete_through_last(step, WRITE_RANGE_DELETE_AUDIT);
    if (rc == SQLITE_OK)
        rc = delete_through_last(step, WRITE_RANGE_DELETE);
    if (rc == SQLITE_OK)
        rc = find_more(step, more);
    reply->count = step->count;
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
    int rc = measure(&step, most, NULL);
    *count = step.count;
    return rc == SQLITE_OK ? STATUS_OK : sqlite_status(store, rc);
}
