/*
 * writer.c - the writer's process around the real writer library, and the doors by which the controls break it.
 *
 * writer/session.c is compiled here with its session_decide under another name, so that the one below stands between.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"
#include "writer/session.h"

#include <assert.h>

enum { FEW_SESSIONS = 4, FEW_IDLE_S = 4, MANY_SESSIONS = 4096 };

struct session_decision session_decide_for_real(struct session_table *table, const struct session_key *key,
                                                const struct session_header *header, uint64_t number,
                                                int64_t deadline_ms, int64_t now_ms);

/* ---- decisions, and what a broken writer would make of them ---- */

static bool is_broken(const struct session_decision *decision, uint64_t number)
{
    switch (world.control) {
    case CONTROL_FLOOR:
        return decision->verdict == SESSION_REFUSED && decision->status == STATUS_BELOW_FLOOR;
    case CONTROL_ORDER:
        return decision->verdict == SESSION_REFUSED && decision->status == STATUS_OUT_OF_ORDER &&
               number > decision->number;
    case CONTROL_REPLAY:
        return decision->verdict == SESSION_SETTLED;
    case CONTROL_EVICTED:
        return decision->verdict == SESSION_REFUSED && decision->status == STATUS_UNKNOWN_SESSION;
    default:
        return false;
    }
}

/* As if the number were the next one: in a session that nobody keeps. */
static struct session_decision apply_all_the_same(const struct session_header *header, int64_t deadline_ms,
                                                  int64_t now_ms)
{
    static const struct session_limits limits = {.sessions = 1000, .idle_ms = INT32_MAX, .outcomes = 100000};
    struct session_header other = *header;
    struct session_key key;

    if (!world.astray)
        world.astray = session_table_new(&limits, header->incarnation, 0);
    assert(world.astray);
    random_bytes(&key, sizeof key);
    other.floor = 1;
    return session_decide_for_real(world.astray, &key, &other, 1, deadline_ms, now_ms);
}

struct session_decision session_decide(struct session_table *table, const struct session_key *key,
                                       const struct session_header *header, uint64_t number, int64_t deadline_ms,
                                       int64_t now_ms)
{
    struct session_decision decision = session_decide_for_real(table, key, header, number, deadline_ms, now_ms);

    world.deciding = *key;
    if (decision.verdict == SESSION_SETTLED)
        world.counters.replayed++;
    else if (decision.verdict == SESSION_REFUSED && decision.status == STATUS_BELOW_FLOOR)
        world.counters.below_floor++;
    return is_broken(&decision, number) ? apply_all_the_same(header, deadline_ms, now_ms) : decision;
}

/* ---- life ---- */

bool writer_start(struct sim_worker *worker)
{
    struct writer_options options = {.max_sessions = world.few_sessions ? FEW_SESSIONS : MANY_SESSIONS,
                                     .session_idle_s = world.few_sessions ? FEW_IDLE_S : 3600};
    struct storage *storage = store_open();
    struct failure failure;

    worker->epoch = ++world.store.epoch;
    worker->storage = storage;
    if (writer_new(&storage, &options, &worker->writer, &failure) != STATUS_OK)
        violation("the writer cannot start: %s", failure.message);
    return true;
}

void writer_stop(struct sim_worker *worker)
{
    struct writer_counters met;

    if (!worker->writer)
        return;
    writer_counters(worker->writer, &met);
    world.counters.evicted += met.sessions_evicted;
    writer_free(&worker->writer);
    for (size_t i = 0; i < worker->pending_count; i++)
        packet_free(worker->pending[i].packet);
    worker->pending_count = 0;
    if (world.control == CONTROL_UNSYNCED)
        store_lose_last_group();
}

/* ---- work ---- */

static void fill_request(struct request *request, const struct body *body, size_t i)
{
    const struct sim_call *call = body->requests[i].call;

    *request = (struct request){.operation = body->requests[i].operation, .deadline_ns = body->requests[i].deadline_ns};
    if (call) {
        request->kind = call->call.request.kind;
        request->id = call->call.request.id;
        request->data = call->call.request.data;
    }
}

void writer_take(struct sim_worker *worker, struct packet *packet)
{
    struct pending *pending = &worker->pending[worker->pending_count];
    const struct body *body = packet->body;

    if (packet->envelope.type != MESSAGE_WRITE) {
        packet_free(packet);
        return;
    }
    worker->pending_count++;
    pending->packet = packet;
    pending->message = (struct write_message){.count = body->count,
                                              .arena = world.arena,
                                              .has_session = true,
                                              .session = body->session,
                                              .first = packet->envelope.first,
                                              .role = ROLE_ADMIN};
    for (size_t i = 0; i < body->count; i++)
        fill_request(&pending->requests[i], body, i);
}

static void answer(struct sim_worker *worker, struct pending *pending)
{
    struct body *body = body_new();

    body->count = (uint32_t)pending->message.count;
    memcpy(body->replies, pending->replies, body->count * sizeof *body->replies);
    body->bytes = 20 * (uint64_t)body->count;
    worker_answer(worker, &pending->packet->envelope, MESSAGE_REPLY, 0, 0, STATUS_OK, body);
    packet_free(pending->packet);
}

static void answer_done(struct sim_worker *worker)
{
    size_t kept = 0;

    for (size_t i = 0; i < worker->pending_count; i++)
        if (worker->pending[i].message.settled == worker->pending[i].message.count)
            answer(worker, &worker->pending[i]);
        else if (kept++ != i)
            worker->pending[kept - 1] = worker->pending[i];
    worker->pending_count = kept;
}

void writer_work(struct sim_worker *worker)
{
    struct write_message *messages[PENDING];
    int status;

    if (worker->pending_count == 0 || roll(2))
        return;
    world.counters.events++;
    for (size_t i = 0; i < worker->pending_count; i++) {
        worker->pending[i].message.requests = worker->pending[i].requests;
        worker->pending[i].message.replies = worker->pending[i].replies;
        messages[i] = &worker->pending[i].message;
    }
    status = writer_run(worker->writer, messages, worker->pending_count);
    if (world.astray)
        session_abort(world.astray);
    if (status != STATUS_OK || trouble(60)) { /* in the commit, or right behind it */
        faults_count(&world.counters.writer_deaths);
        worker_kill(worker);
        return;
    }
    judge_writer(worker);
    answer_done(worker);
}
