/* streams.c - lists in pieces. */
#include "reader/streams.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <stdlib.h>

enum { TURN_MS = 5 };                /* of pieces, before point reads get theirs */
#define BACKLOG_BYTES_MOST (1 * MIB) /* queued in the worker: the broker is slow, more must wait */

struct open_stream {
    struct envelope to;
    struct arena *arena; /* the request */
    struct stream *stream;
    int64_t credit_bytes; /* below 0: a resource was larger than what was left */
    int64_t expires_ns;
    uint32_t piece;
};

struct streams {
    struct open_stream *open[LIMIT_STREAMS];
    size_t count, turn;
    uint32_t snapshot_ms;
    struct arena *piece; /* items of the piece that is being made */
    struct streams_counters counters;
};

struct streams *streams_new(uint32_t snapshot_ms)
{
    struct streams *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->snapshot_ms = snapshot_ms ? snapshot_ms : LIMIT_SNAPSHOT_MS;
    self->piece = arena_new(0);
    if (self->piece)
        return self;
    free(self);
    return NULL;
}

static void open_stream_free(struct open_stream *open)
{
    if (open->stream)
        stream_close(&open->stream);
    arena_free(&open->arena);
    free(open);
}

static void remove_at(struct streams *streams, size_t index)
{
    open_stream_free(streams->open[index]);
    streams->open[index] = streams->open[--streams->count];
}

void streams_free(struct streams **streams)
{
    struct streams *self = *streams;
    if (!self)
        return;
    while (self->count > 0)
        remove_at(self, self->count - 1);
    arena_free(&self->piece);
    free(self);
    *streams = NULL;
}

static int begin(struct open_stream *open, struct reader *reader, const struct worker_message *message)
{
    struct request_batch batch = {0};
    struct failure failure;
    if (message->envelope.role == ROLE_NONE)
        return STATUS_PERMISSION_DENIED;
    if (message->deadline_ns <= clock_boot_ns())
        return STATUS_DEADLINE_EXCEEDED;
    int status =
        body_decode_requests(message->body.data, message->body.size, message->deadline_ns, open->arena, &batch);
    if (status != STATUS_OK)
        return status;
    const char *why;
    if (batch.count != 1 || !operation_is_list(batch.requests[0].operation) ||
        request_check(&batch.requests[0], LIMIT_DATA_BYTES_MOST, &why) != STATUS_OK)
        return STATUS_INVALID_ARGUMENT;
    return reader ? stream_open(reader, &batch.requests[0], &open->stream, &failure) : STATUS_UNAVAILABLE;
}

static int64_t add_credit(int64_t credit_bytes, uint64_t more)
{
    int64_t most = (int64_t)LIMIT_STREAM_BYTES;
    if (more > (uint64_t)most)
        more = (uint64_t)most;
    return credit_bytes + (int64_t)more < most ? credit_bytes + (int64_t)more : most;
}

void streams_open(struct streams *streams, struct worker *worker, struct reader *reader,
                  const struct worker_message *message)
{
    int status = STATUS_NO_MEMORY;
    struct open_stream *open = calloc(1, sizeof *open);
    if (!open || !(open->arena = arena_new(4 * MIB)))
        goto refused;
    status = streams->count < LIMIT_STREAMS ? begin(open, reader, message) : STATUS_OVERLOADED;
    if (status != STATUS_OK)
        goto refused;
    open->to = message->envelope;
    open->credit_bytes = add_credit(0, message->envelope.bytes);
    open->expires_ns = clock_deadline_ns(streams->snapshot_ms);
    streams->open[streams->count++] = open;
    streams->counters.opened++;
    return;

refused:
    if (open)
        open_stream_free(open);
    streams->counters.refused++;
    worker_piece(worker, &message->envelope, 0, true, status, NULL, 0, 0);
}

static size_t find(const struct streams *streams, uint64_t ticket)
{
    size_t i = 0;
    while (i < streams->count && streams->open[i]->to.ticket != ticket)
        i++;
    return i;
}

