/* local_read.c - the read lane of queued calls in a process that reads the file itself. */
#include "client/local_read.h"
#include "client/call_list.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BATCH_CALLS = 64, RETRY_MS = 20 };

struct local_reads {
    struct lane lane; /* first */
    struct local_reads_options options;
    struct call_list queued; /* have something to do */
    struct call_list parked; /* streams without credit */
    int64_t held_until_ns;   /* the file's owner was not ready: not before this */
    struct arena *arena;
    struct call *batch[BATCH_CALLS];
    size_t batch_count;
    struct request requests[BATCH_CALLS];
    struct reply replies[BATCH_CALLS];
};

/* ---- answers ---- */

static void settle(struct call *call, const struct reply *reply, bool last)
{
    call->pinned = false;
    call->settle(call, reply, last);
}

/* The file could not be read: somebody else takes the call, it waits for the owner, or that is its answer. */
static void settle_failure(struct local_reads *reads, struct call *call, const struct failure *failure)
{
    const struct reply reply = {.status = failure->status, .message = span_text(failure->message)};

    call->pinned = false;
    if (!call->hurried && reads->options.elsewhere && reads->options.elsewhere(reads->options.context, call))
        return;
    if (!call->hurried && failure->status == STATUS_UNAVAILABLE && !(call->request.flags & REQUEST_NO_WAIT)) {
        call_list_append(&reads->queued, call);
        reads->held_until_ns = clock_deadline_ns(RETRY_MS);
        return;
    }
    settle(call, &reply, true);
}

static void gather(struct local_reads *reads)
{
    struct call *call = call_list_first(&reads->queued);

    reads->batch_count = 0;
    while (call && reads->batch_count < BATCH_CALLS) {
        struct call *next = call_list_next(&reads->queued, call);
        if (!call->streamed) {
            call_list_remove(call);
            call->pinned = true;
            reads->requests[reads->batch_count] = call->request;
            reads->batch[reads->batch_count++] = call;
        }
        call = next;
    }
}

static void settle_batch(struct local_reads *reads, const struct failure *failure)
{
    for (size_t i = reads->batch_count; i-- > 0;) { /* what did not fit goes first, in order */
        if (failure->status == STATUS_OK && reads->replies[i].status == STATUS_NOT_READ) {
            reads->batch[i]->pinned = false;
            call_list_prepend(&reads->queued, reads->batch[i]);
        }
    }
    for (size_t i = 0; i < reads->batch_count; i++)
        if (failure->status != STATUS_OK)
            settle_failure(reads, reads->batch[i], failure);
        else if (reads->replies[i].status != STATUS_NOT_READ)
            settle(reads->batch[i], &reads->replies[i], true);
    arena_reset(reads->arena);
}

static void run_batch(struct local_reads *reads)
{
    struct failure failure = {.status = STATUS_OK};

    gather(reads);
    if (reads->batch_count == 0)
        return;
    lane_unlock(&reads->lane);
    memset(reads->replies, 0, reads->batch_count * sizeof(reads->replies[0]));
    failure.status = pool_answer(reads->options.pool, reads->requests, reads->batch_count, reads->replies, reads->arena,
                                 request_message_bytes((size_t)atomic_load(reads->options.max_data_bytes)), &failure);
    pthread_mutex_lock(reads->lane.mutex);
    settle_batch(reads, &failure);
}

/* ---- lists ---- */

static struct call *first_stream(const struct local_reads *reads)
{
    struct call *call = call_list_first(&reads->queued);

    while (call && !call->streamed)
        call = call_list_next(&reads->queued, call);
    return call;
}

static void settle_piece(struct local_reads *reads, struct call *call, const struct reply *piece, bool last)
{
    static const struct reply cancelled = {.status = STATUS_CANCELLED};
    struct pool_stream *stream = call->lane_data;
    bool hurried = call->hurried && !last;

    if (last || hurried) {
        call->lane_data = NULL;
        pool_stream_close(&stream);
    } else {
        call_list_append(&reads->parked, call);
    }
    settle(call, hurried ? &cancelled : piece, last || hurried);
    arena_reset(reads->arena);
}

