/*
 * route.c - the state as a whole: its life, its actions, answers to clients, and what others may see of it.
 */
#include "broker/route_state.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>
#include <stdlib.h>

struct route_limits route_limits_default(uint64_t max_data_bytes)
{
    uint64_t data = max_data_bytes ? max_data_bytes : LIMIT_DATA_BYTES;
    uint64_t message = data + MIB > LIMIT_MESSAGE_BYTES ? data + MIB : LIMIT_MESSAGE_BYTES;
    uint64_t all = message + LIMIT_UNCREDITED_ROOM_BYTES;
    if (all < LIMIT_IN_FLIGHT_BYTES)
        all = LIMIT_IN_FLIGHT_BYTES;
    return (struct route_limits){
        .max_data_bytes = data,
        .max_message_bytes = message,
        .uncredited_bytes = LIMIT_UNCREDITED_BYTES,
        .client_request_bytes = LIMIT_CLIENT_IN_FLIGHT_BYTES,
        .request_bytes = all,
        .credited_bytes = all - LIMIT_UNCREDITED_ROOM_BYTES,
        .client_reply_bytes = LIMIT_CLIENT_IN_FLIGHT_BYTES,
        .reply_bytes = message > LIMIT_REPLY_BYTES ? message : LIMIT_REPLY_BYTES,
        .group_bytes = LIMIT_GROUP_BYTES,
        .group_requests = LIMIT_GROUP_REQUESTS,
        .client_group_requests = LIMIT_GROUP_REQUESTS / 4,
        .client_messages = LIMIT_CLIENT_MESSAGES,
        .messages = LIMIT_MESSAGES,
        .clients = LIMIT_CONNECTIONS,
        .workers = 256,
    };
}

