/*
 * client_embedded.c - the operations of the library on a file of its own.
 */
#include "client/result.h"
#include "tests/unit/client_fixture.h"

#include <pthread.h>

/* ---- resources ---- */

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
    assert_memory_equal(result->items[0].kind.data, "skill", 5);
    assert_memory_equal(result->items[0].id.data, "a/%_*?[]\\b", 10);
    assert_int_equal(result->items[0].revision, 1);
    assert_true(result->items[0].updated_ms > 0);
    assert_int_equal(stigstore_get_resource(store, TEXT("skill"), TEXT("none"), &result), STIGSTORE_NOT_FOUND);
    assert_int_equal(result->item_count, 0);
    stigstore_result_free(&result);
}

static void empty_data_has_a_pointer(void **state)
{
    stigstore_result *result = NULL;

    save(store_of(state), "skill", "empty", "");
    assert_int_equal(stigstore_get_resource(store_of(state), TEXT("skill"), TEXT("empty"), &result), STIGSTORE_OK);
    assert_int_equal(result->items[0].data.size, 0);
    assert_non_null(result->items[0].data.data);
    stigstore_result_free(&result);
}

static void a_result_outlives_what_it_was_asked_with(void **state)
{
    stigstore *store = store_of(state);
    stigstore_result *result = NULL;
    char *kind = strdup("skill"), *id = strdup("kept");

    save(store, kind, id, "data");
    assert_int_equal(stigstore_get_resource(store, stigstore_text(kind), stigstore_text(id), &result), STIGSTORE_OK);
    memset(kind, 'x', 5);
    memset(id, 'x', 4);
    free(kind);
    free(id);
    assert_memory_equal(result->items[0].kind.data, "skill", 5);
    assert_memory_equal(result->items[0].id.data, "kept", 4);
    stigstore_result_free(&result);
}

static void data_is_limited(void **state)
{
    stigstore *store = store_of(state);
    size_t limit = 4u << 20;
    char *data = calloc(1, limit + 1);

    assert_int_equal(stigstore_save_resource(store, TEXT("skill"), TEXT("big"), (stigstore_bytes){data, limit}, NULL),
                     STIGSTORE_OK);
    assert_int_equal(
        stigstore_save_resource(store, TEXT("skill"), TEXT("big"), (stigstore_bytes){data, limit + 1}, NULL),
        STIGSTORE_TOO_LARGE);
    free(data);
}

