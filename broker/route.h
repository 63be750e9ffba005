/*
 * route.h - what the broker decides: tickets, queues, credit, fairness, re-dispatch, expiry and drain.
 *
 * Plain functions of (state, event, time): an event goes in, actions come out, and whoever owns the sockets carries
 * them out in order.  Bodies are opaque references with a size, never looked into.  Clients and workers are slots that
 * the caller numbers; a slot has a new generation each time it is opened.
 *
 * Owns: its tickets, and the bodies handed in until an action gives them back.  Thread: one.
 * Invariant: each READ, WRITE and CONTROL handed in is answered exactly once while its client is there.
 */
#ifndef BROKER_ROUTE_H
#define BROKER_ROUTE_H
#include "broker/histogram.h"
#include "proto/body.h"
#include "proto/envelope.h"

enum route_lane { LANE_READ, LANE_WRITE, LANES };

struct route_limits {
    uint64_t max_data_bytes, max_message_bytes;
    uint64_t uncredited_bytes;                    /* a larger body needs a grant */
    uint64_t client_request_bytes, request_bytes; /* of bodies not yet answered: a client's, all */
    uint64_t credited_bytes;                      /* what all may come to by a grant: the rest is for small bodies */
    uint64_t client_reply_bytes, reply_bytes;     /* of answers not yet taken by the peer: a client's, all */
    uint64_t group_bytes;                         /* a worker holds one group and one message */
    uint32_t group_requests;
    uint32_t client_group_requests;     /* that a worker holds of one client, or two messages */
    uint32_t client_messages, messages; /* unanswered, or answered but not taken */
    uint32_t clients, workers;
};
/* The promise of limits.h for a store whose values are at most `max_data_bytes` long; 0: the default. */
struct route_limits route_limits_default(uint64_t max_data_bytes);

enum action_type {
    ACTION_TO_CLIENT,    /* envelope and body, which is the caller's now; route_released when its memory is free */
    ACTION_TO_WORKER,    /* envelope and another reference to the body, which stays the route's */
    ACTION_HELLO_CLIENT, /* route_hello with envelope.flags; route_released with 0 bytes follows */
    ACTION_HELLO_WORKER,
    ACTION_STATUS,     /* answer CONTROL STATUS `envelope.first` by route_answer_status */
    ACTION_CUT_CLIENT, /* it takes no answers: end its connection, then say route_client_gone */
    ACTION_RELEASE,    /* of a body that is not needed any more */
    ACTION_FINISHED,   /* the drain is done */
};

/* The caller adds boot id and timeout_ms to the envelope, which only it knows. */
struct action {
    enum action_type type;
    uint32_t slot, generation;
    struct envelope envelope;
    void *body;
    uint64_t bytes; /* of the body */
};

/* A message of a client whose envelope could be decoded. */
struct route_message {
    struct envelope envelope;
    int64_t deadline_ns;
    void *body; /* NULL: empty */
    uint64_t bytes;
    uint32_t verb; /* CONTROL: what the body says; 0: it says nothing */
    bool remote;   /* from another host */
    uint8_t role;  /* who sent it, as the transport knows: it replaces what the envelope claims */
    uint8_t principal[PRINCIPAL_BYTES];
};

struct route_counters {
    uint64_t received, forwarded, replied, redispatched;
    uint64_t malformed, overloaded, uncredited, expired, unavailable, cancelled, internal, refused;
    uint64_t dropped_late; /* replies of another life, attempt or worker, or for a closed ticket */
    uint64_t dropped_gone; /* for clients that had gone */
    uint64_t cut_clients, worker_deaths, hellos;
};

struct route_worker_view {
    uint8_t role;
    const char *state; /* "connected", "ready", "silent", "leaving" */
    uint64_t life, epoch;
    uint32_t pid, outstanding, messages, streams;
    uint64_t outstanding_bytes;
    int64_t heard_ns;
    struct span status; /* its own JSON; may be empty */
};

struct route_view {
    uint64_t life;
    bool draining;
    struct route_counters counters;
    uint32_t clients, workers;
    uint32_t tickets, queued[LANES];
    uint64_t request_bytes, granted_bytes, reply_bytes, reserved_bytes;
    const struct histogram *latency; /* LANES of them */
};

struct route;
struct route *route_new(const struct route_limits *limits, uint64_t life, int64_t now_ns);
/* Bodies still held are not given back: ask for them with route_client_gone first. */
void route_free(struct route **route);

/* ---- clients ---- */
/* Opens a closed slot; returns its generation. */
uint32_t route_client_open(struct route *route, uint32_t slot, int64_t now_ns);
void route_client_gone(struct route *route, uint32_t slot, int64_t now_ns);
/* The probe of a new connection, or its HELLO: answered with HELLO | WELCOME. */
void route_client_probe(struct route *route, uint32_t slot);
/* Takes the body over. */
void route_client_message(struct route *route, uint32_t slot, const struct route_message *message, int64_t now_ns);
/* Bytes that are no message: answered with `status`, as far as the client takes answers. */
void route_client_malformed(struct route *route, uint32_t slot, int32_t status, uint64_t first);
/* An answer's memory is free: the peer took it, or it was dropped. */
void route_released(struct route *route, uint32_t slot, uint32_t generation, uint64_t bytes, int64_t now_ns);
/* The answer to ACTION_STATUS; takes the body over. */
void route_answer_status(struct route *route, uint32_t slot, uint32_t generation, uint64_t first, int32_t status,
                         void *body, uint64_t bytes);

/* ---- workers ---- */
void route_worker_open(struct route *route, uint32_t slot, int64_t now_ns);
void route_worker_gone(struct route *route, uint32_t slot, int64_t now_ns);
void route_worker_probe(struct route *route, uint32_t slot);
/* READY or HEARTBEAT; spans are copied. */
void route_worker_state(struct route *route, uint32_t slot, bool ready, const struct worker_state *state,
                        int64_t now_ns);
/* REPLY, STREAM, GOODBYE; takes the body over.  Others are counted as malformed. */
void route_worker_message(struct route *route, uint32_t slot, const struct envelope *envelope, void *body,
                          uint64_t bytes, int64_t now_ns);
void route_worker_malformed(struct route *route, uint32_t slot);

/* ---- time ---- */
/* When route_tick has something to do; INT64_MAX: not until another event. */
int64_t route_next_ns(const struct route *route, int64_t now_ns);
void route_tick(struct route *route, int64_t now_ns);
/* New requests are refused from now on; what is in flight is answered, the workers are drained: ACTION_FINISHED. */
void route_drain(struct route *route, int64_t now_ns);
/* True while something waits for route_released. */
bool route_wants_releases(const struct route *route);

/* ---- what comes out ---- */
/* The next action in order; false: none. Taking one may be followed by events that add more. */
bool route_next_action(struct route *route, struct action *action);
/* What HELLO says now; its path is valid until the next event. */
void route_hello(const struct route *route, struct hello *hello);
void route_view(const struct route *route, struct route_view *view);
/* False: the slot is closed. */
bool route_view_worker(const struct route *route, uint32_t slot, int64_t now_ns, struct route_worker_view *view);
#endif
