/*
 * remote_session_answer.c - what answers, connections and other stores make of a session.
 */
#include "client/remote_session_state.h"
#include "client/remote_wire.h"

enum { CALM_STUMBLES = 2, STUMBLES_MOST = 10 };

static void settle_list(struct call_list *list, int status)
{
    struct reply reply = {.status = status};
    struct call *call;

    while ((call = call_list_first(list))) {
        call_list_remove(call);
        call->number = 0;
        call->settle(call, &reply, true);
    }
}

/* ---- a new session ---- */

/* Leaves the present session: who may have been applied goes to `lost`, the others stay and are sent anew. What is
 * settled above the floor is not known to the next session: it becomes a given-up number. */
static void leave_session(struct remote_session *session, struct call_list *lost)
{
    for (uint64_t number = session->header.floor; number < session->next; number++) {
        struct slot *slot = slot_at(session, number);

        if (slot->call && !slot_is_sure(slot)) {
            slot->call->number = 0;
            call_list_append(lost, slot->call);
            slot->call = NULL;
            session->counters.outcomes_lost++;
        }
        *slot = (struct slot){.call = slot->call};
    }
    session->generation++;
    session->born = session->unknown = session->sent_any = false;
    session->send_next = session->header.floor;
    remote_session_raise_floor(session);
}

static size_t flights_of_session(const struct remote_session *session)
{
    size_t count = 0;

    for (size_t i = 0; i < session->flight_count; i++)
        count += session->flights[i].generation == session->generation;
    return count;
}

/* The writer has forgotten the session. Once every answer is in, what surely was not applied goes on in a new one. */
static void replace_unknown(struct remote_session *session)
{
    struct call_list lost;
    uint8_t incarnation[INCARNATION_BYTES];

    if (!session->unknown || flights_of_session(session))
        return;
    call_list_init(&lost);
    memcpy(incarnation, session->header.incarnation, sizeof incarnation);
    leave_session(session, &lost);
    remote_session_be_born(session, incarnation, session->unknown_counter);
    settle_list(&lost, STATUS_OUTCOME_LOST);
}

size_t remote_session_other_store(struct remote_session *session, bool tell)
{
    struct call_list lost, back;
    struct call *call;
    size_t told = 0;

    call_list_init(&lost);
    call_list_init(&back);
    leave_session(session, &lost);
    for (uint64_t number = session->header.floor; tell && number < session->next; number++) {
        struct slot *slot = slot_at(session, number);

        if (slot->call) {
            slot->call->number = 0;
            call_list_append(&back, slot->call);
            slot->call = NULL;
            told++;
        }
    }
    remote_session_raise_floor(session);
    for (; tell && (call = call_list_first(&session->waiting)); told++) {
        call_list_remove(call);
        call_list_append(&back, call);
    }
    settle_list(&lost, STATUS_OUTCOME_LOST);
    settle_list(&back, STATUS_WENT_BACK);
    return told;
}

/* ---- connections ---- */

static void forget_connection(struct remote_session *session)
{
    for (uint64_t number = session->header.floor; number < session->next; number++) {
        struct slot *slot = slot_at(session, number);

        slot->doubt |= slot->outstanding > 0;
        slot->outstanding = 0;
    }
    session->flight_count = session->flight_bytes = 0;
    session->send_next = session->header.floor;
    session->retry_at_ns = 0;
    session->stumbles = 0;
    replace_unknown(session);
}

void remote_session_hello(struct remote_session *session, const struct hello *hello, bool welcome, int64_t now_ns)
{
    session->writer_ready = hello->writer_epoch != 0;
    if (session->writer_ready) {
        memcpy(session->hello_incarnation, hello->incarnation, INCARNATION_BYTES);
        session->hello_counter = hello->session_counter;
        if (session->retry_at_ns > now_ns)
            session->retry_at_ns = now_ns;
    }
    if (welcome)
        forget_connection(session);
}

/* ---- answers ---- */

/* Takes the oldest message with these numbers out of those in flight; false: none (it was sent on an earlier
 * connection). */
static bool take_flight(struct remote_session *session, const struct envelope *envelope, struct flight *flight)
{
    for (size_t i = 0; i < session->flight_count; i++) {
        *flight = session->flights[i];
        if (flight->first != envelope->first || (envelope->count && flight->count != envelope->count))
            continue;
        session->flight_count--;
        session->flight_bytes -= flight->bytes;
        memmove(&session->flights[i], &session->flights[i + 1], (session->flight_count - i) * sizeof *session->flights);
        return true;
    }
    return false;
}

static void go_back(struct remote_session *session, uint64_t number, int64_t retry_at_ns)
{
    if (number < session->send_next)
        session->send_next = number;
    if (retry_at_ns > session->retry_at_ns)
        session->retry_at_ns = retry_at_ns;
}

/* When to send again after a stumble that should not repeat: at once at first, then ever later. */
static int64_t calm_at(struct remote_session *session, int64_t now_ns)
{
    if (session->stumbles < STUMBLES_MOST)
        session->stumbles++;
    return session->stumbles <= CALM_STUMBLES ? 0 : now_ns + (NS_PER_MS << (session->stumbles - CALM_STUMBLES));
}

