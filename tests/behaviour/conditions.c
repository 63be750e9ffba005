/*
 * conditions.c - conditions, transact, update, idempotency keys, revisions.
 */
#include "tests/behaviour/behaviour.h"

#include <stdlib.h>

static stigstore_result *conditional(uint32_t operation, stigstore_bytes kind, stigstore_bytes id, uint32_t condition,
                                     uint64_t if_revision)
{
    stigstore_request request = {.struct_size = sizeof(request),
                                 .operation = operation,
                                 .kind = kind,
                                 .id = id,
                                 .condition = condition,
                                 .if_revision = if_revision};
    if (operation == STIGSTORE_SAVE)
        request.data = TEXT("changed");
    return call(&request);
}

static void expect_outcome(stigstore_result *result, int status, uint64_t revision)
{
    assert_int_equal(result->status, status);
    assert_int_equal(result->revision, revision);
    stigstore_result_free(&result);
}

static void a_failed_condition_changes_nothing_and_tells_the_revision(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    uint64_t revision = save(kind, TEXT("a"), TEXT("first"));
    expect_outcome(conditional(STIGSTORE_SAVE, kind, TEXT("a"), STIGSTORE_IF_ABSENT, 0), STIGSTORE_CONFLICT, revision);
    expect_outcome(conditional(STIGSTORE_SAVE, kind, TEXT("b"), STIGSTORE_IF_EXISTS, 0), STIGSTORE_CONFLICT, 0);
    expect_outcome(conditional(STIGSTORE_SAVE, kind, TEXT("a"), STIGSTORE_IF_REVISION, revision + 1),
                   STIGSTORE_CONFLICT, revision);
    expect_outcome(conditional(STIGSTORE_SAVE, kind, TEXT("b"), STIGSTORE_IF_REVISION, 1), STIGSTORE_CONFLICT, 0);
    expect_outcome(conditional(STIGSTORE_DELETE, kind, TEXT("a"), STIGSTORE_IF_REVISION, revision + 1),
                   STIGSTORE_CONFLICT, revision);
    assert_stored(kind, TEXT("a"), TEXT("first"));
    assert_absent(kind, TEXT("b"));
    expect_outcome(conditional(STIGSTORE_SAVE, kind, TEXT("a"), STIGSTORE_IF_REVISION, revision), STIGSTORE_OK,
                   revision + 1);
    expect_outcome(conditional(STIGSTORE_SAVE, kind, TEXT("b"), STIGSTORE_IF_ABSENT, 0), STIGSTORE_OK, revision + 2);
    expect_outcome(conditional(STIGSTORE_SAVE, kind, TEXT("b"), STIGSTORE_IF_EXISTS, 0), STIGSTORE_OK, revision + 3);
    expect_outcome(conditional(STIGSTORE_DELETE, kind, TEXT("b"), STIGSTORE_IF_REVISION, revision + 3), STIGSTORE_OK,
                   revision + 4);
    assert_stored(kind, TEXT("a"), TEXT("changed"));
    assert_absent(kind, TEXT("b"));
}

