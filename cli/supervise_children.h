/*
 * supervise_children.h - one child of the supervisor as a process: fork and exec, its READY line, its end.
 *
 * Owns: the read end of the pipe that a starting child says READY on.  Thread: the main one.
 */
#ifndef CLI_SUPERVISE_CHILDREN_H
#define CLI_SUPERVISE_CHILDREN_H
#include "cli/supervise_state.h"
#include "cli/supervisor.h"

#include <signal.h>
#include <sys/types.h>

struct supervise_process {
    pid_t pid;    /* 0: none */
    int ready_fd; /* -1: it has said READY or closed it */
    char heard[8];
    size_t heard_bytes;
};

/* "stigstore-writer" */
const char *process_name(enum supervise_role role);
/* Starts a child of `role` with the signal mask `mask`, in a process group of its own; it dies with the calling thread.
 * 0, or an errno. */
int process_start(struct supervise_process *process, enum supervise_role role, const struct supervisor_options *options,
                  const sigset_t *mask);
/* Reads what there is; true when the line is whole. The descriptor is closed then and at its end. */
bool process_heard_ready(struct supervise_process *process);
/* After it was reaped. */
void process_forget(struct supervise_process *process);
#endif
