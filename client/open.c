/*
 * open.c - from what a caller named to a handle's lanes: who owns the file, and where the default store is.
 */
#include "client/open.h"
#include "client/engine.h"
#include "client/local_read.h"
#include "client/locate.h"
#include "client/service.h"
#include "client/url.h"
#include "storage/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

static int no_memory(struct failure *failure)
{
    return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
}

static bool exists(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0;
}

static bool keeps_snapshots(const struct stigstore *store)
{
    return !(store->flags & STIGSTORE_NO_SNAPSHOT_REUSE);
}

static void start_over(struct stigstore *store)
{
    store_shut(store);
    hub_release(&store->hub);
}

/* ---- lanes of this process's own ---- */

static int add_queued_reads(struct stigstore *store, struct failure *failure)
{
    const struct local_reads_options options = {.mutex = &store->hub->mutex,
                                                .pool = store->pool,
                                                .max_data_bytes = &store->max_data_bytes,
                                                .piece_bytes = LIMIT_PIECE_BYTES};

    store->local_driver.lane = local_reads_new(&options);
    if (!store->local_driver.lane)
        return no_memory(failure);
    store->reads = &store->local_driver;
    return STATUS_OK;
}

static int use_engine(struct stigstore *store, struct engine *engine, struct failure *failure)
{
    store->engine = engine;
    store->hub = hub_share(engine->hub);
    store->pool = engine->pool;
    store->pool_is_shared = true;
    store->max_data_bytes = engine->max_data_bytes;
    if (!(store->flags & STIGSTORE_OPEN_READ_ONLY))
        store->writes = &engine->driver;
    pthread_mutex_lock(&store->hub->mutex);
    store->stream = ++engine->next_stream;
    pthread_mutex_unlock(&store->hub->mutex);
    return add_queued_reads(store, failure);
}

static int use_file_for_reading(struct stigstore *store, const char *path, const struct open_options *options,
                                struct failure *failure)
{
    const struct pool_options pool_options = {.path = path,
                                              .keep_snapshots = keeps_snapshots(store),
                                              .helper = keeps_snapshots(store),
                                              .max_data_bytes = LIMIT_DATA_BYTES_MOST,
                                              .snapshot_ms = options->snapshot_ms,
                                              .cache_bytes = options->cache_bytes};
    int status;

    store->hub = hub_new();
    store->pool = store->hub ? pool_new(&pool_options) : NULL;
    if (!store->pool)
        return no_memory(failure);
    store->max_data_bytes = LIMIT_DATA_BYTES_MOST;
    status = pool_try(store->pool, failure);
    return status == STATUS_OK ? add_queued_reads(store, failure) : status;
}

/* ---- paths ---- */

/* A file that is not ours is refused before a lock file is put beside it. */
static int inspect(const char *path, struct failure *failure)
{
    struct failure why = {.status = STATUS_UNSUPPORTED};

    switch (file_inspect(path, &why)) {
    case FILE_NEWER:
    case FILE_FOREIGN:
        return failure_set(failure, STATUS_UNSUPPORTED, "%s", why.message);
    case FILE_BADGER:
        return failure_set(failure, STATUS_UNSUPPORTED, "%s is a BadgerDB folder; stigstore does not read it", path);
    case FILE_DAMAGED:
        return failure_set(failure, STATUS_CORRUPT, "%s", why.message);
    default:
        return STATUS_OK; /* what cannot be read is named by the open itself */
    }
}

static bool has_lock_file(const char *path)
{
    char *lock_path;
    bool found;

    if (asprintf(&lock_path, "%s.lock", path) < 0)
        return true;
    found = exists(lock_path);
    free(lock_path);
    return found;
}

static int own_file(struct stigstore *store, const char *path, const struct open_options *options,
                    struct lock_holder *holder, struct failure *failure)
{
    const struct engine_options engine_options = {.path = path,
                                                  .create = !(store->flags & STIGSTORE_OPEN_MUST_EXIST),
                                                  .take_over = store->flags & STIGSTORE_OPEN_TAKE_OVER,
                                                  .durability_normal = options->durability_normal,
                                                  .keep_snapshots = keeps_snapshots(store),
                                                  .max_data_bytes = options->max_data_bytes,
                                                  .snapshot_ms = options->snapshot_ms,
                                                  .cache_bytes = options->cache_bytes};
    struct engine *engine;
    int status = STATUS_OK;

    if (!exists(path) && !engine_options.create)
        return failure_set(failure, STATUS_NOT_FOUND, "there is no %s", path);
    if (exists(path) && !has_lock_file(path))
        status = inspect(path, failure);
    if (status == STATUS_OK)
        status = engine_new(&engine_options, &engine, holder, failure);
    return status == STATUS_OK ? use_engine(store, engine, failure) : status;
}

/* Who owns the file now; false: nobody. */
static bool find_owner(const char *path, struct lock_holder *holder)
{
    struct failure ignored;
    struct lock *lock = NULL;
    bool held;

    if (lock_open(path, false, &lock, &ignored) != STATUS_OK)
        return false;
    held = lock_is_held(lock, LOCK_OWNER, holder);
    lock_free(&lock);
    return held;
}

static bool is_attachable(const struct stigstore *store, const struct lock_holder *holder)
{
    return service_is_supported() && !(store->flags & STIGSTORE_OPEN_NO_ATTACH) && holder->endpoint[0] &&
           (holder->mode == LOCK_SERVICE || holder->mode == LOCK_STANDALONE);
}

static int attach(struct stigstore *store, const char *endpoint, const struct open_options *options,
                  struct failure *failure)
{
    const struct service_options service_options = {
        .endpoint = endpoint,
        .server_key = options->server_key,
        .key_file = options->key_file,
        .reads_local = !(store->flags & STIGSTORE_READS_THROUGH_BROKER),
        .keep_snapshots = keeps_snapshots(store),
        .snapshot_ms = options->snapshot_ms,
        .cache_bytes = options->cache_bytes,
    };

