/*
 * faults.c - connections that break, processes that die or stand still, clocks that jump; and when all is well again.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"

void faults_count(uint64_t *counter)
{
    ++*counter;
    world.counters.faults++;
    world.counters.events++;
    world.weather++;
    world.healthy_ns = INT64_MAX;
}

static struct sim_handle *any_handle(void)
{
    return &world.handles[roll(HANDLES)];
}

static struct sim_worker *any_worker(void)
{
    return &world.workers[roll(WORKERS)];
}

static void break_some_wire(void)
{
    struct sim_handle *handle = any_handle();
    struct sim_worker *worker = any_worker();

    faults_count(&world.counters.breaks);
    if (roll(4) && handle->wire) {
        wire_break(handle->wire);
        handle_lose_wire(handle);
    } else if (worker->wire) {
        wire_break(worker->wire);
        worker_lose_wire(worker);
    }
}

/* A short stop, or one that others notice. */
static int64_t draw_stop(void)
{
    return world.now_ns + (int64_t)(roll(12) ? roll(60) : roll(6000)) * NS_PER_MS;
}

static void suspend_something(void)
{
    faults_count(&world.counters.suspensions);
    switch (roll(4)) {
    case 0:
        world.broker.suspended_ns = world.now_ns + (int64_t)roll(60) * NS_PER_MS;
        break;
    case 1:
        any_handle()->suspended_ns = draw_stop();
        break;
    case 2:
        any_worker()->suspended_ns = draw_stop();
        break;
    default:
        if (world.wire_count)
            world.wires[world.wire_order[roll(world.wire_count)]].stalled_ns = draw_stop();
    }
}

static void kill_worker(struct sim_worker *worker)
{
    if (!worker->alive)
        return;
    faults_count(worker == &world.workers[WRITER] ? &world.counters.writer_deaths : &world.counters.reader_deaths);
    worker_kill(worker);
}

static void kill_broker(void)
{
    if (!world.broker.route)
        return;
    faults_count(&world.counters.broker_deaths);
    broker_kill();
}

static void end_handle(void)
{
    if (world.lineage_count == LINEAGES)
        return;
    faults_count(&world.counters.client_deaths);
    if (roll(2))
        handle_kill(any_handle());
    else
        handle_close(any_handle());
}

static void drain(void)
{
    if (!world.broker.route || world.broker.draining || roll(4))
        return;
    faults_count(&world.counters.drains);
    broker_drain();
}

void faults_maybe(void)
{
    if (world.broker.finished)
        kill_broker();
    if (!trouble(700))
        return;
    switch (roll(12)) {
    case 0:
        kill_worker(&world.workers[WRITER]);
        break;
    case 1:
        kill_worker(any_worker());
        break;
    case 2:
        kill_broker();
        break;
    case 3:
        end_handle();
        break;
    case 4:
        drain();
        break;
    case 5:
    case 6:
        suspend_something();
        break;
    default:
        break_some_wire();
    }
}

/* ---- health ---- */

static bool handles_are_well(void)
{
    for (size_t i = 0; i < HANDLES; i++) {
        const struct sim_handle *handle = &world.handles[i];
        if (!handle->wire || !handle->welcomed || handle->suspended_ns > world.now_ns ||
            handle->hello.writer_epoch != (world.control == CONTROL_EPOCHS ? 1 : world.store.epoch))
            return false;
    }
    return true;
}

static bool workers_are_well(void)
{
    struct route_worker_view view;
    unsigned ready = 0;

    for (size_t i = 0; i < WORKERS; i++)
        if (!world.workers[i].alive || !world.workers[i].welcomed || world.workers[i].suspended_ns > world.now_ns)
            return false;
    for (uint32_t slot = 0; slot < WORKER_SLOTS; slot++)
        ready += route_view_worker(world.broker.route, slot, world.now_ns, &view) && strcmp(view.state, "ready") == 0;
    return ready == WORKERS;
}

static bool wires_are_well(void)
{
    for (size_t i = 0; i < world.wire_count; i++)
        if (world.wires[world.wire_order[i]].stalled_ns > world.now_ns)
            return false;
    return true;
}

void faults_look_at_health(void)
{
    bool well = world.calm && world.broker.route && !world.broker.draining &&
                world.broker.suspended_ns <= world.now_ns && handles_are_well() && workers_are_well() &&
                wires_are_well();

    if (!well)
        world.healthy_ns = INT64_MAX;
    else if (world.healthy_ns == INT64_MAX)
        world.healthy_ns = world.now_ns;
}
