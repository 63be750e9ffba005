/*
 * batches.h - the reads that have arrived at the reader actor, answered together on one snapshot.
 *
 * Owns: the decoded requests of one round.  Thread: one.
 * Invariant: each message gets one reply of its own.
 */
#ifndef READER_BATCHES_H
#define READER_BATCHES_H
#include "actor/latency.h"
#include "actor/worker.h"
#include "reader/reader.h"

struct batches;

struct batches_counters {
    uint64_t messages, requests, refused; /* refused: not decodable, no permission */
    struct latency latency;               /* from arrival to the reply, of messages */
};

/* `answer_bytes`: the most that one answer may hold. NULL: no memory. */
struct batches *batches_new(size_t answer_bytes);
void batches_free(struct batches **batches);
/* Takes a READ message over; what cannot be answered is refused at once. */
void batches_add(struct batches *batches, struct worker *worker, struct worker_message *message);
/* No more should be added to this round. */
bool batches_are_full(const struct batches *batches);
/* Answers all; UNAVAILABLE to each when `reader` is NULL. Empty afterwards. */
void batches_answer(struct batches *batches, struct worker *worker, struct reader *reader);
struct batches_counters *batches_counters(struct batches *batches);
#endif
