/*
 * remote_reads.c - reads, streams and control verbs: what waits, what is sent, what a new connection asks again.
 */
#include "client/remote_reads.h"
#include "client/remote_reads_state.h"
#include "client/remote_wire.h"

#include <assert.h>
#include <stdlib.h>

enum { BATCHES_MOST = 16 };

struct remote_reads *remote_reads_new(void)
{
    struct remote_reads *reads = calloc(1, sizeof *reads);

    if (reads)
        call_list_init(&reads->waiting);
    return reads;
}

static void append_flight(struct remote_reads *reads, struct read_flight *flight)
{
    flight->next = NULL;
    flight->previous = reads->last;
    if (reads->last)
        reads->last->next = flight;
    else
        reads->first = flight;
    reads->last = flight;
    reads->batches += !flight->stream;
    reads->counters.in_flight_messages++;
    reads->counters.in_flight_bytes += flight->bytes;
}

void remote_reads_unlink(struct remote_reads *reads, struct read_flight *flight)
{
    if (flight->previous)
        flight->previous->next = flight->next;
    else
        reads->first = flight->next;
    if (flight->next)
        flight->next->previous = flight->previous;
    else
        reads->last = flight->previous;
    reads->batches -= !flight->stream;
    reads->counters.in_flight_messages--;
    reads->counters.in_flight_bytes -= flight->bytes;
}

void remote_reads_free(struct remote_reads **reads)
{
    if (!*reads)
        return;
    for (struct read_flight *flight = (*reads)->first, *next; flight; flight = next) {
        next = flight->next;
        free(flight);
    }
    free((*reads)->spare);
    free(*reads);
    *reads = NULL;
}

void remote_reads_submit(struct remote_reads *reads, struct call *call)
{
    call->number = 0;
    call->copies_sent = 0;
    call->lane_data = NULL;
    call_list_append(&reads->waiting, call);
}

static struct call **place_of(struct read_flight *flight, const struct call *call)
{
    for (size_t i = 0; i < flight->count; i++)
        if (flight->calls[i] == call)
            return &flight->calls[i];
    return NULL;
}

bool remote_reads_abandon(struct remote_reads *reads, struct call *call)
{
    struct read_flight *flight = call->lane_data;
    struct call **place = flight ? place_of(flight, call) : NULL;

    if (!flight) {
        call_list_remove(call);
        return true;
    }
    assert(place);
    *place = NULL;
    call->lane_data = NULL;
    if (flight->stream) {
        flight->cancelled = true;
        reads->notices++;
    }
    return !flight->backup;
}

void remote_reads_credit(struct remote_reads *reads, struct call *call, uint64_t bytes)
{
    struct read_flight *flight = call->lane_data;

    call->credit_bytes += bytes;
    if (!flight)
        return;
    reads->notices += flight->more_credit == 0;
    flight->more_credit += bytes;
}

static size_t settle_list(struct call_list *list, int status)
{
    struct reply reply = {.status = status};
    struct call *call;
    size_t count = 0;

    for (; (call = call_list_first(list)); count++) {
        call_list_remove(call);
        call->lane_data = NULL;
        call->settle(call, &reply, true);
    }
    return count;
}

/* Puts the calls of a flight back to the front of those that wait, in order. */
static void ask_again(struct remote_reads *reads, struct read_flight *flight)
{
    for (size_t i = flight->count; i-- > 0;) {
        struct call *call = flight->calls[i];

        if (!call)
            continue;
        call->lane_data = NULL;
        call_list_prepend(&reads->waiting, call);
        flight->calls[i] = NULL;
    }
}

/* The call of a stream that has delivered, or of a BACKUP, cannot be asked again: it goes to `list`. */
static void end_or_ask_again(struct remote_reads *reads, struct read_flight *flight, struct call_list *expired,
                             struct call_list *lost)
{
    struct call *call = flight->calls[0];

    if (call && (flight->backup || (flight->stream && flight->pieces))) {
        call->lane_data = NULL;
        call_list_prepend(flight->backup ? lost : expired, call);
        flight->calls[0] = NULL;
    }
    ask_again(reads, flight);
}

