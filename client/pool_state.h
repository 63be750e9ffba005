/*
 * pool_state.h - what the parts of the pool share: its readers, and who lets go of what they hold.
 *
 * Invariant: streaming_mutex is taken before mutex.
 */
#ifndef CLIENT_POOL_STATE_H
#define CLIENT_POOL_STATE_H
#include "client/pool.h"

#include <pthread.h>

struct source { /* one reader */
    struct reader *reader;
    uint64_t generation;
    int64_t checked_ns;
    int64_t used_ns;
    unsigned streams; /* open on it */
    struct source *next;
};

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t given; /* a reader came back */
    struct pool_options options;
    char *path;
    bool has_identity;
    struct storage_identity identity;
    uint64_t generation; /* of the file that is expected */
    int64_t retry_ns;
    struct source *idle; /* the last used first */
    unsigned count;
    struct source *streaming; /* the one that lists are opened on */
    pthread_mutex_t streaming_mutex;
    int64_t streams_due_ns; /* when the next snapshot of a list is too old; INT64_MAX: no list is open */

    pthread_t helper;
    pthread_cond_t helper_wake;
    bool helper_runs, helper_ends, helper_busy;
};

/* Sees to it that a snapshot which an idle reader holds is let go of; with mutex. */
void pool_watch_snapshot(struct pool *pool, struct source *source);
/* Sees to it that the snapshot of a list ends in time though nobody asks for its next piece; with streaming_mutex. */
void pool_watch_streams(struct pool *pool);
void pool_stop_helper(struct pool *pool);
#endif
