/*
 * storage_write_delete.c - ranged deletes: bytes of a prefix, steps, audit records, deadline.
 */
#include "proto/clock.h"
#include "tests/unit/storage_write_store.h"

static const struct span from_the_start;

static struct reply delete_prefix(struct test_store *store, struct span prefix)
{
    struct request request = store_request(OPERATION_DELETE_PREFIX, "k", NULL, NULL);
    struct span last;
    bool more;
    request.id = prefix;
    struct reply reply = store_delete_rows(store, request, from_the_start, 0, UINT64_MAX, &last, &more);
    assert_false(more);
    return reply;
}

static void test_a_prefix_is_bytes_and_nothing_else(void **state)
{
    struct test_store *store = *state;
    static const char *const ids[] = {"a%", "a%b", "aXb", "A%b", "a", "a&", "a%\xF4\x8F\xBF\xBF"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        store_save(store, "k", ids[i], "v");
    store_save(store, "other", "a%b", "v");
    assert_int_equal(delete_prefix(store, span_text("a%")).count, 3);
    store_expect_data(store, "k", "aXb", "v");
    store_expect_data(store, "k", "A%b", "v");
    store_expect_data(store, "k", "a&", "v");
    store_expect_data(store, "other", "a%b", "v");
    store_expect_data(store, "k", "a%b", NULL);
}

static void test_a_prefix_may_end_with_the_largest_byte(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "\xF4\x8F\xBF\xBF", "v");
    store_save(store, "k", "z", "v");
    assert_int_equal(delete_prefix(store, (struct span){"\xFF\xFF", 2}).count, 0);
    assert_int_equal(delete_prefix(store, (struct span){"\xF4", 1}).count, 1);
    assert_int_equal(delete_prefix(store, (struct span){"z\xFF", 2}).count, 0);
    assert_int_equal(delete_prefix(store, (struct span){"", 0}).count, 1);
}

static void test_a_delete_of_nothing_takes_no_revision(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "a", "v");
    struct reply reply = delete_prefix(store, span_text("b"));
    assert_int_equal(reply.count, 0);
    assert_int_equal(reply.revision, 0);
    assert_int_equal(store_revision(store), 1);
}

static void archive(struct test_store *store, const char *kind, const char *id)
{
    assert_int_equal(store_apply(store, store_request(OPERATION_AUDIT_SAVE, kind, id, "v")).status, STATUS_OK);
}

static void test_records_go_with_and_without_their_resources(void **state)
{
    struct test_store *store = *state;
    static const char *const ids[] = {"a1", "a2", "a3", "b"};
    for (size_t i = 0; i < 4; i++)
        archive(store, "k", ids[i]);
    archive(store, "other", "a1");
    store_save(store, "k", "a1", "v");
    store_save(store, "k", "a3", "v");
    store_save(store, "k", "b", "v");
    struct reply reply = delete_prefix(store, span_text("a"));
    assert_int_equal(reply.count, 2);
    assert_int_equal(reply.revision, 9);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit"), 2);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit WHERE kind = 'k'"), 1);
    assert_int_equal(delete_prefix(store, span_text("a")).revision, 0);
}

static void test_records_of_absent_resources_take_a_revision(void **state)
{
    struct test_store *store = *state;
    archive(store, "k", "a");
    struct reply reply = delete_prefix(store, span_text("a"));
    assert_int_equal(reply.count, 0);
    assert_int_equal(reply.revision, 2);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit"), 0);
    archive(store, "k", "a");
    reply = store_apply(store, store_request(OPERATION_DELETE, "k", "a", NULL));
    assert_int_equal(reply.count, 0);
    assert_int_equal(reply.revision, 4);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit"), 0);
}

static void fill(struct test_store *store, int count)
{
    char id[16];
    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%03d", i);
        store_save(store, "k", id, "v");
    }
}

static void test_steps_go_on_behind_the_last(void **state)
{
    struct test_store *store = *state;
    struct request request = store_request(OPERATION_DELETE_KIND, "k", NULL, NULL);
    struct span last = from_the_start;
    uint64_t count = 0;
    bool more = true;
    fill(store, 25);
    store_save(store, "l", "a", "v");
    assert_int_equal(store->storage->ops->count_rows(store->storage, &request, 20, &count), STATUS_OK);
    assert_int_equal(count, 20);
    struct reply reply = store_delete_rows(store, request, last, 0, 10, &last, &more);
    assert_int_equal(reply.count, 10);
    assert_int_equal(reply.revision, 27);
    assert_true(more);
    assert_true(span_equal(last, span_text("009")));
    store_save(store, "k", "000", "back");
    reply = store_delete_rows(store, request, last, 10, 10, &last, &more);
    assert_true(more);
    reply = store_delete_rows(store, request, last, 20, 10, &last, &more);
    assert_int_equal(reply.count, 5);
    assert_false(more);
    store_expect_data(store, "k", "000", "back"); /* behind the cursor: it came later */
    store_expect_data(store, "l", "a", "v");
}

