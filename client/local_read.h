/*
 * local_read.h - the read lane of queued calls in a process that reads the file itself.
 *
 * Calls that wait and cursors read on their own threads, through the pool; calls in queues come here and are answered
 * by the thread that waits for the queue, in batches on one snapshot.
 * Owns: the open streams of its calls.  Thread: see lane.h.
 */
#ifndef CLIENT_LOCAL_READ_H
#define CLIENT_LOCAL_READ_H
#include "client/lane.h"
#include "client/pool.h"

struct local_reads_options {
    pthread_mutex_t *mutex;
    struct pool *pool;
    const _Atomic uint64_t *max_data_bytes; /* as it is now; bounds an answer */
    uint64_t piece_bytes;                   /* of a streamed list */
    /* The file cannot be read here just now: true when somebody else took the call. Mutex held. NULL: nobody does. */
    bool (*elsewhere)(void *context, struct call *call);
    void *context;
};
/* NULL: no memory. */
struct lane *local_reads_new(const struct local_reads_options *options);
#endif