    free(store->url);
    store->url = strdup(endpoint);
    if (!store->url)
        return no_memory(failure);
    return service_attach(store, &service_options, failure);
}

/* One look at the file; BUSY and UNAVAILABLE may pass. `owner` says whom to attach to: then END. */
static int try_path(struct stigstore *store, const char *path, const struct open_options *options,
                    struct lock_holder *owner, struct failure *failure)
{
    struct engine *engine;
    int status;

    registry_lock();
    engine = engine_find(path);
    if (engine)
        status = use_engine(store, engine, failure);
    else if (find_owner(path, owner) && is_attachable(store, owner))
        status = STATUS_END;
    else if (store->flags & STIGSTORE_OPEN_READ_ONLY)
        status = use_file_for_reading(store, path, options, failure);
    else
        status = own_file(store, path, options, owner, failure);
    registry_unlock();
    return status;
}

static int open_path(struct stigstore *store, const char *given, const struct open_options *options,
                     struct failure *failure)
{
    const struct timespec pause = {.tv_nsec = OWNER_POLL_MS * NS_PER_MS};
    int64_t until_ns = clock_deadline_ns(options->open_timeout_ms);
    struct lock_holder owner = {.mode = LOCK_NOBODY};
    int status;

    store->path = locate_real_path(given);
    if (!store->path)
        return no_memory(failure);
    status = try_path(store, store->path, options, &owner, failure);
    while ((status == STATUS_BUSY || status == STATUS_UNAVAILABLE) && clock_boot_ns() < until_ns) {
        start_over(store);
        nanosleep(&pause, NULL);
        status = try_path(store, store->path, options, &owner, failure);
    }
    if (status != STATUS_END)
        return status;
    status = attach(store, owner.endpoint, options, failure);
    if (status == STATUS_OK && !(store->flags & STIGSTORE_OPEN_NO_SERVICE_WAIT))
        status = service_wait(store, (uint32_t)clock_ms_until(until_ns, INT32_MAX), failure);
    if (status == STATUS_UNAVAILABLE && (store->flags & STIGSTORE_OPEN_READ_ONLY)) {
        start_over(store); /* a service that does not answer does not keep us from reading its file */
        status = use_file_for_reading(store, store->path, options, failure);
    }
    return status;
}

/* ---- URLs and the default ---- */

static int open_url(struct stigstore *store, const char *text, const struct open_options *options,
                    struct failure *failure)
{
    struct url url;
    int status = url_parse(text, &url, failure);

    if (status != STATUS_OK)
        return status;
    if (url.reads_through_broker)
        store->flags |= STIGSTORE_READS_THROUGH_BROKER;
    if (url.kind == URL_PATH) {
        status = open_path(store, url.target, options, failure);
    } else {
        status = attach(store, url.target, options, failure);
        if (status == STATUS_OK && !(store->flags & STIGSTORE_OPEN_NO_SERVICE_WAIT))
            status = service_wait(store, options->open_timeout_ms, failure);
    }
    url_free(&url);
    return status;
}

/* The default service serves the default database, unless it is not to be attached to. */
static bool default_service(const struct stigstore *store, const char *path, char *endpoint, size_t endpoint_bytes)
{
    struct failure ignored;

    if (!service_is_supported() || (store->flags & STIGSTORE_OPEN_NO_ATTACH))
        return false;
    return locate_endpoint(path, endpoint, endpoint_bytes, &ignored) == STATUS_OK && locate_is_answered(endpoint);
}

static int open_default(struct stigstore *store, const struct open_options *options, struct failure *failure)
{
    char notice[512], endpoint[160];
    char *path = locate_default_database(notice, sizeof(notice), failure);
    int64_t until_ns = clock_deadline_ns(options->open_timeout_ms);
    struct open_options rest = *options;
    int status = STATUS_END;

    if (!path)
        return failure->status;
    if (default_service(store, path, endpoint, sizeof(endpoint))) {
        status = attach(store, endpoint, options, failure);
        if (status == STATUS_OK)
            status = service_wait(store, options->open_timeout_ms, failure);
        if (status == STATUS_UNAVAILABLE) {
            start_over(store);
            status = STATUS_END;
        }
    }
    if (status == STATUS_END) {
        if (notice[0])
            log_line(&caller_log, LOG_LEVEL_NOTICE, "%s", notice);
        rest.open_timeout_ms = (uint32_t)clock_ms_until(until_ns, INT32_MAX);
        status = open_path(store, path, &rest, failure);
    }
    free(path);
    return status;
}

int store_open(struct stigstore *store, const char *url, const struct open_options *options, struct failure *failure)
{
    const char *named = url ? url : getenv("STIGSTORE_URL");

    if (named && (url || named[0]))
        return open_url(store, named, options, failure);
    return open_default(store, options, failure);
}

void store_shut(struct stigstore *store)
{
    if (!store->hub)
        return;
    pthread_mutex_lock(&store->hub->mutex);
    if (store->remote_driver.lane)
        store->remote_driver.lane->ops->free(store->remote_driver.lane);
    if (store->local_driver.lane)
        store->local_driver.lane->ops->free(store->local_driver.lane);
    store->local_driver = store->remote_driver = (struct driver){.lane = NULL};
    store->writes = store->reads = store->remote = NULL;
    pthread_mutex_unlock(&store->hub->mutex);
    if (!store->pool_is_shared)
        pool_free(&store->pool);
    store->pool = NULL;
    store->pool_is_shared = false;
    engine_release(&store->engine);
}
