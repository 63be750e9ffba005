/*
 * local_write.h - the write lane of a process that owns its file: commit groups led by whoever waits.
 *
 * One lane serves all handles of the engine.  Its leader takes all that is queued into one commit group, with the mutex
 * let go of; a call that the leader works on is pinned.
 * Owns: the writer.  Thread: see lane.h.
 * Invariant: a call is settled after its transaction has committed, or when it surely was not applied, or IO_ERROR.
 */
#ifndef CLIENT_LOCAL_WRITE_H
#define CLIENT_LOCAL_WRITE_H
#include "client/lane.h"
#include "client/pool.h"
#include "writer/writer.h"

/* Room beside a call, zero at first, for what the lane keeps of it; `call.lane_data` points to it. */
struct local_write {
    uint64_t stream; /* names the handle: its calls go in order */
    struct write_message message;
    struct reply reply;
    struct arena *arena; /* of a ranged delete, which may go through many groups */
};

struct local_writes_options {
    const char *path;
    bool durability_normal;
    uint64_t max_data_bytes;
    pthread_mutex_t *mutex;
    struct pool *pool; /* whose idle snapshots end with each group */
};
/* Opens the file as a starting writer does. */
int local_writes_new(const struct local_writes_options *options, bool create, struct lane **lane,
                     struct failure *failure);
const struct storage_identity *local_writes_identity(const struct lane *lane);
/* As of the last group; mutex held. */
void local_writes_counters(const struct lane *lane, struct storage_counters *storage, struct writer_counters *writer);
#endif
