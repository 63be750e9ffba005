/* pool.c - reading connections to one database file, shared by the threads that read it directly. */
#include "client/fork.h"
#include "client/hub.h"
#include "client/log.h"
#include "client/pool_state.h"
#include "proto/clock.h"

#include <assert.h>
#include <stdlib.h>

enum {
    READERS_MOST = 32, /* more threads than that wait for one another */
    CACHE_LEAST_BYTES = 1024 * 1024,
    CHECK_MS = 1,    /* how often a busy reader looks whether its file is still there */
    RETRY_MS = 1000, /* after the expected file could not be opened */
};

struct pool_stream {
    struct pool *pool;
    struct source *source;
    struct stream *stream;
};

/* ---- readers ---- */

static void close_source(struct source *source)
{
    const struct storage_identity *identity = reader_identity(source->reader);

    assert(source->streams == 0);
    opened_remove(identity->device, identity->inode);
    reader_free(&source->reader);
    free(source);
}

static void close_idle(struct pool *pool)
{
    while (pool->idle) {
        struct source *source = pool->idle;
        pool->idle = source->next;
        pool->count--;
        close_source(source);
    }
}

static bool is_expected(const struct storage_identity *a, const struct storage_identity *b)
{
    return a->device == b->device && a->inode == b->inode && memcmp(a->boot_id, b->boot_id, sizeof(a->boot_id)) == 0 &&
           memcmp(a->incarnation, b->incarnation, sizeof(a->incarnation)) == 0;
}

/* What a new reader needs to know, taken under the mutex. */
struct wanted {
    char *path;
    bool has_identity;
    struct storage_identity identity;
    uint64_t generation;
};

static int open_source(const struct pool *pool, const struct wanted *wanted, uint64_t cache_bytes, struct source **out,
                       struct failure *failure)
{
    const struct reader_options options = {.path = wanted->path,
                                           .keep_snapshots = pool->options.keep_snapshots,
                                           .max_data_bytes = pool->options.max_data_bytes,
                                           .cache_bytes = cache_bytes,
                                           .snapshot_ms = pool->options.snapshot_ms,
                                           .log = caller_log};
    struct source *source;
    const struct storage_identity *identity;
    int status;

    if (opened_in_parent(wanted->path))
        return failure_set(failure, STATUS_FORKED, "%s was open when this process was forked", wanted->path);
    source = calloc(1, sizeof(*source));
    if (!source)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    status = reader_new(&options, &source->reader, failure);
    if (status != STATUS_OK)
        goto fail;
    identity = reader_identity(source->reader);
    if (wanted->has_identity && !is_expected(identity, &wanted->identity)) {
        status = failure_set(failure, STATUS_UNAVAILABLE, "%s is not the service's file", wanted->path);
        goto fail_reader;
    }
    if (!opened_add(identity->device, identity->inode)) {
        status = failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
        goto fail_reader;
    }
    source->generation = wanted->generation;
    source->checked_ns = clock_boot_ns();
    *out = source;
    return STATUS_OK;
fail_reader:
    reader_free(&source->reader);
fail:
    free(source);
    return status;
}

static int read_wanted(struct pool *pool, struct wanted *wanted, struct failure *failure)
{
    *wanted =
        (struct wanted){.has_identity = pool->has_identity, .identity = pool->identity, .generation = pool->generation};
    if (!pool->path || (pool->has_identity && clock_boot_ns() < pool->retry_ns))
        return failure_set(failure, STATUS_UNAVAILABLE, "there is no database file to read on this host");
    wanted->path = strdup(pool->path);
    if (!wanted->path)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    return STATUS_OK;
}

/* Half of it for the first reader, which works alone most of the time, and for each later one half of what is left. */
static uint64_t share_of_cache(const struct pool *pool)
{
    uint64_t share = pool->options.cache_bytes >> pool->count;
    return share > CACHE_LEAST_BYTES ? share : CACHE_LEAST_BYTES;
}

