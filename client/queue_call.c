/*
 * queue_call.c - a call in a queue from its submission to its result.
 */
#include "client/queue.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* ---- the ready list ---- */

void queue_signal(struct stigstore_queue *queue)
{
    const uint64_t one = 1;

    if (queue->signaled)
        return;
    queue->signaled = true;
    (void)!write(queue->event_fd, &one, sizeof(one)); /* never blocks: the counter is far from full */
}

void queue_push(struct stigstore_queue *queue, struct result_box *box)
{
    box->next = NULL;
    *(queue->ready_last ? &queue->ready_last->next : &queue->ready_first) = box;
    queue->ready_last = box;
    queue_signal(queue);
}

/* ---- tickets ---- */

void queued_hash(struct queued_call *call)
{
    struct queued_call **bucket = &call->queue->buckets[call->ticket % TICKET_BUCKETS];

    call->bucket_next = *bucket;
    *bucket = call;
}

static void unhash(struct queued_call *call)
{
    struct queued_call **at = &call->queue->buckets[call->ticket % TICKET_BUCKETS];

    while (*at != call)
        at = &(*at)->bucket_next;
    *at = call->bucket_next;
}

struct queued_call *queued_find(struct stigstore_queue *queue, uint64_t ticket)
{
    struct queued_call *call = queue->buckets[ticket % TICKET_BUCKETS];

    while (call && call->ticket != ticket)
        call = call->bucket_next;
    return call;
}

/* ---- for a flush ---- */

void queued_await(struct queued_call *call)
{
    struct stigstore *store = call->op.store;

    call->unanswered = true;
    call->previous_unanswered = store->unanswered_last;
    *(store->unanswered_last ? &store->unanswered_last->next_unanswered : &store->unanswered_first) = call;
    store->unanswered_last = call;
}

static void answered(struct queued_call *call)
{
    struct queued_call *next = call->next_unanswered, *previous = call->previous_unanswered;
    struct stigstore *store = call->op.store;

    if (!call->unanswered)
        return;
    call->unanswered = false;
    *(previous ? &previous->next_unanswered : &store->unanswered_first) = next;
    *(next ? &next->previous_unanswered : &store->unanswered_last) = previous;
}

/* ---- results ---- */

static void hand_out(struct queued_call *call, struct result_box *box)
{
    box->open.ticket = call->ticket;
    box->open.user = call->user;
    queue_push(call->queue, box);
}

static void release(struct op *op)
{
    free(op);
}

/* The final result leaves, and with it the call. */
static void hand_out_final(struct queued_call *call)
{
    struct stigstore *store = call->op.store;

    unhash(call);
    answered(call);
    deadlines_remove(store->deadlines, &call->deadline);
    store->in_flight--;
    store->in_flight_bytes -= call->bytes;
    call->op.settled = true;
    op_finish(&call->op);
    hand_out(call, call->box);
    if (call->op.held)
        call->op.release = release;
    else
        free(call);
}

static struct result_box *pop_piece(struct queued_call *call)
{
    struct result_box *box = call->pieces_first;

    call->pieces_first = box->next;
    if (!call->pieces_first)
        call->pieces_last = NULL;
    return box;
}

/* Hands out what came in as far as it was asked for, and pays for it with new credit. */
static void hand_out_pieces(struct queued_call *call)
{
    struct op *op = &call->op;

    while (call->wanted && call->pieces_first) {
        struct result_box *box = pop_piece(call);
        call->wanted--;
        answered(call);
        if (box == call->box) {
            hand_out_final(call);
            return;
        }
        if (!op->lane_done)
            op->driver->lane->ops->credit(op->driver->lane, &op->call, box->credit_bytes);
        hand_out(call, box);
    }
    deadlines_remove(op->store->deadlines, &call->deadline);
    if (call->wanted && op->deadline_ns != INT64_MAX)
        deadlines_add(op->store->deadlines, &call->deadline, op->deadline_ns);
    store_tell_rare(op->store);
}

static void keep_piece(struct queued_call *call, struct result_box *box)
{
    box->next = NULL;
    *(call->pieces_last ? &call->pieces_last->next : &call->pieces_first) = box;
    call->pieces_last = box;
}

