/*
 * body.c - batches of requests and replies as protobuf.
 *
 * Written by hand over field.h instead of through generated code: a batch is decoded with one copy of its bytes and
 * one array a level, counted before it is reserved.  The unit tests hold every field against protobuf-c, both ways.
 */
#include "proto/body.h"
#include "proto/clock.h"
#include "proto/field.h"
#include "proto/limits.h"

#include <assert.h>

/* Field numbers of stigstore.proto. */
enum {
    BATCH_SESSION = 1,
    BATCH_REQUESTS = 2,
    REPLIES_REPLY = 1,
    REQUEST_DEADLINE = 17,
    REQUEST_PARTS = 18,
    REPLY_ITEMS = 9
};

enum value_type { VALUE_U32, VALUE_U64, VALUE_I32, VALUE_BYTES };

struct column {
    uint8_t number;
    uint8_t type;
    uint16_t offset;
};

#define COLUMN(of, number, type, member)                  \
    {                                                     \
        number, VALUE_##type, offsetof(struct of, member) \
    }

static const struct column request_columns[] = {
    COLUMN(request, 1, U32, operation),
    COLUMN(request, 2, U32, condition),
    COLUMN(request, 3, U32, flags),
    COLUMN(request, 4, U32, limit),
    COLUMN(request, 5, BYTES, kind),
    COLUMN(request, 6, BYTES, id),
    COLUMN(request, 7, BYTES, data),
    COLUMN(request, 8, BYTES, hash),
    COLUMN(request, 9, BYTES, tag),
    COLUMN(request, 10, BYTES, after),
    COLUMN(request, 11, U64, if_revision),
    COLUMN(request, 12, BYTES, idempotency_key),
    COLUMN(request, 13, BYTES, idempotency_fingerprint),
    COLUMN(request, 14, U64, idempotency_retention_s),
    COLUMN(request, 15, U64, created_ms),
    COLUMN(request, 16, U64, updated_ms),
};
static const struct column item_columns[] = {
    COLUMN(item, 1, BYTES, kind),     COLUMN(item, 2, BYTES, id),       COLUMN(item, 3, BYTES, data),
    COLUMN(item, 4, BYTES, hash),     COLUMN(item, 5, BYTES, tag),      COLUMN(item, 6, U64, revision),
    COLUMN(item, 7, U64, created_ms), COLUMN(item, 8, U64, updated_ms), COLUMN(item, 9, U64, data_bytes),
    COLUMN(item, 10, I32, status),
};
static const struct column reply_columns[] = {
    COLUMN(reply, 1, I32, status),      COLUMN(reply, 2, U32, flags),     COLUMN(reply, 3, U64, revision),
    COLUMN(reply, 4, U64, count),       COLUMN(reply, 5, U64, number),    COLUMN(reply, 6, U32, retry_after_ms),
    COLUMN(reply, 7, U32, failed_part), COLUMN(reply, 8, BYTES, message),
};

struct table {
    const struct column *columns;
    size_t count;
};
#define TABLE(columns)                                 \
    {                                                  \
        (columns), sizeof(columns) / sizeof *(columns) \
    }
static const struct table request_table = TABLE(request_columns);
static const struct table item_table = TABLE(item_columns);
static const struct table reply_table = TABLE(reply_columns);

/* ---- encoding ---- */

