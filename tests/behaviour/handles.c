/*
 * handles.c - opening, closing, forking, struct sizes, backup, status.
 */
#include "tests/behaviour/behaviour.h"
#include "tests/support/folder.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void two_handles_see_each_other(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore *other = open_another();
    for (unsigned i = 0; i < 50; i++) {
        stigstore *writer = i % 2 ? store : other, *reader = i % 2 ? other : store;
        stigstore_result *result = NULL;
        assert_status(OK, stigstore_save_resource(writer, kind, TEXT("a"), numbered("", i), NULL));
        assert_status(OK, stigstore_get_resource(reader, kind, TEXT("a"), &result));
        assert_bytes(numbered("", i), result->items[0].data);
        stigstore_result_free(&result);
    }
    stigstore_free(&other);
    assert_stored(kind, TEXT("a"), numbered("", 49));
}

static void after_close_every_call_says_closed(void **state)
{
    (void)state;
    stigstore *other = open_another();
    stigstore_queue *queue = NULL;
    stigstore_cursor *cursor = NULL;
    char *json = NULL;
    stigstore_request list = {STIGSTORE_REQUEST(LIST), .kind = TEXT("k")};
    assert_status(OK, stigstore_close(other));
    assert_status(OK, stigstore_close(other));
    assert_status(CLOSED, stigstore_get_resource(other, TEXT("k"), TEXT("i"), NULL));
    assert_status(CLOSED, stigstore_delete_resources_by_kind(other, TEXT("k"), NULL));
    assert_status(CLOSED, stigstore_flush(other, 10));
    assert_status(CLOSED, stigstore_queue_new(other, &queue));
    assert_status(CLOSED, stigstore_cursor_open(other, &list, &cursor, NULL));
    assert_status(CLOSED, stigstore_status_json(other, &json));
    assert_null(json);
    assert_non_null(stigstore_path(other));
    stigstore_free(&other);
    assert_null(other);
    stigstore_free(&other);
}

static void the_path_is_the_database(void **state)
{
    (void)state;
    assert_string_equal(stigstore_path(store), place.database);
}

static void a_read_only_handle_reads_only(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("x"));
    stigstore_options options = {.struct_size = sizeof(options), .flags = STIGSTORE_OPEN_READ_ONLY};
    stigstore *other = NULL;
    assert_status(OK, stigstore_open(place.url, &options, &other, NULL));
    assert_status(OK, stigstore_get_resource(other, kind, TEXT("a"), NULL));
    assert_status(READ_ONLY, stigstore_save_resource(other, kind, TEXT("a"), TEXT("y"), NULL));
    assert_status(READ_ONLY, stigstore_delete_resource(other, kind, TEXT("a"), NULL));
    stigstore_free(&other);
    assert_stored(kind, TEXT("a"), TEXT("x"));
}

static void a_child_cannot_use_its_parents_handle(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("x"));
    stigstore *other = open_another();
    pid_t pid = fork();
    if (pid == 0) {
        bool right = stigstore_save_resource(other, kind, TEXT("a"), TEXT("y"), NULL) == STIGSTORE_FORKED &&
                     stigstore_get_resource(other, kind, TEXT("a"), NULL) == STIGSTORE_FORKED &&
                     stigstore_close(other) == STIGSTORE_FORKED;
        stigstore_free(&other);
        _exit(right ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_status(OK, stigstore_save_resource(other, kind, TEXT("a"), TEXT("z"), NULL));
    stigstore_free(&other);
    assert_stored(kind, TEXT("a"), TEXT("z"));
}

/* A caller that was built with an older or a newer header. */
static void requests_of_other_sizes(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("x"));
    struct {
        stigstore_request request;
        uint64_t of_the_future[4];
    } larger;
    memset(&larger, 0, sizeof(larger));
    larger.request = (stigstore_request){STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("a")};
    larger.request.struct_size = sizeof(larger);
    assert_status(OK, call_status(&larger.request));
    larger.of_the_future[1] = 1; /* something this library knows nothing of: better refused than ignored */
    assert_status(UNSUPPORTED, call_status(&larger.request));

    size_t small = offsetof(stigstore_request, data);
    stigstore_request *volatile smaller = malloc(small); /* volatile: gcc would warn of what is tested here */
    assert_non_null(smaller);
    memcpy(smaller, &larger.request, small);
    smaller->struct_size = (uint32_t)small;
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_call(store, smaller, &result));
    assert_bytes(TEXT("x"), result->items[0].data);
    smaller->struct_size = 2;
    assert_status(INVALID_ARGUMENT, stigstore_call(store, smaller, &result));
    stigstore_result_free(&result);
    free(smaller);
}

