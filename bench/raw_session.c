/*
 * raw_session.c - a go-back-N session, as plainly as the protocol allows.
 */
#include "bench/raw_session.h"

#include "proto/clock.h"

#include <assert.h>
#include <stdlib.h>

enum { RUN_BYTES = 48 * 1024, RETRIES_MOST = 1000, RETRY_MS = 5, ENVELOPE_OF_REQUEST_BYTES = 96 };

static struct raw_slot *slot_of(struct raw *raw, uint64_t number)
{
    return &raw->slots[number % LIMIT_SESSION_WINDOW];
}

/* ---- lines ---- */

void raw_line_push(struct raw_line *line, struct task *operation)
{
    assert(line->count < line->room);
    line->operations[(line->first + line->count++) % line->room] = operation;
}

struct task *raw_line_at(const struct raw_line *line, size_t index)
{
    return line->operations[(line->first + index) % line->room];
}

void raw_line_drop(struct raw_line *line, size_t count)
{
    line->first = (line->first + count) % line->room;
    line->count -= count;
}

/* ---- messages ---- */

static struct span span_of(stigstore_bytes bytes)
{
    return (struct span){bytes.data, bytes.size};
}

/* Of the public header as one of the wire; what loads do not use is left out. */
static struct request wire_request(const stigstore_request *request, int64_t deadline_ns)
{
    return (struct request){.operation = request->operation,
                            .condition = request->condition,
                            .flags = request->flags,
                            .limit = request->limit,
                            .kind = span_of(request->kind),
                            .id = span_of(request->id),
                            .data = span_of(request->data),
                            .hash = span_of(request->hash),
                            .tag = span_of(request->tag),
                            .after = span_of(request->after),
                            .if_revision = request->if_revision,
                            .deadline_ns = deadline_ns};
}

bool raw_send_requests(struct raw *raw, struct envelope *envelope, const struct session_header *session,
                       struct task *const *operations, size_t count, size_t *bytes)
{
    arena_reset(raw->arena);
    struct request *requests = arena_calloc(raw->arena, count, sizeof(*requests));
    for (size_t i = 0; requests && i < count; i++)
        requests[i] = wire_request(&operations[i]->request, envelope->deadline_ns);
    *bytes = requests ? body_requests_size(session, requests, count, envelope->deadline_ns) : 0;
    void *body = requests ? arena_alloc(raw->arena, *bytes) : NULL;
    if (!body)
        return false;
    body_encode_requests(session, requests, count, envelope->deadline_ns, body);
    envelope->count = (uint32_t)count;
    if (!raw_link_send(raw->link, envelope, body, *bytes))
        return false;
    raw->in_flight_bytes += *bytes;
    return true;
}

static size_t weight(const struct task *operation)
{
    return operation->request.data.size + ENVELOPE_OF_REQUEST_BYTES;
}

size_t raw_run(const struct raw *raw, const struct raw_line *line, size_t *bytes)
{
    size_t count = 0;
    *bytes = 0;
    while (count < line->count && count < raw->batch) {
        size_t more = weight(raw_line_at(line, count));
        if (count && *bytes + more > RUN_BYTES)
            break;
        *bytes += more;
        count++;
    }
    return count;
}

bool raw_has_room(const struct raw *raw, size_t bytes)
{
    return raw->in_flight_bytes == 0 ||
           raw->in_flight_bytes + bytes <= raw_link_hello(raw->link)->client_in_flight_bytes;
}

/* ---- the session ---- */

void raw_session_begin(struct raw *raw)
{
    const struct hello *hello = raw_link_hello(raw->link);
    random_bytes(raw->session.id, sizeof(raw->session.id));
    memcpy(raw->session.incarnation, hello->incarnation, sizeof(raw->session.incarnation));
    raw->session.counter = hello->session_counter;
    raw->session.floor = 1;
    raw->next_write = 1;
}

bool raw_session_is_idle(const struct raw *raw)
{
    return raw->session.floor == raw->next_write && raw->writes.count == 0;
}

/* A body over the limit needs leave first; false: it is not here yet. */
static bool has_leave(struct raw *raw, size_t bytes)
{
    const struct hello *hello = raw_link_hello(raw->link);
    if (bytes <= hello->uncredited_bytes - KIB || raw->credit_bytes >= bytes)
        return true;
    if (!raw->credit_asked) {
        struct envelope envelope = envelope_make(MESSAGE_CREDIT, clock_deadline_ns(raw->timeout_ms));
        envelope.first = raw->next_write;
        envelope.bytes = bytes;
        raw->credit_asked = raw_link_send(raw->link, &envelope, NULL, 0);
        raw->credit_bytes = 0;
    }
    return false;
}

static bool send_run(struct raw *raw, uint64_t first, struct task *const *operations, size_t count)
{
    struct envelope envelope = envelope_make(MESSAGE_WRITE, clock_deadline_ns(raw->timeout_ms));
    size_t bytes = 0;
    envelope.first = first;
    if (!raw_send_requests(raw, &envelope, &raw->session, operations, count, &bytes)) {
        raw->broken = true;
        return false;
    }
    raw->unanswered++;
    slot_of(raw, first)->message_count = (uint32_t)count;
    slot_of(raw, first)->message_bytes = bytes;
    if (bytes > raw_link_hello(raw->link)->uncredited_bytes)
        raw->credit_bytes = 0;
    return true;
}

