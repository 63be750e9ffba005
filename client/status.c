/*
 * status.c - what a handle says of itself as JSON, and backup.
 */
#include "client/core.h"
#include "client/engine.h"
#include "client/service.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- JSON ---- */

/* A path as a JSON string; bytes above 0x7F pass as they are. */
static const char *quote(struct arena *arena, const char *text)
{
    char *quoted = arena_alloc(arena, 6 * strlen(text) + 3);
    char *at = quoted;

    if (!quoted)
        return "\"\"";
    *at++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *at++ = '\\';
        if ((unsigned char)*text < 0x20)
            at += sprintf(at, "\\u%04x", (unsigned)*text);
        else
            *at++ = *text;
    }
    *at++ = '"';
    *at = '\0';
    return quoted;
}

static const char *mode_of(const struct stigstore *store)
{
    if (store->engine)
        return "embedded";
    return store->remote ? "service" : "read-only file";
}

static const char *engine_json(const struct stigstore *store, struct arena *arena)
{
    struct storage_counters storage;
    struct writer_counters writer;

    if (!store->engine)
        return "{}";
    local_writes_counters(store->engine->driver.lane, &storage, &writer);
    return arena_printf(arena,
                        "{\"revision\":%llu,\"epoch\":%llu,\"wal_bytes\":%llu,\"database_bytes\":%llu,"
                        "\"commits\":%llu,\"checkpoints\":%llu,\"checkpoints_busy\":%llu,\"idempotency_keys\":%llu,"
                        "\"full\":%s,\"groups\":%llu,\"requests\":%llu,\"replayed\":%llu,"
                        "\"sqlite_warning\":%s}",
                        (unsigned long long)storage.revision, (unsigned long long)storage.epoch,
                        (unsigned long long)storage.wal_bytes, (unsigned long long)storage.database_bytes,
                        (unsigned long long)storage.commits, (unsigned long long)storage.checkpoints,
                        (unsigned long long)storage.checkpoints_busy, (unsigned long long)storage.idempotency_keys,
                        storage.full ? "true" : "false", (unsigned long long)writer.groups,
                        (unsigned long long)writer.requests, (unsigned long long)writer.replayed,
                        storage_sqlite_warning() ? quote(arena, storage_sqlite_warning()) : "null");
}

/* The service's own answer; "null" when there is none. */
static const char *service_json(struct stigstore *store, struct result_box *box)
{
    const struct request request = {.deadline_ns = clock_deadline_ns(store->timeout_ms)};

    if (!store->remote)
        return "null";
    op_run(store, store->remote, &request, CONTROL_STATUS, store->timeout_ms, box);
    return box->open.status == STATUS_OK && box->open.message[0] == '{' ? box->open.message : "null";
}

static char *describe(struct stigstore *store, struct arena *arena, const char *service)
{
    struct span lane;
    const char *engine;
    char *json = NULL;

    pthread_mutex_lock(&store->hub->mutex);
    lane = service_lane_status(store, arena);
    engine = engine_json(store, arena);
    if (asprintf(&json,
                 "{\"mode\":\"%s\",\"path\":%s,\"endpoint\":%s,\"in_flight\":%llu,\"store\":%s,\"lane\":%.*s,"
                 "\"service\":%s}",
                 mode_of(store), quote(arena, store->path ? store->path : ""),
                 quote(arena, store->remote && store->url ? store->url : ""), (unsigned long long)store->in_flight,
                 engine, lane.data ? (int)lane.size : 2, lane.data ? (const char *)lane.data : "{}", service) < 0)
        json = NULL;
    pthread_mutex_unlock(&store->hub->mutex);
    return json;
}

int stigstore_status_json(stigstore *store, char **json)
{
    struct result_box *box;
    struct arena *arena;
    struct entry entry;
    const char *service;
    int status;

    if (!json)
        return STATUS_INVALID_ARGUMENT;
    *json = NULL;
    status = store_enter(store, &entry);
    if (status != STATUS_OK)
        return status;
    box = result_new();
    arena = arena_new(0);
    if (box && arena) {
        service = service_json(store, box);
        *json = describe(store, arena, service);
        status = box->open.status;
    }
    if (!*json)
        status = STATUS_NO_MEMORY;
    arena_free(&arena);
    result_free(&box);
    store_leave(store, &entry);
    return status;
}

/* ---- backup ---- */

static int run_backup(stigstore *store, const char *path, struct result_box *box)
{
    const struct request request = {.data = span_text(path), .deadline_ns = INT64_MAX};

    if (!path || path[0] != '/')
        return result_set(box, STATUS_INVALID_ARGUMENT, "a backup goes to an absolute path");
    if (request.data.size >= LIMIT_PATH_BYTES)
        return result_set(box, STATUS_INVALID_ARGUMENT, "the path of the backup is too long");
    if (!store->writes)
        return result_set(box, STATUS_READ_ONLY, "the store was opened for reading");
    return op_run(store, store->writes, &request, CONTROL_BACKUP, STIGSTORE_NO_DEADLINE, box);
}

int stigstore_backup(stigstore *store, const char *path, stigstore_result **result)
{
    struct result_box *box = result_begin(result);
    struct entry entry;
    int status;

    if (!box)
        return STATUS_NO_MEMORY;
    status = store_enter(store, &entry);
    if (status == STATUS_OK) {
        run_backup(store, path, box);
        store_leave(store, &entry);
    } else {
        result_set(box, status, NULL);
    }
    return result_end(box, result);
}
