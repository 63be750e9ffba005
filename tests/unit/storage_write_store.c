/*
 * storage_write_store.c - see the header.
 */
#include "tests/unit/storage_write_store.h"

#include "tests/support/folder.h"

#include <sqlite3.h>
#include <stdlib.h>

static void note_line(void *context, int level, const char *line)
{
    struct test_store *store = context;
    size_t length = strlen(store->log);
    (void)level;
    snprintf(store->log + length, sizeof store->log - length, "%s\n", line);
}

int store_setup_closed(void **state)
{
    struct test_store *store = calloc(1, sizeof *store);
    assert_non_null(store);
    store->folder = folder_new();
    store->path = folder_path(store->folder, "db.sqlite");
    store->arena = arena_new(0);
    assert_non_null(store->arena);
    store->caller = (struct storage_caller){.principal = store->principal, .role = ROLE_ADMIN};
    store->now_ms = INT64_C(1700000000123);
    store->options = (struct storage_options){.path = store->path,
                                              .access = STORAGE_FOR_WRITING,
                                              .create = true,
                                              .log = {.write = note_line, .context = store}};
    *state = store;
    return 0;
}

int store_setup(void **state)
{
    store_setup_closed(state);
    store_open(*state);
    return 0;
}

int store_teardown(void **state)
{
    struct test_store *store = *state;
    storage_close(&store->storage);
    arena_free(&store->arena);
    free(store->path);
    folder_remove(&store->folder);
    free(store);
    return 0;
}

int store_try_open(struct test_store *store, struct failure *failure)
{
    *failure = (struct failure){0};
    return storage_open_sqlite(&store->options, &store->storage, failure);
}

void store_open(struct test_store *store)
{
    struct failure failure;
    if (store_try_open(store, &failure) != STATUS_OK)
        fail_msg("open: %s: %s", status_name(failure.status), failure.message);
}

void store_execute(struct test_store *store, const char *sql)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open_v2(store->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t store_number(struct test_store *store, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(store->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return number;
}

struct request store_request(uint32_t operation, const char *kind, const char *id, const char *data)
{
    return (struct request){.operation = operation,
                            .kind = span_text(kind),
                            .id = span_text(id),
                            .data = span_text(data),
                            .deadline_ns = INT64_MAX};
}

int store_try_apply(struct test_store *store, struct request request, struct reply *reply)
{
    struct storage *storage = store->storage;
    int status = storage->ops->begin(storage, store->now_ms);
    if (status == STATUS_OK)
        status = storage->ops->apply(storage, &store->caller, &request, reply, store->arena);
    if (status == STATUS_OK)
        status = storage->ops->commit(storage, NULL, NULL);
    if (status != STATUS_OK)
        storage->ops->rollback(storage);
    return status;
}

struct reply store_apply(struct test_store *store, struct request request)
{
    struct reply reply;
    assert_int_equal(store_try_apply(store, request, &reply), STATUS_OK);
    return reply;
}

struct reply store_delete_rows(struct test_store *store, struct request request, struct span after, uint64_t before,
                               uint64_t most, struct span *last, bool *more)
{
    struct storage *storage = store->storage;
    struct reply reply;
    assert_int_equal(storage->ops->begin(storage, store->now_ms), STATUS_OK);
    assert_int_equal(storage->ops->delete_rows(storage, &store->caller, &request, after, before, most, &reply, last,
                                               more, store->arena),
                     STATUS_OK);
    assert_int_equal(storage->ops->commit(storage, NULL, NULL), STATUS_OK);
    return reply;
}

struct reply store_answer(struct test_store *store, struct request request)
{
    struct reply reply = {0};
    assert_int_equal(
        store->storage->ops->answer(store->storage, &request, 1, &reply, store->arena, LIMIT_MESSAGE_BYTES), STATUS_OK);
    return reply;
}

uint64_t store_save(struct test_store *store, const char *kind, const char *id, const char *data)
{
    struct reply reply = store_apply(store, store_request(OPERATION_SAVE, kind, id, data));
    assert_int_equal(reply.status, STATUS_OK);
    return reply.revision;
}

void store_expect_data(struct test_store *store, const char *kind, const char *id, const char *data)
{
    struct reply reply = store_answer(store, store_request(OPERATION_GET, kind, id, NULL));
    assert_int_equal(reply.status, data ? STATUS_OK : STATUS_NOT_FOUND);
    if (data)
        assert_true(span_equal(reply.items[0].data, span_text(data)));
}

uint64_t store_revision(struct test_store *store)
{
    struct storage_counters counters;
    store->storage->ops->counters(store->storage, &counters);
    return counters.revision;
}
