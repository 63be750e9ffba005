/*
 * route_state.h - the state behind route.h, shared by the files that make it up.
 *
 * A ticket stands for one message of a client until it is answered.  It lies in its client's queue (`place`), or in
 * the list of the worker that has it.  A ticket whose client has gone while a worker has it is an orphan: it keeps
 * only its place in that worker's list.
 */
#ifndef BROKER_ROUTE_STATE_H
#define BROKER_ROUTE_STATE_H
#include "broker/list.h"
#include "broker/route.h"

enum {
    WHEEL_SLOTS = 1024,
    WHEEL_STEP_MS = 16,
    QUANTUM_BYTES = 64 * 1024, /* what a client may send before the next one's turn */
    REQUEST_COST_BYTES = 256,  /* what a request costs beside its bytes */
    HEARTBEAT_MISSED_MS = 3500,
    NO_WORKER_MS = 1000, /* so long requests wait for a worker to come */
    GRANT_MS = 5000,     /* an unused grant lapses */
    WANTING_MS = 500,    /* a body that waits longer for its grant keeps further ones of others out */
    STALLED_MS = 10000,  /* a client that takes nothing for so long, while memory is short, is cut */
    DRAIN_STREAMS_MS = 3000,
    DRAIN_ANSWERS_MS = 4000, /* what a client has not taken by then, it asks for again elsewhere */
    DRAIN_REQUESTS_MS = 20000,
    DRAIN_WORKERS_MS = 25000,
    DEATHS_ALONE = 2,
    TICKET_INDEX_BITS = 20,
    RETRY_AFTER_MS = 20,
    RETRY_AFTER_LONG_MS = 200,
};

struct lane_queue {
    struct link tickets;
    struct link ring; /* among the clients that have something for this lane */
    struct client *client;
    int64_t deficit;
    uint32_t out_requests, out_messages; /* at workers; lists and backups apart */
};

struct client {
    bool open, finished; /* finished: to be cut */
    uint32_t slot, generation;
    struct link owned; /* all its tickets */
    struct lane_queue lanes[LANES];
    uint32_t messages; /* tickets */
    uint64_t request_bytes;

    uint64_t granted; /* one grant of large-body credit at most */
    int64_t grant_until_ns;
    struct link wanting; /* waits for a grant */
    uint64_t want_first, want_bytes;
    int64_t want_ns; /* when it asked */

    uint32_t owed; /* answers not taken yet */
    uint64_t owed_bytes;
    int64_t progress_ns;   /* when it last took one, or owed nothing */
    uint64_t reserved;     /* for answers to reads that are out */
    uint64_t estimate;     /* of one such answer */
    int64_t stream_credit; /* out at workers for its lists */
    struct link held;      /* tickets of lists whose credit is held back */
};

struct worker {
    bool open, ready, leaving, drained;
    uint32_t slot;
    uint64_t serial;           /* of connections */
    uint64_t superseded;       /* a writer of this epoch came while it was here: a lower one has lost the lock */
    struct worker_state state; /* without its spans */
    char *path;
    char *status;
    struct link tickets;                     /* in the order they were sent */
    uint32_t outstanding, messages, streams; /* requests; messages but lists and backups; those */
    uint64_t bytes;
    struct ticket *alone; /* nothing else may be sent while it is out */
    int64_t heard_ns;
};

struct ticket {
    struct link place, owned, due;
    struct ticket *same_bucket;
    uint64_t number; /* 0: free */
    struct client *client;
    struct worker *worker;
    void *body;
    uint64_t bytes;
    uint64_t first;
    uint64_t reserved;
    int64_t deadline_ns, arrived_ns, sent_ns;
    uint32_t count, attempt, pieces;
    uint8_t type, lane, role;
    uint8_t deaths_alone;
    bool stream, aside; /* a list; outside of groups: lists and backups */
    bool suspect;       /* was out when a worker died */
    int64_t credit_out; /* bytes of pieces that its worker may still send */
    uint64_t credit_held;
    uint8_t principal[PRINCIPAL_BYTES];
};

struct route {
    struct route_limits limits;
    uint64_t life;
    struct client *clients;
    struct worker *workers;
    uint32_t open_clients, open_workers;
    uint64_t worker_serial;

    struct ticket *tickets;
    struct link free_tickets;
    uint32_t ticket_count; /* open ones, orphans too */
    uint64_t ticket_serial;
    struct ticket **reads; /* by client and number */
    uint32_t read_mask;

