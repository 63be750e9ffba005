/*
 * handle.c - the life of a handle: open, close, free, and who is inside.
 *
 * `inside` counts threads in a call twice and has its lowest bit set once the handle is closing, so that a thread that
 * leaves knows in one step whether somebody waits for it.
 */
#include "client/core.h"
#include "client/open.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

enum { INSIDE_CLOSING = 1, INSIDE_THREAD = 2 };

/* ---- who is inside ---- */

bool store_is_closing(const struct stigstore *store)
{
    return atomic_load(&store->inside) & INSIDE_CLOSING;
}

int store_enter_closing(struct stigstore *store, struct entry *entry)
{
    if (!store)
        return STATUS_INVALID_ARGUMENT;
    if (store->generation != fork_generation())
        return STATUS_FORKED;
    atomic_fetch_add(&store->inside, INSIDE_THREAD);
    entry->log_before = log_enter(store->log);
    return STATUS_OK;
}

int store_enter(struct stigstore *store, struct entry *entry)
{
    int status = store_enter_closing(store, entry);

    if (status == STATUS_OK && store_is_closing(store)) {
        store_leave(store, entry);
        status = STATUS_CLOSED;
    }
    return status;
}

void store_leave(struct stigstore *store, struct entry *entry)
{
    unsigned inside = atomic_load(&store->inside);

    log_leave(entry->log_before);
    while (!(inside & INSIDE_CLOSING))
        if (atomic_compare_exchange_weak(&store->inside, &inside, inside - INSIDE_THREAD))
            return;
    pthread_mutex_lock(&store->hub->mutex); /* who closes waits under it, and frees the handle only after us */
    atomic_fetch_sub(&store->inside, INSIDE_THREAD);
    pthread_cond_broadcast(&store->rare);
    pthread_mutex_unlock(&store->hub->mutex);
}

void store_wait_rare(struct stigstore *store, int64_t until_ns)
{
    store->rare_waiters++;
    cond_wait_until(&store->rare, &store->hub->mutex, until_ns);
    store->rare_waiters--;
}

void store_tell_rare(struct stigstore *store)
{
    if (store->rare_waiters)
        pthread_cond_broadcast(&store->rare);
}

void store_reference(struct stigstore *store)
{
    store->references++;
}

static void free_shell(struct stigstore *store)
{
    pthread_cond_destroy(&store->rare);
    deadlines_free(&store->deadlines);
    hub_release(&store->hub);
    free(store->path);
    free(store->url);
    free(store);
}

void store_dereference(struct stigstore *store)
{
    bool last = --store->references == 0;

    pthread_mutex_unlock(&store->hub->mutex);
    if (last)
        free_shell(store);
}

/* ---- open ---- */

static int read_options(const stigstore_options *from, stigstore_options *to, struct failure *failure)
{
    int status = STATUS_OK;

    *to = (stigstore_options){.flags = 0};
    if (from)
        status = struct_read(from, from->struct_size, offsetof(stigstore_options, timeout_ms), to, sizeof(*to));
    if (status == STATUS_INVALID_ARGUMENT)
        return failure_set(failure, status, "options.struct_size is not set");
    if (status == STATUS_UNSUPPORTED || to->flags >= STIGSTORE_OPEN_TAKE_OVER << 1)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "the options use what this version of the library does not know");
    if (to->max_data_bytes > LIMIT_DATA_BYTES_MOST)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "max_data_bytes is over 64 MiB");
    if (to->max_in_flight > MOST_IN_FLIGHT)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "max_in_flight is over %d", MOST_IN_FLIGHT);
    return STATUS_OK;
}

static void set_options(struct stigstore *store, const stigstore_options *options)
{
    store->flags = options->flags;
    store->timeout_ms = options->timeout_ms ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    store->max_in_flight = options->max_in_flight ? options->max_in_flight : DEFAULT_IN_FLIGHT;
    store->max_in_flight_bytes = options->max_in_flight_bytes ? options->max_in_flight_bytes : DEFAULT_IN_FLIGHT_BYTES;
    store->max_data_bytes = LIMIT_DATA_BYTES_MOST; /* until the file's owner says */
    store->log = (struct log_sink){options->log, options->log_context};
}

static int new_store(const stigstore_options *options, struct stigstore **out, struct failure *failure)
{
    struct stigstore *store = calloc(1, sizeof(*store));

    fork_watch();
    if (!store)
        goto fail;
    set_options(store, options);
    if (cond_init(&store->rare) != STATUS_OK)
        goto fail_store;
    store->deadlines = deadlines_new();
    if (!store->deadlines)
        goto fail_cond;
    store->references = 1;
    store->generation = fork_generation();
    *out = store;
    return STATUS_OK;
fail_cond:
    pthread_cond_destroy(&store->rare);
fail_store:
    free(store);
fail:
    return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
}

