/*
 * route_queue.c - what waits, and who is next: round robin by client in bytes, to the worker with the least to do.
 */
#include "broker/route_state.h"
#include "proto/clock.h"
#include "proto/limits.h"

/* ---- the wheel of deadlines: only what waits is in it ---- */

static void wheel_insert(struct route *route, struct ticket *ticket)
{
    int64_t step = ticket->deadline_ns / (WHEEL_STEP_MS * NS_PER_MS) + 1;
    if (step <= route->wheel_at)
        step = route->wheel_at + 1;
    list_push_back(&route->wheel[step % WHEEL_SLOTS], &ticket->due);
}

/* ---- queues ---- */

void queue_push(struct route *route, struct ticket *ticket, bool front)
{
    struct lane_queue *queue = &ticket->client->lanes[ticket->lane];
    if (list_empty(&queue->tickets))
        list_push_back(&route->rings[ticket->lane], &queue->ring);
    if (front)
        list_push_front(&queue->tickets, &ticket->place);
    else
        list_push_back(&queue->tickets, &ticket->place);
    wheel_insert(route, ticket);
    route->queued[ticket->lane]++;
}

void queue_remove(struct route *route, struct ticket *ticket)
{
    struct lane_queue *queue = &ticket->client->lanes[ticket->lane];
    list_remove(&ticket->place);
    list_remove(&ticket->due);
    route->queued[ticket->lane]--;
    if (list_empty(&queue->tickets)) {
        list_remove(&queue->ring);
        queue->deficit = 0;
    }
}

/* The client whose turn it is; each round lets it send a quantum more.  What one sends while alone is free. */
static struct lane_queue *whose_turn(struct route *route, enum route_lane lane)
{
    struct link *ring = &route->rings[lane];
    for (;;) {
        struct lane_queue *queue = LIST_OF(ring->next, struct lane_queue, ring);
        if (ring->next == ring->previous)
            queue->deficit = QUANTUM_BYTES;
        if (queue->deficit > 0)
            return queue;
        queue->deficit += QUANTUM_BYTES;
        list_remove(&queue->ring);
        list_push_back(ring, &queue->ring);
    }
}

/* ---- workers ---- */

bool worker_is_silent(const struct worker *worker, int64_t now_ns)
{
    return now_ns - worker->heard_ns > HEARTBEAT_MISSED_MS * NS_PER_MS;
}

static bool may_work(const struct worker *worker)
{
    return worker->open && worker->ready && !worker->leaving && !worker->drained;
}

static bool is_reader_in_rotation(const struct worker *worker, int64_t now_ns)
{
    return may_work(worker) && worker->state.role == ROLE_READER && !worker_is_silent(worker, now_ns);
}

static uint32_t readers_in_rotation(const struct route *route, int64_t now_ns)
{
    uint32_t readers = 0;
    for (uint32_t i = 0, seen = 0; seen < route->open_workers; i++) {
        seen += route->workers[i].open;
        readers += is_reader_in_rotation(&route->workers[i], now_ns);
    }
    return readers ? readers : 1;
}

bool queue_has_worker(const struct route *route, enum route_lane lane, int64_t now_ns)
{
    if (lane == LANE_WRITE)
        return route->writer != NULL;
    for (uint32_t i = 0, seen = 0; seen < route->open_workers; i++) {
        seen += route->workers[i].open;
        if (is_reader_in_rotation(&route->workers[i], now_ns))
            return true;
    }
    return false;
}

static bool all_lists_taken(const struct route *route, int64_t now_ns)
{
    uint32_t readers = 0;
    for (uint32_t i = 0; i < route->limits.workers; i++) {
        const struct worker *worker = &route->workers[i];
        bool serves = is_reader_in_rotation(worker, now_ns);
        readers += serves;
        if (serves && worker->streams < LIMIT_STREAMS)
            return false;
    }
    return readers > 0;
}

/* A worker holds one group, and one message more; a suspect goes alone. */
static bool has_room(const struct route *route, const struct worker *worker, const struct ticket *ticket)
{
    if (worker->alone)
        return false;
    if (ticket->suspect && worker->messages > 0)
        return false;
    if (ticket->stream)
        return worker->streams < LIMIT_STREAMS;
    return ticket->aside ||
           (worker->outstanding < route->limits.group_requests && worker->bytes < route->limits.group_bytes);
}

static struct worker *pick_reader(const struct route *route, const struct ticket *ticket, int64_t now_ns)
{
    struct worker *best = NULL;
    for (uint32_t i = 0, seen = 0; seen < route->open_workers; i++) {
        struct worker *worker = &route->workers[i];
        seen += worker->open;
        if (!is_reader_in_rotation(worker, now_ns) || !has_room(route, worker, ticket))
            continue;
        if (!best || worker->outstanding + worker->streams < best->outstanding + best->streams)
            best = worker;
    }
    return best;
}

static struct worker *pick_worker(const struct route *route, const struct ticket *ticket, int64_t now_ns)
{
    if (ticket->lane == LANE_READ)
        return pick_reader(route, ticket, now_ns);
    return route->writer && has_room(route, route->writer, ticket) ? route->writer : NULL;
}

/* ---- sending ---- */