static void a_transaction_takes_one_revision(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    uint64_t revision = save(kind, TEXT("old"), TEXT("x"));
    stigstore_request parts[] = {
        {STIGSTORE_REQUEST(CHECK), .kind = kind, .id = TEXT("old"), .condition = STIGSTORE_IF_REVISION,
         .if_revision = revision},
        {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("A"), .condition = STIGSTORE_IF_ABSENT},
        {STIGSTORE_REQUEST(AUDIT_SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("A"), .hash = TEXT("h"),
         .tag = TEXT("t")},
        {STIGSTORE_REQUEST(DELETE), .kind = kind, .id = TEXT("old")}};
    stigstore_request request = {STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = 4};
    expect_outcome(call(&request), STIGSTORE_OK, revision + 1);
    assert_stored(kind, TEXT("a"), TEXT("A"));
    assert_absent(kind, TEXT("old"));
    assert_status(OK, stigstore_get_audit_by_tag(store, kind, TEXT("a"), TEXT("t"), NULL));
}

static void a_transaction_whose_last_part_fails_changes_nothing(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    uint64_t revision = save(kind, TEXT("kept"), TEXT("first"));
    archive(kind, TEXT("kept"), "v", "h1", "t1");
    stigstore_request parts[] = {
        {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("new"), .data = TEXT("x")},
        {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("kept"), .data = TEXT("second")},
        {STIGSTORE_REQUEST(AUDIT_SAVE), .kind = kind, .id = TEXT("kept"), .data = TEXT("x"), .hash = TEXT("h2")},
        {STIGSTORE_REQUEST(AUDIT_DELETE), .kind = kind, .id = TEXT("kept")},
        {STIGSTORE_REQUEST(CHECK), .kind = kind, .id = TEXT("new"), .condition = STIGSTORE_IF_ABSENT}};
    stigstore_request request = {STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = 5};
    stigstore_result *result = call(&request);
    assert_status(CONFLICT, result->status);
    assert_int_equal(result->failed_part, 4);
    assert_stored(kind, TEXT("kept"), TEXT("first"));
    assert_absent(kind, TEXT("new"));
    assert_status(NOT_FOUND, stigstore_get_audit_by_hash(store, kind, TEXT("kept"), TEXT("h2"), NULL));
    assert_status(OK, stigstore_list_audit_history(store, kind, TEXT("kept"), &result));
    assert_int_equal(result->item_count, 1);
    stigstore_result_free(&result);
    assert_int_equal(save(kind, TEXT("next"), TEXT("x")), revision + 2); /* the archive's, then this one's */
}

static void a_transaction_is_judged_as_a_whole(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_request parts[] = {{STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x")},
                                 {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a\nb"), .data = TEXT("x")}};
    stigstore_request request = {STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = 2};
    assert_status(INVALID_ARGUMENT, call_status(&request));
    parts[1] = (stigstore_request){STIGSTORE_REQUEST(GET), .kind = kind, .id = TEXT("a")};
    assert_status(INVALID_ARGUMENT, call_status(&request));
    request.part_count = 0;
    assert_status(INVALID_ARGUMENT, call_status(&request));
    assert_absent(kind, TEXT("a"));
}

struct change {
    int calls;
    stigstore_decision decision;
    stigstore_bytes kind;
    char buffer[64];
};

static stigstore_decision append_x(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    struct change *change = context;
    size_t size = current ? current->data.size : 0;
    change->calls++;
    if (size)
        memcpy(change->buffer, current->data.data, size);
    change->buffer[size] = 'x';
    *data = (stigstore_bytes){change->buffer, size + 1};
    return change->decision;
}

static void an_update_saves_deletes_keeps_or_aborts(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    struct change change = {.decision = STIGSTORE_UPDATE_SAVE};
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a")};
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_update(store, &request, append_x, &change, &result));
    assert_status(OK, stigstore_update(store, &request, append_x, &change, &result));
    assert_stored(kind, TEXT("a"), TEXT("xx"));
    uint64_t revision = result->revision;
    change.decision = STIGSTORE_UPDATE_KEEP;
    assert_status(OK, stigstore_update(store, &request, append_x, &change, &result));
    change.decision = STIGSTORE_UPDATE_ABORT;
    assert_status(ABORTED, stigstore_update(store, &request, append_x, &change, &result));
    assert_stored(kind, TEXT("a"), TEXT("xx"));
    change.decision = STIGSTORE_UPDATE_DELETE;
    assert_status(OK, stigstore_update(store, &request, append_x, &change, &result));
    assert_int_equal(result->revision, revision + 1);
    assert_absent(kind, TEXT("a"));
    assert_int_equal(change.calls, 5);
    request.condition = STIGSTORE_IF_EXISTS;
    assert_status(CONFLICT, stigstore_update(store, &request, append_x, &change, &result));
    assert_int_equal(change.calls, 5);
    stigstore_result_free(&result);
}

/* Changes the resource behind the update's back the first time, so that it has to read again. */
static stigstore_decision interfere(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    struct change *change = context;
    if (change->calls == 0)
        save(change->kind, TEXT("a"), TEXT("between"));
    return append_x(context, current, data);
}

static void an_update_reads_again_when_somebody_was_faster(void **state)
{
    (void)state;
    struct change change = {.decision = STIGSTORE_UPDATE_SAVE, .kind = fresh_kind()};
    save(change.kind, TEXT("a"), TEXT("before"));
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = change.kind, .id = TEXT("a")};
    assert_status(OK, stigstore_update(store, &request, interfere, &change, NULL));
    assert_int_equal(change.calls, 2);
    assert_stored(change.kind, TEXT("a"), TEXT("betweenx"));
}

static stigstore_request keyed_save(stigstore_bytes kind, stigstore_bytes data, stigstore_bytes key)
{
    return (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = data,
                               .idempotency_key = key};
}

static void a_key_is_applied_once(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_request request = keyed_save(kind, TEXT("one"), kind);
    stigstore_result *result = call(&request);
    assert_status(OK, result->status);
    assert_false(result->flags & STIGSTORE_REPLAYED);
    uint64_t revision = result->revision;
    stigstore_result_free(&result);

    save(kind, TEXT("a"), TEXT("two"));
    result = call(&request);
    assert_status(OK, result->status);
    assert_true(result->flags & STIGSTORE_REPLAYED);
    assert_int_equal(result->revision, revision);
    stigstore_result_free(&result);
    assert_stored(kind, TEXT("a"), TEXT("two"));

    stigstore_request lookup = {STIGSTORE_REQUEST(KEY_LOOKUP), .idempotency_key = kind};
    result = call(&lookup);
    assert_status(OK, result->status);
    assert_int_equal(result->revision, revision);
    stigstore_result_free(&result);
    lookup.idempotency_key = TEXT("never used");
    assert_status(NOT_FOUND, call_status(&lookup));
}

static void a_key_names_one_request(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_request request = keyed_save(kind, TEXT("one"), kind);
    assert_status(OK, call_status(&request));
    request.data = TEXT("two");
    assert_status(IDEMPOTENCY_MISMATCH, call_status(&request));
    request.data = TEXT("one");
    request.id = TEXT("b");
    assert_status(IDEMPOTENCY_MISMATCH, call_status(&request));
    stigstore_request delete = {STIGSTORE_REQUEST(DELETE), .kind = kind, .id = TEXT("a"), .idempotency_key = kind};
    assert_status(IDEMPOTENCY_MISMATCH, call_status(&delete));

    stigstore_request stamped = keyed_save(kind, TEXT("at 10:00"), TEXT("stamped"));
    stamped.idempotency_fingerprint = TEXT("same work");
    assert_status(OK, call_status(&stamped));
    stamped.data = TEXT("at 10:05");
    assert_status(OK, call_status(&stamped));
    assert_stored(kind, TEXT("a"), TEXT("at 10:00"));
    stamped.idempotency_fingerprint = TEXT("other work");
    assert_status(IDEMPOTENCY_MISMATCH, call_status(&stamped));
}

static void a_conflict_leaves_the_key_free(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    uint64_t revision = save(kind, TEXT("a"), TEXT("one"));
    stigstore_request request = keyed_save(kind, TEXT("two"), kind);
    request.condition = STIGSTORE_IF_REVISION;
    request.if_revision = revision - 1;
    assert_status(CONFLICT, call_status(&request));
    request.if_revision = revision;
    request.data = TEXT("two, merged again");
    assert_status(OK, call_status(&request));
    request.if_revision = revision + 7; /* the key is looked up before the condition */
    request.data = TEXT("stamped anew");
    stigstore_result *result = call(&request);
    assert_status(OK, result->status);
    assert_true(result->flags & STIGSTORE_REPLAYED);
    stigstore_result_free(&result);
    assert_stored(kind, TEXT("a"), TEXT("two, merged again"));
}

static void an_update_with_an_applied_key_does_not_call_back(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    struct change change = {.decision = STIGSTORE_UPDATE_KEEP};
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .idempotency_key = kind};
    assert_status(OK, stigstore_update(store, &request, append_x, &change, NULL)); /* keeps all: the key stays free */
    change.decision = STIGSTORE_UPDATE_SAVE;
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_update(store, &request, append_x, &change, &result));
    uint64_t revision = result->revision;
    assert_status(OK, stigstore_update(store, &request, append_x, &change, &result));
    assert_int_equal(change.calls, 2);
    assert_true(result->flags & STIGSTORE_REPLAYED);
    assert_int_equal(result->revision, revision);
    stigstore_result_free(&result);
    assert_stored(kind, TEXT("a"), TEXT("x"));
}

