/*
 * remote_session_state.h - what a session remembers, for the files that make it up.
 *
 * A slot stands for each number from the floor up to the last one given.  A slot without a call that is not settled was
 * given up: in its place a SKIP is sent, unless the floor can rise past it.
 */
#ifndef CLIENT_REMOTE_SESSION_STATE_H
#define CLIENT_REMOTE_SESSION_STATE_H
#include "client/call_list.h"
#include "client/remote_session.h"

#include <assert.h>

enum { FLIGHTS_MOST = 16 };

struct slot {
    struct call *call;    /* NULL: settled, or given up */
    uint64_t sent_seq;    /* of the last message of this session that carried it; 0: none did */
    uint32_t outstanding; /* copies on this connection without an answer */
    bool settled;
    bool doubt; /* a copy's answer was lost: it may have been applied */
};

struct flight {
    uint64_t seq, generation, first;
    size_t count, bytes;
};

struct remote_session {
    struct session_header header; /* its floor is the present one */
    bool born;
    bool writer_ready;
    bool incarnation_refused; /* the writer said that the store is another than header.incarnation */
    bool unknown;             /* the writer does not know this session; a new one begins when all answers are in */
    uint64_t unknown_counter;
    uint8_t hello_incarnation[INCARNATION_BYTES];
    uint64_t hello_counter;
    uint64_t generation; /* of the session: raised by each new one */
    uint64_t seq;        /* of messages */
    uint64_t next;       /* the next number to give */
    uint64_t send_next;  /* the next number to send on this connection */
    int64_t retry_at_ns;
    unsigned stumbles; /* times it went back since something was settled */
    struct slot *ring;
    size_t capacity; /* a power of two */
    struct call_list waiting;
    struct flight flights[FLIGHTS_MOST]; /* oldest first */
    size_t flight_count, flight_bytes;
    bool sent_any; /* in this session */
    struct remote_session_counters counters;
    uint64_t highest_revision; /* that answers told and nobody has taken */
};

static inline struct slot *slot_of(const struct remote_session *session, uint64_t number)
{
    if (number < session->header.floor || number >= session->next)
        return NULL;
    return &session->ring[number & (session->capacity - 1)];
}

/* Of a number that has one. */
static inline struct slot *slot_at(const struct remote_session *session, uint64_t number)
{
    struct slot *slot = slot_of(session, number);

    assert(slot);
    return slot;
}

/* No copy of it can have been applied, nor can be. */
static inline bool slot_is_sure(const struct slot *slot)
{
    return !slot->doubt && slot->outstanding == 0;
}

/* Lets the floor rise past all whose outcome nobody wants any more. */
void remote_session_raise_floor(struct remote_session *session);
/* Ends the number's call; `known`: the writer has its outcome recorded, else the number is given up. */
void remote_session_end(struct remote_session *session, struct slot *slot, const struct reply *reply, bool known);
/* Begins a session of this birth. */
void remote_session_be_born(struct remote_session *session, const uint8_t *incarnation, uint64_t counter);
#endif
