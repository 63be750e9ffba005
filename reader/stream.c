/* stream.c - a list in pieces: one snapshot on a connection of its own, given back as soon as the list has ended. */
#include "reader/pool.h"

#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_ITEMS = 32 };

struct stream {
    struct reader *reader;
    struct stream *next, *previous;
    pthread_mutex_t mutex;      /* a piece being made, or an expiry */
    struct storage *connection; /* NULL: ended, `status` says how */
    struct storage_scan *scan;
    int status;
    uint64_t revision;
    int64_t expires_ns;
    struct item *items; /* of the piece at work */
    size_t capacity;
    struct arena *held_arena;
    struct item held; /* did not fit the last piece, if `is_held` */
    bool is_held;
};

/* ---- the reader's list ---- */

static int add_stream(struct reader *reader, struct stream *stream, struct failure *failure)
{
    int status = STATUS_OK;
    pthread_mutex_lock(&reader->mutex);
    if (reader->stream_count >= LIMIT_STREAMS) {
        status = failure_set(failure, STATUS_OVERLOADED, "%d lists are open already", LIMIT_STREAMS);
    } else {
        stream->next = reader->streams;
        if (stream->next)
            stream->next->previous = stream;
        reader->streams = stream;
        reader->stream_count++;
    }
    pthread_mutex_unlock(&reader->mutex);
    return status;
}

static void remove_stream(struct reader *reader, struct stream *stream)
{
    pthread_mutex_lock(&reader->mutex);
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        reader->streams = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    reader->stream_count--;
    pthread_mutex_unlock(&reader->mutex);
}

/* ---- open and close ---- */

static void stream_free(struct stream *stream)
{
    pthread_mutex_destroy(&stream->mutex);
    arena_free(&stream->held_arena);
    free(stream->items);
    free(stream);
}

static struct stream *stream_new(struct reader *reader)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    stream->reader = reader;
    pthread_mutex_init(&stream->mutex, NULL);
    stream->held_arena = arena_new(0);
    stream->items = calloc(FIRST_ITEMS, sizeof(*stream->items));
    stream->capacity = FIRST_ITEMS;
    if (stream->held_arena && stream->items)
        return stream;
    stream_free(stream);
    return NULL;
}

static int check(const struct reader *reader, const struct request *list, struct failure *failure)
{
    const char *why = NULL;
    if (list->deadline_ns <= clock_boot_ns())
        return failure_set(failure, STATUS_DEADLINE_EXCEEDED, "%s", status_text(STATUS_DEADLINE_EXCEEDED));
    int status = request_check(list, reader->options.max_data_bytes, &why);
    if (status != STATUS_OK)
        return failure_set(failure, status, "%s", why);
    if (!operation_is_list(list->operation))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "only a list can be streamed");
    return STATUS_OK;
}

int stream_open(struct reader *reader, const struct request *list, struct stream **out, struct failure *failure)
{
    *out = NULL;
    int status = check(reader, list, failure);
    if (status != STATUS_OK)
        return status;
    struct stream *stream = stream_new(reader);
    if (!stream)
        return failure_set(failure, STATUS_NO_MEMORY, "out of memory");
    stream->expires_ns = clock_deadline_ns(reader->options.snapshot_ms);
    pthread_mutex_lock(&stream->mutex);
    status = add_stream(reader, stream, failure);
    if (status != STATUS_OK)
        goto failed;
    status = pool_take(reader, &stream->connection, failure);
    if (status != STATUS_OK)
        goto failed_take;
    const struct storage_ops *ops = stream->connection->ops;
    status = ops->scan_open(stream->connection, list, &stream->scan, &stream->revision, failure);
    if (status != STATUS_OK)
        goto failed_scan;
    pthread_mutex_unlock(&stream->mutex);
    *out = stream;
    return STATUS_OK;

failed_scan:
    storage_close(&stream->connection);
failed_take:
    remove_stream(reader, stream);
failed:
    pthread_mutex_unlock(&stream->mutex);
    stream_free(stream);
    return status;
}

/* Lets go of snapshot and connection; a connection that failed is not used again. */
static void end(struct stream *stream, int status)
{
    if (!stream->connection)
        return;
    stream->status = status;
    stream->connection->ops->scan_close(&stream->scan);
    if (status == STATUS_OK || status == STATUS_SNAPSHOT_EXPIRED)
        pool_give(stream->reader, &stream->connection);
    else
        storage_close(&stream->connection);
}

void stream_close(struct stream **stream)
{
    struct stream *self = *stream;
    if (!self)
        return;
    *stream = NULL;
    remove_stream(self->reader, self);
    end(self, STATUS_OK);
    stream_free(self);
}

/* Ends the snapshot of a stream that nobody asks now. Its connection. */
static struct storage *expire(struct stream *stream)
{
    struct storage *connection = stream->connection;
    connection->ops->scan_close(&stream->scan);
    stream->status = STATUS_SNAPSHOT_EXPIRED;
    stream->connection = NULL;
    return connection;
}

