/*
 * worker.h - the side of the wire that writer and reader share: connect, READY, HEARTBEAT, requests in, replies out.
 *
 * Owns: the DEALER socket to the broker's worker endpoint.  Thread: one.
 * Invariant: a message given to `worker_next` is answered at most once for its ticket.
 */
#ifndef ACTOR_WORKER_H
#define ACTOR_WORKER_H
#include "proto/body.h"
#include "proto/envelope.h"
#include "proto/failure.h"

struct worker;

/* A message from the broker. `body` borrows from `frame`, which worker_message_free closes. */
struct worker_message {
    struct envelope envelope;
    struct span body;
    int64_t deadline_ns;
    void *frame;
};

/* `send_mark`: so many answers are handed to libzmq ahead; the others wait here until the worker is asked for the next
 * message. */
int worker_new(const char *client_endpoint, int send_mark, struct worker **worker, struct failure *failure);
void worker_free(struct worker **worker);

/* Says READY (again after each reconnection, by itself) and sends a HEARTBEAT a second, with this state; at once when
 * epoch or file changed. Spans are copied. Cheap enough for each health report, not for each request. */
void worker_set_state(struct worker *worker, const struct worker_state *state);
/* The broker's last HELLO; NULL: none yet. */
const struct hello *worker_hello(const struct worker *worker);
/* Grows with each connection that the broker welcomed: what was asked on an earlier one needs no answer any more. */
uint64_t worker_connection(const struct worker *worker);

/* Waits until `until_ns` at most for a message or for `extra_fd` (-1: none) to be readable; `until_ns` 0 only looks at
 * messages. OK with *message (READ, WRITE, CONTROL, CREDIT, CANCEL); END when time is up, the descriptor is readable,
 * a HELLO came or the backlog is gone; CLOSED once, at the DRAIN: nothing but CREDIT and CANCEL follows. Messages that
 * cannot be read are counted and dropped. */
int worker_next(struct worker *worker, int64_t until_ns, int extra_fd, struct worker_message *message);
void worker_message_free(struct worker_message *message);

/* Sends a REPLY or STREAM piece for `to` (its ticket, first, attempt, deadline). Takes the encoded body `body` of `size`
 * bytes from malloc over. Queued when the broker is slow; never blocks. */
void worker_reply(struct worker *worker, const struct worker_message *to, int32_t status, void *body, size_t size,
                  uint32_t count);
void worker_piece(struct worker *worker, const struct envelope *to, uint32_t piece, bool last, int32_t status,
                  void *body, size_t size, uint32_t count);
/* Bytes queued here because the broker is slow. */
size_t worker_backlog_bytes(const struct worker *worker);
/* Messages of the broker that could not be read. */
uint64_t worker_bad_messages(const struct worker *worker);
/* After DRAIN, when all is answered: sends what is queued (for at most 2 s) and GOODBYE. No READY after it. */
void worker_goodbye(struct worker *worker);
#endif
