/*
 * route_client.c - what clients say: requests, credit, cancel, goodbye.
 */
#include "broker/route_state.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>

enum { FIRST_ESTIMATE_BYTES = 4096 };

static struct client *client_at(struct route *route, uint32_t slot)
{
    assert(slot < route->limits.clients && route->clients[slot].open);
    return &route->clients[slot];
}

uint32_t route_client_open(struct route *route, uint32_t slot, int64_t now_ns)
{
    assert(slot < route->limits.clients && !route->clients[slot].open);
    struct client *client = &route->clients[slot];
    uint32_t generation = client->generation + 1;
    *client = (struct client){.open = true, .slot = slot, .generation = generation, .progress_ns = now_ns};
    client->estimate = FIRST_ESTIMATE_BYTES;
    list_init(&client->owned);
    list_init(&client->wanting);
    list_init(&client->held);
    for (unsigned lane = 0; lane < LANES; lane++) {
        client->lanes[lane].client = client;
        list_init(&client->lanes[lane].tickets);
        list_init(&client->lanes[lane].ring);
    }
    route->open_clients++;
    return generation;
}

void route_client_gone(struct route *route, uint32_t slot, int64_t now_ns)
{
    struct client *client = client_at(route, slot);
    credit_forget(route, client);
    while (!list_empty(&client->owned)) {
        struct ticket *ticket = LIST_OF(client->owned.next, struct ticket, owned);
        if (!ticket->worker) {
            ticket_close(route, ticket);
            continue;
        }
        if (ticket->stream)
            ticket_send_aside(route, ticket, MESSAGE_CANCEL, 0);
        ticket_orphan(route, ticket);
    }
    client->open = false;
    route->open_clients--;
    credit_pump(route, now_ns);
}

void route_client_probe(struct route *route, uint32_t slot)
{
    route_hello_client(route, client_at(route, slot), ENVELOPE_WELCOME);
}

/* The answers to junk are not counted against its sender, who gets them only while it reads. */
void route_client_malformed(struct route *route, uint32_t slot, int32_t status, uint64_t first)
{
    struct client *client = client_at(route, slot);
    route->counters.malformed++;
    if (client->owed < route->limits.client_messages)
        route_refuse(route, client, &(struct refused){.type = MESSAGE_READ, .first = first}, status);
}

/* ---- requests ---- */

static int judge_shape(const struct envelope *envelope)
{
    bool stream = envelope->flags & ENVELOPE_STREAM;
    if (envelope->count == 0 || envelope->count > LIMIT_BATCH_REQUESTS)
        return STATUS_INVALID_ARGUMENT;
    if (stream && (envelope->type != MESSAGE_READ || envelope->count != 1))
        return STATUS_INVALID_ARGUMENT;
    return STATUS_OK;
}

static bool lane_is_abandoned(const struct route *route, enum route_lane lane, int64_t now_ns)
{
    return !queue_has_worker(route, lane, now_ns) && now_ns - route->worker_seen_ns[lane] > NO_WORKER_MS * NS_PER_MS;
}

/* OK, or why it is answered at once. */
static int admit(struct route *route, struct client *client, const struct route_message *message, int64_t now_ns)
{
    enum route_lane lane = message->envelope.type == MESSAGE_READ ? LANE_READ : LANE_WRITE;
    int status = judge_shape(&message->envelope);
    if (status != STATUS_OK)
        return status;
    if (route->draining || lane_is_abandoned(route, lane, now_ns))
        return STATUS_UNAVAILABLE;
    if (message->deadline_ns <= now_ns)
        return STATUS_DEADLINE_EXCEEDED;
    if (client->messages + client->owed >= route->limits.client_messages ||
        route->ticket_count >= route->limits.messages)
        return STATUS_OVERLOADED;
    return credit_admit(route, client, message->bytes, now_ns);
}

static void refuse_request(struct route *route, struct client *client, const struct route_message *message, int status)
{
    const struct envelope *envelope = &message->envelope;
    bool stream = envelope->type == MESSAGE_READ && (envelope->flags & ENVELOPE_STREAM);
    struct refused refused = {
        .type = envelope->type, .stream = stream, .count = envelope->count, .first = envelope->first};
    route_release(route, message->body);
    route_refuse(route, client, &refused, status);
}

