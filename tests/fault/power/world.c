/*
 * world.c - opening, following transactions, closing and dying.
 */
#include "tests/fault/power/world.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "storage/sqlite_writing.h"
#include "tests/fault/disk/disk.h"
#include "tests/fault/power/world_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const control_names[CONTROLS] = {"none",        "synchronous-off", "acknowledge-early",
                                             "ready-early", "lying-sync",      "trust-wal"};

void (*world_tell)(void);
static struct world *followed; /* the store's functions get no context */
static const struct storage_ops *real;
static struct storage_ops following;

void world_wrong(struct world *world, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs(world->control ? "caught: " : "WRONG: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    if (world_tell)
        world_tell();
    exit(world->control ? 0 : 1);
}

void world_new(struct world *world, const char *path, uint64_t seed)
{
    *world = (struct world){.random = random_new(seed), .arena = arena_new(0)};
    assert(world->arena);
    world_forget(world, path, &(struct state){0});
}

void world_free(struct world *world)
{
    arena_free(&world->arena);
    free(world->path);
    free(world->backup_path);
}

void world_forget(struct world *world, const char *path, const struct state *state)
{
    char *copy = strdup(path);

    assert(!world->writer && copy);
    free(world->path);
    world->path = copy;
    world->states[0] = *state;
    world->state_count = 1;
    world->is_in_doubt = world->has_backup = world->was_ready = false;
    world->issued = world->epoch = 0;
    for (unsigned i = 0; i < WORLD_HANDLES; i++)
        world->handles[i] = (struct handle){.next = 0};
}

/* ---- following ---- */

static int begin(struct storage *storage, int64_t now_ms)
{
    followed->pending = *world_state(followed);
    followed->is_in_doubt = false;
    followed->group_count = 0;
    return real->begin(storage, now_ms);
}

static const struct span no_id = {NULL, 0};

/* A request has come to its end in the group. */
static void note(const struct request *request, const struct reply *reply, struct span after)
{
    uint64_t next = followed->pending.revision + 1;

    if (reply->status == STATUS_OK && !(reply->flags & REPLY_REPLAYED) && reply->revision && reply->revision != next)
        world_wrong(followed, "revision %llu was issued where %llu is next", (unsigned long long)reply->revision,
                    (unsigned long long)next);
    state_apply(&followed->pending, request, reply, after, no_id);
    assert(followed->group_count < WORLD_GROUP);
    followed->group[followed->group_count].request = request;
    followed->group[followed->group_count++].reply = *reply;
}

static int apply(struct storage *storage, const struct storage_caller *caller, const struct request *request,
                 struct reply *reply, struct arena *arena)
{
    int status = real->apply(storage, caller, request, reply, arena);

    if (status == STATUS_OK)
        note(request, reply, no_id);
    return status;
}

static int delete_rows(struct storage *storage, const struct storage_caller *caller, const struct request *request,
                       struct span after, uint64_t before, uint64_t most, struct reply *reply, struct span *last,
                       bool *more, struct arena *arena)
{
    int status = real->delete_rows(storage, caller, request, after, before, most, reply, last, more, arena);

    if (status != STATUS_OK)
        return status;
    if (*more) {
        state_apply(&followed->pending, request, reply, after, *last);
        return status;
    }
    note(request, reply, after);
    followed->group[followed->group_count - 1].reply.count += before; /* as the writer adds it up */
    return status;
}

static void add_state(struct world *world)
{
    if (world->state_count == WORLD_STATES) { /* durability normal looks no further back than this */
        assert(!world->durability_normal);
        world->states[0] = *world_state(world);
        world->state_count = 1;
    }
    world->states[world->state_count++] = world->pending;
}

static int commit(struct storage *storage, const struct storage_session_record *record, uint64_t *sequence)
{
    int status;

    if (followed->control == CONTROL_EARLY)
        add_state(followed);
    status = real->commit(storage, record, sequence);
    followed->is_in_doubt = status == STORAGE_UNKNOWN || (status != STATUS_OK && disk.is_off);
    if (status == STATUS_OK && followed->control != CONTROL_EARLY)
        add_state(followed);
    followed->commits += status == STATUS_OK;
    return status;
}

static void follow(struct world *world)
{
    followed = world;
    real = world->storage->ops;
    following = *real;
    following.begin = begin;
    following.apply = apply;
    following.delete_rows = delete_rows;
    following.commit = commit;
    world->storage->ops = &following;
}

/* ---- opening ---- */

static int take_lock(struct world *world, struct failure *failure)
{
    struct lock_holder self;
    int status = lock_open(world->path, true, &world->lock, failure);

    if (status == STATUS_OK)
        status = lock_take(world->lock, LOCK_OWNER, NULL);
    if (status == STATUS_OK)
        status = lock_take(world->lock, LOCK_WRITER, NULL);
    lock_holder_self(&self, LOCK_EMBEDDED, "");
    if (status == STATUS_OK)
        status = lock_describe(world->lock, &self, failure);
    return status;
}

static void log_nothing(void *context, int level, const char *line)
{
    (void)context;
    if (getenv("STIGSTORE_FAULT_LOG"))
        fprintf(stderr, "%d %s\n", level, line);
}

static int open_storage(struct world *world, struct failure *failure)
{
    struct storage_options options = {.path = world->path,
                                      .access = STORAGE_FOR_WRITING,
                                      .create = true,
                                      .durability_normal = world->durability_normal,
                                      .log = {log_nothing, NULL}};
    int status;

    disk.lies = disk.lies || (world->control == CONTROL_READY_EARLY && world->was_ready);
    status = storage_open_sqlite(&options, &world->storage, failure);
    disk.lies = world->control == CONTROL_LYING_SYNC;
    return status;
}

static int open_writer(struct world *world, struct failure *failure)
{
    const struct writer_options options = {.log = {log_nothing, NULL}};
    struct storage *storage = world->storage;
    int status;

    if (world->control == CONTROL_SYNC_OFF)
        sqlite3_exec(sqlite_of(storage)->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    follow(world);
    status = writer_new(&storage, &options, &world->writer, failure);
    if (status != STATUS_OK)
        world->storage = NULL;
    return status;
}

int world_open(struct world *world, struct failure *failure)
{
    int status;

    *failure = (struct failure){0};
    assert(!world->writer);
    status = take_lock(world, failure);
    if (status == STATUS_OK)
        status = open_storage(world, failure);
    if (status == STATUS_OK)
        status = open_writer(world, failure);
    if (status != STATUS_OK)
        lock_free(&world->lock);
    world->opens++;
    return status;
}

/* ---- the end ---- */

void world_drop_backup(struct world *world)
{
    if (world->backup)
        world->storage->ops->backup_close(&world->backup);
}

void world_close(struct world *world)
{
    world_drop_backup(world);
    writer_free(&world->writer);
    world->storage = NULL;
    lock_free(&world->lock);
}

void world_drop(struct world *world)
{
    bool was_off = disk.is_off;

    disk.is_off = true;
    world_close(world);
    disk.is_off = was_off;
}

/* ---- checkpoints and backups ---- */

/* As a store at rest does it, or what makes one due is made older: the passive one, or that which lets the WAL begin
 * anew. */
int world_checkpoint(struct world *world)
{
    struct sqlite_writing *writing = sqlite_of(world->storage)->writing;
    int status;

    if (random_draw(&world->random, 3) == 0) {
        status = world->storage->ops->rest(world->storage);
    } else {
        writing->restart_at_frames = 1;
        writing->wal_checked_frames = writing->wal_frames - 1;
        if (random_draw(&world->random, 2))
            writing->wal_long_frames = 0;
        writer_idle(world->writer, &status);
    }
    return status;
}

static int begin_backup(struct world *world, struct failure *failure)
{
    char *path = NULL;

    world->has_backup = false;
    if (asprintf(&path, "%s.copy-%u", world->path, world->backups++) < 0)
        return STATUS_NO_MEMORY;
    free(world->backup_path);
    world->backup_path = path;
    return world->storage->ops->backup_open(world->storage, path, &world->backup, failure);
}

int world_step_backup(struct world *world)
{
    struct failure failure = {0};
    bool done = false;
    int status = world->backup ? STATUS_OK : begin_backup(world, &failure);

    if (status == STATUS_OK) {
        world->backed_up = *world_state(world);
        status =
            world->storage->ops->backup_step(world->backup, 4 + (int)random_draw(&world->random, 60), &done, &failure);
    }
    world->has_backup = status == STATUS_OK && done;
    if (done || status != STATUS_OK)
        world_drop_backup(world);
    return status;
}