static uint32_t power_of_two_above(uint32_t value)
{
    uint32_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

static bool reserve_memory(struct route *route)
{
    const struct route_limits *limits = &route->limits;
    uint32_t buckets = power_of_two_above(limits->messages);
    route->clients = calloc(limits->clients, sizeof *route->clients);
    route->workers = calloc(limits->workers, sizeof *route->workers);
    route->tickets = calloc(limits->messages, sizeof *route->tickets);
    route->reads = calloc(buckets, sizeof(struct ticket *));
    route->read_mask = buckets - 1;
    return route->clients && route->workers && route->tickets && route->reads;
}

static void init_lists(struct route *route)
{
    list_init(&route->free_tickets);
    list_init(&route->wanting);
    for (unsigned i = 0; i < LANES; i++)
        list_init(&route->rings[i]);
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        list_init(&route->wheel[i]);
    for (uint32_t i = 0; i < route->limits.messages; i++) {
        struct ticket *ticket = &route->tickets[i];
        list_init(&ticket->owned);
        list_init(&ticket->due);
        list_push_back(&route->free_tickets, &ticket->place);
    }
}

struct route *route_new(const struct route_limits *limits, uint64_t life, int64_t now_ns)
{
    assert(limits->messages <= 1u << TICKET_INDEX_BITS);
    struct route *route = calloc(1, sizeof *route);
    if (!route)
        return NULL;
    route->limits = *limits;
    if (!reserve_memory(route)) {
        route_free(&route);
        return NULL;
    }
    init_lists(route);
    route->life = life;
    route->tick_ns = now_ns;
    route->wheel_at = now_ns / (WHEEL_STEP_MS * NS_PER_MS);
    route->hello.snapshot_ms = LIMIT_SNAPSHOT_MS;
    route->hello.max_data_bytes = limits->max_data_bytes;
    for (unsigned lane = 0; lane < LANES; lane++) {
        route->worker_seen_ns[lane] = now_ns;
        route->latency[lane].began_ns = now_ns;
    }
    return route;
}

void route_free(struct route **pointer)
{
    struct route *route = *pointer;
    if (!route)
        return;
    for (uint32_t i = 0; route->workers && i < route->limits.workers; i++) {
        free(route->workers[i].path);
        free(route->workers[i].status);
    }
    free(route->clients);
    free(route->workers);
    free(route->tickets);
    free(route->reads);
    free(route->actions);
    free(route);
    *pointer = NULL;
}

/* ---- actions ---- */

/* Without memory for what it has decided the broker cannot go on; its clients resend to the next one. */
static void grow_actions(struct route *route)
{
    size_t room = route->action_room ? 2 * route->action_room : 64;
    struct action *actions = realloc(route->actions, room * sizeof *actions);
    if (!actions)
        abort();
    route->actions = actions;
    route->action_room = room;
}

struct action *route_act(struct route *route, enum action_type type, uint32_t slot)
{
    if (route->action_count == route->action_room)
        grow_actions(route);
    struct action *action = &route->actions[route->action_count++];
    *action = (struct action){.type = type, .slot = slot};
    return action;
}

bool route_next_action(struct route *route, struct action *action)
{
    if (route->action_head == route->action_count) {
        route->action_head = route->action_count = 0;
        return false;
    }
    *action = route->actions[route->action_head++];
    return true;
}

void route_release(struct route *route, void *body)
{
    if (body)
        route_act(route, ACTION_RELEASE, 0)->body = body;
}

/* ---- answers ---- */

/* A client that lets so many answers lie is not reading: nothing more is kept for it. */
void route_cut(struct route *route, struct client *client)
{
    if (!client->finished) {
        client->finished = true;
        route->counters.cut_clients++;
        struct action *action = route_act(route, ACTION_CUT_CLIENT, client->slot);
        action->generation = client->generation;
    }
}

/* True when one more may be owed to it. */
static bool takes_answers(struct route *route, struct client *client)
{
    if (client->owed >= 2 * route->limits.client_messages)
        route_cut(route, client);
    return !client->finished;
}

void route_hello_client(struct route *route, struct client *client, uint16_t flags)
{
    if (takes_answers(route, client)) {
        struct action *action = route_act(route, ACTION_HELLO_CLIENT, client->slot);
        action->generation = client->generation;
        action->envelope.flags = flags;
        client->owed++;
        route->owed++;
    }
}

void route_to_client(struct route *route, struct client *client, const struct envelope *envelope, void *body,
                     uint64_t bytes)
{
    if (!takes_answers(route, client)) {
        route->counters.dropped_gone++;
        route_release(route, body);
        return;
    }
    struct action *action = route_act(route, ACTION_TO_CLIENT, client->slot);
    action->generation = client->generation;
    action->envelope = *envelope;
    action->envelope.version = ENVELOPE_VERSION;
    action->envelope.life = route->life;
    action->body = body;
    action->bytes = bytes;
    client->owed++;
    client->owed_bytes += bytes;
    route->owed++;
    route->reply_bytes += bytes;
}

static uint32_t retry_after(const struct route *route, int32_t status)
{
    if (status == STATUS_UNAVAILABLE)
        return RETRY_AFTER_LONG_MS;
    return status == STATUS_OVERLOADED ? RETRY_AFTER_MS + route->ticket_count / 128 : 0;
}

static void count_refusal(struct route_counters *counters, int32_t status)
{
    switch (status) {
    case STATUS_OVERLOADED:
        counters->overloaded++;
        break;
    case STATUS_UNAVAILABLE:
        counters->unavailable++;
        break;
    case STATUS_DEADLINE_EXCEEDED:
        counters->expired++;
        break;
    case STATUS_CANCELLED:
        counters->cancelled++;
        break;
    case STATUS_INTERNAL:
        counters->internal++;
        break;
    default:
        counters->refused++;
    }
}

void route_refuse(struct route *route, struct client *client, const struct refused *refused, int32_t status)
{
    struct envelope envelope = {
        .type = refused->stream ? MESSAGE_STREAM : MESSAGE_REPLY,
        .flags = refused->stream                  ? ENVELOPE_LAST
                 : refused->type == MESSAGE_WRITE ? ENVELOPE_WRITE
                                                  : 0,
        .first = refused->first,
        .count = refused->type == MESSAGE_WRITE ? refused->count : 0,
        .piece = refused->pieces,
        .attempt = refused->attempt,
        .status = status,
        .retry_after_ms = retry_after(route, status),
    };
    count_refusal(&route->counters, status);
    route_to_client(route, client, &envelope, NULL, 0);
}

/* One answer always fits a client that has none; a large one need not fit beside others. */
bool route_fits_reply(const struct route *route, const struct client *client, uint64_t bytes)
{
    uint64_t own = client->owed_bytes + client->reserved;
    uint64_t all = route->reply_bytes + route->reserved_bytes;
    return own == 0 || (own + bytes <= route->limits.client_reply_bytes && all + bytes <= route->limits.reply_bytes);
}

static void account_taken(struct route *route, struct client *client, uint64_t bytes, int64_t now_ns)
{
    client->owed--;
    client->owed_bytes -= bytes;
    client->progress_ns = now_ns;
    if (!list_empty(&client->held))
        credit_pump_streams(route, client);
}

void route_released(struct route *route, uint32_t slot, uint32_t generation, uint64_t bytes, int64_t now_ns)
{
    assert(slot < route->limits.clients);
    struct client *client = &route->clients[slot];
    route->owed--;
    route->reply_bytes -= bytes;
    if (client->open && client->generation == generation)
        account_taken(route, client, bytes, now_ns);
    if (route->read_blocked)
        queue_dispatch(route, LANE_READ, now_ns);
}

bool route_wants_releases(const struct route *route)
{
    return route->read_blocked || route->held > 0 || (route->draining && route->owed > 0);
}

/* ---- what others see ---- */

void route_hello(const struct route *route, struct hello *hello)
{
    *hello = route->hello;
    hello->life = route->life;
    hello->max_message_bytes = route->limits.max_message_bytes;
    hello->client_in_flight_bytes = route->limits.client_request_bytes;
    hello->uncredited_bytes = route->limits.uncredited_bytes;
    hello->path = span_text(route->hello_path);
}

void route_say_hello(struct route *route)
{
    route->counters.hellos++;
    for (uint32_t i = 0; i < route->limits.clients; i++)
        if (route->clients[i].open)
            route_hello_client(route, &route->clients[i], 0);
    for (uint32_t i = 0; i < route->limits.workers; i++)
        if (route->workers[i].open)
            route_act(route, ACTION_HELLO_WORKER, i);
}

void route_view(const struct route *route, struct route_view *view)
{
    *view = (struct route_view){
        .life = route->life,
        .draining = route->draining,
        .counters = route->counters,
        .clients = route->open_clients,
        .workers = route->open_workers,
        .tickets = route->ticket_count,
        .queued = {route->queued[LANE_READ], route->queued[LANE_WRITE]},
        .request_bytes = route->request_bytes,
        .granted_bytes = route->granted_bytes,
        .reply_bytes = route->reply_bytes,
        .reserved_bytes = route->reserved_bytes,
        .latency = route->latency,
    };
}
