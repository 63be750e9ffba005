/*
 * remote_session.c - numbers, floor and window of a handle's mutations, and what to send next.
 */
#include "client/remote_session.h"
#include "client/remote_session_state.h"
#include "client/remote_wire.h"

#include <assert.h>
#include <stdlib.h>

enum { RING_FIRST = 64, SKIP_TIMEOUT_S = 30 };

struct remote_session *remote_session_new(void)
{
    struct remote_session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->ring = calloc(RING_FIRST, sizeof *session->ring);
    if (!session->ring) {
        free(session);
        return NULL;
    }
    session->capacity = RING_FIRST;
    session->header.floor = session->next = session->send_next = 1;
    session->generation = 1;
    call_list_init(&session->waiting);
    return session;
}

void remote_session_free(struct remote_session **session)
{
    if (!*session)
        return;
    free((*session)->ring);
    free(*session);
    *session = NULL;
}

void remote_session_raise_floor(struct remote_session *session)
{
    struct slot *slot;

    while ((slot = slot_of(session, session->header.floor)) && !slot->call)
        session->header.floor++;
    if (session->send_next < session->header.floor)
        session->send_next = session->header.floor;
}

void remote_session_be_born(struct remote_session *session, const uint8_t *incarnation, uint64_t counter)
{
    random_bytes(session->header.id, sizeof session->header.id);
    memcpy(session->header.incarnation, incarnation, INCARNATION_BYTES);
    session->header.counter = counter;
    session->born = true;
    session->incarnation_refused = false;
    session->counters.sessions++;
}

void remote_session_end(struct remote_session *session, struct slot *slot, const struct reply *reply, bool known)
{
    struct call *call = slot->call;

    slot->settled = known;
    slot->call = NULL;
    remote_session_raise_floor(session);
    if (call) {
        call->number = 0;
        call->settle(call, reply, true);
    }
}

void remote_session_submit(struct remote_session *session, struct call *call)
{
    call->number = 0;
    call->copies_sent = 0;
    call_list_append(&session->waiting, call);
}

bool remote_session_abandon(struct remote_session *session, struct call *call)
{
    struct slot *slot = slot_of(session, call->number);
    bool sure;

    if (call->number == 0) {
        call_list_remove(call);
        return call->copies_sent == 0;
    }
    assert(slot && slot->call == call);
    sure = slot_is_sure(slot);
    slot->call = NULL;
    if (call->number == session->next - 1 && call->copies_sent == 0)
        session->next--; /* nobody has seen this number */
    call->number = 0;
    remote_session_raise_floor(session);
    return sure;
}

/* ---- sending ---- */

/* A session exists or can begin, and nothing forbids to send but the time. */
static bool may_send(const struct remote_session *session)
{
    if (!session->writer_ready || session->unknown || session->flight_count == FLIGHTS_MOST)
        return false;
    return session->born || !session->incarnation_refused ||
           memcmp(session->header.incarnation, session->hello_incarnation, INCARNATION_BYTES) != 0;
}

static bool grow_ring(struct remote_session *session)
{
    size_t capacity = session->capacity * 2;
    struct slot *ring = calloc(capacity, sizeof *ring);

    if (!ring)
        return false;
    for (uint64_t number = session->header.floor; number < session->next; number++)
        ring[number & (capacity - 1)] = *slot_at(session, number);
    free(session->ring);
    session->ring = ring;
    session->capacity = capacity;
    return true;
}

/* Room for one more number within the window. */
static bool has_room(struct remote_session *session)
{
    uint64_t used = session->next - session->header.floor;

    if (used >= LIMIT_SESSION_WINDOW)
        return false;
    return used < session->capacity || grow_ring(session);
}

/* Gives the first waiting call its number. */
static void number_first(struct remote_session *session)
{
    struct call *call = call_list_first(&session->waiting);

    assert(call);
    call_list_remove(call);
    call->number = session->next++;
    *slot_at(session, call->number) = (struct slot){.call = call};
}

/* The request for `number`, which may be a waiting call's; false: nothing (more) can be sent now. */
static bool peek(struct remote_session *session, uint64_t number, struct call **call)
{
    struct slot *slot = slot_of(session, number);

    if (slot) {
        *call = slot->call;
        return !slot->settled;
    }
    *call = call_list_first(&session->waiting);
    return *call && has_room(session);
}

static void fill_skips(struct request *requests, size_t count, int64_t deadline_ns)
{
    for (size_t i = 0; i < count; i++)
        if (requests[i].operation == OPERATION_SKIP)
            requests[i].deadline_ns = deadline_ns;
}

size_t remote_session_gather(struct remote_session *session, int64_t now_ns, size_t most, size_t batch_bytes,
                             struct request *requests, struct remote_batch *batch)
{
    struct remote_fit fit = {0, 0};
    size_t count = 0, bytes = 0;
    struct slot *slot;