static void a_deadline_that_has_passed(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = NULL;
    assert_status(OK, stigstore_queue_new(store, &queue));
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x"),
                                 .timeout_ms = 1};
    for (unsigned i = 0; i < 100; i++)
        assert_status(OK, stigstore_submit(queue, &request, i, NULL));
    unsigned applied = 0;
    for (unsigned seen = 0; seen < 100;) {
        stigstore_result *results[16] = {NULL};
        size_t number = 0;
        assert_status(OK, stigstore_queue_wait(queue, results, 16, 30000, &number));
        for (size_t i = 0; i < number; i++) {
            int status = results[i]->status;
            bool never_left = place.way != WAY_EMBEDDED && status == STIGSTORE_UNAVAILABLE;
            assert_true(status == STIGSTORE_OK || status == STIGSTORE_DEADLINE_EXCEEDED || never_left);
            applied += status == STIGSTORE_OK;
        }
        seen += (unsigned)number;
        stigstore_results_free(results, number);
    }
    stigstore_queue_free(&queue);
    /* Whatever became of them, what the handle does afterwards comes last. */
    save(kind, TEXT("a"), TEXT("after"));
    assert_stored(kind, TEXT("a"), TEXT("after"));
    assert_in_range(applied, 0, 100);
}

static void a_backup_opens_and_is_another_store(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("x"));
    archive(kind, TEXT("a"), "v", "h", "t");
    char *folder = folder_new(), *path = folder_path(folder, "copy.sqlite");
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_backup(store, path, &result));
    uint64_t revision = result->revision;
    assert_true(revision > 0);
    assert_int_not_equal(stigstore_backup(store, path, &result), STIGSTORE_OK); /* it must not exist */
    assert_status(INVALID_ARGUMENT, stigstore_backup(store, "relative.sqlite", &result));
    save(kind, TEXT("a"), TEXT("y"));

    stigstore *copy = NULL;
    assert_status(OK, stigstore_open(path, NULL, &copy, NULL));
    assert_status(OK, stigstore_get_resource(copy, kind, TEXT("a"), &result));
    assert_bytes(TEXT("x"), result->items[0].data);
    assert_int_equal(result->revision, revision);
    assert_status(OK, stigstore_get_audit_by_hash(copy, kind, TEXT("a"), TEXT("h"), &result));
    stigstore_free(&copy);
    stigstore_result_free(&result);
    free(path);
    folder_remove(&folder);
}

static void status_is_one_json_object(void **state)
{
    (void)state;
    char *json = NULL;
    assert_status(OK, stigstore_status_json(store, &json));
    assert_int_equal(json[0], '{');
    assert_int_equal(json[strlen(json) - 1], '}');
    assert_non_null(strstr(json, "\"revision\""));
    stigstore_memory_free(json);
}

static void statuses_have_names_and_columns(void **state)
{
    (void)state;
    assert_string_equal(stigstore_status_name(STIGSTORE_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(stigstore_status_name(128), "UNKNOWN");
    assert_int_equal(stigstore_status_applied(STIGSTORE_OK), STIGSTORE_APPLIED_YES);
    assert_int_equal(stigstore_status_applied(STIGSTORE_DEADLINE_EXCEEDED), STIGSTORE_APPLIED_MAYBE);
    assert_int_equal(stigstore_status_advice(STIGSTORE_OVERLOADED), STIGSTORE_ADVICE_LATER);
    assert_string_equal(stigstore_version(), "0.1.0");
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    stigstore *other = (stigstore *)place.folder; /* must be nulled */
    stigstore_result *result = NULL;
    assert_status(UNSUPPORTED, stigstore_open("gopher://x", NULL, &other, &result));
    assert_null(other);
    assert_true(strlen(result->message) > 0);
    stigstore_options options = {.struct_size = sizeof(options), .flags = STIGSTORE_OPEN_MUST_EXIST};
    char *path = folder_path(place.folder, "absent.sqlite");
    assert_status(NOT_FOUND, stigstore_open(path, &options, &other, &result));
    assert_int_not_equal(access(path, F_OK), 0);
    options.flags = 1u << 30;
    assert_status(UNSUPPORTED, stigstore_open(place.url, &options, &other, &result));
    stigstore_result_free(&result);
    free(path);
}

int handle_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_handles_see_each_other),
        cmocka_unit_test(after_close_every_call_says_closed),
        cmocka_unit_test(the_path_is_the_database),
        cmocka_unit_test(a_read_only_handle_reads_only),
        cmocka_unit_test(a_child_cannot_use_its_parents_handle),
        cmocka_unit_test(requests_of_other_sizes),
        cmocka_unit_test(a_deadline_that_has_passed),
        cmocka_unit_test(a_backup_opens_and_is_another_store),
        cmocka_unit_test(status_is_one_json_object),
        cmocka_unit_test(statuses_have_names_and_columns),
        cmocka_unit_test(what_cannot_be_opened_says_why),
    };
    return cmocka_run_group_tests_name("handles", tests, NULL, NULL);
}
