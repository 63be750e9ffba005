/* storage_read_beside.c - reading beside our own writing connection: commits, checkpoints, closing, reopening. */
#include "tests/unit/storage_read_fixture.h"

#include "proto/limits.h"

#include <stdlib.h>
#include <unistd.h>

static const struct storage_caller this_host = {.principal = (const uint8_t[PRINCIPAL_BYTES]){0}, .role = ROLE_ADMIN};

static struct storage *open_writer(const char *path)
{
    struct storage *writer = NULL;
    struct failure failure = {0};
    struct storage_options options = {.path = path, .access = STORAGE_FOR_WRITING, .create = true};
    if (storage_open_sqlite(&options, &writer, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
    return writer;
}

static uint64_t save(struct fixture *fixture, struct storage *writer, const char *id, struct span data)
{
    struct request request = fixture_request(OPERATION_SAVE, "k", id);
    struct storage_session_record nothing = {.session_counter = 0};
    struct reply reply = {0};
    uint64_t sequence;
    struct storage_counters counters;
    writer->ops->counters(writer, &counters);
    nothing.session_counter = counters.session_counter;
    request.data = data;
    assert_int_equal(writer->ops->begin(writer, 1709208000123), STATUS_OK);
    assert_int_equal(writer->ops->apply(writer, &this_host, &request, &reply, fixture->arena), STATUS_OK);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(writer->ops->commit(writer, &nothing, &sequence), STATUS_OK);
    return reply.revision;
}

static void assert_both_read(struct fixture *fixture, struct storage *writer, const char *id, struct span data,
                             uint64_t revision)
{
    struct storage *connections[] = {writer, fixture->storage};
    struct request request = fixture_request(OPERATION_GET, "k", id);
    for (int i = 0; i < 2; i++) {
        struct reply reply;
        assert_int_equal(
            connections[i]->ops->answer(connections[i], &request, 1, &reply, fixture->arena, LIMIT_MESSAGE_BYTES),
            STATUS_OK);
        assert_int_equal(reply.status, STATUS_OK);
        assert_span_equal(reply.items[0].data, data);
        assert_int_equal(reply.items[0].revision, revision);
        assert_int_equal(reply.items[0].updated_ms, 1709208000123);
        assert_int_equal(reply.revision, revision);
    }
    assert_false(writer->ops->holds_snapshot(writer));
    assert_true(fixture->storage->ops->holds_snapshot(fixture->storage));
}

static int setup(void **state)
{
    int status = fixture_setup(state);
    struct fixture *fixture = *state;
    fixture_close_writer(fixture);
    return status || unlink(fixture->path);
}

static void commits_and_checkpoints(void **state)
{
    struct fixture *fixture = *state;
    static const char large[20000];
    struct storage *writer = open_writer(fixture->path);
    fixture_open(fixture);
    assert_memory_equal(&writer->identity, &fixture->storage->identity, sizeof(writer->identity));
    for (unsigned i = 0; i < 1500; i++) {
        struct span data = {large, i * 7 % sizeof(large)};
        uint64_t revision = save(fixture, writer, i % 2 ? "odd" : "even", data);
        assert_int_equal(revision, i + 1);
        assert_both_read(fixture, writer, i % 2 ? "odd" : "even", data, revision);
        assert_int_equal(writer->ops->checkpoint(writer), STATUS_OK);
        assert_both_read(fixture, writer, i % 2 ? "odd" : "even", data, revision); /* and lets go */
        arena_reset(fixture->arena);
    }
    struct storage_counters counters;
    writer->ops->counters(writer, &counters);
    assert_true(counters.checkpoints > 0);
    assert_true(counters.wal_bytes < 16 * MIB); /* 1,500 commits of 10,000 bytes and no new beginning: 30 MiB */
    storage_close(&writer);
}

static void a_store_that_was_closed(void **state)
{
    struct fixture *fixture = *state;
    struct storage *writer = open_writer(fixture->path);
    save(fixture, writer, "a", span_text("1"));
    storage_close(&writer);
    fixture_open(fixture);
    struct reply reply = fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a"));
    assert_int_equal(reply.status, STATUS_OK);
    assert_span_equal(reply.items[0].data, span_text("1"));
    writer = open_writer(fixture->path);
    uint64_t revision = save(fixture, writer, "a", span_text("2"));
    reply = fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a"));
    if (reply.status == STATUS_UNAVAILABLE) {
        assert_false(fixture->storage->ops->is_current(fixture->storage));
        storage_close(&fixture->storage);
        fixture_open(fixture);
        reply = fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a"));
    }
    assert_span_equal(reply.items[0].data, span_text("2"));
    assert_int_equal(reply.revision, revision);
    storage_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commits_and_checkpoints, setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_store_that_was_closed, setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