static void account(struct route *route, struct worker *worker, struct ticket *ticket)
{
    ticket->worker = worker;
    list_push_back(&worker->tickets, &ticket->place);
    if (ticket->aside) {
        worker->streams++;
    } else {
        worker->outstanding += ticket->count;
        worker->messages++;
        worker->bytes += ticket->bytes;
        ticket->client->lanes[ticket->lane].out_requests += ticket->count;
        ticket->client->lanes[ticket->lane].out_messages++;
    }
    if (ticket->suspect)
        worker->alone = ticket;
    if (ticket->lane == LANE_READ && !ticket->stream) {
        ticket->reserved = ticket->client->estimate;
        ticket->client->reserved += ticket->reserved;
        route->reserved_bytes += ticket->reserved;
    }
}

static void send(struct route *route, struct worker *worker, struct ticket *ticket, int64_t now_ns)
{
    account(route, worker, ticket);
    ticket->attempt++;
    ticket->sent_ns = now_ns;
    route->counters.forwarded++;
    route->counters.redispatched += ticket->attempt > 1;
    struct action *action = route_act(route, ACTION_TO_WORKER, worker->slot);
    action->body = ticket->body;
    action->bytes = ticket->bytes;
    action->envelope = (struct envelope){
        .version = ENVELOPE_VERSION,
        .type = ticket->type,
        .flags = ticket->stream ? ENVELOPE_STREAM : 0,
        .life = route->life,
        .ticket = ticket->number,
        .first = ticket->first,
        .count = ticket->count,
        .attempt = ticket->attempt,
        .deadline_ns = ticket->deadline_ns,
        .role = ticket->role,
    };
    memcpy(action->envelope.principal, ticket->principal, PRINCIPAL_BYTES);
    if (ticket->stream) {
        uint64_t wanted = ticket->credit_held;
        ticket->credit_held = 0;
        action->envelope.bytes = credit_take(ticket, wanted);
        if (action->envelope.bytes < wanted)
            credit_hold(route, ticket, wanted - action->envelope.bytes);
    }
}

static uint64_t cost_of(const struct ticket *ticket)
{
    return ticket->bytes + (uint64_t)ticket->count * REQUEST_COST_BYTES;
}

/* What waits because answers fill the memory goes on with the next release. */
static bool waits_for_memory(struct route *route, const struct ticket *ticket)
{
    bool waits = ticket->lane == LANE_READ && !ticket->stream &&
                 !route_fits_reply(route, ticket->client, ticket->client->estimate);
    route->read_blocked = route->read_blocked || waits;
    return waits;
}

/* The workers have so much of this client that others who come would wait for it longer than for their own. */
static bool has_its_share(const struct route *route, const struct lane_queue *queue, const struct ticket *ticket,
                          uint32_t workers)
{
    return !ticket->aside && queue->out_messages >= 2 * workers &&
           queue->out_requests >= route->limits.client_group_requests * workers;
}

/* A client that owes the reading of its answers, or has its share, loses its turn, not its place. */
static bool pass_over(struct route *route, enum route_lane lane, struct lane_queue *queue, uint32_t *passed)
{
    list_remove(&queue->ring);
    list_push_back(&route->rings[lane], &queue->ring);
    return ++*passed > route->open_clients;
}

/* Under a load that fills the queues what comes out of them has hardly any time left. A worker would only give it up, and
 * hold up what it could still do; so it is refused here, while the worker has something else. */
static bool comes_too_late(const struct route *route, const struct worker *worker, const struct ticket *ticket,
                           int64_t now_ns)
{
    int64_t most_ns = (ticket->deadline_ns - ticket->arrived_ns) / 4, needs_ns = route->turnaround_ns[ticket->lane];
    return ticket->attempt == 0 && !ticket->aside && worker->messages > 0 &&
           ticket->deadline_ns - now_ns < (needs_ns < most_ns ? needs_ns : most_ns);
}

void queue_dispatch(struct route *route, enum route_lane lane, int64_t now_ns)
{
    uint32_t passed = 0, workers = lane == LANE_READ ? readers_in_rotation(route, now_ns) : 1;
    if (lane == LANE_READ)
        route->read_blocked = false;
    while (!list_empty(&route->rings[lane])) {
        struct lane_queue *queue = whose_turn(route, lane);
        struct ticket *ticket = LIST_OF(queue->tickets.next, struct ticket, place);
        if (ticket->deadline_ns <= now_ns) {
            ticket_end(route, ticket, STATUS_DEADLINE_EXCEEDED);
            continue;
        }
        if (waits_for_memory(route, ticket) || has_its_share(route, queue, ticket, workers)) {
            if (pass_over(route, lane, queue, &passed))
                return;
            continue;
        }
        struct worker *worker = pick_worker(route, ticket, now_ns);
        if (!worker && ticket->stream && all_lists_taken(route, now_ns)) {
            ticket_end(route, ticket, STATUS_OVERLOADED);
            continue;
        }
        if (!worker)
            return;
        if (comes_too_late(route, worker, ticket, now_ns)) {
            ticket_end(route, ticket, STATUS_OVERLOADED);
            continue;
        }
        int64_t cost = (int64_t)cost_of(ticket);
        queue_remove(route, ticket);
        queue->deficit = list_empty(&queue->tickets) ? 0 : queue->deficit - cost;
        send(route, worker, ticket, now_ns);
    }
}
