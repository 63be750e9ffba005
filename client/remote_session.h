/*
 * remote_session.h - the client's side of a session: mutations as a go-back-N stream that the writer recognises.
 *
 * Numbers mutations, keeps the floor and the window, says what to send next, and turns answers into outcomes.  Plain
 * functions of state, event and time: no socket, no clock, no lock of its own.
 *
 * Owns: the numbers and what is known of each; calls belong to their callers.  Thread: one at a time.
 * Invariant: a number is never used for two mutations; a mutation is sent under a new session only if surely no copy
 * under the old one was applied; a settled or abandoned call is not touched again.
 *
 * A call may be submitted or abandoned from within another one's `settle`.
 */
#ifndef CLIENT_REMOTE_SESSION_H
#define CLIENT_REMOTE_SESSION_H
#include "client/lane.h"
#include "proto/envelope.h"

struct remote_session;

struct remote_session *remote_session_new(void); /* NULL: no memory */
void remote_session_free(struct remote_session **session);

/* Queues a mutation. */
void remote_session_submit(struct remote_session *session, struct call *call);
/* Forgets it; true: surely not applied. What was sent of it lands before the handle's next mutation or never. */
bool remote_session_abandon(struct remote_session *session, struct call *call);

/* A HELLO: whether a writer is ready, and what a session is born with. `welcome`: on a new connection, so all that is
 * unsettled is sent again. */
void remote_session_hello(struct remote_session *session, const struct hello *hello, bool welcome, int64_t now_ns);
/* The store is another one (or an older state of it) than the mutations so far were meant for. Those that may have been
 * applied end with OUTCOME_LOST; the others with WENT_BACK when `tell`, else they go on. The number of WENT_BACK told. */
size_t remote_session_other_store(struct remote_session *session, bool tell);

struct remote_batch {
    struct session_header header;
    uint64_t first;
    size_t count;
    int64_t deadline_ns; /* of the envelope: the earliest of its requests */
};
/* The next message: fills `requests` (room for `most`) and `batch`; 0: nothing may be sent now. `batch_bytes` bounds the
 * body of more than one request (an estimate: check the encoded size, and ask again with less `most`). Asking changes
 * nothing that is seen outside until it is `sent`. */
size_t remote_session_gather(struct remote_session *session, int64_t now_ns, size_t most, size_t batch_bytes,
                             struct request *requests, struct remote_batch *batch);
/* The message, or its first `batch->count` requests, left with a body of `bytes`. */
void remote_session_sent(struct remote_session *session, const struct remote_batch *batch, size_t bytes);
/* The first of what gather gave cannot be sent at all: it ends with `status`. */
void remote_session_refuse(struct remote_session *session, const struct remote_batch *batch, int status);
/* Ends with `status` every call that was never sent: those with REQUEST_NO_WAIT alone, or all. */
void remote_session_refuse_unsent(struct remote_session *session, int status, bool no_wait_alone);

/* A REPLY to a WRITE. `replies` may be NULL when the envelope's status speaks for all. */
enum remote_news { REMOTE_NEWS_NONE, REMOTE_NEWS_OTHER_STORE };
enum remote_news remote_session_reply(struct remote_session *session, const struct envelope *envelope,
                                      const struct reply *replies, size_t count, int64_t now_ns);

/* When gather gives something although nothing happens; 0: now; INT64_MAX: not before an event. */
int64_t remote_session_due_ns(const struct remote_session *session);
/* The last message of a session whose every outcome is known or no longer wanted; false: none is needed. */
bool remote_session_close(struct remote_session *session, int64_t now_ns, struct request *request,
                          struct remote_batch *batch);

struct remote_session_counters {
    uint64_t sent, resent, skips, out_of_order, sessions, outcomes_lost;
    uint64_t unsettled, waiting, in_flight_messages, in_flight_bytes;
    uint64_t floor, next;
};
void remote_session_counters(const struct remote_session *session, struct remote_session_counters *counters);
size_t remote_session_in_flight_bytes(const struct remote_session *session);
/* The highest revision that answers told since the last call of this; 0: none did. */
uint64_t remote_session_take_revision(struct remote_session *session);
#endif
