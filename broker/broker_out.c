/*
 * broker_out.c - from actions of the route to frames.
 */
#include "broker/broker_state.h"
#include "proto/body.h"
#include "proto/clock.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what comes back from libzmq ---- */

void broker_drop(struct broker *broker, struct parcel *parcel)
{
    if (parcel->counted)
        route_released(broker->route, parcel->slot, parcel->generation, parcel->bytes, clock_boot_ns());
    parcel_drop(parcel);
}

void broker_take_returned(struct broker *broker)
{
    struct parcel *list = parcel_pool_returned(broker->pool);
    if (!list)
        return;
    while (list) {
        struct parcel *parcel = list;
        list = parcel->next;
        broker_drop(broker, parcel);
    }
    broker_act(broker);
}

/* ---- peers that go ---- */

static void drop_waiting(struct broker *broker, struct peer *peer)
{
    while (peer->waiting) {
        struct parcel *parcel = peer->waiting;
        peer->waiting = parcel->next;
        broker_drop(broker, parcel);
    }
    peer->waiting_end = &peer->waiting;
    list_remove(&peer->slow);
}

void broker_client_gone(struct broker *broker, struct peer *peer)
{
    route_client_gone(broker->route, peer->slot, clock_boot_ns());
    drop_waiting(broker, peer);
    peers_close(broker->client_peers, peer);
}

void broker_worker_gone(struct broker *broker, struct peer *peer)
{
    route_worker_gone(broker->route, peer->slot, clock_boot_ns());
    peers_close(broker->worker_peers, peer);
}

/* The descriptor is ours to copy only while the monitor has not said that it is closed: looked at before and after. */
static void cut(struct broker *broker, struct peer *peer)
{
    uint32_t generation = peer->generation;
    int fd = peer->fd;
    broker_take_events(broker, peer->door);
    if (!peer->open || peer->generation != generation)
        return;
    int copy = dup(fd);
    broker_take_events(broker, peer->door);
    if (copy >= 0 && peer->open && peer->generation == generation)
        shutdown(copy, SHUT_RDWR);
    if (copy >= 0)
        close(copy);
}

/* ---- answers ---- */

static void wait_for_room(struct broker *broker, struct peer *peer, struct parcel *parcel)
{
    if (list_empty(&broker->slow))
        broker->slow_ns = clock_boot_ns() + SLOW_RETRY_MS * NS_PER_MS;
    if (list_empty(&peer->slow))
        list_push_back(&broker->slow, &peer->slow);
    parcel->next = NULL;
    *peer->waiting_end = parcel;
    peer->waiting_end = &parcel->next;
}

static void answer(struct broker *broker, struct peer *peer, struct parcel *parcel)
{
    if (peer->waiting) {
        wait_for_room(broker, peer, parcel);
        return;
    }
    enum door_sent sent = door_answer(peer->door, peer->id, peer->id_size, parcel);
    if (sent == DOOR_FULL) {
        wait_for_room(broker, peer, parcel);
    } else if (sent == DOOR_GONE) {
        broker_drop(broker, parcel);
        broker_client_gone(broker, peer);
    }
}

/* False when it has gone. */
static bool retry(struct peer *peer)
{
    while (peer->waiting) {
        struct parcel *parcel = peer->waiting, *next = parcel->next;
        enum door_sent sent = door_answer(peer->door, peer->id, peer->id_size, parcel);
        if (sent != DOOR_SENT)
            return sent == DOOR_FULL;
        peer->waiting = next;
    }
    peer->waiting_end = &peer->waiting;
    list_remove(&peer->slow);
    return true;
}

void broker_retry_slow(struct broker *broker)
{
    struct link slow;
    list_init(&slow);
    while (!list_empty(&broker->slow)) {
        struct link *first = broker->slow.next;
        list_remove(first);
        list_push_back(&slow, first);
    }
    while (!list_empty(&slow)) {
        struct peer *peer = LIST_OF(slow.next, struct peer, slow);
        list_remove(&peer->slow);
        list_push_back(&broker->slow, &peer->slow);
        if (!retry(peer))
            broker_client_gone(broker, peer);
    }
    broker->slow_ns = clock_boot_ns() + SLOW_RETRY_MS * NS_PER_MS;
    broker_act(broker);
}

static void encode(const struct envelope *decided, uint8_t *out)
{
    struct envelope envelope = envelope_make(decided->type, decided->deadline_ns);
    uint32_t timeout_ms = envelope.timeout_ms;
    uint8_t boot_id[BOOT_ID_SIZE];
    memcpy(boot_id, envelope.boot_id, sizeof boot_id);
    envelope = *decided;
    envelope.timeout_ms = timeout_ms;
    memcpy(envelope.boot_id, boot_id, sizeof boot_id);
    envelope_encode(&envelope, out);
}

