/*
 * core.h - what the client library's own files share: handles, calls under way, results, who leads a lane.
 *
 * Lock order: the registry of engines, then a hub's mutex, then a pool's.  A hub is the mutex of all handles that share
 * an engine, or of the one handle of a service.
 */
#ifndef CLIENT_CORE_H
#define CLIENT_CORE_H
#include "client/deadlines.h"
#include "client/fork.h"
#include "client/hub.h"
#include "client/lane.h"
#include "client/log.h"
#include "client/request_in.h"
#include "client/result.h"
#include "client/stigstore.h"
#include "client/wake.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    DEFAULT_TIMEOUT_MS = 5000,
    DEFAULT_IN_FLIGHT = 16384,
    MOST_IN_FLIGHT = 65536,
    OWNER_POLL_MS = 20, /* how often an open looks again whether the owner has gone */
};
#define DEFAULT_IN_FLIGHT_BYTES (64 * MIB)
#define DEFAULT_CACHE_BYTES     (256 * MIB)
#define LIST_CREDIT_BYTES       (8 * LIMIT_PIECE_BYTES) /* that a list may have on its way: more is no faster */

/* ---- drive.c: leader and followers ---- */

struct waiter {
    struct waiter *next, *previous;
    bool listed;
    pthread_cond_t *cond;          /* a thread that waits on it, */
    struct wake *wake;             /* or by it, */
    struct stigstore_queue *queue; /* or one that polls a queue's descriptor */
};
struct driver {
    struct lane *lane;
    bool is_remote;
    bool led;
    struct waiter *first, *last; /* threads that wait */
    struct waiter *watchers;     /* queues whose descriptor may be polled elsewhere */
};
/* One round by this thread. */
void driver_lead(struct driver *driver, int64_t until_ns, int wake_fd);
void driver_join(struct driver *driver, struct waiter *waiter);
void driver_quit(struct driver *driver, struct waiter *waiter);
/* Wakes somebody who waits for the lane, when nobody leads it; nobody waits: those who may poll for its work, now or
 * when it falls due. */
void driver_pass(struct driver *driver);
/* Wakes those whose calls this thread has settled: best without the mutex, which they may want at once. Lanes do it
 * whenever they let go of the mutex. */
void driver_wake_answered(void);
/* Makes all threads that lead it or wait for it look again. */
void driver_wake_all(struct driver *driver);
void driver_watch(struct driver *driver, struct waiter *waiter);
void driver_unwatch(struct driver *driver, struct waiter *waiter);

/* A call under way: the base of waiting calls, queued ones and cursors. */
struct op {
    struct call call; /* first */
    struct stigstore *store;
    struct driver *driver;
    struct op *next, *previous; /* the handle's list */
    int64_t deadline_ns;
    bool settled;
    bool given_up;      /* by op_give_up */
    bool lane_done;     /* the lane has it no more: what it brought was not taken yet */
    int hurried_status; /* why a pinned call was told to hurry */
    bool held;          /* op_end_now looks at it: who settles it leaves its memory, and sets `release` */
    void (*release)(struct op *op);
};
/* Puts it on its lane. */
void op_begin(struct op *op, struct driver *driver);
/* Takes it out of the handle's list. */
void op_finish(struct op *op);
/* Ends it with `status`, by its own settle, unless a lane has it pinned: false. */
bool op_give_up(struct op *op, int status);
/* `reply` as the caller is to see it. */
struct reply op_outcome(const struct op *op, const struct reply *reply);
/* Ends it with `status` whatever it takes: leads or waits while it is pinned. */
void op_end_now(struct op *op, int status);
/* Gives up queued calls that are overdue, since what nobody sends any more would hold the later ones up, and says until
 * when a thread may wait for `op` before it has to look again. */
int64_t op_wait_until(const struct op *op);
/* Runs `request` on `driver` and waits for it: its status, in the box. Mutex not held. */
int op_run(struct stigstore *store, struct driver *driver, const struct request *request, uint32_t control_verb,
           uint32_t timeout_ms, struct result_box *box);

/* ---- the handle ---- */

struct stigstore {
    struct hub *hub;
    unsigned generation;
    atomic_uint inside; /* threads in a call, and whether it is closing: see handle.c */
    bool closed;
    unsigned references; /* the caller's, and one for each queue and cursor */
    pthread_cond_t rare; /* a thread left, a pinned call ended, a flush may be done */
    unsigned rare_waiters;

    uint32_t flags;
    uint32_t timeout_ms;
    uint32_t max_in_flight;
    uint64_t max_in_flight_bytes;
    _Atomic uint64_t max_data_bytes; /* as the engine or the service has it */
    struct log_sink log;
    char *path;
    char *url;

    struct engine *engine; /* embedded writer; shared */
    struct pool *pool;     /* local reads; NULL: none */
    bool pool_is_shared;   /* the engine's */
    struct driver *writes; /* NULL: read-only */
    struct driver *reads;  /* of asynchronous local reads; NULL: all reads go through `remote` */
    struct driver *remote; /* NULL: no service */
    struct driver local_driver, remote_driver;
    atomic_bool ask_broker; /* the store changed: the next read goes through the broker, which tells of it */
    uint8_t incarnation[INCARNATION_BYTES];

    struct op *ops_first, *ops_last;
    struct stigstore_queue *queues;
    struct stigstore_cursor *cursors;
    struct deadlines *deadlines; /* of queued calls */
    uint64_t in_flight, in_flight_bytes;
    uint64_t submitted;                                     /* counts queued calls, for flush */
    struct queued_call *unanswered_first, *unanswered_last; /* in that order */
    uint64_t stream;                                        /* names the handle at a shared engine */
};

/* OK and one more thread inside, or what every call on it then says. Sets the thread's log. */
struct entry {
    struct log_sink log_before;
};
int store_enter(struct stigstore *store, struct entry *entry);
bool store_is_closing(const struct stigstore *store);
int store_enter_closing(struct stigstore *store, struct entry *entry); /* also while and after closing */
void store_leave(struct stigstore *store, struct entry *entry);
void store_reference(struct stigstore *store);   /* mutex held */
void store_dereference(struct stigstore *store); /* mutex held on entry, not on return; may free the handle */
/* Waits for `rare`. */
void store_wait_rare(struct stigstore *store, int64_t until_ns);
void store_tell_rare(struct stigstore *store);
/* The lane of a request that is not read directly; NULL: the handle may not write. */
struct driver *store_route(struct stigstore *store, uint32_t operation);
/* May this thread read the file itself, as far as is known? */
bool store_reads_itself(const struct stigstore *store);
/* Checks the request and runs it: the status, in the box. `timeout_ms`: of a list, from piece to piece. */
int store_run(struct stigstore *store, const struct request *request, uint32_t timeout_ms, struct result_box *box);

/* ---- cursor.c, queue.c; mutex held ---- */

void cursors_end(struct stigstore *store); /* at close: no thread is inside */
void queue_signal(struct stigstore_queue *queue);
/* The descriptor's timer is set to what falls due first. */
void queue_arm_timer(struct stigstore_queue *queue);
void queue_unwatch(struct stigstore_queue *queue);                 /* at close: its handle's lanes go */
struct stigstore_queue *queue_next(struct stigstore_queue *queue); /* of the same handle */
#endif
