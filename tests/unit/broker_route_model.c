/*
 * broker_route_model.c - the route under random events, against what must hold whatever happens.
 *
 * Each request of a client that stays is answered exactly once; a writer gets one client's writes in their order; when
 * all is over nothing is held.
 */
#include "tests/unit/broker_sim.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 4,
    WORKERS = 4, /* 0 and 1 read, 2 and 3 write */
    NUMBERS = 4096,
    STEPS = 6000,
    OUT_MOST = 4096,
    ROUNDS = 20,
};

struct model {
    struct sim sim;
    uint64_t random, life, epoch;
    uint64_t next[CLIENTS];
    uint8_t open[CLIENTS][NUMBERS]; /* unanswered: the type; and the pieces seen */
    uint32_t pieces[CLIENTS][NUMBERS];
    bool worker_is_here[WORKERS];
    uint64_t worker_life[WORKERS];
    uint64_t last_write[CLIENTS]; /* that the present writer got */
    struct {
        struct action action;
        uint64_t life; /* of the worker that has it */
        uint32_t pieces;
    } out[OUT_MOST];
    size_t out_count;
};

static struct model model;

static uint64_t roll(uint64_t most)
{
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return model.random % most;
}

/* The number says whose it is. */
static uint64_t number_of(uint32_t slot, uint64_t index)
{
    return (uint64_t)slot << 32 | index;
}

static void judge_answer(const struct action *answer)
{
    if (answer->envelope.type == MESSAGE_CREDIT)
        return;
    uint32_t slot = answer->slot;
    uint64_t index = answer->envelope.first & 0xffffffff;
    assert_int_equal(answer->envelope.first >> 32, slot);
    assert_true(model.open[slot][index]);
    if (answer->envelope.type == MESSAGE_STREAM) {
        assert_int_equal(answer->envelope.piece, model.pieces[slot][index]);
        model.pieces[slot][index]++;
    }
    if (answer->envelope.type == MESSAGE_REPLY || (answer->envelope.flags & ENVELOPE_LAST))
        model.open[slot][index] = 0;
}

static void judge_forwarded(const struct action *action)
{
    uint8_t type = action->envelope.type;
    if (type != MESSAGE_READ && type != MESSAGE_WRITE)
        return;
    assert_true(model.worker_is_here[action->slot]);
    assert_int_equal(type == MESSAGE_WRITE, action->slot >= 2);
    if (type == MESSAGE_WRITE) {
        uint64_t slot = action->envelope.first >> 32;
        assert_true(action->envelope.first > model.last_write[slot]);
        model.last_write[slot] = action->envelope.first;
    }
    assert_true(model.out_count < OUT_MOST);
    model.out[model.out_count].action = *action;
    model.out[model.out_count].life = model.worker_life[action->slot];
    model.out[model.out_count++].pieces = 0;
}

static void judge(void)
{
    while (sim_has_answer(&model.sim)) {
        struct action answer = sim_answer(&model.sim);
        judge_answer(&answer);
    }
    while (sim_has_forwarded(&model.sim)) {
        struct action action = sim_forwarded(&model.sim);
        judge_forwarded(&action);
    }
}

/* ---- events ---- */

static void request(void)
{
    uint32_t slot = (uint32_t)roll(CLIENTS);
    uint64_t index = model.next[slot] + 1;
    if (!model.sim.is_open[slot] || index >= NUMBERS)
        return;
    bool write = roll(2);
    struct route_message message =
        sim_message(&model.sim, write ? MESSAGE_WRITE : MESSAGE_READ, number_of(slot, index));
    message.deadline_ns = model.sim.now_ns + (int64_t)(50 + roll(3000)) * NS_PER_MS;
    if (!write && roll(4) == 0) {
        message.envelope.flags = ENVELOPE_STREAM;
        message.envelope.bytes = roll(5000);
    }
    model.next[slot]++;
    model.open[slot][index] = message.envelope.type;
    model.pieces[slot][index] = 0;
    sim_send(&model.sim, slot, message, roll(2000));
}

static void annoy(void)
{
    uint32_t slot = (uint32_t)roll(CLIENTS);
    if (!model.sim.is_open[slot] || model.next[slot] == 0)
        return;
    uint64_t first = number_of(slot, roll(model.next[slot]));
    bool credit = roll(2);
    struct route_message message = sim_message(&model.sim, credit ? MESSAGE_CREDIT : MESSAGE_CANCEL, first);
    message.envelope.flags = roll(2) ? ENVELOPE_STREAM : 0;
    message.envelope.bytes = roll(100000);
    sim_send(&model.sim, slot, message, 0);
}