static void test_an_exact_step_leaves_no_more(void **state)
{
    struct test_store *store = *state;
    struct span last;
    bool more = true;
    fill(store, 10);
    store_delete_rows(store, store_request(OPERATION_DELETE_KIND, "k", NULL, NULL), from_the_start, 0, 10, &last,
                      &more);
    assert_false(more);
}

/* Records are rows too: a step takes no more of them than of resources, but all of one id. */
static void test_steps_are_bounded_by_records(void **state)
{
    struct test_store *store = *state;
    struct request request = store_request(OPERATION_DELETE_KIND, "k", NULL, NULL);
    struct span last = from_the_start;
    uint64_t count = 0;
    bool more = true;
    fill(store, 3);
    for (int i = 0; i < 30; i++)
        archive(store, "k", i < 15 ? "001" : (char[]){'a', (char)('a' + i), '\0'});
    assert_int_equal(store->storage->ops->count_rows(store->storage, &request, 100, &count), STATUS_OK);
    assert_int_equal(count, 33);
    struct reply reply = store_delete_rows(store, request, last, 0, 10, &last, &more);
    assert_int_equal(reply.count, 2);
    assert_true(more);
    assert_true(span_equal(last, span_text("001")));
    reply = store_delete_rows(store, request, last, 2, 10, &last, &more);
    assert_int_equal(reply.count, 1);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit"), 5);
    assert_true(more);
    reply = store_delete_rows(store, request, last, 3, 10, &last, &more);
    assert_int_equal(reply.count, 0);
    assert_true(reply.revision > 0);
    assert_false(more);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit"), 0);
}

/* Another program may have written what we would refuse. */
static void test_ids_against_the_rules_go_too(void **state)
{
    struct test_store *store = *state;
    struct request request = store_request(OPERATION_DELETE_KIND, "k", NULL, NULL);
    struct span last = from_the_start;
    bool more = true;
    store_execute(store, "INSERT INTO resources (kind, id, data) VALUES ('k', '', x''), ('k', 'b', x''),"
                         " ('k', printf('%05000d', 0), x''), ('k', printf('c%05000d', 0), x'')");
    for (int steps = 0; more; steps++) {
        assert_true(steps < 5);
        store_delete_rows(store, request, last, 0, 1, &last, &more);
    }
    assert_int_equal(store_number(store, "SELECT count(*) FROM resources"), 0);
}

static void test_past_its_deadline_nothing_went(void **state)
{
    struct test_store *store = *state;
    struct storage *storage = store->storage;
    struct request request = store_request(OPERATION_DELETE_KIND, "k", NULL, NULL);
    struct reply reply;
    struct span last;
    bool more;
    fill(store, 10);
    request.deadline_ns = clock_boot_ns();
    assert_int_equal(storage->ops->begin(storage, store->now_ms), STATUS_OK);
    assert_int_equal(storage->ops->delete_rows(storage, &store->caller, &request, from_the_start, 0, 10, &reply, &last,
                                               &more, store->arena),
                     STATUS_DEADLINE_EXCEEDED);
    storage->ops->rollback(storage);
    store_expect_data(store, "k", "000", "v");
    assert_int_equal(store_save(store, "k", "a", "v"), 11);
}

static void test_a_deadline_stops_a_delete_on_its_way(void **state)
{
    struct test_store *store = *state;
    struct storage *storage = store->storage;
    struct request request = store_request(OPERATION_DELETE_KIND, "k", NULL, NULL);
    struct reply reply;
    struct span last;
    bool more;
    store_execute(store, "INSERT INTO resources (kind, id, data) WITH RECURSIVE n (i) AS"
                         " (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000)"
                         " SELECT 'k', printf('%08d', i), x'' FROM n");
    assert_int_equal(storage->ops->begin(storage, store->now_ms), STATUS_OK);
    request.deadline_ns = clock_boot_ns() + NS_PER_MS;
    assert_int_equal(storage->ops->delete_rows(storage, &store->caller, &request, from_the_start, 0, UINT64_MAX, &reply,
                                               &last, &more, store->arena),
                     STATUS_DEADLINE_EXCEEDED);
    storage->ops->rollback(storage);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resources"), 200000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_prefix_is_bytes_and_nothing_else),
        TEST(test_a_prefix_may_end_with_the_largest_byte),
        TEST(test_a_delete_of_nothing_takes_no_revision),
        TEST(test_records_go_with_and_without_their_resources),
        TEST(test_records_of_absent_resources_take_a_revision),
        TEST(test_steps_are_bounded_by_records),
        TEST(test_ids_against_the_rules_go_too),
        TEST(test_steps_go_on_behind_the_last),
        TEST(test_an_exact_step_leaves_no_more),
        TEST(test_past_its_deadline_nothing_went),
        TEST(test_a_deadline_stops_a_delete_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
