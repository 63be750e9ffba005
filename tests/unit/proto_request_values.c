/*
 * proto_request_values.c - the rules for names, data, conditions, keys, times and parts.
 */
#include "proto_request_support.h"

static char filler[4096];

static struct span bytes_of(size_t size)
{
    memset(filler, 'x', sizeof filler);
    assert_true(size <= sizeof filler);
    return (struct span){filler, size};
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

static void one_wrong_byte_in_a_name_is_found_wherever_it_stands(void **state)
{
    char name[24];

    (void)state;
    for (size_t size = 1; size <= sizeof name; size++)
        for (size_t at = 0; at < size; at++)
            for (int byte = 0; byte < 256; byte++) {
                memset(name, ' ', sizeof name);                   /* the least byte that is right */
                memset(name + at + 1, '~', sizeof name - at - 1); /* and the last */
                name[at] = (char)byte;
                assert_int_equal(request_text_is_valid((struct span){name, size}), byte >= 0x20 && byte < 0x7F);
            }
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
        cmocka_unit_test(lengths_have_their_bounds),
        cmocka_unit_test(prefixes_and_after_are_any_bytes),
        cmocka_unit_test(one_wrong_byte_in_a_name_is_found_wherever_it_stands),
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
        cmocka_unit_test(bytes_are_summed_without_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