static int open_store(const char *url, const stigstore_options *given, struct stigstore **out, struct failure *failure)
{
    stigstore_options options;
    struct open_options open_options;
    struct log_sink before;
    struct stigstore *store = NULL;
    int status = read_options(given, &options, failure);

    if (status == STATUS_OK)
        status = new_store(&options, &store, failure);
    if (status != STATUS_OK)
        return status;
    assert(store);
    open_options = (struct open_options){
        .open_timeout_ms = options.open_timeout_ms ? options.open_timeout_ms : DEFAULT_TIMEOUT_MS,
        .durability_normal = options.durability_normal,
        .snapshot_ms = options.snapshot_ms,
        .cache_bytes = options.cache_kib ? options.cache_kib * KIB : DEFAULT_CACHE_BYTES,
        .max_data_bytes = options.max_data_bytes,
        .server_key = options.server_key,
        .key_file = options.key_file,
    };
    before = log_enter(store->log);
    status = store_open(store, url, &open_options, failure);
    if (status != STATUS_OK) {
        store_shut(store);
        free_shell(store);
    } else {
        *out = store;
    }
    log_leave(before);
    return status;
}

int stigstore_open(const char *url, const stigstore_options *options, stigstore **store, stigstore_result **result)
{
    struct failure failure = {.status = STATUS_OK};
    struct result_box *box = result_begin(result);

    if (!box)
        return STATUS_NO_MEMORY;
    if (!store)
        failure_set(&failure, STATUS_INVALID_ARGUMENT, "there is no place for the handle");
    if (store)
        *store = NULL;
    if (store)
        failure.status = open_store(url, options, store, &failure);
    if (failure.status != STATUS_OK)
        result_set_failure(box, &failure);
    return result_end(box, result);
}

/* ---- close ---- */

/* Threads that wait see that the handle is closing, and end their calls themselves. */
static void wake_all(struct stigstore *store)
{
    if (store->writes)
        driver_wake_all(store->writes);
    if (store->reads)
        driver_wake_all(store->reads);
    if (store->remote)
        driver_wake_all(store->remote);
    pthread_cond_broadcast(&store->rare);
}

/* Mutex held; no thread is inside any more. */
static void end_all(struct stigstore *store)
{
    while (store->ops_first)
        op_end_now(store->ops_first, STATUS_CLOSED);
    cursors_end(store);
    for (struct stigstore_queue *queue = store->queues; queue; queue = queue_next(queue))
        queue_unwatch(queue);
}

static void close_store(struct stigstore *store)
{
    atomic_fetch_or(&store->inside, INSIDE_CLOSING);
    wake_all(store);
    while (atomic_load(&store->inside) != INSIDE_CLOSING)
        store_wait_rare(store, INT64_MAX);
    end_all(store);
    pthread_mutex_unlock(&store->hub->mutex);
    store_shut(store);
    pthread_mutex_lock(&store->hub->mutex);
    store->closed = true;
    for (struct stigstore_queue *queue = store->queues; queue; queue = queue_next(queue))
        queue_signal(queue);
    store_tell_rare(store);
}

int stigstore_close(stigstore *store)
{
    struct log_sink before;

    if (!store)
        return STATUS_INVALID_ARGUMENT;
    if (store->generation != fork_generation())
        return STATUS_FORKED;
    before = log_enter(store->log);
    pthread_mutex_lock(&store->hub->mutex);
    if (!store_is_closing(store))
        close_store(store);
    while (!store->closed)
        store_wait_rare(store, INT64_MAX);
    pthread_mutex_unlock(&store->hub->mutex);
    log_leave(before);
    return STATUS_OK;
}

void stigstore_free(stigstore **store)
{
    if (!store || !*store)
        return;
    if (stigstore_close(*store) != STATUS_FORKED) { /* a child has nothing of it but the memory, and leaves that */
        pthread_mutex_lock(&(*store)->hub->mutex);
        store_dereference(*store);
    }
    *store = NULL;
}

const char *stigstore_path(const stigstore *store)
{
    const char *path;

    if (!store || store->generation != fork_generation())
        return "";
    pthread_mutex_lock(&store->hub->mutex);
    path = store->path;
    pthread_mutex_unlock(&store->hub->mutex);
    return path ? path : "";
}
