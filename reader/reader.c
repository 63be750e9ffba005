/* reader.c - judges requests, hands the good ones to the storage as one batch, and keeps connections for streams. */
#include "reader/pool.h"

#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>
#include <stdlib.h>

enum { LIST_CACHE_BYTES = 256 * 1024 };

/* For batches, or for one list at a time, which reads each page once. */
static int open_connection(const struct reader *reader, const char *path, bool for_list, struct storage **storage,
                           struct failure *failure)
{
    struct storage_options options = {
        .path = path,
        .access = STORAGE_FOR_READING,
        .keep_snapshots = !for_list && reader->options.keep_snapshots,
        .cache_bytes = for_list ? LIST_CACHE_BYTES : reader->options.cache_bytes,
        .mapped_bytes = for_list ? 0 : reader->options.mapped_bytes,
        .max_data_bytes = reader->options.max_data_bytes,
        .log = reader->options.log,
    };
    return storage_open_sqlite(&options, storage, failure);
}

int reader_new(const struct reader_options *options, struct reader **out, struct failure *failure)
{
    *out = NULL;
    struct reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return failure_set(failure, STATUS_NO_MEMORY, "out of memory");
    reader->options = *options;
    if (!reader->options.snapshot_ms)
        reader->options.snapshot_ms = LIMIT_SNAPSHOT_MS;
    int status = open_connection(reader, options->path, false, &reader->storage, failure);
    if (status != STATUS_OK) {
        free(reader);
        return status;
    }
    reader->options.path = reader->storage->path;
    pthread_mutex_init(&reader->mutex, NULL);
    *out = reader;
    return STATUS_OK;
}

void reader_free(struct reader **reader)
{
    struct reader *self = *reader;
    if (!self)
        return;
    *reader = NULL;
    assert(!self->streams);
    while (self->idle_count)
        storage_close(&self->idle[--self->idle_count]);
    storage_close(&self->storage);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

/* ---- batches ---- */

static struct reply refusal(int status, const char *why)
{
    return (struct reply){.status = status, .message = span_text(why)};
}

/* Why a request is not run; STATUS_OK: it is. */
static int judge(const struct reader *reader, const struct request *request, int64_t now_ns, const char **why)
{
    *why = NULL;
    if (request->deadline_ns <= now_ns)
        return STATUS_DEADLINE_EXCEEDED;
    int status = request_check(request, reader->options.max_data_bytes, why);
    if (status == STATUS_OK && operation_is_write(request->operation)) {
        *why = "this operation is not a read";
        status = STATUS_INVALID_ARGUMENT;
    }
    return status;
}

/* The good ones are answered apart and put back among the refused. */
static void answer_some(struct reader *reader, const struct request *requests, size_t count, struct reply *replies,
                        size_t good_count, struct arena *arena, size_t most_bytes)
{
    struct request *good = arena_calloc(arena, good_count, sizeof(*good));
    struct reply *answers = arena_calloc(arena, good_count, sizeof(*answers));
    size_t next = 0;
    for (size_t i = 0; good && answers && i < count; i++)
        if (replies[i].status == STATUS_OK)
            good[next++] = requests[i];
    if (good && answers)
        reader->storage->ops->answer(reader->storage, good, good_count, answers, arena, most_bytes);
    next = 0;
    for (size_t i = 0; i < count; i++)
        if (replies[i].status == STATUS_OK)
            replies[i] = good && answers ? answers[next++] : refusal(STATUS_NO_MEMORY, NULL);
}

void reader_answer(struct reader *reader, const struct request *requests, size_t count, struct reply *replies,
                   struct arena *arena, size_t most_bytes)
{
    enum { REFUSAL_BYTES = 160 }; /* on the wire, with its text */
    int64_t now_ns = clock_boot_ns();
    size_t good_count = 0, refused_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const char *why;
        int status = judge(reader, &requests[i], now_ns, &why);
        replies[i] = refusal(status, why);
        good_count += status == STATUS_OK;
        refused_bytes += status == STATUS_OK ? 0 : REFUSAL_BYTES;
    }
    most_bytes -= refused_bytes < most_bytes ? refused_bytes : most_bytes;
    if (good_count == count && count > 0)
        reader->storage->ops->answer(reader->storage, requests, count, replies, arena, most_bytes);
    else if (good_count > 0)
        answer_some(reader, requests, count, replies, good_count, arena, most_bytes);
}

bool reader_holds_snapshot(const struct reader *reader)
{
    return reader->storage->ops->holds_snapshot(reader->storage);
}

void reader_release(struct reader *reader)
{
    reader->storage->ops->release_snapshot(reader->storage);
}

bool reader_is_current(struct reader *reader)
{
    return reader->storage->ops->is_current(reader->storage);
}

const struct storage_identity *reader_identity(const struct reader *reader)
{
    return &reader->storage->identity;
}

/* ---- connections for streams ---- */

static bool is_same_file(const struct storage *a, const struct storage *b)
{
    return a->identity.device == b->identity.device && a->identity.inode == b->identity.inode &&
           memcmp(a->identity.incarnation, b->identity.incarnation, sizeof(a->identity.incarnation)) == 0;
}

static struct storage *take_idle(struct reader *reader)
{
    pthread_mutex_lock(&reader->mutex);
    struct storage *idle = reader->idle_count ? reader->idle[--reader->idle_count] : NULL;
    pthread_mutex_unlock(&reader->mutex);
    if (idle && !idle->ops->is_current(idle))
        storage_close(&idle);
    return idle;
}

int pool_take(struct reader *reader, struct storage **connection, struct failure *failure)
{
    *connection = take_idle(reader);
    if (*connection)
        return STATUS_OK;
    int status = open_connection(reader, reader->options.path, true, connection, failure);
    if (status != STATUS_OK || is_same_file(*connection, reader->storage))
        return status;
    storage_close(connection);
    return failure_set(failure, STATUS_UNAVAILABLE, "another file lies at %s now", reader->options.path);
}

void pool_give(struct reader *reader, struct storage **connection)
{
    pthread_mutex_lock(&reader->mutex);
    if (reader->idle_count < POOL_IDLE) {
        reader->idle[reader->idle_count++] = *connection;
        *connection = NULL;
    }
    pthread_mutex_unlock(&reader->mutex);
    storage_close(connection);
}
