/*
 * send_queue.h - messages of two frames that libzmq does not take yet.
 *
 * Owns: the messages.  Thread: one.
 * Invariant: they leave in the order added; `head` is NULL exactly when nothing waits.
 */
#ifndef ACTOR_SEND_QUEUE_H
#define ACTOR_SEND_QUEUE_H
#include "proto/envelope.h"

struct outgoing;
struct send_queue {
    struct outgoing *head, **tail;
    size_t bytes; /* of bodies */
};

void send_queue_init(struct send_queue *queue);
/* Takes `body` over, which came from malloc; size 0: an empty body. False: no memory. */
bool send_queue_add(struct send_queue *queue, const struct envelope *envelope, void *body, size_t size);
/* Hands over to the socket as much as it takes now. */
void send_queue_flush(struct send_queue *queue, void *socket);
void send_queue_clear(struct send_queue *queue);
#endif