static void drop_pieces(struct queued_call *call)
{
    while (call->pieces_first) {
        struct result_box *box = pop_piece(call);
        if (box != call->box)
            result_free(&box);
    }
}

static void settle_piece(struct queued_call *call, const struct reply *reply)
{
    struct result_box *box = result_new();

    if (box)
        result_copy(box, reply, false);
    if (!box || box->open.status == STATUS_NO_MEMORY) {
        result_free(&box);
        call->short_of_memory = true; /* the next look at deadlines ends it */
        call->op.deadline_ns = 0;
        call->wanted = 1;
    } else {
        box->open.flags |= REPLY_MORE;
        box->credit_bytes = call->op.call.piece_bytes;
        call->op.deadline_ns = clock_deadline_ns(call->timeout_ms);
        keep_piece(call, box);
    }
    hand_out_pieces(call);
}

void queued_settle(struct call *base, const struct reply *reply, bool last)
{
    struct queued_call *call = (struct queued_call *)base;
    const struct reply outcome = op_outcome(&call->op, reply);

    if (!last) {
        settle_piece(call, &outcome);
        return;
    }
    if (call->op.given_up || call->op.call.hurried)
        drop_pieces(call);
    result_reset(call->box);
    result_copy(call->box, &outcome, operation_is_write(base->request.operation));
    if (call->short_of_memory)
        result_set(call->box, STATUS_NO_MEMORY, NULL);
    if (!base->streamed || call->op.given_up || call->op.call.hurried) {
        hand_out_final(call);
        return;
    }
    call->op.lane_done = true;
    keep_piece(call, call->box);
    hand_out_pieces(call);
}

void queued_want(struct queued_call *call)
{
    call->wanted++;
    call->op.deadline_ns = clock_deadline_ns(call->timeout_ms);
    hand_out_pieces(call);
}

/* ---- time ---- */

int64_t queue_expire(struct stigstore *store)
{
    struct deadline *first = deadlines_first(store->deadlines);
    int64_t now_ns = first ? clock_boot_ns() : 0;

    if (first && first->due_ns <= now_ns && store->remote && store->remote->led)
        store->remote->lane->ops->interrupt(store->remote->lane); /* what stood behind them may leave now */
    while (first && first->due_ns <= now_ns) {
        struct queued_call *call = (struct queued_call *)((char *)first - offsetof(struct queued_call, deadline));
        deadlines_remove(store->deadlines, first); /* a pinned one ends by itself */
        op_give_up(&call->op, STATUS_DEADLINE_EXCEEDED);
        first = deadlines_first(store->deadlines);
    }
    return first ? first->due_ns : INT64_MAX;
}

static int64_t due_of(const struct driver *driver, bool led_too)
{
    return driver && (led_too || !driver->led) ? driver->lane->ops->due_ns(driver->lane) : INT64_MAX;
}

int64_t queue_due_ns(const struct stigstore *store, bool led_too)
{
    const struct deadline *first = deadlines_first(store->deadlines);
    int64_t due_ns = first ? first->due_ns : INT64_MAX;
    int64_t remote_ns = due_of(store->remote, led_too), reads_ns = due_of(store->reads, led_too);

    due_ns = remote_ns < due_ns ? remote_ns : due_ns;
    return reads_ns < due_ns ? reads_ns : due_ns;
}

void queue_arm_timer(struct stigstore_queue *queue)
{
    int64_t due_ns, now_ns;
    struct itimerspec timer = {.it_interval = {0, 0}};

    if (!queue->watched || store_is_closing(queue->store))
        return;
    due_ns = queue_due_ns(queue->store, true);
    now_ns = clock_boot_ns();
    if (queue->armed_ns <= due_ns && queue->armed_ns > now_ns)
        return; /* an early timer is harmless, and saves setting it for each call */
    if (due_ns == INT64_MAX && queue->armed_ns == 0)
        return;
    queue->armed_ns = due_ns == INT64_MAX ? 0 : due_ns + (due_ns == 0);
    timer.it_value.tv_sec = queue->armed_ns / NS_PER_S; /* 0: one that has run out is readable no more */
    timer.it_value.tv_nsec = queue->armed_ns % NS_PER_S;
    timerfd_settime(queue->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}
