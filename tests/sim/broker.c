/*
 * broker.c - the broker's process around the real route: its peers, its clock, its deaths.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"

#include <assert.h>

static struct sim_broker *const broker = &world.broker;

void broker_start(void)
{
    *broker = (struct sim_broker){.life = ++world.life};
    broker->route = route_new(&world.limits, broker->life, world.now_ns);
    broker->tick_ns = world.now_ns;
    assert(broker->route);
}

void broker_released(const struct packet *packet)
{
    if (broker->route && packet->envelope.life == broker->life)
        route_released(broker->route, packet->slot, packet->generation, packet->bytes, world.now_ns);
}

static struct wire *client_wire(uint32_t slot)
{
    return broker->clients[slot] ? &world.wires[broker->clients[slot] - 1] : NULL;
}

static struct wire *worker_wire(uint32_t slot)
{
    return broker->workers[slot] ? &world.wires[broker->workers[slot] - 1] : NULL;
}

/* ---- what the route decides ---- */

static void drop_answer(const struct action *action)
{
    if (action->body)
        broker->bodies--;
    body_drop(action->body);
    route_released(broker->route, action->slot, action->generation, action->bytes, world.now_ns);
}

static struct packet *answer_packet(const struct action *action)
{
    struct packet *packet = packet_new(action->envelope.type);

    packet->envelope = action->envelope;
    packet->envelope.life = broker->life;
    packet->body = action->body;
    packet->counted = true;
    packet->slot = action->slot;
    packet->generation = action->generation;
    packet->bytes = action->bytes;
    return packet;
}

static void to_client(const struct action *action)
{
    struct wire *wire = client_wire(action->slot);

    if (!wire || wire->generation != action->generation) {
        drop_answer(action);
        return;
    }
    if (action->envelope.type != MESSAGE_CREDIT)
        judge_answered(wire, &action->envelope);
    if (world.control == CONTROL_REPEATED && action->envelope.type == MESSAGE_REPLY && roll(5000) == 0)
        judge_answered(wire, &action->envelope);
    if (wire->owner_gone ||
        (world.control == CONTROL_DROPPED && action->envelope.type == MESSAGE_REPLY && roll(5000) == 0) ||
        (world.control == CONTROL_PIECES && action->envelope.type == MESSAGE_STREAM && roll(500) == 0)) {
        drop_answer(action);
        return;
    }
    if (action->body)
        broker->bodies--;
    queue_put(&wire->down, answer_packet(action));
}

static void hello(struct wire *wire, uint16_t flags, const struct action *action)
{
    struct packet *packet = packet_new(MESSAGE_HELLO);

    packet->envelope.flags = flags;
    packet->envelope.life = broker->life;
    route_hello(broker->route, &packet->hello);
    if (!wire->to_worker) {
        packet->counted = true;
        packet->slot = action->slot;
        packet->generation = action->generation;
        packet->bytes = 0;
    }
    queue_put(&wire->down, packet);
}

static void hello_client(const struct action *action)
{
    struct wire *wire = client_wire(action->slot);

    if (wire && wire->generation == action->generation && !wire->owner_gone)
        hello(wire, action->envelope.flags, action);
    else
        route_released(broker->route, action->slot, action->generation, 0, world.now_ns);
}

static void to_worker(const struct action *action)
{
    struct wire *wire = worker_wire(action->slot);
    struct packet *packet;

    if (!wire)
        return;
    judge_dispatched(wire, &action->envelope, action->body);
    if (wire->owner_gone)
        return;
    packet = packet_new(action->envelope.type);
    packet->envelope = action->envelope;
    packet->body = action->body;
    if (packet->body)
        packet->body->references++;
    queue_put(&wire->down, packet);
}

static void close_client(struct wire *wire)
{
    if (wire->opened) {
        broker->clients[wire->slot] = 0;
        route_client_gone(broker->route, wire->slot, world.now_ns);
    }
    wire_forget(wire);
}

