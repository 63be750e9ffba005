/*
 * storage_write_keys.c - idempotency keys: what they are bound to, what they record, how long, and how many.
 */
#include "tests/unit/storage_write_store.h"

static struct request with_key(uint32_t operation, const char *id, const char *data, const char *key)
{
    struct request request = store_request(operation, "k", id, data);
    request.idempotency_key = span_text(key);
    return request;
}

static void expect_replay(struct reply reply, uint64_t revision, uint64_t count)
{
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.flags, REPLY_REPLAYED);
    assert_int_equal(reply.revision, revision);
    assert_int_equal(reply.count, count);
}

static void test_the_second_attempt_gets_the_first_result(void **state)
{
    struct test_store *store = *state;
    struct request request = with_key(OPERATION_SAVE, "a", "v1", "wf/1");
    struct reply reply = store_apply(store, request);
    assert_int_equal(reply.flags, 0);
    assert_int_equal(reply.revision, 1);
    store_save(store, "k", "a", "v2");
    expect_replay(store_apply(store, request), 1, 0);
    storage_close(&store->storage);
    store_open(store);
    expect_replay(store_apply(store, request), 1, 0);
    store_expect_data(store, "k", "a", "v2");
}

static void test_a_delete_records_its_count(void **state)
{
    struct test_store *store = *state;
    struct request request = with_key(OPERATION_DELETE, "a", NULL, "wf/1");
    store_save(store, "k", "a", "v");
    assert_int_equal(store_apply(store, request).count, 1);
    store_save(store, "k", "a", "v");
    expect_replay(store_apply(store, request), 2, 1);
    store_expect_data(store, "k", "a", "v");
}

static void expect_mismatch(struct test_store *store, struct request request)
{
    uint64_t revision = store_revision(store);
    assert_int_equal(store_apply(store, request).status, STATUS_IDEMPOTENCY_MISMATCH);
    assert_int_equal(store_revision(store), revision);
}

static void test_a_key_names_one_request(void **state)
{
    struct test_store *store = *state;
    struct request request = with_key(OPERATION_SAVE, "a", "v1", "wf/1");
    store_apply(store, request);
    expect_mismatch(store, with_key(OPERATION_SAVE, "a", "v2", "wf/1"));
    expect_mismatch(store, with_key(OPERATION_SAVE, "b", "v1", "wf/1"));
    expect_mismatch(store, with_key(OPERATION_AUDIT_SAVE, "a", "v1", "wf/1"));
    request.kind = span_text("l");
    expect_mismatch(store, request);
}

static void test_a_given_fingerprint_stands_for_the_data(void **state)
{
    struct test_store *store = *state;
    struct request request = with_key(OPERATION_SAVE, "a", "v1", "wf/1");
    request.idempotency_fingerprint = span_text("print");
    store_apply(store, request);
    request.data = span_text("stamped anew");
    expect_replay(store_apply(store, request), 1, 0);
    request.idempotency_fingerprint = span_text("another");
    expect_mismatch(store, request);
}

static void test_compare_and_set_and_update_compare_nothing(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "a", "v0");
    struct request request = with_key(OPERATION_SAVE, "a", "v1", "wf/1");
    request.condition = CONDITION_IF_REVISION;
    request.if_revision = 1;
    store_apply(store, request);
    request.data = span_text("merged anew");
    request.if_revision = 2;
    expect_replay(store_apply(store, request), 2, 0);

    request = with_key(OPERATION_DELETE, "a", NULL, "wf/2");
    request.flags = REQUEST_OF_UPDATE;
    assert_int_equal(store_apply(store, request).count, 1);
    request = with_key(OPERATION_SAVE, "a", "decided otherwise", "wf/2");
    request.flags = REQUEST_OF_UPDATE;
    expect_replay(store_apply(store, request), 3, 1);
}

static void test_a_failed_condition_leaves_the_key_free(void **state)
{
    struct test_store *store = *state;
    struct request request = with_key(OPERATION_SAVE, "a", "v1", "wf/1");
    request.condition = CONDITION_IF_EXISTS;
    assert_int_equal(store_apply(store, request).status, STATUS_CONFLICT);
    store_save(store, "k", "a", "v0");
    assert_int_equal(store_apply(store, request).revision, 2);
    request.condition = CONDITION_IF_ABSENT; /* the key is looked up before the condition, which is no part of it */
    expect_replay(store_apply(store, request), 2, 0);
}

static void test_a_transact_is_bound_to_its_parts(void **state)
{
    struct test_store *store = *state;
    struct request parts[] = {store_request(OPERATION_SAVE, "k", "a", "1"),
                              store_request(OPERATION_SAVE, "k", "b", "2")};
    struct request request = {.operation = OPERATION_TRANSACT,
                              .parts = parts,
                              .part_count = 2,
                              .idempotency_key = span_text("wf/1"),
                              .deadline_ns = INT64_MAX};
    assert_int_equal(store_apply(store, request).revision, 1);
    expect_replay(store_apply(store, request), 1, 0);
    parts[1].data = span_text("3");
    expect_mismatch(store, request);
}

