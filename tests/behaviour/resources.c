/*
 * resources.c - save, get, stat, list, count, delete, and what ids, prefixes and data may be.
 */
#include "tests/behaviour/behaviour.h"

#include <stdlib.h>

static void what_is_saved_comes_back_bit_for_bit(void **state)
{
    (void)state;
    unsigned char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    stigstore_bytes kind = fresh_kind(), data = {bytes, sizeof(bytes)};
    uint64_t first = save(kind, TEXT("a"), data);
    assert_true(first > 0);
    assert_stored(kind, TEXT("a"), data);
    assert_true(save(kind, TEXT("a"), TEXT("other")) > first);
    assert_stored(kind, TEXT("a"), TEXT("other"));
}

static void empty_data_is_data(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("empty"), (stigstore_bytes){NULL, 0});
    assert_stored(kind, TEXT("empty"), (stigstore_bytes){"", 0});
}

static void data_at_the_limit_and_one_byte_over(void **state)
{
    (void)state;
    size_t limit = (size_t)4 << 20;
    unsigned char *bytes = malloc(limit + 1);
    assert_non_null(bytes);
    memset(bytes, 0xA5, limit + 1);
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("most"), (stigstore_bytes){bytes, limit});
    assert_stored(kind, TEXT("most"), (stigstore_bytes){bytes, limit});
    assert_status(TOO_LARGE, save_status(kind, TEXT("over"), (stigstore_bytes){bytes, limit + 1}));
    assert_absent(kind, TEXT("over"));
    free(bytes);
}

static void ids_may_hold_what_other_stores_treat_as_special(void **state)
{
    (void)state;
    static const char *const ids[] = {"%",  "_",   "*",     "?",   "[a]",
                                      "]",  "\\",  "a/b/c", "/",   "'",
                                      "\"", ";--", " ",     "a b", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80",
                                      "A",  "a"};
    stigstore_bytes kind = fresh_kind();
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
        save(kind, stigstore_text(ids[i]), stigstore_text(ids[i]));
    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
        assert_stored(kind, stigstore_text(ids[i]), stigstore_text(ids[i]));
    assert_int_equal(count(kind, TEXT("")), sizeof(ids) / sizeof(*ids));
    assert_int_equal(count(kind, TEXT("%")), 1);
    assert_int_equal(count(kind, TEXT("_")), 1);
    assert_int_equal(count(kind, TEXT("[")), 1);
    assert_int_equal(count(kind, TEXT("*")), 1);
    assert_int_equal(count(kind, TEXT("?")), 1);
    assert_int_equal(count(kind, TEXT("\\")), 1);
    assert_int_equal(count(kind, TEXT("A")), 1);
    assert_int_equal(count(kind, TEXT("\xC3")), 1); /* half a character is a prefix too */
}

static void malformed_names_are_refused_before_anything_is_sent(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    char long_id[1025], long_kind[129];
    memset(long_id, 'i', sizeof(long_id));
    memset(long_kind, 'k', sizeof(long_kind));
    static const stigstore_bytes bad[] = {
        {"", 0},         {"a\0b", 3},         {"a\nb", 3},
        {"\x1f", 1},     {"\x7f", 1},         {"\xff", 1},
        {"\xc0\x80", 2}, {"\xed\xa0\x80", 3}, {"\xf5\x80\x80\x80", 4},
        {"\xe2\x82", 2},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_status(INVALID_ARGUMENT, save_status(kind, bad[i], TEXT("x")));
        assert_status(INVALID_ARGUMENT, save_status(bad[i], TEXT("x"), TEXT("x")));
        assert_status(INVALID_ARGUMENT, stigstore_get_resource(store, kind, bad[i], NULL));
    }
    assert_status(INVALID_ARGUMENT, save_status(kind, (stigstore_bytes){long_id, 1025}, TEXT("x")));
    assert_status(INVALID_ARGUMENT, save_status((stigstore_bytes){long_kind, 129}, TEXT("x"), TEXT("x")));
    save(kind, (stigstore_bytes){long_id, 1024}, TEXT("x"));
    save((stigstore_bytes){long_kind, 128}, TEXT("x"), TEXT("x"));
    assert_int_equal(count(kind, TEXT("")), 1);
}

static void an_unknown_operation_is_refused(void **state)
{
    (void)state;
    for (uint32_t operation = 0; operation < 200; operation += operation == 0 ? 20 : 40) {
        stigstore_request request = {
            .struct_size = sizeof(request), .operation = operation, .kind = TEXT("k"), .id = TEXT("i")};
        assert_status(INVALID_ARGUMENT, call_status(&request));
    }
    stigstore_request check = {STIGSTORE_REQUEST(CHECK), .kind = TEXT("k"), .id = TEXT("i")};
    assert_status(INVALID_ARGUMENT, call_status(&check));
}

