/*
 * pool.h - what a reader and its streams share: the connections for streams, and who is open.
 *
 * Thread: any; streams may be on other threads than their reader.
 * Invariant: a stream in `streams` has a connection until it has ended, and it is nobody else's.
 */
#ifndef READER_POOL_H
#define READER_POOL_H
#include "reader/reader.h"

#include <pthread.h>

enum { POOL_IDLE = 4 }; /* connections kept for the next stream */

struct reader {
    struct storage *storage; /* for batches */
    struct reader_options options;
    pthread_mutex_t mutex; /* for what follows */
    struct stream *streams;
    size_t stream_count;
    struct storage *idle[POOL_IDLE];
    size_t idle_count;
};

/* A connection to the reader's own file; UNAVAILABLE when another lies there now. */
int pool_take(struct reader *reader, struct storage **connection, struct failure *failure);
/* Keeps it, or closes it. */
void pool_give(struct reader *reader, struct storage **connection);
#endif