/* All that is not settled, in order; one message each, so that large ones find room as they come. */
static void send_again(struct raw *raw)
{
    for (uint64_t number = raw->session.floor; number < raw->next_write; number++) {
        struct task *operation = slot_of(raw, number)->operation;
        if (operation && !send_run(raw, number, &operation, 1))
            return;
    }
    raw->again = false;
}

void raw_session_send(struct raw *raw)
{
    struct task *operations[BENCH_MOST_BATCH];
    if (raw->again) {
        size_t bytes =
            raw->session.floor < raw->next_write ? weight(slot_of(raw, raw->session.floor)->operation) + KIB : 0;
        if (raw->unanswered == 0 && bench_now_ns() >= raw->hold_ns && has_leave(raw, bytes))
            send_again(raw);
        return;
    }
    while (raw->writes.count && !raw->broken && bench_now_ns() >= raw->hold_ns) {
        size_t bytes = 0, count = raw_run(raw, &raw->writes, &bytes);
        bool fits = raw->next_write + count - raw->session.floor < LIMIT_SESSION_WINDOW;
        if (!fits || !raw_has_room(raw, bytes) || !has_leave(raw, bytes))
            return;
        uint64_t first = raw->next_write;
        for (size_t i = 0; i < count; i++) {
            operations[i] = raw_line_at(&raw->writes, i);
            *slot_of(raw, first + i) = (struct raw_slot){.operation = operations[i]};
        }
        raw_line_drop(&raw->writes, count);
        raw->next_write += count;
        send_run(raw, first, operations, count);
    }
}

static bool is_for_later(int status)
{
    return status == STATUS_OUT_OF_ORDER || status == STATUS_OVERLOADED || status == STATUS_UNAVAILABLE ||
           status == STATUS_DEADLINE_EXCEEDED || status == STATUS_STORAGE_FULL || status == STATUS_NO_MEMORY;
}

static void settle(struct worker *worker, struct raw *raw, uint64_t number, const struct outcome *outcome)
{
    struct task *operation = slot_of(raw, number)->operation;
    slot_of(raw, number)->operation = NULL;
    while (raw->session.floor < raw->next_write && !slot_of(raw, raw->session.floor)->operation)
        raw->session.floor++;
    raw->retries = 0;
    if (!worker_answered(worker, operation, outcome)) /* a condition did not hold: read again */
        worker->way->start(worker, operation);
}

static void take_outcome(struct worker *worker, struct raw *raw, uint64_t number, int status, const struct reply *reply)
{
    if (number < raw->session.floor || number >= raw->next_write || !slot_of(raw, number)->operation)
        return; /* settled by an earlier copy */
    if (status_is_deterministic(status)) {
        struct outcome outcome = {.status = status};
        if (reply) {
            outcome = (struct outcome){
                .status = status, .flags = reply->flags, .revision = reply->revision, .count = reply->count};
        }
        settle(worker, raw, number, &outcome);
        return;
    }
    raw->again = true;
    if (!is_for_later(status) || ++raw->retries > RETRIES_MOST) {
        raw->broken = true;
        worker_complain(worker, "%s: %s", status_name(status), status_text(status));
    }
}

void raw_session_reply(struct worker *worker, struct raw *raw, const struct envelope *envelope,
                       const struct reply *replies, size_t count)
{
    uint64_t first = envelope->first;
    if (first < raw->session.floor && first + LIMIT_SESSION_WINDOW <= raw->next_write)
        return;
    struct raw_slot *slot = slot_of(raw, first);
    raw->unanswered -= raw->unanswered > 0;
    raw->in_flight_bytes -= slot->message_bytes < raw->in_flight_bytes ? slot->message_bytes : raw->in_flight_bytes;
    uint32_t retry_after_ms = envelope->retry_after_ms, sent = slot->message_count;
    slot->message_bytes = 0;
    if (envelope->status != STATUS_OK)
        for (uint32_t i = 0; i < sent; i++)
            take_outcome(worker, raw, first + i, envelope->status, NULL);
    for (size_t i = 0; envelope->status == STATUS_OK && i < count; i++) {
        take_outcome(worker, raw, first + i, replies[i].status, &replies[i]);
        retry_after_ms = replies[i].retry_after_ms > retry_after_ms ? replies[i].retry_after_ms : retry_after_ms;
    }
    if (raw->again)
        raw->hold_ns = bench_now_ns() + (retry_after_ms ? retry_after_ms : RETRY_MS) * NS_PER_MS;
}

void raw_session_welcome(struct raw *raw)
{
    raw->unanswered = 0;
    raw->in_flight_bytes = 0;
    raw->credit_asked = false;
    raw->credit_bytes = 0;
    raw->again = raw->session.floor < raw->next_write;
}

void raw_session_credit(struct raw *raw, const struct envelope *envelope)
{
    raw->credit_asked = false;
    raw->credit_bytes = envelope->status == STATUS_OK ? envelope->bytes : 0;
    if (envelope->status != STATUS_OK)
        raw->hold_ns = bench_now_ns() + RETRY_MS * NS_PER_MS;
}
