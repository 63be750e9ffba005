/*
 * remote_reads.h - reads, streamed lists and control verbs on their way through the broker.
 *
 * Batches reads, sends again what a new connection or a passing refusal left unanswered, numbers pieces, gathers
 * credit.  Plain functions of state, event and time, as remote_session.h.
 *
 * Owns: the messages in flight; calls belong to their callers.  Thread: one at a time.
 * Invariant: each message has a number of its own, so a late answer to an earlier copy finds nothing.
 *
 * A call may be submitted, abandoned or credited from within another one's (a stream: also its own) `settle`.
 */
#ifndef CLIENT_REMOTE_READS_H
#define CLIENT_REMOTE_READS_H
#include "client/lane.h"
#include "proto/envelope.h"

enum { REMOTE_READS_BATCH = 64 };

struct remote_reads;

struct remote_reads *remote_reads_new(void); /* NULL: no memory */
void remote_reads_free(struct remote_reads **reads);

void remote_reads_submit(struct remote_reads *reads, struct call *call);
/* True unless it is a BACKUP of which a copy was sent. */
bool remote_reads_abandon(struct remote_reads *reads, struct call *call);
void remote_reads_credit(struct remote_reads *reads, struct call *call, uint64_t bytes);

/* A new connection: what is unanswered is asked again; a stream that has delivered ends with SNAPSHOT_EXPIRED, a BACKUP
 * with OUTCOME_LOST. */
void remote_reads_welcome(struct remote_reads *reads);
/* The store went back: ends all reads with WENT_BACK, but streams that have delivered with SNAPSHOT_EXPIRED. Returns
 * how many were told WENT_BACK. */
size_t remote_reads_went_back(struct remote_reads *reads);

struct remote_read {
    uint8_t type;   /* READ, or CONTROL with requests[0].data as the verb's argument */
    uint16_t flags; /* ENVELOPE_STREAM */
    uint32_t control_verb;
    uint64_t first;
    size_t count;
    uint64_t credit_bytes; /* of a stream */
    int64_t deadline_ns;
};
/* The next message; 0: nothing now. As remote_session_gather. `revision`: the highest that the handle has seen. */
size_t remote_reads_gather(struct remote_reads *reads, int64_t now_ns, size_t most, size_t batch_bytes,
                           uint64_t revision, struct request *requests, struct remote_read *read);
void remote_reads_sent(struct remote_reads *reads, const struct remote_read *read, size_t bytes);
void remote_reads_refuse(struct remote_reads *reads, int status);
void remote_reads_refuse_unsent(struct remote_reads *reads, int status, bool no_wait_alone);
/* A CREDIT or CANCEL that is due, as type, first and bytes; it is taken as sent. False: none. */
bool remote_reads_gather_notice(struct remote_reads *reads, uint8_t *type, uint64_t *first, uint64_t *bytes);
bool remote_reads_has_notice(const struct remote_reads *reads);
/* A number that no message has: asking for credit for a large body takes one. */
uint64_t remote_reads_take_number(struct remote_reads *reads);

/* A REPLY that is not to a WRITE, or a STREAM piece, whose body had `envelope->bytes`: a piece takes as many of its
 * credit. True: an answer was behind the revision that the handle had seen
 * when it asked; the call was told WENT_BACK, and *revision is the store's. */
bool remote_reads_reply(struct remote_reads *reads, const struct envelope *envelope, const struct reply *replies,
                        size_t count, int64_t now_ns, uint64_t *revision);

int64_t remote_reads_due_ns(const struct remote_reads *reads); /* as remote_session_due_ns */

struct remote_reads_counters {
    uint64_t sent, resent, pieces, unmatched;
    uint64_t waiting, in_flight_messages, in_flight_bytes, streams;
};
void remote_reads_counters(const struct remote_reads *reads, struct remote_reads_counters *counters);
size_t remote_reads_in_flight_bytes(const struct remote_reads *reads);
/* The highest revision that an answer told since it was asked last. */
uint64_t remote_reads_take_revision(struct remote_reads *reads);
#endif
