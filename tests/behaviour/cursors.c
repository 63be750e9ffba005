/*
 * cursors.c - lists item by item on one snapshot.
 */
#include "tests/behaviour/behaviour.h"

#include <stdlib.h>

static stigstore_cursor *open_list(stigstore *on, stigstore_bytes kind)
{
    stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = kind};
    stigstore_cursor *cursor = NULL;
    assert_status(OK, stigstore_cursor_open(on, &request, &cursor, NULL));
    return cursor;
}

static void a_cursor_is_one_snapshot(void **state)
{
    (void)state;
    enum { COUNT = 300, BYTES = 4096 };
    stigstore_bytes kind = fresh_kind();
    char data[BYTES];
    memset(data, 'd', sizeof(data));
    for (unsigned i = 0; i < COUNT; i++)
        save(kind, numbered("a", i), (stigstore_bytes){data, sizeof(data)});
    stigstore_cursor *cursor = open_list(store, kind);
    const stigstore_item *item = NULL;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_status(OK, stigstore_cursor_next(cursor, &item));
        assert_bytes(numbered("a", i), item->id);
        assert_bytes((stigstore_bytes){data, sizeof(data)}, item->data);
        if (i == 0) { /* what happens from now on is not seen */
            assert_status(OK, stigstore_delete_resource(store, kind, numbered("a", COUNT - 1), NULL));
            save(kind, numbered("a", COUNT - 2), TEXT("changed"));
            save(kind, TEXT("b"), TEXT("x"));
        }
    }
    assert_status(END, stigstore_cursor_next(cursor, &item));
    assert_status(END, stigstore_cursor_next(cursor, &item));
    stigstore_cursor_free(&cursor);
    assert_null(cursor);
}

static void a_list_larger_than_a_message_streams(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    size_t bytes = (size_t)1 << 20;
    stigstore_bytes kind = fresh_kind();
    char *data = malloc(bytes);
    assert_non_null(data);
    for (unsigned i = 0; i < COUNT; i++) {
        memset(data, (int)('a' + i % 26), bytes);
        save(kind, numbered("a", i), (stigstore_bytes){data, bytes});
    }
    stigstore_cursor *cursor = open_list(store, kind);
    const stigstore_item *item = NULL;
    unsigned seen = 0;
    int status;
    while ((status = stigstore_cursor_next(cursor, &item)) == STIGSTORE_OK) {
        memset(data, (int)('a' + seen++ % 26), bytes);
        assert_bytes((stigstore_bytes){data, bytes}, item->data);
    }
    assert_status(END, status);
    assert_int_equal(seen, COUNT);
    stigstore_cursor_free(&cursor);
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_list_resources(store, kind, &result)); /* a plain list collects it */
    assert_int_equal(result->item_count, COUNT);
    assert_status(OK, stigstore_delete_resources_by_kind(store, kind, NULL));
    stigstore_result_free(&result);
    free(data);
}

static void a_cursor_may_be_left_in_the_middle(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    for (unsigned i = 0; i < 100; i++)
        save(kind, numbered("a", i), TEXT("x"));
    for (unsigned round = 0; round < 100; round++) { /* more than a reader has streams */
        stigstore_cursor *cursor = open_list(store, kind);
        const stigstore_item *item = NULL;
        assert_status(OK, stigstore_cursor_next(cursor, &item));
        stigstore_cursor_free(&cursor);
    }
    assert_int_equal(count(kind, TEXT("")), 100);
}

static void several_cursors_at_once(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    for (unsigned i = 0; i < 50; i++)
        save(kind, numbered("a", i), TEXT("x"));
    stigstore_cursor *cursors[8];
    for (size_t c = 0; c < 8; c++)
        cursors[c] = open_list(store, kind);
    const stigstore_item *item = NULL;
    for (unsigned i = 0; i < 50; i++) {
        for (size_t c = 0; c < 8; c++) {
            assert_status(OK, stigstore_cursor_next(cursors[c], &item));
            assert_bytes(numbered("a", i), item->id);
        }
    }
    for (size_t c = 0; c < 8; c++) {
        assert_status(END, stigstore_cursor_next(cursors[c], &item));
        stigstore_cursor_free(&cursors[c]);
    }
}

static void a_cursor_over_history(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    for (unsigned i = 0; i < 5; i++)
        archive(kind, TEXT("a"), "x", (const char *)numbered("h", i).data, "");
    stigstore_request request = {STIGSTORE_REQUEST(AUDIT_HISTORY), .kind = kind, .id = TEXT("a")};
    stigstore_cursor *cursor = NULL;
    assert_status(OK, stigstore_cursor_open(store, &request, &cursor, NULL));
    const stigstore_item *item = NULL;
    for (unsigned i = 5; i-- > 0;) {
        assert_status(OK, stigstore_cursor_next(cursor, &item));
        assert_bytes(numbered("h", i), item->hash);
    }
    assert_status(END, stigstore_cursor_next(cursor, &item));
    stigstore_cursor_free(&cursor);

    request.operation = STIGSTORE_AUDIT_SCAN; /* of the kind, by id, then in order of insertion */
    request.id = TEXT("");
    assert_status(OK, stigstore_cursor_open(store, &request, &cursor, NULL));
    for (unsigned i = 0; i < 5; i++) {
        assert_status(OK, stigstore_cursor_next(cursor, &item));
        assert_bytes(numbered("h", i), item->hash);
    }
    stigstore_cursor_free(&cursor);
}

static void only_lists_have_cursors(void **state)
{
    (void)state;
    stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("i")};
    stigstore_cursor *cursor = NULL;
    stigstore_result *result = NULL;
    assert_status(INVALID_ARGUMENT, stigstore_cursor_open(store, &request, &cursor, &result));
    assert_null(cursor);
    stigstore_result_free(&result);
    stigstore_cursor_free(&cursor);
}

static void a_cursor_outlives_its_handle(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("x"));
    save(kind, TEXT("b"), TEXT("x"));
    stigstore *other = open_another();
    stigstore_cursor *cursor = open_list(other, kind);
    const stigstore_item *item = NULL;
    assert_status(OK, stigstore_cursor_next(cursor, &item));
    stigstore_free(&other);
    assert_status(CLOSED, stigstore_cursor_next(cursor, &item));
    assert_non_null(stigstore_cursor_message(cursor));
    stigstore_cursor_free(&cursor);
}

int cursor_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_is_one_snapshot),
        cmocka_unit_test(a_list_larger_than_a_message_streams),
        cmocka_unit_test(a_cursor_may_be_left_in_the_middle),
        cmocka_unit_test(several_cursors_at_once),
        cmocka_unit_test(a_cursor_over_history),
        cmocka_unit_test(only_lists_have_cursors),
        cmocka_unit_test(a_cursor_outlives_its_handle),
    };
    return cmocka_run_group_tests_name("cursors", tests, NULL, NULL);
}