int64_t reader_expire_streams(struct reader *reader)
{
    int64_t now_ns = clock_boot_ns(), next_ns = INT64_MAX;
    struct storage *given[LIMIT_STREAMS];
    size_t count = 0;
    pthread_mutex_lock(&reader->mutex);
    for (struct stream *stream = reader->streams; stream; stream = stream->next) {
        /* One that is being asked now looks at the time itself. */
        bool is_busy = pthread_mutex_trylock(&stream->mutex) != 0;
        if (!is_busy && stream->connection && stream->expires_ns <= now_ns)
            given[count++] = expire(stream);
        if ((is_busy || stream->connection) && stream->expires_ns < next_ns)
            next_ns = stream->expires_ns;
        if (!is_busy)
            pthread_mutex_unlock(&stream->mutex);
    }
    pthread_mutex_unlock(&reader->mutex);
    while (count)
        pool_give(reader, &given[--count]);
    return next_ns;
}

/* ---- pieces ---- */

static size_t item_bytes(const struct item *item)
{
    return STORAGE_ITEM_BYTES + item->kind.size + item->id.size + item->data.size + item->hash.size + item->tag.size;
}

/* A deep copy; false when memory is short. NULL data (keys only) stays NULL. */
static bool copy_item(const struct item *from, struct item *to, struct arena *arena)
{
    *to = *from;
    struct span *spans[] = {&to->kind, &to->id, &to->data, &to->hash, &to->tag};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        if (!spans[i]->data)
            continue;
        *spans[i] = arena_copy(arena, *spans[i]);
        if (!spans[i]->data)
            return false;
    }
    return true;
}

/* Items stand in an array of the stream's while a piece grows, so that the arena gets it once, in its size. */
static bool make_room(struct stream *stream, size_t count)
{
    assert(stream->capacity > 0);
    if (count < stream->capacity)
        return true;
    struct item *more = realloc(stream->items, 2 * stream->capacity * sizeof(*more));
    if (!more)
        return false;
    stream->items = more;
    stream->capacity *= 2;
    return true;
}

static bool hold(struct stream *stream, const struct item *item)
{
    stream->is_held = copy_item(item, &stream->held, stream->held_arena);
    return stream->is_held;
}

/* The item that the last piece had no room for, or the next row. */
static int next_item(struct stream *stream, struct item *item, struct arena *arena)
{
    if (!stream->is_held)
        return stream->connection->ops->scan_next(stream->scan, item, arena, NULL);
    stream->is_held = false;
    bool copied = copy_item(&stream->held, item, arena);
    arena_reset(stream->held_arena);
    return copied ? STATUS_OK : STATUS_NO_MEMORY;
}

/* END: nothing follows; OK: the piece is full. */
static int fill(struct stream *stream, size_t most_bytes, size_t *count, struct arena *arena)
{
    size_t bytes = STORAGE_REPLY_BYTES;
    for (;;) {
        if (!make_room(stream, *count))
            return STATUS_NO_MEMORY;
        struct item *item = &stream->items[*count];
        int status = next_item(stream, item, arena);
        if (status != STATUS_OK)
            return status;
        bytes += item_bytes(item);
        if (bytes > most_bytes && *count > 0)
            return hold(stream, item) ? STATUS_OK : STATUS_NO_MEMORY;
        ++*count;
        if (bytes >= most_bytes)
            return STATUS_OK;
    }
}

static bool deliver(struct stream *stream, size_t count, struct reply *piece, struct arena *arena)
{
    struct item *items = arena_calloc(arena, count, sizeof(*items));
    if (!items)
        return false;
    if (count)
        memcpy(items, stream->items, count * sizeof(*items));
    piece->items = items;
    piece->item_count = count;
    return true;
}

static void make_piece(struct stream *stream, size_t most_bytes, struct reply *piece, struct arena *arena)
{
    size_t count = 0;
    int status = fill(stream, most_bytes, &count, arena);
    if (!deliver(stream, count, piece, arena))
        status = STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        end(stream, status == STATUS_END ? STATUS_OK : status);
}

void stream_next(struct stream *stream, size_t most_bytes, struct reply *piece, bool *last, struct arena *arena)
{
    pthread_mutex_lock(&stream->mutex);
    *piece = (struct reply){.revision = stream->revision};
    if (stream->connection && stream->expires_ns <= clock_boot_ns())
        end(stream, STATUS_SNAPSHOT_EXPIRED);
    if (stream->connection)
        make_piece(stream, most_bytes, piece, arena);
    *last = !stream->connection;
    piece->status = stream->status;
    if (*last && stream->status == STATUS_SNAPSHOT_EXPIRED)
        piece->message = span_text("the list took longer than its snapshot may live; go on behind its last item");
    pthread_mutex_unlock(&stream->mutex);
}