static void end_flights(struct remote_reads *reads, struct call_list *expired, struct call_list *lost)
{
    while (reads->last) {
        struct read_flight *flight = reads->last;

        remote_reads_unlink(reads, flight);
        assert(reads->last != flight);
        end_or_ask_again(reads, flight, expired, lost);
        free(flight);
    }
    reads->notices = 0;
}

void remote_reads_welcome(struct remote_reads *reads)
{
    struct call_list expired, lost;

    call_list_init(&expired);
    call_list_init(&lost);
    end_flights(reads, &expired, &lost);
    reads->retry_at_ns = 0;
    settle_list(&expired, STATUS_SNAPSHOT_EXPIRED);
    settle_list(&lost, STATUS_OUTCOME_LOST);
}

/* Takes the plain reads, and the streams that have delivered, out of what is in flight; the messages stay until they
 * are answered. */
static void take_calls(struct remote_reads *reads, struct call_list *back, struct call_list *expired)
{
    for (struct read_flight *flight = reads->first; flight; flight = flight->next) {
        for (size_t i = 0; i < flight->count && !flight->control; i++) {
            struct call *call = flight->calls[i];

            if (!call)
                continue;
            call->lane_data = NULL;
            call_list_append(flight->stream && flight->pieces ? expired : back, call);
            flight->calls[i] = NULL;
            flight->cancelled = flight->stream;
            reads->notices += flight->stream;
        }
    }
}

size_t remote_reads_went_back(struct remote_reads *reads)
{
    struct call_list back, expired;
    struct call *next;

    call_list_init(&back);
    call_list_init(&expired);
    take_calls(reads, &back, &expired);
    for (struct call *call = call_list_first(&reads->waiting); call; call = next) {
        next = call_list_next(&reads->waiting, call);
        if (call->control_verb)
            continue;
        call_list_remove(call);
        call_list_append(&back, call);
    }
    settle_list(&expired, STATUS_SNAPSHOT_EXPIRED);
    return settle_list(&back, STATUS_WENT_BACK);
}

/* ---- sending ---- */

static bool is_alone(const struct call *call)
{
    return call->streamed || call->control_verb;
}

static void describe(struct remote_reads *reads, const struct call *call, struct remote_read *read)
{
    *read = (struct remote_read){.type = call->control_verb ? MESSAGE_CONTROL : MESSAGE_READ,
                                 .flags = call->streamed ? ENVELOPE_STREAM : 0,
                                 .control_verb = call->control_verb,
                                 .first = reads->number + 1,
                                 .credit_bytes = call->streamed ? call->credit_bytes : 0};
}

/* Takes `call` into the batch; false: it belongs to the next one. */
static bool add(const struct call *call, int64_t now_ns, size_t count, size_t *bytes, size_t batch_bytes,
                struct remote_fit *fit, struct request *request)
{
    *request = call->request;
    request->deadline_ns = remote_wire_deadline(request->deadline_ns, now_ns);
    if (request->deadline_ns <= now_ns)
        return false; /* its owner is about to give it up */
    if (count && (is_alone(call) || *bytes + remote_request_estimate(request) > batch_bytes))
        return false;
    *bytes += remote_request_estimate(request);
    return remote_fit_add(fit, request->deadline_ns, now_ns);
}

size_t remote_reads_gather(struct remote_reads *reads, int64_t now_ns, size_t most, size_t batch_bytes,
                           uint64_t revision, struct request *requests, struct remote_read *read)
{
    struct call *call = call_list_first(&reads->waiting);
    struct remote_fit fit = {0, 0};
    size_t count = 0, bytes = 0;

    if (!call || reads->retry_at_ns > now_ns || (!call->streamed && reads->batches >= BATCHES_MOST))
        return 0;
    if (!reads->spare && !(reads->spare = malloc(sizeof *reads->spare))) {
        reads->retry_at_ns = remote_retry_at(0, now_ns);
        return 0;
    }
    describe(reads, call, read);
    for (; call && count < most && count < REMOTE_READS_BATCH; call = call_list_next(&reads->waiting, call)) {
        if (!add(call, now_ns, count, &bytes, batch_bytes, &fit, &requests[count]))
            break;
        count++;
        if (is_alone(call))
            break;
    }
    reads->spare->seen = revision;
    read->count = count;
    read->deadline_ns = now_ns + fit.least_ns;
    return count;
}

