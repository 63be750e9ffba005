/*
 * lane.h - a way to carry calls: local (this process reads or writes the file) or through the broker.
 *
 * The core (handle, calls, queues, cursors) hands calls to a lane and drives it from threads that are inside a call;
 * a lane has no thread of its own.  At most one thread leads a lane at a time: it alone touches sockets or connections.
 *
 * Thread: every function is called with the handle's mutex held; `lead` lets go of it while it works or blocks.
 * Invariant: a call that was submitted is settled exactly once, by `settle(call, reply, last = true)`, or abandoned.
 */
#ifndef CLIENT_LANE_H
#define CLIENT_LANE_H
#include "proto/body.h"
#include "proto/failure.h"
#include "proto/request.h"

#include <pthread.h>

struct call;

/* Called with the mutex held.  The reply and its spans are valid during the call only: copy what is kept.  For a
 * streamed list: once a piece; the final one has `last` set and carries the stream's status (it may carry items too). */
typedef void call_settle(struct call *call, const struct reply *reply, bool last);

struct call {
    struct request request; /* its spans stay valid until the call is settled or abandoned */
    uint32_t control_verb;  /* not 0: a CONTROL message with request.data as its argument */
    bool streamed;          /* a list whose items come in pieces, on credit */
    uint64_t credit_bytes;  /* streamed: the first credit */
    uint64_t piece_bytes;   /* streamed: set before a piece is settled, what it took of the credit */
    bool pinned;            /* set by a local lane while it works on the call: it settles soon and is not abandoned */
    bool hurried;           /* the core wants a pinned call to end early: a local lane ends it at its next step */
    call_settle *settle;
    struct call *next, *previous; /* the lane's list while it has the call */
    /* the lane's own */
    uint64_t number;
    uint32_t copies_sent;
    void *lane_data;
};

struct lane;
struct lane_ops {
    /* Takes a call over; never blocks; may settle it at once. */
    void (*submit)(struct lane *lane, struct call *call);
    /* Forgets a call (deadline, cancel, close); it is not settled by the lane after this, and the call's memory may go.
     * True: surely not applied (no copy was ever sent, or it is a read). Later mutations of the handle never land
     * before a copy of it that is still on its way. */
    bool (*abandon)(struct lane *lane, struct call *call);
    /* Lets the stream of `call` bring `bytes` more. */
    void (*credit)(struct lane *lane, struct call *call, uint64_t bytes);
    /* One round of work by the leader: sends and receives what there is, else blocks until something comes, `until_ns`
     * (CLOCK_BOOTTIME) has come, `wake_fd` (-1: none) is readable (it is only polled, never read), or `interrupt`.
     * Unlocks the mutex meanwhile; settles calls with it held. `until_ns` in the past: does not block. */
    void (*lead)(struct lane *lane, int64_t until_ns, int wake_fd);
    /* Makes a blocked `lead` return soon; cheap when nobody leads or the leader is not blocked. Mutex held. */
    void (*interrupt)(struct lane *lane);
    /* True when `lead` has something to do without waiting for the network (for queue descriptors). */
    bool (*has_work)(struct lane *lane);
    /* When `lead` has to be called at the latest although nothing comes in (a resend that is due); INT64_MAX: never. */
    int64_t (*due_ns)(struct lane *lane);
    /* A descriptor that is readable when something came in (remote), or -1. The same for the lane's life. Edge rules as
     * of ZMQ_FD are hidden: when in doubt it is readable. */
    int (*descriptor)(struct lane *lane);
    /* Sends what must be sent at the end (session close), lets go of everything, frees. Nobody leads, no call is left. */
    void (*free)(struct lane *lane);
};

struct lane {
    const struct lane_ops *ops;
    pthread_mutex_t *mutex; /* the handle's */
    void (*unlocked)(void); /* the core's: what it does as soon as a leader has let go of the mutex; NULL: nothing */
};

/* How a leader lets go of the mutex. */
static inline void lane_unlock(const struct lane *lane)
{
    pthread_mutex_unlock(lane->mutex);
    if (lane->unlocked)
        lane->unlocked();
}

/* ---- the lane through the broker, client/remote.c ---- */
struct remote_options {
    const char *endpoint;   /* ipc://... or tcp://... as libzmq takes it */
    const char *server_key; /* Z85; NULL without CURVE */
    const char *key_file;   /* ZPL file as zcert writes it, with our public and secret key */
    pthread_mutex_t *mutex;
    /* A HELLO came (the first, or one that differs): mutex held. `hello` is valid during the call. */
    void (*hello)(void *context, const struct hello *hello);
    /* A notice for the log; mutex held. */
    void (*notice)(void *context, int level, const char *line);
    void *context;
};
/* Makes the socket and starts connecting; does not wait. IO_ERROR, NO_MEMORY (descriptors: it asks for 16 free ones). */
int remote_new(const struct remote_options *options, struct lane **lane, struct failure *failure);
/* JSON of the lane's own counters and state for status_json, in `arena`. */
struct span remote_status(struct lane *lane, struct arena *arena);
#endif