static void deletes_take_keys_too(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    for (unsigned i = 0; i < 3; i++)
        save(kind, numbered("a", i), TEXT("x"));
    stigstore_request request = {STIGSTORE_REQUEST(DELETE_PREFIX), .kind = kind, .id = TEXT("a"),
                                 .idempotency_key = kind};
    stigstore_result *result = call(&request);
    assert_int_equal(result->count, 3);
    stigstore_result_free(&result);
    save(kind, TEXT("a9"), TEXT("x"));
    result = call(&request);
    assert_status(OK, result->status);
    assert_int_equal(result->count, 3);
    assert_true(result->flags & STIGSTORE_REPLAYED);
    stigstore_result_free(&result);
    assert_int_equal(count(kind, TEXT("")), 1);
}

int condition_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_condition_changes_nothing_and_tells_the_revision),
        cmocka_unit_test(a_transaction_takes_one_revision),
        cmocka_unit_test(a_transaction_whose_last_part_fails_changes_nothing),
        cmocka_unit_test(a_transaction_is_judged_as_a_whole),
        cmocka_unit_test(an_update_saves_deletes_keeps_or_aborts),
        cmocka_unit_test(an_update_reads_again_when_somebody_was_faster),
        cmocka_unit_test(a_key_is_applied_once),
        cmocka_unit_test(a_key_names_one_request),
        cmocka_unit_test(a_conflict_leaves_the_key_free),
        cmocka_unit_test(an_update_with_an_applied_key_does_not_call_back),
        cmocka_unit_test(deletes_take_keys_too),
    };
    return cmocka_run_group_tests_name("conditions", tests, NULL, NULL);
}
