/*
 * helpers.c - short forms of the calls for the suite.
 */
#include "tests/behaviour/behaviour.h"

stigstore_bytes fresh_kind(void)
{
    static unsigned number;
    static char names[64][24];
    char *name = names[number % 64];
    snprintf(name, sizeof(names[0]), "kind-%u", number++);
    return stigstore_text(name);
}

stigstore_bytes numbered(const char *stem, unsigned number)
{
    static _Thread_local char names[16][48];
    static _Thread_local unsigned next;
    char *name = names[next++ % 16];
    snprintf(name, sizeof(names[0]), "%s%05u", stem, number);
    return stigstore_text(name);
}

void check_status(int expected, int actual, const char *what, const char *file, int line)
{
    if (expected != actual) {
        print_error("%s: expected %s, got %s\n", what, stigstore_status_name(expected), stigstore_status_name(actual));
        _fail(file, line);
    }
}

void assert_bytes(stigstore_bytes expected, stigstore_bytes actual)
{
    assert_int_equal(expected.size, actual.size);
    if (expected.size)
        assert_memory_equal(expected.data, actual.data, expected.size);
}

stigstore_result *call(const stigstore_request *request)
{
    stigstore_result *result = NULL;
    int status = stigstore_call(store, request, &result);
    assert_non_null(result);
    assert_int_equal(result->status, status);
    assert_non_null(result->message);
    return result;
}

int call_status(const stigstore_request *request)
{
    stigstore_result *result = call(request);
    int status = result->status;
    stigstore_result_free(&result);
    assert_null(result);
    return status;
}

int save_status(stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data)
{
    return stigstore_save_resource(store, kind, id, data, NULL);
}

uint64_t save(stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data)
{
    stigstore_result *result = NULL;
    int status = stigstore_save_resource(store, kind, id, data, &result);
    if (status != STIGSTORE_OK)
        fail_msg("save: %s: %s", stigstore_status_name(status), result ? result->message : "");
    uint64_t revision = result->revision;
    stigstore_result_free(&result);
    return revision;
}

void assert_stored(stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data)
{
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_get_resource(store, kind, id, &result));
    assert_int_equal(result->item_count, 1);
    assert_bytes(kind, result->items[0].kind);
    assert_bytes(id, result->items[0].id);
    assert_bytes(data, result->items[0].data);
    assert_non_null(result->items[0].data.data);
    assert_int_equal(result->items[0].data_bytes, data.size);
    stigstore_result_free(&result);
}

void assert_absent(stigstore_bytes kind, stigstore_bytes id)
{
    assert_status(NOT_FOUND, stigstore_get_resource(store, kind, id, NULL));
}

uint64_t count(stigstore_bytes kind, stigstore_bytes prefix)
{
    stigstore_request request = {STIGSTORE_REQUEST(COUNT), .kind = kind, .id = prefix};
    stigstore_result *result = call(&request);
    assert_status(OK, result->status);
    uint64_t number = result->count;
    stigstore_result_free(&result);
    return number;
}

uint64_t archive(stigstore_bytes kind, stigstore_bytes id, const char *data, const char *hash, const char *tag)
{
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_save_audit(store, kind, id, stigstore_text(data), stigstore_text(hash),
                                           stigstore_text(tag), &result));
    uint64_t revision = result->revision;
    stigstore_result_free(&result);
    return revision;
}
