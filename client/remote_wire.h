/*
 * remote_wire.h - what both lanes through the broker share: deadlines on the wire, retry delays, estimates of size.
 */
#ifndef CLIENT_REMOTE_WIRE_H
#define CLIENT_REMOTE_WIRE_H
#include "proto/clock.h"
#include "proto/envelope.h"
#include "proto/limits.h"
#include "proto/request.h"

enum {
    REMOTE_RETRY_MS = 10,        /* when the answer names no time */
    REMOTE_RETRY_MOST_MS = 1000, /* whatever the answer says */
    REMOTE_REQUEST_OVERHEAD_BYTES = 96,
    REMOTE_PART_OVERHEAD_BYTES = 48,
};

/* A deadline as the wire takes it: at most LIMIT_DEADLINE_S ahead; renewed each time the request is sent. */
static inline int64_t remote_wire_deadline(int64_t deadline_ns, int64_t now_ns)
{
    int64_t most = now_ns + LIMIT_DEADLINE_S * NS_PER_S;

    return deadline_ns < most ? deadline_ns : most;
}

/* Deadlines of one batch: what is left of the latest is at most twice what is left of the earliest. */
struct remote_fit {
    int64_t least_ns, most_ns; /* left; 0: none yet */
};

/* Takes a deadline into the batch; false: it belongs to another one. */
static inline bool remote_fit_add(struct remote_fit *fit, int64_t deadline_ns, int64_t now_ns)
{
    int64_t left = deadline_ns - now_ns > 0 ? deadline_ns - now_ns : 1;
    int64_t least = fit->least_ns && fit->least_ns < left ? fit->least_ns : left;
    int64_t most = fit->most_ns > left ? fit->most_ns : left;

    if (most / 2 > least)
        return false;
    fit->least_ns = least;
    fit->most_ns = most;
    return true;
}

static inline size_t remote_request_estimate(const struct request *request)
{
    return request_bytes(request) + REMOTE_REQUEST_OVERHEAD_BYTES + request->part_count * REMOTE_PART_OVERHEAD_BYTES;
}

static inline int64_t remote_retry_at(uint32_t retry_after_ms, int64_t now_ns)
{
    uint32_t wait_ms = retry_after_ms ? retry_after_ms : REMOTE_RETRY_MS;

    return now_ns + (wait_ms < REMOTE_RETRY_MOST_MS ? wait_ms : REMOTE_RETRY_MOST_MS) * NS_PER_MS;
}

/* Statuses with which the broker itself ends a message that it would have forwarded. */
static inline bool remote_is_passing(int status)
{
    return status == STATUS_OVERLOADED || status == STATUS_UNAVAILABLE || status == STATUS_DEADLINE_EXCEEDED ||
           status == STATUS_INTERNAL;
}

/* What a message that was answered as a whole says of each of its requests. */
static inline struct reply remote_reply_of_whole(const struct envelope *envelope)
{
    struct reply reply = {.status = envelope->status, .retry_after_ms = envelope->retry_after_ms};

    if (envelope->status == STATUS_INTERNAL) /* the broker alone says so */
        reply.message = span_text("it was alone on two workers that died");
    return reply;
}

/* Statuses that the library itself tries again, until the call's deadline. */
static inline bool remote_is_retried(int status, int64_t deadline_ns, int64_t now_ns)
{
    return status == STATUS_OVERLOADED || status == STATUS_UNAVAILABLE || status == STATUS_NOT_READ ||
           status == STATUS_OUT_OF_ORDER || (status == STATUS_DEADLINE_EXCEEDED && deadline_ns > now_ns);
}
#endif