/* Opens one more reader; the mutex is let go of meanwhile, and its place is already counted. */
static int add_source(struct pool *pool, uint64_t cache_bytes, struct source **source, struct failure *failure)
{
    struct wanted wanted;
    int status = read_wanted(pool, &wanted, failure);

    if (status != STATUS_OK)
        return status;
    pthread_mutex_unlock(&pool->mutex);
    status = open_source(pool, &wanted, cache_bytes, source, failure);
    free(wanted.path);
    pthread_mutex_lock(&pool->mutex);
    if (status != STATUS_OK)
        pool->retry_ns = clock_deadline_ns(RETRY_MS);
    return status;
}

/* A file that was replaced: its readers go. False: this one went too. */
static bool still_current(struct pool *pool, struct source *source)
{
    int64_t now_ns = clock_boot_ns();

    if (now_ns - source->checked_ns < CHECK_MS * NS_PER_MS)
        return true;
    source->checked_ns = now_ns;
    if (reader_is_current(source->reader))
        return true;
    pool->generation++;
    return false;
}

static int take(struct pool *pool, int64_t until_ns, struct source **out, struct failure *failure)
{
    int status = STATUS_OK;

    *out = NULL;
    pthread_mutex_lock(&pool->mutex);
    while (!*out && status == STATUS_OK) {
        struct source *source = pool->idle;
        if (source) {
            pool->idle = source->next;
            if (source->generation == pool->generation && still_current(pool, source)) {
                *out = source;
            } else {
                pool->count--;
                close_source(source);
            }
        } else if (pool->count < READERS_MOST) {
            pool->count++;
            status = add_source(pool, share_of_cache(pool), out, failure);
            if (status != STATUS_OK) {
                pool->count--;
                pthread_cond_signal(&pool->given);
            }
        } else if (clock_boot_ns() >= until_ns) {
            status = failure_set(failure, STATUS_DEADLINE_EXCEEDED, "all %d readers were busy", READERS_MOST);
        } else {
            cond_wait_until(&pool->given, &pool->mutex, until_ns);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

static void give(struct pool *pool, struct source *source)
{
    pthread_mutex_lock(&pool->mutex);
    if (source->generation != pool->generation) {
        pool->count--;
        close_source(source);
    } else {
        if (pool->options.helper)
            source->used_ns = clock_boot_ns();
        source->next = pool->idle;
        pool->idle = source;
        pool_watch_snapshot(pool, source);
    }
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->mutex);
}

/* ---- the pool ---- */

struct pool *pool_new(const struct pool_options *options)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return NULL;
    pool->options = *options;
    pool->options.path = NULL;
    pool->streams_due_ns = INT64_MAX;
    pool->path = options->path ? strdup(options->path) : NULL;
    if (options->path && !pool->path)
        goto fail;
    if (cond_init(&pool->given) != STATUS_OK)
        goto fail;
    if (cond_init(&pool->helper_wake) != STATUS_OK)
        goto fail_given;
    if (pthread_mutex_init(&pool->mutex, NULL) != 0)
        goto fail_wake;
    if (pthread_mutex_init(&pool->streaming_mutex, NULL) != 0)
        goto fail_mutex;
    return pool;
fail_mutex:
    pthread_mutex_destroy(&pool->mutex);
fail_wake:
    pthread_cond_destroy(&pool->helper_wake);
fail_given:
    pthread_cond_destroy(&pool->given);
fail:
    free(pool->path);
    free(pool);
    return NULL;
}

void pool_free(struct pool **pool_pointer)
{
    struct pool *pool = *pool_pointer;

    if (!pool)
        return;
    pool_stop_helper(pool);
    close_idle(pool);
    assert(pool->count == 0);
    if (pool->streaming)
        close_source(pool->streaming);
    pthread_mutex_destroy(&pool->streaming_mutex);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->helper_wake);
    pthread_cond_destroy(&pool->given);
    free(pool->path);
    free(pool);
    *pool_pointer = NULL;
}