static void a_list_is_in_bytewise_order(void **state)
{
    (void)state;
    static const char *const sorted[] = {"A", "B", "a", "a/", "a/b", "aa", "b", "\xC3\xA4"};
    stigstore_bytes kind = fresh_kind();
    for (size_t i = 8; i-- > 0;)
        save(kind, stigstore_text(sorted[(i * 3) % 8]), TEXT("x"));
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_list_resources(store, kind, &result));
    assert_int_equal(result->item_count, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_bytes(stigstore_text(sorted[i]), result->items[i].id);
        assert_bytes(TEXT("x"), result->items[i].data);
    }
    stigstore_result_free(&result);
}

static void a_list_takes_prefix_after_limit_and_keys_only(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    for (unsigned i = 0; i < 20; i++) {
        save(kind, numbered("p/", i), TEXT("data"));
        save(kind, numbered("q/", i), TEXT("data"));
    }
    stigstore_request request = {STIGSTORE_REQUEST(LIST),  .kind = kind, .id = TEXT("p/"),
                                 .after = TEXT("p/00004"), .limit = 3,   .flags = STIGSTORE_KEYS_ONLY};
    stigstore_result *result = call(&request);
    assert_status(OK, result->status);
    assert_int_equal(result->item_count, 3);
    assert_bytes(TEXT("p/00005"), result->items[0].id);
    assert_bytes(TEXT("p/00007"), result->items[2].id);
    assert_int_equal(result->items[0].data.size, 0);
    assert_int_equal(result->items[0].data_bytes, 4);
    assert_true(result->items[0].revision > 0 && result->items[0].updated_ms > 0);
    stigstore_result_free(&result);

    request.after = TEXT("q");
    request.limit = 0;
    assert_int_equal((result = call(&request))->item_count, 0);
    stigstore_result_free(&result);
}

static void a_prefix_at_the_end_of_the_key_space(void **state)
{
    (void)state;
    static const char top[] = "\xF4\x8F\xBF\xBF"; /* U+10FFFF, the last character there is */
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("z"), TEXT("x"));
    save(kind, stigstore_text(top), TEXT("x"));
    save(kind, TEXT("\xF4\x8F\xBF\xBF\xF4\x8F\xBF\xBF"), TEXT("x"));
    assert_int_equal(count(kind, stigstore_text(top)), 2);
    assert_int_equal(count(kind, TEXT("\xF4")), 2);
    assert_int_equal(count(kind, TEXT("\xFF")), 0);
    assert_int_equal(count(kind, TEXT("\xFF\xFF")), 0);
    assert_int_equal(count(kind, TEXT("z")), 1);
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_delete_resources_by_id_prefix(store, kind, TEXT("\xFF"), &result));
    assert_int_equal(result->count, 0);
    assert_status(OK, stigstore_delete_resources_by_id_prefix(store, kind, TEXT("\xF4"), &result));
    assert_int_equal(result->count, 2);
    stigstore_result_free(&result);
}

static void deletes_say_how_many_went(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind(), other = fresh_kind();
    for (unsigned i = 0; i < 5; i++) {
        save(kind, numbered("a/", i), TEXT("x"));
        save(kind, numbered("b/", i), TEXT("x"));
    }
    save(other, TEXT("a/00000"), TEXT("x"));
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_delete_resource(store, kind, TEXT("a/00000"), &result));
    assert_int_equal(result->count, 1);
    uint64_t revision = result->revision;
    assert_status(OK, stigstore_delete_resource(store, kind, TEXT("a/00000"), &result));
    assert_int_equal(result->count, 0);
    assert_status(OK, stigstore_delete_resources_by_id_prefix(store, kind, TEXT("nothing"), &result));
    assert_int_equal(result->count, 0);
    assert_int_equal(save(kind, TEXT("next"), TEXT("x")), revision + 1); /* deletes of nothing took no revision */
    assert_status(OK, stigstore_delete_resources_by_id_prefix(store, kind, TEXT("a/"), &result));
    assert_int_equal(result->count, 4);
    assert_status(OK, stigstore_delete_resources_by_kind(store, kind, &result));
    assert_int_equal(result->count, 6);
    assert_int_equal(count(kind, TEXT("")), 0);
    assert_int_equal(count(other, TEXT("")), 1);
    stigstore_result_free(&result);
}

static void stat_tells_all_but_the_data(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("first"));
    stigstore_request request = {STIGSTORE_REQUEST(STAT), .kind = kind, .id = TEXT("a")};
    stigstore_result *before = call(&request);
    uint64_t revision = save(kind, TEXT("a"), TEXT("second!"));
    stigstore_result *after = call(&request);
    assert_status(OK, after->status);
    assert_int_equal(after->items[0].revision, revision);
    assert_int_equal(after->items[0].data_bytes, 7);
    assert_int_equal(after->items[0].data.size, 0);
    assert_true(after->items[0].created_ms == before->items[0].created_ms);
    assert_true(after->items[0].updated_ms >= before->items[0].updated_ms);
    assert_true(after->items[0].created_ms > INT64_C(1700000000000));
    stigstore_result_free(&before);
    stigstore_result_free(&after);
    request.id = TEXT("absent");
    assert_status(NOT_FOUND, call_status(&request));
}

