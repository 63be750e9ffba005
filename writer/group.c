/*
 * group.c - one transaction: each request judged, applied, its number settled; then the record of it, and the commit.
 */
#include "proto/clock.h"
#include "writer/internal.h"

enum { EXPIRE_KEYS_MOST = 64, EXPIRE_KEYS_S = 5 };
#define STEP_NS NS_PER_MS /* what a step of a ranged delete is to take, without its commit */

struct group {
    struct writer *writer;
    int64_t now_ns;
    bool begun;
    bool first_try;
    struct writer_counters met;
    struct progress step; /* made by this group */
};

static int begin(struct group *group)
{
    struct writer *writer = group->writer;

    if (group->begun)
        return STATUS_OK;
    group->begun = true;
    return writer->storage->ops->begin(writer->storage, writer->options.wall_ms());
}

/* ---- ranged deletes ---- */

/* How many rows this transaction may take: all, or a step's. */
static int rows_at_once(struct writer *writer, const struct request *request, bool active, uint64_t *most)
{
    uint64_t count;
    int status;

    *most = UINT64_MAX;
    if (request->flags & REQUEST_ALL_OR_NOTHING)
        return STATUS_OK;
    if (!active) {
        status = writer->storage->ops->count_rows(writer->storage, request, writer->delete_limit + 1, &count);
        if (status != STATUS_OK || count <= writer->delete_limit)
            return status;
    }
    *most = writer->delete_limit < writer->step_rows ? writer->delete_limit : writer->step_rows;
    return STATUS_OK;
}

/* Everybody else waits for a step, so the next one takes as many rows as this one's speed fits into its time. In whole
 * multiples of the least: so one can tell a step's end in the file. */
static void size_next_step(struct writer *writer, uint64_t rows, int64_t took_ns)
{
    uint64_t most = 2 * writer->step_rows < LIMIT_DELETE_STEP ? 2 * writer->step_rows : LIMIT_DELETE_STEP;
    uint64_t fit = took_ns > 0 ? rows * (uint64_t)STEP_NS / (uint64_t)took_ns : most;

    fit = fit < most ? fit : most;
    writer->step_rows = fit < LIMIT_DELETE_STEP_LEAST ? LIMIT_DELETE_STEP_LEAST : fit - fit % LIMIT_DELETE_STEP_LEAST;
}

static int apply_ranged(struct group *group, const struct writer_item *item, struct session *session)
{
    const struct write_message *message = item->message;
    const struct request *request = &message->requests[item->index];
    const struct storage_caller caller = {.principal = message->principal, .role = message->role};
    struct storage *storage = group->writer->storage;
    struct reply *reply = &message->replies[item->index];
    struct progress progress = progress_of(message, session);
    struct span last;
    uint64_t most;
    bool more;
    int status = rows_at_once(group->writer, request, progress.active, &most);
    int64_t begin_ns = clock_boot_ns();

    if (status == STATUS_OK)
        status = storage->ops->delete_rows(storage, &caller, request, progress.last, progress.count, most, reply, &last,
                                           &more, message->arena);
    if (status != STATUS_OK)
        return status;
    if (!(reply->flags & REPLY_REPLAYED))
        reply->count += progress.count;
    if (more) {
        size_next_step(group->writer, most, clock_boot_ns() - begin_ns);
        group->step = (struct progress){.active = true, .count = reply->count, .last = last};
    }
    return more && session ? session_progress(session, reply->count, last) : STATUS_OK;
}

/* ---- requests ---- */

static int apply(struct group *group, const struct writer_item *item, struct session *session)
{
    const struct write_message *message = item->message;
    const struct storage_caller caller = {.principal = message->principal, .role = message->role};
    struct storage *storage = group->writer->storage;
    int status = begin(group);

    if (status != STATUS_OK)
        return status;
    if (operation_is_ranged_delete(message->requests[item->index].operation))
        return apply_ranged(group, item, session);
    return storage->ops->apply(storage, &caller, &message->requests[item->index], &message->replies[item->index],
                               message->arena);
}

static int settle(const struct writer_item *item, struct session *session)
{
    const struct reply *reply = &item->message->replies[item->index];
    const struct session_outcome outcome = {.status = (uint16_t)reply->status,
                                            .flags = (uint16_t)reply->flags,
                                            .failed_part = reply->failed_part,
                                            .revision = reply->revision,
                                            .count = reply->count};
    int status = session_settle(session, &outcome);

    if (status == STATUS_OK && item->message->requests[item->index].operation == OPERATION_CLOSE_SESSION)
        session_close(session);
    return status;
}

