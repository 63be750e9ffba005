/*
 * drive.c - leader and followers: who works on a lane, and calls that wait for their answer.
 *
 * A thread that waits and finds nobody leading its lane leads it; the others sleep (or poll their queue's descriptor)
 * until they are answered, their time is up, or the lead is passed to them.  Answers of one message wake many at once:
 * they are woken when the mutex is free, and one that is answered returns without it.
 */
#include "client/core.h"
#include "client/local_write.h"
#include "client/queue.h"

struct waiting {
    struct op op;
    struct result_box *box;
    struct waiter waiter;
    struct wake wake;
    struct waiting *next_answered;
    uint32_t timeout_ms; /* of a streamed list: from piece to piece */
    bool short_of_memory;
};

/* ---- drivers ---- */

/* Settled by this thread, and not woken yet. */
static _Thread_local struct waiting *answered;

void driver_wake_answered(void)
{
    while (answered) {
        struct waiting *waiting = answered;
        answered = waiting->next_answered;
        wake_tell(&waiting->wake, WAKE_ANSWERED); /* from here on it may be gone */
    }
}

void driver_lead(struct driver *driver, int64_t until_ns, int wake_fd)
{
    assert(!driver->led);
    driver->led = true;
    driver->lane->unlocked = driver_wake_answered;
    driver->lane->ops->lead(driver->lane, until_ns, wake_fd);
    driver->led = false;
    driver_wake_answered();
}

void driver_join(struct driver *driver, struct waiter *waiter)
{
    assert(!waiter->listed);
    waiter->next = NULL;
    waiter->previous = driver->last;
    *(driver->last ? &driver->last->next : &driver->first) = waiter;
    driver->last = waiter;
    waiter->listed = true;
}

void driver_quit(struct driver *driver, struct waiter *waiter)
{
    if (!waiter->listed)
        return;
    *(waiter->previous ? &waiter->previous->next : &driver->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &driver->last) = waiter->previous;
    waiter->listed = false;
}

/* Nobody is inside for it: whoever polls a descriptor has to come. */
static void tell_watchers(struct driver *driver)
{
    bool has_work = driver->watchers && driver->lane->ops->has_work(driver->lane);

    for (struct waiter *waiter = driver->watchers; waiter; waiter = waiter->next)
        if (has_work)
            queue_signal(waiter->queue);
        else
            queue_arm_timer(waiter->queue);
}

static void wake(const struct waiter *waiter)
{
    if (waiter->queue)
        queue_signal(waiter->queue);
    else if (waiter->wake)
        wake_tell(waiter->wake, WAKE_LOOK);
    else
        pthread_cond_broadcast(waiter->cond);
}

void driver_pass(struct driver *driver)
{
    if (driver->led)
        return;
    if (driver->first)
        wake(driver->first);
    else
        tell_watchers(driver);
}

void driver_wake_all(struct driver *driver)
{
    if (driver->led)
        driver->lane->ops->interrupt(driver->lane);
    for (struct waiter *waiter = driver->first; waiter; waiter = waiter->next)
        wake(waiter);
}

void driver_watch(struct driver *driver, struct waiter *waiter)
{
    assert(!waiter->listed);
    waiter->previous = NULL;
    waiter->next = driver->watchers;
    if (waiter->next)
        waiter->next->previous = waiter;
    driver->watchers = waiter;
    waiter->listed = true;
}

void driver_unwatch(struct driver *driver, struct waiter *waiter)
{
    if (!waiter->listed)
        return;
    *(waiter->previous ? &waiter->previous->next : &driver->watchers) = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    waiter->listed = false;
}

/* ---- calls under way ---- */

void op_begin(struct op *op, struct driver *driver)
{
    struct stigstore *store = op->store;

    op->driver = driver;
    op->next = NULL;
    op->previous = store->ops_last;
    *(store->ops_last ? &store->ops_last->next : &store->ops_first) = op;
    store->ops_last = op;
    driver->lane->ops->submit(driver->lane, &op->call);
    if (driver->led)
        driver->lane->ops->interrupt(driver->lane);
}

void op_finish(struct op *op)
{
    struct stigstore *store = op->store;

    if (op->driver->is_remote && !op->call.control_verb)
        atomic_store(&store->ask_broker, false);
    *(op->previous ? &op->previous->next : &store->ops_first) = op->next;
    *(op->next ? &op->next->previous : &store->ops_last) = op->previous;
    store_tell_rare(store);
}

/* What a caller is told whose time is up: that no service was there when nothing was ever sent. */
static int outcome_of(const struct op *op, int status)
{
    if (status == STATUS_DEADLINE_EXCEEDED && op->driver->is_remote && op->call.copies_sent == 0)
        return STATUS_UNAVAILABLE;
    return status;
}

/* A pinned call that was told to hurry ends at its next step, for the reason that it was told. */
struct reply op_outcome(const struct op *op, const struct reply *reply)
{
    struct reply outcome = *reply;

    if (op->call.hurried && (reply->status == STATUS_DEADLINE_EXCEEDED || reply->status == STATUS_CANCELLED)) {
        outcome.status = op->hurried_status;
        outcome.message = (struct span){NULL, 0};
    }
    return outcome;
}

