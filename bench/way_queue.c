/*
 * way_queue.c - many calls under way at once through a queue of the client library.
 */
#include "bench/internal.h"

#include <poll.h>
#include <time.h>

enum { TAKEN_AT_ONCE = 256, WAIT_MOST_MS = 1000 };

static const int64_t ns_per_ms = 1000000;

static bool queue_open(struct worker *worker)
{
    stigstore_queue *queue = NULL;
    int status = stigstore_queue_new(worker->store, &queue);
    worker->state = queue;
    if (status != STIGSTORE_OK)
        worker_complain(worker, "queue: %s", stigstore_status_text(status));
    return status == STIGSTORE_OK;
}

static void queue_start(struct worker *worker, struct task *operation)
{
    uint64_t user = (uint64_t)(operation - worker->operations);
    for (;;) {
        int status = stigstore_submit(worker->state, &operation->request, user, NULL);
        struct outcome refused = {.status = status, .flags = STIGSTORE_NOT_APPLIED};
        if (status == STIGSTORE_OK || worker_answered(worker, operation, &refused))
            return;
    }
}

static void take(struct worker *worker, const stigstore_result *result)
{
    struct task *operation = &worker->operations[result->user];
    operation_items(worker, operation, result->items, result->item_count);
    if (result->flags & STIGSTORE_MORE) {
        if (stigstore_queue_more(worker->state, result->ticket) != STIGSTORE_OK)
            worker_complain(worker, "a list did not go on");
        return;
    }
    struct outcome outcome = {result->status, result->flags, result->revision, result->count, result->message};
    if (!worker_answered(worker, operation, &outcome))
        queue_start(worker, operation);
}

static void queue_wait(struct worker *worker, int64_t until_ns)
{
    stigstore_result *results[TAKEN_AT_ONCE];
    size_t count = 0;
    int64_t left_ns = until_ns == INT64_MAX ? WAIT_MOST_MS * ns_per_ms : until_ns - bench_now_ns();
    left_ns = left_ns < 0 ? 0 : left_ns;
    if (left_ns > 0 && left_ns < 2 * ns_per_ms) { /* the library waits in milliseconds: too coarse for a rate */
        struct pollfd readable = {.fd = stigstore_queue_fd(worker->state), .events = POLLIN};
        struct timespec left = {.tv_nsec = left_ns};
        ppoll(&readable, 1, &left, NULL);
        left_ns = 0;
    }
    int64_t ms = left_ns / ns_per_ms;
    int status = stigstore_queue_wait(worker->state, results, TAKEN_AT_ONCE,
                                      (uint32_t)(ms < WAIT_MOST_MS ? ms : WAIT_MOST_MS), &count);
    if (status != STIGSTORE_OK && status != STIGSTORE_DEADLINE_EXCEEDED)
        worker_complain(worker, "queue: %s", stigstore_status_text(status));
    for (size_t i = 0; i < count; i++)
        take(worker, results[i]);
    stigstore_results_free(results, count);
}

static void queue_close(struct worker *worker)
{
    stigstore_queue *queue = worker->state;
    stigstore_queue_free(&queue);
    worker->state = NULL;
}

const struct way way_queue = {queue_open, queue_start, queue_wait, queue_close};
