/*
 * client_reads.c - the acts that read, by calls, cursors and queues: all of what there is, or a status.
 */
#include "tests/fault/errors/client.h"

#include <stdlib.h>
#include <string.h>

enum { WAITS_MOST = 40 };

/* ---- what must come ---- */

static size_t count_resources(const struct table *table, unsigned kind)
{
    size_t count = 0;

    for (unsigned id = 0; id < TABLE_IDS; id++)
        count += table->rows[kind][id].data != 0;
    return count;
}

static void expect_count(const struct scene *scene, const char *what, size_t count)
{
    if (scene->result->item_count != count)
        errors_wrong("%s: %zu items, and there are %zu", what, scene->result->item_count, count);
}

static void expect_data(const stigstore_item *item, unsigned number)
{
    if (table_number(item->data) != number)
        errors_wrong("other bytes than were saved");
}

/* The items are all resources of kind 0, or all records of it. */
static void expect_all(const struct scene *scene, const stigstore_item *items, size_t count, bool are_records)
{
    struct table found = {.rows = {{{.data = 0}}}};

    for (size_t i = 0; i < count; i++)
        if (!table_take(&found, &items[i], are_records))
            errors_wrong("an item that nobody saved");
    for (unsigned id = 0; id < TABLE_IDS; id++) {
        const struct table_row *a = &scene->table.rows[0][id], *b = &found.rows[0][id];
        bool same = are_records
                        ? a->record_count == b->record_count && memcmp(a->records, b->records, sizeof a->records) == 0
                        : a->data == b->data;
        if (!same)
            errors_wrong("a list is said to be whole and is not: %s", table_difference(&scene->table, &found));
    }
}

/* ---- calls ---- */

static int read(struct scene *scene, const stigstore_request *request)
{
    int status;

    INSIDE(status = stigstore_call(scene->store, request, &scene->result));
    return scene_judge_read(scene, status);
}

static int get(struct scene *scene, unsigned id)
{
    unsigned number = scene->table.rows[0][id].data;
    int status;

    INSIDE(status = stigstore_get_resource(scene->store, table_kind(0), table_id(id), &scene->result));
    if (status == STIGSTORE_NOT_FOUND && !number)
        return STIGSTORE_OK;
    if (scene_judge_read(scene, status) == STIGSTORE_OK) {
        expect_count(scene, "get", number ? 1 : 0);
        expect_data(&scene->result->items[0], number);
    }
    return status;
}

int act_get(struct scene *scene)
{
    return get(scene, 0);
}

int act_get_large(struct scene *scene)
{
    return get(scene, 1);
}

int act_get_absent(struct scene *scene)
{
    return get(scene, 5);
}

int act_get_many(struct scene *scene)
{
    stigstore_request parts[3], request = {STIGSTORE_REQUEST(GET_MANY), .parts = parts, .part_count = 3};
    static const unsigned ids[] = {0, 5, 1};
    int status;

    for (int i = 0; i < 3; i++)
        parts[i] = (stigstore_request){STIGSTORE_REQUEST(GET), .kind = table_kind(0), .id = table_id(ids[i])};
    status = read(scene, &request);
    if (status != STIGSTORE_OK)
        return status;
    expect_count(scene, "get_many", 3);
    for (int i = 0; i < 3; i++)
        if (scene->table.rows[0][ids[i]].data)
            expect_data(&scene->result->items[i], scene->table.rows[0][ids[i]].data);
        else if (scene->result->items[i].status != STIGSTORE_NOT_FOUND)
            errors_wrong("what is absent was found");
    return status;
}

int act_stat(struct scene *scene)
{
    stigstore_request request = {STIGSTORE_REQUEST(STAT), .kind = table_kind(0), .id = table_id(1)};
    int status = read(scene, &request);

    if (status == STIGSTORE_OK && scene->result->items[0].data_bytes != TABLE_LARGE)
        errors_wrong("stat: %llu bytes", (unsigned long long)scene->result->items[0].data_bytes);
    return status;
}

int act_count(struct scene *scene)
{
    stigstore_request request = {STIGSTORE_REQUEST(COUNT), .kind = table_kind(0)};
    int status = read(scene, &request);

    if (status == STIGSTORE_OK && scene->result->count != count_resources(&scene->table, 0))
        errors_wrong("count: %llu", (unsigned long long)scene->result->count);
    return status;
}

int act_list(struct scene *scene)
{
    int status;

    INSIDE(status = stigstore_list_resources(scene->store, table_kind(0), &scene->result));
    if (scene_judge_read(scene, status) == STIGSTORE_OK)
        expect_all(scene, scene->result->items, scene->result->item_count, false);
    return status;
}

int act_list_keys(struct scene *scene)
{
    stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = table_kind(0), .flags = STIGSTORE_KEYS_ONLY};
    int status = read(scene, &request);

    if (status == STIGSTORE_OK)
        expect_count(scene, "keys", count_resources(&scene->table, 0));
    return status;
}

