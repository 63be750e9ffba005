/*
 * proto_request.c - every rule that a request is judged by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/limits.h"
#include "proto/request.h"

#include <stdlib.h>

static char filler[4096];

static struct span bytes_of(size_t size)
{
    memset(filler, 'x', sizeof filler);
    assert_true(size <= sizeof filler);
    return (struct span){filler, size};
}

/* The least that each operation needs. */
static struct request make(uint32_t operation)
{
    static const struct request get = {.operation = OPERATION_GET, .kind = {"k", 1}, .id = {"i", 1}};
    static const struct request save = {.operation = OPERATION_SAVE, .kind = {"k", 1}, .id = {"i", 1}};
    struct request request = {.operation = operation};

    switch (operation) {
    case OPERATION_GET_MANY:
    case OPERATION_TRANSACT:
        request.parts = operation == OPERATION_TRANSACT ? &save : &get;
        request.part_count = 1;
        break;
    case OPERATION_KEY_LOOKUP:
        request.idempotency_key = span_text("key");
        break;
    case OPERATION_KINDS:
    case OPERATION_SKIP:
    case OPERATION_CLOSE_SESSION:
        break;
    default:
        request.kind = span_text("k");
        if (operation != OPERATION_DELETE_KIND && operation != OPERATION_AUDIT_SCAN)
            request.id = span_text("i");
    }
    return request;
}

static const uint32_t operations[] = {
    OPERATION_GET,          OPERATION_STAT,          OPERATION_GET_MANY,     OPERATION_LIST,
    OPERATION_COUNT,        OPERATION_KINDS,         OPERATION_AUDIT_SCAN,   OPERATION_SAVE,
    OPERATION_DELETE,       OPERATION_DELETE_PREFIX, OPERATION_DELETE_KIND,  OPERATION_TRANSACT,
    OPERATION_AUDIT_SAVE,   OPERATION_AUDIT_BY_HASH, OPERATION_AUDIT_BY_TAG, OPERATION_AUDIT_HISTORY,
    OPERATION_AUDIT_DELETE, OPERATION_KEY_LOOKUP,    OPERATION_SKIP,         OPERATION_CLOSE_SESSION,
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static int check(const struct request *request)
{
    const char *why = NULL;
    int status = request_check(request, 0, &why);

    assert_non_null(why);
    assert_true((status == STATUS_OK) == (why[0] == '\0'));
    return status;
}

static void accept(const struct request *request)
{
    const char *why;
    if (request_check(request, 0, &why) != STATUS_OK)
        fail_msg("%s: %s", operation_name(request->operation), why);
}

static void refuse(const struct request *request)
{
    assert_int_equal(check(request), STATUS_INVALID_ARGUMENT);
}

/* ---- operations ---- */

static void the_least_of_each_operation_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct request request = make(operations[i]);
        accept(&request);
        request.flags = REQUEST_NO_WAIT;
        accept(&request);
    }
}

static void unknown_operations_are_refused(void **state)
{
    static const uint32_t unknown[] = {0, OPERATION_KEY_LOOKUP + 1, 99, 102, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        struct request request = {.operation = unknown[i], .kind = {"k", 1}, .id = {"i", 1}};
        refuse(&request);
        assert_string_equal(operation_name(unknown[i]), "UNKNOWN");
        assert_false(operation_is_write(unknown[i]));
    }
}

static void operations_know_where_they_go(void **state)
{
    (void)state;
    assert_true(operation_is_write(OPERATION_SAVE));
    assert_true(operation_is_write(OPERATION_SKIP));
    assert_true(operation_is_write(OPERATION_KEY_LOOKUP));
    assert_false(operation_is_write(OPERATION_LIST));
    assert_true(operation_is_wire(OPERATION_CLOSE_SESSION));
    assert_false(operation_is_wire(OPERATION_SAVE));
    assert_true(operation_is_ranged_delete(OPERATION_DELETE_KIND));
    assert_false(operation_is_ranged_delete(OPERATION_DELETE));
    assert_true(operation_is_list(OPERATION_AUDIT_HISTORY));
    assert_false(operation_is_list(OPERATION_GET_MANY));
    assert_string_equal(operation_name(OPERATION_DELETE_PREFIX), "DELETE_PREFIX");
}

