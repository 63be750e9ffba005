/*
 * session_entry.c - codes a session into a few bytes and back; what is read is never trusted.
 */
#include "writer/session_entry.h"
#include "proto/status.h"

#include <assert.h>

enum {
    KIND_MASK = 3,
    ENTRY_CLOSED = 1 << 2,
    ENTRY_STEP = 1 << 3,
    ENTRY_PRINCIPAL = 1 << 4,
    ENTRY_KNOWN = 0x1F,

    RUN_CONFLICT = 1 << 0,
    RUN_STATUS = 1 << 1,      /* a status told as a number; neither: OK */
    RUN_REVISION = 1 << 2,    /* told, signed, from the one before */
    RUN_NO_REVISION = 1 << 3, /* 0 */
    RUN_COUNT = 1 << 4,
    RUN_FLAGS = 1 << 5,
    RUN_PART = 1 << 6,
    RUN_MORE = 1 << 7, /* so many like it follow */
};

/* ---- out ---- */

/* Would it be read as one more of the run that `first` began? */
static bool continues(const struct session_outcome *first, const struct session_outcome *outcome, uint64_t revision)
{
    return outcome->status == first->status && outcome->flags == first->flags && outcome->count == first->count &&
           outcome->failed_part == first->failed_part &&
           (first->revision ? outcome->revision == revision + 1 : outcome->revision == 0);
}

static uint8_t run_head(const struct session_outcome *outcome, uint64_t revision, uint64_t more)
{
    int head = 0;

    if (outcome->status == STATUS_CONFLICT)
        head |= RUN_CONFLICT;
    else if (outcome->status != STATUS_OK)
        head |= RUN_STATUS;
    if (outcome->revision == 0)
        head |= RUN_NO_REVISION;
    else if (outcome->revision != revision + 1)
        head |= RUN_REVISION;
    head |= (outcome->count ? RUN_COUNT : 0) | (outcome->flags ? RUN_FLAGS : 0);
    head |= (outcome->failed_part ? RUN_PART : 0) | (more ? RUN_MORE : 0);
    return (uint8_t)head;
}

static void put_run(struct session_coder *coder, const struct session_outcome *first, uint64_t more)
{
    uint8_t head = run_head(first, coder->revision, more);

    bytes_put_byte(coder->out, head);
    if (head & RUN_STATUS)
        bytes_put_number(coder->out, first->status);
    if (head & RUN_REVISION)
        bytes_put_signed(coder->out, (int64_t)(first->revision - coder->revision));
    if (head & RUN_COUNT)
        bytes_put_number(coder->out, first->count);
    if (head & RUN_FLAGS)
        bytes_put_number(coder->out, first->flags);
    if (head & RUN_PART)
        bytes_put_number(coder->out, first->failed_part);
    if (head & RUN_MORE)
        bytes_put_number(coder->out, more);
    if (first->revision)
        coder->revision = first->revision + more;
}

static void put_outcomes(struct session_coder *coder, const struct session *session, uint64_t from, uint64_t next)
{
    bytes_put_number(coder->out, next - from);
    while (from < next) {
        const struct session_outcome *first = session_outcome_of(session, from);
        uint64_t more = 0;
        while (from + more + 1 < next &&
               continues(first, session_outcome_of(session, from + more + 1), first->revision + more))
            more++;
        put_run(coder, first, more);
        from += more + 1;
    }
}

static void put_identity(struct session_coder *coder, const struct session *session, bool with_principal)
{
    int64_t age_ms = session->touched ? 0 : coder->now_ms - session->used_ms;

    bytes_put(coder->out, session->key.id, sizeof session->key.id);
    if (with_principal)
        bytes_put(coder->out, session->key.principal, sizeof session->key.principal);
    bytes_put_number(coder->out, age_ms > 0 ? (uint64_t)age_ms / 1000 : 0);
}

static void put_rest(struct session_coder *coder, const struct session *session, const struct session_view *view)
{
    int64_t ahead_ms = session->deadline_ms - coder->now_ms;

    if (view->closed)
        bytes_put_number(coder->out, ahead_ms > 0 ? (uint64_t)(ahead_ms + 999) / 1000 : 0);
    if (view->step.active) {
        bytes_put_number(coder->out, view->step.count);
        bytes_put_number(coder->out, view->step.last_bytes);
        bytes_put(coder->out, view->step.last, view->step.last_bytes);
    }
}

void session_entry_put(struct session_coder *coder, const struct session *session, enum session_entry_kind kind)
{
    static const uint8_t nobody[PRINCIPAL_BYTES];
    const struct session_view *view = session->touched ? &session->staged : &session->now;
    bool with_principal = kind == SESSION_ENTRY_WHOLE && memcmp(session->key.principal, nobody, sizeof nobody) != 0;
    uint64_t from = view->floor;
    int head = (int)kind;

    if (kind != SESSION_ENTRY_GONE)
        head |= (view->closed ? ENTRY_CLOSED : 0) | (view->step.active ? ENTRY_STEP : 0);
    bytes_put_byte(coder->out, (uint8_t)(head | (with_principal ? ENTRY_PRINCIPAL : 0)));
    bytes_put_signed(coder->out, (int64_t)(session->serial - coder->serial));
    coder->serial = session->serial;
    if (kind == SESSION_ENTRY_GONE)
        return;
    if (kind == SESSION_ENTRY_WHOLE) {
        put_identity(coder, session, with_principal);
        bytes_put_number(coder->out, view->floor);
    } else {
        bytes_put_number(coder->out, view->floor - session->logged_floor);
        if (session->logged_next > from)
            from = session->logged_next;
    }
    put_outcomes(coder, session, from, view->next);
    put_rest(coder, session, view);
}

