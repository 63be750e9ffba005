/*
 * judge.c - what must hold whatever happens.
 *
 * Of a call: it ends once, and what it was told is true.  Of a handle: its mutations are applied in their order, each
 * once; one that surely was not applied never is; none is applied by a session that was evicted.  Of a read: it is no
 * older than what anybody had been told before it was asked.  Of the broker: a request of a connection that stays gets
 * one answer, by its deadline unless a worker has it; no write goes to two writers that live, nor to an older epoch;
 * its bounds hold.  In fair weather every call is done before its deadline.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"
#include "writer/internal.h"

#include <stdarg.h>
#include <stdio.h>

enum { LATE_MS = 40 };

static const char *control_name(void)
{
    static const char *const names[] = {
#define CONTROL_NAME(name, text) #name,
        CONTROLS(CONTROL_NAME)
#undef CONTROL_NAME
    };
    return names[world.control];
}

void violation(const char *format, ...)
{
    va_list arguments;

    printf("%s --seed %llu, event %llu, %.6f s: ", world.control ? control_name() : "VIOLATION",
           (unsigned long long)world.seed, (unsigned long long)world.counters.events, (double)world.now_ns / NS_PER_S);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    puts(world.control ? " (caught)" : "");
    exit(world.control ? 0 : 1);
}

static void learn(uint64_t revision)
{
    if (revision > world.told_revision)
        world.told_revision = revision;
}

/* ---- calls ---- */

static void judge_fairness(const struct sim_call *call, int status)
{
    if (!call->fair || call->weather != world.weather)
        return;
    if (call->index && world.few_sessions)
        return; /* they evict each other all the time */
    world.counters.fair++;
    if (status == STATUS_OK || status == STATUS_CONFLICT || status == STATUS_TOO_LARGE)
        return;
    if (call->call.request.flags & REQUEST_NO_WAIT && status == STATUS_OVERLOADED)
        return;
    violation("a %s of number %llu ended with %s in fair weather",
              call->index           ? "write"
              : call->call.streamed ? "list"
                                    : "read",
              (unsigned long long)(call->index ? call->index : call->call.number), status_name(status));
}

static void judge_done(struct sim_call *call, uint64_t revision)
{
    if (!call->applied)
        violation("a write that was acknowledged is not there");
    if (call->revision != revision)
        violation("a write got the revision of another one");
    call->told = TOLD_APPLIED;
    world.counters.done++;
    learn(revision);
}

static void judge_not_applied(struct sim_call *call)
{
    if (call->applied)
        violation("a write that is there was told as not applied");
    call->told = TOLD_NOT_APPLIED;
}

static void judge_write(struct sim_call *call, const struct reply *reply)
{
    switch (reply->status) {
    case STATUS_OK:
        judge_done(call, reply->revision);
        return;
    case STATUS_CONFLICT:
        if (!call->conflicts)
            violation("a write met a conflict that is none");
        judge_not_applied(call);
        learn(reply->revision);
        world.counters.conflicts++;
        return;
    case STATUS_OUTCOME_LOST:
        if (!world.few_sessions)
            violation("an outcome was lost although no session went");
        world.counters.lost++;
        break;
    default:
        break;
    }
    if (reply->flags & REPLY_NOT_APPLIED || status_was_applied(reply->status) == STATUS_APPLIED_NO) {
        judge_not_applied(call);
        world.counters.not_applied++;
    } else {
        call->told = TOLD_MAYBE;
        world.counters.maybe++;
    }
}

static void judge_read(const struct sim_call *call, const struct reply *reply)
{
    if (reply->status != STATUS_OK)
        return;
    if (reply->revision < call->seen)
        violation("a stale read: revision %llu although %llu had been told", (unsigned long long)reply->revision,
                  (unsigned long long)call->seen);
    if (call->call.streamed && call->pieces && reply->revision != call->snapshot)
        violation("a list ended on another snapshot");
    world.counters.reads++;
    world.counters.lists_done += call->call.streamed;
    learn(reply->revision);
}

void judge_settled(struct sim_call *call, const struct reply *reply)
{
    if (reply->status >= STATUS_OUT_OF_ORDER)
        violation("a call was told %s", status_name(reply->status));
    if (call->index)
        judge_write(call, reply);
    else
        judge_read(call, reply);
    judge_fairness(call, reply->status);
}

void judge_given_up(struct sim_call *call, bool sure)
{
    world.counters.given_up++;
    if (call->index && sure)
        judge_not_applied(call);
    else if (call->index)
        call->told = TOLD_MAYBE;
    judge_fairness(call, STATUS_DEADLINE_EXCEEDED);
}

/* ---- the store ---- */

void judge_applied(struct sim_call *call, uint64_t revision)
{
    if (call->applied)
        violation("a write was applied twice");
    if (call->index <= call->lineage->last_applied)
        violation("a write landed after a later one of its handle: %llu after %llu", (unsigned long long)call->index,
                  (unsigned long long)call->lineage->last_applied);
    if (call->told == TOLD_NOT_APPLIED)
        violation("a write landed that had been told as not applied");
    call->applied = true;
    call->revision = revision;
    call->lineage->last_applied = call->index;
}

