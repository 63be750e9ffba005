/*
 * session_log.c - rows of the session log: which entries a group makes, and what they mean when they are read again.
 *
 * A row: version, tag of the boot, seconds of CLOCK_BOOTTIME, the revision that outcomes are counted from, entries.
 * How an entry is coded stands in session_entry.c.
 */
#include "writer/session_log.h"
#include "writer/bytes.h"
#include "writer/session_entry.h"

#include <assert.h>
#include <stdlib.h>

enum { ROW_VERSION = 1, BOOT_TAG_BYTES = 4, MS_PER_S = 1000 };

struct session_log {
    uint8_t boot_tag[BOOT_TAG_BYTES];
    struct bytes_writer row;
    uint64_t last_row;
    size_t carried; /* told again in the present row: so many from the head of the order of rows */
    bool damaged;
    struct session_entry entry; /* being read */
};

struct session_log *session_log_new(const uint8_t boot_id[16])
{
    struct session_log *log = calloc(1, sizeof *log);

    if (log)
        memcpy(log->boot_tag, boot_id, BOOT_TAG_BYTES);
    return log;
}

void session_log_free(struct session_log **log)
{
    if (!log || !*log)
        return;
    free((*log)->row.data);
    outcomes_clear(&(*log)->entry.outcomes);
    free(*log);
    *log = NULL;
}

uint64_t session_log_last(const struct session_log *log)
{
    return log->last_row;
}

/* ---- making a row ---- */

static bool is_due(const struct session_log *log, const struct session *session)
{
    return session->base_row && session->base_row + SESSION_LOG_KEEP_ROWS <= log->last_row;
}

/* Tells old sessions again; gives the oldest row that is needed once this one is there, 0: none. */
static uint64_t carry(struct session_log *log, const struct session_table *table, struct session_coder *coder)
{
    size_t budget = SESSION_LOG_CARRY_BYTES + log->row.size / 2, start = log->row.size;
    const struct session *s = table->orders[SESSION_BY_ROW].head;

    log->carried = 0;
    for (; s; s = s->links[SESSION_LINK_ROW].next) {
        if (s->leaving)
            continue;
        if (!is_due(log, s) || log->row.size - start > budget)
            break;
        session_entry_put(coder, s, SESSION_ENTRY_WHOLE);
        log->carried++;
    }
    return s ? s->base_row : 0; /* a fresh one has 0 */
}

static uint64_t choose_drop(const struct session_log *log, uint64_t needed)
{
    uint64_t through = needed ? needed - 1 : log->last_row;
    return through - through % SESSION_LOG_DROP_ROWS;
}

static uint64_t first_revision(const struct session_table *table)
{
    for (const struct session *s = table->touched; s; s = s->next_touched)
        for (size_t i = s->outcomes.count - s->staged_count; i < s->outcomes.count; i++)
            if (outcomes_at(&s->outcomes, i)->revision)
                return outcomes_at(&s->outcomes, i)->revision - 1;
    return 0;
}

static void put_header(struct session_log *log, struct session_coder *coder, int64_t now_ms)
{
    bytes_put_byte(&log->row, ROW_VERSION);
    bytes_put(&log->row, log->boot_tag, BOOT_TAG_BYTES);
    bytes_put_number(&log->row, (uint64_t)now_ms / MS_PER_S);
    bytes_put_number(&log->row, coder->revision);
}

int session_log_encode(struct session_log *log, const struct session_table *table, int64_t now_ms,
                       struct storage_session_record *record)
{
    struct session_coder coder = {.out = &log->row, .revision = first_revision(table), .now_ms = now_ms};

    log->row.size = 0;
    log->row.failed = false;
    *record = (struct storage_session_record){.session_counter = table->staged_counter};
    if (!session_has_staged(table))
        return STATUS_OK;
    put_header(log, &coder, now_ms);
    for (const struct session *s = table->leaving; s; s = s->next_leaving)
        session_entry_put(&coder, s, SESSION_ENTRY_GONE);
    for (const struct session *s = table->touched; s; s = s->next_touched)
        if (session_is_changed(s))
            session_entry_put(&coder, s, s->fresh ? SESSION_ENTRY_WHOLE : SESSION_ENTRY_CHANGE);
    record->drop_through = choose_drop(log, carry(log, table, &coder));
    record->bytes = (struct span){log->row.data, log->row.size};
    return log->row.failed ? STATUS_NO_MEMORY : STATUS_OK;
}

static void note_logged(struct session *session)
{
    const struct session_view *view = session->touched ? &session->staged : &session->now;

    session->logged_floor = view->floor;
    session->logged_next = view->next;
}

void session_log_committed(struct session_log *log, struct session_table *table, uint64_t sequence)
{
    struct session *s = table->orders[SESSION_BY_ROW].head, *next;

    for (; s && log->carried; s = next) {
        next = s->links[SESSION_LINK_ROW].next;
        if (s->leaving)
            continue;
        note_logged(s);
        s->base_row = sequence;
        session_order_remove(table, SESSION_BY_ROW, s);
        session_order_append(table, SESSION_BY_ROW, s);
        log->carried--;
    }
    for (s = table->touched; s; s = s->next_touched) {
        if (!session_is_changed(s))
            continue;
        note_logged(s);
        if (s->fresh)
            s->base_row = sequence;
    }
    assert(sequence > log->last_row);
    log->last_row = sequence;
}

