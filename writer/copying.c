/*
 * copying.c - CONTROL BACKUP: judged, begun, stepped between groups, answered like a write.
 */
#include "writer/copying.h"
#include "writer/inbox.h"

#include <stdlib.h>
#include <string.h>

enum { PAGES_AT_ONCE = 100 };

static void answer(struct worker *worker, struct worker_message *wire, int status, const char *message,
                   uint64_t revision)
{
    struct reply reply = {.status = status, .revision = revision, .message = span_text(message)};

    inbox_reply(worker, wire, &reply, 1);
    worker_message_free(wire);
}

static int judge(const struct copying *copying, const struct worker_message *wire, struct control *control,
                 const char **why)
{
    *why = NULL;
    if (control_decode(wire->body.data, wire->body.size, control) != STATUS_OK)
        return STATUS_INVALID_ARGUMENT;
    if (control->verb != CONTROL_BACKUP)
        return STATUS_UNSUPPORTED;
    if (wire->envelope.role != ROLE_ADMIN)
        return STATUS_PERMISSION_DENIED;
    *why = "a backup needs an absolute path";
    if (control->argument.size == 0 || *(const char *)control->argument.data != '/' ||
        memchr(control->argument.data, '\0', control->argument.size))
        return STATUS_INVALID_ARGUMENT;
    *why = "another backup is being made";
    return copying->active ? STATUS_BUSY : STATUS_OK;
}

void copying_begin(struct copying *copying, struct worker *worker, struct storage *storage, struct worker_message *wire)
{
    struct failure failure = {.status = STATUS_OK};
    struct control control;
    const char *why;
    char *path;
    int status = judge(copying, wire, &control, &why);

    if (status != STATUS_OK) {
        answer(worker, wire, status, why, 0);
        return;
    }
    path = span_string(control.argument);
    status = path ? storage->ops->backup_open(storage, path, &copying->backup, &failure) : STATUS_NO_MEMORY;
    free(path);
    if (status != STATUS_OK) {
        answer(worker, wire, status, failure.message, 0);
        return;
    }
    copying->wire = *wire;
    copying->active = true;
}

static void end(struct copying *copying, struct worker *worker, struct storage *storage, int status,
                const char *message, uint64_t revision)
{
    storage->ops->backup_close(&copying->backup);
    copying->active = false;
    if (worker)
        answer(worker, &copying->wire, status, message, revision);
    else
        worker_message_free(&copying->wire);
}

void copying_step(struct copying *copying, struct worker *worker, struct storage *storage)
{
    struct failure failure = {.status = STATUS_OK};
    struct storage_counters counters;
    bool done = false;
    int status;

    if (!copying->active)
        return;
    status = storage->ops->backup_step(copying->backup, PAGES_AT_ONCE, &done, &failure);
    if (status != STATUS_OK) {
        end(copying, worker, storage, status, failure.message, 0);
    } else if (done) {
        storage->ops->counters(storage, &counters);
        copying->made++;
        end(copying, worker, storage, STATUS_OK, NULL, counters.revision);
    }
}

void copying_stop(struct copying *copying, struct worker *worker, struct storage *storage)
{
    if (copying->active)
        end(copying, worker, storage, STATUS_UNAVAILABLE, "the writer is ending", 0);
}