static void take_request(struct route *route, struct client *client, const struct route_message *message,
                         int64_t now_ns)
{
    int status = admit(route, client, message, now_ns);
    struct ticket *ticket = status == STATUS_OK ? ticket_new(route, client, message) : NULL;
    if (!ticket) {
        refuse_request(route, client, message, status == STATUS_OK ? STATUS_OVERLOADED : status);
        return;
    }
    ticket->arrived_ns = now_ns;
    queue_push(route, ticket, false);
    queue_dispatch(route, ticket->lane, now_ns);
}

/* ---- the other verbs ---- */

static void take_control(struct route *route, struct client *client, struct route_message *message, int64_t now_ns)
{
    int status = STATUS_OK;
    message->envelope.count = 1;
    message->envelope.flags = 0;
    switch (message->verb) {
    case CONTROL_STATUS:
        route_release(route, message->body);
        struct action *action = route_act(route, ACTION_STATUS, client->slot);
        action->generation = client->generation;
        action->envelope.first = message->envelope.first;
        return;
    case CONTROL_BACKUP:
        status = message->remote               ? STATUS_UNSUPPORTED
                 : message->role != ROLE_ADMIN ? STATUS_PERMISSION_DENIED
                                               : STATUS_OK;
        break;
    default:
        status = message->verb == 0 ? STATUS_INVALID_ARGUMENT : STATUS_UNSUPPORTED;
    }
    if (status != STATUS_OK) {
        refuse_request(route, client, message, status);
        return;
    }
    take_request(route, client, message, now_ns);
}

static void take_credit(struct route *route, struct client *client, const struct envelope *envelope, int64_t now_ns)
{
    if (!(envelope->flags & ENVELOPE_STREAM)) {
        credit_ask(route, client, envelope->first, envelope->bytes, now_ns);
        return;
    }
    struct ticket *ticket = ticket_find_read(route, client, envelope->first);
    if (ticket && ticket->stream)
        credit_stream(route, ticket, envelope->bytes);
}

/* What waits is answered here; a list that is out is ended by its reader; a read that is out is answered anyway. */
static void take_cancel(struct route *route, struct client *client, const struct envelope *envelope)
{
    struct ticket *ticket = ticket_find_read(route, client, envelope->first);
    if (!ticket || (envelope->flags & ENVELOPE_WRITE))
        return;
    if (!ticket->worker)
        ticket_end(route, ticket, STATUS_CANCELLED);
    else if (ticket->stream)
        ticket_send_aside(route, ticket, MESSAGE_CANCEL, 0);
}

void route_answer_status(struct route *route, uint32_t slot, uint32_t generation, uint64_t first, int32_t status,
                         void *body, uint64_t bytes)
{
    struct client *client = &route->clients[slot];
    if (!client->open || client->generation != generation) {
        route_release(route, body);
        return;
    }
    struct envelope envelope = {.type = MESSAGE_REPLY, .first = first, .count = body ? 1 : 0, .status = status};
    route->counters.replied++;
    route_to_client(route, client, &envelope, body, bytes);
}

static void take_message(struct route *route, struct client *client, struct route_message *message, int64_t now_ns)
{
    switch (message->envelope.type) {
    case MESSAGE_READ:
    case MESSAGE_WRITE:
        take_request(route, client, message, now_ns);
        return;
    case MESSAGE_CONTROL:
        take_control(route, client, message, now_ns);
        return;
    case MESSAGE_HELLO:
        route_client_probe(route, client->slot);
        break;
    case MESSAGE_CREDIT:
        take_credit(route, client, &message->envelope, now_ns);
        break;
    case MESSAGE_CANCEL:
        take_cancel(route, client, &message->envelope);
        break;
    case MESSAGE_GOODBYE: /* its connection's end says the same */
        break;
    default:
        route_client_malformed(route, client->slot, STATUS_INVALID_ARGUMENT, message->envelope.first);
    }
    route_release(route, message->body);
}

void route_client_message(struct route *route, uint32_t slot, const struct route_message *message, int64_t now_ns)
{
    struct client *client = client_at(route, slot);
    struct route_message own = *message;
    route->counters.received++;
    if (client->finished) {
        route->counters.dropped_gone++;
        route_release(route, message->body);
        return;
    }
    if (message->role == ROLE_NONE) {
        refuse_request(route, client, message, STATUS_PERMISSION_DENIED);
        return;
    }
    take_message(route, client, &own, now_ns);
    if (!list_empty(&route->wanting))
        credit_pump(route, now_ns);
}
