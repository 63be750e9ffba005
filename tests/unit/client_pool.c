/*
 * client_pool.c - a list that nobody goes on with lets go of its snapshot in time, so that the WAL can begin anew.
 */
#include "client/pool.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/unit/storage_read_fixture.h"

#include <stdio.h>

enum { SNAPSHOT_MS = 200, PATIENCE_MS = 20000 };

/* A pool with one list that has given its first piece; what was written since stands behind its snapshot. */
static struct pool *open_list(struct fixture *fixture, bool helper, struct pool_stream **stream)
{
    const struct pool_options options = {
        .path = fixture->path, .keep_snapshots = true, .helper = helper, .snapshot_ms = SNAPSHOT_MS};
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    struct pool *pool = pool_new(&options);
    struct reply piece;
    char id[16];
    bool last;

    assert_non_null(pool);
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "%02d", i);
        fixture_put(fixture, "k", span_text(id), span_text("data"));
    }
    assert_int_equal(pool_stream_open(pool, &list, stream, NULL), STATUS_OK);
    pool_stream_next(*stream, 1, &piece, &last, fixture->arena);
    assert_int_equal(piece.item_count, 1);
    fixture_put(fixture, "k", span_text("new"), span_text("data"));
    return pool;
}

static int begin_wal_anew(struct fixture *fixture)
{
    return sqlite3_wal_checkpoint_v2(fixture->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static void expect_expired(struct fixture *fixture, struct pool_stream *stream)
{
    struct reply piece;
    bool last = false;

    pool_stream_next(stream, LIMIT_PIECE_BYTES, &piece, &last, fixture->arena);
    assert_true(last);
    assert_int_equal(piece.status, STATUS_SNAPSHOT_EXPIRED);
}

/* SQLite waits for the snapshot to end; nobody calls the pool meanwhile. */
static void beside_a_service_the_helper_ends_it(void **state)
{
    struct fixture *fixture = *state;
    struct pool_stream *stream;
    struct pool *pool = open_list(fixture, true, &stream);

    assert_int_equal(sqlite3_busy_timeout(fixture->db, PATIENCE_MS), SQLITE_OK);
    assert_int_equal(begin_wal_anew(fixture), SQLITE_OK);
    expect_expired(fixture, stream);
    pool_stream_close(&stream);
    pool_free(&pool);
}

static void embedded_the_next_group_ends_it(void **state)
{
    struct fixture *fixture = *state;
    struct pool_stream *stream;
    struct pool *pool = open_list(fixture, false, &stream);
    int64_t until_ns = clock_deadline_ns(PATIENCE_MS);
    int rc;

    while ((rc = begin_wal_anew(fixture)) == SQLITE_BUSY && clock_boot_ns() < until_ns)
        pool_release_idle(pool);
    assert_int_equal(rc, SQLITE_OK);
    expect_expired(fixture, stream);
    pool_stream_close(&stream);
    pool_free(&pool);
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(beside_a_service_the_helper_ends_it),
        ON_A_STORE(embedded_the_next_group_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