/* ---- reading one ---- */

struct row_time {
    bool same_boot;
    int64_t ms;
};

/* Clocks of another boot say nothing: what was used then was last used when this boot began. */
static void set_times(struct session *session, const struct session_entry *entry, struct row_time row)
{
    int64_t used_ms = row.same_boot ? row.ms - (int64_t)entry->age_s * MS_PER_S : 0;
    uint64_t ahead_s = entry->closed && row.same_boot ? entry->ahead_s : LIMIT_DEADLINE_S;

    session->used_ms = used_ms > 0 ? used_ms : 0;
    session->deadline_ms = (row.same_boot ? row.ms : 0) + (int64_t)ahead_s * MS_PER_S;
}

static int apply_state(struct session_table *table, struct session *session, const struct session_entry *entry)
{
    int status = STATUS_OK;

    session_touch(table, session);
    session_raise_floor(session, entry->floor);
    for (size_t i = 0; status == STATUS_OK && i < entry->outcomes.count; i++)
        status = session_settle(session, outcomes_at(&entry->outcomes, i));
    if (status == STATUS_OK && entry->step)
        status = session_progress(session, entry->step_count, entry->step_last);
    if (entry->closed)
        session_close(session);
    if (status != STATUS_OK)
        session_abort(table);
    else
        session_commit(table);
    return status;
}

static int apply_whole(struct session_table *table, const struct session_entry *entry, uint64_t sequence,
                       struct row_time row)
{
    struct session *session = session_find(table, &entry->key);
    int status;

    if (session && session->serial != entry->serial) {
        session_remove(table, session);
        session = NULL;
    }
    if (!session && session_find_serial(table, entry->serial))
        return STATUS_CORRUPT;
    if (!session)
        session = session_restore(table, &entry->key, entry->serial);
    if (!session)
        return STATUS_NO_MEMORY;
    session_restart(table, session, entry->floor);
    status = apply_state(table, session, entry);
    set_times(session, entry, row);
    note_logged(session);
    session->base_row = sequence;
    session_order_remove(table, SESSION_BY_ROW, session);
    session_order_append(table, SESSION_BY_ROW, session);
    return status;
}

/* Not known: the row that told it whole was dropped, a later one does so again or says that it is gone. */
static int apply_change(struct session_table *table, struct session_entry *entry, struct row_time row)
{
    struct session *session = session_find_serial(table, entry->serial);
    uint64_t next;
    int status;

    if (!session)
        return STATUS_OK;
    if (session->now.closed || entry->floor > UINT64_MAX / 2 - session->now.floor)
        return STATUS_CORRUPT;
    entry->floor += session->now.floor;
    next = entry->floor > session->now.next ? entry->floor : session->now.next;
    if (next + entry->outcomes.count - entry->floor > LIMIT_SESSION_WINDOW)
        return STATUS_CORRUPT;
    status = apply_state(table, session, entry);
    set_times(session, entry, row);
    note_logged(session);
    return status;
}

static int apply_entry(struct session_table *table, struct session_entry *entry, uint64_t sequence, struct row_time row)
{
    struct session *session;

    switch (entry->kind) {
    case SESSION_ENTRY_WHOLE:
        return apply_whole(table, entry, sequence, row);
    case SESSION_ENTRY_CHANGE:
        return apply_change(table, entry, row);
    default:
        session = session_find_serial(table, entry->serial);
        if (session)
            session_remove(table, session);
        else if (entry->serial >= table->next_serial)
            table->next_serial = entry->serial + 1;
        return STATUS_OK;
    }
}

static int replay_row(struct session_log *log, struct session_table *table, uint64_t sequence, struct span bytes,
                      int64_t now_ms)
{
    struct session_decoder decoder = {.in = {.data = bytes.data, .left = bytes.size}};
    struct row_time row;
    const void *tag;
    int status;

    if (bytes_get_byte(&decoder.in) != ROW_VERSION)
        return STATUS_CORRUPT;
    tag = bytes_get(&decoder.in, BOOT_TAG_BYTES);
    row.same_boot = tag && memcmp(tag, log->boot_tag, BOOT_TAG_BYTES) == 0;
    row.ms = (int64_t)(bytes_get_number(&decoder.in) & UINT32_MAX) * MS_PER_S;
    if (row.ms > now_ms)
        row.ms = now_ms;
    decoder.revision = bytes_get_number(&decoder.in);
    while (decoder.in.left && !decoder.in.failed) {
        status = session_entry_get(&decoder, &log->entry);
        if (status == STATUS_OK)
            status = apply_entry(table, &log->entry, sequence, row);
        if (status != STATUS_OK)
            return status;
    }
    return decoder.in.failed ? STATUS_CORRUPT : STATUS_OK;
}

int session_log_replay(struct session_log *log, struct session_table *table, uint64_t sequence, struct span bytes,
                       int64_t now_ms)
{
    int status = STATUS_OK;

    log->last_row = sequence;
    if (!log->damaged)
        status = replay_row(log, table, sequence, bytes, now_ms);
    if (status == STATUS_CORRUPT)
        log->damaged = true;
    return status == STATUS_CORRUPT ? STATUS_OK : status;
}

bool session_log_finish(struct session_log *log, struct session_table *table)
{
    outcomes_clear(&log->entry.outcomes);
    if (log->damaged) {
        session_table_clear(table);
        return false;
    }
    session_sort_by_use(table);
    return true;
}