static void work(void)
{
    if (model.out_count == 0)
        return;
    size_t at = roll(4) ? 0 : (size_t)roll(model.out_count);
    struct action *action = &model.out[at].action;
    struct action copy = *action;
    bool here = model.worker_is_here[action->slot] && model.worker_life[action->slot] == model.out[at].life;
    bool piece = (action->envelope.flags & ENVELOPE_STREAM) && roll(3);
    uint32_t pieces = model.out[at].pieces++;
    if (!here || !piece) {
        memmove(&model.out[at], &model.out[at + 1], (model.out_count - at - 1) * sizeof model.out[0]);
        model.out_count--;
    }
    if (here && piece)
        sim_piece(&model.sim, &copy, pieces, false, roll(3000));
    else if (here && (copy.envelope.flags & ENVELOPE_STREAM))
        sim_piece(&model.sim, &copy, pieces, true, roll(3000));
    else if (here)
        sim_reply(&model.sim, &copy, STATUS_OK, roll(3000));
}

static void start_worker(uint32_t slot)
{
    model.worker_is_here[slot] = true;
    model.worker_life[slot] = ++model.life;
    if (slot >= 2) {
        memset(model.last_write, 0, sizeof model.last_write);
        model.epoch++;
    }
    sim_worker(&model.sim, slot, slot < 2 ? ROLE_READER : ROLE_WRITER, model.life, model.epoch);
}

static void stop_worker(uint32_t slot)
{
    model.worker_is_here[slot] = false;
    sim_worker_gone(&model.sim, slot);
}

/* One writer at a time: a second would be refused the lock. */
static void change_worker(void)
{
    uint32_t slot = (uint32_t)roll(WORKERS);
    if (model.worker_is_here[slot])
        stop_worker(slot);
    else if (slot < 2 || !model.worker_is_here[5 - slot])
        start_worker(slot);
}

static void change_client(void)
{
    uint32_t slot = (uint32_t)roll(CLIENTS);
    if (model.sim.is_open[slot]) {
        memset(model.open[slot], 0, sizeof model.open[slot]);
        sim_client_gone(&model.sim, slot);
    } else {
        sim_client(&model.sim, slot);
    }
}

static void beat(void)
{
    for (uint32_t slot = 0; slot < WORKERS; slot++)
        if (model.worker_is_here[slot] && roll(8))
            sim_beat(&model.sim, slot, slot < 2 ? ROLE_READER : ROLE_WRITER, model.worker_life[slot], model.epoch);
}

static void step(void)
{
    uint64_t what = roll(1000);
    if (what < 400)
        request();
    else if (what < 800)
        work();
    else if (what < 900)
        annoy();
    else if (what < 970)
        sim_pass(&model.sim, (int64_t)roll(100));
    else if (what < 990)
        beat();
    else if (what < 997)
        change_worker();
    else
        change_client();
    judge();
}

/* With all workers there and at work, everything comes to its end. */
static void settle(void)
{
    if (!model.worker_is_here[2] && !model.worker_is_here[3])
        start_worker(2);
    for (uint32_t slot = 0; slot < 2; slot++)
        if (!model.worker_is_here[slot])
            start_worker(slot);
    beat();
    judge();
    for (unsigned i = 0; i < 100000 && model.out_count > 0; i++) {
        work();
        judge();
    }
    sim_pass(&model.sim, 10000);
    judge();
}

static void whatever_happens_each_request_is_answered_once_and_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct route_limits limits = route_limits_default(0);
        limits.uncredited_bytes = 1500;
        limits.client_request_bytes = 20000;
        limits.request_bytes = 60000;
        limits.group_requests = 1 + (uint32_t)(seed % 7);
        limits.client_messages = 40;
        limits.messages = 100;
        memset(&model, 0, sizeof model);
        model.random = seed * UINT64_C(0x9e3779b97f4a7c15);
        sim_start(&model.sim, &limits);
        for (uint32_t slot = 0; slot < CLIENTS; slot++)
            sim_client(&model.sim, slot);
        for (unsigned i = 0; i < STEPS; i++)
            step();
        settle();
        for (uint32_t slot = 0; slot < CLIENTS; slot++) {
            for (uint64_t index = 0; index < NUMBERS; index++) {
                if (model.open[slot][index]) {
                    fail_msg("seed %llu: request %llu of client %u has no answer", (unsigned long long)seed,
                             (unsigned long long)index, slot);
                }
            }
        }
        struct route_view view;
        route_view(model.sim.route, &view);
        assert_int_equal(view.tickets, 0);
        assert_int_equal(view.queued[LANE_READ] + view.queued[LANE_WRITE], 0);
        sim_end(&model.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_each_request_is_answered_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
