/*
 * way_raw.c - frames of our own to the broker: what the store does for a client that has only the protocol's page.
 */
#include "bench/raw_session.h"

#include "proto/clock.h"

#include <stdlib.h>

enum { SILENCE_S = 30 };

/* ---- reads ---- */

static struct raw_read *read_of(const struct raw *raw, uint64_t number)
{
    struct raw_read *read = &raw->open_reads[number % raw->open_room];
    return read->number == number ? read : NULL;
}

/* A free place, by a number that leads to it. */
static struct raw_read *open_read(struct raw *raw)
{
    for (size_t i = 0; i < raw->open_room; i++, raw->next_read++) {
        struct raw_read *read = &raw->open_reads[raw->next_read % raw->open_room];
        if (read->number == 0) {
            read->number = raw->next_read++;
            return read;
        }
    }
    return NULL;
}

static void send_reads(struct raw *raw)
{
    while (raw->reads.count && !raw->broken && bench_now_ns() >= raw->hold_ns) {
        size_t bytes = 0, count = raw_run(raw, &raw->reads, &bytes);
        struct task *oldest = raw_line_at(&raw->reads, 0);
        struct raw_read *read = raw_has_room(raw, bytes) ? open_read(raw) : NULL;
        if (!read)
            return;
        struct envelope envelope = envelope_make(MESSAGE_READ, clock_deadline_ns(raw->timeout_ms));
        envelope.first = read->number;
        if (oldest->streams) {
            count = 1;
            envelope.flags = ENVELOPE_STREAM;
            envelope.bytes = LIMIT_STREAM_BYTES;
        }
        for (size_t i = 0; i < count; i++)
            read->operations[i] = raw_line_at(&raw->reads, i);
        read->count = (unsigned)count;
        raw_line_drop(&raw->reads, count);
        if (!raw_send_requests(raw, &envelope, NULL, read->operations, count, &read->bytes))
            raw->broken = true;
    }
}

static void close_read(struct raw *raw, struct raw_read *read)
{
    raw->in_flight_bytes -= read->bytes < raw->in_flight_bytes ? read->bytes : raw->in_flight_bytes;
    read->number = 0;
}

static void hand_items(struct worker *worker, struct task *operation, const struct reply *reply)
{
    for (size_t i = 0; i < reply->item_count; i++) {
        const struct item *item = &reply->items[i];
        const stigstore_item same = {
            .kind = {item->kind.data, item->kind.size},
            .id = {item->id.data, item->id.size},
            .data = {item->data.data, item->data.size},
            .hash = {item->hash.data, item->hash.size},
            .tag = {item->tag.data, item->tag.size},
            .revision = item->revision,
            .created_ms = item->created_ms,
            .updated_ms = item->updated_ms,
            .data_bytes = item->data_bytes,
            .status = item->status,
        };
        operation_items(worker, operation, &same, 1);
    }
}

static void answer_read(struct worker *worker, struct raw *raw, struct task *operation, int status,
                        const struct reply *reply, uint32_t retry_after_ms)
{
    if (status == STATUS_OVERLOADED || status == STATUS_UNAVAILABLE || status == STATUS_NOT_READ) {
        raw->hold_ns = bench_now_ns() + retry_after_ms * NS_PER_MS;
        raw_line_push(&raw->reads, operation);
        return;
    }
    struct outcome outcome = {.status = status};
    if (reply) {
        outcome.revision = reply->revision;
        hand_items(worker, operation, reply);
    }
    if (!worker_answered(worker, operation, &outcome))
        worker->way->start(worker, operation);
}

