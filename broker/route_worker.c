/*
 * route_worker.c - what workers say, and what becomes of their work when they go.
 */
#include "broker/route_state.h"
#include "proto/clock.h"

#include <assert.h>
#include <stdlib.h>

static struct worker *worker_at(struct route *route, uint32_t slot)
{
    assert(slot < route->limits.workers && route->workers[slot].open);
    return &route->workers[slot];
}

void route_worker_open(struct route *route, uint32_t slot, int64_t now_ns)
{
    assert(slot < route->limits.workers && !route->workers[slot].open);
    struct worker *worker = &route->workers[slot];
    *worker = (struct worker){.open = true, .slot = slot, .serial = ++route->worker_serial, .heard_ns = now_ns};
    list_init(&worker->tickets);
    route->open_workers++;
}

void route_worker_probe(struct route *route, uint32_t slot)
{
    worker_at(route, slot);
    route_act(route, ACTION_HELLO_WORKER, slot)->envelope.flags = ENVELOPE_WELCOME;
}

void route_worker_malformed(struct route *route, uint32_t slot)
{
    worker_at(route, slot);
    route->counters.malformed++;
}

/* ---- the writer, and what HELLO says of it ---- */

static struct worker *highest_writer(struct route *route)
{
    struct worker *best = NULL;
    for (uint32_t i = 0; i < route->limits.workers; i++) {
        struct worker *worker = &route->workers[i];
        bool serves = worker->open && worker->ready && !worker->leaving && worker->state.role == ROLE_WRITER;
        if (serves && (!best || worker->state.epoch > best->state.epoch))
            best = worker;
    }
    return best;
}

static void copy_path(struct route *route, const char *path)
{
    size_t length = path ? strnlen(path, sizeof route->hello_path - 1) : 0;
    if (length > 0)
        memcpy(route->hello_path, path, length);
    route->hello_path[length] = '\0';
}

/* The broker cannot let in more than it was started for. */
static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void describe_store(struct route *route, const struct worker *writer)
{
    struct hello *hello = &route->hello;
    if (!writer) {
        hello->writer_epoch = 0;
        return;
    }
    const struct worker_state *state = &writer->state;
    hello->writer_epoch = state->epoch;
    hello->session_counter = state->session_counter;
    hello->revision = state->revision;
    hello->device = state->device;
    hello->inode = state->inode;
    hello->pid = state->pid;
    memcpy(hello->boot_id, state->boot_id, sizeof hello->boot_id);
    memcpy(hello->incarnation, state->incarnation, sizeof hello->incarnation);
    hello->max_data_bytes = route->limits.max_data_bytes;
    if (state->max_data_bytes > 0)
        hello->max_data_bytes = smaller(state->max_data_bytes, route->limits.max_data_bytes);
    if (state->snapshot_ms > 0)
        hello->snapshot_ms = state->snapshot_ms;
    copy_path(route, writer->path);
}

/* Revisions move all the time and are no news. */
static bool is_news(const struct hello *before, const struct hello *after)
{
    return before->writer_epoch != after->writer_epoch || before->max_data_bytes != after->max_data_bytes ||
           before->snapshot_ms != after->snapshot_ms || before->device != after->device ||
           before->inode != after->inode ||
           memcmp(before->incarnation, after->incarnation, sizeof before->incarnation) != 0;
}

static void choose_writer(struct route *route, int64_t now_ns)
{
    struct hello before = route->hello;
    if (route->writer)
        route->worker_seen_ns[LANE_WRITE] = now_ns;
    route->writer = highest_writer(route);
    describe_store(route, route->writer);
    if (is_news(&before, &route->hello))
        route_say_hello(route);
}

/* ---- death ---- */

/* Back to the head of its client's queue; called from the last to the first, so that the order is the old one. */
static void put_back(struct route *route, struct ticket *ticket, bool died, bool was_alone)
{
    uint64_t credit = ticket->credit_out > 0 ? (uint64_t)ticket->credit_out : 0;
    ticket->suspect = ticket->suspect || died;
    ticket->deaths_alone = (uint8_t)(ticket->deaths_alone + (died && was_alone));
    if (ticket->deaths_alone >= DEATHS_ALONE) {
        ticket_end(route, ticket, STATUS_INTERNAL);
        return;
    }
    ticket_leave_worker(route, ticket);
    ticket->credit_held += credit;
    queue_push(route, ticket, true);
}

/* A list that has delivered cannot begin again, and a backup is asked for anew. */
static void give_back(struct route *route, struct ticket *ticket, bool died, bool was_alone)
{
    if (!ticket->client)
        ticket_close(route, ticket);
    else if (ticket->pieces > 0)
        ticket_end(route, ticket, STATUS_SNAPSHOT_EXPIRED);
    else if (ticket->type == MESSAGE_CONTROL)
        ticket_end(route, ticket, STATUS_UNAVAILABLE);
    else
        put_back(route, ticket, died, was_alone);
}

