/*
 * storage_write.c - mutations through struct storage_ops: conditions, revisions, times, audit, TRANSACT, session log.
 */
#include "tests/unit/storage_write_store.h"

static void test_saves_take_one_revision_each(void **state)
{
    struct test_store *store = *state;
    assert_int_equal(store_save(store, "skill", "a", "one"), 1);
    assert_int_equal(store_save(store, "skill", "a", "two"), 2);
    assert_int_equal(store_save(store, "skill", "b", ""), 3);
    store_expect_data(store, "skill", "a", "two");
    store_expect_data(store, "skill", "b", "");
    assert_int_equal(store_revision(store), 3);
}

static void test_overwriting_keeps_when_it_was_created(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "a", "one");
    store->now_ms += 5001;
    store_save(store, "k", "a", "two");
    struct reply reply = store_answer(store, store_request(OPERATION_GET, "k", "a", NULL));
    assert_int_equal(reply.items[0].created_ms, store->now_ms - 5001);
    assert_int_equal(reply.items[0].updated_ms, store->now_ms);
    assert_int_equal(store_number(store, "SELECT updated_at = '2023-11-14 22:13:25.124' FROM resources"), 1);
}

static struct reply save_if(struct test_store *store, uint32_t condition, uint64_t revision, const char *data)
{
    struct request request = store_request(OPERATION_SAVE, "k", "a", data);
    request.condition = condition;
    request.if_revision = revision;
    return store_apply(store, request);
}

static void expect_conflict(struct test_store *store, struct reply reply, uint64_t revision, uint64_t store_has)
{
    assert_int_equal(reply.status, STATUS_CONFLICT);
    assert_int_equal(reply.revision, revision);
    assert_int_equal(store_revision(store), store_has);
}

static void test_conditions_are_judged_before_anything_changes(void **state)
{
    struct test_store *store = *state;
    expect_conflict(store, save_if(store, CONDITION_IF_EXISTS, 0, "x"), 0, 0);
    expect_conflict(store, save_if(store, CONDITION_IF_REVISION, 7, "x"), 0, 0);
    assert_int_equal(save_if(store, CONDITION_IF_ABSENT, 0, "one").revision, 1);
    expect_conflict(store, save_if(store, CONDITION_IF_ABSENT, 0, "x"), 1, 1);
    expect_conflict(store, save_if(store, CONDITION_IF_REVISION, 2, "x"), 1, 1);
    store_expect_data(store, "k", "a", "one");
    assert_int_equal(save_if(store, CONDITION_IF_REVISION, 1, "two").revision, 2);
    assert_int_equal(save_if(store, CONDITION_IF_EXISTS, 0, "three").revision, 3);
    store_expect_data(store, "k", "a", "three");
}

static uint64_t save_audit(struct test_store *store, const char *id, const char *hash, const char *data)
{
    struct request request = store_request(OPERATION_AUDIT_SAVE, "k", id, data);
    request.hash = span_text(hash);
    request.tag = span_text("latest");
    struct reply reply = store_apply(store, request);
    assert_int_equal(reply.status, STATUS_OK);
    return reply.revision;
}

static void test_a_delete_takes_the_audit_records_with_it(void **state)
{
    struct test_store *store = *state;
    save_audit(store, "a", "h1", "v1");
    store_save(store, "k", "a", "v1");
    save_audit(store, "b", "h1", "v1");
    struct reply reply = store_apply(store, store_request(OPERATION_DELETE, "k", "a", NULL));
    assert_int_equal(reply.count, 1);
    assert_int_equal(reply.revision, 4);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit WHERE resource_id = 'a'"), 0);
    assert_int_equal(store_number(store, "SELECT count(*) FROM resource_audit WHERE resource_id = 'b'"), 1);
}

static void test_a_delete_of_nothing_takes_no_revision(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "a", "v1");
    struct reply reply = store_apply(store, store_request(OPERATION_DELETE, "k", "absent", NULL));
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.count, 0);
    reply = store_apply(store, store_request(OPERATION_AUDIT_DELETE, "k", "a", NULL));
    assert_int_equal(reply.count, 0);
    assert_int_equal(store_revision(store), 1);
}

static void test_a_delete_judges_its_condition(void **state)
{
    struct test_store *store = *state;
    struct request request = store_request(OPERATION_DELETE, "k", "a", NULL);
    request.condition = CONDITION_IF_EXISTS;
    expect_conflict(store, store_apply(store, request), 0, 0);
    store_save(store, "k", "a", "v1");
    request.condition = CONDITION_IF_REVISION;
    request.if_revision = 9;
    expect_conflict(store, store_apply(store, request), 1, 1);
    request.if_revision = 1;
    assert_int_equal(store_apply(store, request).count, 1);
    store_expect_data(store, "k", "a", NULL);
}

