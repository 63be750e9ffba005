/*
 * audit.c - archived versions: by hash, by tag, history, and what deletes and saves do to them.
 */
#include "tests/behaviour/behaviour.h"

static void assert_found(int status, stigstore_result **result, const char *data)
{
    assert_status(OK, status);
    assert_int_equal((*result)->item_count, 1);
    assert_bytes(stigstore_text(data), (*result)->items[0].data);
    stigstore_result_free(result);
}

static void a_version_is_found_by_hash_and_by_tag(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("now"));
    archive(kind, TEXT("a"), "first", "h1", "v1");
    archive(kind, TEXT("a"), "second", "h2", "v2");
    stigstore_result *result = NULL;
    assert_found(stigstore_get_audit_by_hash(store, kind, TEXT("a"), TEXT("h1"), &result), &result, "first");
    assert_found(stigstore_get_audit_by_tag(store, kind, TEXT("a"), TEXT("v2"), &result), &result, "second");
    assert_status(NOT_FOUND, stigstore_get_audit_by_hash(store, kind, TEXT("a"), TEXT("h3"), NULL));
    assert_status(NOT_FOUND, stigstore_get_audit_by_tag(store, kind, TEXT("b"), TEXT("v1"), NULL));
}

static void equal_hashes_and_tags_mean_the_newest(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    for (unsigned i = 0; i < 3; i++) /* well within one millisecond: equal timestamps */
        archive(kind, TEXT("a"), (const char *[]){"one", "two", "three"}[i], "same", "latest");
    archive(kind, TEXT("a"), "four", "other", "");
    stigstore_result *result = NULL;
    assert_found(stigstore_get_audit_by_hash(store, kind, TEXT("a"), TEXT("same"), &result), &result, "three");
    assert_found(stigstore_get_audit_by_tag(store, kind, TEXT("a"), TEXT("latest"), &result), &result, "three");
}

/* An import may say its own times: also one before what is there. */
static void newest_means_last_inserted_whatever_the_clock_says(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    for (int i = 0; i < 2; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(AUDIT_SAVE),
                                     .kind = kind,
                                     .id = TEXT("a"),
                                     .hash = TEXT("h"),
                                     .tag = TEXT("t"),
                                     .data = i ? TEXT("later") : TEXT("sooner"),
                                     .updated_ms = INT64_C(1700000000000) - i * 60000};
        assert_status(OK, call_status(&request));
    }
    stigstore_result *result = NULL;
    assert_found(stigstore_get_audit_by_tag(store, kind, TEXT("a"), TEXT("t"), &result), &result, "later");
    assert_status(OK, stigstore_list_audit_history(store, kind, TEXT("a"), &result));
    assert_int_equal(result->items[0].updated_ms, INT64_C(1699999940000));
    assert_int_equal(result->items[1].updated_ms, INT64_C(1700000000000));
    stigstore_result_free(&result);
}

static void history_is_newest_first(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    archive(kind, TEXT("a"), "one", "h1", "t1");
    archive(kind, TEXT("a"), "two", "h2", "t2");
    archive(kind, TEXT("b"), "not this", "h", "t");
    archive(kind, TEXT("a"), "three", "h3", "");
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_list_audit_history(store, kind, TEXT("a"), &result));
    assert_int_equal(result->item_count, 3);
    assert_bytes(TEXT("three"), result->items[0].data);
    assert_bytes(TEXT("h3"), result->items[0].hash);
    assert_bytes(TEXT(""), result->items[0].tag);
    assert_bytes(TEXT("t1"), result->items[2].tag);
    assert_true(result->items[0].revision > result->items[1].revision);
    stigstore_result_free(&result);

    stigstore_request request = {STIGSTORE_REQUEST(AUDIT_HISTORY), .kind = kind, .id = TEXT("a"), .limit = 2,
                                 .flags = STIGSTORE_KEYS_ONLY};
    result = call(&request);
    assert_int_equal(result->item_count, 2);
    assert_bytes(TEXT("h2"), result->items[1].hash);
    assert_int_equal(result->items[1].data.size, 0);
    assert_int_equal(result->items[1].data_bytes, 3);
    stigstore_result_free(&result);
    assert_status(OK, stigstore_list_audit_history(store, kind, TEXT("nothing"), &result));
    assert_int_equal(result->item_count, 0);
    stigstore_result_free(&result);
}

static void a_resource_never_saved_can_be_archived(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    archive(kind, TEXT("a"), "early", "h", "t");
    stigstore_request request = {
        STIGSTORE_REQUEST(AUDIT_SAVE),      .kind = kind, .id = TEXT("a"), .data = TEXT("x"), .hash = TEXT("h2"),
        .flags = STIGSTORE_REQUIRE_RESOURCE};
    assert_status(CONFLICT, call_status(&request));
    save(kind, TEXT("a"), TEXT("x"));
    assert_status(OK, call_status(&request));
    assert_status(OK, stigstore_get_audit_by_hash(store, kind, TEXT("a"), TEXT("h"), NULL));
}

