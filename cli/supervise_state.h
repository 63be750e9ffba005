/*
 * supervise_state.h - what the supervisor decides, as functions of state, event and time, without processes.
 *
 * The shell (supervisor.c) reports what happened and carries out the orders.
 * Owns: nothing.  Thread: one.
 * Invariant: an order is given once.
 */
#ifndef CLI_SUPERVISE_STATE_H
#define CLI_SUPERVISE_STATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum supervise_role { SUPERVISE_BROKER, SUPERVISE_WRITER, SUPERVISE_READER };
enum supervise_phase { SUPERVISE_DOWN, SUPERVISE_STARTING, SUPERVISE_READY };
enum supervise_order { SUPERVISE_NOTHING, SUPERVISE_START, SUPERVISE_TERMINATE, SUPERVISE_KILL };

enum {
    SUPERVISE_CHILDREN_MOST = 66,
    SUPERVISE_WAIT_LEAST_MS = 100, /* before a child that died before READY is started again; doubles */
    SUPERVISE_WAIT_MOST_MS = 2000,
    SUPERVISE_DRAIN_MS = 10000,    /* for the broker to end all in order, before everybody gets SIGTERM */
    SUPERVISE_TERMINATE_MS = 2000, /* before SIGKILL */
};

struct supervise_child {
    enum supervise_role role;
    enum supervise_phase phase;
    int64_t start_ns; /* DOWN: not before */
    uint32_t wait_ms; /* the next wait, if it dies before READY */
    uint64_t starts;
    enum supervise_order wanted, told; /* TERMINATE or KILL while it lives */
};

struct supervise {
    struct supervise_child children[SUPERVISE_CHILDREN_MOST]; /* broker, writer, readers */
    size_t count;
    bool broker_was_ready, service_was_ready;
    bool stopping;
    int exit_code;
    unsigned step;       /* of stopping: 0 drain, 1 all terminated, 2 all killed */
    int64_t escalate_ns; /* when the next step is due */
};

/* How a child ended. */
struct supervise_end {
    bool exited;
    int code; /* exit status, or signal */
};

void supervise_init(struct supervise *state, unsigned readers, int64_t now_ns);
/* The next thing to do now, for *child; call until it is NOTHING. START: the child counts as running from here on, so
 * one that cannot be forked is reported by supervise_ended. */
enum supervise_order supervise_next(struct supervise *state, int64_t now_ns, size_t *child);
/* A child said READY. True once: broker, writer and at least one reader are. */
bool supervise_said_ready(struct supervise *state, size_t child);
void supervise_ended(struct supervise *state, size_t child, struct supervise_end end, int64_t now_ns);
/* Begins to stop with `exit_code`; when stopping already: goes one step further. */
void supervise_stop(struct supervise *state, int exit_code, int64_t now_ns);
/* When supervise_next may have something to do though nothing happens; INT64_MAX: never. */
int64_t supervise_wait_until(const struct supervise *state);
/* Stopping, and no child lives. */
bool supervise_is_done(const struct supervise *state);
#endif
