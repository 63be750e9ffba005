/* storage_read_memory.c - each allocation of SQLite's fails once: a status, no crash, and the next read is right. */
#include "tests/unit/storage_read_fixture.h"

#include "proto/limits.h"

#include <stdlib.h>

static sqlite3_mem_methods real;
static long fail_at; /* this many allocations from now; 0: none */
static bool failed;

static bool is_to_fail(void)
{
    if (fail_at == 0 || --fail_at > 0)
        return false;
    failed = true;
    return true;
}

static void *failing_malloc(int bytes)
{
    return is_to_fail() ? NULL : real.xMalloc(bytes);
}

static void *failing_realloc(void *memory, int bytes)
{
    return is_to_fail() ? NULL : real.xRealloc(memory, bytes);
}

static int install(void **state)
{
    (void)state;
    sqlite3_mem_methods methods;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK)
        return 1;
    methods = real;
    methods.xMalloc = failing_malloc;
    methods.xRealloc = failing_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK;
}

static void fill(struct fixture *fixture)
{
    static const char large[100000];
    for (int i = 0; i < 30; i++)
        fixture_put(fixture, "k", (struct span){&"abcdefghijklmnopqrstuvwxyz0123"[i], 1},
                    (struct span){large, i == 7 ? sizeof(large) : 10});
    fixture_archive(fixture, "k", "a", "h", "t", "2024-01-01 00:00:00", span_text("x"));
}

static int read_all(struct fixture *fixture, bool whole)
{
    static const uint32_t operations[] = {OPERATION_GET,          OPERATION_STAT,  OPERATION_LIST,
                                          OPERATION_COUNT,        OPERATION_KINDS, OPERATION_AUDIT_HISTORY,
                                          OPERATION_AUDIT_BY_HASH};
    static const size_t items[] = {1, 1, 30, 0, 1, 1, 1};
    struct request requests[7];
    struct reply replies[7];
    for (int i = 0; i < 7; i++)
        requests[i] = fixture_request(operations[i], "k", i == 2 || i == 3 ? "" : i < 2 ? "h" : "a");
    requests[6].hash = span_text("h");
    int status = fixture_ask_all(fixture, requests, 7, replies, LIMIT_MESSAGE_BYTES, whole ? 7 : 1);
    for (int i = 0; i < 7; i++) {
        assert_true(replies[i].status == STATUS_OK || replies[i].status == STATUS_NO_MEMORY ||
                    replies[i].status == STATUS_NOT_READ);
        assert_true(!whole || replies[i].status == STATUS_OK);
        assert_int_equal(replies[i].item_count, replies[i].status == STATUS_OK ? items[i] : 0);
    }
    assert_true(replies[0].status != STATUS_OK || replies[0].items[0].data.size == 100000);
    arena_reset(fixture->arena);
    return status;
}

static int scan_all(struct fixture *fixture)
{
    struct storage_scan *scan;
    struct item item;
    uint64_t revision;
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    int rows = 0, status = fixture->storage->ops->scan_open(fixture->storage, &list, &scan, &revision, NULL);
    if (status != STATUS_OK)
        return status;
    while ((status = fixture->storage->ops->scan_next(scan, &item, fixture->arena, NULL)) == STATUS_OK)
        rows++;
    fixture->storage->ops->scan_close(&scan);
    assert_true(status != STATUS_END || rows == 30);
    arena_reset(fixture->arena);
    return status == STATUS_END ? STATUS_OK : status;
}

/* Opens, reads and scans with the n-th allocation failing, for n = 1, 2, ... until none is asked for any more. */
static void every_allocation_fails_once(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture);
    long n = 0;
    do {
        failed = false;
        fail_at = ++n;
        int status = fixture_try_open(fixture->path, &fixture->storage, NULL);
        if (status == STATUS_OK) {
            read_all(fixture, false);
            status = scan_all(fixture);
            fail_at = 0;
            read_all(fixture, true);
            assert_int_equal(scan_all(fixture), STATUS_OK);
        }
        fail_at = 0;
        assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
        assert_true(failed || status == STATUS_OK);
        storage_close(&fixture->storage);
    } while (failed);
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation_fails_once, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, install, NULL);
}