static void test_audit_is_archived_before_its_resource_unless_strict(void **state)
{
    struct test_store *store = *state;
    struct request strict = store_request(OPERATION_AUDIT_SAVE, "k", "a", "v1");
    strict.flags = REQUEST_REQUIRE_RESOURCE;
    expect_conflict(store, store_apply(store, strict), 0, 0);
    assert_int_equal(save_audit(store, "a", "h1", "v1"), 1);
    store_save(store, "k", "a", "v1");
    assert_int_equal(store_apply(store, strict).revision, 3);
    assert_int_equal(store_apply(store, store_request(OPERATION_AUDIT_DELETE, "k", "a", NULL)).count, 2);
    store_expect_data(store, "k", "a", "v1");
}

static void test_only_an_admin_sets_times(void **state)
{
    struct test_store *store = *state;
    struct request import = store_request(OPERATION_SAVE, "k", "a", "v");
    import.created_ms = 1000;
    import.updated_ms = 2000;
    store->caller.role = ROLE_WRITER;
    assert_int_equal(store_apply(store, import).status, STATUS_PERMISSION_DENIED);
    store->caller.role = ROLE_ADMIN;
    assert_int_equal(store_apply(store, import).revision, 1);
    struct reply reply = store_answer(store, store_request(OPERATION_GET, "k", "a", NULL));
    assert_int_equal(reply.items[0].created_ms, 1000);
    assert_int_equal(reply.items[0].updated_ms, 2000);
    store_save(store, "k", "a", "later");
    import.created_ms = 0;
    store_apply(store, import);
    reply = store_answer(store, store_request(OPERATION_GET, "k", "a", NULL));
    assert_int_equal(reply.items[0].created_ms, 1000);
    import.operation = OPERATION_AUDIT_SAVE;
    store_apply(store, import);
    assert_int_equal(store_number(store, "SELECT archived_at = '1970-01-01 00:00:02.000' FROM resource_audit"), 1);
}

static struct reply transact(struct test_store *store, const struct request *parts, size_t count)
{
    struct request request = {.operation = OPERATION_TRANSACT, .parts = parts, .part_count = count};
    return store_apply(store, request);
}

static void test_transact_takes_one_revision_for_all_its_parts(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "old", "x");
    struct request parts[] = {
        store_request(OPERATION_SAVE, "k", "a", "1"), store_request(OPERATION_SAVE, "k", "b", "2"),
        store_request(OPERATION_DELETE, "k", "old", NULL), store_request(OPERATION_CHECK, "k", "a", NULL)};
    parts[3].condition = CONDITION_IF_REVISION; /* what came before it in the transaction is seen */
    parts[3].if_revision = 2;
    struct reply reply = transact(store, parts, 4);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.revision, 2);
    assert_int_equal(reply.count, 1);
    store_expect_data(store, "k", "a", "1");
    store_expect_data(store, "k", "old", NULL);
    assert_int_equal(store_revision(store), 2);
}

static void test_transact_leaves_nothing_when_a_part_is_refused(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "c", "0");
    struct request parts[] = {store_request(OPERATION_SAVE, "k", "a", "1"),
                              store_request(OPERATION_DELETE, "k", "c", NULL),
                              store_request(OPERATION_CHECK, "k", "b", NULL)};
    parts[2].condition = CONDITION_IF_EXISTS;
    struct reply reply = transact(store, parts, 3);
    assert_int_equal(reply.status, STATUS_CONFLICT);
    assert_int_equal(reply.failed_part, 2);
    assert_int_equal(reply.revision, 0);
    assert_int_equal(reply.count, 0);
    store_expect_data(store, "k", "a", NULL);
    store_expect_data(store, "k", "c", "0");
    parts[2] = store_request(OPERATION_CHECK, "k", "a", NULL);
    parts[2].condition = CONDITION_IF_ABSENT; /* its first part made it */
    assert_int_equal(transact(store, parts, 3).revision, 0);
    assert_int_equal(store_save(store, "k", "d", "next"), 2);
}

static void test_a_refused_request_leaves_its_group_alone(void **state)
{
    struct test_store *store = *state;
    struct storage *storage = store->storage;
    struct request first = store_request(OPERATION_SAVE, "k", "a", "1"),
                   last = store_request(OPERATION_SAVE, "k", "b", "2");
    struct request check = store_request(OPERATION_CHECK, "k", "z", NULL);
    check.condition = CONDITION_IF_EXISTS;
    struct request parts[] = {store_request(OPERATION_SAVE, "k", "c", "3"), check};
    struct request refused = {.operation = OPERATION_TRANSACT, .parts = parts, .part_count = 2};
    struct reply replies[3];
    assert_int_equal(storage->ops->begin(storage, store->now_ms), STATUS_OK);
    assert_int_equal(storage->ops->apply(storage, &store->caller, &first, &replies[0], store->arena), STATUS_OK);
    assert_int_equal(storage->ops->apply(storage, &store->caller, &refused, &replies[1], store->arena), STATUS_OK);
    assert_int_equal(storage->ops->apply(storage, &store->caller, &last, &replies[2], store->arena), STATUS_OK);
    assert_int_equal(storage->ops->commit(storage, NULL, NULL), STATUS_OK);
    assert_int_equal(replies[0].revision, 1);
    assert_int_equal(replies[1].status, STATUS_CONFLICT);
    assert_int_equal(replies[2].revision, 2);
    store_expect_data(store, "k", "a", "1");
    store_expect_data(store, "k", "b", "2");
    store_expect_data(store, "k", "c", NULL);
}

