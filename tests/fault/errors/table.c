/*
 * table.c - see errors_table.h.
 */
#include "tests/fault/errors/table.h"

#include <stdio.h>
#include <string.h>

enum { BUFFERS = 4, SMALL = 40 };

stigstore_bytes table_kind(unsigned kind)
{
    static const char *const names[TABLE_KINDS] = {"k", "l"};

    return stigstore_text(names[kind]);
}

stigstore_bytes table_id(unsigned id)
{
    static const char *const names[TABLE_IDS] = {"a/1", "a/2", "a/3", "b/1", "b/2", "b/3"};

    return stigstore_text(names[id]);
}

static void fill(unsigned char *bytes, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number + i * 7 + (i >> 8));
    memcpy(bytes, &number, sizeof number);
}

stigstore_bytes table_data(unsigned number)
{
    static unsigned char buffers[BUFFERS][TABLE_LARGE];
    static unsigned next;
    unsigned char *bytes = buffers[next++ % BUFFERS];
    size_t size = number % 10 ? SMALL : TABLE_LARGE;

    fill(bytes, size, number);
    return (stigstore_bytes){bytes, size};
}

unsigned table_number(stigstore_bytes data)
{
    unsigned number;
    stigstore_bytes expected;

    if (data.size < sizeof number)
        return 0;
    memcpy(&number, data.data, sizeof number);
    expected = table_data(number);
    return expected.size == data.size && memcmp(expected.data, data.data, data.size) == 0 ? number : 0;
}

static bool is_text(stigstore_bytes a, stigstore_bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static struct table_row *row_of(struct table *table, const stigstore_item *item)
{
    for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
        for (unsigned id = 0; id < TABLE_IDS; id++)
            if (is_text(item->kind, table_kind(kind)) && is_text(item->id, table_id(id)))
                return &table->rows[kind][id];
    return NULL;
}

bool table_take(struct table *table, const stigstore_item *item, bool is_record)
{
    struct table_row *row = row_of(table, item);
    unsigned number = table_number(item->data);

    if (!row || !number)
        return false;
    if (!is_record) {
        if (row->data)
            return false;
        row->data = number;
        return true;
    }
    if (row->record_count == TABLE_RECORDS)
        return false;
    row->records[row->record_count++] = number;
    return true;
}

static int read_list(struct table *table, stigstore *store, unsigned kind, bool are_records)
{
    stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = table_kind(kind)};
    stigstore_result *result = NULL;
    int status;

    if (are_records)
        request.operation = STIGSTORE_AUDIT_SCAN;
    status = stigstore_call(store, &request, &result);
    for (size_t i = 0; status == STIGSTORE_OK && i < result->item_count; i++)
        if (!table_take(table, &result->items[i], are_records))
            status = STIGSTORE_CORRUPT;
    stigstore_result_free(&result);
    return status;
}

int table_read(struct table *table, stigstore *store)
{
    int status = STIGSTORE_OK;

    *table = (struct table){.rows = {{{.data = 0}}}};
    for (unsigned kind = 0; status == STIGSTORE_OK && kind < TABLE_KINDS; kind++) {
        status = read_list(table, store, kind, false);
        if (status == STIGSTORE_OK)
            status = read_list(table, store, kind, true);
    }
    return status;
}

bool table_equal(const struct table *a, const struct table *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

const char *table_difference(const struct table *expected, const struct table *found)
{
    static char line[160];

    for (unsigned kind = 0; kind < TABLE_KINDS; kind++)
        for (unsigned id = 0; id < TABLE_IDS; id++) {
            const struct table_row *a = &expected->rows[kind][id], *b = &found->rows[kind][id];
            if (memcmp(a, b, sizeof *a) == 0)
                continue;
            snprintf(line, sizeof line, "%s %s: %u with %u records expected, %u with %u found",
                     (const char *)table_kind(kind).data, (const char *)table_id(id).data, a->data, a->record_count,
                     b->data, b->record_count);
            return line;
        }
    return "nothing";
}
