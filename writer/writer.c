/*
 * writer.c - chooses what the next transaction holds, tries again with less when it fails, keeps house in between.
 */
#include "writer/writer.h"
#include "proto/clock.h"
#include "writer/internal.h"

#include <stdlib.h>

enum { BLOCKED_MOST = 64, DISK_LOOK_S = 1 };

/* ---- choosing ---- */

/* Messages of one session, or of one handle without, go in order. */
static bool go_in_order(const struct write_message *a, const struct write_message *b)
{
    if (a->has_session != b->has_session)
        return false;
    if (!a->has_session)
        return a->stream == b->stream;
    return memcmp(a->session.id, b->session.id, sizeof a->session.id) == 0 &&
           memcmp(a->principal, b->principal, sizeof a->principal) == 0;
}

struct choice {
    struct writer *writer;
    size_t count;
    size_t bytes;
    const struct write_message *blocked[BLOCKED_MOST]; /* what comes behind them waits */
    size_t blocked_count;
    bool is_full;
};

static bool is_blocked(const struct choice *choice, const struct write_message *message)
{
    for (size_t i = 0; i < choice->blocked_count; i++)
        if (go_in_order(choice->blocked[i], message))
            return true;
    return false;
}

static void block(struct choice *choice, const struct write_message *message)
{
    choice->blocked[choice->blocked_count++] = message;
    choice->is_full = choice->blocked_count == BLOCKED_MOST;
}

static void put(struct choice *choice, struct write_message *message, size_t index)
{
    choice->writer->items[choice->count++] = (struct writer_item){message, index};
}

/* As many of its requests as the group may still hold; a ranged delete only when it is the first. */
static void take_message(struct choice *choice, struct write_message *message)
{
    for (size_t i = message->settled; i < message->count; i++) {
        const struct request *request = &message->requests[i];
        size_t bytes = request_bytes(request);
        bool is_ranged = operation_is_ranged_delete(request->operation);
        if (is_ranged && choice->count) {
            block(choice, message);
            return;
        }
        choice->is_full = choice->count == choice->writer->group_limit ||
                          (choice->count && bytes > LIMIT_GROUP_BYTES - choice->bytes);
        if (choice->is_full)
            return;
        put(choice, message, i);
        choice->bytes = bytes < LIMIT_GROUP_BYTES - choice->bytes ? choice->bytes + bytes : LIMIT_GROUP_BYTES;
        choice->is_full = is_ranged;
        if (is_ranged)
            return;
    }
}

static size_t collect(struct writer *writer, struct write_message *const *messages, size_t count)
{
    struct choice choice = {.writer = writer};

    for (size_t i = 0; i < count && !choice.is_full; i++) {
        if (messages[i]->settled == messages[i]->count || is_blocked(&choice, messages[i]))
            continue;
        if (messages[i]->step.active)
            block(&choice, messages[i]);
        else
            take_message(&choice, messages[i]);
    }
    return choice.count;
}

/* The ranged delete whose last step is the longest ago; NULL: none goes in steps. */
static struct write_message *find_step(struct write_message *const *messages, size_t count)
{
    struct write_message *found = NULL;

    for (size_t i = 0; i < count; i++)
        if (messages[i]->step.active && (!found || messages[i]->step.turn < found->step.turn))
            found = messages[i];
    return found;
}

/* Ranged deletes in steps take turns with one another, and with everybody else. */
static size_t choose(struct writer *writer, struct write_message *const *messages, size_t count)
{
    struct write_message *step = find_step(messages, count);
    size_t chosen = 0;

    if (!step || writer->stepped)
        chosen = collect(writer, messages, count);
    writer->stepped = chosen == 0;
    if (chosen || !step)
        return chosen;
    writer->items[0] = (struct writer_item){step, step->settled};
    return 1;
}

/* ---- running ---- */

