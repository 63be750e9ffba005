/*
 * misuse.c - what callers do wrong gets a status and changes nothing; conditions and deadlines of updates.
 */
#include "tests/behaviour/behaviour.h"

#include <stdlib.h>

static void what_is_missing_is_a_wrong_argument(void **state)
{
    (void)state;
    stigstore_result *results[1] = {NULL};
    const stigstore_item *item = NULL;
    stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a")};
    uint64_t ticket = 0;
    size_t filled = 0;
    assert_status(INVALID_ARGUMENT, stigstore_open(place.url, NULL, NULL, NULL));
    assert_status(INVALID_ARGUMENT, stigstore_close(NULL));
    assert_string_equal(stigstore_path(NULL), "");
    assert_status(INVALID_ARGUMENT, stigstore_status_json(store, NULL));
    assert_status(INVALID_ARGUMENT, stigstore_queue_new(store, NULL));
    assert_status(INVALID_ARGUMENT, stigstore_submit(NULL, &request, 0, &ticket));
    assert_status(INVALID_ARGUMENT, stigstore_cancel(NULL, 1));
    assert_status(INVALID_ARGUMENT, stigstore_queue_more(NULL, 1));
    assert_status(INVALID_ARGUMENT, stigstore_queue_wake(NULL));
    assert_status(INVALID_ARGUMENT, stigstore_queue_wait(NULL, results, 1, 0, &filled));
    assert_int_equal(stigstore_queue_fd(NULL), -1);
    assert_status(INVALID_ARGUMENT, stigstore_cursor_next(NULL, &item));
    assert_string_equal(stigstore_cursor_message(NULL), stigstore_status_text(STIGSTORE_INVALID_ARGUMENT));
}

static void assert_not_opened(const stigstore_options *options, const char *word)
{
    stigstore *opened = NULL;
    stigstore_result *result = NULL;
    assert_status(INVALID_ARGUMENT, stigstore_open(place.url, options, &opened, &result));
    assert_null(opened);
    assert_non_null(strstr(result->message, word));
    stigstore_result_free(&result);
}

static void options_beyond_their_bounds(void **state)
{
    (void)state;
    stigstore_options large = {.struct_size = sizeof(large), .max_data_bytes = (UINT64_C(64) << 20) + 1};
    stigstore_options many = {.struct_size = sizeof(many), .max_in_flight = 65537};
    assert_not_opened(&large, "max_data_bytes");
    assert_not_opened(&many, "max_in_flight");
}

static void requests_that_are_none(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_request flagged = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .flags = 1u << 20};
    assert_status(INVALID_ARGUMENT, call_status(&flagged));
    stigstore_request part = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x")};
    stigstore_request whole = {STIGSTORE_REQUEST(TRANSACT), .parts = &part, .part_count = 1};
    part.parts = &flagged;
    part.part_count = 1;
    assert_status(INVALID_ARGUMENT, call_status(&whole)); /* a part has parts */
    part.part_count = 0;
    part.flags = 1u << 20;
    assert_status(INVALID_ARGUMENT, call_status(&whole));
    part.flags = 0;
    whole.part_count = 1025;
    assert_status(INVALID_ARGUMENT, call_status(&whole));
    whole = (stigstore_request){STIGSTORE_REQUEST(TRANSACT), .part_count = 1};
    assert_status(INVALID_ARGUMENT, call_status(&whole));
    assert_absent(kind, TEXT("a"));
}

static void a_handle_for_reading_changes_nothing(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_options options = {.struct_size = sizeof(options), .flags = STIGSTORE_OPEN_READ_ONLY};
    stigstore *reading = NULL;
    stigstore_queue *queue = NULL;
    stigstore_result *result = NULL;
    size_t filled = 0;
    char path[256];
    assert_status(OK, stigstore_open(place.url, &options, &reading, NULL));
    assert_status(OK, stigstore_queue_new(reading, &queue));
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x")};
    assert_status(OK, stigstore_submit(queue, &request, 7, NULL));
    assert_status(OK, stigstore_queue_wait(queue, &result, 1, 60000, &filled));
    assert_int_equal(filled, 1);
    assert_status(READ_ONLY, result->status);
    assert_int_equal(result->user, 7);
    snprintf(path, sizeof(path), "%s/copy.sqlite", place.folder);
    assert_status(READ_ONLY, stigstore_backup(reading, path, &result));
    stigstore_result_free(&result);
    stigstore_queue_free(&queue);
    stigstore_free(&reading);
    assert_absent(kind, TEXT("a"));
}

