/* batches.c - decodes, answers and encodes batches of reads. */
#include "reader/batches.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <stdlib.h>

/* A round is small: its snapshot should be short, and who came late waits for it. */
enum { ROUND_MESSAGES = 128, ROUND_REQUESTS = 128 };
#define ROUND_BYTES         (4 * MIB)                          /* of decoded requests, one message aside */
#define REQUESTS_BYTES_MOST (LIMIT_DATA_BYTES_MOST + 16 * MIB) /* decoded */

struct pending {
    struct worker_message message; /* its frame is freed when it was decoded */
    int64_t arrived_ns;
    size_t from, count; /* its requests in the round */
};

struct batches {
    struct arena *questions, *answers;
    size_t answer_bytes;
    struct pending pending[ROUND_MESSAGES];
    size_t pending_count;
    struct request *requests;
    struct reply *replies;
    size_t request_count, capacity;
    struct batches_counters counters;
};

struct batches *batches_new(size_t answer_bytes)
{
    struct batches *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->answer_bytes = answer_bytes;
    self->questions = arena_new(REQUESTS_BYTES_MOST);
    self->answers = arena_new(0);
    if (self->questions && self->answers)
        return self;
    batches_free(&self);
    return NULL;
}

void batches_free(struct batches **batches)
{
    struct batches *self = *batches;
    if (!self)
        return;
    arena_free(&self->questions);
    arena_free(&self->answers);
    free(self->requests);
    free(self->replies);
    free(self);
    *batches = NULL;
}

static bool reserve(struct batches *batches, size_t more)
{
    size_t wanted = batches->request_count + more;
    if (wanted <= batches->capacity)
        return true;
    size_t capacity = wanted < ROUND_REQUESTS ? ROUND_REQUESTS : wanted;
    struct request *requests = realloc(batches->requests, capacity * sizeof *requests);
    if (requests)
        batches->requests = requests;
    struct reply *replies = realloc(batches->replies, capacity * sizeof *replies);
    if (replies)
        batches->replies = replies;
    if (!requests || !replies)
        return false;
    batches->capacity = capacity;
    return true;
}

/* What is said of the whole message before anything is read. */
static int judge(struct batches *batches, const struct worker_message *message, struct request_batch *batch)
{
    if (message->envelope.role == ROLE_NONE)
        return STATUS_PERMISSION_DENIED;
    int status =
        body_decode_requests(message->body.data, message->body.size, message->deadline_ns, batches->questions, batch);
    if (status != STATUS_OK)
        return status;
    if (batch->count == 0)
        return STATUS_INVALID_ARGUMENT;
    return reserve(batches, batch->count) ? STATUS_OK : STATUS_NO_MEMORY;
}

void batches_add(struct batches *batches, struct worker *worker, struct worker_message *message)
{
    struct request_batch batch = {0};
    int status = judge(batches, message, &batch);
    batches->counters.messages++;
    if (status != STATUS_OK) {
        batches->counters.refused++;
        worker_reply(worker, message, status, NULL, 0, 0);
        worker_message_free(message);
        return;
    }
    struct pending *pending = &batches->pending[batches->pending_count++];
    *pending = (struct pending){.arrived_ns = clock_boot_ns(), .from = batches->request_count, .count = batch.count};
    memcpy(batches->requests + pending->from, batch.requests, batch.count * sizeof *batch.requests);
    batches->request_count += batch.count;
    batches->counters.requests += batch.count;
    pending->message.envelope = message->envelope;
    pending->message.deadline_ns = message->deadline_ns;
    worker_message_free(message);
}

bool batches_are_full(const struct batches *batches)
{
    return batches->pending_count == ROUND_MESSAGES || batches->request_count >= ROUND_REQUESTS ||
           arena_bytes(batches->questions) >= ROUND_BYTES;
}

static void reply_one(struct batches *batches, struct worker *worker, const struct pending *pending)
{
    const struct reply *replies = batches->replies + pending->from;
    size_t size = body_replies_size(replies, pending->count);
    void *body = malloc(size ? size : 1);
    if (body)
        body_encode_replies(replies, pending->count, body);
    int status = body ? STATUS_OK : STATUS_NO_MEMORY;
    worker_reply(worker, &pending->message, status, body, body ? size : 0, body ? (uint32_t)pending->count : 0);
    latency_add(&batches->counters.latency, clock_boot_ns() - pending->arrived_ns);
}

static bool is_cut(const struct batches *batches, const struct pending *pending)
{
    for (size_t i = 0; i < pending->count; i++)
        if (batches->replies[pending->from + i].status == STATUS_NOT_READ)
            return true;
    return false;
}

/* Answers from message `next` on together; one that was cut because others filled the answer before it begins the
 * next turn, where only itself can cut it. */
static size_t answer_some(struct batches *batches, struct worker *worker, struct reader *reader, size_t next)
{
    size_t first = next, from = batches->pending[next].from;
    reader_answer(reader, batches->requests + from, batches->request_count - from, batches->replies + from,
                  batches->answers, batches->answer_bytes);
    while (next < batches->pending_count && (next == first || !is_cut(batches, &batches->pending[next])))
        reply_one(batches, worker, &batches->pending[next++]);
    arena_reset(batches->answers);
    return next;
}

void batches_answer(struct batches *batches, struct worker *worker, struct reader *reader)
{
    for (size_t next = 0; next < batches->pending_count;)
        if (reader)
            next = answer_some(batches, worker, reader, next);
        else
            worker_reply(worker, &batches->pending[next++].message, STATUS_UNAVAILABLE, NULL, 0, 0);
    batches->pending_count = 0;
    batches->request_count = 0;
    arena_reset(batches->questions);
}

struct batches_counters *batches_counters(struct batches *batches)
{
    return &batches->counters;
}