static uint64_t load_number(const struct column *column, const void *record)
{
    const char *at = (const char *)record + column->offset;
    uint32_t narrow;
    int32_t negative;
    uint64_t wide;

    switch (column->type) {
    case VALUE_U64:
        memcpy(&wide, at, sizeof wide);
        return wide;
    case VALUE_I32:
        memcpy(&negative, at, sizeof negative);
        return (uint64_t)(int64_t)negative;
    default:
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
}

static struct span load_bytes(const struct column *column, const void *record)
{
    struct span bytes;
    memcpy(&bytes, (const char *)record + column->offset, sizeof bytes);
    return bytes;
}

/* Unrolled over a table that is known, so that each column's type and place are too: lists size and write ten columns a
 * row. */
#define UNROLLED    static inline __attribute__((always_inline))
#define EACH_COLUMN _Pragma("GCC unroll 16")

UNROLLED size_t columns_size(const struct table *table, const void *record)
{
    size_t size = 0;

    EACH_COLUMN
    for (size_t i = 0; i < table->count; i++) {
        const struct column *column = &table->columns[i];
        size += column->type == VALUE_BYTES ? field_bytes_size(column->number, load_bytes(column, record))
                                            : field_number_size(column->number, load_number(column, record));
    }
    return size;
}

UNROLLED uint8_t *columns_put(uint8_t *out, const struct table *table, const void *record)
{
    EACH_COLUMN
    for (size_t i = 0; i < table->count; i++) {
        const struct column *column = &table->columns[i];
        out = column->type == VALUE_BYTES ? field_bytes_put(out, column->number, load_bytes(column, record))
                                          : field_number_put(out, column->number, load_number(column, record));
    }
    return out;
}

/* Milliseconds from `base_ns`, rounded up; parts have no deadline of their own (0). */
static int64_t deadline_delta_ms(int64_t deadline_ns, int64_t base_ns)
{
    int64_t delta;

    if (__builtin_sub_overflow(deadline_ns, base_ns, &delta))
        delta = deadline_ns > base_ns ? INT64_MAX : INT64_MIN;
    return delta / NS_PER_MS + (delta > 0 && delta % NS_PER_MS ? 1 : 0);
}

static size_t item_size(const struct item *item)
{
    return columns_size(&item_table, item);
}

static size_t part_size(const struct request *part)
{
    return columns_size(&request_table, part);
}

static uint8_t *part_put(uint8_t *out, const struct request *part)
{
    return columns_put(out, &request_table, part);
}

static size_t request_size(const struct request *request, int64_t base_ns)
{
    uint64_t delta = zigzag(deadline_delta_ms(request->deadline_ns, base_ns));
    size_t size = part_size(request) + field_number_size(REQUEST_DEADLINE, delta);

    for (size_t i = 0; i < request->part_count; i++)
        size += field_message_size(REQUEST_PARTS, part_size(&request->parts[i]));
    return size;
}

static uint8_t *request_put(uint8_t *out, const struct request *request, int64_t base_ns)
{
    out = part_put(out, request);
    out = field_number_put(out, REQUEST_DEADLINE, zigzag(deadline_delta_ms(request->deadline_ns, base_ns)));
    for (size_t i = 0; i < request->part_count; i++) {
        out = field_message_put(out, REQUEST_PARTS, part_size(&request->parts[i]));
        out = part_put(out, &request->parts[i]);
    }
    return out;
}

static size_t session_size(const struct session_header *session)
{
    return field_message_size(1, SESSION_ID_BYTES) + field_message_size(2, INCARNATION_BYTES) +
           field_number_size(3, session->counter) + field_number_size(4, session->floor);
}

static uint8_t *session_put(uint8_t *out, const struct session_header *session)
{
    out = field_bytes_put(out, 1, (struct span){session->id, SESSION_ID_BYTES});
    out = field_bytes_put(out, 2, (struct span){session->incarnation, INCARNATION_BYTES});
    out = field_number_put(out, 3, session->counter);
    return field_number_put(out, 4, session->floor);
}

size_t body_requests_size(const struct session_header *session, const struct request *requests, size_t count,
                          int64_t base_deadline_ns)
{
    size_t size = session ? field_message_size(BATCH_SESSION, session_size(session)) : 0;

    for (size_t i = 0; i < count; i++)
        size += field_message_size(BATCH_REQUESTS, request_size(&requests[i], base_deadline_ns));
    return size;
}

void body_encode_requests(const struct session_header *session, const struct request *requests, size_t count,
                          int64_t base_deadline_ns, void *out)
{
    uint8_t *at = out;

    if (session)
        at = session_put(field_message_put(at, BATCH_SESSION, session_size(session)), session);
    for (size_t i = 0; i < count; i++) {
        at = field_message_put(at, BATCH_REQUESTS, request_size(&requests[i], base_deadline_ns));
        at = request_put(at, &requests[i], base_deadline_ns);
    }
}

static size_t reply_size(const struct reply *reply)
{
    size_t size = columns_size(&reply_table, reply);

    for (size_t i = 0; i < reply->item_count; i++)
        size += field_message_size(REPLY_ITEMS, item_size(&reply->items[i]));
    return size;
}

size_t body_replies_size(const struct reply *replies, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += field_message_size(REPLIES_REPLY, reply_size(&replies[i]));
    return size;
}

void body_encode_replies(const struct reply *replies, size_t count, void *out)
{
    uint8_t *at = out;

    for (size_t i = 0; i < count; i++) {
        const struct reply *reply = &replies[i];
        at = field_message_put(at, REPLIES_REPLY, reply_size(reply));
        at = columns_put(at, &reply_table, reply);
        for (size_t k = 0; k < reply->item_count; k++) {
            at = field_message_put(at, REPLY_ITEMS, item_size(&reply->items[k]));
            at = columns_put(at, &item_table, &reply->items[k]);
        }
    }
}

/* ---- decoding ---- */

static const struct column *find_column(const struct table *table, uint32_t number)
{
    /* Columns are numbered 1, 2, ... without a gap. */
    return number >= 1 && number <= table->count ? &table->columns[number - 1] : NULL;
}

/* False when the field comes in a form that its type does not have. */
static bool store_value(const struct column *column, const struct field *field, void *record)
{
    char *at = (char *)record + column->offset;
    uint32_t narrow = (uint32_t)field->value;

    if (field->wire != (column->type == VALUE_BYTES ? FIELD_LENGTH : FIELD_VARINT))
        return false;
    if (column->type == VALUE_BYTES)
        memcpy(at, &field->bytes, sizeof field->bytes);
    else if (column->type == VALUE_U64)
        memcpy(at, &field->value, sizeof field->value);
    else
        memcpy(at, &narrow, sizeof narrow);
    return true;
}

/*
 * Decodes one message into `record`.  Fields of number `nested` are messages of their own: only counted here.  What
 * the table does not know is skipped, as protobuf demands, save that `*delta` takes REQUEST_DEADLINE if it is wanted.
 */
static bool decode_columns(struct span message, const struct table *table, void *record, uint32_t nested,
                           size_t *nested_count, int64_t *delta)
{
    struct field_walk walk = field_walk_start(message);
    struct field field;
    enum field_step step;

    while ((step = field_next(&walk, &field)) == FIELD_FOUND) {
        const struct column *column = find_column(table, field.number);
        if (column && !store_value(column, &field, record))
            return false;
        if (delta && field.number == REQUEST_DEADLINE && field.wire == FIELD_VARINT)
            *delta = unzigzag(field.value);
        if (nested && field.number == nested) {
            if (field.wire != FIELD_LENGTH)
                return false;
            ++*nested_count;
        }
    }
    return step == FIELD_END;
}

/* The next field of number `number` in a message that was already walked whole once. */
static bool next_nested(struct field_walk *walk, uint32_t number, struct span *message)
{
    struct field field;

    while (field_next(walk, &field) == FIELD_FOUND) {
        if (field.number == number) {
            *message = field.bytes;
            return true;
        }
    }
    return false;
}

/* How many messages of number `number` stand at the top; false when the bytes are not protobuf. */
static bool count_top(struct span batch, uint32_t number, size_t *count)
{
    static const struct table nothing = {NULL, 0};

    *count = 0;
    return decode_columns(batch, &nothing, NULL, number, count, NULL);
}

static int64_t deadline_from_delta(int64_t base_ns, int64_t delta_ms, int64_t most_ns)
{
    int64_t delta, deadline;

    if (__builtin_mul_overflow(delta_ms, NS_PER_MS, &delta) || __builtin_add_overflow(base_ns, delta, &deadline))
        deadline = delta_ms > 0 ? INT64_MAX : INT64_MIN;
    return deadline < most_ns ? deadline : most_ns;
}

static int decode_parts(struct span message, struct request *request, size_t count, struct arena *arena)
{
    struct field_walk walk = field_walk_start(message);
    struct request *parts = arena_calloc(arena, count, sizeof *parts);
    struct span part;

    if (!parts)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; next_nested(&walk, REQUEST_PARTS, &part); i++) {
        size_t deeper = 0;
        if (!decode_columns(part, &request_table, &parts[i], REQUEST_PARTS, &deeper, NULL) || deeper)
            return STATUS_INVALID_ARGUMENT;
        parts[i].deadline_ns = request->deadline_ns;
    }
    request->parts = parts;
    request->part_count = count;
    return STATUS_OK;
}

