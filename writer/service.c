/*
 * service.c - takes messages from the broker, runs groups, keeps house and reports.
 */
#include "writer/service.h"
#include "actor/actor.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "writer/copying.h"
#include "writer/inbox.h"

#include <unistd.h>

enum {
    END_MS = 5000,  /* for what has been taken, once asked to end */
    STATE_MS = 200, /* between two states told, while groups are committed */
    SOON_MS = 500,  /* housekeeping that cannot wait */
    REST_MS = 50,   /* without a message: the store is at rest */
    /* What is not handed on after a group's commit would wait for the next one's sync. */
    SEND_MARK = LIMIT_GROUP_REQUESTS,
};

struct service {
    const struct service_options *options;
    struct writer *writer;
    struct worker *worker;
    struct health *health;
    struct inbox *inbox;
    struct copying copying;
    uint64_t life;
    int ready_fd;
    bool is_changed;                     /* since the state was told */
    bool is_soon;                        /* the writer wants to keep house again soon */
    bool wants_rest;                     /* it has work for when nothing comes, */
    int64_t rest_ns;                     /* which is then */
    int64_t health_ns, state_ns, end_ns; /* end_ns 0: not asked to end */
};

/* ---- what others are told ---- */

static void tell_state(struct service *self)
{
    struct storage *storage = writer_storage(self->writer);
    struct storage_counters counters;
    struct worker_state state = {
        .role = ROLE_WRITER,
        .life = self->life,
        .pid = (uint32_t)getpid(),
        .max_data_bytes = self->options->max_data_bytes,
        .snapshot_ms = self->options->snapshot_ms,
        .device = storage->identity.device,
        .inode = storage->identity.inode,
        .path = span_text(storage->path),
        .status = span_text(health_json(self->health)),
    };

    storage->ops->counters(storage, &counters);
    state.epoch = counters.epoch;
    state.session_counter = counters.session_counter;
    state.revision = counters.revision;
    memcpy(state.boot_id, storage->identity.boot_id, sizeof state.boot_id);
    memcpy(state.incarnation, storage->identity.incarnation, sizeof state.incarnation);
    worker_set_state(self->worker, &state);
    self->state_ns = clock_deadline_ns(STATE_MS);
    self->is_changed = false;
}

static void report_storage(struct service *self)
{
    struct storage *storage = writer_storage(self->writer);
    struct storage_counters counters;

    storage->ops->counters(storage, &counters);
    health_text(self->health, "path", storage->path);
    health_number(self->health, "revision", (double)counters.revision);
    health_number(self->health, "epoch", (double)counters.epoch);
    health_number(self->health, "session_counter", (double)counters.session_counter);
    health_number(self->health, "wal_bytes", (double)counters.wal_bytes);
    health_number(self->health, "database_bytes", (double)counters.database_bytes);
    health_number(self->health, "commits", (double)counters.commits);
    health_number(self->health, "checkpoints", (double)counters.checkpoints);
    health_number(self->health, "checkpoints_busy", (double)counters.checkpoints_busy);
    health_number(self->health, "idempotency_keys", (double)counters.idempotency_keys);
    health_number(self->health, "disk_full", counters.full);
    if (storage_sqlite_warning())
        health_text(self->health, "sqlite_warning", storage_sqlite_warning());
}

static void report(struct service *self)
{
    struct inbox_counters *writes = inbox_counters(self->inbox);
    struct writer_counters counters;

    writer_counters(self->writer, &counters);
    health_begin(self->health, self->end_ns ? "draining" : "ready");
    report_storage(self);
    health_number(self->health, "messages", (double)writes->messages);
    health_number(self->health, "refused", (double)writes->refused);
    health_number(self->health, "waiting", (double)inbox_count(self->inbox));
    health_number(self->health, "groups", (double)counters.groups);
    health_number(self->health, "requests", (double)counters.requests);
    health_number(self->health, "replayed", (double)counters.replayed);
    health_number(self->health, "out_of_order", (double)counters.out_of_order);
    health_number(self->health, "below_floor", (double)counters.below_floor);
    health_number(self->health, "sessions", (double)counters.sessions);
    health_number(self->health, "sessions_evicted", (double)counters.sessions_evicted);
    health_number(self->health, "backups", (double)self->copying.made);
    health_number(self->health, "bad_messages", (double)worker_bad_messages(self->worker));
    health_number(self->health, "backlog_bytes", (double)worker_backlog_bytes(self->worker));
    latency_report(&writes->latency, self->health);
    health_end(self->health);
    self->health_ns = clock_deadline_ns(HEALTH_PERIOD_MS);
    tell_state(self);
}

/* ---- taking ---- */

static void take(struct service *self, struct worker_message *wire)
{
    switch (wire->envelope.type) {
    case MESSAGE_WRITE:
        inbox_add(self->inbox, self->worker, wire);
        return;
    case MESSAGE_CONTROL:
        copying_begin(&self->copying, self->worker, writer_storage(self->writer), wire);
        return;
    case MESSAGE_READ:
        worker_reply(self->worker, wire, STATUS_UNSUPPORTED, NULL, 0, 0);
        break;
    default: /* CREDIT and CANCEL: there are no streams here */
        break;
    }
    worker_message_free(wire);
}