void remote_reads_sent(struct remote_reads *reads, const struct remote_read *read, size_t bytes)
{
    struct read_flight *flight = reads->spare;

    assert(flight && read->first == reads->number + 1);
    reads->spare = NULL;
    *flight = (struct read_flight){.number = ++reads->number,
                                   .stream = read->flags & ENVELOPE_STREAM,
                                   .control = read->type == MESSAGE_CONTROL,
                                   .backup = read->control_verb == CONTROL_BACKUP,
                                   .seen = flight->seen,
                                   .bytes = bytes,
                                   .count = read->count};
    for (size_t i = 0; i < read->count; i++) {
        struct call *call = call_list_first(&reads->waiting);

        assert(call);
        call_list_remove(call);
        call->lane_data = flight;
        call->number = flight->number;
        reads->counters.sent++;
        reads->counters.resent += call->copies_sent++ > 0;
        flight->calls[i] = call;
    }
    append_flight(reads, flight);
}

void remote_reads_refuse(struct remote_reads *reads, int status)
{
    struct call *call = call_list_first(&reads->waiting);
    struct reply reply = {.status = status};

    assert(call);
    call_list_remove(call);
    call->lane_data = NULL;
    call->settle(call, &reply, true);
}

void remote_reads_refuse_unsent(struct remote_reads *reads, int status, bool no_wait_alone)
{
    struct call_list refused;
    struct call *next;

    call_list_init(&refused);
    for (struct call *call = call_list_first(&reads->waiting); call; call = next) {
        next = call_list_next(&reads->waiting, call);
        if (no_wait_alone && !(call->request.flags & REQUEST_NO_WAIT))
            continue;
        call_list_remove(call);
        call_list_append(&refused, call);
    }
    settle_list(&refused, status);
}

/* One notice of one flight; a cancelled one ends with it. */
static void take_notice(struct remote_reads *reads, struct read_flight *flight, uint8_t *type, uint64_t *bytes)
{
    *type = flight->cancelled ? MESSAGE_CANCEL : MESSAGE_CREDIT;
    *bytes = flight->cancelled ? 0 : flight->more_credit;
    flight->more_credit = 0;
    if (flight->cancelled) {
        remote_reads_unlink(reads, flight);
        free(flight);
    }
}

bool remote_reads_gather_notice(struct remote_reads *reads, uint8_t *type, uint64_t *first, uint64_t *bytes)
{
    if (!reads->notices)
        return false;
    for (struct read_flight *flight = reads->first; flight; flight = flight->next) {
        if (!flight->cancelled && !flight->more_credit)
            continue;
        *first = flight->number;
        take_notice(reads, flight, type, bytes);
        return true;
    }
    reads->notices = 0;
    return false;
}

bool remote_reads_has_notice(const struct remote_reads *reads)
{
    return reads->notices > 0;
}

uint64_t remote_reads_take_number(struct remote_reads *reads)
{
    return ++reads->number;
}

int64_t remote_reads_due_ns(const struct remote_reads *reads)
{
    return call_list_first(&reads->waiting) ? reads->retry_at_ns : INT64_MAX;
}

void remote_reads_counters(const struct remote_reads *reads, struct remote_reads_counters *counters)
{
    *counters = reads->counters;
    counters->waiting = counters->streams = 0;
    for (struct call *call = call_list_first(&reads->waiting); call; call = call_list_next(&reads->waiting, call))
        counters->waiting++;
    for (struct read_flight *flight = reads->first; flight; flight = flight->next)
        counters->streams += flight->stream;
}

size_t remote_reads_in_flight_bytes(const struct remote_reads *reads)
{
    return reads->counters.in_flight_bytes;
}

uint64_t remote_reads_take_revision(struct remote_reads *reads)
{
    uint64_t revision = reads->revision;

    reads->revision = 0;
    return revision;
}