static void take_read_reply(struct worker *worker, struct raw *raw, const struct envelope *envelope,
                            const struct reply *replies, size_t count)
{
    struct raw_read *read = read_of(raw, envelope->first);
    if (!read)
        return;
    close_read(raw, read);
    for (unsigned i = 0; i < read->count; i++) {
        bool has_one = envelope->status == STATUS_OK && i < count;
        int status = has_one ? replies[i].status : envelope->status ? envelope->status : STATUS_INTERNAL;
        uint32_t retry_after_ms = has_one ? replies[i].retry_after_ms : envelope->retry_after_ms;
        answer_read(worker, raw, read->operations[i], status, has_one ? &replies[i] : NULL, retry_after_ms);
    }
}

static void take_piece(struct worker *worker, struct raw *raw, const struct envelope *envelope, size_t body_bytes,
                       const struct reply *replies, size_t count)
{
    struct raw_read *read = read_of(raw, envelope->first);
    const struct reply *reply = count ? &replies[0] : NULL;
    if (!read)
        return;
    if (envelope->flags & ENVELOPE_LAST) {
        close_read(raw, read);
        int status = envelope->status ? envelope->status : reply ? reply->status : STATUS_INTERNAL;
        answer_read(worker, raw, read->operations[0], status, reply, envelope->retry_after_ms);
        return;
    }
    if (reply)
        hand_items(worker, read->operations[0], reply);
    struct envelope credit = envelope_make(MESSAGE_CREDIT, clock_deadline_ns(raw->timeout_ms));
    credit.first = envelope->first;
    credit.flags = ENVELOPE_STREAM;
    credit.bytes = body_bytes;
    raw->broken = raw->broken || !raw_link_send(raw->link, &credit, NULL, 0);
}

/* ---- messages ---- */

static void take_welcome(struct raw *raw)
{
    raw_session_welcome(raw);
    for (size_t i = 0; i < raw->open_room; i++) {
        struct raw_read *read = &raw->open_reads[i];
        for (unsigned j = 0; read->number && j < read->count; j++) {
            read->operations[j]->rows = 0;
            raw_line_push(&raw->reads, read->operations[j]);
        }
        read->number = 0;
    }
}

static void take_message(struct worker *worker, struct raw *raw, const struct envelope *envelope, zmq_msg_t *body)
{
    const struct reply *replies = NULL;
    size_t count = 0, bytes = zmq_msg_size(body);
    bool has_replies = (envelope->type == MESSAGE_REPLY || envelope->type == MESSAGE_STREAM) && bytes > 0;
    arena_reset(raw->arena);
    if (has_replies && body_decode_replies(zmq_msg_data(body), bytes, raw->arena, &replies, &count) != STATUS_OK) {
        raw->broken = true;
        worker_complain(worker, "an answer could not be decoded");
        return;
    }
    if (envelope->type == MESSAGE_HELLO && (envelope->flags & ENVELOPE_WELCOME))
        take_welcome(raw);
    else if (envelope->type == MESSAGE_CREDIT)
        raw_session_credit(raw, envelope);
    else if (envelope->type == MESSAGE_STREAM)
        take_piece(worker, raw, envelope, bytes, replies, count);
    else if (envelope->type == MESSAGE_REPLY && (envelope->flags & ENVELOPE_WRITE))
        raw_session_reply(worker, raw, envelope, replies, count);
    else if (envelope->type == MESSAGE_REPLY)
        take_read_reply(worker, raw, envelope, replies, count);
}

/* Nobody answers any more: what is under way may have been done. */
static void give_up(struct worker *worker, struct raw *raw)
{
    const struct outcome lost = {.status = STIGSTORE_DEADLINE_EXCEEDED};
    worker_complain(worker, "the connection to the broker is of no use any more");
    worker->over = true;
    for (unsigned i = 0; i < worker->window; i++) {
        bool is_free = false;
        for (unsigned j = 0; j < worker->free_count; j++)
            is_free = is_free || worker->free[j] == &worker->operations[i];
        if (!is_free)
            worker_answered(worker, &worker->operations[i], &lost);
    }
    raw->writes.count = raw->reads.count = 0;
    raw->session.floor = raw->next_write;
}

/* ---- the way ---- */

