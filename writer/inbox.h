/*
 * inbox.h - the WRITE messages that have arrived at the writer actor and are not answered yet, in order of arrival.
 *
 * Owns: the messages, their decoded requests and replies.  Thread: one.
 * Invariant: a message is answered after its last request was committed, in one reply.
 */
#ifndef WRITER_INBOX_H
#define WRITER_INBOX_H
#include "actor/latency.h"
#include "actor/worker.h"
#include "writer/writer.h"

struct inbox;

struct inbox_counters {
    uint64_t messages, refused; /* refused: no batch of a session's mutations */
    struct latency latency;     /* from arrival to the reply */
};

/* NULL: no memory. */
struct inbox *inbox_new(void);
void inbox_free(struct inbox **inbox);
/* Takes a WRITE message over; what cannot be decoded is refused at once. */
void inbox_add(struct inbox *inbox, struct worker *worker, struct worker_message *wire);
/* No more should be added for now. */
bool inbox_is_full(const struct inbox *inbox);
size_t inbox_count(const struct inbox *inbox);
/* For writer_run. */
struct write_message *const *inbox_messages(const struct inbox *inbox);
/* Answers what is done; the rest stays, in order. */
void inbox_answer(struct inbox *inbox, struct worker *worker);
struct inbox_counters *inbox_counters(struct inbox *inbox);

/* One reply to a message of any type. */
void inbox_reply(struct worker *worker, const struct worker_message *wire, const struct reply *replies, size_t count);
#endif
