/*
 * raw_session.h - the mutations of one raw connection as a session: numbered, sent in runs, sent again when need be.
 *
 * Thread: one.
 * Invariant: what lies between floor and next is sent, in order, and not settled yet.
 */
#ifndef BENCH_RAW_SESSION_H
#define BENCH_RAW_SESSION_H
#include "bench/internal.h"
#include "bench/raw_link.h"
#include "proto/limits.h"

/* Operations that wait to be sent, oldest first. */
struct raw_line {
    struct task **operations;
    size_t room, first, count;
};

struct raw_slot {
    struct task *operation; /* NULL: settled */
    uint32_t message_count; /* of the message that begins here */
    size_t message_bytes;
};

struct raw {
    struct raw_link *link;
    struct arena *arena;
    struct raw_line writes, reads;
    size_t in_flight_bytes;
    unsigned batch;
    uint32_t timeout_ms;
    int64_t heard_ns; /* the last message */
    int64_t hold_ns;  /* nothing is sent before: the broker asked for it */
    bool broken;
    /* the session */
    struct session_header session;
    uint64_t next_write;
    struct raw_slot slots[LIMIT_SESSION_WINDOW];
    unsigned unanswered; /* messages */
    bool again;          /* all from the floor on is to be sent again, once nothing is unanswered */
    unsigned retries;    /* in a row without anything settled */
    bool credit_asked;
    uint64_t credit_bytes;
    /* reads: one number a message */
    struct raw_read *open_reads;
    size_t open_room;
    uint64_t next_read;
};

/* A message of reads without its answer. */
struct raw_read {
    uint64_t number; /* 0: free */
    unsigned count;
    size_t bytes;
    struct task **operations; /* batch of them */
};

void raw_line_push(struct raw_line *line, struct task *operation);
struct task *raw_line_at(const struct raw_line *line, size_t index);
void raw_line_drop(struct raw_line *line, size_t count);

/* Encodes and sends `count` of them as one message; false: the link is broken. Its size in *bytes. */
bool raw_send_requests(struct raw *raw, struct envelope *envelope, const struct session_header *session,
                       struct task *const *operations, size_t count, size_t *bytes);
/* How many of the line make its next message: `batch` at most, and not too many bytes. */
size_t raw_run(const struct raw *raw, const struct raw_line *line, size_t *bytes);
/* Whether a body of so many bytes may be sent now, by what the broker has let us have unanswered. */
bool raw_has_room(const struct raw *raw, size_t bytes);

void raw_session_begin(struct raw *raw);
/* Sends what may be sent. */
void raw_session_send(struct raw *raw);
void raw_session_reply(struct worker *worker, struct raw *raw, const struct envelope *envelope,
                       const struct reply *replies, size_t count);
/* A new connection: nothing that was sent will be answered. */
void raw_session_welcome(struct raw *raw);
void raw_session_credit(struct raw *raw, const struct envelope *envelope);
bool raw_session_is_idle(const struct raw *raw);
#endif