    struct link rings[LANES];            /* lane_queue.ring */
    uint32_t queued[LANES], live[LANES]; /* waiting; waiting or out, without orphans */
    int64_t worker_seen_ns[LANES];       /* when there was last one to send to */
    int64_t turnaround_ns[LANES];        /* from a worker's getting a message to its answer, as of late */
    struct link wheel[WHEEL_SLOTS];
    int64_t wheel_at; /* steps done */

    struct worker *writer; /* the ready one of the highest epoch */
    struct hello hello;
    char hello_path[4096];

    uint64_t request_bytes, granted_bytes, reply_bytes, reserved_bytes;
    uint32_t owed;
    struct link wanting;
    uint32_t held;     /* lists with credit held back */
    bool read_blocked; /* a read waits for the memory of answers */

    bool draining, drained_readers, drained_writers, finished;
    int64_t drain_ns;
    int64_t tick_ns; /* last pass over clients and workers */

    struct route_counters counters;
    struct histogram latency[LANES];

    struct action *actions;
    size_t action_head, action_count, action_room;
};

/* route.c */
struct action *route_act(struct route *route, enum action_type type, uint32_t slot);
void route_release(struct route *route, void *body);
/* Ends the connection of a client. */
void route_cut(struct route *route, struct client *client);
/* Sends an answer; takes the body over. */
void route_to_client(struct route *route, struct client *client, const struct envelope *envelope, void *body,
                     uint64_t bytes);
/* Answers a whole message with a status alone; a list by its last piece. */
struct refused {
    uint8_t type;
    bool stream;
    uint32_t pieces;  /* of the list so far */
    uint32_t attempt; /* how often it was handed out */
    uint32_t count;   /* of its requests */
    uint64_t first;
};
void route_refuse(struct route *route, struct client *client, const struct refused *refused, int32_t status);
bool route_fits_reply(const struct route *route, const struct client *client, uint64_t bytes);
void route_hello_client(struct route *route, struct client *client, uint16_t flags);
/* To all: something has changed. */
void route_say_hello(struct route *route);

/* route_ticket.c */
/* NULL when all are in use. */
struct ticket *ticket_new(struct route *route, struct client *client, const struct route_message *message);
/* Takes it out of every list, settles all accounts and frees it. */
void ticket_close(struct route *route, struct ticket *ticket);
/* It is answered, or its client has gone, and its worker has it still. */
void ticket_orphan(struct route *route, struct ticket *ticket);
struct ticket *ticket_find(struct route *route, uint64_t number);
struct ticket *ticket_find_read(struct route *route, const struct client *client, uint64_t first);
/* Answers with a status alone and closes. */
void ticket_end(struct route *route, struct ticket *ticket, int32_t status);
/* Answers so while its worker has it still; a list is cancelled there. */
void ticket_give_up(struct route *route, struct ticket *ticket, int32_t status);
/* Takes it from its worker's accounts. */
void ticket_leave_worker(struct route *route, struct ticket *ticket);
void ticket_send_aside(struct route *route, const struct ticket *ticket, uint8_t type, uint64_t bytes);

/* route_queue.c */
void queue_push(struct route *route, struct ticket *ticket, bool front);
/* Out of its client's queue. */
void queue_remove(struct route *route, struct ticket *ticket);
/* Sends what may be sent now. */
void queue_dispatch(struct route *route, enum route_lane lane, int64_t now_ns);
bool queue_has_worker(const struct route *route, enum route_lane lane, int64_t now_ns);
bool worker_is_silent(const struct worker *worker, int64_t now_ns);

/* route_credit.c */
void credit_ask(struct route *route, struct client *client, uint64_t first, uint64_t bytes, int64_t now_ns);
/* OK when a request's body may come in, and takes the grant it needed; else the status. */
int credit_admit(struct route *route, struct client *client, uint64_t bytes, int64_t now_ns);
void credit_pump(struct route *route, int64_t now_ns);
void credit_forget(struct route *route, struct client *client);
/* Takes an unused grant back when its time is over. */
void credit_lapse(struct route *route, struct client *client, int64_t now_ns);
/* A client lets a list bring `bytes` more. */
void credit_stream(struct route *route, struct ticket *ticket, uint64_t bytes);
/* How much of `wanted` a list may have now; counts it. */
uint64_t credit_take(struct ticket *ticket, uint64_t wanted);
/* Keeps `bytes` of credit back until there is room for its pieces. */
void credit_hold(struct route *route, struct ticket *ticket, uint64_t bytes);
/* Before a ticket leaves its worker. */
void credit_unhold(struct route *route, struct ticket *ticket);
void credit_pump_streams(struct route *route, struct client *client);
#endif
