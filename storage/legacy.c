/*
 * legacy.c - ids and messages of Stigmer's rows, as plain functions and as SQL functions.
 */
#include "storage/legacy.h"
#include "proto/field.h"
#include "proto/limits.h"
#include "proto/request.h"
#include "storage/sqlite.h"

/* Field numbers of Stigmer's skill message. */
enum { SKILL_SPEC = 4, SKILL_STATUS = 5, SPEC_TAG = 2, STATUS_VERSION_HASH = 1 };

static const struct span audit_mark = {"_audit/", 7};

static struct span behind(struct span whole, size_t size)
{
    return (struct span){(const char *)whole.data + size, whole.size - size};
}

bool legacy_begins_as_audit(struct span kind, struct span id)
{
    return kind.size > 0 && span_begins_with(id, kind) && span_begins_with(behind(id, kind.size), audit_mark);
}

static size_t count_trailing_digits(struct span text)
{
    const char *bytes = text.data;
    size_t count = 0;

    while (count < text.size && bytes[text.size - 1 - count] >= '0' && bytes[text.size - 1 - count] <= '9')
        count++;
    return count;
}

static struct span trim_zeros(struct span digits)
{
    while (digits.size > 1 && *(const char *)digits.data == '0')
        digits = behind(digits, 1);
    return digits;
}

bool legacy_parse_audit(struct span kind, struct span id, struct legacy_audit *audit)
{
    struct span rest;
    size_t digits;

    if (!legacy_begins_as_audit(kind, id))
        return false;
    rest = behind(id, kind.size + audit_mark.size);
    digits = count_trailing_digits(rest);
    if (digits == 0 || rest.size < digits + 2 || ((const char *)rest.data)[rest.size - digits - 1] != '/')
        return false;
    audit->resource_id = (struct span){rest.data, rest.size - digits - 1};
    audit->digits = trim_zeros(behind(rest, rest.size - digits));
    return audit->resource_id.size <= LIMIT_ID_BYTES && request_text_is_valid(audit->resource_id);
}

/* The text field `inner` of the message field `outer`, the last of each if there are several; false: unreadable. */
static bool read_inner(struct span message, uint32_t inner, struct span *text)
{
    struct field_walk walk = field_walk_start(message);
    struct field field;
    enum field_step step;

    while ((step = field_next(&walk, &field)) == FIELD_FOUND) {
        if (field.number == inner && field.wire != FIELD_LENGTH)
            return false;
        if (field.number == inner)
            *text = field.bytes;
    }
    return step == FIELD_END;
}

static bool read_labels(struct span message, struct span *hash, struct span *tag)
{
    struct field_walk walk = field_walk_start(message);
    struct field field;
    enum field_step step;

    while ((step = field_next(&walk, &field)) == FIELD_FOUND) {
        bool is_spec = field.number == SKILL_SPEC;
        if (!is_spec && field.number != SKILL_STATUS)
            continue;
        if (field.wire != FIELD_LENGTH)
            return false;
        if (!read_inner(field.bytes, is_spec ? SPEC_TAG : STATUS_VERSION_HASH, is_spec ? tag : hash))
            return false;
    }
    return step == FIELD_END;
}

void legacy_read_labels(struct span message, struct span *hash, struct span *tag)
{
    const struct span none = {"", 0};

    *hash = *tag = none;
    if (!read_labels(message, hash, tag))
        *hash = *tag = none;
    if (hash->size > LIMIT_HASH_BYTES || !request_text_is_valid(*hash))
        *hash = none;
    if (tag->size > LIMIT_TAG_BYTES || !request_text_is_valid(*tag))
        *tag = none;
}

/* ---- as SQL functions ---- */

enum part { PART_TARGET, PART_DIGITS, PART_HASH, PART_TAG };

static struct span value_span(sqlite3_value *value)
{
    const void *data = sqlite3_value_blob(value);
    return (struct span){data, data ? (size_t)sqlite3_value_bytes(value) : 0};
}

static void give(sqlite3_context *context, struct span text)
{
    if (text.size)
        sqlite3_result_text64(context, text.data, text.size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static void give_id_part(sqlite3_context *context, int count, sqlite3_value **values)
{
    const enum part *part = sqlite3_user_data(context);
    struct legacy_audit audit;

    (void)count;
    if (legacy_parse_audit(value_span(values[0]), value_span(values[1]), &audit))
        give(context, *part == PART_TARGET ? audit.resource_id : audit.digits);
}

static void give_label(sqlite3_context *context, int count, sqlite3_value **values)
{
    const enum part *part = sqlite3_user_data(context);
    struct span hash, tag;

    (void)count;
    if (!span_equal(value_span(values[0]), span_text("skill")))
        return;
    legacy_read_labels(value_span(values[1]), &hash, &tag);
    give(context, *part == PART_HASH ? hash : tag);
}

int legacy_register(sqlite3 *db)
{
    static const struct {
        const char *name;
        enum part part;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"legacy_target", PART_TARGET, give_id_part},
        {"legacy_digits", PART_DIGITS, give_id_part},
        {"legacy_hash", PART_HASH, give_label},
        {"legacy_tag", PART_TAG, give_label},
    };
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    int rc = SQLITE_OK;

    for (size_t i = 0; rc == SQLITE_OK && i < sizeof functions / sizeof *functions; i++)
        rc = sqlite3_create_function_v2(db, functions[i].name, 2, flags, (void *)&functions[i].part,
                                        functions[i].function, NULL, NULL, NULL);
    return rc;
}
