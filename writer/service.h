/*
 * service.h - the writer actor's loop: what has arrived goes into a group, is committed, is answered.
 *
 * Thread: one.
 * Invariant: nothing is answered before its transaction has committed; after an unknown commit nothing is.
 */
#ifndef WRITER_SERVICE_H
#define WRITER_SERVICE_H
#include "actor/health.h"
#include "actor/worker.h"
#include "writer/writer.h"

struct service_options {
    const char *endpoint; /* for clients */
    uint64_t max_data_bytes;
    uint32_t snapshot_ms;
    int signal_fd;
    int ready_fd; /* -1: none */
};

/* How it ended. */
enum service_end {
    SERVICE_ASKED,     /* drained, or by a signal */
    SERVICE_MOVED,     /* the path leads to another file now, or another writer has the database */
    SERVICE_UNKNOWN,   /* whether the last commit is on disk is not known */
    SERVICE_NOT_BEGUN, /* *failure says why */
};

/* Serves until it is told to end; the writer stays the caller's. */
enum service_end service_run(const struct service_options *options, struct writer *writer, struct failure *failure);
#endif