bool op_give_up(struct op *op, int status)
{
    struct reply reply = {.status = outcome_of(op, status)};

    assert(!op->settled);
    if (op->call.pinned) {
        if (!op->call.hurried)
            op->hurried_status = status;
        op->call.hurried = true;
        return false;
    }
    op->given_up = true;
    if (!op->lane_done && op->driver->lane->ops->abandon(op->driver->lane, &op->call) &&
        operation_is_write(op->call.request.operation))
        reply.flags |= REPLY_NOT_APPLIED;
    op->call.settle(&op->call, &reply, true);
    return true;
}

void op_end_now(struct op *op, int status)
{
    struct waiter waiter = {.cond = &op->store->rare};
    struct driver *driver = op->driver;

    op->held = true;
    while (!op->settled && !op_give_up(op, status)) {
        if (!driver->led) {
            driver_lead(driver, 0, -1);
            continue;
        }
        driver_join(driver, &waiter);
        store_wait_rare(op->store, INT64_MAX);
        driver_quit(driver, &waiter);
    }
    if (op->release)
        op->release(op);
    driver_wake_answered();
    driver_pass(driver);
}

/* ---- calls that wait ---- */

/* A list in pieces: each is collected and paid for with new credit. */
static void collect_piece(struct waiting *waiting, const struct reply *piece, bool last)
{
    struct op *op = &waiting->op;

    if (result_collect(waiting->box, piece) != STATUS_OK)
        waiting->short_of_memory = true;
    if (last) {
        result_collected(waiting->box, piece);
        op->settled = true;
    } else if (!waiting->short_of_memory) {
        op->deadline_ns = clock_deadline_ns(waiting->timeout_ms);
        op->driver->lane->ops->credit(op->driver->lane, &op->call, op->call.piece_bytes);
    } else {
        op->deadline_ns = 0; /* its thread gives it up */
    }
    if (waiting->short_of_memory)
        result_set(waiting->box, STATUS_NO_MEMORY, NULL);
}

static void settle_waiting(struct call *call, const struct reply *reply, bool last)
{
    struct waiting *waiting = (struct waiting *)call;
    struct op *op = &waiting->op;

    if (call->streamed) {
        collect_piece(waiting, reply, last);
    } else {
        const struct reply outcome = op_outcome(op, reply);
        result_copy(waiting->box, &outcome, operation_is_write(call->request.operation));
        op->settled = true;
    }
    if (op->settled || op->deadline_ns == 0)
        driver_quit(op->driver, &waiting->waiter);
    if (op->settled) {
        op_finish(op);
        waiting->next_answered = answered;
        answered = waiting;
    } else if (op->deadline_ns == 0) {
        wake_tell(&waiting->wake, WAKE_LOOK);
    }
}

int64_t op_wait_until(const struct op *op)
{
    int64_t due_ns = store_is_closing(op->store) ? INT64_MAX : queue_expire(op->store);

    return due_ns < op->deadline_ns ? due_ns : op->deadline_ns;
}

/* Mutex held on entry, not on return. */
static void wait_for(struct waiting *waiting)
{
    struct op *op = &waiting->op;
    struct stigstore *store = op->store;
    struct driver *driver = op->driver;

    while (!op->settled) {
        bool closing = store_is_closing(store);
        if ((closing || clock_boot_ns() >= op->deadline_ns) &&
            op_give_up(op, closing ? STATUS_CLOSED : STATUS_DEADLINE_EXCEEDED))
            break;
        int64_t until_ns = op_wait_until(op);
        if (!driver->led) {
            driver_lead(driver, op->call.pinned ? 0 : until_ns, -1);
            continue;
        }
        driver_join(driver, &waiting->waiter);
        until_ns = op->call.pinned ? INT64_MAX : until_ns;
        pthread_mutex_unlock(&store->hub->mutex);
        if (wake_sleep(&waiting->wake, until_ns) & WAKE_ANSWERED)
            return; /* whoever answered leads, or has passed the lead on */
        pthread_mutex_lock(&store->hub->mutex);
        driver_quit(driver, &waiting->waiter);
    }
    driver_pass(driver);
    pthread_mutex_unlock(&store->hub->mutex);
    driver_wake_answered();
    while (!(wake_sleep(&waiting->wake, INT64_MAX) & WAKE_ANSWERED))
        ; /* who answered is about to say so, and touches it until then */
}

int op_run(struct stigstore *store, struct driver *driver, const struct request *request, uint32_t control_verb,
           uint32_t timeout_ms, struct result_box *box)
{
    struct local_write local = {.stream = store->stream};
    struct waiting waiting = {
        .op = {.call = {.request = *request, .control_verb = control_verb, .settle = settle_waiting},
               .store = store,
               .deadline_ns = request->deadline_ns},
        .box = box,
        .timeout_ms = timeout_ms,
    };

    waiting.waiter.wake = &waiting.wake;
    waiting.op.call.lane_data = driver->is_remote ? NULL : &local;
    waiting.op.call.streamed = operation_is_list(request->operation);
    waiting.op.call.credit_bytes = LIST_CREDIT_BYTES;
    pthread_mutex_lock(&store->hub->mutex);
    op_begin(&waiting.op, driver);
    wait_for(&waiting);
    return box->open.status;
}
