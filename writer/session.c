/*
 * session.c - decides about numbers, and stages what a group changes until it is committed or forgotten.
 */
#include "writer/session.h"

#include <assert.h>
#include <stdlib.h>

enum { LEAVE_CLOSED_AT_ONCE = 16, LEAVE_IDLE_AT_ONCE = 64 };

void session_touch(struct session_table *table, struct session *session)
{
    if (session->touched)
        return;
    session->touched = true;
    session->staged = session->now;
    session->staged_first = session->now.next;
    session->next_touched = table->touched;
    table->touched = session;
}

static void set_step(struct session *session, struct session_step step)
{
    if (session->step_changed)
        free(session->staged.step.last);
    session->staged.step = step;
    session->step_changed = true;
}

void session_raise_floor(struct session *session, uint64_t floor)
{
    assert(session->touched);
    if (floor <= session->staged.floor)
        return;
    session->staged.floor = floor;
    if (floor <= session->staged.next)
        return;
    /* It rises past numbers that never came: what this group settled is not wanted any more. */
    session->staged.next = floor;
    session->staged_first = floor;
    outcomes_drop_back(&session->outcomes, session->staged_count);
    session->passed |= session->staged_count > 0;
    session->staged_count = 0;
    if (session->staged.step.active)
        set_step(session, (struct session_step){0});
}

const struct session_outcome *session_outcome_of(const struct session *session, uint64_t number)
{
    size_t committed = session->outcomes.count - session->staged_count;

    if (number < session->now.next)
        return outcomes_at(&session->outcomes, (size_t)(number - session->now.floor));
    return outcomes_at(&session->outcomes, committed + (size_t)(number - session->staged_first));
}

static struct session_decision refuse(int status, uint64_t number)
{
    return (struct session_decision){.verdict = SESSION_REFUSED, .status = status, .number = number};
}

static struct session *make(struct session_table *table, const struct session_key *key, uint64_t floor)
{
    struct session *session = session_restore(table, key, table->next_serial);

    if (!session)
        return NULL;
    session->fresh = true;
    session->now.floor = session->now.next = floor;
    session->logged_floor = session->logged_next = floor;
    return session;
}

static void use(struct session_table *table, struct session *session, int64_t deadline_ms, int64_t now_ms)
{
    int64_t most_ms = now_ms + (int64_t)LIMIT_DEADLINE_S * 1000;

    if (deadline_ms > most_ms)
        deadline_ms = most_ms;
    if (deadline_ms > session->deadline_ms)
        session->deadline_ms = deadline_ms;
    if (session->used_ms == now_ms)
        return;
    session->used_ms = now_ms;
    if (!session->now.closed) {
        session_order_remove(table, SESSION_LIVE, session);
        session_order_append(table, SESSION_LIVE, session);
    }
}

static struct session_decision decide_number(struct session *session, uint64_t number)
{
    const struct session_view *view = &session->staged;
    struct session_decision decision = {.verdict = SESSION_APPLY, .session = session};

    if (number < view->floor)
        return refuse(STATUS_BELOW_FLOOR, view->floor);
    if (number < view->next) {
        decision.verdict = SESSION_SETTLED;
        decision.outcome = *session_outcome_of(session, number);
        return decision;
    }
    if (view->closed)
        return refuse(STATUS_BELOW_FLOOR, view->next);
    if (number > view->next || number - view->floor >= LIMIT_SESSION_WINDOW)
        return refuse(STATUS_OUT_OF_ORDER, view->next);
    return decision;
}

struct session_decision session_decide(struct session_table *table, const struct session_key *key,
                                       const struct session_header *header, uint64_t number, int64_t deadline_ms,
                                       int64_t now_ms)
{
    struct session *session;

    if (number == 0 || number > SESSION_NUMBER_MOST || header->floor == 0 || header->floor > SESSION_NUMBER_MOST)
        return refuse(STATUS_INVALID_ARGUMENT, 0);
    if (memcmp(header->incarnation, table->incarnation, INCARNATION_BYTES) != 0)
        return refuse(STATUS_OTHER_STORE, 0);
    session = session_find(table, key);
    if (!session && header->counter < table->counter)
        return refuse(STATUS_UNKNOWN_SESSION, table->counter);
    if (!session)
        session = make(table, key, header->floor);
    if (!session)
        return refuse(STATUS_NO_MEMORY, 0);
    use(table, session, deadline_ms, now_ms);
    session_touch(table, session);
    session_raise_floor(session, header->floor);
    return decide_number(session, number);
}

int session_settle(struct session *session, const struct session_outcome *outcome)
{
    assert(session->touched && !session->staged.closed);
    if (!outcomes_reserve(&session->outcomes))
        return STATUS_NO_MEMORY;
    outcomes_push(&session->outcomes, outcome);
    session->staged_count++;
    session->staged.next++;
    if (session->staged.step.active)
        set_step(session, (struct session_step){0});
    return STATUS_OK;
}

int session_progress(struct session *session, uint64_t count, struct span last)
{
    void *copy = malloc(last.size + 1);

    assert(session->touched && !session->staged.closed);
    if (!copy)
        return STATUS_NO_MEMORY;
    if (last.size)
        memcpy(copy, last.data, last.size);
    set_step(session, (struct session_step){.active = true, .count = count, .last_bytes = last.size, .last = copy});
    return STATUS_OK;
}

void session_close(struct session *session)
{
    assert(session->touched);
    session->staged.closed = true;
}

/* ---- groups ---- */

bool session_is_changed(const struct session *session)
{
    return session->touched && (session->staged_count || session->passed || session->step_changed ||
                                session->staged.closed != session->now.closed);
}