/* Which operation takes which field: one row a field, everything not named must refuse it. */
struct field_case {
    const char *name;
    void (*set)(struct request *);
    uint32_t takers[10];
};

static const struct request one_get = {.operation = OPERATION_GET, .kind = {"k", 1}, .id = {"i", 1}};

static void set_data(struct request *r)
{
    r->data = span_text("d");
}
static void set_hash(struct request *r)
{
    r->hash = span_text("h");
}
static void set_tag(struct request *r)
{
    r->tag = span_text("t");
}
static void set_after(struct request *r)
{
    r->after = (struct span){"\xff\0", 2};
}
static void set_limit(struct request *r)
{
    r->limit = 1;
}
static void set_key(struct request *r)
{
    r->idempotency_key = span_text("k");
    r->idempotency_fingerprint = span_text("f");
    r->idempotency_retention_s = 60;
}
static void set_times(struct request *r)
{
    r->created_ms = 1;
    r->updated_ms = LIMIT_TIME_MS;
}
static void set_condition(struct request *r)
{
    r->condition = CONDITION_IF_EXISTS;
}
static void set_keys_only(struct request *r)
{
    r->flags = REQUEST_KEYS_ONLY;
}
static void set_require(struct request *r)
{
    r->flags = REQUEST_REQUIRE_RESOURCE;
}
static void set_all_or_nothing(struct request *r)
{
    r->flags = REQUEST_ALL_OR_NOTHING;
}
static void set_of_update(struct request *r)
{
    r->flags = REQUEST_OF_UPDATE;
}

static const struct field_case field_cases[] = {
    {"data", set_data, {OPERATION_SAVE, OPERATION_AUDIT_SAVE}},
    {"hash", set_hash, {OPERATION_AUDIT_SAVE, OPERATION_AUDIT_BY_HASH}},
    {"tag", set_tag, {OPERATION_AUDIT_SAVE, OPERATION_AUDIT_BY_TAG}},
    {"after", set_after, {OPERATION_LIST}},
    {"limit", set_limit, {OPERATION_LIST, OPERATION_AUDIT_HISTORY}},
    {"key",
     set_key,
     {OPERATION_SAVE, OPERATION_DELETE, OPERATION_DELETE_PREFIX, OPERATION_DELETE_KIND, OPERATION_TRANSACT,
      OPERATION_AUDIT_SAVE, OPERATION_AUDIT_DELETE, OPERATION_KEY_LOOKUP}},
    {"times", set_times, {OPERATION_SAVE, OPERATION_AUDIT_SAVE}},
    {"condition", set_condition, {OPERATION_SAVE, OPERATION_DELETE}},
    {"KEYS_ONLY", set_keys_only, {OPERATION_LIST, OPERATION_AUDIT_HISTORY}},
    {"REQUIRE_RESOURCE", set_require, {OPERATION_AUDIT_SAVE}},
    {"ALL_OR_NOTHING", set_all_or_nothing, {OPERATION_DELETE_PREFIX, OPERATION_DELETE_KIND}},
    {"OF_UPDATE", set_of_update, {OPERATION_SAVE, OPERATION_DELETE, OPERATION_KEY_LOOKUP}},
};

static bool takes(const struct field_case *field, uint32_t operation)
{
    for (size_t i = 0; i < 10 && field->takers[i]; i++)
        if (field->takers[i] == operation)
            return true;
    return false;
}

static void an_operation_takes_its_fields_and_no_other(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof field_cases / sizeof *field_cases; f++) {
        for (size_t i = 0; i < OPERATIONS; i++) {
            struct request request = make(operations[i]);
            field_cases[f].set(&request);
            int expected = takes(&field_cases[f], operations[i]) ? STATUS_OK : STATUS_INVALID_ARGUMENT;
            if (check(&request) != expected)
                fail_msg("%s of %s", field_cases[f].name, operation_name(operations[i]));
        }
    }
}

