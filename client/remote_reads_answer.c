/*
 * remote_reads_answer.c - replies and pieces of lists.
 */
#include "client/remote_reads_state.h"
#include "client/remote_wire.h"

#include <stdlib.h>

static struct read_flight *find_flight(const struct remote_reads *reads, uint64_t number)
{
    struct read_flight *flight = reads->first;

    while (flight && flight->number != number)
        flight = flight->next;
    return flight;
}

static void settle(struct call *call, const struct reply *reply, bool last)
{
    if (last)
        call->lane_data = NULL;
    call->settle(call, reply, last);
}

static bool is_behind(struct remote_reads *reads, const struct read_flight *flight, const struct reply *reply,
                      uint64_t *revision)
{
    if (flight->control || reply->status != STATUS_OK || reply->revision == 0)
        return false;
    if (reply->revision < flight->seen) {
        *revision = reply->revision;
        return true;
    }
    if (reply->revision > reads->revision)
        reads->revision = reply->revision;
    return false;
}

static bool is_asked_again(const struct call *call, const struct read_flight *flight, int status, int64_t now_ns)
{
    if (flight->stream && flight->pieces)
        return false;
    if (call->request.flags & REQUEST_NO_WAIT && status != STATUS_NOT_READ)
        return false;
    return remote_is_retried(status, call->request.deadline_ns, now_ns);
}

/* Puts back to the front, in order, what has to be asked again. */
static void take_back(struct remote_reads *reads, struct read_flight *flight, const struct reply *replies, size_t count,
                      int64_t now_ns)
{
    for (size_t i = flight->count; i-- > 0;) {
        struct call *call = flight->calls[i];
        const struct reply *reply = i < count ? &replies[i] : NULL;

        if (!call || !reply || !is_asked_again(call, flight, reply->status, now_ns))
            continue;
        if (reply->status != STATUS_NOT_READ) {
            int64_t at = remote_retry_at(reply->retry_after_ms, now_ns);

            reads->retry_at_ns = at > reads->retry_at_ns ? at : reads->retry_at_ns;
        }
        call->lane_data = NULL;
        call_list_prepend(&reads->waiting, call);
        flight->calls[i] = NULL;
    }
}

/* The final answer of a flight, which is off the list. */
static bool finish(struct remote_reads *reads, struct read_flight *flight, const struct reply *replies, size_t count,
                   int64_t now_ns, uint64_t *revision)
{
    const struct reply corrupt = {.status = STATUS_CORRUPT}, went_back = {.status = STATUS_WENT_BACK};
    bool behind = false;

    take_back(reads, flight, replies, count, now_ns);
    for (size_t i = 0; i < flight->count; i++) {
        const struct reply *reply = i < count ? &replies[i] : &corrupt;
        struct call *call = flight->calls[i];

        if (!call)
            continue;
        flight->calls[i] = NULL;
        if (is_behind(reads, flight, reply, revision)) {
            behind = true;
            reply = &went_back;
        }
        settle(call, reply, true);
    }
    free(flight);
    return behind;
}

/* A piece that does not end its stream. */
static bool take_piece(struct remote_reads *reads, struct read_flight *flight, const struct envelope *envelope,
                       const struct reply *reply, uint64_t *revision)
{
    const struct reply broken = {.status = STATUS_CORRUPT, .message = span_text("a piece of the list is missing")};
    struct reply went_back = {.status = STATUS_WENT_BACK};
    bool gap = envelope->piece != flight->pieces || !reply;

    reads->counters.pieces++;
    reads->counters.in_flight_bytes -= flight->bytes;
    flight->bytes = 0;
    if (gap || is_behind(reads, flight, reply, revision)) {
        struct call *call = flight->calls[0];

        flight->calls[0] = NULL;
        flight->cancelled = true;
        reads->notices++;
        settle(call, gap ? &broken : &went_back, true);
        return !gap;
    }
    flight->pieces++;
    flight->calls[0]->piece_bytes = envelope->bytes;
    settle(flight->calls[0], reply, false);
    return false;
}

bool remote_reads_reply(struct remote_reads *reads, const struct envelope *envelope, const struct reply *replies,
                        size_t count, int64_t now_ns, uint64_t *revision)
{
    struct read_flight *flight = find_flight(reads, envelope->first);
    bool last = envelope->type == MESSAGE_REPLY || envelope->flags & ENVELOPE_LAST || envelope->status != STATUS_OK;
    struct reply all[REMOTE_READS_BATCH];

    if (!flight || (envelope->type == MESSAGE_STREAM && !flight->stream)) {
        reads->counters.unmatched++;
        return false;
    }
    if (!last)
        return flight->calls[0] && take_piece(reads, flight, envelope, count ? replies : NULL, revision);
    if (envelope->status != STATUS_OK) {
        count = flight->count;
        for (size_t i = 0; i < count; i++)
            all[i] = remote_reply_of_whole(envelope);
        replies = all;
    } else if (flight->stream && count && envelope->piece != flight->pieces) {
        count = 0; /* a piece is missing: corrupt */
    }
    remote_reads_unlink(reads, flight);
    return finish(reads, flight, replies, count, now_ns, revision);
}
