/* engine.c - a database file that this process owns. */
#include "client/engine.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct engine *engines;

struct engine *engine_find(const char *path)
{
    struct stat at;
    bool exists = stat(path, &at) == 0;

    for (struct engine *engine = engines; engine; engine = engine->next) {
        const struct storage_identity *identity = local_writes_identity(engine->driver.lane);
        if (engine->generation != fork_generation())
            continue;
        if (exists && identity->device == at.st_dev && identity->inode == at.st_ino) {
            engine->users++;
            return engine;
        }
    }
    return NULL;
}

/* ---- owning ---- */

static bool is_this_boot(const struct lock_holder *holder)
{
    return memcmp(holder->boot_id, clock_boot_id(), sizeof(holder->boot_id)) == 0;
}

static int refuse_busy(struct failure *failure, const char *path, const struct lock_holder *holder)
{
    if (holder->pid > 0)
        return failure_set(failure, STATUS_BUSY, "process %lld on %s owns %s", (long long)holder->pid, holder->host,
                           path);
    return failure_set(failure, STATUS_BUSY, "another process owns %s", path);
}

/* Standalone actors that were killed may come back at any time, and then find their file taken. */
static int check_last_owner(struct lock *lock, const struct engine_options *options, struct lock_holder *holder,
                            struct failure *failure)
{
    if (lock_is_held(lock, LOCK_OWNER, holder))
        return refuse_busy(failure, options->path, holder);
    if (holder->mode != LOCK_STANDALONE || holder->stopped_cleanly || !is_this_boot(holder) || options->take_over)
        return STATUS_OK;
    return failure_set(failure, STATUS_UNAVAILABLE,
                       "the standalone actors of %s (process %lld) were not stopped cleanly; start them, or take over",
                       options->path, (long long)holder->pid);
}

static int own(struct lock *lock, const struct engine_options *options, struct lock_holder *holder,
               struct failure *failure)
{
    struct lock_holder self;
    int status = check_last_owner(lock, options, holder, failure);

    if (status != STATUS_OK)
        return status;
    status = lock_take(lock, LOCK_OWNER, holder);
    if (status == STATUS_BUSY)
        return refuse_busy(failure, options->path, holder);
    if (status != STATUS_OK)
        return failure_set(failure, status, "the lock of %s cannot be taken", options->path);
    status = lock_take(lock, LOCK_WRITER, holder);
    if (status == STATUS_BUSY)
        status = refuse_busy(failure, options->path, holder);
    else if (status != STATUS_OK)
        failure_set(failure, status, "the lock of %s cannot be taken", options->path);
    if (status == STATUS_OK) {
        lock_holder_self(&self, LOCK_EMBEDDED, "");
        status = lock_describe(lock, &self, failure);
    }
    if (status != STATUS_OK) {
        lock_release(lock, LOCK_WRITER);
        lock_release(lock, LOCK_OWNER);
    }
    return status;
}

static void disown(struct engine *engine)
{
    struct lock_holder self;
    struct failure ignored;

    lock_holder_self(&self, LOCK_EMBEDDED, "");
    self.stopped_cleanly = true;
    lock_describe(engine->lock, &self, &ignored);
    lock_free(&engine->lock);
}

/* ---- opening and closing ---- */

static int open_parts(struct engine *engine, const struct engine_options *options, struct failure *failure)
{
    const struct pool_options pool_options = {.path = options->path,
                                              .keep_snapshots = options->keep_snapshots,
                                              .max_data_bytes = options->max_data_bytes,
                                              .snapshot_ms = options->snapshot_ms,
                                              .cache_bytes = options->cache_bytes};
    struct local_writes_options writes_options = {.path = options->path,
                                                  .durability_normal = options->durability_normal,
                                                  .max_data_bytes = options->max_data_bytes};
    const struct storage_identity *identity;
    int status;

    engine->hub = hub_new();
    engine->pool = engine->hub ? pool_new(&pool_options) : NULL;
    if (!engine->pool)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    writes_options.mutex = &engine->hub->mutex;
    writes_options.pool = engine->pool;
    status = local_writes_new(&writes_options, options->create, &engine->driver.lane, failure);
    if (status != STATUS_OK)
        return status;
    identity = local_writes_identity(engine->driver.lane);
    if (!opened_add(identity->device, identity->inode)) {
        engine->driver.lane->ops->free(engine->driver.lane);
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    }
    return STATUS_OK;
}

int engine_new(const struct engine_options *options, struct engine **out, struct lock_holder *holder,
               struct failure *failure)
{
    struct engine *engine;
    int status;

    if (opened_in_parent(options->path))
        return failure_set(failure, STATUS_FORKED, "%s was open when this process was forked", options->path);
    engine = calloc(1, sizeof(*engine));
    if (!engine)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    engine->max_data_bytes = options->max_data_bytes;
    status = lock_open(options->path, true, &engine->lock, failure);
    if (status != STATUS_OK)
        goto fail;
    status = own(engine->lock, options, holder, failure);
    if (status != STATUS_OK)
        goto fail_lock;
    status = open_parts(engine, options, failure);
    if (status != STATUS_OK)
        goto fail_parts;
    engine->users = 1;
    engine->generation = fork_generation();
    engine->next = engines;
    engines = engine;
    *out = engine;
    return STATUS_OK;
fail_parts:
    pool_free(&engine->pool);
    hub_release(&engine->hub);
    disown(engine);
    free(engine);
    return status;
fail_lock:
    lock_free(&engine->lock);
fail:
    free(engine);
    return status;
}

static void close_engine(struct engine *engine)
{
    const struct storage_identity *identity = local_writes_identity(engine->driver.lane);
    struct engine **at = &engines;

    while (*at != engine)
        at = &(*at)->next;
    *at = engine->next;
    pool_free(&engine->pool);
    opened_remove(identity->device, identity->inode);
    engine->driver.lane->ops->free(engine->driver.lane);
    disown(engine);
    hub_release(&engine->hub);
    free(engine);
}

void engine_release(struct engine **engine)
{
    if (!*engine)
        return;
    registry_lock();
    if (--(*engine)->users == 0)
        close_engine(*engine);
    registry_unlock();
    *engine = NULL;
}