static void get_many_says_which_are_absent(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind(), other = fresh_kind();
    save(kind, TEXT("a"), TEXT("A"));
    save(other, TEXT("b"), TEXT("B"));
    stigstore_request parts[] = {{STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("a")},
                                 {STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("b")},
                                 {STIGSTORE_REQUEST(GET), .kind = other, .id = TEXT("b")},
                                 {STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("a")}};
    stigstore_request request = {STIGSTORE_REQUEST(GET_MANY), .parts = parts, .part_count = 4};
    stigstore_result *result = call(&request);
    assert_status(OK, result->status);
    assert_int_equal(result->item_count, 4);
    assert_status(OK, result->items[0].status);
    assert_status(NOT_FOUND, result->items[1].status);
    assert_bytes(TEXT("b"), result->items[1].id);
    assert_status(OK, result->items[2].status);
    assert_bytes(TEXT("B"), result->items[2].data);
    assert_bytes(TEXT("A"), result->items[3].data);
    stigstore_result_free(&result);
}

static void ten_thousand_resources_of_one_kind(void **state)
{
    (void)state;
    enum { COUNT = 10000, BATCH = 1000 };
    stigstore_bytes kind = fresh_kind();
    stigstore_request *parts = calloc(BATCH, sizeof(*parts));
    char(*ids)[16] = calloc(BATCH, sizeof(*ids));
    assert_true(parts && ids);
    for (unsigned at = 0; at < COUNT; at += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            snprintf(ids[i], sizeof(ids[i]), "%05u", at + i);
            parts[i] = (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = kind, .id = stigstore_text(ids[i]),
                                           .data = stigstore_text(ids[i])};
        }
        stigstore_request request = {STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = BATCH};
        assert_status(OK, call_status(&request));
    }
    free(parts);
    free(ids);
    assert_int_equal(count(kind, TEXT("")), COUNT);
    assert_int_equal(count(kind, TEXT("000")), 100);
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_list_resources(store, kind, &result));
    assert_int_equal(result->item_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_bytes(numbered("", i), result->items[i].id);
        assert_bytes(numbered("", i), result->items[i].data);
    }
    assert_status(OK, stigstore_delete_resources_by_kind(store, kind, &result));
    assert_int_equal(result->count, COUNT);
    stigstore_result_free(&result);
}

static void kinds_are_listed_in_order(void **state)
{
    (void)state;
    stigstore_bytes one = fresh_kind(), two = fresh_kind();
    save(one, TEXT("a"), TEXT("x"));
    archive(two, TEXT("never-saved"), "x", "h", "");
    stigstore_request request = {STIGSTORE_REQUEST(KINDS)};
    stigstore_result *result = call(&request);
    assert_status(OK, result->status);
    unsigned found = 0;
    for (size_t i = 0; i < result->item_count; i++) {
        stigstore_bytes kind = result->items[i].kind;
        found += kind.size == one.size && memcmp(kind.data, one.data, kind.size) == 0;
        found += kind.size == two.size && memcmp(kind.data, two.data, kind.size) == 0;
        if (i > 0)
            assert_true(strncmp(result->items[i - 1].kind.data, kind.data, 16) < 0);
    }
    assert_int_equal(found, 2);
    stigstore_result_free(&result);
}

static void a_result_may_be_passed_in_again(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("A"));
    save(kind, TEXT("b"), TEXT("B"));
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_get_resource(store, kind, TEXT("a"), &result));
    assert_status(OK, stigstore_get_resource(store, kind, TEXT("b"), &result));
    assert_bytes(TEXT("B"), result->items[0].data);
    assert_status(NOT_FOUND, stigstore_get_resource(store, kind, TEXT("c"), &result));
    assert_int_equal(result->item_count, 0);
    stigstore_result_free(&result);
    stigstore_result_free(&result);
    stigstore_result_free(NULL);
}

int resource_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_comes_back_bit_for_bit),
        cmocka_unit_test(empty_data_is_data),
        cmocka_unit_test(data_at_the_limit_and_one_byte_over),
        cmocka_unit_test(ids_may_hold_what_other_stores_treat_as_special),
        cmocka_unit_test(malformed_names_are_refused_before_anything_is_sent),
        cmocka_unit_test(an_unknown_operation_is_refused),
        cmocka_unit_test(a_list_is_in_bytewise_order),
        cmocka_unit_test(a_list_takes_prefix_after_limit_and_keys_only),
        cmocka_unit_test(a_prefix_at_the_end_of_the_key_space),
        cmocka_unit_test(deletes_say_how_many_went),
        cmocka_unit_test(stat_tells_all_but_the_data),
        cmocka_unit_test(get_many_says_which_are_absent),
        cmocka_unit_test(ten_thousand_resources_of_one_kind),
        cmocka_unit_test(kinds_are_listed_in_order),
        cmocka_unit_test(a_result_may_be_passed_in_again),
    };
    return cmocka_run_group_tests_name("resources", tests, NULL, NULL);
}
