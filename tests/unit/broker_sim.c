/*
 * broker_sim.c - the route's events and actions, with every body watched.
 */
#include "tests/unit/broker_sim.h"

#include <stdlib.h>
#include <string.h>

enum { LIFE = 77 };

void sim_start(struct sim *sim, const struct route_limits *limits)
{
    struct route_limits standard = route_limits_default(0);
    memset(sim, 0, sizeof *sim);
    sim->now_ns = 1000 * NS_PER_S;
    sim->route = route_new(limits ? limits : &standard, LIFE, sim->now_ns);
    assert_non_null(sim->route);
}

void sim_end(struct sim *sim)
{
    for (uint32_t slot = 0; slot < SIM_CLIENTS; slot++)
        if (sim->is_open[slot])
            sim_client_gone(sim, slot);
    struct route_view view;
    route_view(sim->route, &view);
    assert_int_equal(sim->bodies, 0);
    assert_int_equal(view.request_bytes + view.granted_bytes + view.reserved_bytes, 0);
    route_free(&sim->route);
    assert_null(sim->route);
}

static void *new_body(struct sim *sim, uint64_t bytes)
{
    uint64_t *body = bytes ? malloc(sizeof *body) : NULL;
    if (body) {
        *body = bytes;
        sim->bodies++;
    }
    return body;
}

static void free_body(struct sim *sim, void *body)
{
    if (body) {
        assert_true(sim->bodies > 0);
        sim->bodies--;
        free(body);
    }
}

static void take_answer(struct sim *sim, struct action *action)
{
    if (action->body) {
        assert_int_equal(*(uint64_t *)action->body, action->bytes);
        free_body(sim, action->body);
        action->body = NULL;
    }
    sim->to_clients[sim->client_count++ % SIM_ACTIONS] = *action;
    if (!sim->keeps_answers)
        route_released(sim->route, action->slot, action->generation, action->bytes, sim->now_ns);
}

static void take(struct sim *sim, struct action *action)
{
    switch (action->type) {
    case ACTION_TO_CLIENT:
        take_answer(sim, action);
        break;
    case ACTION_TO_WORKER:
        if (action->body)
            assert_int_equal(*(uint64_t *)action->body, action->bytes);
        sim->to_workers[sim->worker_count++ % SIM_ACTIONS] = *action;
        break;
    case ACTION_HELLO_CLIENT:
        sim->hellos++;
        route_released(sim->route, action->slot, action->generation, 0, sim->now_ns);
        break;
    case ACTION_HELLO_WORKER:
        break;
    case ACTION_STATUS:
        route_answer_status(sim->route, action->slot, action->generation, action->envelope.first, STATUS_OK, NULL, 0);
        break;
    case ACTION_CUT_CLIENT:
        sim->cuts++;
        break;
    case ACTION_RELEASE:
        free_body(sim, action->body);
        break;
    case ACTION_FINISHED:
        sim->finished = true;
        break;
    }
}

void sim_take(struct sim *sim)
{
    struct action action;
    while (route_next_action(sim->route, &action))
        take(sim, &action);
    assert_true(sim->client_count - sim->client_head <= SIM_ACTIONS);
    assert_true(sim->worker_count - sim->worker_head <= SIM_ACTIONS);
}

/* As a shell does: looks at the clock whenever the route asks for it. */
void sim_pass(struct sim *sim, int64_t ms)
{
    int64_t until_ns = sim->now_ns + ms * NS_PER_MS;
    while (sim->now_ns < until_ns) {
        int64_t next_ns = route_next_ns(sim->route, sim->now_ns);
        sim->now_ns = next_ns < until_ns ? next_ns : until_ns;
        route_tick(sim->route, sim->now_ns);
        sim_take(sim);
    }
}

void sim_client(struct sim *sim, uint32_t slot)
{
    assert_true(slot < SIM_CLIENTS && !sim->is_open[slot]);
    sim->is_open[slot] = true;
    route_client_open(sim->route, slot, sim->now_ns);
    route_client_probe(sim->route, slot);
    sim_take(sim);
}

void sim_client_gone(struct sim *sim, uint32_t slot)
{
    sim->is_open[slot] = false;
    route_client_gone(sim->route, slot, sim->now_ns);
    sim_take(sim);
}