/* ---- updates ---- */

struct change {
    int calls;
    stigstore_decision decision;
    stigstore_bytes kind;
};

static stigstore_decision decide(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    struct change *change = context;
    (void)current;
    change->calls++;
    *data = TEXT("new");
    return change->decision;
}

static void an_update_looks_at_its_condition(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    struct change change = {.decision = STIGSTORE_UPDATE_SAVE};
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"),
                                 .condition = STIGSTORE_IF_ABSENT};
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_update(store, &request, decide, &change, &result));
    uint64_t revision = result->revision;
    assert_status(CONFLICT, stigstore_update(store, &request, decide, &change, &result));
    assert_int_equal(result->revision, revision);
    request.condition = STIGSTORE_IF_REVISION;
    request.if_revision = revision + 1;
    assert_status(CONFLICT, stigstore_update(store, &request, decide, &change, &result));
    assert_int_equal(change.calls, 1);
    request.if_revision = revision;
    assert_status(OK, stigstore_update(store, &request, decide, &change, &result));
    assert_int_equal(change.calls, 2);
    stigstore_result_free(&result);
}

static void updates_that_are_none(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    struct change change = {.decision = (stigstore_decision)99};
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a")};
    assert_status(INVALID_ARGUMENT, stigstore_update(store, &request, decide, &change, NULL));
    assert_int_equal(change.calls, 1);
    assert_status(INVALID_ARGUMENT, stigstore_update(store, &request, NULL, &change, NULL));
    request.data = TEXT("the callback's to say");
    assert_status(INVALID_ARGUMENT, stigstore_update(store, &request, decide, &change, NULL));
    request = (stigstore_request){STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("a")};
    assert_status(INVALID_ARGUMENT, stigstore_update(store, &request, decide, &change, NULL));
    request = (stigstore_request){STIGSTORE_REQUEST(SAVE), .id = TEXT("a")};
    assert_status(INVALID_ARGUMENT, stigstore_update(store, &request, decide, &change, NULL));
    assert_int_equal(change.calls, 1);
    assert_absent(kind, TEXT("a"));
}

/* Somebody else is always faster. */
static stigstore_decision lose(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    struct change *change = context;
    save(change->kind, TEXT("a"), TEXT("theirs"));
    return decide(context, current, data);
}

static void an_update_that_always_loses_ends_at_its_deadline(void **state)
{
    (void)state;
    struct change change = {.decision = STIGSTORE_UPDATE_SAVE, .kind = fresh_kind()};
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = change.kind, .id = TEXT("a"), .timeout_ms = 300};
    stigstore_result *result = NULL;
    int status = stigstore_update(store, &request, lose, &change, &result);
    if (status != STIGSTORE_UNAVAILABLE) /* its last request never left */
        assert_status(DEADLINE_EXCEEDED, status);
    assert_true(change.calls > 0);
    assert_stored(change.kind, TEXT("a"), TEXT("theirs"));
    stigstore_result_free(&result);
}

int misuse_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_a_wrong_argument),
        cmocka_unit_test(options_beyond_their_bounds),
        cmocka_unit_test(requests_that_are_none),
        cmocka_unit_test(a_handle_for_reading_changes_nothing),
        cmocka_unit_test(an_update_looks_at_its_condition),
        cmocka_unit_test(updates_that_are_none),
        cmocka_unit_test(an_update_that_always_loses_ends_at_its_deadline),
    };
    return cmocka_run_group_tests_name("misuse", tests, NULL, NULL);
}