static void test_rollback_gives_the_revision_back(void **state)
{
    struct test_store *store = *state;
    struct storage *storage = store->storage;
    struct request request = store_request(OPERATION_SAVE, "k", "a", "1");
    struct reply reply;
    assert_int_equal(storage->ops->begin(storage, store->now_ms), STATUS_OK);
    assert_int_equal(storage->ops->apply(storage, &store->caller, &request, &reply, store->arena), STATUS_OK);
    storage->ops->rollback(storage);
    store_expect_data(store, "k", "a", NULL);
    assert_int_equal(store_save(store, "k", "a", "2"), 1);
}

static void test_any_bytes_come_back_as_they_were(void **state)
{
    struct test_store *store = *state;
    uint8_t bytes[70000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    struct request request = store_request(OPERATION_SAVE, "k%", "a/b*?[\xC3\xA9", NULL);
    request.data = (struct span){bytes, sizeof bytes};
    assert_int_equal(store_apply(store, request).status, STATUS_OK);
    request.operation = OPERATION_GET;
    request.data = (struct span){NULL, 0};
    struct reply reply = store_answer(store, request);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.items[0].data.size, sizeof bytes);
    assert_memory_equal(reply.items[0].data.data, bytes, sizeof bytes);
}

/* ---- the session log ---- */

struct seen {
    uint64_t sequences[64];
    size_t count;
    char last;
};

static int note_row(void *context, uint64_t sequence, struct span bytes)
{
    struct seen *seen = context;
    assert_true(seen->count < 64);
    seen->sequences[seen->count++] = sequence;
    seen->last = *(const char *)bytes.data;
    return STATUS_OK;
}

static uint64_t append(struct test_store *store, const char *bytes, uint64_t drop_through)
{
    struct storage_session_record record = {
        .bytes = span_text(bytes), .drop_through = drop_through, .session_counter = 3};
    uint64_t sequence = 0;
    assert_int_equal(store->storage->ops->begin(store->storage, store->now_ms), STATUS_OK);
    assert_int_equal(store->storage->ops->commit(store->storage, &record, &sequence), STATUS_OK);
    return sequence;
}

static struct seen read_log(struct test_store *store)
{
    struct seen seen = {.count = 0};
    assert_int_equal(store->storage->ops->session_log(store->storage, note_row, &seen), STATUS_OK);
    return seen;
}

static void test_the_session_log_outlives_the_connection(void **state)
{
    struct test_store *store = *state;
    struct storage_counters counters;
    assert_int_equal(append(store, "a", 0), 1);
    assert_int_equal(append(store, "b", 0), 2);
    storage_close(&store->storage);
    store_open(store);
    struct seen seen = read_log(store);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.sequences[1], 2);
    assert_int_equal(seen.last, 'b');
    store->storage->ops->counters(store->storage, &counters);
    assert_int_equal(counters.session_counter, 3);
    assert_int_equal(append(store, "c", 2), 3);
    seen = read_log(store);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.sequences[0], 3);
}

static void test_old_rows_of_the_log_go_in_steps(void **state)
{
    struct test_store *store = *state;
    for (int i = 0; i < 40; i++)
        append(store, "x", 0);
    append(store, "x", 40);
    assert_true(read_log(store).count > 1);
    for (int i = 0; i < 4; i++)
        append(store, "x", 40);
    assert_int_equal(read_log(store).sequences[0], 41);
}

static int refuse_row(void *context, uint64_t sequence, struct span bytes)
{
    (void)context;
    (void)sequence;
    (void)bytes;
    return STATUS_CORRUPT;
}

static void test_a_refused_log_row_ends_the_reading(void **state)
{
    struct test_store *store = *state;
    append(store, "x", 0);
    assert_int_equal(store->storage->ops->session_log(store->storage, refuse_row, NULL), STATUS_CORRUPT);
    store_save(store, "k", "a", "still works");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_saves_take_one_revision_each),
        TEST(test_overwriting_keeps_when_it_was_created),
        TEST(test_conditions_are_judged_before_anything_changes),
        TEST(test_a_delete_takes_the_audit_records_with_it),
        TEST(test_a_delete_of_nothing_takes_no_revision),
        TEST(test_a_delete_judges_its_condition),
        TEST(test_audit_is_archived_before_its_resource_unless_strict),
        TEST(test_only_an_admin_sets_times),
        TEST(test_transact_takes_one_revision_for_all_its_parts),
        TEST(test_transact_leaves_nothing_when_a_part_is_refused),
        TEST(test_a_refused_request_leaves_its_group_alone),
        TEST(test_rollback_gives_the_revision_back),
        TEST(test_any_bytes_come_back_as_they_were),
        TEST(test_the_session_log_outlives_the_connection),
        TEST(test_old_rows_of_the_log_go_in_steps),
        TEST(test_a_refused_log_row_ends_the_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
