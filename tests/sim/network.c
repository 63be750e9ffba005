/*
 * network.c - packets, bodies shared by reference, and connections that keep their own order and may end at any time.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"

#include <assert.h>

struct body *body_new(void)
{
    struct body *body = world.free_bodies;

    if (body)
        world.free_bodies = body->next;
    else
        body = malloc(sizeof *body);
    assert(body);
    body->references = 1;
    body->bytes = 0;
    body->count = body->from_wire = body->out_wire = 0;
    return body;
}

void body_drop(struct body *body)
{
    if (!body)
        return;
    assert(body->references > 0);
    if (--body->references > 0)
        return;
    body->next = world.free_bodies;
    world.free_bodies = body;
}

struct packet *packet_new(uint8_t type)
{
    struct packet *packet = world.free_packets;

    if (packet)
        world.free_packets = packet->next;
    else
        packet = malloc(sizeof *packet);
    assert(packet);
    packet->next = NULL;
    packet->envelope = (struct envelope){.version = ENVELOPE_VERSION, .type = type};
    packet->body = NULL;
    packet->probe = packet->counted = false;
    return packet;
}

void packet_free(struct packet *packet)
{
    if (packet->counted)
        broker_released(packet);
    body_drop(packet->body);
    packet->next = world.free_packets;
    world.free_packets = packet;
}

void queue_put(struct queue *queue, struct packet *packet)
{
    packet->next = NULL;
    if (queue->tail)
        queue->tail->next = packet;
    else
        queue->head = packet;
    queue->tail = packet;
    queue->count++;
}

struct packet *queue_take(struct queue *queue)
{
    struct packet *packet = queue->head;

    if (!packet)
        return NULL;
    queue->head = packet->next;
    if (!queue->head)
        queue->tail = NULL;
    queue->count--;
    return packet;
}

/* Keeps the first `count`. */
static void cut_queue(struct queue *queue, size_t count)
{
    struct queue kept = {NULL, NULL, 0};
    struct packet *packet;

    while ((packet = queue_take(queue)))
        if (kept.count < count)
            queue_put(&kept, packet);
        else
            packet_free(packet);
    *queue = kept;
}

struct wire *wire_open(bool to_worker, uint32_t owner)
{
    struct wire *wire = NULL;

    for (size_t i = 0; !wire && i < WIRES; i++)
        if (!world.wires[i].used)
            wire = &world.wires[i];
    if (!wire)
        return NULL;
    *wire = (struct wire){.used = true, .to_worker = to_worker, .owner = owner, .serial = ++world.wire_serial};
    world.wire_order[world.wire_count++] = (uint32_t)(wire - world.wires);
    return wire;
}

struct wire *wire_of_serial(uint32_t serial)
{
    for (size_t i = 0; serial && i < world.wire_count; i++)
        if (world.wires[world.wire_order[i]].serial == serial)
            return &world.wires[world.wire_order[i]];
    return NULL;
}

static void free_wire(struct wire *wire)
{
    size_t at = 0;

    cut_queue(&wire->up, 0);
    cut_queue(&wire->down, 0);
    while (world.wire_order[at] != (uint32_t)(wire - world.wires))
        at++;
    world.wire_order[at] = world.wire_order[--world.wire_count];
    wire->used = false;
}

/* A worker may have taken some of what was sent to it. */
static void keep_late(struct wire *wire)
{
    struct sim_worker *worker = &world.workers[wire->owner];
    size_t count = roll(wire->down.count + 1);

    if (!worker->alive || worker->life != wire->life)
        return;
    worker->late_ns = world.now_ns + (int64_t)roll(roll(2) ? 60 : 1) * NS_PER_MS;
    while (count-- > 0 && worker->late.count < WIRE_PACKETS) {
        struct packet *packet = queue_take(&wire->down);
        if (packet->envelope.type == MESSAGE_HELLO) /* it speaks of the connection */
            packet_free(packet);
        else
            queue_put(&worker->late, packet);
    }
}

void wire_break(struct wire *wire)
{
    assert(!wire->owner_gone);
    wire->owner_gone = true;
    if (wire->to_worker)
        keep_late(wire);
    cut_queue(&wire->down, 0);
    cut_queue(&wire->up, roll(wire->up.count + 1));
    wire->stalled_ns = world.now_ns + (int64_t)roll(roll(2) ? 60 : 1) * NS_PER_MS;
}

void wire_forget(struct wire *wire)
{
    if (!wire->owner_gone && wire->to_worker) {
        keep_late(wire);
        worker_lose_wire(&world.workers[wire->owner]);
    } else if (!wire->owner_gone) {
        handle_lose_wire(&world.handles[wire->owner]);
    }
    free_wire(wire);
}