int act_kinds(struct scene *scene)
{
    stigstore_request request = {STIGSTORE_REQUEST(KINDS)};
    int status = read(scene, &request);

    if (status == STIGSTORE_OK)
        expect_count(scene, "kinds", count_resources(&scene->table, 1) ? 2 : 1);
    return status;
}

int act_scan_records(struct scene *scene)
{
    stigstore_request request = {STIGSTORE_REQUEST(AUDIT_SCAN), .kind = table_kind(0)};
    int status = read(scene, &request);

    if (status == STIGSTORE_OK)
        expect_all(scene, scene->result->items, scene->result->item_count, true);
    return status;
}

int act_history(struct scene *scene)
{
    const struct table_row *row = &scene->table.rows[0][0];
    int status;

    INSIDE(status = stigstore_list_audit_history(scene->store, table_kind(0), table_id(0), &scene->result));
    if (scene_judge_read(scene, status) != STIGSTORE_OK)
        return status;
    expect_count(scene, "history", row->record_count);
    for (unsigned i = 0; i < row->record_count; i++)
        expect_data(&scene->result->items[i], row->records[row->record_count - 1 - i]);
    return status;
}

int act_by_hash(struct scene *scene)
{
    int status;

    INSIDE(status = stigstore_get_audit_by_hash(scene->store, table_kind(0), table_id(0), stigstore_text("hash-31"),
                                                &scene->result));
    if (scene_judge_read(scene, status) == STIGSTORE_OK)
        expect_data(&scene->result->items[0], 31);
    return status;
}

int act_by_tag(struct scene *scene)
{
    int status;

    INSIDE(status = stigstore_get_audit_by_tag(scene->store, table_kind(0), table_id(0), stigstore_text("stable"),
                                               &scene->result));
    if (scene_judge_read(scene, status) == STIGSTORE_OK)
        expect_data(&scene->result->items[0], 40);
    return status;
}

int act_status(struct scene *scene)
{
    char *json = NULL;
    int status;

    INSIDE(status = stigstore_status_json(scene->store, &json));
    if ((status == STIGSTORE_OK) != (json != NULL))
        errors_wrong("status: %s, and there is %s text", stigstore_status_name(status), json ? "a" : "no");
    stigstore_memory_free(json);
    return scene_judge_read(scene, status);
}

/* ---- cursors ---- */

int act_read_by_cursor(struct scene *scene)
{
    const stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = table_kind(0)};
    struct table found = {.rows = {{{.data = 0}}}};
    stigstore_cursor *cursor = NULL;
    const stigstore_item *item;
    int status;

    INSIDE(status = stigstore_cursor_open(scene->store, &request, &cursor, &scene->result));
    if ((status == STIGSTORE_OK) != (cursor != NULL))
        errors_wrong("a cursor: %s, and there is %s cursor", stigstore_status_name(status), cursor ? "a" : "no");
    while (status == STIGSTORE_OK) {
        INSIDE(status = stigstore_cursor_next(cursor, &item));
        if (status == STIGSTORE_OK && !table_take(&found, item, false))
            errors_wrong("an item that nobody saved");
    }
    INSIDE(stigstore_cursor_free(&cursor));
    if (status != STIGSTORE_END)
        return scene_judge_read(scene, status);
    for (unsigned id = 0; id < TABLE_IDS; id++)
        if (found.rows[0][id].data != scene->table.rows[0][id].data)
            errors_wrong("a cursor came to an end without all: %s", table_difference(&scene->table, &found));
    return STIGSTORE_OK;
}

/* ---- queues ---- */

int act_make_queue(struct scene *scene)
{
    int status;

    INSIDE(status = stigstore_queue_new(scene->store, &scene->queue));
    if ((status == STIGSTORE_OK) != (scene->queue != NULL))
        errors_wrong("a queue: %s, and there is %s queue", stigstore_status_name(status), scene->queue ? "a" : "no");
    return scene_judge_read(scene, status);
}

int act_free_queue(struct scene *scene)
{
    INSIDE(stigstore_queue_free(&scene->queue));
    return STIGSTORE_OK;
}

/* The next result, which must come; what waiting itself says meanwhile is as clear as all else. */
static stigstore_result *wait_for_result(struct scene *scene)
{
    for (int i = 0; i < WAITS_MOST; i++) {
        stigstore_result *result = NULL;
        size_t count = 0;
        int status;
        INSIDE(status = stigstore_queue_wait(scene->queue, &result, 1, 1000, &count));
        if (count == 1)
            return result;
        if (status != STIGSTORE_OK)
            errors_check_status(status, "waiting");
        if (errors.stays && i == WAITS_MOST / 2)
            errors_heal();
    }
    errors_wrong("a result does not come");
}

/* Takes over the result, for judging. */
static int take_result(struct scene *scene, uint64_t user)
{
    stigstore_result_free(&scene->result);
    scene->result = wait_for_result(scene);
    if (scene->result->user != user)
        errors_wrong("the result of %llu comes in the place of %llu", (unsigned long long)scene->result->user,
                     (unsigned long long)user);
    return scene->result->status;
}

