/* storage_read_snapshot.c - kept snapshots: never stale, let go for checkpoints, released when told. */
#include "tests/unit/storage_read_fixture.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct item get(struct fixture *fixture, const char *id)
{
    struct reply reply = fixture_ask(fixture, fixture_request(OPERATION_GET, "k", id));
    assert_int_equal(reply.status, STATUS_OK);
    return reply.items[0];
}

static bool holds(struct fixture *fixture)
{
    return fixture->storage->ops->holds_snapshot(fixture->storage);
}

static int checkpoint(struct fixture *fixture, int mode, int *frames, int *moved)
{
    return sqlite3_wal_checkpoint_v2(fixture->db, NULL, mode, frames, moved);
}

static void a_commit_in_between_is_seen(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "k", span_text("a"), span_text("0"));
    fixture_open(fixture);
    for (int i = 1; i < 200; i++) {
        char data[16];
        snprintf(data, sizeof(data), "%d", i);
        get(fixture, "a");
        assert_true(holds(fixture));
        fixture_put(fixture, "k", span_text("a"), span_text(data));
        assert_span_equal(get(fixture, "a").data, span_text(data));
        assert_int_equal(fixture_ask(fixture, fixture_request(OPERATION_STAT, "k", "a")).revision, i + 1);
        if (i % 17 == 0)
            checkpoint(fixture, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        if (i % 40 == 0) {
            fixture->storage->ops->release_snapshot(fixture->storage);
            assert_int_equal(checkpoint(fixture, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
        }
    }
}

static void a_commit_of_any_table_is_seen(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "k", span_text("a"), span_text("0"));
    fixture_open(fixture);
    assert_int_equal(fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a")).revision, 1);
    fixture_run(fixture, "UPDATE meta SET value = 77 WHERE name = 'revision'");
    assert_int_equal(fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a")).revision, 77);
}

static void a_checkpoint_makes_the_reader_let_go(void **state)
{
    struct fixture *fixture = *state;
    int frames = 0, moved = 0;
    fixture_put(fixture, "k", span_text("a"), span_text("0"));
    fixture_open(fixture);
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    get(fixture, "a");
    assert_int_equal(checkpoint(fixture, SQLITE_CHECKPOINT_PASSIVE, &frames, &moved), SQLITE_OK);
    assert_int_equal(moved, frames);
    /* The snapshot stands in the WAL still: it cannot begin anew. */
    assert_int_equal(checkpoint(fixture, SQLITE_CHECKPOINT_RESTART, &frames, &moved), SQLITE_BUSY);
    assert_span_equal(get(fixture, "a").data, span_text("1"));
    assert_true(holds(fixture));
    assert_int_equal(checkpoint(fixture, SQLITE_CHECKPOINT_RESTART, &frames, &moved), SQLITE_OK);
    fixture_put(fixture, "k", span_text("a"), span_text("2"));
    assert_span_equal(get(fixture, "a").data, span_text("2"));
}

static void an_idle_reader_is_told_to_let_go(void **state)
{
    struct fixture *fixture = *state;
    fixture_open(fixture);
    assert_false(holds(fixture));
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    get(fixture, "a");
    assert_true(holds(fixture));
    assert_int_equal(checkpoint(fixture, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_BUSY);
    fixture->storage->ops->release_snapshot(fixture->storage);
    assert_false(holds(fixture));
    assert_int_equal(checkpoint(fixture, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
    fixture->storage->ops->release_snapshot(fixture->storage);
    assert_span_equal(get(fixture, "a").data, span_text("1"));
}

static void without_keeping_nothing_is_held(void **state)
{
    struct fixture *fixture = *state;
    struct storage_options options = {.path = fixture->path, .access = STORAGE_FOR_READING};
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    assert_int_equal(storage_open_sqlite(&options, &fixture->storage, NULL), STATUS_OK);
    get(fixture, "a");
    assert_false(holds(fixture));
    assert_int_equal(checkpoint(fixture, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
}

static void a_batch_is_one_snapshot_of_its_own_time(void **state)
{
    struct fixture *fixture = *state;
    struct reply replies[3];
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    fixture_open(fixture);
    get(fixture, "a");
    fixture_put(fixture, "k", span_text("b"), span_text("2"));
    struct request requests[] = {
        fixture_request(OPERATION_GET, "k", "a"),
        fixture_request(OPERATION_COUNT, "k", ""),
        fixture_request(OPERATION_GET, "k", "b"),
    };
    assert_int_equal(fixture_ask_all(fixture, requests, 3, replies, 1 << 20, 3), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(replies[i].status, STATUS_OK);
        assert_int_equal(replies[i].revision, 2);
    }
    assert_int_equal(replies[1].count, 2);
}

enum { ROUNDS = 3000 };

/* Commits n = 1, 2, ..., checkpointing now and then, and tells of each only when it is committed. */
static int write_elsewhere(const char *path, _Atomic uint64_t *told)
{
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK)
        return 1;
    sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF", NULL, NULL, NULL);
    for (unsigned n = 1; n <= ROUNDS; n++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "UPDATE resources SET revision = %u WHERE kind = 'k' AND id = 'a'", n);
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
            return 2;
        atomic_store(told, n);
        if (n % 50 == 0)
            sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    }
    sqlite3_close(db);
    return 0;
}

/* Whatever was told of before a read was asked for, the read sees; and it never sees less than before. */
static void never_stale_beside_another_process(void **state)
{
    struct fixture *fixture = *state;
    int status;
    _Atomic uint64_t *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    fixture_put(fixture, "k", span_text("a"), span_text(""));
    sqlite3_close(fixture->db);
    fixture->db = NULL;
    pid_t child = fork();
    if (child == 0)
        _exit(write_elsewhere(fixture->path, told));
    while (atomic_load(told) == 0 && waitpid(child, &status, WNOHANG) == 0)
        sched_yield();
    fixture_open(fixture);
    for (uint64_t seen = 0, before; seen < ROUNDS; arena_reset(fixture->arena)) {
        before = atomic_load(told);
        uint64_t now = get(fixture, "a").revision;
        assert_true(now >= before);
        assert_true(now >= seen);
        seen = now;
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    munmap((void *)told, sizeof(*told));
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(a_commit_in_between_is_seen),          ON_A_STORE(a_commit_of_any_table_is_seen),
        ON_A_STORE(a_checkpoint_makes_the_reader_let_go), ON_A_STORE(an_idle_reader_is_told_to_let_go),
        ON_A_STORE(without_keeping_nothing_is_held),      ON_A_STORE(a_batch_is_one_snapshot_of_its_own_time),
        ON_A_STORE(never_stale_beside_another_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
