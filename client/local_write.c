/* local_write.c - the write lane of a process that owns its file. */
#include "client/local_write.h"
#include "client/call_list.h"
#include "client/log.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <assert.h>
#include <stdlib.h>

enum { BACKUP_PAGES = 100 };

struct local_writes {
    struct lane lane; /* first */
    struct local_writes_options options;
    char *path;
    struct storage_identity identity;
    struct writer *writer; /* NULL: dropped after an unknown commit; the next group opens anew */
    struct call_list queued;
    struct call_list backups; /* the first one is under way */
    struct storage_backup *backup;
    struct arena *arena;
    struct call *group[LIMIT_GROUP_REQUESTS];
    struct write_message *messages[LIMIT_GROUP_REQUESTS];
    size_t group_count;
    struct storage_counters counters;
    struct writer_counters writer_counters;
};

/* ---- the writer ---- */

static void read_counters(const struct local_writes *writes, struct storage_counters *counters)
{
    struct storage *storage = writer_storage(writes->writer);
    storage->ops->counters(storage, counters);
}

static int open_writer(struct local_writes *writes, bool create, struct failure *failure)
{
    const struct storage_options storage_options = {.path = writes->options.path,
                                                    .access = STORAGE_FOR_WRITING,
                                                    .create = create,
                                                    .durability_normal = writes->options.durability_normal,
                                                    .max_data_bytes = writes->options.max_data_bytes,
                                                    .log = caller_log};
    const struct writer_options writer_options = {.max_data_bytes = writes->options.max_data_bytes, .log = caller_log};
    struct storage *storage = NULL;
    int status = storage_open_sqlite(&storage_options, &storage, failure);

    if (status == STATUS_OK)
        status = writer_new(&storage, &writer_options, &writes->writer, failure);
    if (status != STORAGE_UNKNOWN)
        return status;
    return failure_set(failure, STATUS_IO_ERROR, "%s: a sync failed while it was opened", writes->path);
}

/* Whether the last commit is on disk is not known: the next writer finds out. */
static void drop_writer(struct local_writes *writes)
{
    if (writes->backup)
        writer_storage(writes->writer)->ops->backup_close(&writes->backup);
    writer_free(&writes->writer);
}

/* ---- a group ---- */

/* False: no memory. What a ranged delete keeps from step to step outlives the group. */
static bool fill_message(struct local_writes *writes, struct call *call)
{
    struct local_write *local = call->lane_data;
    struct write_message *message = &local->message;

    if (call->hurried)
        call->request.deadline_ns = 0;
    if (message->step.active)
        return true;
    if (operation_is_ranged_delete(call->request.operation) && !local->arena && !(local->arena = arena_new(0)))
        return false;
    *message = (struct write_message){.requests = &call->request,
                                      .count = 1,
                                      .replies = &local->reply,
                                      .arena = local->arena ? local->arena : writes->arena,
                                      .stream = local->stream,
                                      .role = ROLE_ADMIN,
                                      .context = call};
    return true;
}

static void settle(struct call *call, const struct reply *reply)
{
    struct local_write *local = call->lane_data;
    struct arena *arena = local->arena;

    local->arena = NULL;
    call->pinned = false;
    call->settle(call, reply, true);
    arena_free(&arena);
}

/* Pins the calls at the head of the queue. */
static void gather(struct local_writes *writes)
{
    const struct reply no_memory = {.status = STATUS_NO_MEMORY};

    writes->group_count = 0;
    while (call_list_first(&writes->queued) && writes->group_count < LIMIT_GROUP_REQUESTS) {
        struct call *call = call_list_first(&writes->queued);
        struct local_write *local = call->lane_data;
        call_list_remove(call);
        if (!fill_message(writes, call)) {
            settle(call, &no_memory);
            continue;
        }
        call->pinned = true;
        writes->group[writes->group_count] = call;
        writes->messages[writes->group_count++] = &local->message;
    }
}