static int submit(struct scene *scene, const stigstore_request *request, uint64_t user, uint64_t *ticket)
{
    int status;

    INSIDE(status = stigstore_submit(scene->queue, request, user, ticket));
    return status;
}

/* Two that go together in one group: both are taken, then both results are held against what there is. */
int act_submit_writes(struct scene *scene)
{
    static const unsigned numbers[] = {6, 60};
    struct table found;
    int statuses[2], status = STIGSTORE_OK;
    bool is_open[2] = {false, false};

    for (unsigned i = 0; i < 2; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = table_kind(0), .id = table_id(i),
                                     .data = table_data(numbers[i])};
        statuses[i] = submit(scene, &request, i + 1, NULL);
        if (statuses[i] != STIGSTORE_OK)
            errors_check_status(statuses[i], "submitting");
        is_open[i] = statuses[i] == STIGSTORE_OK;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (is_open[i])
            statuses[i] = take_result(scene, i + 1);
        if (statuses[i] == STIGSTORE_OK)
            scene->table.rows[0][i].data = numbers[i];
        else
            errors_check_status(statuses[i], scene_message(scene, statuses[i]));
        is_open[i] = is_open[i] && scene_may_be_applied(scene, statuses[i]);
        status = statuses[i] == STIGSTORE_OK ? status : statuses[i];
    }
    if (table_read(&found, scene->store) != STIGSTORE_OK)
        errors_wrong("what there is cannot be read");
    for (unsigned i = 0; i < 2; i++)
        if (is_open[i] && found.rows[0][i].data == numbers[i])
            scene->table.rows[0][i].data = numbers[i];
    if (!table_equal(&scene->table, &found))
        errors_wrong("after two writes: %s", table_difference(&scene->table, &found));
    return status;
}

int act_submit_reads(struct scene *scene)
{
    const stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = table_kind(0), .id = table_id(1)};
    int status = submit(scene, &request, 7, NULL);

    if (status != STIGSTORE_OK)
        return scene_judge_read(scene, status);
    status = take_result(scene, 7);
    if (scene_judge_read(scene, status) == STIGSTORE_OK)
        expect_data(&scene->result->items[0], scene->table.rows[0][1].data);
    return status;
}

int act_submit_list(struct scene *scene)
{
    const stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = table_kind(0)};
    struct table found = {.rows = {{{.data = 0}}}};
    uint64_t ticket;
    int status = submit(scene, &request, 8, &ticket);
    bool more = status == STIGSTORE_OK;

    if (!more)
        return scene_judge_read(scene, status);
    while (more) {
        status = take_result(scene, 8);
        for (size_t i = 0; i < scene->result->item_count; i++)
            if (!table_take(&found, &scene->result->items[i], false))
                errors_wrong("an item that nobody saved");
        more = scene->result->flags & STIGSTORE_MORE;
        if (more) {
            int asked;
            INSIDE(asked = stigstore_queue_more(scene->queue, ticket));
            if (asked != STIGSTORE_OK)
                return scene_judge_read(scene, asked);
        }
    }
    if (scene_judge_read(scene, status) != STIGSTORE_OK)
        return status;
    for (unsigned id = 0; id < TABLE_IDS; id++)
        if (found.rows[0][id].data != scene->table.rows[0][id].data)
            errors_wrong("a list in a queue came to an end without all: %s", table_difference(&scene->table, &found));
    return status;
}

/* It is cancelled, or was faster. */
int act_cancel(struct scene *scene)
{
    struct table after = scene->table;
    const stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = table_kind(0), .id = table_id(4),
                                       .data = table_data(9)};
    uint64_t ticket;
    int status = submit(scene, &request, 9, &ticket), cancelled;

    if (status != STIGSTORE_OK)
        return scene_judge_read(scene, status);
    INSIDE(cancelled = stigstore_cancel(scene->queue, ticket));
    if (cancelled != STIGSTORE_OK)
        errors_check_status(cancelled, "cancelling");
    status = take_result(scene, 9);
    after.rows[0][4].data = 9;
    if (status == STIGSTORE_CANCELLED && (scene->result->flags & STIGSTORE_NOT_APPLIED))
        return STIGSTORE_OK;
    return scene_judge(scene, status, &after);
}

int act_flush(struct scene *scene)
{
    struct table after = scene->table;
    const stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = table_kind(0), .id = table_id(2),
                                       .data = table_data(11)};
    int status = submit(scene, &request, 10, NULL), flushed;

    if (status != STIGSTORE_OK)
        return scene_judge_read(scene, status);
    INSIDE(flushed = stigstore_flush(scene->store, 0));
    if (flushed != STIGSTORE_OK)
        errors_check_status(flushed, "flushing");
    after.rows[0][2].data = 11;
    status = take_result(scene, 10);
    return scene_judge(scene, status, &after);
}