static void test_keys_belong_to_their_principal(void **state)
{
    struct test_store *store = *state;
    struct request request = with_key(OPERATION_SAVE, "a", "v1", "wf/1");
    store_apply(store, request);
    store->principal[0] = 7;
    struct reply reply = store_apply(store, request);
    assert_int_equal(reply.flags, 0);
    assert_int_equal(reply.revision, 2);
}

static void test_a_lookup_says_what_was_applied(void **state)
{
    struct test_store *store = *state;
    struct request lookup = with_key(OPERATION_KEY_LOOKUP, "a", NULL, "wf/1");
    assert_int_equal(store_apply(store, lookup).status, STATUS_NOT_FOUND);
    store_apply(store, with_key(OPERATION_SAVE, "a", "v1", "wf/1"));
    expect_replay(store_apply(store, lookup), 1, 0);
    lookup.kind = lookup.id = span_text("");
    expect_replay(store_apply(store, lookup), 1, 0);
    lookup.kind = lookup.id = span_text("z");
    assert_int_equal(store_apply(store, lookup).status, STATUS_IDEMPOTENCY_MISMATCH);
}

static void test_an_expired_key_is_free_and_goes_in_steps(void **state)
{
    struct test_store *store = *state;
    struct storage *storage = store->storage;
    struct storage_counters counters;
    char key[16];
    unsigned removed;
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof key, "key/%d", i);
        struct request request = with_key(OPERATION_SAVE, "a", "v1", key);
        request.idempotency_retention_s = 60;
        store_apply(store, request);
    }
    store->now_ms += 61000;
    struct reply reply = store_apply(store, with_key(OPERATION_SAVE, "a", "other", "key/3"));
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.flags, 0);
    assert_int_equal(storage->ops->begin(storage, store->now_ms), STATUS_OK);
    assert_int_equal(storage->ops->expire_keys(storage, store->now_ms, 4, &removed), STATUS_OK);
    assert_int_equal(removed, 4);
    assert_int_equal(storage->ops->expire_keys(storage, store->now_ms, 100, &removed), STATUS_OK);
    assert_int_equal(removed, 5);
    assert_int_equal(storage->ops->commit(storage, NULL, NULL), STATUS_OK);
    storage->ops->counters(storage, &counters);
    assert_int_equal(counters.idempotency_keys, 1);
    expect_replay(store_apply(store, with_key(OPERATION_SAVE, "a", "other", "key/3")), 11, 0);
}

static void test_keys_are_bounded(void **state)
{
    struct test_store *store = *state;
    storage_close(&store->storage);
    store_execute(store, "INSERT INTO idempotency (principal, key, expires_s, operation, target, fingerprint, revision,"
                         " count) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)"
                         " SELECT x'', i, 1700000100, 8, x'', x'', 1, 0 FROM n");
    store_open(store);
    struct request request = with_key(OPERATION_SAVE, "a", "v1", "one more");
    assert_int_equal(store_apply(store, request).status, STATUS_KEYS_EXHAUSTED);
    store_expect_data(store, "k", "a", NULL);
    store->now_ms += 200000; /* they have expired: room is made at once */
    assert_int_equal(store_apply(store, request).status, STATUS_OK);
}

static void test_a_ranged_delete_records_the_whole_count(void **state)
{
    struct test_store *store = *state;
    struct request request = with_key(OPERATION_DELETE_KIND, NULL, NULL, "wf/1");
    struct span last = {NULL, 0};
    bool more;
    store_save(store, "k", "a", "v");
    store_save(store, "k", "b", "v");
    store_save(store, "k", "c", "v");
    assert_int_equal(store_delete_rows(store, request, last, 0, 2, &last, &more).count, 2);
    assert_true(more);
    assert_int_equal(store_delete_rows(store, request, last, 2, 2, &last, &more).count, 1);
    store_save(store, "k", "a", "v");
    expect_replay(store_delete_rows(store, request, (struct span){NULL, 0}, 0, 2, &last, &more), 5, 3);
    assert_false(more);
    store_expect_data(store, "k", "a", "v");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_second_attempt_gets_the_first_result),
        TEST(test_a_delete_records_its_count),
        TEST(test_a_key_names_one_request),
        TEST(test_a_given_fingerprint_stands_for_the_data),
        TEST(test_compare_and_set_and_update_compare_nothing),
        TEST(test_a_failed_condition_leaves_the_key_free),
        TEST(test_a_transact_is_bound_to_its_parts),
        TEST(test_keys_belong_to_their_principal),
        TEST(test_a_lookup_says_what_was_applied),
        TEST(test_an_expired_key_is_free_and_goes_in_steps),
        TEST(test_keys_are_bounded),
        TEST(test_a_ranged_delete_records_the_whole_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
