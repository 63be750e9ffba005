/*
 * store.c - the database as the writer sees it: transactions that may fail or be in doubt, and the rows of its log.
 */
#include "storage/storage.h"
#include "tests/sim/world.h"
#include "writer/internal.h"

#include <assert.h>

struct open_store {
    struct storage storage; /* first */
    struct sim_call *staged[LIMIT_GROUP_REQUESTS];
    size_t staged_count;
};

static struct open_store *self_of(struct storage *storage)
{
    return (struct open_store *)storage;
}

static int begin(struct storage *storage, int64_t now_ms)
{
    (void)now_ms;
    self_of(storage)->staged_count = 0;
    return trouble(200) ? STATUS_STORAGE_FULL : STATUS_OK;
}

static int apply(struct storage *storage, const struct storage_caller *caller, const struct request *request,
                 struct reply *reply, struct arena *arena)
{
    struct open_store *self = self_of(storage);
    struct sim_call *call = (struct sim_call *)((uintptr_t)request->id.data - offsetof(struct sim_call, id));

    (void)caller;
    (void)arena;
    if (trouble(150))
        return STATUS_NO_MEMORY;
    *reply = (struct reply){.status = STATUS_OK};
    if (call->conflicts) {
        reply->status = STATUS_CONFLICT;
        reply->revision = world.store.revision + self->staged_count;
        return STATUS_OK;
    }
    judge_evicted(world.deciding.id);
    self->staged[self->staged_count++] = call;
    reply->revision = world.store.revision + self->staged_count;
    return STATUS_OK;
}

/* ---- the end of a transaction ---- */

static void append_row(struct span bytes)
{
    struct sim_store *store = &world.store;
    void *copy = malloc(bytes.size);

    assert(copy);
    memcpy(copy, bytes.data, bytes.size);
    if (store->row_count == store->row_room) {
        store->row_room = store->row_room ? 2 * store->row_room : 1024;
        store->rows = realloc(store->rows, store->row_room * sizeof *store->rows);
        assert(store->rows);
    }
    store->rows[store->row_count++] = (struct span){copy, bytes.size};
}

/* In steps, at its leisure. */
static void drop_rows(uint64_t through)
{
    struct sim_store *store = &world.store;
    size_t drop = 0;

    while (drop < store->row_count && store->first_row + drop <= through && roll(8))
        free((void *)(uintptr_t)store->rows[drop++].data);
    store->row_count -= drop;
    store->first_row += drop;
    memmove(store->rows, store->rows + drop, store->row_count * sizeof *store->rows);
}

static void note_leaving(void)
{
    for (const struct session *s = world.workers[WRITER].writer->sessions->leaving; s; s = s->next_leaving) {
        uint64_t id, at;
        memcpy(&id, s->key.id, sizeof id);
        for (at = id % EVICTED; world.store.evicted[at]; at = (at + 1) % EVICTED)
            ;
        world.store.evicted[at] = id;
    }
}

static void make_durable(struct open_store *self, const struct storage_session_record *record)
{
    struct sim_store *store = &world.store;

    store->last_revision = store->revision;
    store->last_count = self->staged_count < PENDING * BATCH ? self->staged_count : 0;
    memcpy(store->last_group, self->staged, store->last_count * sizeof(struct sim_call *));
    for (size_t i = 0; i < self->staged_count; i++)
        judge_applied(self->staged[i], ++store->revision);
    if (world.workers[WRITER].writer)
        note_leaving();
    store->last_has_row = record->bytes.size > 0;
    if (store->last_has_row)
        append_row(record->bytes);
    if (record->drop_through >= store->first_row)
        drop_rows(record->drop_through);
    store->session_counter = record->session_counter;
}

static int commit(struct storage *storage, const struct storage_session_record *record, uint64_t *sequence)
{
    if (trouble(200))
        return STATUS_NO_MEMORY;
    if (trouble(100))
        return STORAGE_UNKNOWN;
    make_durable(self_of(storage), record);
    *sequence = world.store.first_row + world.store.row_count - 1;
    return trouble(100) ? STORAGE_UNKNOWN : STATUS_OK;
}

/* The controls' machine stopped before its last commit was on disk. */
void store_lose_last_group(void)
{
    struct sim_store *store = &world.store;

    for (size_t i = 0; i < store->last_count; i++) {
        if (store->last_group[i]->told == TOLD_APPLIED)
            violation("what was acknowledged is gone");
        store->last_group[i]->applied = false;
        store->last_group[i]->lineage->last_applied = 0;
    }
    if (store->last_count && store->last_has_row && store->row_count)
        free((void *)(uintptr_t)store->rows[--store->row_count].data);
    if (store->last_count)
        store->revision = store->last_revision;
    store->last_count = 0;
}

static void rollback(struct storage *storage)
{
    self_of(storage)->staged_count = 0;
}

static int session_log(struct storage *storage, int (*row)(void *context, uint64_t sequence, struct span bytes),
                       void *context)
{
    int status = STATUS_OK;

    (void)storage;
    for (size_t i = 0; status == STATUS_OK && i < world.store.row_count; i++)
        if (world.control != CONTROL_LOG || i + 1 == world.store.row_count)
            status = row(context, world.store.first_row + i, world.store.rows[i]);
    return status;
}

static void counters(struct storage *storage, struct storage_counters *out)
{
    (void)storage;
    *out = (struct storage_counters){
        .revision = world.store.revision, .epoch = world.store.epoch, .session_counter = world.store.session_counter};
}

static int expire_keys(struct storage *storage, int64_t now_ms, unsigned most, unsigned *removed)
{
    (void)storage;
    (void)now_ms;
    (void)most;
    *removed = 0;
    return STATUS_OK;
}

static void close(struct storage *storage)
{
    free(storage);
}

struct storage *store_open(void)
{
    static const struct storage_ops ops = {.begin = begin,
                                           .apply = apply,
                                           .commit = commit,
                                           .rollback = rollback,
                                           .session_log = session_log,
                                           .expire_keys = expire_keys,
                                           .counters = counters,
                                           .close = close};
    struct open_store *self = calloc(1, sizeof *self);

    assert(self);
    self->storage.ops = &ops;
    self->storage.path = "/db";
    memcpy(self->storage.identity.incarnation, "the store", sizeof "the store");
    return &self->storage;
}

void store_clear(void)
{
    for (size_t i = 0; i < world.store.row_count; i++)
        free((void *)(uintptr_t)world.store.rows[i].data);
    free(world.store.rows);
}
