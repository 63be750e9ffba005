/*
 * reader.h - answer a batch of reads on one snapshot, and lists as streams on snapshots of their own.
 *
 * A plain library: the reader actor and the local read lane feed it.
 * Owns: one connection for batches, and one for each open stream (a few are kept for reuse).  Thread: one at a time;
 * a stream may be used by another thread than its reader.
 */
#ifndef READER_READER_H
#define READER_READER_H
#include "storage/storage.h"

struct reader;
struct stream;

struct reader_options {
    const char *path;
    bool keep_snapshots;
    uint64_t max_data_bytes;
    uint64_t cache_bytes, mapped_bytes; /* as storage_options has them; of batches, lists have little */
    uint32_t snapshot_ms;               /* 0: LIMIT_SNAPSHOT_MS */
    struct log_sink log;
};

int reader_new(const struct reader_options *options, struct reader **reader, struct failure *failure);
void reader_free(struct reader **reader); /* its streams must be closed first */

/* Fills every reply; see storage_ops.answer. Expired requests get DEADLINE_EXCEEDED, malformed ones what
 * request_check says. A plain list is answered whole if it fits most_bytes, else TOO_LARGE. */
void reader_answer(struct reader *reader, const struct request *requests, size_t count, struct reply *replies,
                   struct arena *arena, size_t most_bytes);
/* Lets go of a kept snapshot; an idle reader must be told to. */
bool reader_holds_snapshot(const struct reader *reader);
void reader_release(struct reader *reader);
/* False when the path leads to another file now: free it and open anew. */
bool reader_is_current(struct reader *reader);
const struct storage_identity *reader_identity(const struct reader *reader);

/* Opens a list; the snapshot is taken now and lives `snapshot_ms`. */
int stream_open(struct reader *reader, const struct request *request, struct stream **stream, struct failure *failure);
/* The next items, up to `most_bytes` but at least one: piece->items in `arena`, piece->revision the snapshot's.
 * *last: nothing follows, piece->status says how it ended (OK, SNAPSHOT_EXPIRED, CORRUPT, ...); it may bring items. */
void stream_next(struct stream *stream, size_t most_bytes, struct reply *piece, bool *last, struct arena *arena);
void stream_close(struct stream **stream);
/* Ends the snapshots of streams that nobody asks and that have lived long enough: their next piece is the last one,
 * SNAPSHOT_EXPIRED. Returns when it is to be called next (CLOCK_BOOTTIME; INT64_MAX: no stream is open). Any thread. */
int64_t reader_expire_streams(struct reader *reader);
#endif