static void what_is_against_the_rules_is_refused(void **state)
{
    stigstore *store = store_of(state);
    stigstore_result *result = NULL;

    assert_int_equal(stigstore_save_resource(store, TEXT("skill"), TEXT("a\0b"), TEXT("x"), &result),
                     STIGSTORE_INVALID_ARGUMENT);
    assert_non_null(strstr(result->message, "id"));
    assert_int_equal(stigstore_save_resource(store, TEXT(""), TEXT("a"), TEXT("x"), &result),
                     STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(stigstore_save_resource(store, TEXT("skill"), TEXT("a"), (stigstore_bytes){NULL, 3}, &result),
                     STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(run(store, &(stigstore_request){.operation = STIGSTORE_GET}, NULL), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(run(store, &(stigstore_request){.struct_size = sizeof(stigstore_request), .operation = 100}, NULL),
                     STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(run(store, NULL, NULL), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(stigstore_call(NULL, NULL, &result), STIGSTORE_INVALID_ARGUMENT);
    assert_non_null(result->message);
    stigstore_result_free(&result);
    assert_int_equal(count_of(store, "skill"), 0);
}

static void structs_of_other_sizes_are_read(void **state)
{
    struct {
        stigstore_request request;
        uint64_t later;
    } larger = {.request = {STIGSTORE_REQUEST(GET), .kind = TEXT("skill"), .id = TEXT("a")}};
    stigstore_request smaller = {STIGSTORE_REQUEST(GET), .kind = TEXT("skill"), .id = TEXT("a")};

    save(store_of(state), "skill", "a", "x");
    larger.request.struct_size = sizeof(larger);
    assert_int_equal(run(store_of(state), &larger.request, NULL), STIGSTORE_OK);
    larger.later = 1;
    assert_int_equal(run(store_of(state), &larger.request, NULL), STIGSTORE_UNSUPPORTED);
    smaller.struct_size = offsetof(stigstore_request, data);
    smaller.data = TEXT("not seen");
    assert_int_equal(run(store_of(state), &smaller, NULL), STIGSTORE_OK);
    smaller.struct_size = sizeof(smaller);
    assert_int_equal(run(store_of(state), &smaller, NULL), STIGSTORE_INVALID_ARGUMENT);
}

static void parts_of_a_larger_struct_are_read(void **state)
{
    struct larger {
        stigstore_request request;
        uint64_t later;
    } parts[2] = {{.request = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("skill"), .id = TEXT("a"), .data = TEXT("1")}},
                  {.request = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("skill"), .id = TEXT("b"), .data = TEXT("2")}}};

    parts[0].request.struct_size = parts[1].request.struct_size = sizeof(struct larger);
    assert_int_equal(run(store_of(state),
                         &(stigstore_request){STIGSTORE_REQUEST(TRANSACT), .parts = &parts[0].request, .part_count = 2},
                         NULL),
                     STIGSTORE_OK);
    assert_data(store_of(state), "skill", "a", "1");
    assert_data(store_of(state), "skill", "b", "2");
}

static void conditions_hold_or_conflict(void **state)
{
    stigstore *store = store_of(state);
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("a"), .data = TEXT("1")};
    uint64_t revision, other;

    request.condition = STIGSTORE_IF_EXISTS;
    assert_int_equal(run(store, &request, &revision), STIGSTORE_CONFLICT);
    assert_int_equal(revision, 0);
    request.condition = STIGSTORE_IF_ABSENT;
    assert_int_equal(run(store, &request, &revision), STIGSTORE_OK);
    assert_int_equal(run(store, &request, &other), STIGSTORE_CONFLICT);
    assert_int_equal(other, revision);
    request.condition = STIGSTORE_IF_REVISION;
    request.if_revision = revision;
    assert_int_equal(run(store, &request, &other), STIGSTORE_OK);
    assert_int_equal(other, revision + 1);
    assert_int_equal(run(store, &request, &other), STIGSTORE_CONFLICT);
    assert_int_equal(other, revision + 1);
}

static void a_transaction_whose_last_part_fails_changes_nothing(void **state)
{
    stigstore *store = store_of(state);
    stigstore_result *result = NULL;
    const stigstore_request parts[] = {
        {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("a"), .data = TEXT("2")},
        {STIGSTORE_REQUEST(AUDIT_SAVE), .kind = TEXT("k"), .id = TEXT("a"), .data = TEXT("2"), .hash = TEXT("h")},
        {STIGSTORE_REQUEST(CHECK), .kind = TEXT("k"), .id = TEXT("none"), .condition = STIGSTORE_IF_EXISTS},
    };

    save(store, "k", "a", "1");
    assert_int_equal(stigstore_call(store,
                                    &(stigstore_request){STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = 3},
                                    &result),
                     STIGSTORE_CONFLICT);
    assert_int_equal(result->failed_part, 2);
    assert_data(store, "k", "a", "1");
    assert_int_equal(stigstore_list_audit_history(store, TEXT("k"), TEXT("a"), &result), STIGSTORE_OK);
    assert_int_equal(result->item_count, 0);
    assert_int_equal(stigstore_save_resource(store, TEXT("k"), TEXT("a"), TEXT("3"), &result), STIGSTORE_OK);
    assert_int_equal(result->revision, 2);
    stigstore_result_free(&result);
}

static void many_are_read_at_once_in_the_order_asked(void **state)
{
    stigstore *store = store_of(state);
    stigstore_result *result = NULL;
    const stigstore_request parts[] = {{STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("b")},
                                       {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("none")},
                                       {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a")}};

    save(store, "k", "a", "1");
    save(store, "k", "b", "2");
    assert_int_equal(stigstore_call(store,
                                    &(stigstore_request){STIGSTORE_REQUEST(GET_MANY), .parts = parts, .part_count = 3},
                                    &result),
                     STIGSTORE_OK);
    assert_int_equal(result->item_count, 3);
    assert_memory_equal(result->items[0].data.data, "2", 1);
    assert_int_equal(result->items[1].status, STIGSTORE_NOT_FOUND);
    assert_memory_equal(result->items[2].data.data, "1", 1);
    stigstore_result_free(&result);
}

static void a_list_is_in_bytewise_order(void **state)
{
    stigstore *store = store_of(state);
    stigstore_result *result = NULL;
    char id[16];

    for (int i = 9999; i >= 0; i--) {
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .data = TEXT("x")};
        snprintf(id, sizeof(id), "%04d", i);
        request.id = stigstore_text(id);
        assert_int_equal(run(store, &request, NULL), STIGSTORE_OK);
    }
    assert_int_equal(stigstore_list_resources(store, TEXT("k"), &result), STIGSTORE_OK);
    assert_int_equal(result->item_count, 10000);
    for (int i = 0; i < 10000; i++) {
        snprintf(id, sizeof(id), "%04d", i);
        assert_memory_equal(result->items[i].id.data, id, 4);
    }
    assert_int_equal(stigstore_delete_resources_by_id_prefix(store, TEXT("k"), TEXT("00"), &result), STIGSTORE_OK);
    assert_int_equal(result->count, 100);
    assert_int_equal(stigstore_delete_resources_by_id_prefix(store, TEXT("k"), TEXT("x"), &result), STIGSTORE_OK);
    assert_int_equal(result->count, 0);
    assert_int_equal(stigstore_delete_resources_by_kind(store, TEXT("k"), &result), STIGSTORE_OK);
    assert_int_equal(result->count, 9900);
    stigstore_result_free(&result);
}

/* ---- audit ---- */

static void audit_is_found_by_hash_and_tag_and_goes_with_its_resource(void **state)
{
    stigstore *store = store_of(state);
    stigstore_result *result = NULL;
    stigstore_bytes kind = TEXT("k"), id = TEXT("a");

    assert_int_equal(stigstore_save_audit(store, kind, id, TEXT("v1"), TEXT("h1"), TEXT("stable"), NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_save_audit(store, kind, id, TEXT("v2"), TEXT("h2"), TEXT("stable"), NULL), STIGSTORE_OK);
    save(store, "k", "a", "x");
    save(store, "k", "a", "y");
    assert_int_equal(stigstore_get_audit_by_tag(store, kind, id, TEXT("stable"), &result), STIGSTORE_OK);
    assert_memory_equal(result->items[0].data.data, "v2", 2);
    assert_int_equal(stigstore_get_audit_by_hash(store, kind, id, TEXT("h1"), &result), STIGSTORE_OK);
    assert_memory_equal(result->items[0].data.data, "v1", 2);
    assert_int_equal(stigstore_list_audit_history(store, kind, id, &result), STIGSTORE_OK);
    assert_int_equal(result->item_count, 2);
    assert_memory_equal(result->items[0].hash.data, "h2", 2);
    assert_int_equal(stigstore_delete_resource(store, kind, id, &result), STIGSTORE_OK);
    assert_int_equal(result->count, 1);
    assert_int_equal(stigstore_get_audit_by_hash(store, kind, id, TEXT("h1"), &result), STIGSTORE_NOT_FOUND);
    assert_int_equal(stigstore_delete_audit_by_resource_id(store, kind, id, &result), STIGSTORE_OK);
    assert_int_equal(result->count, 0);
    stigstore_result_free(&result);
}

/* ---- update ---- */

struct adding {
    stigstore *store;
    char text[32];
    int calls;
    stigstore_decision decision;
    const char *interferes; /* saved by the callback itself, once */
};

static stigstore_decision add_one(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    struct adding *adding = context;
    long before = current ? strtol(current->data.data, NULL, 10) : 0;

    adding->calls++;
    if (adding->interferes) {
        save(adding->store, "k", "n", adding->interferes);
        adding->interferes = NULL;
    }
    snprintf(adding->text, sizeof(adding->text), "%ld", before + 1);
    *data = (stigstore_bytes){adding->text, strlen(adding->text) + 1};
    return adding->decision;
}

#define COUNTER                                                     \
    {                                                               \
        STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("n") \
    }

static void an_update_starts_over_when_somebody_was_faster(void **state)
{
    struct adding adding = {.store = store_of(state), .interferes = "41"};

    assert_int_equal(stigstore_update(adding.store, &(stigstore_request)COUNTER, add_one, &adding, NULL), STIGSTORE_OK);
    assert_int_equal(adding.calls, 2);
    assert_string_equal(adding.text, "42");
}

static void an_update_does_what_its_callback_decides(void **state)
{
    struct adding adding = {.store = store_of(state), .decision = STIGSTORE_UPDATE_ABORT};
    stigstore_request request = COUNTER;
    stigstore_result *result = NULL;

    assert_int_equal(stigstore_update(adding.store, &request, add_one, &adding, NULL), STIGSTORE_ABORTED);
    assert_absent(adding.store, "k", "n");
    save(adding.store, "k", "n", "5");
    adding.decision = STIGSTORE_UPDATE_KEEP;
    assert_int_equal(stigstore_update(adding.store, &request, add_one, &adding, &result), STIGSTORE_OK);
    assert_int_equal(result->revision, 1);
    assert_data(adding.store, "k", "n", "5");
    adding.decision = STIGSTORE_UPDATE_DELETE;
    assert_int_equal(stigstore_update(adding.store, &request, add_one, &adding, NULL), STIGSTORE_OK);
    assert_absent(adding.store, "k", "n");
    adding.calls = 0;
    request.condition = STIGSTORE_IF_EXISTS;
    assert_int_equal(stigstore_update(adding.store, &request, add_one, &adding, &result), STIGSTORE_CONFLICT);
    assert_int_equal(result->revision, 0);
    assert_int_equal(adding.calls, 0);
    stigstore_result_free(&result);
}

static void a_key_makes_an_update_happen_once(void **state)
{
    struct adding adding = {.store = store_of(state)};
    stigstore_request request = COUNTER;
    stigstore_result *result = NULL;

    request.idempotency_key = TEXT("workflow/run/1");
    assert_int_equal(stigstore_update(adding.store, &request, add_one, &adding, NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_update(adding.store, &request, add_one, &adding, &result), STIGSTORE_OK);
    assert_true(result->flags & STIGSTORE_REPLAYED);
    assert_int_equal(result->revision, 1);
    assert_int_equal(adding.calls, 1);
    request.id = TEXT("other");
    assert_int_equal(stigstore_update(adding.store, &request, add_one, &adding, NULL), STIGSTORE_IDEMPOTENCY_MISMATCH);
    stigstore_result_free(&result);
}

static void *add_many(void *context)
{
    struct adding adding = {.store = context};
    stigstore_request request = COUNTER;

    request.timeout_ms = 60000;
    for (int i = 0; i < 100; i++)
        if (stigstore_update(adding.store, &request, add_one, &adding, NULL) != STIGSTORE_OK)
            return context;
    return NULL;
}

static void updates_of_many_threads_are_exact(void **state)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    void *failed = NULL;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, store_of(state)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        failed = result ? result : failed;
    }
    assert_null(failed);
    struct adding adding = {.store = store_of(state)};
    assert_int_equal(stigstore_update(adding.store, &(stigstore_request)COUNTER, add_one, &adding, NULL), STIGSTORE_OK);
    assert_string_equal(adding.text, "801");
}

/* Such a reply could come from a service that is newer. */
static void a_status_that_callers_do_not_have_is_internal(void **state)
{
    const int statuses[] = {STATUS_NOT_READ, STATUS_OUT_OF_ORDER, STATUS_INTERNAL + 1, -1};
    struct result_box *box = result_new();

    (void)state;
    assert_non_null(box);
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        result_copy(box, &(struct reply){.status = statuses[i]}, false);
        assert_int_equal(box->open.status, STIGSTORE_INTERNAL);
        assert_string_equal(box->open.message, stigstore_status_text(STIGSTORE_INTERNAL));
    }
    result_free(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_saved_resource_is_read_back_bit_for_bit),
        STORE_TEST(empty_data_has_a_pointer),
        STORE_TEST(a_result_outlives_what_it_was_asked_with),
        STORE_TEST(data_is_limited),
        STORE_TEST(what_is_against_the_rules_is_refused),
        STORE_TEST(structs_of_other_sizes_are_read),
        STORE_TEST(parts_of_a_larger_struct_are_read),
        STORE_TEST(conditions_hold_or_conflict),
        STORE_TEST(a_transaction_whose_last_part_fails_changes_nothing),
        STORE_TEST(many_are_read_at_once_in_the_order_asked),
        STORE_TEST(a_list_is_in_bytewise_order),
        STORE_TEST(audit_is_found_by_hash_and_tag_and_goes_with_its_resource),
        STORE_TEST(an_update_starts_over_when_somebody_was_faster),
        STORE_TEST(an_update_does_what_its_callback_decides),
        STORE_TEST(a_key_makes_an_update_happen_once),
        STORE_TEST(updates_of_many_threads_are_exact),
        cmocka_unit_test(a_status_that_callers_do_not_have_is_internal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