static uint64_t versions_of(stigstore_bytes kind, stigstore_bytes id)
{
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_list_audit_history(store, kind, id, &result));
    uint64_t number = result->item_count;
    stigstore_result_free(&result);
    return number;
}

static void saving_over_a_resource_keeps_its_versions(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("x"));
    archive(kind, TEXT("a"), "x", "h", "t");
    save(kind, TEXT("a"), TEXT("y"));
    assert_int_equal(versions_of(kind, TEXT("a")), 1);
}

static void every_delete_takes_the_versions_along(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind(), other = fresh_kind();
    for (unsigned i = 0; i < 4; i++) {
        save(kind, numbered("a", i), TEXT("x"));
        archive(kind, numbered("a", i), "x", "h", "t");
    }
    save(other, TEXT("a00000"), TEXT("x"));
    archive(other, TEXT("a00000"), "x", "h", "t");
    assert_status(OK, stigstore_delete_resource(store, kind, TEXT("a00000"), NULL));
    assert_int_equal(versions_of(kind, TEXT("a00000")), 0);
    assert_status(OK, stigstore_delete_resources_by_id_prefix(store, kind, TEXT("a00001"), NULL));
    assert_int_equal(versions_of(kind, TEXT("a00001")), 0);
    assert_int_equal(versions_of(kind, TEXT("a00002")), 1);
    assert_status(OK, stigstore_delete_resources_by_kind(store, kind, NULL));
    assert_int_equal(versions_of(kind, TEXT("a00002")), 0);
    assert_int_equal(versions_of(other, TEXT("a00000")), 1);
}

/* A new resource is archived before it is saved; if it never was, its versions must not stay behind for ever. */
static void deletes_take_the_versions_of_absent_resources(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_result *result = NULL;
    for (unsigned i = 0; i < 3; i++)
        archive(kind, numbered("a", i), "x", "h", "t");
    assert_status(OK, stigstore_delete_resource(store, kind, numbered("a", 0), &result));
    assert_int_equal(result->count, 0);
    assert_true(result->revision > 0);
    assert_int_equal(versions_of(kind, numbered("a", 0)), 0);
    assert_status(OK, stigstore_delete_resources_by_id_prefix(store, kind, numbered("a", 1), &result));
    assert_int_equal(result->count, 0);
    assert_int_equal(versions_of(kind, numbered("a", 1)), 0);
    assert_status(OK, stigstore_delete_resources_by_kind(store, kind, &result));
    assert_int_equal(result->count, 0);
    assert_int_equal(versions_of(kind, numbered("a", 2)), 0);
    stigstore_result_free(&result);
}

static void versions_alone_can_be_deleted(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("x"));
    archive(kind, TEXT("a"), "x", "h1", "t");
    archive(kind, TEXT("a"), "x", "h2", "t");
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_delete_audit_by_resource_id(store, kind, TEXT("a"), &result));
    assert_int_equal(result->count, 2);
    assert_status(OK, stigstore_delete_audit_by_resource_id(store, kind, TEXT("a"), &result));
    assert_int_equal(result->count, 0);
    stigstore_result_free(&result);
    assert_stored(kind, TEXT("a"), TEXT("x"));
}

static void hashes_and_tags_have_limits(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    char text[257];
    memset(text, 'h', sizeof(text));
    stigstore_request request = {STIGSTORE_REQUEST(AUDIT_SAVE), .kind = kind,      .id = TEXT("a"), .data = TEXT("x"),
                                 .hash = {text, 128},           .tag = {text, 256}};
    assert_status(OK, call_status(&request));
    request.hash.size = 129;
    assert_status(INVALID_ARGUMENT, call_status(&request));
    request.hash.size = 1;
    request.tag.size = 257;
    assert_status(INVALID_ARGUMENT, call_status(&request));
    request.tag = TEXT("a\tb");
    assert_status(INVALID_ARGUMENT, call_status(&request));
}

int audit_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_is_found_by_hash_and_by_tag),
        cmocka_unit_test(equal_hashes_and_tags_mean_the_newest),
        cmocka_unit_test(newest_means_last_inserted_whatever_the_clock_says),
        cmocka_unit_test(history_is_newest_first),
        cmocka_unit_test(a_resource_never_saved_can_be_archived),
        cmocka_unit_test(saving_over_a_resource_keeps_its_versions),
        cmocka_unit_test(every_delete_takes_the_versions_along),
        cmocka_unit_test(deletes_take_the_versions_of_absent_resources),
        cmocka_unit_test(versions_alone_can_be_deleted),
        cmocka_unit_test(hashes_and_tags_have_limits),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
