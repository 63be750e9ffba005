/*
 * main.c - runs histories of the simulated service from a seed, and says what they met.
 *
 *     sim [--seed S] [--events N] [--control NAME]
 *
 * A history is a few hundred thousand steps, in storms and calms by turns; then everything must come to its end.  One
 * that breaks an invariant prints its seed, with which it begins when run again.  With --control something is broken on
 * purpose, and only what is caught ends with 0.  An event is a message taken, a call asked or ended, a group of the
 * writer, a look at the clock, or a fault.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

enum { STEPS = 300000, PHASE_STEPS = 50000, HEALTH_STEPS = 256, END_STEPS = 3000000 };

/* ---- one history ---- */

static void set_limits(void)
{
    world.limits = route_limits_default(0);
    world.limits.max_message_bytes = 6000;
    world.limits.uncredited_bytes = 1500;
    world.limits.client_request_bytes = 8000;
    world.limits.request_bytes = 24000;
    world.limits.client_reply_bytes = 6000;
    world.limits.reply_bytes = 20000;
    world.limits.group_requests = 4 + (uint32_t)roll(40);
    world.limits.client_messages = 40;
    world.limits.messages = 100;
    world.limits.clients = CLIENT_SLOTS;
    world.limits.workers = WORKER_SLOTS;
    world.judged_limits = world.limits;
    if (world.control == CONTROL_BOUNDS) {
        world.limits.client_request_bytes *= 2;
        world.limits.request_bytes = 12000;
        world.judged_limits.request_bytes = 6000;
    }
}

static void begin(uint64_t seed, enum planted control)
{
    struct world fresh = {.seed = seed,
                          .random = seed * UINT64_C(0xd1342543de82ef95),
                          .control = control,
                          .now_ns = 1000 * NS_PER_S,
                          .healthy_ns = INT64_MAX,
                          .calls = world.calls,
                          .arena = world.arena,
                          .free_packets = world.free_packets,
                          .free_bodies = world.free_bodies,
                          .counters = world.counters};

    world = fresh;
    world.few_sessions = control == CONTROL_EVICTED || (control != CONTROL_REPLAY && roll(3) == 0);
    world.store.first_row = 1;
    world.store.session_counter = 7;
    set_limits();
    broker_start();
    for (size_t i = 0; i < HANDLES; i++)
        handle_start(&world.handles[i]);
}

static void pass_time(void)
{
    world.now_ns += (int64_t)roll(30) * 1000;
    if (roll(3000) == 0)
        world.now_ns += (int64_t)roll(world.calm ? 10 : 60) * NS_PER_MS;
    if (trouble(50000))
        world.now_ns += (int64_t)roll(6000) * NS_PER_MS;
}

static void step(void)
{
    uint64_t who = roll(100);

    pass_time();
    if (who < 40)
        broker_turn();
    else if (who < 75)
        handle_turn(&world.handles[roll(HANDLES)]);
    else if (who < 88)
        worker_turn(&world.workers[WRITER]);
    else
        worker_turn(&world.workers[roll(READERS)]);
    faults_maybe();
}

static void change_weather(bool calm)
{
    if (calm == world.calm)
        return;
    world.calm = calm;
    world.weather++;
    world.healthy_ns = INT64_MAX;
}

static bool all_have_ended(void)
{
    for (size_t i = 0; i < HANDLES; i++)
        if (world.handles[i].open_count)
            return false;
    return true;
}

static void clear(void)
{
    for (size_t i = 0; i < HANDLES; i++) {
        handle_kill(&world.handles[i]);
        remote_session_free(&world.handles[i].session);
        remote_reads_free(&world.handles[i].reads);
    }
    for (size_t i = 0; i < WORKERS; i++)
        if (world.workers[i].alive)
            worker_kill(&world.workers[i]);
    if (world.broker.route)
        broker_kill();
    session_table_free(&world.astray);
    store_clear();
    world.counters.histories++;
}

static void run_history(uint64_t seed, enum planted control)
{
    begin(seed, control);
    for (unsigned i = 0; i < STEPS; i++) {
        if (i % PHASE_STEPS == 0)
            change_weather(i / PHASE_STEPS % 2);
        if (i % HEALTH_STEPS == 0)
            faults_look_at_health();
        step();
    }
    change_weather(true);
    world.finishing = true;
    for (unsigned i = 0; !all_have_ended(); i++) {
        if (i == END_STEPS)
            violation("calls are open that never end");
        step();
    }
    clear();
}

/* ---- the run ---- */

/* X(counter): what every long run must have met, or it proves little. */
#define MET(X)       \
    X(done)          \
    X(conflicts)     \
    X(given_up)      \
    X(lost)          \
    X(not_applied)   \
    X(maybe)         \
    X(reads)         \
    X(pieces)        \
    X(lists_done)    \
    X(fair)          \
    X(resent)        \
    X(skips)         \
    X(out_of_order)  \
    X(replayed)      \
    X(below_floor)   \
    X(evicted)       \
    X(redispatched)  \
    X(expired)       \
    X(overloaded)    \
    X(unavailable)   \
    X(dropped_late)  \
    X(grants)        \
    X(worker_deaths) \
    X(broker_deaths) \
    X(writer_deaths) \
    X(reader_deaths) \
    X(client_deaths) \
    X(closes)        \
    X(breaks)        \
    X(suspensions)   \
    X(drains)        \
    X(faults)

static bool report(double seconds)
{
    const struct sim_counters *c = &world.counters;
    bool met_all = true;

    printf("%" PRIu64 " events in %" PRIu64 " histories, %.2f million a second of CPU time\n", c->events, c->histories,
           (double)c->events / seconds / 1e6);
#define PRINT_MET(name)                     \
    printf(" %s %" PRIu64, #name, c->name); \
    met_all = met_all && c->name > 0;
    MET(PRINT_MET)
#undef PRINT_MET
    printf(" false_alarms %" PRIu64 "\n", c->false_alarms);
    return met_all;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool find_control(const char *name, enum planted *control)
{
    static const char *const names[] = {
#define CONTROL_NAME(name, text) #name,
        CONTROLS(CONTROL_NAME)
#undef CONTROL_NAME
    };
    for (unsigned i = 0; i < CONTROL_COUNT; i++) {
        *control = (enum planted)i;
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static int usage(void)
{
    fputs("usage: sim [--seed S] [--events N] [--control NAME]\ncontrols:\n", stderr);
#define PRINT_CONTROL(name, text) fprintf(stderr, "  %-10s %s\n", #name, text);
    CONTROLS(PRINT_CONTROL)
#undef PRINT_CONTROL
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, events = 10000000;
    enum planted control = CONTROL_NONE;
    double began_s = now_s();

    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--events") == 0)
            events = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--control") != 0 || !find_control(argv[i + 1], &control))
            return usage();
    if (argc % 2 == 0)
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("--seed %" PRIu64 " --events %" PRIu64 "\n", seed, events);
    world.calls = calloc(CALLS, sizeof *world.calls);
    world.arena = arena_new(0);
    assert(world.calls && world.arena);
    for (uint64_t i = 0; world.counters.events < events; i++)
        run_history(seed + i, control);
    bool met_all = report(now_s() - began_s);
    free(world.calls);
    arena_free(&world.arena);
    if (control != CONTROL_NONE) {
        puts("what was broken has not been caught");
        return 1;
    }
    if (events >= 5000000 && !met_all) {
        puts("the run has not met all that it should");
        return 1;
    }
    return 0;
}