bool session_has_staged(const struct session_table *table)
{
    if (table->leaving)
        return true;
    for (const struct session *s = table->touched; s; s = s->next_touched)
        if (session_is_changed(s))
            return true;
    return false;
}

/* Forgets what the group staged in it; a session that the group made is gone. */
static void unstage(struct session_table *table, struct session *session)
{
    outcomes_drop_back(&session->outcomes, session->staged_count);
    session->staged_count = 0;
    if (session->step_changed)
        free(session->staged.step.last);
    session->staged.step.last = NULL;
    session->touched = session->step_changed = session->passed = false;
    if (session->fresh)
        session_remove(table, session);
}

/* A session that settled nothing is no session: it would take room that a peer need not pay for. */
static void prune(struct session_table *table)
{
    struct session **link = &table->touched;

    while (*link) {
        struct session *session = *link;
        if (!session->fresh || session_is_changed(session)) {
            link = &session->next_touched;
            continue;
        }
        *link = session->next_touched;
        unstage(table, session);
    }
}

static void leave(struct session_table *table, struct session *session, bool evicted)
{
    session->leaving = true;
    session->next_leaving = table->leaving;
    table->leaving = session;
    table->leaving_count++;
    if (!evicted)
        return;
    table->staged_counter = table->counter + 1;
    table->staged_evicted++;
}

/* Closed ones stand in the order of closing, not of deadlines: those not past go to the end, to be seen again. */
static void leave_closed(struct session_table *table, int64_t now_ms)
{
    for (int i = 0; i < LEAVE_CLOSED_AT_ONCE; i++) {
        struct session *session = table->orders[SESSION_CLOSED].head;
        if (!session || session->leaving)
            return;
        session_order_remove(table, SESSION_CLOSED, session);
        session_order_append(table, SESSION_CLOSED, session);
        if (!session->touched && session->deadline_ms < now_ms)
            leave(table, session, false);
    }
}

static void leave_idle(struct session_table *table, int64_t now_ms)
{
    struct session *session = table->orders[SESSION_LIVE].head;

    for (int i = 0; session && i < LEAVE_IDLE_AT_ONCE; i++, session = session->links[SESSION_LINK_USE].next) {
        if (session->used_ms + table->limits.idle_ms >= now_ms)
            return;
        if (!session->touched)
            leave(table, session, true);
    }
}

static void leave_beyond(struct session_table *table, enum session_order order)
{
    size_t outcomes = table->outcomes;

    for (const struct session *s = table->leaving; s; s = s->next_leaving)
        outcomes -= s->outcomes.count;
    for (struct session *s = table->orders[order].head; s; s = s->links[SESSION_LINK_USE].next) {
        if (table->count - table->leaving_count <= table->limits.sessions && outcomes <= table->limits.outcomes)
            return;
        if (s->touched || s->leaving)
            continue;
        outcomes -= s->outcomes.count;
        leave(table, s, true);
    }
}

void session_seal(struct session_table *table, int64_t now_ms)
{
    assert(!table->leaving);
    prune(table);
    leave_closed(table, now_ms);
    leave_idle(table, now_ms);
    leave_beyond(table, SESSION_CLOSED);
    leave_beyond(table, SESSION_LIVE);
}

static void forget_below_floor(struct session *session)
{
    const struct session_view *view = &session->staged;
    size_t committed = session->outcomes.count - session->staged_count;
    uint64_t gone = view->floor - session->now.floor;

    outcomes_drop_front(&session->outcomes, gone < committed ? (size_t)gone : committed);
    if (view->floor > session->staged_first)
        outcomes_drop_front(&session->outcomes, (size_t)(view->floor - session->staged_first));
    assert(session->outcomes.count == view->next - view->floor);
    outcomes_trim(&session->outcomes);
}

static void commit_one(struct session_table *table, struct session *session)
{
    bool closes = session->staged.closed && !session->now.closed;

    table->outcomes -= session->outcomes.count - session->staged_count;
    forget_below_floor(session);
    table->outcomes += session->outcomes.count;
    if (session->step_changed)
        free(session->now.step.last);
    if (closes)
        session_order_remove(table, SESSION_LIVE, session);
    session->now = session->staged;
    if (closes)
        session_order_append(table, SESSION_CLOSED, session);
    session->staged_count = 0;
    session->touched = session->fresh = session->step_changed = session->passed = false;
}

void session_commit(struct session_table *table)
{
    prune(table);
    for (struct session *s = table->touched; s; s = s->next_touched)
        commit_one(table, s);
    table->touched = NULL;
    while (table->leaving) {
        struct session *session = table->leaving;
        table->leaving = session->next_leaving;
        session_remove(table, session);
    }
    table->leaving_count = 0;
    table->evicted += table->staged_evicted;
    table->staged_evicted = 0;
    table->counter = table->staged_counter;
}

void session_abort(struct session_table *table)
{
    while (table->touched) {
        struct session *session = table->touched;
        table->touched = session->next_touched;
        unstage(table, session);
    }
    for (struct session *s = table->leaving; s; s = s->next_leaving)
        s->leaving = false;
    table->leaving = NULL;
    table->leaving_count = 0;
    table->staged_evicted = 0;
    table->staged_counter = table->counter;
}

void session_restart(struct session_table *table, struct session *session, uint64_t floor)
{
    assert(!session->touched);
    table->outcomes -= session->outcomes.count;
    outcomes_clear(&session->outcomes);
    free(session->now.step.last);
    session->now.step = (struct session_step){0};
    if (session->now.closed) {
        session_order_remove(table, SESSION_CLOSED, session);
        session_order_append(table, SESSION_LIVE, session);
        session->now.closed = false;
    }
    session->now.floor = session->now.next = floor;
    session->logged_floor = session->logged_next = floor;
}
