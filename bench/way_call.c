/*
 * way_call.c - one call after the other on a handle, each waited for.
 */
#include "bench/internal.h"

static bool call_open(struct worker *worker)
{
    worker->state = NULL;
    return true;
}

/* An item at a time: neither side holds the list. */
static struct outcome take_list(struct worker *worker, struct task *operation, stigstore_result **result)
{
    stigstore_cursor *cursor = NULL;
    const stigstore_item *item = NULL;
    int status = stigstore_cursor_open(worker->store, &operation->request, &cursor, result);
    if (status != STIGSTORE_OK)
        return (struct outcome){.status = status, .message = *result ? (*result)->message : NULL};
    while ((status = stigstore_cursor_next(cursor, &item)) == STIGSTORE_OK)
        operation_items(worker, operation, item, 1);
    stigstore_cursor_free(&cursor);
    return (struct outcome){.status = status == STIGSTORE_END ? STIGSTORE_OK : status};
}

static struct outcome call(struct worker *worker, struct task *operation, stigstore_result **reused)
{
    int status = stigstore_call(worker->store, &operation->request, reused);
    const stigstore_result *result = *reused;
    if (!result || status == STIGSTORE_NO_MEMORY)
        return (struct outcome){.status = status};
    operation_items(worker, operation, result->items, result->item_count);
    return (struct outcome){status, result->flags, result->revision, result->count, result->message};
}

static void call_start(struct worker *worker, struct task *operation)
{
    stigstore_result *result = worker->state;
    struct outcome outcome;
    do {
        outcome = operation->streams ? take_list(worker, operation, &result) : call(worker, operation, &result);
    } while (!worker_answered(worker, operation, &outcome));
    worker->state = result;
}

static void call_wait(struct worker *worker, int64_t until_ns)
{
    (void)worker; /* nothing is ever under way here */
    bench_sleep_until(until_ns);
}

static void call_close(struct worker *worker)
{
    stigstore_result *result = worker->state;
    stigstore_result_free(&result);
    worker->state = NULL;
}

const struct way way_call = {call_open, call_start, call_wait, call_close};