static void parts_belong_to_two_operations(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct request request = make(operations[i]);
        request.parts = &one_get;
        request.part_count = 1;
        if (operations[i] == OPERATION_GET_MANY)
            accept(&request);
        else
            refuse(&request);
    }
}

/* ---- names ---- */

static void lengths_have_their_bounds(void **state)
{
    struct request request = make(OPERATION_AUDIT_SAVE);

    (void)state;
    request.kind = bytes_of(128);
    request.id = bytes_of(1024);
    request.hash = bytes_of(128);
    request.tag = bytes_of(256);
    request.idempotency_key = bytes_of(256);
    request.idempotency_fingerprint = bytes_of(256);
    accept(&request);
#define REFUSES(field, size)             \
    do {                                 \
        struct request longer = request; \
        longer.field = bytes_of(size);   \
        refuse(&longer);                 \
    } while (0)
    REFUSES(kind, 129);
    REFUSES(kind, 0);
    REFUSES(id, 1025);
    REFUSES(id, 0);
    REFUSES(hash, 129);
    REFUSES(tag, 257);
    REFUSES(idempotency_key, 257);
    REFUSES(idempotency_fingerprint, 257);
#undef REFUSES
    request.hash = request.tag = (struct span){NULL, 0};
    accept(&request);
}

static void prefixes_and_after_are_any_bytes(void **state)
{
    struct request request = make(OPERATION_LIST);

    (void)state;
    request.id = (struct span){"\0\xff\x01", 3};
    request.after = (struct span){"\xc3", 1};
    accept(&request);
    request.id = request.after = (struct span){NULL, 0};
    accept(&request);
    request.id = request.after = bytes_of(1024);
    accept(&request);
    request.after = bytes_of(1025);
    refuse(&request);
    request.after = bytes_of(0);
    request.id = bytes_of(1025);
    refuse(&request);
}

static void names_are_well_formed_utf8_without_controls(void **state)
{
    static const char *const fine[] = {" ",
                                       "a/b",
                                       "%_*?[",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xc3\xa9t\xc3\xa9",
                                       "~"};
    static const struct span broken[] = {
        {"\0", 1},
        {"a\0b", 3},
        {"\x1f", 1},
        {"\n", 1},
        {"\x7f", 1},
        {"\x80", 1},
        {"\xbf", 1},
        {"\xc0\x80", 2},
        {"\xc1\xbf", 2},
        {"\xc2", 1},
        {"\xc2\x41", 2},
        {"\xe0\x9f\xbf", 3},
        {"\xed\xa0\x80", 3},
        {"\xed\xbf\xbf", 3},
        {"\xe1\x80", 2},
        {"\xe1\x80\x41", 3},
        {"\xf0\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 4},
        {"\xf5\x80\x80\x80", 4},
        {"\xf1\x80\x80", 3},
        {"\xff", 1},
        {"\xfe", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        struct request request = make(OPERATION_AUDIT_SAVE);
        request.kind = request.id = request.hash = request.tag = span_text(fine[i]);
        accept(&request);
    }
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        for (int field = 0; field < 4; field++) {
            struct request request = make(OPERATION_AUDIT_SAVE);
            *(field == 0   ? &request.kind
              : field == 1 ? &request.id
              : field == 2 ? &request.hash
                           : &request.tag) = broken[i];
            refuse(&request);
        }
    }
}

static void a_size_without_bytes_is_refused(void **state)
{
    struct request request = make(OPERATION_SAVE);

    (void)state;
    request.data = (struct span){NULL, 5};
    refuse(&request);
    request = make(OPERATION_TRANSACT);
    request.parts = NULL;
    refuse(&request);
    request = make(OPERATION_GET);
    request.id = (struct span){NULL, 5};
    refuse(&request);
}

/* ---- data ---- */

static void data_has_its_bound(void **state)
{
    struct request request = make(OPERATION_SAVE);
    const char *why;
    char *data = calloc(1, LIMIT_DATA_BYTES + 1);

    (void)state;
    assert_non_null(data);
    request.data = (struct span){data, LIMIT_DATA_BYTES};
    accept(&request);
    request.data.size++;
    assert_int_equal(check(&request), STATUS_TOO_LARGE);
    assert_int_equal(request_check(&request, LIMIT_DATA_BYTES_MOST, &why), STATUS_OK);
    assert_int_equal(request_check(&request, 10, NULL), STATUS_TOO_LARGE);
    request.data.size = 10;
    assert_int_equal(request_check(&request, 10, NULL), STATUS_OK);
    free(data);
}

static void a_request_fits_in_one_message(void **state)
{
    struct request parts[5];
    struct request request = make(OPERATION_TRANSACT);
    char *data = calloc(1, LIMIT_DATA_BYTES);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < 5; i++) {
        parts[i] = make(OPERATION_SAVE);
        parts[i].data = (struct span){data, LIMIT_DATA_BYTES};
    }
    request.parts = parts;
    request.part_count = 3;
    accept(&request);
    request.part_count = 4;
    assert_int_equal(check(&request), STATUS_TOO_LARGE);
    assert_int_equal(request_bytes(&request), 4 * (LIMIT_DATA_BYTES + 2));
    assert_int_equal(request_message_bytes(0), 16 * MIB);
    assert_int_equal(request_message_bytes(64 * MIB), 65 * MIB);
    free(data);
}