static int64_t due_ns(const struct service *self)
{
    int64_t due = self->health_ns;

    if (inbox_count(self->inbox) || self->copying.active || self->end_ns)
        return 0;
    if (self->is_changed && self->state_ns < due)
        due = self->state_ns;
    if (self->is_soon && clock_deadline_ns(SOON_MS) < due)
        due = clock_deadline_ns(SOON_MS);
    if (self->wants_rest && self->rest_ns < due)
        due = self->rest_ns;
    return due;
}

static void begin_end(struct service *self)
{
    if (self->end_ns)
        return;
    self->end_ns = clock_deadline_ns(END_MS);
    report(self);
}

/* Takes what has arrived, waiting only when there is nothing to do. After a signal nothing more is taken: the broker
 * gives it to the next writer. */
static void take_arrived(struct service *self)
{
    struct worker_message wire;
    int64_t until_ns = due_ns(self);
    int status = STATUS_OK;

    while (status == STATUS_OK && !self->end_ns && !inbox_is_full(self->inbox)) {
        status = worker_next(self->worker, until_ns, until_ns ? self->options->signal_fd : -1, &wire);
        if (status == STATUS_OK)
            take(self, &wire);
        until_ns = 0;
    }
    if (worker_hello(self->worker))
        actor_ready(&self->ready_fd);
    if (status == STATUS_CLOSED || actor_signal(self->options->signal_fd))
        begin_end(self);
}

/* ---- working ---- */

static int run_group(struct service *self)
{
    size_t count = inbox_count(self->inbox);
    int status;

    if (count == 0)
        return STATUS_OK;
    status = writer_run(self->writer, inbox_messages(self->inbox), count);
    if (status != STATUS_OK)
        return status;
    inbox_answer(self->inbox, self->worker);
    self->is_changed = true;
    return STATUS_OK;
}

/* Once nothing has come for a while. */
static int rest(struct service *self, bool worked)
{
    bool wanted = self->wants_rest;

    self->wants_rest = writer_wants_rest(self->writer);
    if (!self->wants_rest)
        return STATUS_OK;
    if (worked || !wanted)
        self->rest_ns = clock_deadline_ns(REST_MS);
    if (clock_boot_ns() < self->rest_ns)
        return STATUS_OK;
    self->wants_rest = false;
    return writer_rest(self->writer);
}

static int work(struct service *self)
{
    bool worked = inbox_count(self->inbox) > 0;
    int status = run_group(self);

    if (status != STATUS_OK)
        return status;
    copying_step(&self->copying, self->worker, writer_storage(self->writer));
    self->is_soon = writer_idle(self->writer, &status);
    if (status != STORAGE_UNKNOWN)
        status = rest(self, worked);
    return status == STORAGE_UNKNOWN ? status : STATUS_OK;
}

static bool is_current(struct service *self)
{
    struct storage *storage = writer_storage(self->writer);

    return storage->ops->is_current(storage);
}

static bool may_end(const struct service *self)
{
    return self->end_ns && (inbox_count(self->inbox) == 0 || clock_boot_ns() >= self->end_ns);
}

static enum service_end serve(struct service *self)
{
    while (!may_end(self)) {
        take_arrived(self);
        if (work(self) != STATUS_OK)
            return is_current(self) ? SERVICE_UNKNOWN : SERVICE_MOVED;
        if (clock_boot_ns() >= self->health_ns) {
            if (!is_current(self))
                return SERVICE_MOVED;
            report(self);
        } else if (self->is_changed && clock_boot_ns() >= self->state_ns) {
            tell_state(self);
        }
    }
    copying_stop(&self->copying, self->worker, writer_storage(self->writer));
    worker_goodbye(self->worker);
    return SERVICE_ASKED;
}

/* ---- life ---- */

static int begin(struct service *self, struct failure *failure)
{
    int status;

    random_bytes(&self->life, sizeof self->life);
    self->inbox = inbox_new();
    if (!self->inbox)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    status = health_new(self->options->endpoint, "writer", self->life, &self->health, failure);
    if (status == STATUS_OK)
        status = worker_new(self->options->endpoint, SEND_MARK, &self->worker, failure);
    if (status == STATUS_OK)
        report(self);
    return status;
}

enum service_end service_run(const struct service_options *options, struct writer *writer, struct failure *failure)
{
    struct service self = {.options = options, .writer = writer, .ready_fd = options->ready_fd};
    enum service_end end = begin(&self, failure) == STATUS_OK ? serve(&self) : SERVICE_NOT_BEGUN;

    copying_stop(&self.copying, NULL, writer_storage(writer));
    inbox_free(&self.inbox);
    worker_free(&self.worker);
    health_free(&self.health);
    return end;
}