static void close_worker(struct wire *wire)
{
    if (wire->opened) {
        broker->workers[wire->slot] = 0;
        route_worker_gone(broker->route, wire->slot, world.now_ns);
    }
    wire_forget(wire);
}

static void take(struct action *action)
{
    struct wire *wire;

    switch (action->type) {
    case ACTION_TO_CLIENT:
        to_client(action);
        break;
    case ACTION_TO_WORKER:
        to_worker(action);
        break;
    case ACTION_HELLO_CLIENT:
        hello_client(action);
        break;
    case ACTION_HELLO_WORKER:
        wire = worker_wire(action->slot);
        if (wire && !wire->owner_gone)
            hello(wire, action->envelope.flags, action);
        break;
    case ACTION_STATUS:
        route_answer_status(broker->route, action->slot, action->generation, action->envelope.first, STATUS_OK, NULL,
                            0);
        break;
    case ACTION_CUT_CLIENT:
        wire = client_wire(action->slot);
        if (wire && wire->generation == action->generation) {
            faults_count(&world.counters.cut);
            close_client(wire);
        }
        break;
    case ACTION_RELEASE:
        broker->bodies--;
        judge_released(action->body);
        body_drop(action->body);
        break;
    case ACTION_FINISHED:
        broker->finished = true;
        break;
    }
}

static void act(void)
{
    struct action action;

    while (route_next_action(broker->route, &action))
        take(&action);
}

/* ---- what peers say ---- */

static bool find_slot(const uint32_t *slots, uint32_t count, uint32_t *slot)
{
    for (*slot = 0; *slot < count; ++*slot)
        if (!slots[*slot])
            return true;
    return false;
}

static bool open_wire(struct wire *wire)
{
    uint32_t index = (uint32_t)(wire - world.wires) + 1;

    if (wire->to_worker ? !find_slot(broker->workers, WORKER_SLOTS, &wire->slot)
                        : !find_slot(broker->clients, CLIENT_SLOTS, &wire->slot))
        return false;
    wire->opened = true;
    if (wire->to_worker) {
        broker->workers[wire->slot] = index;
        route_worker_open(broker->route, wire->slot, world.now_ns);
    } else {
        broker->clients[wire->slot] = index;
        wire->generation = route_client_open(broker->route, wire->slot, world.now_ns);
    }
    return true;
}

/* Takes the packet's body over. */
static struct body *adopt(struct packet *packet)
{
    struct body *body = packet->body;

    packet->body = NULL;
    if (body)
        broker->bodies++;
    return body;
}

static void from_client(struct wire *wire, struct packet *packet)
{
    struct route_message message = {.envelope = packet->envelope,
                                    .deadline_ns = packet->envelope.deadline_ns,
                                    .bytes = packet->body ? packet->body->bytes : 0,
                                    .role = ROLE_ADMIN};

    if (packet->probe) {
        route_client_probe(broker->route, wire->slot);
        return;
    }
    if (packet->envelope.type == MESSAGE_READ || packet->envelope.type == MESSAGE_WRITE)
        judge_asked(wire, &packet->envelope, packet->body);
    message.body = adopt(packet);
    route_client_message(broker->route, wire->slot, &message, world.now_ns);
}

static void from_worker(struct wire *wire, struct packet *packet)
{
    uint64_t bytes = packet->body ? packet->body->bytes : 0;

    if (packet->probe) {
        route_worker_probe(broker->route, wire->slot);
        return;
    }
    if (packet->envelope.type == MESSAGE_READY || packet->envelope.type == MESSAGE_HEARTBEAT) {
        if (packet->envelope.type == MESSAGE_READY && packet->state.role == ROLE_WRITER &&
            wire->epoch > broker->best_epoch)
            broker->best_epoch = wire->epoch;
        route_worker_state(broker->route, wire->slot, packet->envelope.type == MESSAGE_READY, &packet->state,
                           world.now_ns);
        return;
    }
    route_worker_message(broker->route, wire->slot, &packet->envelope, adopt(packet), bytes, world.now_ns);
}

