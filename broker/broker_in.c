/*
 * broker_in.c - from frames to events of the route: who sent it, and is it a message at all?
 */
#include "broker/admission.h"
#include "broker/broker_state.h"
#include "proto/body.h"
#include "proto/clock.h"

/* ---- connections ---- */

static bool is_worker_door(const struct broker *broker, const struct door *door)
{
    return door == &broker->workers;
}

static struct peers *peers_of(struct broker *broker, const struct door *door)
{
    return is_worker_door(broker, door) ? broker->worker_peers : broker->client_peers;
}

static void peer_gone(struct broker *broker, struct door *door, struct peer *peer)
{
    if (!peer)
        return;
    if (is_worker_door(broker, door))
        broker_worker_gone(broker, peer);
    else
        broker_client_gone(broker, peer);
}

void broker_take_events(struct broker *broker, struct door *door)
{
    struct descriptors *descriptors = &door->descriptors;
    struct door_event event;
    while (door_next_event(door, &event)) {
        bool was_open = descriptors_is_open(descriptors, event.fd);
        struct peer *peer =
            event.opened ? descriptors_opened(descriptors, event.fd) : descriptors_closed(descriptors, event.fd);
        if (was_open && !is_worker_door(broker, door))
            admission_leave();
        peer_gone(broker, door, peer);
    }
}

static bool is_probe(struct incoming *incoming)
{
    return incoming->frames == 1 && zmq_msg_size(&incoming->first) == 0;
}

/* One that does not begin with a probe was taken for gone: it is told to resend what it waits for. */
static void welcome(struct broker *broker, const struct peer *peer)
{
    if (is_worker_door(broker, peer->door))
        route_worker_probe(broker->route, peer->slot);
    else
        route_client_probe(broker->route, peer->slot);
}

/* Its descriptor was open when the monitor had been read, so the messages that come by it are its own. */
static struct peer *open_peer(struct broker *broker, struct door *door, struct incoming *incoming, int64_t now_ns)
{
    struct peers *peers = peers_of(broker, door);
    int fd = incoming_fd(incoming);
    broker_take_events(broker, door);
    if (!descriptors_is_open(&door->descriptors, fd))
        return NULL;
    if (door->remote)
        admission_heard(fd);
    peer_gone(broker, door, descriptors_peer(&door->descriptors, fd));
    struct peer *peer = peers_open(peers, door, zmq_msg_data(&incoming->id), zmq_msg_size(&incoming->id), fd);
    if (!peer)
        return NULL;
    if (is_worker_door(broker, door))
        route_worker_open(broker->route, peer->slot, now_ns);
    else
        peer->generation = route_client_open(broker->route, peer->slot, now_ns);
    if (!is_probe(incoming))
        welcome(broker, peer);
    return peer;
}

static struct peer *sender_of(struct broker *broker, struct door *door, struct incoming *incoming, int64_t now_ns)
{
    struct peer *peer =
        peers_find(peers_of(broker, door), door, zmq_msg_data(&incoming->id), zmq_msg_size(&incoming->id));
    return peer ? peer : open_peer(broker, door, incoming, now_ns);
}

/* ---- messages ---- */

/* OK for a whole message of two frames. */
static int decode(struct incoming *incoming, struct envelope *envelope)
{
    int status = envelope_decode(zmq_msg_data(&incoming->first), zmq_msg_size(&incoming->first), envelope);
    return status == STATUS_OK && incoming->frames != 2 ? STATUS_INVALID_ARGUMENT : status;
}

static uint32_t verb_of(struct parcel *parcel)
{
    struct control control;
    int status = control_decode(zmq_msg_data(&parcel->body), zmq_msg_size(&parcel->body), &control);
    return status == STATUS_OK ? control.verb : 0;
}

static void take_from_client(struct broker *broker, const struct peer *peer, struct incoming *incoming, int64_t now_ns)
{
    struct route_message message = {.role = ROLE_ADMIN, .remote = peer->door->remote};
    if (message.remote)
        message.role = remote_identify(&broker->remote, &incoming->first, message.principal);
    if (is_probe(incoming)) {
        route_client_probe(broker->route, peer->slot);
        return;
    }
    int status = decode(incoming, &message.envelope);
    if (status != STATUS_OK) {
        route_client_malformed(broker->route, peer->slot, status, message.envelope.first);
        return;
    }
    message.bytes = zmq_msg_size(&incoming->second->body);
    message.deadline_ns = envelope_deadline_ns(&message.envelope);
    if (message.envelope.type == MESSAGE_CONTROL)
        message.verb = verb_of(incoming->second);
    if (message.bytes > 0) {
        message.body = incoming->second;
        incoming->second = NULL;
    }
    route_client_message(broker->route, peer->slot, &message, now_ns);
}

static void take_state(struct broker *broker, const struct peer *peer, bool ready, struct parcel *parcel,
                       int64_t now_ns)
{
    struct worker_state state;
    if (worker_state_decode(zmq_msg_data(&parcel->body), zmq_msg_size(&parcel->body), &state) == STATUS_OK)
        route_worker_state(broker->route, peer->slot, ready, &state, now_ns);
    else
        route_worker_malformed(broker->route, peer->slot);
}

static void take_from_worker(struct broker *broker, const struct peer *peer, struct incoming *incoming, int64_t now_ns)
{
    struct envelope envelope;
    if (is_probe(incoming)) {
        route_worker_probe(broker->route, peer->slot);
        return;
    }
    if (decode(incoming, &envelope) != STATUS_OK) {
        route_worker_malformed(broker->route, peer->slot);
        return;
    }
    if (envelope.type == MESSAGE_HELLO) {
        route_worker_probe(broker->route, peer->slot);
    } else if (envelope.type == MESSAGE_READY || envelope.type == MESSAGE_HEARTBEAT) {
        take_state(broker, peer, envelope.type == MESSAGE_READY, incoming->second, now_ns);
    } else {
        size_t bytes = zmq_msg_size(&incoming->second->body);
        struct parcel *body = bytes > 0 ? incoming->second : NULL;
        incoming->second = body ? NULL : incoming->second;
        route_worker_message(broker->route, peer->slot, &envelope, body, bytes, now_ns);
    }
}

typedef void take_message(struct broker *broker, const struct peer *peer, struct incoming *incoming, int64_t now_ns);

static bool receive_batch(struct broker *broker, struct door *door, take_message *take)
{
    struct incoming incoming;
    for (unsigned i = 0; i < RECEIVE_BATCH; i++) {
        if (!door_receive(door, broker->pool, &incoming))
            return false;
        int64_t now_ns = clock_boot_ns();
        struct peer *peer = sender_of(broker, door, &incoming, now_ns);
        if (peer)
            take(broker, peer, &incoming, now_ns);
        else
            broker->strays++;
        if (incoming.second)
            parcel_drop(incoming.second);
        incoming_close(&incoming);
        broker_act(broker);
    }
    return true;
}

bool broker_receive_clients(struct broker *broker, struct door *door)
{
    return receive_batch(broker, door, take_from_client);
}

bool broker_receive_workers(struct broker *broker)
{
    return receive_batch(broker, &broker->workers, take_from_worker);
}
