/*
 * route_ticket.c - tickets: opened for a client's message, closed with its answer, every account settled with it.
 */
#include "broker/route_state.h"

#include <assert.h>

/* ---- reads by client and number, for CREDIT and CANCEL ---- */

static struct ticket **bucket_of(const struct route *route, const struct client *client, uint64_t first)
{
    uint64_t mixed = (first ^ ((uint64_t)client->slot << 40)) * UINT64_C(0x9e3779b97f4a7c15);
    return &route->reads[(mixed >> 32) & route->read_mask];
}

static void index_read(struct route *route, struct ticket *ticket)
{
    struct ticket **bucket = bucket_of(route, ticket->client, ticket->first);
    ticket->same_bucket = *bucket;
    *bucket = ticket;
}

static void forget_read(struct route *route, struct ticket *ticket)
{
    struct ticket **at = bucket_of(route, ticket->client, ticket->first);
    while (*at != ticket)
        at = &(*at)->same_bucket;
    *at = ticket->same_bucket;
}

struct ticket *ticket_find_read(struct route *route, const struct client *client, uint64_t first)
{
    struct ticket *ticket = *bucket_of(route, client, first);
    while (ticket && (ticket->client != client || ticket->first != first))
        ticket = ticket->same_bucket;
    return ticket;
}

struct ticket *ticket_find(struct route *route, uint64_t number)
{
    uint64_t index = number & ((1u << TICKET_INDEX_BITS) - 1);
    if (number == 0 || index >= route->limits.messages || route->tickets[index].number != number)
        return NULL;
    return &route->tickets[index];
}

/* ---- life ---- */

static void fill(struct ticket *ticket, const struct route_message *message)
{
    const struct envelope *envelope = &message->envelope;
    bool stream = envelope->type == MESSAGE_READ && (envelope->flags & ENVELOPE_STREAM);
    ticket->type = envelope->type;
    ticket->lane = envelope->type == MESSAGE_READ ? LANE_READ : LANE_WRITE;
    ticket->role = message->role;
    memcpy(ticket->principal, message->principal, sizeof ticket->principal);
    ticket->first = envelope->first;
    ticket->count = envelope->count;
    ticket->deadline_ns = message->deadline_ns;
    ticket->stream = stream;
    ticket->aside = stream || envelope->type == MESSAGE_CONTROL;
    ticket->credit_held = stream ? envelope->bytes : 0;
    ticket->body = message->body;
    ticket->bytes = message->bytes;
}

struct ticket *ticket_new(struct route *route, struct client *client, const struct route_message *message)
{
    if (list_empty(&route->free_tickets))
        return NULL;
    struct ticket *ticket = LIST_OF(route->free_tickets.next, struct ticket, place);
    list_remove(&ticket->place);
    uint64_t index = (uint64_t)(ticket - route->tickets);
    *ticket = (struct ticket){.client = client};
    list_init(&ticket->place);
    list_init(&ticket->owned);
    list_init(&ticket->due);
    ticket->number = ++route->ticket_serial << TICKET_INDEX_BITS | index;
    fill(ticket, message);
    list_push_back(&client->owned, &ticket->owned);
    client->messages++;
    client->request_bytes += ticket->bytes;
    route->request_bytes += ticket->bytes;
    route->live[ticket->lane]++;
    route->ticket_count++;
    if (ticket->lane == LANE_READ)
        index_read(route, ticket);
    return ticket;
}

/* It does not count for its client's share of the workers any more. */
static void leave_share(const struct ticket *ticket)
{
    if (ticket->client && !ticket->aside) {
        struct lane_queue *queue = &ticket->client->lanes[ticket->lane];
        queue->out_requests -= ticket->count;
        queue->out_messages--;
    }
}

void ticket_leave_worker(struct route *route, struct ticket *ticket)
{
    struct worker *worker = ticket->worker;
    list_remove(&ticket->place);
    credit_unhold(route, ticket);
    leave_share(ticket);
    if (ticket->aside) {
        worker->streams--;
    } else {
        worker->outstanding -= ticket->count;
        worker->messages--;
        worker->bytes -= ticket->bytes;
    }
    if (worker->alone == ticket)
        worker->alone = NULL;
    if (ticket->client) {
        ticket->client->reserved -= ticket->reserved;
        ticket->client->stream_credit -= ticket->credit_out;
        route->reserved_bytes -= ticket->reserved;
    }
    ticket->reserved = 0;
    ticket->credit_out = 0;
    ticket->worker = NULL;
}

/* Settles what it counts for with its client, which forgets it. */
static void leave_client(struct route *route, struct ticket *ticket)
{
    struct client *client = ticket->client;
    if (ticket->lane == LANE_READ)
        forget_read(route, ticket);
    list_remove(&ticket->owned);
    client->messages--;
    client->request_bytes -= ticket->bytes;
    route->request_bytes -= ticket->bytes;
    route->live[ticket->lane]--;
    route_release(route, ticket->body);
    ticket->body = NULL;
    ticket->client = NULL;
}

void ticket_close(struct route *route, struct ticket *ticket)
{
    if (ticket->worker)
        ticket_leave_worker(route, ticket);
    else if (ticket->client)
        queue_remove(route, ticket);
    if (ticket->client)
        leave_client(route, ticket);
    ticket->number = 0;
    route->ticket_count--;
    list_push_front(&route->free_tickets, &ticket->place);
}

void ticket_orphan(struct route *route, struct ticket *ticket)
{
    assert(ticket->worker);
    struct client *client = ticket->client;
    client->reserved -= ticket->reserved;
    client->stream_credit -= ticket->credit_out;
    route->reserved_bytes -= ticket->reserved;
    ticket->reserved = 0;
    ticket->credit_out = 0;
    credit_unhold(route, ticket);
    leave_share(ticket);
    leave_client(route, ticket);
}

static struct refused refused_of(const struct ticket *ticket)
{
    return (struct refused){.type = ticket->type,
                            .stream = ticket->stream,
                            .pieces = ticket->pieces,
                            .attempt = ticket->attempt,
                            .count = ticket->count,
                            .first = ticket->first};
}

void ticket_end(struct route *route, struct ticket *ticket, int32_t status)
{
    struct client *client = ticket->client;
    struct refused refused = refused_of(ticket);
    ticket_close(route, ticket);
    route_refuse(route, client, &refused, status);
}

void ticket_give_up(struct route *route, struct ticket *ticket, int32_t status)
{
    struct client *client = ticket->client;
    struct refused refused = refused_of(ticket);
    if (ticket->stream)
        ticket_send_aside(route, ticket, MESSAGE_CANCEL, 0);
    ticket_orphan(route, ticket);
    route_refuse(route, client, &refused, status);
}

void ticket_send_aside(struct route *route, const struct ticket *ticket, uint8_t type, uint64_t bytes)
{
    struct action *action = route_act(route, ACTION_TO_WORKER, ticket->worker->slot);
    action->envelope = (struct envelope){
        .version = ENVELOPE_VERSION,
        .type = type,
        .flags = ENVELOPE_STREAM,
        .life = route->life,
        .ticket = ticket->number,
        .first = ticket->first,
        .attempt = ticket->attempt,
        .deadline_ns = ticket->deadline_ns,
        .bytes = bytes,
        .role = ticket->role,
    };
    memcpy(action->envelope.principal, ticket->principal, PRINCIPAL_BYTES);
}
