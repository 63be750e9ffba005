/*
 * call.c - what callers ask of their handles, when they lose patience, and what they are told.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"

static const char data[8192];

enum { FAIR_AFTER_MS = 100, FAIR_TIMEOUT_MS = 300 };

/* ---- asking ---- */

static void remember(struct sim_handle *handle, struct sim_call *call)
{
    call->place = (uint32_t)handle->open_count;
    handle->open[handle->open_count++] = call;
    if (call->deadline_ns < handle->earliest_ns)
        handle->earliest_ns = call->deadline_ns;
}

static void forget(struct sim_call *call)
{
    struct sim_handle *handle = call->handle;

    handle->open[call->place] = handle->open[--handle->open_count];
    handle->open[call->place]->place = call->place;
    call->ended = true;
}

static uint64_t draw_bytes(void)
{
    switch (roll(50)) {
    case 0:
        return 1500 + roll(3000); /* needs leave to be sent */
    case 1:
        return trouble(4) ? 7000 : 900; /* more than the broker ever takes */
    default:
        return roll(300);
    }
}

static void settle(struct call *call, const struct reply *reply, bool last);

static struct sim_call *call_new(struct sim_handle *handle)
{
    struct sim_call *call = &world.calls[world.call_count++];
    uint64_t timeout_ms = 20 + roll(roll(4) ? 1500 : 100);

    *call = (struct sim_call){.handle = handle,
                              .id = 'x',
                              .seen = world.told_revision,
                              .weather = world.weather,
                              .deadline_ns = world.now_ns + (int64_t)timeout_ms * NS_PER_MS};
    call->fair = world.healthy_ns != INT64_MAX && world.now_ns - world.healthy_ns > FAIR_AFTER_MS * NS_PER_MS &&
                 timeout_ms >= FAIR_TIMEOUT_MS;
    call->call.settle = settle;
    call->call.request = (struct request){.flags = roll(12) == 0 ? REQUEST_NO_WAIT : 0,
                                          .kind = span_text("k"),
                                          .id = {&call->id, 1},
                                          .deadline_ns = call->deadline_ns};
    return call;
}

static void submit_write(struct sim_handle *handle, struct sim_call *call)
{
    call->bytes = draw_bytes();
    call->conflicts = roll(10) == 0;
    call->lineage = handle->lineage;
    call->index = ++handle->lineage->submitted;
    call->call.request.operation = OPERATION_SAVE;
    call->call.request.data = (struct span){data, call->bytes};
    remote_session_submit(handle->session, &call->call);
}

static void submit_read(struct sim_handle *handle, struct sim_call *call)
{
    call->call.request.operation = OPERATION_GET;
    if (roll(5) == 0) {
        call->call.request.operation = OPERATION_LIST;
        call->call.request.id.size = 0;
        call->call.streamed = true;
        call->call.credit_bytes = roll(4) ? 1 + roll(3000) : 0;
    }
    remote_reads_submit(handle->reads, &call->call);
    if (call->call.streamed && call->call.credit_bytes == 0)
        remote_reads_credit(handle->reads, &call->call, 1000);
}

void calls_submit(struct sim_handle *handle)
{
    struct sim_call *call;

    if (world.finishing || handle->open_count == OPEN_CALLS || world.call_count == CALLS)
        return;
    world.counters.events++;
    call = call_new(handle);
    remember(handle, call);
    handle->hasty |= (call->call.request.flags & REQUEST_NO_WAIT) != 0;
    if (roll(100) < 60)
        submit_write(handle, call);
    else
        submit_read(handle, call);
}

/* ---- giving up ---- */

static bool is_write(const struct sim_call *call)
{
    return call->index != 0;
}

static void give_up(struct sim_call *call)
{
    struct sim_handle *handle = call->handle;
    bool sure = is_write(call) ? remote_session_abandon(handle->session, &call->call)
                               : remote_reads_abandon(handle->reads, &call->call);

    world.counters.events++;
    forget(call);
    judge_given_up(call, sure || world.control == CONTROL_SURE);
}

void calls_cancel(struct sim_handle *handle)
{
    struct sim_call *call;

    if (handle->open_count == 0)
        return;
    call = handle->open[roll(handle->open_count)];
    call->fair = false;
    give_up(call);
}

void calls_expire(struct sim_handle *handle)
{
    if (world.now_ns < handle->earliest_ns)
        return;
    handle->earliest_ns = INT64_MAX;
    for (size_t i = handle->open_count; i-- > 0;) {
        struct sim_call *call = handle->open[i];
        if (call->deadline_ns <= world.now_ns)
            give_up(call);
        else if (call->deadline_ns < handle->earliest_ns)
            handle->earliest_ns = call->deadline_ns;
    }
}

/* ---- being told ---- */

static void take_piece(struct sim_call *call, const struct reply *reply)
{
    if (call->pieces++ == 0)
        call->snapshot = reply->revision;
    if (reply->revision != call->snapshot)
        violation("a list changed its snapshot: %llu, then %llu", (unsigned long long)call->snapshot,
                  (unsigned long long)reply->revision);
    world.counters.pieces++;
    remote_reads_credit(call->handle->reads, &call->call, call->call.piece_bytes);
}

static void settle(struct call *inner, const struct reply *reply, bool last)
{
    struct sim_call *call = (struct sim_call *)inner;

    world.counters.events++;
    if (call->ended)
        violation("a call was told its outcome after it had ended");
    if (!last) {
        take_piece(call, reply);
        return;
    }
    forget(call);
    judge_settled(call, reply);
}