static void meet(struct group *group, const struct judged *judged, const struct writer_item *item)
{
    const struct reply *reply = &item->message->replies[item->index];

    group->met.requests++;
    if (judged->verdict != JUDGED_FINAL)
        return;
    group->met.out_of_order += reply->status == STATUS_OUT_OF_ORDER;
    group->met.below_floor += reply->status == STATUS_BELOW_FLOOR;
    group->met.replayed += judged->is_replay;
}

static int run_item(struct group *group, const struct writer_item *item)
{
    struct judged judged = judge_request(group->writer, item, group->now_ns);
    const struct reply *reply = &item->message->replies[item->index];
    int status;

    meet(group, &judged, item);
    if (judged.verdict == JUDGED_FINAL)
        return STATUS_OK;
    if (judged.verdict == JUDGED_APPLY) {
        status = apply(group, item, judged.session);
        if (status != STATUS_OK || group->step.active)
            return status;
        if (!status_is_deterministic(reply->status))
            return STATUS_OK;
    }
    return judged.session ? settle(item, judged.session) : STATUS_OK;
}

/* ---- the transaction's ends ---- */

/* Old keys go a few at a time, in groups that are there anyway. */
static int expire_keys(struct group *group)
{
    struct writer *writer = group->writer;
    unsigned removed = 0;
    int status;

    if (!group->begun || !group->first_try || group->now_ns < writer->keys_due_ns)
        return STATUS_OK;
    status = writer->storage->ops->expire_keys(writer->storage, writer->options.wall_ms(), EXPIRE_KEYS_MOST, &removed);
    if (status == STATUS_OK && removed < EXPIRE_KEYS_MOST)
        writer->keys_due_ns = group->now_ns + EXPIRE_KEYS_S * NS_PER_S;
    return status;
}

static int commit(struct group *group)
{
    struct writer *writer = group->writer;
    struct storage_session_record record;
    uint64_t sequence = 0;
    int status = begin(group);

    if (status != STATUS_OK)
        return status;
    session_seal(writer->sessions, group->now_ns / NS_PER_MS);
    status = session_log_encode(writer->session_log, writer->sessions, group->now_ns / NS_PER_MS, &record);
    if (status == STATUS_OK)
        status = writer->storage->ops->commit(writer->storage, &record, &sequence);
    if (status != STATUS_OK)
        return status;
    if (record.bytes.size)
        session_log_committed(writer->session_log, writer->sessions, sequence);
    group->met.groups = 1;
    return STATUS_OK;
}

static int run_items(struct group *group, const struct writer_item *items, size_t *count)
{
    int status = STATUS_OK;

    for (size_t i = 0; status == STATUS_OK && i < *count; i++)
        if (i && clock_boot_ns() - group->now_ns > LIMIT_GROUP_MS * NS_PER_MS)
            *count = i;
        else
            status = run_item(group, &items[i]);
    return status;
}

static void add_counters(struct writer_counters *sum, const struct writer_counters *met)
{
    sum->groups += met->groups;
    sum->requests += met->requests;
    sum->replayed += met->replayed;
    sum->out_of_order += met->out_of_order;
    sum->below_floor += met->below_floor;
}

/* What fails in passing says when to come again. */
static void hint(struct reply *reply)
{
    if (status_what_to_do(reply->status) == STATUS_ADVICE_LATER && reply->status < STATUS_OUT_OF_ORDER &&
        !reply->retry_after_ms)
        reply->retry_after_ms = reply->status == STATUS_STORAGE_FULL ? 1000 : 100;
}

static void advance(const struct group *group, const struct writer_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct write_message *message = items[i].message;
        message->step.active = group->step.active;
        message->step.count = group->step.count;
        message->step.last = group->step.last;
        message->step.turn = group->step.active ? ++group->writer->turns : 0;
        hint(&message->replies[items[i].index]);
        message->settled += !group->step.active;
    }
}

int group_run(struct writer *writer, const struct writer_item *items, size_t *count, bool first_try)
{
    struct group group = {.writer = writer, .now_ns = clock_boot_ns(), .first_try = first_try};
    int status = run_items(&group, items, count);

    if (status == STATUS_OK)
        status = expire_keys(&group);
    if (status == STATUS_OK && (group.begun || session_has_staged(writer->sessions)))
        status = commit(&group);
    if (status != STATUS_OK) {
        if (group.begun && status != STORAGE_UNKNOWN)
            writer->storage->ops->rollback(writer->storage);
        session_abort(writer->sessions);
        return status;
    }
    session_commit(writer->sessions);
    add_counters(&writer->counters, &group.met);
    advance(&group, items, *count);
    return STATUS_OK;
}