/* One piece of the list that waits longest. */
static void run_stream(struct local_reads *reads)
{
    struct call *call = first_stream(reads);
    struct pool_stream *stream;
    struct failure failure = {.status = STATUS_OK};
    struct reply piece = {.status = STATUS_OK};
    bool last = true;

    if (!call)
        return;
    call_list_remove(call);
    call->pinned = true;
    stream = call->lane_data;
    lane_unlock(&reads->lane);
    if (!stream)
        failure.status = pool_stream_open(reads->options.pool, &call->request, &stream, &failure);
    if (stream)
        pool_stream_next(stream, reads->options.piece_bytes, &piece, &last, reads->arena);
    pthread_mutex_lock(reads->lane.mutex);
    call->lane_data = stream;
    if (stream)
        settle_piece(reads, call, &piece, last);
    else
        settle_failure(reads, call, &failure);
}

/* ---- the lane ---- */

static void reads_submit(struct lane *lane, struct call *call)
{
    struct local_reads *reads = (struct local_reads *)lane;

    call->pinned = call->hurried = false;
    call->lane_data = NULL;
    call_list_append(&reads->queued, call);
}

static bool reads_abandon(struct lane *lane, struct call *call)
{
    struct pool_stream *stream = call->streamed ? call->lane_data : NULL;

    (void)lane;
    assert(!call->pinned);
    call_list_remove(call);
    call->lane_data = NULL;
    if (stream)
        pool_stream_close(&stream);
    return true;
}

/* A piece is taken for each credit, however large. */
static void reads_credit(struct lane *lane, struct call *call, uint64_t bytes)
{
    struct local_reads *reads = (struct local_reads *)lane;

    (void)bytes;
    if (!call->lane_data || call->pinned)
        return;
    call_list_remove(call);
    call_list_append(&reads->queued, call);
}

static bool reads_has_work(struct lane *lane)
{
    const struct local_reads *reads = (struct local_reads *)lane;

    if (!call_list_first(&reads->queued))
        return false;
    return reads->held_until_ns == 0 || clock_boot_ns() >= reads->held_until_ns;
}

static void reads_lead(struct lane *lane, int64_t until_ns, int wake_fd)
{
    struct local_reads *reads = (struct local_reads *)lane;

    (void)until_ns; /* never waits for anything but the disk */
    (void)wake_fd;
    if (!reads_has_work(lane))
        return;
    reads->held_until_ns = 0;
    run_batch(reads);
    run_stream(reads);
}

static void reads_interrupt(struct lane *lane)
{
    (void)lane;
}

static int64_t reads_due_ns(struct lane *lane)
{
    const struct local_reads *reads = (struct local_reads *)lane;
    return call_list_first(&reads->queued) ? reads->held_until_ns : INT64_MAX;
}

static int reads_descriptor(struct lane *lane)
{
    (void)lane;
    return -1;
}

static void reads_free(struct lane *lane)
{
    struct local_reads *reads = (struct local_reads *)lane;

    assert(!call_list_first(&reads->queued) && !call_list_first(&reads->parked));
    arena_free(&reads->arena);
    free(reads);
}

static const struct lane_ops ops = {reads_submit,   reads_abandon, reads_credit,     reads_lead, reads_interrupt,
                                    reads_has_work, reads_due_ns,  reads_descriptor, reads_free};

struct lane *local_reads_new(const struct local_reads_options *options)
{
    struct local_reads *reads = calloc(1, sizeof(*reads));

    if (!reads)
        return NULL;
    reads->lane = (struct lane){.ops = &ops, .mutex = options->mutex};
    reads->options = *options;
    call_list_init(&reads->queued);
    call_list_init(&reads->parked);
    reads->arena = arena_new(0);
    if (!reads->arena) {
        free(reads);
        return NULL;
    }
    return &reads->lane;
}