/* What is done is answered; the rest goes back to the head of the queue, in order. */
static void settle_group(struct local_writes *writes)
{
    for (size_t i = writes->group_count; i-- > 0;) {
        struct call *call = writes->group[i];
        struct local_write *local = call->lane_data;
        if (local->message.settled == local->message.count)
            continue;
        call->pinned = local->message.step.active;
        call_list_prepend(&writes->queued, call);
    }
    for (size_t i = 0; i < writes->group_count; i++) {
        struct call *call = writes->group[i];
        struct local_write *local = call->lane_data;
        if (local->message.settled == local->message.count)
            settle(call, &local->reply);
    }
    arena_reset(writes->arena);
}

static void settle_all(struct local_writes *writes, const struct reply *reply)
{
    for (size_t i = 0; i < writes->group_count; i++)
        settle(writes->group[i], reply);
    arena_reset(writes->arena);
}

static int ensure_writer(struct local_writes *writes, struct failure *failure)
{
    return writes->writer ? STATUS_OK : open_writer(writes, false, failure);
}

/* One transaction. Mutex held on entry and on return. */
static void run_group(struct local_writes *writes)
{
    struct failure failure = {.status = STATUS_OK};
    struct reply reply = {.status = STATUS_OK};
    int status;

    gather(writes);
    if (writes->group_count == 0)
        return;
    lane_unlock(&writes->lane);
    status = ensure_writer(writes, &failure);
    if (status != STATUS_OK) {
        reply = (struct reply){.status = status, .flags = REPLY_NOT_APPLIED, .message = span_text(failure.message)};
    } else if (writer_run(writes->writer, writes->messages, writes->group_count) == STORAGE_UNKNOWN) {
        drop_writer(writes);
        reply.status = STATUS_IO_ERROR;
    } else {
        pool_release_idle(writes->options.pool);
    }
    pthread_mutex_lock(writes->lane.mutex);
    if (reply.status == STATUS_OK)
        settle_group(writes);
    else
        settle_all(writes, &reply);
}

/* ---- backup: some pages between two groups ---- */

static void end_backup(struct local_writes *writes, const struct reply *reply)
{
    struct call *call = call_list_first(&writes->backups);

    assert(call);
    call_list_remove(call);
    settle(call, reply);
}

static int step_backup(struct local_writes *writes, const struct call *call, bool *done, struct failure *failure)
{
    const struct storage_ops *ops;
    char path[LIMIT_PATH_BYTES];
    int status = ensure_writer(writes, failure);

    if (status != STATUS_OK)
        return status;
    ops = writer_storage(writes->writer)->ops;
    if (!writes->backup) {
        assert(call->request.data.size < sizeof(path));
        memcpy(path, call->request.data.data, call->request.data.size);
        path[call->request.data.size] = '\0';
        status = ops->backup_open(writer_storage(writes->writer), path, &writes->backup, failure);
    }
    if (status == STATUS_OK)
        status = ops->backup_step(writes->backup, BACKUP_PAGES, done, failure);
    if ((status != STATUS_OK || *done) && writes->backup)
        ops->backup_close(&writes->backup);
    return status;
}

static uint64_t revision_now(const struct local_writes *writes)
{
    struct storage_counters counters;

    read_counters(writes, &counters);
    return counters.revision;
}

static void run_backup(struct local_writes *writes)
{
    struct call *call = call_list_first(&writes->backups);
    struct failure failure = {.status = STATUS_OK};
    struct reply reply = {.status = STATUS_OK};
    bool done = false, hurried;

    if (!call)
        return;
    call->pinned = true;
    hurried = call->hurried;
    lane_unlock(&writes->lane);
    if (hurried) {
        if (writes->backup)
            writer_storage(writes->writer)->ops->backup_close(&writes->backup);
        reply.status = STATUS_CANCELLED;
    } else {
        reply.status = step_backup(writes, call, &done, &failure);
        reply.message = span_text(failure.message);
        if (done)
            reply.revision = revision_now(writes); /* the copy took in every group until its last step */
    }
    if (reply.status == STORAGE_UNKNOWN) {
        drop_writer(writes);
        reply.status = STATUS_IO_ERROR;
    }
    pthread_mutex_lock(writes->lane.mutex);
    if (done || reply.status != STATUS_OK)
        end_backup(writes, &reply);
}

/* ---- the lane ---- */

