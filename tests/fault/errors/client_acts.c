/*
 * client_acts.c - the acts that change what the store holds, open it and close it.
 */
#include "tests/fault/errors/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the handle ---- */

static void log_line(void *context, int level, const char *line)
{
    (void)context;
    fprintf(stderr, "%d %s\n", level, line);
}

static int open_with(struct scene *scene, uint32_t flags)
{
    const stigstore_options options = {.struct_size = sizeof options,
                                       .flags = flags,
                                       .open_timeout_ms = errors.is_remote ? 10000 : 100,
                                       .log = getenv("STIGSTORE_FAULT_LOG") ? log_line : NULL};
    int status;

    scene->is_for_reading = flags & STIGSTORE_OPEN_READ_ONLY;

    INSIDE(status = stigstore_open(errors.path, &options, &scene->store, &scene->result));
    if ((status == STIGSTORE_OK) != (scene->store != NULL))
        errors_wrong("opening says %s, and there is %s handle", stigstore_status_name(status),
                     scene->store ? "a" : "no");
    return scene_judge_read(scene, status);
}

int act_open(struct scene *scene)
{
    return open_with(scene, 0);
}

int act_open_for_reading(struct scene *scene)
{
    return open_with(scene, STIGSTORE_OPEN_READ_ONLY);
}

int act_close(struct scene *scene)
{
    int status;

    INSIDE(status = stigstore_close(scene->store));
    if (status != STIGSTORE_OK)
        errors_wrong("closing says %s", stigstore_status_name(status));
    INSIDE(stigstore_free(&scene->store));
    return status;
}

/* ---- saves ---- */

static int call(struct scene *scene, const stigstore_request *request, const struct table *after)
{
    int status;

    INSIDE(status = stigstore_call(scene->store, request, &scene->result));
    return scene_judge(scene, status, after);
}

static int save(struct scene *scene, unsigned kind, unsigned id, unsigned number)
{
    struct table after = scene->table;
    int status;

    after.rows[kind][id].data = number;
    INSIDE(status = stigstore_save_resource(scene->store, table_kind(kind), table_id(id), table_data(number),
                                            &scene->result));
    return scene_judge(scene, status, &after);
}

int act_save(struct scene *scene)
{
    return save(scene, 0, 0, 1);
}

int act_save_large(struct scene *scene)
{
    return save(scene, 0, 1, 10);
}

int act_save_over(struct scene *scene)
{
    return save(scene, 0, 0, scene->table.rows[0][0].data % 9 + 1);
}

int act_save_other(struct scene *scene)
{
    return save(scene, 1, 5, 70);
}

/* What was applied without an answer does not come again. */
int act_save_if_absent(struct scene *scene)
{
    struct table after = scene->table;
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .condition = STIGSTORE_IF_ABSENT, .kind = table_kind(0),
                                 .id = table_id(2), .data = table_data(3)};
    int status;

    if (after.rows[0][2].data)
        return STIGSTORE_OK;
    after.rows[0][2].data = 3;
    status = call(scene, &request, &after);
    return status;
}

int act_save_if_revision(struct scene *scene)
{
    struct table after = scene->table;
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .condition = STIGSTORE_IF_REVISION, .kind = table_kind(0),
                                 .id = table_id(0), .data = table_data(after.rows[0][0].data + 1)};
    int status;

    INSIDE(status = stigstore_get_resource(scene->store, request.kind, request.id, &scene->result));
    if (scene_judge_read(scene, status) != STIGSTORE_OK)
        return status;
    request.if_revision = scene->result->items[0].revision;
    after.rows[0][0].data++;
    return call(scene, &request, &after);
}

int act_save_keyed(struct scene *scene)
{
    struct table after = scene->table;
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = table_kind(1), .id = table_id(3),
                                 .data = table_data(20), .idempotency_key = stigstore_text("key-1")};

    after.rows[1][3].data = 20;
    return call(scene, &request, &after);
}

int act_look_up_key(struct scene *scene)
{
    stigstore_request request = {STIGSTORE_REQUEST(KEY_LOOKUP), .idempotency_key = stigstore_text("key-1")};
    int status;

    INSIDE(status = stigstore_call(scene->store, &request, &scene->result));
    return scene_judge_read(scene, status);
}

/* ---- audit records ---- */

static void add_record(struct table *table, unsigned kind, unsigned id, unsigned number)
{
    struct table_row *row = &table->rows[kind][id];

    row->records[row->record_count++] = number;
}

static int save_record(struct scene *scene, unsigned number, const char *hash)
{
    const struct table_row *row = &scene->table.rows[0][0];
    struct table after = scene->table;
    int status;

    for (unsigned i = 0; i < row->record_count; i++)
        if (row->records[i] == number)
            return STIGSTORE_OK;
    add_record(&after, 0, 0, number);
    INSIDE(status = stigstore_save_audit(scene->store, table_kind(0), table_id(0), table_data(number),
                                         stigstore_text(hash), stigstore_text("stable"), &scene->result));
    return scene_judge(scene, status, &after);
}

