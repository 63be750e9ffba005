/*
 * storage_write_memory.c - each allocation of SQLite fails once, in every step of writing: a status, and nothing half done.
 */
#include "tests/unit/storage_write_store.h"

#include <sqlite3.h>
#include <stdlib.h>

static sqlite3_mem_methods real_memory;
static long allocations_left = -1; /* negative: none fails */

static bool fails_now(void)
{
    return allocations_left >= 0 && allocations_left-- == 0;
}

static void *memory_alloc(int size)
{
    return fails_now() ? NULL : real_memory.xMalloc(size);
}

static void *memory_realloc(void *memory, int size)
{
    return fails_now() ? NULL : real_memory.xRealloc(memory, size);
}

static void install(void)
{
    sqlite3_mem_methods memory;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory), SQLITE_OK);
    memory = real_memory;
    memory.xMalloc = memory_alloc;
    memory.xRealloc = memory_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
}

static bool is_expected(int status)
{
    return status == STATUS_NO_MEMORY || status == STORAGE_UNKNOWN;
}

/* Each allocation at first, then about twenty in each doubling. */
static int next_failure(int i)
{
    return i + 1 + i / 20;
}

/* A transaction of everything. */
static int write_all(struct test_store *store, const char *data)
{
    struct request parts[] = {store_request(OPERATION_SAVE, "k", "a", data),
                              store_request(OPERATION_SAVE, "k", "b", data),
                              store_request(OPERATION_AUDIT_SAVE, "k", "a", data)};
    struct request request = {.operation = OPERATION_TRANSACT,
                              .parts = parts,
                              .part_count = 3,
                              .idempotency_key = span_text(data),
                              .deadline_ns = INT64_MAX};
    struct reply reply;
    int status = store_try_apply(store, request, &reply);
    return status == STATUS_OK ? reply.status : status;
}

static bool has_data(struct test_store *store, const char *id, const char *data)
{
    struct reply reply = store_answer(store, store_request(OPERATION_GET, "k", id, NULL));
    return reply.status == STATUS_OK && span_equal(reply.items[0].data, span_text(data));
}

static void reopen(struct test_store *store)
{
    storage_close(&store->storage);
    store_open(store);
}

static void test_a_write_without_memory_is_all_or_nothing(void **state)
{
    struct test_store *store = *state;
    int status = STATUS_NO_MEMORY;
    char data[16];
    for (int i = 0; status != STATUS_OK; i = next_failure(i)) {
        assert_true(i < 5000);
        snprintf(data, sizeof data, "%d", i);
        reopen(store); /* without prepared statements or a warm cache */
        allocations_left = i;
        status = write_all(store, data);
        allocations_left = -1;
        assert_true(status == STATUS_OK || is_expected(status));
        if (status == STORAGE_UNKNOWN)
            reopen(store);
        bool is_there = has_data(store, "a", data);
        assert_int_equal(is_there, has_data(store, "b", data));
        assert_true(is_there == (status == STATUS_OK) || status == STORAGE_UNKNOWN);
    }
}

static void test_an_opening_without_memory_can_be_tried_again(void **state)
{
    struct test_store *store = *state;
    struct failure failure;
    int status = STATUS_NO_MEMORY;
    for (int i = 0; status != STATUS_OK; i = next_failure(i)) {
        assert_true(i < 20000);
        storage_close(&store->storage);
        allocations_left = i;
        status = store_try_open(store, &failure);
        allocations_left = -1;
        if (status != STATUS_OK)
            assert_null(store->storage);
    }
    store_save(store, "k", "a", "v");
}

static void test_a_ranged_delete_without_memory_is_undone(void **state)
{
    struct test_store *store = *state;
    struct storage *storage;
    struct request request = store_request(OPERATION_DELETE_KIND, "k", NULL, NULL);
    struct reply reply;
    struct span last;
    bool more;
    int status = STATUS_NO_MEMORY;
    store_save(store, "k", "a", "v");
    for (int i = 0; status != STATUS_OK; i = next_failure(i)) {
        assert_true(i < 5000);
        reopen(store);
        storage = store->storage;
        allocations_left = i;
        status = storage->ops->begin(storage, store->now_ms);
        if (status == STATUS_OK)
            status = storage->ops->delete_rows(storage, &store->caller, &request, (struct span){NULL, 0}, 0, 10, &reply,
                                               &last, &more, store->arena);
        allocations_left = -1;
        storage->ops->rollback(storage);
        assert_true(status == STATUS_OK || is_expected(status));
        if (status != STORAGE_UNKNOWN)
            store_expect_data(store, "k", "a", "v");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_write_without_memory_is_all_or_nothing),
        TEST(test_an_opening_without_memory_can_be_tried_again),
        TEST(test_a_ranged_delete_without_memory_is_undone),
    };
    install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
