/*
 * peer.h - a client by hand: one connection to a broker without any library, many of them in one thread.
 *
 * It never blocks: what the socket does not take waits here, and answers are taken only when asked for, so that a test
 * decides who is fast, who floods and who has stopped to read.
 *
 * Owns: the connection, what waits to be sent and what has come in.  Thread: one.
 */
#ifndef TESTS_FAULT_OVERLOAD_PEER_H
#define TESTS_FAULT_OVERLOAD_PEER_H
#include "proto/body.h"
#include "proto/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes_line {
    uint8_t *data;
    size_t from, to, room;
};

struct peer_link {
    int fd; /* -1: it has ended */
    struct bytes_line out, in;
    struct hello hello; /* the last one; life 0: none yet */
    struct session_header session;
    uint64_t next_write, next_read; /* numbers */
};

/* Connects and says that it is there; false: nobody lets it in. The WELCOME comes as any message does. */
bool peer_open(struct peer_link *peer, const char *endpoint);
void peer_close(struct peer_link *peer);
/* Waits until a HELLO has told of a writer; false: none within `timeout_ms`, or the connection has ended. */
bool peer_wait_welcome(struct peer_link *peer, int timeout_ms);

/* Sends what the socket takes and keeps the rest. */
void peer_send(struct peer_link *peer, const struct envelope *envelope, const void *body, size_t size);
/* Requests as one message under the next number of their lane, which it returns. A write settles all before it. */
uint64_t peer_send_requests(struct peer_link *peer, uint8_t type, const struct request *requests, size_t count,
                            int64_t deadline_ns);
/* The same of requests without deadlines of their own, encoded as a batch of reads is. */
uint64_t peer_send_encoded(struct peer_link *peer, uint8_t type, const void *requests, size_t size, size_t count,
                           int64_t deadline_ns);
/* Tries again; how many bytes still wait. */
size_t peer_flush(struct peer_link *peer);

struct peer_message {
    struct envelope envelope;
    const uint8_t *body; /* until the next call */
    size_t size;
};
/* The next message that has come; false: none. HELLOs are taken note of, and handed out. */
bool peer_receive(struct peer_link *peer, struct peer_message *message);
/* The next one that is not a HELLO, waiting for it. */
bool peer_wait_message(struct peer_link *peer, struct peer_message *message, int timeout_ms);
/* Polls for what each of them waits for; `reads` false: only for room to send. */
void peers_wait(struct peer_link *peers, size_t count, bool reads, int timeout_ms);
#endif