/* Alone and refused for want of space, a ranged delete may still go in smaller steps. */
static bool make_steps_smaller(struct writer *writer, int status)
{
    const struct writer_item *item = &writer->items[0];
    const struct request *request = &item->message->requests[item->index];

    if (status != STATUS_STORAGE_FULL || !operation_is_ranged_delete(request->operation) ||
        (request->flags & REQUEST_ALL_OR_NOTHING) || writer->delete_limit <= LIMIT_DELETE_STEP_LEAST)
        return false;
    writer->delete_limit = writer->delete_limit > LIMIT_DELETE_STEP ? LIMIT_DELETE_STEP / 10 : LIMIT_DELETE_STEP_LEAST;
    return true;
}

/* It was alone and fails: that is its answer, and its number stays unsettled. It was rolled back, but not the steps that
 * a ranged delete made before. */
static void fail_alone(struct writer *writer, int status)
{
    const struct writer_item *item = &writer->items[0];
    bool is_ranged = operation_is_ranged_delete(item->message->requests[item->index].operation);
    struct reply *reply = &item->message->replies[item->index];

    *reply = (struct reply){.status = status, .count = item->message->step.count};
    reply->flags = is_ranged ? 0 : REPLY_NOT_APPLIED;
    reply->retry_after_ms = status == STATUS_STORAGE_FULL ? 1000 : 100;
    item->message->step.active = false;
    item->message->step.count = 0;
    item->message->settled++;
    writer->counters.requests++;
}

/* The group again with half of it, down to one. A single one past its deadline is judged once more: as late. */
static int run_again(struct writer *writer, size_t count, int status)
{
    bool was_late = false;

    while (status != STATUS_OK && status != STORAGE_UNKNOWN) {
        bool again = count > 1 || make_steps_smaller(writer, status);
        if (!again && status == STATUS_DEADLINE_EXCEEDED && !was_late)
            again = was_late = true;
        if (!again) {
            fail_alone(writer, status);
            return STATUS_OK;
        }
        count = (count + 1) / 2;
        writer->group_limit = count;
        status = group_run(writer, writer->items, &count, false);
    }
    return status;
}

int writer_run(struct writer *writer, struct write_message *const *messages, size_t count)
{
    size_t chosen = choose(writer, messages, count);
    int status;

    if (chosen == 0)
        return STATUS_OK;
    status = group_run(writer, writer->items, &chosen, true);
    if (status != STATUS_OK)
        return run_again(writer, chosen, status);
    if (writer->group_limit < LIMIT_GROUP_REQUESTS)
        writer->group_limit =
            writer->group_limit * 2 < LIMIT_GROUP_REQUESTS ? writer->group_limit * 2 : (size_t)LIMIT_GROUP_REQUESTS;
    return STATUS_OK;
}

bool writer_idle(struct writer *writer, int *status)
{
    struct storage_counters counters;
    int64_t now_ns = clock_boot_ns();

    *status = writer->storage->ops->checkpoint(writer->storage);
    if (*status == STATUS_OK && now_ns >= writer->disk_look_ns) {
        writer->storage->ops->counters(writer->storage, &counters);
        writer->is_full = counters.full;
        if (!writer->is_full)
            writer->delete_limit = LIMIT_DELETE_ONE_TRANSACTION;
        writer->disk_look_ns = now_ns + DISK_LOOK_S * NS_PER_S;
    }
    return writer->is_full;
}

bool writer_wants_rest(const struct writer *writer)
{
    return writer->storage->ops->wants_rest(writer->storage);
}

int writer_rest(struct writer *writer)
{
    int status = writer->storage->ops->rest(writer->storage);

    return status == STORAGE_UNKNOWN ? status : STATUS_OK;
}

/* ---- life ---- */

struct storage *writer_storage(struct writer *writer)
{
    return writer->storage;
}

void writer_counters(const struct writer *writer, struct writer_counters *counters)
{
    *counters = writer->counters;
    counters->sessions = writer->sessions->count;
    counters->sessions_evicted = writer->sessions->evicted;
}