    if (!may_send(session) || session->retry_at_ns > now_ns)
        return 0;
    while ((slot = slot_of(session, session->send_next)) && slot->settled)
        session->send_next++;
    for (uint64_t number = session->send_next; count < most; number++) {
        struct request request = {.operation = OPERATION_SKIP};
        struct call *call;

        if (!peek(session, number, &call))
            break;
        if (call) {
            request = call->request;
            request.deadline_ns = remote_wire_deadline(request.deadline_ns, now_ns);
            if (request.deadline_ns <= now_ns) /* its owner is about to give it up */
                break;
            if ((count && bytes + remote_request_estimate(&request) > batch_bytes) ||
                !remote_fit_add(&fit, request.deadline_ns, now_ns))
                break;
        }
        bytes += remote_request_estimate(&request);
        if (number == session->next)
            number_first(session);
        requests[count++] = request;
    }
    if (count == 0)
        return 0;
    if (!session->born)
        remote_session_be_born(session, session->hello_incarnation, session->hello_counter);
    batch->deadline_ns = now_ns + (fit.least_ns ? fit.least_ns : SKIP_TIMEOUT_S * NS_PER_S);
    fill_skips(requests, count, batch->deadline_ns);
    batch->header = session->header;
    batch->first = session->send_next;
    batch->count = count;
    return count;
}

void remote_session_sent(struct remote_session *session, const struct remote_batch *batch, size_t bytes)
{
    uint64_t seq = ++session->seq;

    assert(session->flight_count < FLIGHTS_MOST && batch->first == session->send_next);
    for (uint64_t number = batch->first; number < batch->first + batch->count; number++) {
        struct slot *slot = slot_at(session, number);

        session->counters.sent++;
        session->counters.resent += slot->sent_seq != 0;
        session->counters.skips += !slot->call;
        slot->sent_seq = seq;
        slot->outstanding++;
        if (slot->call)
            slot->call->copies_sent++;
    }
    session->flights[session->flight_count++] =
        (struct flight){seq, session->generation, batch->first, batch->count, bytes};
    session->flight_bytes += bytes;
    session->send_next = batch->first + batch->count;
    session->sent_any = true;
}

void remote_session_refuse(struct remote_session *session, const struct remote_batch *batch, int status)
{
    struct slot *slot = slot_at(session, batch->first);
    struct reply reply = {.status = status, .flags = slot_is_sure(slot) ? REPLY_NOT_APPLIED : 0};

    remote_session_end(session, slot, &reply, false);
}

static struct call *find_unsent(const struct remote_session *session, bool no_wait_alone)
{
    for (uint64_t number = session->send_next; number < session->next; number++) {
        struct call *call = slot_at(session, number)->call;

        if (call && call->copies_sent == 0 && (!no_wait_alone || call->request.flags & REQUEST_NO_WAIT))
            return call;
    }
    for (struct call *call = call_list_first(&session->waiting); call; call = call_list_next(&session->waiting, call))
        if (!no_wait_alone || call->request.flags & REQUEST_NO_WAIT)
            return call;
    return NULL;
}

void remote_session_refuse_unsent(struct remote_session *session, int status, bool no_wait_alone)
{
    struct reply reply = {.status = status, .flags = REPLY_NOT_APPLIED};
    struct call *call;

    while ((call = find_unsent(session, no_wait_alone))) {
        remote_session_abandon(session, call);
        call->settle(call, &reply, true);
    }
}

/* ---- the rest ---- */

int64_t remote_session_due_ns(const struct remote_session *session)
{
    if (!may_send(session))
        return INT64_MAX;
    if (session->send_next < session->next || call_list_first(&session->waiting))
        return session->retry_at_ns;
    return INT64_MAX;
}

bool remote_session_close(struct remote_session *session, int64_t now_ns, struct request *request,
                          struct remote_batch *batch)
{
    remote_session_raise_floor(session);
    if (!session->born || !session->sent_any || !may_send(session) || session->header.floor != session->next)
        return false;
    *batch = (struct remote_batch){.header = session->header,
                                   .first = session->next,
                                   .count = 1,
                                   .deadline_ns = now_ns + SKIP_TIMEOUT_S * NS_PER_S};
    *request = (struct request){.operation = OPERATION_CLOSE_SESSION, .deadline_ns = batch->deadline_ns};
    return true;
}

void remote_session_counters(const struct remote_session *session, struct remote_session_counters *counters)
{
    *counters = session->counters;
    counters->unsettled = counters->waiting = 0;
    for (uint64_t number = session->header.floor; number < session->next; number++)
        counters->unsettled += slot_at(session, number)->call != NULL;
    for (struct call *call = call_list_first(&session->waiting); call; call = call_list_next(&session->waiting, call))
        counters->waiting++;
    counters->in_flight_messages = session->flight_count;
    counters->in_flight_bytes = session->flight_bytes;
    counters->floor = session->header.floor;
    counters->next = session->next;
}

size_t remote_session_in_flight_bytes(const struct remote_session *session)
{
    return session->flight_bytes;
}

uint64_t remote_session_take_revision(struct remote_session *session)
{
    uint64_t revision = session->highest_revision;

    session->highest_revision = 0;
    return revision;
}