/* Checkpoints and the like, after what could be answered was answered. */
static void keep_house(struct local_writes *writes)
{
    struct storage_counters counters;
    struct writer_counters writer_counters_now;
    int status = STATUS_OK;

    if (!writes->writer)
        return;
    lane_unlock(&writes->lane);
    writer_idle(writes->writer, &status);
    if (status == STORAGE_UNKNOWN) {
        drop_writer(writes);
    } else {
        read_counters(writes, &counters);
        writer_counters(writes->writer, &writer_counters_now);
    }
    pthread_mutex_lock(writes->lane.mutex);
    if (status == STORAGE_UNKNOWN)
        return;
    writes->counters = counters;
    writes->writer_counters = writer_counters_now;
}

static void writes_submit(struct lane *lane, struct call *call)
{
    struct local_writes *writes = (struct local_writes *)lane;

    assert(call->lane_data);
    call->pinned = call->hurried = false;
    call_list_append(call->control_verb ? &writes->backups : &writes->queued, call);
}

static bool writes_abandon(struct lane *lane, struct call *call)
{
    struct local_write *local = call->lane_data;

    (void)lane;
    assert(!call->pinned);
    call_list_remove(call);
    arena_free(&local->arena);
    return true;
}

static void writes_lead(struct lane *lane, int64_t until_ns, int wake_fd)
{
    struct local_writes *writes = (struct local_writes *)lane;

    (void)until_ns; /* never waits for anything but the disk */
    (void)wake_fd;
    if (!call_list_first(&writes->queued) && !call_list_first(&writes->backups))
        return;
    run_group(writes);
    run_backup(writes);
    keep_house(writes);
}

static void writes_credit(struct lane *lane, struct call *call, uint64_t bytes)
{
    (void)lane;
    (void)call;
    (void)bytes;
}

static void writes_interrupt(struct lane *lane)
{
    (void)lane;
}

static bool writes_has_work(struct lane *lane)
{
    const struct local_writes *writes = (struct local_writes *)lane;
    return call_list_first(&writes->queued) || call_list_first(&writes->backups);
}

static int64_t writes_due_ns(struct lane *lane)
{
    (void)lane;
    return INT64_MAX;
}

static int writes_descriptor(struct lane *lane)
{
    (void)lane;
    return -1;
}

static void writes_free(struct lane *lane)
{
    struct local_writes *writes = (struct local_writes *)lane;

    assert(!call_list_first(&writes->queued) && !call_list_first(&writes->backups) && !writes->backup);
    writer_free(&writes->writer);
    arena_free(&writes->arena);
    free(writes->path);
    free(writes);
}

static const struct lane_ops ops = {writes_submit,   writes_abandon, writes_credit,     writes_lead, writes_interrupt,
                                    writes_has_work, writes_due_ns,  writes_descriptor, writes_free};

int local_writes_new(const struct local_writes_options *options, bool create, struct lane **lane,
                     struct failure *failure)
{
    struct local_writes *writes = calloc(1, sizeof(*writes));
    int status = STATUS_NO_MEMORY;

    if (!writes)
        return failure_set(failure, status, "%s", status_text(status));
    writes->lane = (struct lane){.ops = &ops, .mutex = options->mutex};
    call_list_init(&writes->queued);
    call_list_init(&writes->backups);
    writes->options = *options;
    writes->path = strdup(options->path);
    writes->arena = arena_new(0);
    if (!writes->path || !writes->arena) {
        failure_set(failure, status, "%s", status_text(status));
        goto fail;
    }
    writes->options.path = writes->path;
    status = open_writer(writes, create, failure);
    if (status != STATUS_OK)
        goto fail;
    writes->identity = writer_storage(writes->writer)->identity;
    read_counters(writes, &writes->counters);
    *lane = &writes->lane;
    return STATUS_OK;
fail:
    arena_free(&writes->arena);
    free(writes->path);
    free(writes);
    return status;
}

const struct storage_identity *local_writes_identity(const struct lane *lane)
{
    return &((const struct local_writes *)lane)->identity;
}

void local_writes_counters(const struct lane *lane, struct storage_counters *storage, struct writer_counters *writer)
{
    const struct local_writes *writes = (const struct local_writes *)lane;

    *storage = writes->counters;
    *writer = writes->writer_counters;
}