static struct worker_state state_of(uint8_t role, uint64_t life, uint64_t epoch)
{
    return (struct worker_state){.role = role, .life = life, .epoch = epoch, .pid = 1, .path = span_text("/db")};
}

void sim_worker(struct sim *sim, uint32_t slot, uint8_t role, uint64_t life, uint64_t epoch)
{
    struct worker_state state = state_of(role, life, epoch);
    route_worker_open(sim->route, slot, sim->now_ns);
    route_worker_probe(sim->route, slot);
    route_worker_state(sim->route, slot, true, &state, sim->now_ns);
    sim_take(sim);
}

void sim_beat(struct sim *sim, uint32_t slot, uint8_t role, uint64_t life, uint64_t epoch)
{
    struct worker_state state = state_of(role, life, epoch);
    route_worker_state(sim->route, slot, false, &state, sim->now_ns);
    sim_take(sim);
}

void sim_worker_gone(struct sim *sim, uint32_t slot)
{
    route_worker_gone(sim->route, slot, sim->now_ns);
    sim_take(sim);
}

struct route_message sim_message(const struct sim *sim, uint8_t type, uint64_t first)
{
    return (struct route_message){
        .envelope = {.version = ENVELOPE_VERSION, .type = type, .first = first, .count = 1},
        .deadline_ns = sim->now_ns + 5 * NS_PER_S,
        .role = ROLE_ADMIN,
    };
}

void sim_send(struct sim *sim, uint32_t slot, struct route_message message, uint64_t bytes)
{
    message.body = new_body(sim, bytes);
    message.bytes = bytes;
    route_client_message(sim->route, slot, &message, sim->now_ns);
    sim_take(sim);
}

void sim_read(struct sim *sim, uint32_t slot, uint64_t first)
{
    sim_send(sim, slot, sim_message(sim, MESSAGE_READ, first), 100);
}

void sim_write(struct sim *sim, uint32_t slot, uint64_t first)
{
    sim_send(sim, slot, sim_message(sim, MESSAGE_WRITE, first), 100);
}

void sim_credit(struct sim *sim, uint32_t slot, uint64_t first, uint64_t bytes, uint16_t flags)
{
    struct route_message message = sim_message(sim, MESSAGE_CREDIT, first);
    message.envelope.bytes = bytes;
    message.envelope.flags = flags;
    sim_send(sim, slot, message, 0);
}

static void from_worker(struct sim *sim, const struct action *to, const struct envelope *envelope, uint64_t bytes)
{
    route_worker_message(sim->route, to->slot, envelope, new_body(sim, bytes), bytes, sim->now_ns);
    sim_take(sim);
}

void sim_reply(struct sim *sim, const struct action *to, int32_t status, uint64_t bytes)
{
    struct envelope envelope = to->envelope;
    envelope.type = MESSAGE_REPLY;
    envelope.status = status;
    from_worker(sim, to, &envelope, bytes);
}

void sim_piece(struct sim *sim, const struct action *to, uint32_t piece, bool last, uint64_t bytes)
{
    struct envelope envelope = to->envelope;
    envelope.type = MESSAGE_STREAM;
    envelope.flags = last ? ENVELOPE_LAST : 0;
    envelope.piece = piece;
    from_worker(sim, to, &envelope, bytes);
}

bool sim_has_forwarded(const struct sim *sim)
{
    return sim->worker_head < sim->worker_count;
}

bool sim_has_answer(const struct sim *sim)
{
    return sim->client_head < sim->client_count;
}

struct action sim_forwarded(struct sim *sim)
{
    assert_true(sim_has_forwarded(sim));
    return sim->to_workers[sim->worker_head++ % SIM_ACTIONS];
}

struct action sim_forwarded_to(struct sim *sim, uint32_t worker, uint64_t first)
{
    struct action action = sim_forwarded(sim);
    assert_int_equal(action.slot, worker);
    assert_int_equal(action.envelope.first, first);
    return action;
}

struct action sim_answer(struct sim *sim)
{
    assert_true(sim_has_answer(sim));
    return sim->to_clients[sim->client_head++ % SIM_ACTIONS];
}
