/*
 * actor.h - what the service's processes share: start-up, signals, log lines, endpoints.
 *
 * All but actor_start is in the library `actor_plain`, which knows no ZeroMQ.
 *
 * Thread: the main one.
 */
#ifndef ACTOR_ACTOR_H
#define ACTOR_ACTOR_H
#include "proto/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum actor_exit {
    ACTOR_EXIT_OK = 0,
    ACTOR_EXIT_USAGE = 2,
    ACTOR_EXIT_REFUSED = 11, /* it would fail again the same way: do not restart */
    ACTOR_EXIT_FAILED = 12,
};

/*
 * First thing in main of an actor, before any zmq or czmq call: turns czmq's signal handlers off, seeds rand() from the
 * kernel (libzmq draws routing ids from it), ignores SIGPIPE, blocks SIGTERM and SIGINT for a signalfd, sets PDEATHSIG
 * and ends if the parent `supervisor_pid` (0: none) is already gone, sets umask 077. Returns the signalfd.
 */
int actor_start(const char *name, long supervisor_pid);
/* The signal that arrived on the descriptor; 0: none. */
int actor_signal(int signal_fd);
/* Says "READY\n" to the descriptor that --ready-fd named, closes it and makes it -1; does nothing for -1. */
void actor_ready(int *ready_fd);
/* A decimal number of an option or a variable, from `least` to `most`; false for anything else. */
bool actor_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number);

/* The name that log lines begin with; actor_start sets it. `name` must live on. */
void actor_set_name(const char *name);
/* One line on stderr: "stigstore-writer[123]: text". A log_sink for libraries. */
void actor_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern const struct log_sink actor_log_sink;

/* `endpoint` for clients -> the one for workers: "ipc://P" -> "ipc://P.workers". INVALID_ARGUMENT when it is not
 * ipc://, or too long (107 bytes of path). */
int endpoint_of_workers(const char *endpoint, char *out, size_t out_bytes, struct failure *failure);
/* Before binding ipc://P: the path's length, its folder (made with 0700; refused if others may write to it), and what
 * lies there: nothing or a socket (then nobody may be listening, else BUSY). Anything else is refused and left alone. */
int endpoint_check_bind(const char *endpoint, struct failure *failure);
/* Makes the folder with all that lead to it (0700) unless it is there; then it must be ours and nobody else may write
 * to it or replace it. */
int endpoint_make_folder(const char *folder, struct failure *failure);
/* The folder of an ipc:// endpoint followed by `suffix`, e.g. "/health". */
int endpoint_folder(const char *endpoint, const char *suffix, char *out, size_t out_bytes, struct failure *failure);
#endif