static struct peer *client_of(struct broker *broker, const struct action *action)
{
    struct peer *peer = peers_at(broker->client_peers, action->slot);
    return peer->open && peer->generation == action->generation ? peer : NULL;
}

static void to_client(struct broker *broker, const struct action *action)
{
    struct peer *peer = client_of(broker, action);
    struct parcel *parcel = action->body ? action->body : parcel_new(broker->pool);
    if (!parcel) {
        route_released(broker->route, action->slot, action->generation, action->bytes, clock_boot_ns());
        return;
    }
    parcel->counted = true;
    parcel->slot = action->slot;
    parcel->generation = action->generation;
    parcel->bytes = action->bytes;
    if (!peer) {
        broker_drop(broker, parcel);
        return;
    }
    encode(&action->envelope, parcel->envelope);
    answer(broker, peer, parcel);
}

static void to_worker(struct broker *broker, const struct action *action)
{
    struct peer *peer = peers_at(broker->worker_peers, action->slot);
    uint8_t encoded[ENVELOPE_BYTES];
    if (!peer->open)
        return;
    encode(&action->envelope, encoded);
    if (door_forward(peer->door, peer->id, peer->id_size, encoded, action->body) != DOOR_SENT)
        broker_worker_gone(broker, peer);
}

/* ---- HELLO ---- */

static struct parcel *hello_parcel(struct broker *broker, uint16_t flags)
{
    struct hello hello;
    route_hello(broker->route, &hello);
    struct span encoded = hello_encode(&hello, broker->arena);
    struct parcel *parcel = encoded.data ? parcel_of(broker->pool, encoded.data, encoded.size) : NULL;
    arena_reset(broker->arena);
    if (parcel) {
        struct envelope envelope = {
            .version = ENVELOPE_VERSION, .type = MESSAGE_HELLO, .flags = flags, .life = broker->life};
        encode(&envelope, parcel->envelope);
    }
    return parcel;
}

static void hello_client(struct broker *broker, const struct action *action)
{
    struct peer *peer = client_of(broker, action);
    struct parcel *parcel = peer ? hello_parcel(broker, action->envelope.flags) : NULL;
    if (!parcel) {
        route_released(broker->route, action->slot, action->generation, 0, clock_boot_ns());
        return;
    }
    parcel->counted = true;
    parcel->slot = action->slot;
    parcel->generation = action->generation;
    answer(broker, peer, parcel);
}

static void hello_worker(struct broker *broker, const struct action *action)
{
    struct peer *peer = peers_at(broker->worker_peers, action->slot);
    struct parcel *parcel = peer->open ? hello_parcel(broker, action->envelope.flags) : NULL;
    if (!parcel)
        return;
    enum door_sent sent = door_forward(peer->door, peer->id, peer->id_size, parcel->envelope, parcel);
    parcel_drop(parcel);
    if (sent != DOOR_SENT)
        broker_worker_gone(broker, peer);
}

/* ---- STATUS ---- */

static struct parcel *status_parcel(struct broker *broker)
{
    char *json = broker_status_json(broker);
    struct reply reply = {.status = STATUS_OK, .message = span_text(json)};
    struct parcel *parcel = json ? parcel_new(broker->pool) : NULL;
    size_t size = body_replies_size(&reply, 1);
    if (parcel && zmq_msg_init_size(&parcel->body, size) == 0) {
        body_encode_replies(&reply, 1, zmq_msg_data(&parcel->body));
    } else if (parcel) {
        zmq_msg_init(&parcel->body);
        parcel_drop(parcel);
        parcel = NULL;
    }
    free(json);
    return parcel;
}

static void answer_status(struct broker *broker, const struct action *action)
{
    struct parcel *parcel = status_parcel(broker);
    uint64_t bytes = parcel ? zmq_msg_size(&parcel->body) : 0;
    route_answer_status(broker->route, action->slot, action->generation, action->envelope.first,
                        parcel ? STATUS_OK : STATUS_NO_MEMORY, parcel, bytes);
}

/* ---- all of them ---- */

static void carry_out(struct broker *broker, const struct action *action)
{
    struct peer *peer;
    switch (action->type) {
    case ACTION_TO_CLIENT:
        to_client(broker, action);
        break;
    case ACTION_TO_WORKER:
        to_worker(broker, action);
        break;
    case ACTION_HELLO_CLIENT:
        hello_client(broker, action);
        break;
    case ACTION_HELLO_WORKER:
        hello_worker(broker, action);
        break;
    case ACTION_STATUS:
        answer_status(broker, action);
        break;
    case ACTION_CUT_CLIENT:
        peer = client_of(broker, action);
        if (peer)
            cut(broker, peer);
        break;
    case ACTION_RELEASE:
        parcel_drop(action->body);
        break;
    case ACTION_FINISHED:
        broker->finished = true;
        break;
    }
}

void broker_act(struct broker *broker)
{
    struct action action;
    while (route_next_action(broker->route, &action))
        carry_out(broker, &action);
}