static void take_work_back(struct route *route, struct worker *worker, bool died)
{
    bool was_alone = worker->messages + worker->streams == 1;
    while (!list_empty(&worker->tickets))
        give_back(route, LIST_OF(worker->tickets.previous, struct ticket, place), died, was_alone);
}

static void retire(struct route *route, struct worker *worker, bool died, int64_t now_ns)
{
    worker->ready = false;
    worker->leaving = true;
    if (died && !list_empty(&worker->tickets))
        route->counters.worker_deaths++;
    take_work_back(route, worker, died);
    choose_writer(route, now_ns);
    queue_dispatch(route, LANE_READ, now_ns);
    queue_dispatch(route, LANE_WRITE, now_ns);
}

void route_worker_gone(struct route *route, uint32_t slot, int64_t now_ns)
{
    struct worker *worker = worker_at(route, slot);
    retire(route, worker, true, now_ns);
    free(worker->path);
    free(worker->status);
    worker->path = worker->status = NULL;
    worker->open = false;
    route->open_workers--;
}

/* ---- READY and HEARTBEAT ---- */

/* Keeps the old text when there is no memory for the new one. */
static void copy_text(char **to, struct span text)
{
    char *copy = span_string(text);
    if (copy) {
        free(*to);
        *to = copy;
    }
}

/* A worker that is here by a newer connection is not at the end of an older one; a writer of a lower epoch than the
 * new one has lost the lock. */
static void retire_replaced(struct route *route, const struct worker *by, int64_t now_ns)
{
    for (uint32_t i = 0; i < route->limits.workers; i++) {
        struct worker *worker = &route->workers[i];
        if (worker == by || !worker->open)
            continue;
        if (by->state.role == ROLE_WRITER && by->state.epoch > worker->superseded)
            worker->superseded = by->state.epoch; /* its READY may still be on its way */
        if (!worker->ready)
            continue;
        bool same = worker->state.life == by->state.life;
        bool superseded =
            by->state.role == ROLE_WRITER && worker->state.role == ROLE_WRITER && worker->state.epoch < by->state.epoch;
        if (same || superseded)
            retire(route, worker, true, now_ns);
    }
}

/* Its READY lay behind what came since: a later writer, or this same worker by a newer connection. */
static bool is_too_late(const struct route *route, const struct worker *worker)
{
    if (worker->state.role == ROLE_WRITER && worker->state.epoch < worker->superseded)
        return true;
    for (uint32_t i = 0; i < route->limits.workers; i++) {
        const struct worker *other = &route->workers[i];
        if (other->open && other->ready && other->state.life == worker->state.life && other->serial > worker->serial)
            return true;
    }
    return false;
}

void route_worker_state(struct route *route, uint32_t slot, bool ready, const struct worker_state *state,
                        int64_t now_ns)
{
    struct worker *worker = worker_at(route, slot);
    worker->heard_ns = now_ns;
    bool reborn = worker->ready && worker->state.life != state->life;
    if (state->role != ROLE_READER && state->role != ROLE_WRITER) {
        route->counters.malformed++;
        return;
    }
    if (reborn)
        retire(route, worker, true, now_ns);
    worker->state = *state;
    worker->state.path = worker->state.status = (struct span){0};
    copy_text(&worker->path, state->path);
    copy_text(&worker->status, state->status);
    if (ready) {
        bool too_late = is_too_late(route, worker);
        worker->ready = true;
        worker->leaving = worker->drained || too_late;
        if (!too_late)
            retire_replaced(route, worker, now_ns);
    }
    choose_writer(route, now_ns);
    queue_dispatch(route, LANE_READ, now_ns);
    queue_dispatch(route, LANE_WRITE, now_ns);
}

/* ---- answers ---- */

static void learn(struct client *client, enum route_lane lane, uint64_t bytes)
{
    struct lane_queue *queue = &client->lanes[lane];
    if (!list_empty(&queue->tickets))
        queue->deficit -= (int64_t)bytes;
    uint64_t faded = client->estimate - client->estimate / 8;
    client->estimate = bytes > faded ? bytes : faded;
}

/* An answer to a read that does not fit into memory is asked for again; one of the writer always is let through. */
static bool is_too_much(struct route *route, const struct ticket *ticket, uint64_t bytes)
{
    const struct client *client = ticket->client;
    bool beside_others = client->owed_bytes > 0;
    uint64_t own = client->owed_bytes + bytes, all = route->reply_bytes + bytes;
    return ticket->lane == LANE_READ && beside_others &&
           (own > 2 * route->limits.client_reply_bytes || all > 2 * route->limits.reply_bytes);
}