void judge_evicted(const uint8_t *bytes)
{
    uint64_t id;

    memcpy(&id, bytes, sizeof id);
    for (uint64_t at = id % EVICTED; world.store.evicted[at]; at = (at + 1) % EVICTED)
        if (world.store.evicted[at] == id)
            violation("a session that went was applied again");
}

void judge_writer(const struct sim_worker *worker)
{
    const struct session_table *table = worker->writer->sessions;

    if (table->count > table->limits.sessions + PENDING)
        violation("the writer keeps %zu sessions", table->count);
}

/* ---- the broker ---- */

void judge_asked(struct wire *wire, const struct envelope *envelope, struct body *body)
{
    if (wire->waiting_count == WAITING)
        violation("the broker owes %d answers on one connection", WAITING);
    body->from_wire = wire->serial;
    wire->waiting[wire->waiting_count++] = (struct waiting){.first = envelope->first,
                                                            .write = envelope->type == MESSAGE_WRITE,
                                                            .deadline_ns = envelope->deadline_ns,
                                                            .body = body};
}

void judge_released(const struct body *body)
{
    struct wire *wire = wire_of_serial(body->from_wire);

    for (size_t i = 0; wire && i < wire->waiting_count; i++)
        if (wire->waiting[i].body == body)
            wire->waiting[i].body = NULL;
}

/* Which of the copies of a message an answer is for: a last one for one that the broker has let go of. */
static size_t find_waiting(const struct wire *wire, uint64_t first, bool write, bool last)
{
    size_t at = 0;

    while (at < wire->waiting_count && (wire->waiting[at].first != first || wire->waiting[at].write != write ||
                                        last != (wire->waiting[at].body == NULL)))
        at++;
    return at;
}

void judge_answered(struct wire *wire, const struct envelope *envelope)
{
    bool write = envelope->type == MESSAGE_REPLY && envelope->flags & ENVELOPE_WRITE;
    bool last = envelope->type == MESSAGE_REPLY || envelope->flags & ENVELOPE_LAST;
    size_t at = find_waiting(wire, envelope->first, write, last);

    if (at == wire->waiting_count)
        violation("an answer to %s %llu that nobody waits for", write ? "write" : "read",
                  (unsigned long long)envelope->first);
    if (!last)
        return;
    wire->waiting_count--;
    memmove(&wire->waiting[at], &wire->waiting[at + 1], (wire->waiting_count - at) * sizeof *wire->waiting);
}

/* The process at its end is there, and the connection too. */
static bool is_alive(const struct wire *wire)
{
    const struct sim_worker *worker = &world.workers[wire->owner];

    return !wire->owner_gone && worker->alive && worker->life == wire->life;
}

void judge_dispatched(const struct wire *wire, const struct envelope *envelope, struct body *body)
{
    const struct wire *before;

    if (envelope->type != MESSAGE_READ && envelope->type != MESSAGE_WRITE)
        return;
    if (envelope->type == MESSAGE_WRITE && wire->epoch < world.broker.best_epoch)
        violation("a write went to the writer of epoch %llu, after %llu was ready", (unsigned long long)wire->epoch,
                  (unsigned long long)world.broker.best_epoch);
    before = wire_of_serial(body->out_wire);
    if (before && before != wire && before->life != wire->life && is_alive(before) && is_alive(wire))
        violation("a request went to two workers that live");
    body->out_wire = wire->serial;
}

/* One that comes back from a worker that died is found to be late with the next look at the clock. */
static void judge_waiting(struct waiting *waiting)
{
    int64_t due_ns = waiting->deadline_ns;

    if (!waiting->body)
        violation("the broker let go of a request without an answer");
    if (wire_of_serial(waiting->body->out_wire)) {
        waiting->back_ns = 0;
        return;
    }
    if (waiting->body->out_wire && waiting->back_ns == 0)
        waiting->back_ns = world.now_ns;
    if (waiting->back_ns > due_ns)
        due_ns = waiting->back_ns;
    if (due_ns + LATE_MS * NS_PER_MS < world.now_ns)
        violation("a request that waits at the broker is past its deadline");
}

void judge_time(void)
{
    for (size_t i = 0; i < world.wire_count; i++) {
        struct wire *wire = &world.wires[world.wire_order[i]];
        for (size_t j = 0; j < wire->waiting_count; j++)
            judge_waiting(&wire->waiting[j]);
    }
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void judge_route(void)
{
    const struct route_limits *limits = &world.judged_limits;
    struct route_worker_view worker;
    struct route_view view;

    route_view(world.broker.route, &view);
    if (view.tickets > limits->messages)
        violation("the broker keeps %u requests", view.tickets);
    if (view.request_bytes + view.granted_bytes > larger(limits->request_bytes, limits->max_message_bytes))
        violation("the broker holds and has granted %llu bytes of requests",
                  (unsigned long long)(view.request_bytes + view.granted_bytes));
    if (view.reply_bytes > 2 * limits->reply_bytes + CLIENT_SLOTS * limits->max_message_bytes)
        violation("the broker holds %llu bytes of answers", (unsigned long long)view.reply_bytes);
    for (uint32_t slot = 0; slot < WORKER_SLOTS; slot++)
        if (route_view_worker(world.broker.route, slot, world.now_ns, &worker) &&
            (worker.outstanding > limits->group_requests + BATCH ||
             worker.outstanding_bytes > limits->group_bytes + limits->max_message_bytes))
            violation("a worker has %u requests", worker.outstanding);
}
