/*
 * copying.h - the backup that the writer actor is making for somebody, a few pages between groups.
 *
 * Owns: the request and the unfinished copy.  Thread: one.
 * Invariant: one at a time; whoever asked gets one reply.
 */
#ifndef WRITER_COPYING_H
#define WRITER_COPYING_H
#include "actor/worker.h"
#include "storage/storage.h"

struct copying {
    bool active;
    struct worker_message wire;
    struct storage_backup *backup;
    uint64_t made;
};

/* Takes a CONTROL message over. */
void copying_begin(struct copying *copying, struct worker *worker, struct storage *storage,
                   struct worker_message *wire);
/* A few pages; answers at the end. */
void copying_step(struct copying *copying, struct worker *worker, struct storage *storage);
/* Ends it unfinished; with a worker, whoever asked is told. Before the storage is closed. */
void copying_stop(struct copying *copying, struct worker *worker, struct storage *storage);
#endif