/* ---- conditions ---- */

static void conditions_are_whole(void **state)
{
    struct request request = make(OPERATION_SAVE);

    (void)state;
    request.condition = CONDITION_IF_REVISION;
    refuse(&request);
    request.if_revision = 7;
    accept(&request);
    request.condition = CONDITION_IF_ABSENT;
    refuse(&request);
    request.if_revision = 0;
    accept(&request);
    request.condition = CONDITION_IF_REVISION + 1;
    refuse(&request);
    request = make(OPERATION_GET);
    request.if_revision = 7;
    refuse(&request);
}

/* ---- keys and times ---- */

static void keys_come_with_what_belongs_to_them(void **state)
{
    struct request request = make(OPERATION_SAVE);

    (void)state;
    request.idempotency_fingerprint = span_text("f");
    refuse(&request);
    request.idempotency_fingerprint = (struct span){NULL, 0};
    request.idempotency_retention_s = 1;
    refuse(&request);
    request.idempotency_key = (struct span){"\0\xff", 2};
    accept(&request);
    request.idempotency_retention_s = UINT64_MAX;
    refuse(&request);
    request = make(OPERATION_KEY_LOOKUP);
    request.idempotency_key = (struct span){NULL, 0};
    refuse(&request);
}

static void times_are_within_the_calendar(void **state)
{
    struct request request = make(OPERATION_SAVE);

    (void)state;
    request.created_ms = -1;
    refuse(&request);
    request.created_ms = LIMIT_TIME_MS + 1;
    refuse(&request);
    request.created_ms = 0;
    request.updated_ms = INT64_MIN;
    refuse(&request);
}

/* ---- parts ---- */

static void parts_are_of_their_operations_one_level_deep(void **state)
{
    (void)state;
    for (uint32_t operation = 0; operation <= OPERATION_CLOSE_SESSION; operation++) {
        struct request part = make(operation);
        struct request get_many = make(OPERATION_GET_MANY), transact = make(OPERATION_TRANSACT);
        if (operation == OPERATION_CHECK)
            part.condition = CONDITION_IF_ABSENT;
        get_many.parts = transact.parts = &part;
        assert_int_equal(check(&get_many), operation == OPERATION_GET ? STATUS_OK : STATUS_INVALID_ARGUMENT);
        bool is_part = operation == OPERATION_SAVE || operation == OPERATION_DELETE || operation == OPERATION_CHECK ||
                       operation == OPERATION_AUDIT_SAVE || operation == OPERATION_AUDIT_DELETE;
        assert_int_equal(check(&transact), is_part ? STATUS_OK : STATUS_INVALID_ARGUMENT);
    }
    struct request nested = make(OPERATION_SAVE), transact = make(OPERATION_TRANSACT);
    nested.parts = &one_get;
    nested.part_count = 1;
    transact.parts = &nested;
    refuse(&transact);
}