struct deadline_frame {
    int64_t base_ns;
    int64_t most_ns;
};

static int decode_request(struct span message, struct deadline_frame frame, struct request *request, size_t *parts_left,
                          struct arena *arena)
{
    size_t part_count = 0;
    int64_t delta_ms = 0;

    if (!decode_columns(message, &request_table, request, REQUEST_PARTS, &part_count, &delta_ms))
        return STATUS_INVALID_ARGUMENT;
    request->deadline_ns = deadline_from_delta(frame.base_ns, delta_ms, frame.most_ns);
    if (part_count > LIMIT_PARTS || part_count > *parts_left)
        return STATUS_INVALID_ARGUMENT;
    *parts_left -= part_count;
    return part_count ? decode_parts(message, request, part_count, arena) : STATUS_OK;
}

static int decode_session(struct span message, struct session_header *session)
{
    struct field_walk walk = field_walk_start(message);
    struct field field;
    enum field_step step;
    struct span id = {0}, incarnation = {0};

    while ((step = field_next(&walk, &field)) == FIELD_FOUND) {
        if (field.number <= 4 && field.wire != (field.number <= 2 ? FIELD_LENGTH : FIELD_VARINT))
            return STATUS_INVALID_ARGUMENT;
        if (field.number == 1)
            id = field.bytes;
        else if (field.number == 2)
            incarnation = field.bytes;
        else if (field.number == 3)
            session->counter = field.value;
        else if (field.number == 4)
            session->floor = field.value;
    }
    if (step != FIELD_END || id.size != SESSION_ID_BYTES || incarnation.size != INCARNATION_BYTES)
        return STATUS_INVALID_ARGUMENT;
    memcpy(session->id, id.data, SESSION_ID_BYTES);
    memcpy(session->incarnation, incarnation.data, INCARNATION_BYTES);
    return STATUS_OK;
}