int pool_expect(struct pool *pool, const char *path, const struct storage_identity *identity)
{
    char *copy = path ? strdup(path) : NULL;
    bool same;

    if (path && !copy)
        return STATUS_NO_MEMORY;
    pthread_mutex_lock(&pool->mutex);
    same = path && pool->path && strcmp(path, pool->path) == 0 && pool->has_identity &&
           is_expected(identity, &pool->identity);
    free(pool->path);
    pool->path = copy;
    pool->retry_ns = 0;
    if (!same) {
        pool->generation++;
        pool->has_identity = path != NULL;
        if (path)
            pool->identity = *identity;
        close_idle(pool);
    }
    pthread_mutex_unlock(&pool->mutex);
    return STATUS_OK;
}

static int64_t latest_deadline(const struct request *requests, size_t count)
{
    int64_t latest_ns = 0;

    for (size_t i = 0; i < count; i++)
        if (requests[i].deadline_ns > latest_ns)
            latest_ns = requests[i].deadline_ns;
    return latest_ns;
}

int pool_answer(struct pool *pool, const struct request *requests, size_t count, struct reply *replies,
                struct arena *arena, size_t most_bytes, struct failure *failure)
{
    struct source *source;
    int status = take(pool, latest_deadline(requests, count), &source, failure);

    if (status != STATUS_OK)
        return status;
    reader_answer(source->reader, requests, count, replies, arena, most_bytes);
    give(pool, source);
    return STATUS_OK;
}

int pool_try(struct pool *pool, struct failure *failure)
{
    struct source *source;
    int status = take(pool, 0, &source, failure);

    if (status == STATUS_OK)
        give(pool, source);
    return status;
}

/* ---- lists ---- */

/* Lists are opened on a reader that answers nothing else; called with streaming_mutex. */
static int streaming_source(struct pool *pool, struct failure *failure)
{
    struct source *stale = NULL;
    int status = STATUS_OK;

    pthread_mutex_lock(&pool->mutex);
    if (pool->streaming && (pool->streaming->generation != pool->generation || !still_current(pool, pool->streaming))) {
        stale = pool->streaming;
        pool->streaming = NULL;
    }
    if (!pool->streaming)
        status = add_source(pool, 0, &pool->streaming, failure);
    pthread_mutex_unlock(&pool->mutex);
    if (stale && stale->streams == 0)
        close_source(stale); /* else its last stream closes it */
    return status;
}

int pool_stream_open(struct pool *pool, const struct request *request, struct pool_stream **out,
                     struct failure *failure)
{
    struct pool_stream *stream = calloc(1, sizeof(*stream));
    int status;

    if (!stream)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    pthread_mutex_lock(&pool->streaming_mutex);
    status = streaming_source(pool, failure);
    if (status == STATUS_OK)
        status = stream_open(pool->streaming->reader, request, &stream->stream, failure);
    if (status == STATUS_OK) {
        stream->pool = pool;
        stream->source = pool->streaming;
        stream->source->streams++;
        pool_watch_streams(pool);
    }
    pthread_mutex_unlock(&pool->streaming_mutex);
    if (status != STATUS_OK)
        free(stream);
    else
        *out = stream;
    return status;
}

void pool_stream_next(struct pool_stream *stream, size_t most_bytes, struct reply *piece, bool *last,
                      struct arena *arena)
{
    stream_next(stream->stream, most_bytes, piece, last, arena);
}

void pool_stream_close(struct pool_stream **stream_pointer)
{
    struct pool_stream *stream = *stream_pointer;
    struct source *source;
    struct pool *pool;

    if (!stream)
        return;
    pool = stream->pool;
    source = stream->source;
    pthread_mutex_lock(&pool->streaming_mutex);
    stream_close(&stream->stream);
    source->streams--;
    if (source->streams == 0 && source != pool->streaming)
        close_source(source);
    pthread_mutex_unlock(&pool->streaming_mutex);
    free(stream);
    *stream_pointer = NULL;
}