static void a_check_has_a_condition_and_stands_in_a_transact(void **state)
{
    struct request part = make(OPERATION_CHECK), transact = make(OPERATION_TRANSACT);

    (void)state;
    refuse(&part);
    transact.parts = &part;
    refuse(&transact);
    part.condition = CONDITION_IF_EXISTS;
    refuse(&part);
    accept(&transact);
}

static void parts_have_no_key_and_few_flags(void **state)
{
    struct request part = make(OPERATION_AUDIT_SAVE), transact = make(OPERATION_TRANSACT);

    (void)state;
    transact.parts = &part;
    part.flags = REQUEST_REQUIRE_RESOURCE;
    accept(&transact);
    part.flags = REQUEST_NO_WAIT;
    refuse(&transact);
    part.flags = 0;
    part.idempotency_key = span_text("k");
    refuse(&transact);
    part = make(OPERATION_SAVE);
    part.flags = REQUEST_OF_UPDATE;
    refuse(&transact);
    part.flags = 0;
    part.id = (struct span){"\n", 1};
    refuse(&transact);
}

static void the_number_of_parts_is_bounded(void **state)
{
    struct request *parts = calloc(LIMIT_PARTS + 1, sizeof *parts);
    struct request request = make(OPERATION_GET_MANY);

    (void)state;
    assert_non_null(parts);
    for (size_t i = 0; i <= LIMIT_PARTS; i++)
        parts[i] = one_get;
    request.parts = parts;
    request.part_count = LIMIT_PARTS;
    accept(&request);
    request.part_count++;
    refuse(&request);
    request.part_count = 0;
    refuse(&request);
    request.operation = OPERATION_TRANSACT;
    refuse(&request);
    free(parts);
}

static void unknown_flags_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct request request = make(operations[i]);
        request.flags = 1u << 31;
        refuse(&request);
        request.flags = 1u << 4;
        refuse(&request);
    }
}

static void bytes_are_summed_without_overflow(void **state)
{
    struct request request = make(OPERATION_SAVE);

    (void)state;
    assert_int_equal(request_bytes(&request), 2);
    request.data.size = SIZE_MAX;
    request.after.size = SIZE_MAX;
    assert_true(request_bytes(&request) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_of_each_operation_is_taken),
        cmocka_unit_test(unknown_operations_are_refused),
        cmocka_unit_test(operations_know_where_they_go),
        cmocka_unit_test(an_operation_takes_its_fields_and_no_other),
        cmocka_unit_test(parts_belong_to_two_operations),
        cmocka_unit_test(lengths_have_their_bounds),
        cmocka_unit_test(prefixes_and_after_are_any_bytes),
        cmocka_unit_test(names_are_well_formed_utf8_without_controls),
        cmocka_unit_test(a_size_without_bytes_is_refused),
        cmocka_unit_test(data_has_its_bound),
        cmocka_unit_test(a_request_fits_in_one_message),
        cmocka_unit_test(conditions_are_whole),
        cmocka_unit_test(keys_come_with_what_belongs_to_them),
        cmocka_unit_test(times_are_within_the_calendar),
        cmocka_unit_test(parts_are_of_their_operations_one_level_deep),
        cmocka_unit_test(a_check_has_a_condition_and_stands_in_a_transact),
        cmocka_unit_test(parts_have_no_key_and_few_flags),
        cmocka_unit_test(the_number_of_parts_is_bounded),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(bytes_are_summed_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