static int decode_sessions(struct span batch, struct request_batch *out)
{
    struct field_walk walk = field_walk_start(batch);
    struct span message;
    size_t count;

    if (!count_top(batch, BATCH_SESSION, &count) || count > 1)
        return STATUS_INVALID_ARGUMENT;
    if (!next_nested(&walk, BATCH_SESSION, &message))
        return STATUS_OK;
    out->has_session = true;
    return decode_session(message, &out->session);
}

/* The bytes themselves move into the arena, so that fields are spans of one copy. */
static bool copy_batch(const void *bytes, size_t size, struct arena *arena, struct span *batch)
{
    *batch = arena_copy(arena, (struct span){bytes, size});
    return batch->data != NULL;
}

int body_decode_requests(const void *bytes, size_t size, int64_t base_deadline_ns, struct arena *arena,
                         struct request_batch *out)
{
    struct deadline_frame frame = {base_deadline_ns, clock_boot_ns() + LIMIT_DEADLINE_S * NS_PER_S};
    struct span batch, message;
    struct request *requests;
    struct field_walk walk;
    size_t parts_left = LIMIT_BATCH_PARTS;
    int status;

    *out = (struct request_batch){0};
    if (!count_top((struct span){bytes, size}, BATCH_REQUESTS, &out->count))
        return STATUS_INVALID_ARGUMENT;
    if (out->count == 0 || out->count > LIMIT_BATCH_REQUESTS)
        return STATUS_INVALID_ARGUMENT;
    if (!copy_batch(bytes, size, arena, &batch))
        return STATUS_NO_MEMORY;
    status = decode_sessions(batch, out);
    if (status != STATUS_OK)
        return status;
    requests = arena_calloc(arena, out->count, sizeof *requests);
    if (!requests)
        return STATUS_NO_MEMORY;
    walk = field_walk_start(batch);
    for (size_t i = 0; status == STATUS_OK && next_nested(&walk, BATCH_REQUESTS, &message); i++)
        status = decode_request(message, frame, &requests[i], &parts_left, arena);
    out->requests = requests;
    return status;
}

static int decode_items(struct span message, struct reply *reply, size_t count, struct arena *arena)
{
    struct field_walk walk = field_walk_start(message);
    struct item *items = arena_calloc(arena, count, sizeof *items);
    struct span item;

    if (!items)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; next_nested(&walk, REPLY_ITEMS, &item); i++) {
        items[i].data = (struct span){"", 0};
        if (!decode_columns(item, &item_table, &items[i], 0, NULL, NULL))
            return STATUS_CORRUPT;
    }
    reply->items = items;
    reply->item_count = count;
    return STATUS_OK;
}

static int decode_reply(struct span message, struct reply *reply, size_t *items_left, struct arena *arena)
{
    size_t item_count = 0;

    if (!decode_columns(message, &reply_table, reply, REPLY_ITEMS, &item_count, NULL) || item_count > *items_left)
        return STATUS_CORRUPT;
    *items_left -= item_count;
    return item_count ? decode_items(message, reply, item_count, arena) : STATUS_OK;
}

int body_decode_replies(const void *bytes, size_t size, struct arena *arena, const struct reply **replies,
                        size_t *count)
{
    struct span batch, message;
    struct field_walk walk;
    struct reply *array;
    size_t items_left = LIMIT_REPLY_ITEMS;
    int status = STATUS_OK;

    *replies = NULL;
    *count = 0;
    if (!count_top((struct span){bytes, size}, REPLIES_REPLY, count) || *count > LIMIT_BATCH_REQUESTS)
        return STATUS_CORRUPT;
    if (!copy_batch(bytes, size, arena, &batch))
        return STATUS_NO_MEMORY;
    array = arena_calloc(arena, *count, sizeof *array);
    if (!array)
        return STATUS_NO_MEMORY;
    walk = field_walk_start(batch);
    for (size_t i = 0; status == STATUS_OK && next_nested(&walk, REPLIES_REPLY, &message); i++)
        status = decode_reply(message, &array[i], &items_left, arena);
    *replies = array;
    return status;
}
