/*
 * supervisor.h - run broker, writer and readers as one service: start, restart, stop in order.
 *
 * Plain C without ZeroMQ.  Owns: lock byte 0 of the database, the processes, the place of the sockets.
 * Thread: the main one; it must live as long as the service, since the children die with the thread that forked them.
 * Invariant: when supervisor_run returns no child, no socket and no lock of it is left.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H
#include "proto/failure.h"

#include <stdint.h>

enum { SUPERVISOR_READERS_MOST = 64 };
#define SUPERVISOR_BROKER_MEMORY_BYTES (UINT64_C(512) << 20)

struct supervisor_options {
    const char *database_path; /* its folder is made when missing */
    const char *endpoint;      /* ipc:// with an absolute path */
    const char *listen;        /* tcp://..., NULL or "": none */
    const char *keys;          /* folder of keys, with `listen` */
    unsigned readers;          /* 1 to SUPERVISOR_READERS_MOST */
    bool durability_normal;
    uint64_t max_data_bytes;      /* 0: the default */
    uint32_t snapshot_seconds;    /* 0: the default */
    uint64_t broker_memory_bytes; /* RLIMIT_DATA of the broker; 0: SUPERVISOR_BROKER_MEMORY_BYTES */
    const char *program_dir;      /* where stigstore-broker and the others are; NULL, or not there: $PATH */
    int ready_fd;                 /* gets "READY\n" when broker, writer and a reader are; -1: none */
    void (*ready)(void *context); /* called at the same moment; NULL: not */
    void *ready_context;
    struct failure *refusal; /* why it could not begin, which is then not logged; NULL: logged */
    struct log_sink log;
};

/* Serves until SIGTERM or SIGINT (then 0), or until it cannot go on: an exit code of enum actor_exit, the reason logged.
 * SIGTERM, SIGINT and SIGCHLD stay blocked. */
int supervisor_run(const struct supervisor_options *options);
#endif
