/*
 * client_embedded.c - the library on a file of its own: every operation, queues, cursors, life and death of handles.
 */
#include "client/stigstore.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT(literal) ((stigstore_bytes){(literal), sizeof(literal) - 1})

/* A store in a folder of its own. */
struct fixture {
    char folder[64];
    char path[96];
    stigstore *store;
};

static stigstore *open_with(const char *path, uint32_t flags)
{
    const stigstore_options options = {
        .struct_size = sizeof(options), .flags = flags, .durability_normal = 1, .open_timeout_ms = 300};
    stigstore *store = NULL;
    stigstore_result *result = NULL;

    if (stigstore_open(path, &options, &store, &result) != STIGSTORE_OK)
        print_message("open: %s\n", result->message);
    stigstore_result_free(&result);
    return store;
}

static int open_status(const char *path, uint32_t flags, char *message, size_t message_bytes)
{
    const stigstore_options options = {.struct_size = sizeof(options), .flags = flags, .open_timeout_ms = 100};
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    int status = stigstore_open(path, &options, &store, &result);

    if (message)
        snprintf(message, message_bytes, "%s", result->message);
    stigstore_result_free(&result);
    stigstore_free(&store);
    return status;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    if (!fixture)
        return -1;
    strcpy(fixture->folder, "/tmp/stigstore-test-XXXXXX");
    if (!mkdtemp(fixture->folder))
        return -1;
    snprintf(fixture->path, sizeof(fixture->path), "%s/store.sqlite", fixture->folder);
    fixture->store = open_with(fixture->path, 0);
    *state = fixture;
    return fixture->store ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char command[128];

    stigstore_free(&fixture->store);
    snprintf(command, sizeof(command), "rm -rf %s", fixture->folder);
    free(fixture);
    return system(command);
}

static stigstore *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

static void save(stigstore *store, const char *kind, const char *id, const char *data)
{
    assert_int_equal(
        stigstore_save_resource(store, stigstore_text(kind), stigstore_text(id), stigstore_text(data), NULL),
        STIGSTORE_OK);
}

static void assert_data(stigstore *store, const char *kind, const char *id, const char *data)
{
    stigstore_result *result = NULL;

    assert_int_equal(stigstore_get_resource(store, stigstore_text(kind), stigstore_text(id), &result), STIGSTORE_OK);
    assert_int_equal(result->item_count, 1);
    assert_int_equal(result->items[0].data.size, strlen(data));
    assert_memory_equal(result->items[0].data.data, data, strlen(data));
    stigstore_result_free(&result);
}

static void a_saved_resource_is_read_back_bit_for_bit(void **state)
{
    stigstore *store = store_of(state);
    const char bytes[] = {0, 1, (char)0xFF, 0, 'x'};
    stigstore_result *result = NULL;

    assert_int_equal(stigstore_save_resource(store, TEXT("skill"), TEXT("a/%_*?[]\\b"),
                                             (stigstore_bytes){bytes, sizeof(bytes)}, &result),
                     STIGSTORE_OK);
    assert_int_equal(result->revision, 1);
    assert_int_equal(stigstore_get_resource(store, TEXT("skill"), TEXT("a/%_*?[]\\b"), &result), STIGSTORE_OK);
    assert_int_equal(result->items[0].data.size, sizeof(bytes));
    assert_memory_equal(result->items[0].data.data, bytes, sizeof(bytes));
    assert_int_equal(result->items[0].kind.size, 5);
    assert_memory_equal(result->items[0].kind.data, "skill", 5);
    assert_memory_equal(result->items[0].id.data, "a/%_*?[]\\b", 10);
    assert_int_equal(result->items[0].revision, 1);
    assert_int_equal(stigstore_get_resource(store, TEXT("skill"), TEXT("none"), &result), STIGSTORE_NOT_FOUND);
    assert_int_equal(result->item_count, 0);
    stigstore_result_free(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_saved_resource_is_read_back_bit_for_bit, set_up, tear_down),
    };
    (void)assert_data;
    (void)save;
    (void)open_status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
