/* client_fixture.c - a store in a folder of its own for each test of the client library. */
#include "tests/unit/client_fixture.h"

#include <unistd.h>

stigstore *open_with(const char *path, uint32_t flags)
{
    const stigstore_options options = {
        .struct_size = sizeof(options), .flags = flags, .durability_normal = 1, .open_timeout_ms = 300};
    stigstore *store = NULL;
    stigstore_result *result = NULL;

    if (stigstore_open(path, &options, &store, &result) != STIGSTORE_OK)
        print_error("open: %s\n", result->message);
    stigstore_result_free(&result);
    return store;
}

int open_status(const char *path, uint32_t flags, char *message, size_t message_bytes)
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

int fixture_set_up(void **state)
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

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    char command[128];

    stigstore_free(&fixture->store);
    snprintf(command, sizeof(command), "rm -rf %s", fixture->folder);
    free(fixture);
    return system(command);
}

void save(stigstore *store, const char *kind, const char *id, const char *data)
{
    assert_int_equal(
        stigstore_save_resource(store, stigstore_text(kind), stigstore_text(id), stigstore_text(data), NULL),
        STIGSTORE_OK);
}

void assert_data(stigstore *store, const char *kind, const char *id, const char *data)
{
    stigstore_result *result = NULL;

    assert_int_equal(stigstore_get_resource(store, stigstore_text(kind), stigstore_text(id), &result), STIGSTORE_OK);
    assert_int_equal(result->item_count, 1);
    assert_int_equal(result->items[0].data.size, strlen(data));
    assert_memory_equal(result->items[0].data.data, data, strlen(data));
    stigstore_result_free(&result);
}

void assert_absent(stigstore *store, const char *kind, const char *id)
{
    assert_int_equal(stigstore_get_resource(store, stigstore_text(kind), stigstore_text(id), NULL),
                     STIGSTORE_NOT_FOUND);
}

uint64_t count_of(stigstore *store, const char *kind)
{
    stigstore_result *result = NULL;
    uint64_t count;

    assert_int_equal(
        stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(COUNT), .kind = stigstore_text(kind)}, &result),
        STIGSTORE_OK);
    count = result->count;
    stigstore_result_free(&result);
    return count;
}

int run(stigstore *store, const stigstore_request *request, uint64_t *revision)
{
    stigstore_result *result = NULL;
    int status = stigstore_call(store, request, &result);

    if (revision)
        *revision = result->revision;
    stigstore_result_free(&result);
    return status;
}
