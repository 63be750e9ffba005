/*
 * edges.c - clocks that stand still or step back, prefixes that are no text, answers that are too large, odd options.
 */
#include "tests/behaviour/behaviour.h"

#include <stdlib.h>

enum { DAY_MS = 86400000 };

static stigstore_item *only_item(stigstore_result *result)
{
    assert_int_equal(result->item_count, 1);
    return (stigstore_item *)(uintptr_t)result->items;
}

static void equal_timestamps_mean_the_last_inserted(void **state)
{
    (void)state;
    static const char *const data[] = {"first", "second", "third"};
    stigstore_bytes kind = fresh_kind();
    for (size_t i = 0; i < 3; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(AUDIT_SAVE),       .kind = kind,      .id = TEXT("a"),
                                     .data = stigstore_text(data[i]),     .hash = TEXT("h"), .tag = TEXT("t"),
                                     .updated_ms = INT64_C(1700000000000)};
        assert_status(OK, call_status(&request));
    }
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_get_audit_by_tag(store, kind, TEXT("a"), TEXT("t"), &result));
    assert_bytes(TEXT("third"), only_item(result)->data);
    assert_status(OK, stigstore_get_audit_by_hash(store, kind, TEXT("a"), TEXT("h"), &result));
    assert_bytes(TEXT("third"), only_item(result)->data);
    assert_status(OK, stigstore_list_audit_history(store, kind, TEXT("a"), &result));
    assert_int_equal(result->item_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_bytes(stigstore_text(data[2 - i]), result->items[i].data);
    stigstore_result_free(&result);
}

/* What is there was written by a clock that was a day ahead. */
static void a_clock_that_steps_back(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_result *result = NULL;
    uint64_t revision = save(kind, TEXT("now"), TEXT("x"));
    assert_status(OK, stigstore_get_resource(store, kind, TEXT("now"), &result));
    int64_t ahead_ms = only_item(result)->updated_ms + DAY_MS;
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind,           .id = TEXT("a"),
                                 .data = TEXT("ahead"),   .created_ms = ahead_ms, .updated_ms = ahead_ms};
    assert_status(OK, call_status(&request));
    assert_int_equal(save(kind, TEXT("a"), TEXT("back")), revision + 2);
    assert_status(OK, stigstore_get_resource(store, kind, TEXT("a"), &result));
    assert_bytes(TEXT("back"), only_item(result)->data);
    assert_int_equal(only_item(result)->revision, revision + 2);
    assert_int_equal(only_item(result)->created_ms, ahead_ms);
    assert_true(only_item(result)->updated_ms < ahead_ms);
    stigstore_request on_top = {STIGSTORE_REQUEST(SAVE),
                                .kind = kind,
                                .id = TEXT("a"),
                                .data = TEXT("y"),
                                .condition = STIGSTORE_IF_REVISION,
                                .if_revision = revision + 2};
    assert_status(OK, call_status(&on_top));
    stigstore_result_free(&result);
}

static void a_prefix_need_not_be_text(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("caf\xC3\xA8"), TEXT("x")); /* e grave, e acute: they share their first byte */
    save(kind, TEXT("caf\xC3\xA9"), TEXT("x"));
    save(kind, TEXT("cafe"), TEXT("x"));
    assert_int_equal(count(kind, TEXT("caf\xC3")), 2);
    assert_int_equal(count(kind, TEXT("caf\xC3\xA9")), 1);
    assert_int_equal(count(kind, TEXT("caf\xFF")), 0);
    assert_int_equal(count(kind, TEXT("caf\0")), 0);
    stigstore_request list = {STIGSTORE_REQUEST(LIST), .kind = kind, .id = TEXT("caf"),
                              .after = TEXT("caf\xC3\xA8\xFF")};
    stigstore_result *result = call(&list);
    assert_status(OK, result->status);
    assert_bytes(TEXT("caf\xC3\xA9"), only_item(result)->id);
    list.after = TEXT("caf\xC3");
    assert_status(OK, stigstore_call(store, &list, &result));
    assert_int_equal(result->item_count, 2);
    assert_status(OK, stigstore_delete_resources_by_id_prefix(store, kind, TEXT("caf\xC3"), &result));
    assert_int_equal(result->count, 2);
    assert_int_equal(count(kind, TEXT("")), 1);
    stigstore_result_free(&result);
}

static void an_answer_over_its_limit_is_too_large(void **state)
{
    (void)state;
    enum { PARTS = 5 };
    stigstore_bytes kind = fresh_kind(), data = {NULL, (size_t)4 << 20};
    void *bytes = calloc(1, data.size);
    assert_non_null(bytes);
    data.data = bytes;
    stigstore_request parts[PARTS];
    for (unsigned i = 0; i < PARTS; i++) {
        save(kind, numbered("", i), data);
        parts[i] = (stigstore_request){STIGSTORE_REQUEST(GET), .kind = kind, .id = numbered("", i)};
    }
    stigstore_request many = {STIGSTORE_REQUEST(GET_MANY), .parts = parts, .part_count = PARTS};
    assert_status(TOO_LARGE, call_status(&many));
    many.part_count = PARTS - 2;
    stigstore_result *result = call(&many);
    assert_status(OK, result->status);
    assert_int_equal(result->items[2].data.size, data.size);
    assert_status(OK, stigstore_list_resources(store, kind, &result)); /* a list has no such limit */
    assert_int_equal(result->item_count, PARTS);
    assert_status(OK, stigstore_delete_resources_by_kind(store, kind, &result));
    stigstore_result_free(&result);
    free(bytes);
}

static void odd_options_of_a_request(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_request patient = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x"),
                                 .timeout_ms = STIGSTORE_NO_DEADLINE};
    assert_status(OK, call_status(&patient));
    stigstore_request hasty = {STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("a"), .flags = STIGSTORE_NO_WAIT};
    assert_status(OK, call_status(&hasty));
    stigstore_request whole = {STIGSTORE_REQUEST(DELETE_KIND), .kind = kind, .flags = STIGSTORE_ALL_OR_NOTHING};
    stigstore_result *result = call(&whole);
    assert_status(OK, result->status);
    assert_int_equal(result->count, 1);
    stigstore_result_free(&result);
    stigstore_request stray = {STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("a"),
                               .flags = STIGSTORE_ALL_OR_NOTHING};
    assert_status(INVALID_ARGUMENT, call_status(&stray)); /* a flag that the operation does not take */
}

int edge_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_timestamps_mean_the_last_inserted),
        cmocka_unit_test(a_clock_that_steps_back),
        cmocka_unit_test(a_prefix_need_not_be_text),
        cmocka_unit_test(an_answer_over_its_limit_is_too_large),
        cmocka_unit_test(odd_options_of_a_request),
    };
    return cmocka_run_group_tests_name("edges", tests, NULL, NULL);
}
