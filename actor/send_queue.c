/* send_queue.c - hands messages to a socket without ever waiting; bodies are not copied. */
#include "actor/send_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

struct outgoing {
    struct outgoing *next;
    zmq_msg_t envelope, body;
};

void send_queue_init(struct send_queue *queue)
{
    *queue = (struct send_queue){.tail = &queue->head};
}

static void free_body(void *body, void *hint)
{
    (void)hint;
    free(body);
}

/* Takes the body when it succeeds. */
static int init_body(zmq_msg_t *frame, void *body, size_t size)
{
    int rc = size > 0 ? zmq_msg_init_data(frame, body, size, free_body, NULL) : zmq_msg_init(frame);
    if (rc == 0 && size == 0)
        free(body);
    return rc;
}

bool send_queue_add(struct send_queue *queue, const struct envelope *envelope, void *body, size_t size)
{
    struct outgoing *message = calloc(1, sizeof *message);
    if (!message)
        goto no_message;
    if (zmq_msg_init_size(&message->envelope, ENVELOPE_BYTES) != 0)
        goto no_envelope;
    envelope_encode(envelope, zmq_msg_data(&message->envelope));
    if (init_body(&message->body, body, size) != 0)
        goto no_body;
    *queue->tail = message;
    queue->tail = &message->next;
    queue->bytes += size;
    return true;

no_body:
    zmq_msg_close(&message->envelope);
no_envelope:
    free(message);
no_message:
    free(body);
    return false;
}

static void remove_first(struct send_queue *queue)
{
    struct outgoing *message = queue->head;
    queue->head = message->next;
    if (!queue->head)
        queue->tail = &queue->head;
    zmq_msg_close(&message->envelope);
    zmq_msg_close(&message->body);
    free(message);
}

static int send_frame(zmq_msg_t *frame, void *socket, int flags)
{
    int rc;
    do
        rc = zmq_msg_send(frame, socket, flags | ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc;
}

void send_queue_flush(struct send_queue *queue, void *socket)
{
    while (queue->head) {
        size_t body_bytes = zmq_msg_size(&queue->head->body);
        if (send_frame(&queue->head->envelope, socket, ZMQ_SNDMORE) < 0)
            return;
        /* Fails only when the connection goes between the two; then nobody waits for it any more. */
        send_frame(&queue->head->body, socket, 0);
        queue->bytes -= body_bytes;
        remove_first(queue);
    }
}

void send_queue_clear(struct send_queue *queue)
{
    while (queue->head)
        remove_first(queue);
    queue->bytes = 0;
}
