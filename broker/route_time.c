/*
 * route_time.c - what happens because time passes: expiry, missing workers, stalled clients, drain.
 */
#include "broker/route_state.h"
#include "proto/clock.h"

#define TICK_NS       NS_PER_S
#define WHEEL_STEP_NS (WHEEL_STEP_MS * NS_PER_MS)

/* ---- deadlines of what waits ---- */

static void expire_slot(struct route *route, struct link *slot, int64_t now_ns)
{
    struct link *next;
    for (struct link *at = slot->next; at != slot; at = next) {
        next = at->next;
        struct ticket *ticket = LIST_OF(at, struct ticket, due);
        if (ticket->deadline_ns <= now_ns)
            ticket_end(route, ticket, STATUS_DEADLINE_EXCEEDED);
    }
}

static void turn_wheel(struct route *route, int64_t now_ns)
{
    int64_t to = now_ns / WHEEL_STEP_NS;
    if (to - route->wheel_at > WHEEL_SLOTS)
        route->wheel_at = to - WHEEL_SLOTS;
    while (route->wheel_at < to) {
        route->wheel_at++;
        expire_slot(route, &route->wheel[route->wheel_at % WHEEL_SLOTS], now_ns);
    }
}

/* ---- nobody to send to ---- */

/* What a writer has had may have been applied: only its deadline ends it. */
static void refuse_queue(struct route *route, struct lane_queue *queue)
{
    struct link *next;
    for (struct link *at = queue->tickets.next; at != &queue->tickets; at = next) {
        next = at->next;
        struct ticket *ticket = LIST_OF(at, struct ticket, place);
        if (ticket->lane == LANE_READ || ticket->attempt == 0)
            ticket_end(route, ticket, STATUS_UNAVAILABLE);
    }
}

static void refuse_lane(struct route *route, enum route_lane lane)
{
    struct link *next;
    for (struct link *at = route->rings[lane].next; at != &route->rings[lane]; at = next) {
        next = at->next;
        refuse_queue(route, LIST_OF(at, struct lane_queue, ring));
    }
}

static void look_for_workers(struct route *route, int64_t now_ns)
{
    for (unsigned lane = 0; lane < LANES; lane++)
        if (queue_has_worker(route, lane, now_ns))
            route->worker_seen_ns[lane] = now_ns;
        else if (now_ns - route->worker_seen_ns[lane] > NO_WORKER_MS * NS_PER_MS && route->queued[lane] > 0)
            refuse_lane(route, lane);
}

/* A reader that hangs keeps what it has, but its callers do not wait longer than they asked to. */
static void give_up_reads(struct route *route, struct worker *worker, int64_t now_ns)
{
    struct link *next;
    for (struct link *at = worker->tickets.next; at != &worker->tickets; at = next) {
        next = at->next;
        struct ticket *ticket = LIST_OF(at, struct ticket, place);
        if (ticket->client && ticket->deadline_ns <= now_ns)
            ticket_give_up(route, ticket, STATUS_DEADLINE_EXCEEDED);
    }
}

/* ---- once a second ---- */

static void look_at_client(struct route *route, struct client *client, int64_t now_ns)
{
    credit_lapse(route, client, now_ns);
    bool short_of_memory = route->reply_bytes > route->limits.reply_bytes / 2;
    if (client->owed == 0)
        client->progress_ns = now_ns;
    else if (short_of_memory && now_ns - client->progress_ns > STALLED_MS * NS_PER_MS)
        route_cut(route, client);
}

static void look_around(struct route *route, int64_t now_ns)
{
    route->tick_ns = now_ns;
    for (uint32_t i = 0, seen = 0; seen < route->open_clients; i++) {
        if (route->clients[i].open) {
            seen++;
            look_at_client(route, &route->clients[i], now_ns);
        }
    }
    for (uint32_t i = 0, seen = 0; seen < route->open_workers; i++) {
        struct worker *worker = &route->workers[i];
        seen += worker->open;
        if (worker->open && worker->state.role == ROLE_READER && worker_is_silent(worker, now_ns))
            give_up_reads(route, worker, now_ns);
    }
    credit_pump(route, now_ns);
    queue_dispatch(route, LANE_READ, now_ns);
    queue_dispatch(route, LANE_WRITE, now_ns);
}

/* ---- drain ---- */

static void end_lists(struct route *route)
{
    for (uint32_t i = 0; i < route->limits.workers; i++) {
        struct worker *worker = &route->workers[i];
        struct link *next;
        for (struct link *at = worker->tickets.next; worker->open && at != &worker->tickets; at = next) {
            next = at->next;
            struct ticket *ticket = LIST_OF(at, struct ticket, place);
            if (ticket->client && ticket->stream)
                ticket_give_up(route, ticket, STATUS_UNAVAILABLE);
        }
    }
}

static bool is_here(const struct worker *worker, uint8_t role)
{
    return worker->open && worker->state.role == role && !worker->leaving;
}

static void drain_workers(struct route *route, uint8_t role)
{
    for (uint32_t i = 0; i < route->limits.workers; i++) {
        struct worker *worker = &route->workers[i];
        if (is_here(worker, role) && !worker->drained) {
            worker->drained = true;
            route_act(route, ACTION_TO_WORKER, i)->envelope =
                (struct envelope){.version = ENVELOPE_VERSION, .type = MESSAGE_DRAIN, .life = route->life};
        }
    }
}

static bool any_here(const struct route *route, uint8_t role)
{
    for (uint32_t i = 0; i < route->limits.workers; i++)
        if (is_here(&route->workers[i], role))
            return true;
    return false;
}

static void go_on_draining(struct route *route, int64_t now_ns)
{
    int64_t spent_ms = (now_ns - route->drain_ns) / NS_PER_MS;
    bool late = spent_ms > DRAIN_REQUESTS_MS;
    if (spent_ms > DRAIN_STREAMS_MS)
        end_lists(route);
    if (route->live[LANE_READ] == 0 || late) {
        drain_workers(route, ROLE_READER);
        route->drained_readers = true;
    }
    bool readers_gone = route->drained_readers && !any_here(route, ROLE_READER);
    if ((readers_gone && route->live[LANE_WRITE] == 0) || late) {
        drain_workers(route, ROLE_WRITER);
        route->drained_writers = true;
    }
    bool taken = route->owed == 0 || spent_ms > DRAIN_ANSWERS_MS;
    bool gone = route->drained_writers && readers_gone && !any_here(route, ROLE_WRITER) && taken;
    if ((gone || spent_ms > DRAIN_WORKERS_MS) && !route->finished) {
        route->finished = true;
        route_act(route, ACTION_FINISHED, 0);
    }
}

void route_drain(struct route *route, int64_t now_ns)
{
    if (!route->draining) {
        route->draining = true;
        route->drain_ns = now_ns;
        go_on_draining(route, now_ns);
    }
}

/* ---- the clock ---- */

int64_t route_next_ns(const struct route *route, int64_t now_ns)
{
    bool waits = route->queued[LANE_READ] + route->queued[LANE_WRITE] > 0;
    if (waits || route->draining)
        return now_ns + WHEEL_STEP_NS;
    bool idle = route->open_workers == 0 && route->owed == 0 && route->granted_bytes == 0 && route->ticket_count == 0;
    return idle ? INT64_MAX : route->tick_ns + TICK_NS;
}

void route_tick(struct route *route, int64_t now_ns)
{
    turn_wheel(route, now_ns);
    look_for_workers(route, now_ns);
    if (now_ns - route->tick_ns >= TICK_NS)
        look_around(route, now_ns);
    if (route->draining)
        go_on_draining(route, now_ns);
}
