/* supervise_state.c - who is started, restarted and stopped when. */
#include "cli/supervise_state.h"
#include "actor/actor.h"
#include "proto/clock.h"

#include <assert.h>
#include <string.h>

enum { STEP_DRAIN, STEP_TERMINATE, STEP_KILL };

void supervise_init(struct supervise *state, unsigned readers, int64_t now_ns)
{
    assert(readers >= 1 && readers + 2 <= SUPERVISE_CHILDREN_MOST);
    memset(state, 0, sizeof *state);
    state->count = readers + 2;
    for (size_t i = 0; i < state->count; i++) {
        state->children[i].role = i == 0 ? SUPERVISE_BROKER : i == 1 ? SUPERVISE_WRITER : SUPERVISE_READER;
        state->children[i].start_ns = now_ns;
        state->children[i].wait_ms = SUPERVISE_WAIT_LEAST_MS;
    }
}

static bool lives(const struct supervise_child *child)
{
    return child->phase != SUPERVISE_DOWN;
}

/* Workers come when there is somebody to say READY to; a broker that is restarted later finds them waiting. */
static bool may_start(const struct supervise *state, const struct supervise_child *child)
{
    return !state->stopping && !lives(child) && (child->role == SUPERVISE_BROKER || state->broker_was_ready);
}

static void want_all(struct supervise *state, enum supervise_order order)
{
    for (size_t i = 0; i < state->count; i++)
        if (state->children[i].wanted < order)
            state->children[i].wanted = order;
}

/* The broker drains and tells its workers; without one they are told directly. */
static void begin_drain(struct supervise *state)
{
    if (lives(&state->children[0]))
        state->children[0].wanted = SUPERVISE_TERMINATE;
    else
        want_all(state, SUPERVISE_TERMINATE);
}

static void next_step(struct supervise *state, int64_t now_ns)
{
    state->step++;
    want_all(state, state->step == STEP_TERMINATE ? SUPERVISE_TERMINATE : SUPERVISE_KILL);
    state->escalate_ns = state->step == STEP_TERMINATE ? now_ns + SUPERVISE_TERMINATE_MS * NS_PER_MS : INT64_MAX;
}

static enum supervise_order order_for(struct supervise *state, struct supervise_child *child, int64_t now_ns)
{
    if (may_start(state, child) && now_ns >= child->start_ns) {
        child->phase = SUPERVISE_STARTING;
        child->starts++;
        child->wanted = child->told = SUPERVISE_NOTHING;
        return SUPERVISE_START;
    }
    if (lives(child) && child->wanted > child->told) {
        child->told = child->wanted;
        return child->told;
    }
    return SUPERVISE_NOTHING;
}

enum supervise_order supervise_next(struct supervise *state, int64_t now_ns, size_t *child)
{
    if (state->stopping && now_ns >= state->escalate_ns)
        next_step(state, now_ns);
    for (size_t i = 0; i < state->count; i++) {
        enum supervise_order order = order_for(state, &state->children[i], now_ns);
        if (order == SUPERVISE_NOTHING)
            continue;
        *child = i;
        return order;
    }
    return SUPERVISE_NOTHING;
}

static bool all_kinds_ready(const struct supervise *state)
{
    bool ready[SUPERVISE_READER + 1] = {false};
    for (size_t i = 0; i < state->count; i++)
        ready[state->children[i].role] |= state->children[i].phase == SUPERVISE_READY;
    return ready[SUPERVISE_BROKER] && ready[SUPERVISE_WRITER] && ready[SUPERVISE_READER];
}

bool supervise_said_ready(struct supervise *state, size_t index)
{
    struct supervise_child *child = &state->children[index];
    if (child->phase != SUPERVISE_STARTING)
        return false;
    child->phase = SUPERVISE_READY;
    child->wait_ms = SUPERVISE_WAIT_LEAST_MS;
    state->broker_was_ready |= child->role == SUPERVISE_BROKER;
    if (state->service_was_ready || !all_kinds_ready(state))
        return false;
    state->service_was_ready = true;
    return true;
}

/* It would fail again the same way. */
static bool is_refusal(struct supervise_end end)
{
    return end.exited && (end.code == ACTOR_EXIT_REFUSED || end.code == ACTOR_EXIT_USAGE);
}

void supervise_ended(struct supervise *state, size_t index, struct supervise_end end, int64_t now_ns)
{
    struct supervise_child *child = &state->children[index];
    bool was_ready = child->phase == SUPERVISE_READY;
    assert(lives(child));
    child->phase = SUPERVISE_DOWN;
    child->start_ns = now_ns;
    if (!was_ready) {
        child->start_ns += child->wait_ms * NS_PER_MS;
        child->wait_ms = child->wait_ms * 2 < SUPERVISE_WAIT_MOST_MS ? child->wait_ms * 2 : SUPERVISE_WAIT_MOST_MS;
    }
    if (state->stopping && child->role == SUPERVISE_BROKER)
        want_all(state, SUPERVISE_TERMINATE);
    else if (!state->stopping && !was_ready && is_refusal(end))
        supervise_stop(state, ACTOR_EXIT_REFUSED, now_ns);
}

void supervise_stop(struct supervise *state, int exit_code, int64_t now_ns)
{
    if (state->stopping) {
        if (state->step < STEP_KILL)
            next_step(state, now_ns);
        return;
    }
    state->stopping = true;
    state->exit_code = exit_code;
    state->escalate_ns = now_ns + SUPERVISE_DRAIN_MS * NS_PER_MS;
    begin_drain(state);
}

int64_t supervise_wait_until(const struct supervise *state)
{
    int64_t until_ns = state->stopping ? state->escalate_ns : INT64_MAX;
    for (size_t i = 0; i < state->count; i++) {
        const struct supervise_child *child = &state->children[i];
        if (may_start(state, child) && child->start_ns < until_ns)
            until_ns = child->start_ns;
    }
    return until_ns;
}

bool supervise_is_done(const struct supervise *state)
{
    for (size_t i = 0; i < state->count; i++)
        if (lives(&state->children[i]))
            return false;
    return state->stopping;
}