static void receive(struct wire *wire)
{
    struct packet *packet = queue_take(&wire->up);

    world.counters.events++;
    if (!wire->opened && !open_wire(wire)) {
        packet_free(packet);
        wire_forget(wire);
        return;
    }
    if (wire->to_worker)
        from_worker(wire, packet);
    else
        from_client(wire, packet);
    packet_free(packet);
    act();
}

static void tick(void)
{
    if (world.control == CONTROL_LATE || world.now_ns < route_next_ns(broker->route, broker->tick_ns))
        return;
    broker->tick_ns = world.now_ns;
    route_tick(broker->route, world.now_ns);
    act();
    world.counters.events++;
    judge_route();
}

/* A wire that has something for the broker. */
static struct wire *next_wire(void)
{
    size_t from = roll(world.wire_count + 1);

    for (size_t i = 0; i < world.wire_count; i++) {
        struct wire *wire = &world.wires[world.wire_order[(from + i) % world.wire_count]];
        if (world.now_ns >= wire->stalled_ns && (wire->up.count || wire->owner_gone))
            return wire;
    }
    return NULL;
}

/* That the peer has gone is heard of behind all it said, and not at once. */
static void hear_of_end(struct wire *wire)
{
    if (roll(20) != 0)
        return;
    if (wire->to_worker)
        close_worker(wire);
    else
        close_client(wire);
    act();
}

void broker_turn(void)
{
    struct wire *wire;

    if (!broker->route) {
        if (world.now_ns >= broker->start_ns)
            broker_start();
        return;
    }
    if (world.now_ns < broker->suspended_ns)
        return;
    act(); /* what answers that were taken have set free */
    tick();
    if (world.now_ns >= broker->judged_ns) {
        judge_time();
        broker->judged_ns = world.now_ns + 20 * NS_PER_MS;
    }
    for (int i = 0; i < 4 && (wire = next_wire()); i++)
        if (wire->up.count)
            receive(wire);
        else
            hear_of_end(wire);
}

void broker_drain(void)
{
    broker->draining = true;
    route_drain(broker->route, world.now_ns);
    act();
}

/* ---- death ---- */

static void count(const struct route_counters *met)
{
    world.counters.redispatched += met->redispatched;
    world.counters.expired += met->expired;
    world.counters.overloaded += met->overloaded;
    world.counters.unavailable += met->unavailable;
    world.counters.dropped_late += met->dropped_late;
    world.counters.worker_deaths += met->worker_deaths;
}

/* Nothing that it decides now goes anywhere, but all that it holds must come to light. */
static void let_go(void)
{
    struct action action;

    for (uint32_t slot = 0; slot < CLIENT_SLOTS; slot++)
        if (broker->clients[slot])
            route_client_gone(broker->route, slot, world.now_ns);
    while (route_next_action(broker->route, &action)) {
        if (action.type != ACTION_RELEASE && action.type != ACTION_TO_CLIENT)
            continue;
        broker->bodies -= action.body != NULL;
        body_drop(action.body);
    }
    if (broker->bodies != 0)
        violation("the broker holds %lld bodies of clients that went", (long long)broker->bodies);
}

void broker_kill(void)
{
    struct route_view view;
    struct route *route = broker->route;

    let_go();
    route_view(route, &view);
    if (view.request_bytes + view.granted_bytes + view.reserved_bytes != 0)
        violation("the broker counts bytes of clients that went");
    count(&view.counters);
    broker->route = NULL;
    broker->draining = broker->finished = false;
    broker->start_ns = world.now_ns + (int64_t)roll(world.calm || roll(4) ? 30 : 300) * NS_PER_MS;
    route_free(&route);
    while (world.wire_count)
        wire_forget(&world.wires[world.wire_order[0]]);
}