/* Of several messages in flight that begin with the same number, `count` tells which of them was answered. */
static struct envelope answer_of(const struct ticket *ticket, const struct envelope *from)
{
    return (struct envelope){
        .type = ticket->stream ? MESSAGE_STREAM : MESSAGE_REPLY,
        .flags = (uint16_t)(ticket->type == MESSAGE_WRITE ? ENVELOPE_WRITE : 0),
        .first = ticket->first,
        .count = ticket->type == MESSAGE_WRITE ? ticket->count : from->count,
        .attempt = ticket->attempt, /* above 1: an earlier worker may have done it */
        .status = from->status,
        .retry_after_ms = from->retry_after_ms,
        .deadline_ns = ticket->deadline_ns,
        .piece = ticket->pieces,
    };
}

static void finish(struct route *route, struct ticket *ticket, const struct envelope *envelope, void *body,
                   uint64_t bytes, int64_t now_ns)
{
    struct client *client = ticket->client;
    struct envelope answer = answer_of(ticket, envelope);
    if (ticket->stream)
        answer.flags = ENVELOPE_LAST;
    else
        learn(client, ticket->lane, bytes);
    histogram_add(&route->latency[ticket->lane], now_ns - ticket->arrived_ns, now_ns);
    if (!ticket->aside)
        route->turnaround_ns[ticket->lane] += (now_ns - ticket->sent_ns - route->turnaround_ns[ticket->lane]) / 16;
    route->counters.replied++;
    ticket_close(route, ticket);
    route_to_client(route, client, &answer, body, bytes);
}

static void take_piece(struct route *route, struct ticket *ticket, const struct envelope *envelope, void *body,
                       uint64_t bytes)
{
    struct client *client = ticket->client;
    struct envelope answer = answer_of(ticket, envelope);
    ticket->pieces++;
    ticket->credit_out -= (int64_t)bytes;
    client->stream_credit -= (int64_t)bytes;
    if (ticket->worker->alone == ticket)
        ticket->worker->alone = NULL;
    route_to_client(route, client, &answer, body, bytes);
    credit_pump_streams(route, client);
}

static void take_answer(struct route *route, struct ticket *ticket, const struct envelope *envelope, void *body,
                        uint64_t bytes, int64_t now_ns)
{
    bool last = envelope->type == MESSAGE_REPLY || (envelope->flags & ENVELOPE_LAST);
    if (!ticket->client) {
        route->counters.dropped_gone += last;
        route_release(route, body);
        if (last)
            ticket_close(route, ticket);
        return;
    }
    if (is_too_much(route, ticket, bytes)) {
        route_release(route, body);
        if (last)
            ticket_end(route, ticket, STATUS_OVERLOADED);
        else
            ticket_give_up(route, ticket, STATUS_OVERLOADED);
        return;
    }
    if (last)
        finish(route, ticket, envelope, body, bytes, now_ns);
    else
        take_piece(route, ticket, envelope, body, bytes);
}

static struct ticket *ticket_answered(struct route *route, const struct worker *worker, const struct envelope *envelope)
{
    struct ticket *ticket = envelope->life == route->life ? ticket_find(route, envelope->ticket) : NULL;
    bool mine = ticket && ticket->worker == worker && ticket->attempt == envelope->attempt;
    bool piece_of_reply = mine && envelope->type == MESSAGE_STREAM && !ticket->stream;
    return mine && !piece_of_reply ? ticket : NULL;
}

void route_worker_message(struct route *route, uint32_t slot, const struct envelope *envelope, void *body,
                          uint64_t bytes, int64_t now_ns)
{
    struct worker *worker = worker_at(route, slot);
    worker->heard_ns = now_ns;
    if (envelope->type == MESSAGE_GOODBYE) {
        route_release(route, body);
        retire(route, worker, false, now_ns);
        return;
    }
    if (envelope->type != MESSAGE_REPLY && envelope->type != MESSAGE_STREAM) {
        route->counters.malformed++;
        route_release(route, body);
        return;
    }
    struct ticket *ticket = ticket_answered(route, worker, envelope);
    if (!ticket) {
        route->counters.dropped_late++;
        route_release(route, body);
        return;
    }
    enum route_lane lane = ticket->lane;
    take_answer(route, ticket, envelope, body, bytes, now_ns);
    queue_dispatch(route, lane, now_ns);
    if (!list_empty(&route->wanting))
        credit_pump(route, now_ns);
}

bool route_view_worker(const struct route *route, uint32_t slot, int64_t now_ns, struct route_worker_view *view)
{
    const struct worker *worker = &route->workers[slot];
    if (slot >= route->limits.workers || !worker->open)
        return false;
    *view = (struct route_worker_view){
        .role = worker->state.role,
        .state = worker->leaving                    ? "leaving"
                 : !worker->ready                   ? "connected"
                 : worker_is_silent(worker, now_ns) ? "silent"
                                                    : "ready",
        .life = worker->state.life,
        .epoch = worker->state.epoch,
        .pid = worker->state.pid,
        .outstanding = worker->outstanding,
        .messages = worker->messages,
        .streams = worker->streams,
        .outstanding_bytes = worker->bytes,
        .heard_ns = worker->heard_ns,
        .status = span_text(worker->status),
    };
    return true;
}
