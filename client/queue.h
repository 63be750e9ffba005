/*
 * queue.h - a queue of calls that do not wait, as its own two files share it.
 *
 * Owns: its calls under way, its results that nobody took, its descriptors.
 * Invariant: under the handle's mutex `signaled` says whether the event descriptor was written and not yet drained.
 */
#ifndef CLIENT_QUEUE_H
#define CLIENT_QUEUE_H
#include "client/core.h"
#include "client/local_write.h"

enum { TICKET_BUCKETS = 1024 };

struct queued_call {
    struct op op; /* first */
    struct stigstore_queue *queue;
    struct queued_call *bucket_next;
    struct queued_call *next_unanswered, *previous_unanswered; /* the handle's: of which nothing was handed out yet */
    bool unanswered;
    uint64_t ticket, user;
    uint64_t sequence; /* of the handle's submissions */
    uint32_t timeout_ms;
    size_t bytes;
    struct deadline deadline;
    struct result_box *box; /* room for the final result, so that it always comes */
    struct local_write local;
    /* A list in pieces. */
    struct result_box *pieces_first, *pieces_last; /* came in before they were asked for */
    unsigned wanted;                               /* pieces asked for and not handed out */
    bool short_of_memory;
    max_align_t memory[]; /* what the request points to */
};

struct stigstore_queue {
    struct stigstore *store;
    struct stigstore_queue *next, *previous; /* the handle's */
    unsigned generation;
    int event_fd, timer_fd, poll_fd;
    struct waiter watch_reads, watch_writes, watch_remote;
    bool signaled;
    bool watched; /* somebody has asked for poll_fd */
    int64_t armed_ns;
    atomic_bool woken;
    uint64_t next_ticket;
    struct result_box *ready_first, *ready_last;
    struct queued_call *buckets[TICKET_BUCKETS];
};

/* queue_call.c; mutex held */

/* A call is answered, or a piece of its list came. */
void queued_settle(struct call *call, const struct reply *reply, bool last);
struct queued_call *queued_find(struct stigstore_queue *queue, uint64_t ticket);
void queued_hash(struct queued_call *call);
/* Asks for the next piece of a list. */
void queued_want(struct queued_call *call);
/* When something falls due that no descriptor tells of; `led_too`: also on lanes that somebody leads. */
int64_t queue_due_ns(const struct stigstore *store, bool led_too);
/* The last of those of which nothing was handed out; it is no more once something was. */
void queued_await(struct queued_call *call);
/* Puts a result on the ready list. */
void queue_push(struct stigstore_queue *queue, struct result_box *box);
/* Ends calls of the handle whose time is up; when the next one's is (INT64_MAX: there is none). */
int64_t queue_expire(struct stigstore *store);
#endif