static int load_row(void *context, uint64_t sequence, struct span bytes)
{
    struct writer *writer = context;

    return session_log_replay(writer->session_log, writer->sessions, sequence, bytes, clock_boot_ns() / NS_PER_MS);
}

static int count_row(void *context, uint64_t sequence, struct span bytes)
{
    (void)sequence;
    (void)bytes;
    ++*(uint64_t *)context;
    return STATUS_OK;
}

/* The log cannot be read: all its sessions count as evicted, so the counter rises before anything else is done. */
static int forget_log(struct writer *writer)
{
    struct storage *storage = writer->storage;
    struct storage_session_record record = {.drop_through = session_log_last(writer->session_log),
                                            .session_counter = writer->sessions->counter + 1};
    uint64_t rows = UINT64_MAX, left = 0, sequence;
    int status;

    log_line(&writer->options.log, LOG_LEVEL_WARNING,
             "the session log is damaged: outcomes of handles that are open are forgotten");
    for (;;) {
        status = storage->ops->begin(storage, writer->options.wall_ms());
        if (status == STATUS_OK)
            status = storage->ops->commit(storage, &record, &sequence);
        if (status == STATUS_OK)
            status = storage->ops->session_log(storage, count_row, &left);
        if (status != STATUS_OK || left == 0 || left >= rows)
            break;
        rows = left;
        left = 0;
    }
    writer->sessions->counter = writer->sessions->staged_counter = record.session_counter;
    return status;
}

static int load(struct writer *writer)
{
    struct storage *storage = writer->storage;
    int status = storage->ops->session_log(storage, load_row, writer);

    if (status == STATUS_OK && !session_log_finish(writer->session_log, writer->sessions))
        status = forget_log(writer);
    return status;
}

static void set_options(struct writer *writer, const struct writer_options *options)
{
    writer->options = *options;
    if (!writer->options.max_sessions)
        writer->options.max_sessions = LIMIT_SESSIONS;
    if (!writer->options.session_idle_s)
        writer->options.session_idle_s = LIMIT_SESSION_IDLE_S;
    if (!writer->options.wall_ms)
        writer->options.wall_ms = clock_wall_ms;
    writer->group_limit = LIMIT_GROUP_REQUESTS;
    writer->delete_limit = LIMIT_DELETE_ONE_TRANSACTION;
    writer->step_rows = LIMIT_DELETE_STEP_FIRST;
}

static struct session_table *make_table(const struct writer *writer)
{
    const struct session_limits limits = {.sessions = writer->options.max_sessions,
                                          .idle_ms = (int64_t)writer->options.session_idle_s * 1000,
                                          .outcomes = SESSION_OUTCOMES_MOST};
    struct storage_counters counters;

    writer->storage->ops->counters(writer->storage, &counters);
    return session_table_new(&limits, writer->storage->identity.incarnation, counters.session_counter);
}

int writer_new(struct storage **storage, const struct writer_options *options, struct writer **out,
               struct failure *failure)
{
    struct writer *writer = calloc(1, sizeof *writer);
    int status = STATUS_NO_MEMORY;

    *out = NULL;
    if (!writer) {
        storage_close(storage);
        return failure_set(failure, status, "%s", status_text(status));
    }
    writer->storage = *storage;
    *storage = NULL;
    set_options(writer, options);
    writer->sessions = make_table(writer);
    writer->session_log = session_log_new(clock_boot_id());
    if (writer->sessions && writer->session_log)
        status = load(writer);
    if (status != STATUS_OK) {
        writer_free(&writer);
        return failure_set(failure, status, "the session log: %s", status_text(status));
    }
    *out = writer;
    return STATUS_OK;
}

int writer_end(struct writer *writer)
{
    return writer->storage->ops->end(writer->storage);
}

void writer_free(struct writer **writer)
{
    if (!writer || !*writer)
        return;
    session_table_free(&(*writer)->sessions);
    session_log_free(&(*writer)->session_log);
    storage_close(&(*writer)->storage);
    free(*writer);
    *writer = NULL;
}
