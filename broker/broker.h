/*
 * broker.h - the shell around the route: sockets, timers, signals and health files.
 *
 * Owns: the context, both doors (clients and workers; a third for other hosts), the route, every body in flight.
 * Thread: one, beside libzmq's own.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H
#include "proto/failure.h"

#include <stdint.h>

struct broker_options {
    const char *endpoint;    /* ipc://... */
    const char *listen;      /* tcp://..., NULL: none */
    const char *keys;        /* folder of keys, for `listen` */
    uint64_t max_data_bytes; /* 0: the default */
    int signal_fd;
    int ready_fd; /* -1: none */
};

struct broker;

/* Binds. INVALID_ARGUMENT, BUSY, PERMISSION_DENIED and UNSUPPORTED: it would fail again the same way. */
int broker_new(const struct broker_options *options, struct broker **broker, struct failure *failure);
/* Serves until it was told to drain by a signal and has. */
void broker_run(struct broker *broker);
void broker_free(struct broker **broker);
#endif
