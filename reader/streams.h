/*
 * streams.h - the open lists of the reader actor, sent piece by piece on the client's credit.
 *
 * Owns: the open streams, each with its request.  Thread: one.
 * Invariant: every stream that was begun ends with one LAST piece, unless it was cancelled or its connection is gone.
 */
#ifndef READER_STREAMS_H
#define READER_STREAMS_H
#include "actor/worker.h"
#include "reader/reader.h"

struct streams;

struct streams_counters {
    uint64_t opened, refused, pieces, cancelled, expired;
};

/* `snapshot_ms`: how long a stream may live; 0: LIMIT_SNAPSHOT_MS. NULL: no memory. */
struct streams *streams_new(uint32_t snapshot_ms);
void streams_free(struct streams **streams);
/* Begins the list that a READ flagged STREAM asks for; what cannot begin ends at once with its status. */
void streams_open(struct streams *streams, struct worker *worker, struct reader *reader,
                  const struct worker_message *message);
void streams_credit(struct streams *streams, uint64_t ticket, uint64_t bytes);
void streams_cancel(struct streams *streams, uint64_t ticket);
/* Sends pieces round robin for a few milliseconds; ends what is too old. */
void streams_serve(struct streams *streams, struct worker *worker);
/* When streams_serve has something to do: 0 now, INT64_MAX not until credit or room in the worker's queue comes. */
int64_t streams_due_ns(const struct streams *streams, const struct worker *worker);
size_t streams_count(const struct streams *streams);
/* Ends all, with `status` (OK: without a word, as nobody waits any more). */
void streams_end_all(struct streams *streams, struct worker *worker, int status);
const struct streams_counters *streams_counters(const struct streams *streams);
#endif