static void raw_free(struct raw **self)
{
    struct raw *raw = *self;
    if (!raw)
        return;
    raw_link_free(&raw->link);
    arena_free(&raw->arena);
    for (size_t i = 0; raw->open_reads && i < raw->open_room; i++)
        free(raw->open_reads[i].operations);
    free(raw->open_reads);
    free(raw->reads.operations);
    free(raw->writes.operations);
    free(raw);
    *self = NULL;
}

static bool has_memory(struct raw *raw, size_t window)
{
    raw->arena = arena_new(0);
    raw->open_room = window;
    raw->open_reads = calloc(window, sizeof(*raw->open_reads));
    raw->reads = (struct raw_line){.operations = calloc(window, sizeof(struct task *)), .room = window};
    raw->writes = (struct raw_line){.operations = calloc(window, sizeof(struct task *)), .room = window};
    for (size_t i = 0; raw->open_reads && i < window; i++) {
        raw->open_reads[i].operations = calloc(raw->batch, sizeof(struct task *));
        if (!raw->open_reads[i].operations)
            return false;
    }
    return raw->arena && raw->open_reads && raw->reads.operations && raw->writes.operations;
}

static bool raw_open(struct worker *worker)
{
    const struct bench_options *options = &worker->bench->options;
    char why[160] = "no memory";
    struct raw *raw = calloc(1, sizeof(*raw));
    if (raw) {
        raw->batch = options->batch;
        raw->timeout_ms = options->timeout_ms;
        raw->next_read = 1;
        raw->heard_ns = bench_now_ns();
    }
    if (raw && has_memory(raw, worker->window)) {
        raw->link =
            raw_link_new(options->url, options->server_key, options->key_file, options->timeout_ms, why, sizeof(why));
    }
    if (!raw || !raw->link) {
        worker_complain(worker, "%s", why);
        raw_free(&raw);
        return false;
    }
    raw_session_begin(raw);
    worker->state = raw;
    return true;
}

static void raw_start(struct worker *worker, struct task *operation)
{
    struct raw *raw = worker->state;
    bool is_write = operation_is_write(operation->request.operation);
    if (raw->broken) {
        const struct outcome lost = {.status = STIGSTORE_UNAVAILABLE};
        worker_answered(worker, operation, &lost);
        return;
    }
    raw_line_push(is_write ? &raw->writes : &raw->reads, operation);
}

static void raw_wait(struct worker *worker, int64_t until_ns)
{
    struct raw *raw = worker->state;
    struct envelope envelope;
    zmq_msg_t body;
    raw_session_send(raw);
    send_reads(raw);
    if (raw->hold_ns > bench_now_ns() && raw->hold_ns < until_ns)
        until_ns = raw->hold_ns;
    if (!raw->broken)
        raw_link_wait(raw->link, until_ns);
    while (!raw->broken && raw_link_receive(raw->link, &envelope, &body)) {
        raw->heard_ns = bench_now_ns();
        take_message(worker, raw, &envelope, &body);
        zmq_msg_close(&body);
    }
    if (raw->broken || bench_now_ns() - raw->heard_ns > SILENCE_S * NS_PER_S)
        give_up(worker, raw);
}

/* The last number: a session that is closed keeps no memory in the writer. */
static void raw_close(struct worker *worker)
{
    struct raw *raw = worker->state;
    if (!raw->broken && raw_session_is_idle(raw)) {
        struct task last = {.request = {.operation = OPERATION_CLOSE_SESSION}}, *operation = &last;
        struct envelope envelope = envelope_make(MESSAGE_WRITE, clock_deadline_ns(raw->timeout_ms));
        size_t bytes = 0;
        envelope.first = raw->next_write;
        raw_send_requests(raw, &envelope, &raw->session, &operation, 1, &bytes);
    }
    raw_free(&raw);
    worker->state = NULL;
}

const struct way way_raw = {raw_open, raw_start, raw_wait, raw_close};