/* ---- in ---- */

static int get_outcome(struct session_decoder *decoder, uint8_t head, struct session_outcome *outcome)
{
    struct bytes_reader *in = &decoder->in;
    uint64_t status = head & RUN_CONFLICT ? STATUS_CONFLICT : STATUS_OK, revision = decoder->revision + 1, flags, part;

    if (head & RUN_STATUS)
        status = bytes_get_number(in);
    if (head & RUN_REVISION)
        revision = decoder->revision + (uint64_t)bytes_get_signed(in);
    outcome->count = head & RUN_COUNT ? bytes_get_number(in) : 0;
    flags = head & RUN_FLAGS ? bytes_get_number(in) : 0;
    part = head & RUN_PART ? bytes_get_number(in) : 0;
    if (in->failed || status > UINT16_MAX || flags > UINT16_MAX || part > UINT32_MAX)
        return STATUS_CORRUPT;
    outcome->status = (uint16_t)status;
    outcome->flags = (uint16_t)flags;
    outcome->failed_part = (uint32_t)part;
    outcome->revision = head & RUN_NO_REVISION ? 0 : revision;
    return STATUS_OK;
}

static int get_run(struct session_decoder *decoder, struct session_entry *entry, uint64_t *left)
{
    uint8_t head = bytes_get_byte(&decoder->in);
    struct session_outcome outcome;
    int status = get_outcome(decoder, head, &outcome);
    uint64_t more = head & RUN_MORE ? bytes_get_number(&decoder->in) : 0;

    if (status != STATUS_OK || more >= *left)
        return STATUS_CORRUPT;
    for (uint64_t i = 0; i <= more; i++) {
        if (!outcomes_reserve(&entry->outcomes))
            return STATUS_NO_MEMORY;
        outcomes_push(&entry->outcomes, &outcome);
        if (outcome.revision)
            decoder->revision = outcome.revision++;
    }
    *left -= more + 1;
    return STATUS_OK;
}

static int get_outcomes(struct session_decoder *decoder, struct session_entry *entry)
{
    uint64_t left = bytes_get_number(&decoder->in);
    int status = left <= LIMIT_SESSION_WINDOW ? STATUS_OK : STATUS_CORRUPT;

    while (status == STATUS_OK && left)
        status = get_run(decoder, entry, &left);
    return status;
}

static void get_identity(struct session_decoder *decoder, struct session_entry *entry, bool with_principal)
{
    const void *id = bytes_get(&decoder->in, sizeof entry->key.id);
    const void *principal = with_principal ? bytes_get(&decoder->in, sizeof entry->key.principal) : NULL;

    memset(&entry->key, 0, sizeof entry->key);
    if (id)
        memcpy(entry->key.id, id, sizeof entry->key.id);
    if (principal)
        memcpy(entry->key.principal, principal, sizeof entry->key.principal);
    entry->age_s = bytes_get_number(&decoder->in);
}

static void get_rest(struct session_decoder *decoder, struct session_entry *entry)
{
    entry->ahead_s = entry->closed ? bytes_get_number(&decoder->in) : 0;
    entry->step_count = entry->step ? bytes_get_number(&decoder->in) : 0;
    entry->step_last.size = entry->step ? (size_t)bytes_get_number(&decoder->in) : 0;
    entry->step_last.data = bytes_get(&decoder->in, entry->step_last.size);
}

/* Bounds that keep later sums from overflowing. */
static bool is_sane(const struct session_entry *entry)
{
    return entry->floor < UINT64_MAX / 2 && (entry->floor > 0 || entry->kind == SESSION_ENTRY_CHANGE) &&
           entry->age_s <= UINT32_MAX && entry->ahead_s <= LIMIT_DEADLINE_S + 1 &&
           entry->step_last.size <= LIMIT_ID_BYTES && !(entry->closed && entry->step);
}

int session_entry_get(struct session_decoder *decoder, struct session_entry *entry)
{
    uint8_t head = bytes_get_byte(&decoder->in);
    int status;

    decoder->serial += (uint64_t)bytes_get_signed(&decoder->in);
    outcomes_drop_back(&entry->outcomes, entry->outcomes.count);
    entry->kind = (enum session_entry_kind)(head & KIND_MASK);
    entry->serial = decoder->serial;
    entry->closed = head & ENTRY_CLOSED;
    entry->step = head & ENTRY_STEP;
    entry->age_s = 0;
    if (decoder->in.failed || entry->kind > SESSION_ENTRY_GONE || head > ENTRY_KNOWN || entry->serial > UINT64_MAX / 2)
        return STATUS_CORRUPT;
    if (entry->kind == SESSION_ENTRY_GONE)
        return STATUS_OK;
    if (entry->kind == SESSION_ENTRY_WHOLE)
        get_identity(decoder, entry, head & ENTRY_PRINCIPAL);
    entry->floor = bytes_get_number(&decoder->in);
    status = get_outcomes(decoder, entry);
    if (status != STATUS_OK)
        return status;
    get_rest(decoder, entry);
    return !decoder->in.failed && is_sane(entry) ? STATUS_OK : STATUS_CORRUPT;
}