int act_save_records(struct scene *scene)
{
    int status = save_record(scene, 31, "hash-31");

    return status == STIGSTORE_OK ? save_record(scene, 40, "hash-40") : status;
}

int act_delete_records(struct scene *scene)
{
    struct table after = scene->table;
    int status;

    after.rows[0][0] = (struct table_row){.data = after.rows[0][0].data};
    INSIDE(status = stigstore_delete_audit_by_resource_id(scene->store, table_kind(0), table_id(0), &scene->result));
    return scene_judge(scene, status, &after);
}

/* ---- several at once ---- */

int act_transact(struct scene *scene)
{
    struct table after = scene->table;
    stigstore_request parts[] = {
        {STIGSTORE_REQUEST(SAVE), .kind = table_kind(0), .id = table_id(3), .data = table_data(4)},
        {STIGSTORE_REQUEST(CHECK), .condition = STIGSTORE_IF_EXISTS, .kind = table_kind(0), .id = table_id(0)},
        {STIGSTORE_REQUEST(AUDIT_SAVE), .kind = table_kind(0), .id = table_id(3), .data = table_data(5),
         .hash = stigstore_text("h")},
        {STIGSTORE_REQUEST(DELETE), .kind = table_kind(0), .id = table_id(1)},
        {STIGSTORE_REQUEST(SAVE), .kind = table_kind(1), .id = table_id(0), .data = table_data(50)},
    };
    stigstore_request request = {STIGSTORE_REQUEST(TRANSACT), .parts = parts,
                                 .part_count = sizeof parts / sizeof *parts};

    if (after.rows[0][3].data)
        return STIGSTORE_OK;
    after.rows[0][3].data = 4;
    add_record(&after, 0, 3, 5);
    after.rows[0][1] = (struct table_row){.data = 0};
    after.rows[1][0].data = 50;
    return call(scene, &request, &after);
}

static stigstore_decision add_one(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    unsigned number = current ? table_number(current->data) : 0;

    (void)context;
    *data = table_data(number + 1);
    return STIGSTORE_UPDATE_SAVE;
}

static int update(struct scene *scene, const char *key)
{
    struct table after = scene->table;
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = table_kind(0), .id = table_id(4)};
    int status;

    request.idempotency_key = stigstore_text(key);
    after.rows[0][4].data++;
    INSIDE(status = stigstore_update(scene->store, &request, add_one, NULL, &scene->result));
    if (status == STIGSTORE_OK && (scene->result->flags & STIGSTORE_REPLAYED))
        after = scene->table;
    return scene_judge(scene, status, &after);
}

int act_update(struct scene *scene)
{
    return update(scene, NULL);
}

int act_update_keyed(struct scene *scene)
{
    return update(scene, "update-1");
}

/* ---- deletes ---- */

int act_delete(struct scene *scene)
{
    struct table after = scene->table;
    int status;

    after.rows[0][1] = (struct table_row){.data = 0};
    INSIDE(status = stigstore_delete_resource(scene->store, table_kind(0), table_id(1), &scene->result));
    return scene_judge(scene, status, &after);
}

int act_delete_prefix(struct scene *scene)
{
    struct table after = scene->table;
    int status;

    for (unsigned id = 0; id < 3; id++)
        after.rows[0][id] = (struct table_row){.data = 0};
    INSIDE(status = stigstore_delete_resources_by_id_prefix(scene->store, table_kind(0), stigstore_text("a/"),
                                                            &scene->result));
    return scene_judge(scene, status, &after);
}

int act_delete_kind(struct scene *scene)
{
    struct table after = scene->table;
    int status;

    memset(after.rows[0], 0, sizeof after.rows[0]);
    INSIDE(status = stigstore_delete_resources_by_kind(scene->store, table_kind(0), &scene->result));
    return scene_judge(scene, status, &after);
}

int act_delete_other(struct scene *scene)
{
    struct table after = scene->table;
    int status;

    after.rows[1][5] = (struct table_row){.data = 0};
    INSIDE(status = stigstore_delete_resource(scene->store, table_kind(1), table_id(5), &scene->result));
    return scene_judge(scene, status, &after);
}

/* ---- copies ---- */

/* What is reported done is whole; what is not has left no name. */
int act_backup(struct scene *scene)
{
    char path[200];
    int status;

    snprintf(path, sizeof path, "%s.copy", errors.path);
    INSIDE(status = stigstore_backup(scene->store, path, &scene->result));
    if (status == STIGSTORE_OK)
        errors_verify(path);
    else if (access(path, F_OK) == 0)
        errors_wrong("a backup that ended with %s is left", stigstore_status_name(status));
    return scene_judge_read(scene, status);
}
