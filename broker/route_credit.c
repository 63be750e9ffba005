/*
 * route_credit.c - the credit for large bodies on their way in, and for the pieces of lists on their way out.
 */
#include "broker/route_state.h"
#include "proto/clock.h"
#include "proto/limits.h"

/* ---- bodies: one grant a client ---- */

/* One body always fits a client that has none, or the largest could never come in. */
static bool fits_client(const struct route *route, const struct client *client, uint64_t bytes)
{
    uint64_t own = client->request_bytes + client->granted;
    return own == 0 || own + bytes <= route->limits.client_request_bytes;
}

static bool fits_all(const struct route *route, uint64_t bytes)
{
    uint64_t all = route->request_bytes + route->granted_bytes;
    return all == 0 || all + bytes <= route->limits.request_bytes;
}

/* Small bodies, which need no grant, find room beside any number of large ones. */
static bool may_grant(const struct route *route, uint64_t bytes)
{
    uint64_t all = route->request_bytes + route->granted_bytes;
    return fits_all(route, bytes) && (all == 0 || all + bytes <= route->limits.credited_bytes);
}

/* While a large body waits for long, those who have something under way bring nothing more, and room comes. */
static bool makes_room(const struct route *route, const struct client *client, int64_t now_ns)
{
    for (struct link *at = route->wanting.next; at != &route->wanting; at = at->next) {
        const struct client *first = LIST_OF(at, struct client, wanting);
        if (fits_client(route, first, first->want_bytes))
            return first != client && client->request_bytes > 0 && now_ns - first->want_ns > WANTING_MS * NS_PER_MS;
    }
    return false;
}

static void answer(struct route *route, struct client *client, uint64_t first, uint64_t bytes, int32_t status)
{
    struct envelope envelope = {
        .type = MESSAGE_CREDIT,
        .first = first,
        .bytes = bytes,
        .status = status,
        .retry_after_ms = status == STATUS_UNAVAILABLE ? RETRY_AFTER_LONG_MS : 0,
    };
    route_to_client(route, client, &envelope, NULL, 0);
}

static void drop_grant(struct route *route, struct client *client)
{
    route->granted_bytes -= client->granted;
    client->granted = 0;
}

static void grant(struct route *route, struct client *client, int64_t now_ns)
{
    list_remove(&client->wanting);
    client->granted = client->want_bytes;
    client->grant_until_ns = now_ns + GRANT_MS * NS_PER_MS;
    route->granted_bytes += client->granted;
    answer(route, client, client->want_first, client->granted, STATUS_OK);
}

void credit_forget(struct route *route, struct client *client)
{
    list_remove(&client->wanting);
    drop_grant(route, client);
}

void credit_ask(struct route *route, struct client *client, uint64_t first, uint64_t bytes, int64_t now_ns)
{
    credit_forget(route, client);
    if (bytes > route->limits.max_message_bytes) {
        answer(route, client, first, 0, STATUS_TOO_LARGE);
        return;
    }
    if (route->draining) {
        answer(route, client, first, 0, STATUS_UNAVAILABLE);
        return;
    }
    client->want_first = first;
    client->want_bytes = bytes;
    client->want_ns = now_ns;
    list_push_back(&route->wanting, &client->wanting);
    credit_pump(route, now_ns);
}

int credit_admit(struct route *route, struct client *client, uint64_t bytes, int64_t now_ns)
{
    if (bytes > route->limits.max_message_bytes)
        return STATUS_TOO_LARGE;
    if (bytes > route->limits.uncredited_bytes) {
        if (bytes > client->granted) {
            route->counters.uncredited++;
            return STATUS_OVERLOADED;
        }
        drop_grant(route, client);
        return STATUS_OK;
    }
    bool fits = fits_client(route, client, bytes) && fits_all(route, bytes) && !makes_room(route, client, now_ns);
    return fits ? STATUS_OK : STATUS_OVERLOADED;
}

/* Grants in the order of asking; a client at its own bound lets others pass. */
void credit_pump(struct route *route, int64_t now_ns)
{
    struct link *next;
    for (struct link *at = route->wanting.next; at != &route->wanting; at = next) {
        struct client *client = LIST_OF(at, struct client, wanting);
        next = at->next;
        if (!fits_client(route, client, client->want_bytes))
            continue;
        if (!may_grant(route, client->want_bytes))
            return;
        grant(route, client, now_ns);
    }
}

void credit_lapse(struct route *route, struct client *client, int64_t now_ns)
{
    if (client->granted > 0 && client->grant_until_ns <= now_ns)
        drop_grant(route, client);
}

/* ---- lists: what all of a client's lists may bring is bounded like its answers ---- */

uint64_t credit_take(struct ticket *ticket, uint64_t wanted)
{
    struct client *client = ticket->client;
    int64_t own = (int64_t)LIMIT_STREAM_BYTES - ticket->credit_out;
    int64_t all = (int64_t)LIMIT_CLIENT_IN_FLIGHT_BYTES - client->stream_credit - (int64_t)client->owed_bytes;
    int64_t room = own < all ? own : all;
    if (room <= 0 && client->stream_credit <= 0 && client->owed_bytes == 0)
        room = LIMIT_PIECE_BYTES;
    uint64_t taken = room <= 0 ? 0 : (uint64_t)room < wanted ? (uint64_t)room : wanted;
    ticket->credit_out += (int64_t)taken;
    client->stream_credit += (int64_t)taken;
    return taken;
}

void credit_hold(struct route *route, struct ticket *ticket, uint64_t bytes)
{
    uint64_t room = UINT64_MAX - ticket->credit_held;
    ticket->credit_held += bytes < room ? bytes : room;
    if (ticket->credit_held > 0 && list_empty(&ticket->due)) {
        list_push_back(&ticket->client->held, &ticket->due);
        route->held++;
    }
}

void credit_unhold(struct route *route, struct ticket *ticket)
{
    if (!list_empty(&ticket->due)) {
        list_remove(&ticket->due);
        route->held--;
    }
}

/* Sends what may be sent of what is held. */
static void pump(struct route *route, struct ticket *ticket)
{
    uint64_t taken = credit_take(ticket, ticket->credit_held);
    ticket->credit_held -= taken;
    if (ticket->credit_held == 0)
        credit_unhold(route, ticket);
    if (taken > 0)
        ticket_send_aside(route, ticket, MESSAGE_CREDIT, taken);
}

void credit_stream(struct route *route, struct ticket *ticket, uint64_t bytes)
{
    if (!ticket->worker) { /* it goes with the request */
        uint64_t room = UINT64_MAX - ticket->credit_held;
        ticket->credit_held += bytes < room ? bytes : room;
        return;
    }
    credit_hold(route, ticket, bytes);
    pump(route, ticket);
}

void credit_pump_streams(struct route *route, struct client *client)
{
    struct link *next;
    for (struct link *at = client->held.next; at != &client->held; at = next) {
        next = at->next;
        pump(route, LIST_OF(at, struct ticket, due));
    }
}
