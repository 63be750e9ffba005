/*
 * worker.c - what writer and readers share: they connect, say READY and HEARTBEAT, take messages, end.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"

enum { BEAT_MS = 1000 };

static bool is_writer(const struct sim_worker *worker)
{
    return worker == &world.workers[WRITER];
}

static void start(struct sim_worker *worker)
{
    struct queue none = {NULL, NULL, 0};

    *worker = (struct sim_worker){.life = ++world.life, .beat_ns = world.now_ns, .late = none};
    worker->alive = !is_writer(worker) || writer_start(worker);
}

void worker_lose_wire(struct sim_worker *worker)
{
    worker->wire = NULL;
    worker->welcomed = false;
}

/* What it had in hand is gone; the broker hears of it later. */
void worker_kill(struct sim_worker *worker)
{
    struct packet *packet;

    if (is_writer(worker))
        writer_stop(worker);
    else
        reader_stop(worker);
    worker->alive = false;
    while ((packet = queue_take(&worker->late)))
        packet_free(packet);
    if (worker->wire)
        wire_break(worker->wire);
    worker_lose_wire(worker);
    worker->start_ns = world.now_ns + (int64_t)roll(world.calm || roll(4) ? 30 : 400) * NS_PER_MS;
    if (trouble(30))
        worker->start_ns += 3 * NS_PER_S; /* longer than the broker lets requests wait */
}

static void connect(struct sim_worker *worker)
{
    if (!world.broker.route)
        return;
    worker->wire = wire_open(true, (uint32_t)(worker - world.workers));
    if (!worker->wire)
        return;
    worker->wire->life = worker->life;
    worker->wire->epoch = worker->epoch;
    worker->welcomed = false;
    queue_put(&worker->wire->up, packet_new(0));
    worker->wire->up.tail->probe = true;
}

static void say_state(struct sim_worker *worker, uint8_t type)
{
    struct packet *packet = packet_new(type);

    packet->state = (struct worker_state){.role = is_writer(worker) ? ROLE_WRITER : ROLE_READER,
                                          .life = worker->life,
                                          .pid = 1,
                                          .epoch = world.control == CONTROL_EPOCHS ? 1 : worker->epoch,
                                          .session_counter = world.store.session_counter,
                                          .incarnation = "the store",
                                          .revision = world.store.revision,
                                          .path = span_text("/db")};
    queue_put(&worker->wire->up, packet);
}

static void ready(struct sim_worker *worker)
{
    if (worker->wire && worker->welcomed && !worker->leaving && (is_writer(worker) || worker->saw_writer))
        say_state(worker, MESSAGE_READY);
}

static void take_hello(struct sim_worker *worker, const struct packet *packet)
{
    bool first = packet->hello.writer_epoch && !worker->saw_writer;

    worker->saw_writer |= packet->hello.writer_epoch != 0;
    if (packet->envelope.flags & ENVELOPE_WELCOME) {
        worker->welcomed = true;
        if (!is_writer(worker))
            reader_stop(worker); /* what an earlier connection asked for is nobody's any more */
    }
    if (packet->envelope.flags & ENVELOPE_WELCOME || first)
        ready(worker);
}

static void take(struct sim_worker *worker, struct packet *packet)
{
    world.counters.events++;
    switch (packet->envelope.type) {
    case MESSAGE_HELLO:
        take_hello(worker, packet);
        break;
    case MESSAGE_DRAIN:
        worker->leaving = true;
        break;
    default:
        if (is_writer(worker))
            writer_take(worker, packet);
        else
            reader_take(worker, packet);
        return;
    }
    packet_free(packet);
}

static bool has_hands_free(const struct sim_worker *worker)
{
    return !is_writer(worker) || worker->pending_count < PENDING;
}

static void take_arrived(struct sim_worker *worker)
{
    struct packet *packet;

    for (uint64_t most = 1 + roll(PENDING); most > 0 && has_hands_free(worker); most--) {
        packet = worker->late.count && world.now_ns >= worker->late_ns ? queue_take(&worker->late)
                 : worker->wire                                        ? queue_take(&worker->wire->down)
                                                                       : NULL;
        if (!packet)
            return;
        take(worker, packet);
    }
}

void worker_answer(struct sim_worker *worker, const struct envelope *to, uint8_t type, uint16_t flags, uint32_t piece,
                   int32_t status, struct body *body)
{
    struct packet *packet;

    if (!worker->wire) {
        body_drop(body);
        return;
    }
    packet = packet_new(type);
    packet->envelope = *to;
    packet->envelope.type = type;
    packet->envelope.flags = flags;
    packet->envelope.piece = piece;
    packet->envelope.status = status;
    packet->envelope.count = body ? body->count : 0;
    packet->body = body;
    queue_put(&worker->wire->up, packet);
}

/* All is answered: it says so and ends. */
static void leave(struct sim_worker *worker)
{
    bool idle = is_writer(worker) ? worker->pending_count == 0 : reader_is_idle(worker);

    if (!worker->leaving || !idle || !worker->wire || worker->wire->down.count)
        return;
    queue_put(&worker->wire->up, packet_new(MESSAGE_GOODBYE));
    world.wires[worker->wire - world.wires].owner_gone = true; /* nothing of what it sent is lost */
    worker->wire = NULL;
    worker_kill(worker);
}

void worker_turn(struct sim_worker *worker)
{
    if (!worker->alive) {
        if (world.now_ns >= worker->start_ns)
            start(worker);
        return;
    }
    if (world.now_ns < worker->suspended_ns)
        return;
    if (!worker->wire && !worker->leaving && roll(5) == 0)
        connect(worker);
    if (worker->welcomed && world.now_ns >= worker->beat_ns) {
        worker->beat_ns = world.now_ns + BEAT_MS * NS_PER_MS;
        say_state(worker, MESSAGE_HEARTBEAT);
    }
    take_arrived(worker);
    if (is_writer(worker))
        writer_work(worker);
    else
        reader_work(worker);
    if (worker->alive)
        leave(worker);
}