/* An earlier number is missing at the writer: back to it, unless it was sent again after the message that this answers. */
static void out_of_order(struct remote_session *session, uint64_t missing, uint64_t seq, int64_t now_ns)
{
    struct slot *slot;

    session->counters.out_of_order++;
    if (missing < session->header.floor)
        missing = session->header.floor;
    slot = slot_of(session, missing);
    if (!slot || slot->sent_seq > seq || missing >= session->send_next)
        return;
    slot->settled = false; /* were it so, the writer has lost it: a SKIP fills the gap */
    go_back(session, missing, calm_at(session, now_ns));
}

/* An outcome that the writer has not recorded. It is final when no other copy can be applied any more. */
static void passing(struct remote_session *session, uint64_t number, const struct reply *reply, uint64_t seq,
                    int64_t now_ns)
{
    struct slot *slot = slot_at(session, number);
    struct call *call = slot->call;
    struct reply final = *reply;
    bool retried;

    if (slot->sent_seq > seq)
        return; /* a later copy's answer decides */
    retried = !call || remote_is_retried(reply->status, call->request.deadline_ns, now_ns);
    if (call && call->request.flags & REQUEST_NO_WAIT && slot_is_sure(slot))
        retried = false;
    if (retried || (!slot_is_sure(slot) && status_was_applied(reply->status) != STATUS_APPLIED_MAYBE)) {
        go_back(session, number, remote_retry_at(reply->retry_after_ms, now_ns));
        return;
    }
    if (!slot_is_sure(slot))
        final.flags &= ~(uint32_t)REPLY_NOT_APPLIED;
    remote_session_end(session, slot, &final, false);
}

/* What the broker says on its own of a message that a writer has had: that one may have applied it before it went. */
static bool tells_of_a_lost_answer(const struct reply *reply, bool whole, uint32_t attempt)
{
    return whole && attempt > 0 && remote_is_passing(reply->status);
}

static void lose_outcome(struct remote_session *session, struct slot *slot)
{
    struct reply reply = {.status = STATUS_OUTCOME_LOST};

    session->counters.outcomes_lost += slot->call != NULL;
    remote_session_end(session, slot, &reply, false);
}

/* One request's answer. `whole`: the message's status, which no writer has recorded for the number. */
static enum remote_news take_outcome(struct remote_session *session, uint64_t number, const struct reply *reply,
                                     bool whole, const struct flight *flight, uint32_t attempt, int64_t now_ns)
{
    struct slot *slot = slot_of(session, number);

    if (!slot || slot->settled)
        return REMOTE_NEWS_NONE;
    if (!whole && status_is_deterministic(reply->status)) {
        session->stumbles = 0;
        if (reply->revision > session->highest_revision)
            session->highest_revision = reply->revision;
        remote_session_end(session, slot, reply, true);
        return REMOTE_NEWS_NONE;
    }
    switch (reply->status) {
    case STATUS_OUT_OF_ORDER:
        out_of_order(session, reply->number, flight->seq, now_ns);
        return REMOTE_NEWS_NONE;
    case STATUS_BELOW_FLOOR:
        lose_outcome(session, slot);
        return REMOTE_NEWS_NONE;
    case STATUS_UNKNOWN_SESSION:
        slot->doubt |= attempt > 1; /* an earlier writer may have applied it before this one refused it */
        session->unknown = true;
        session->unknown_counter = reply->number;
        return REMOTE_NEWS_NONE;
    case STATUS_OTHER_STORE:
        slot->doubt |= attempt > 1;
        session->incarnation_refused = true;
        return REMOTE_NEWS_OTHER_STORE;
    default:
        slot->doubt |= tells_of_a_lost_answer(reply, whole, attempt);
        passing(session, number, reply, flight->seq, now_ns);
        return REMOTE_NEWS_NONE;
    }
}

static void count_answered(struct remote_session *session, const struct flight *flight)
{
    for (uint64_t number = flight->first; number < flight->first + flight->count; number++) {
        struct slot *slot = slot_of(session, number);

        if (slot && slot->outstanding)
            slot->outstanding--;
    }
}

enum remote_news remote_session_reply(struct remote_session *session, const struct envelope *envelope,
                                      const struct reply *replies, size_t count, int64_t now_ns)
{
    struct reply all = remote_reply_of_whole(envelope);
    enum remote_news news = REMOTE_NEWS_NONE;
    struct flight flight;
    bool whole = envelope->status != STATUS_OK;

    if (!take_flight(session, envelope, &flight) || flight.generation != session->generation)
        return REMOTE_NEWS_NONE;
    count_answered(session, &flight);
    for (size_t i = 0; i < flight.count && flight.generation == session->generation; i++) {
        struct reply missing = {.status = STATUS_CORRUPT};
        const struct reply *reply = whole ? &all : i < count ? &replies[i] : &missing;

        if (take_outcome(session, flight.first + i, reply, whole || reply == &missing, &flight, envelope->attempt,
                         now_ns) == REMOTE_NEWS_OTHER_STORE)
            news = REMOTE_NEWS_OTHER_STORE;
    }
    if (session->unknown && !flights_of_session(session))
        session->retry_at_ns = calm_at(session, now_ns);
    replace_unknown(session);
    return news;
}