void streams_credit(struct streams *streams, uint64_t ticket, uint64_t bytes)
{
    size_t index = find(streams, ticket);
    if (index < streams->count)
        streams->open[index]->credit_bytes = add_credit(streams->open[index]->credit_bytes, bytes);
}

void streams_cancel(struct streams *streams, uint64_t ticket)
{
    size_t index = find(streams, ticket);
    if (index == streams->count)
        return;
    remove_at(streams, index);
    streams->counters.cancelled++;
}

static void end_at(struct streams *streams, struct worker *worker, size_t index, int status)
{
    const struct open_stream *open = streams->open[index];
    worker_piece(worker, &open->to, open->piece, true, status, NULL, 0, 0);
    remove_at(streams, index);
}

static void send_piece(struct streams *streams, struct worker *worker, size_t index)
{
    struct open_stream *open = streams->open[index];
    struct reply piece = {0};
    bool last = false;
    size_t most = (size_t)open->credit_bytes < LIMIT_PIECE_BYTES ? (size_t)open->credit_bytes : LIMIT_PIECE_BYTES;
    stream_next(open->stream, most, &piece, &last, streams->piece);
    size_t size = body_replies_size(&piece, 1);
    void *body = malloc(size ? size : 1);
    if (!body) {
        end_at(streams, worker, index, STATUS_NO_MEMORY);
    } else {
        body_encode_replies(&piece, 1, body);
        worker_piece(worker, &open->to, open->piece++, last, STATUS_OK, body, size, 1);
        open->credit_bytes -= (int64_t)size;
        streams->counters.pieces++;
        streams->counters.expired += piece.status == STATUS_SNAPSHOT_EXPIRED;
        if (last)
            remove_at(streams, index);
    }
    arena_reset(streams->piece);
}

/* Who does not take what it asked for must not hold its snapshot any longer. */
static void end_expired(struct streams *streams, struct worker *worker)
{
    int64_t now_ns = clock_boot_ns();
    for (size_t i = streams->count; i-- > 0;)
        if (streams->open[i]->expires_ns <= now_ns) {
            end_at(streams, worker, i, STATUS_SNAPSHOT_EXPIRED);
            streams->counters.expired++;
        }
}

static bool has_room(const struct worker *worker)
{
    return worker_backlog_bytes(worker) < BACKLOG_BYTES_MOST;
}

/* The next stream with credit, in turn; `count` when there is none. */
static size_t choose(struct streams *streams)
{
    for (size_t i = 0; i < streams->count; i++) {
        size_t index = (streams->turn + i) % streams->count;
        if (streams->open[index]->credit_bytes > 0) {
            streams->turn = index + 1;
            return index;
        }
    }
    return streams->count;
}

void streams_serve(struct streams *streams, struct worker *worker)
{
    if (streams->count == 0)
        return;
    int64_t until_ns = clock_deadline_ns(TURN_MS);
    end_expired(streams, worker);
    while (has_room(worker)) {
        size_t index = choose(streams);
        if (index == streams->count)
            return;
        send_piece(streams, worker, index);
        if (clock_boot_ns() >= until_ns)
            return;
    }
}

int64_t streams_due_ns(const struct streams *streams, const struct worker *worker)
{
    int64_t due_ns = INT64_MAX;
    for (size_t i = 0; i < streams->count; i++) {
        if (streams->open[i]->credit_bytes > 0 && has_room(worker))
            return 0;
        if (streams->open[i]->expires_ns < due_ns)
            due_ns = streams->open[i]->expires_ns;
    }
    return due_ns;
}

size_t streams_count(const struct streams *streams)
{
    return streams->count;
}

void streams_end_all(struct streams *streams, struct worker *worker, int status)
{
    while (streams->count > 0)
        if (status == STATUS_OK)
            remove_at(streams, streams->count - 1);
        else
            end_at(streams, worker, streams->count - 1, status);
}

const struct streams_counters *streams_counters(const struct streams *streams)
{
    return &streams->counters;
}
