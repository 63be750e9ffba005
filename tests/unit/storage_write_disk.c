/*
 * storage_write_disk.c - syncs that fail, disks that fill up and become free again, checkpoints and busy readers.
 */
#include "proto/clock.h"
#include "tests/support/folder.h"
#include "tests/unit/storage_write_fault.h"
#include "tests/unit/storage_write_store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int setup(void **state)
{
    fault_install();
    return store_setup(state);
}

static int setup_closed(void **state)
{
    fault_install();
    return store_setup_closed(state);
}

static int teardown(void **state)
{
    fault_clear();
    return store_teardown(state);
}

static int try_save(struct test_store *store, const char *id, size_t size)
{
    struct request request = store_request(OPERATION_SAVE, "k", id, NULL);
    struct reply reply = {0};
    static int fill;
    void *data = malloc(size);
    assert_non_null(data);
    memset(data, ++fill, size); /* pages that stay as they are would not be written */
    request.data = (struct span){data, size};
    int status = store_try_apply(store, request, &reply);
    free(data);
    return status == STATUS_OK ? reply.status : status;
}

static void test_a_commit_whose_sync_fails_is_unknown(void **state)
{
    struct test_store *store = *state;
    store_save(store, "k", "a", "before");
    fault.sync_rc = SQLITE_IOERR_FSYNC;
    assert_int_equal(try_save(store, "b", 100), STORAGE_UNKNOWN);
    storage_close(&store->storage);
    fault_clear();
    store_open(store);
    store_expect_data(store, "k", "a", "before");
    assert_true(store_save(store, "k", "c", "after") >= 2);
}

static sqlite3 *take_snapshot(const struct test_store *store)
{
    sqlite3 *reader = NULL;
    assert_int_equal(sqlite3_open(store->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM meta", NULL, NULL, NULL), SQLITE_OK);
    return reader;
}

/* The sync of the writer before may have failed with nobody told: its pages count as written without being there. */
static void test_opening_writes_the_wal_once_more(void **state)
{
    struct test_store *store = *state;
    struct storage_counters counters;
    assert_int_equal(try_save(store, "a", MIB), STATUS_OK);
    sqlite3 *reader = take_snapshot(store); /* or the close would move it into the database */
    store->storage->ops->counters(store->storage, &counters);
    assert_true(counters.wal_bytes >= MIB);
    storage_close(&store->storage);
    fault.written = 0;
    store_open(store);
    assert_true(fault.written >= (long long)counters.wal_bytes);
    sqlite3_close(reader);
}

/* A checkpoint that a snapshot holds up leaves what it moved unsynced; the sync that is to cover it may then fail. */
static void test_what_a_checkpoint_moved_in_part_is_moved_again(void **state)
{
    struct test_store *store = *state;
    assert_int_equal(try_save(store, "a", MIB), STATUS_OK);
    sqlite3 *before = take_snapshot(store);
    assert_int_equal(try_save(store, "b", 100), STATUS_OK);
    assert_int_equal(store->storage->ops->rest(store->storage), STATUS_OK);
    sqlite3 *behind = take_snapshot(store); /* and the index stays as it is */
    sqlite3_close(before);
    fault.sync_rc = SQLITE_IOERR_FSYNC;
    assert_int_equal(store->storage->ops->rest(store->storage), STORAGE_UNKNOWN);
    storage_close(&store->storage);
    fault.sync_rc = 0;
    store_open(store);
    fault.written = 0;
    assert_int_equal(store->storage->ops->rest(store->storage), STATUS_OK);
    assert_true(fault.written >= (long long)MIB);
    sqlite3_close(behind);
}

static void test_a_checkpoint_whose_sync_fails_is_unknown(void **state)
{
    struct test_store *store = *state;
    assert_int_equal(try_save(store, "a", 3 * MIB), STATUS_OK);
    fault.sync_rc = SQLITE_IOERR_FSYNC;
    assert_int_equal(store->storage->ops->checkpoint(store->storage), STORAGE_UNKNOWN);
}

static void test_an_opening_whose_sync_fails_is_unknown(void **state)
{
    struct test_store *store = *state;
    struct failure failure;
    storage_close(&store->storage);
    fault.sync_rc = SQLITE_IOERR_FSYNC;
    assert_int_equal(store_try_open(store, &failure), STORAGE_UNKNOWN);
    assert_null(store->storage);
    fault_clear();
    store_open(store);
}

static void test_a_write_without_space_rolls_all_back(void **state)
{
    static const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE};
    struct test_store *store = *state;
    store_save(store, "k", "a", "before");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (int before = 0; before < 4; before++) {
            fault = (struct fault){.write_rc = codes[i], .writes_before = before};
            assert_int_equal(try_save(store, "b", 20000), STATUS_STORAGE_FULL);
            fault_clear();
            store_expect_data(store, "k", "b", NULL);
        }
    assert_int_equal(store_save(store, "k", "b", "after"), 2);
}

/* ---- crashes ---- */

enum { CRASH_SAVES = 4 };

/* A process that saves "0", "1", ... and dies at its n-th act on any file. How many it was told are done. */
static int save_until_death(struct test_store *store, int acts)
{
    int told[2], count = 0;
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        struct failure failure;
        fault = (struct fault){.dies = true, .acts_before = acts};
        if (store_try_open(store, &failure) != STATUS_OK)
            _exit(1);
        for (int i = 0; i < CRASH_SAVES; i++) {
            store_save(store, "k", (char[]){(char)('0' + i), '\0'}, "v");
            if (write(told[1], "x", 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    int status;
    close(told[1]);
    while (read(told[0], &byte, 1) == 1)
        count++;
    close(told[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return count;
}

static void remove_files(struct test_store *store)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-reserve", "-journal"};
    char name[256];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(name, sizeof name, "%s%s", store->path, suffixes[i]);
        unlink(name);
    }
}

static void test_a_crash_at_any_moment_loses_nothing_answered(void **state)
{
    struct test_store *store = *state;
    int told = 0;
    for (int acts = 0; told < CRASH_SAVES; acts++) {
        assert_true(acts < 1000);
        told = save_until_death(store, acts);
        store_open(store);
        for (int i = 0; i < told; i++)
            store_expect_data(store, "k", (char[]){(char)('0' + i), '\0'}, "v");
        uint64_t revision = store_revision(store);
        assert_true(revision == (uint64_t)told || revision == (uint64_t)told + 1);
        assert_int_equal(store_save(store, "k", "after", "v"), revision + 1);
        storage_close(&store->storage);
        remove_files(store);
    }
}

/* ---- checkpoints ---- */

static uint64_t wal_bytes(struct test_store *store)
{
    struct storage_counters counters;
    store->storage->ops->counters(store->storage, &counters);
    return counters.wal_bytes;
}

static void save_much(struct test_store *store, int groups)
{
    for (int i = 0; i < groups; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i % 8);
        assert_int_equal(try_save(store, id, 512 * KIB), STATUS_OK);
        assert_int_equal(store->storage->ops->checkpoint(store->storage), STATUS_OK);
    }
}

static void test_the_wal_stays_short(void **state)
{
    struct test_store *store = *state;
    save_much(store, 60);
    assert_true(wal_bytes(store) < 8 * MIB);
    assert_null(strstr(store->log, "another program"));
}

static void test_the_wal_shrinks_again_after_a_long_reader(void **state)
{
    struct test_store *store = *state;
    sqlite3 *reader = NULL;
    assert_int_equal(sqlite3_open(store->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM resources", NULL, NULL, NULL), SQLITE_OK);
    save_much(store, 40);
    assert_true(wal_bytes(store) > 16 * MIB); /* it was needed */
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    save_much(store, 20);
    assert_true(wal_bytes(store) <= 8 * MIB);
}

/* Snapshots of a few milliseconds, the next one taken before the last one ends, until told to stop. */
struct busy_readers {
    sqlite3 *readers[2];
    atomic_bool stop;
};

static void *read_back_to_back(void *argument)
{
    struct busy_readers *busy = argument;
    for (int i = 0; !atomic_load(&busy->stop); i++) {
        int64_t end_ns = clock_boot_ns() + 5 * NS_PER_MS;
        sqlite3_exec(busy->readers[i % 2], "BEGIN", NULL, NULL, NULL);
        do
            sqlite3_exec(busy->readers[i % 2], "SELECT count(*) FROM resources", NULL, NULL, NULL);
        while (clock_boot_ns() < end_ns);
        if (i)
            sqlite3_exec(busy->readers[(i + 1) % 2], "COMMIT", NULL, NULL, NULL);
    }
    return NULL;
}

static void test_the_wal_stays_short_under_busy_readers(void **state)
{
    struct test_store *store = *state;
    struct busy_readers busy = {.stop = false};
    pthread_t thread;
    for (int i = 0; i < 2; i++) /* not by the VFS of faults, which is the writer's alone */
        assert_int_equal(sqlite3_open_v2(store->path, &busy.readers[i], SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
    assert_int_equal(pthread_create(&thread, NULL, read_back_to_back, &busy), 0);
    /* Until it has been reset and trimmed once; a busy machine may need more than one try. Without that it only grows. */
    int64_t end_ns = clock_boot_ns() + 30 * NS_PER_S;
    size_t written = 0;
    do {
        save_much(store, 20);
        written += 20 * 512 * KIB;
    } while ((written < 30 * MIB || (size_t)wal_bytes(store) > written / 2) && clock_boot_ns() < end_ns);
    atomic_store(&busy.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(sqlite3_close(busy.readers[i]), SQLITE_OK);
    assert_true((size_t)wal_bytes(store) <= written / 2);
}

/* ---- a disk that is really full ---- */

static void fill_up(struct test_store *store)
{
    char id[32];
    int status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < 10000; i++) {
        snprintf(id, sizeof id, "%05d", i);
        status = try_save(store, id, 20 * KIB);
        assert_int_equal(store->storage->ops->checkpoint(store->storage), STATUS_OK);
    }
    assert_int_equal(status, STATUS_STORAGE_FULL);
}

static bool is_full(struct test_store *store)
{
    struct storage_counters counters;
    store->storage->ops->counters(store->storage, &counters);
    return counters.full;
}

/* Calls the checkpoint as an idle writer does, until it has found space; a probe comes once a second. */
static bool recovers(struct test_store *store)
{
    int64_t end_ns = clock_boot_ns() + 10 * NS_PER_S;
    while (is_full(store) && clock_boot_ns() < end_ns)
        assert_int_equal(store->storage->ops->checkpoint(store->storage), STATUS_OK);
    return !is_full(store);
}

/* As the writer does it: each group leaves a row in the session log. */
static void delete_with_record(struct test_store *store, const char *id)
{
    struct storage *storage = store->storage;
    struct request request = store_request(OPERATION_DELETE, "k", id, NULL);
    struct storage_session_record record = {.bytes = {store->log, sizeof store->log}};
    struct reply reply;
    assert_int_equal(storage->ops->begin(storage, store->now_ms), STATUS_OK);
    assert_int_equal(storage->ops->apply(storage, &store->caller, &request, &reply, store->arena), STATUS_OK);
    assert_int_equal(reply.count, 1);
    assert_int_equal(storage->ops->commit(storage, &record, NULL), STATUS_OK);
}

/* The store on a file system of its own; skips the test where none may be mounted. */
struct small_disk {
    char *path, *file;
};

static void small_disk_free(struct small_disk *disk)
{
    free(disk->path);
    free(disk->file);
}

static struct small_disk open_on_small_disk(struct test_store *store, const char *options)
{
    struct small_disk disk = {folder_path(store->folder, "small"), folder_path(store->folder, "small/db")};
    assert_int_equal(mkdir(disk.path, 0700), 0);
    if (mount("stigstore-test", disk.path, "tmpfs", 0, options) != 0) {
        small_disk_free(&disk);
        skip();
    }
    storage_close(&store->storage);
    store->options.path = disk.file;
    store_open(store);
    return disk;
}

static void close_small_disk(struct test_store *store, struct small_disk *disk)
{
    storage_close(&store->storage);
    assert_int_equal(umount(disk->path), 0);
    small_disk_free(disk);
}

static void test_a_full_disk_takes_deletes_and_recovers(void **state)
{
    struct test_store *store = *state;
    struct span last;
    bool more;
    struct small_disk disk = open_on_small_disk(store, "size=6m");
    fill_up(store);
    assert_true(is_full(store));
    assert_int_equal(try_save(store, "00000", 10), STATUS_STORAGE_FULL);
    delete_with_record(store, "00000");
    assert_true(store_answer(store, store_request(OPERATION_GET, "k", "00001", NULL)).status == STATUS_OK);
    struct reply reply = store_delete_rows(store, store_request(OPERATION_DELETE_KIND, "k", NULL, NULL),
                                           (struct span){NULL, 0}, 0, UINT64_MAX, &last, &more);
    assert_true(reply.count > 10);
    assert_int_equal(mount(NULL, disk.path, NULL, MS_REMOUNT, "size=64m"), 0);
    assert_true(recovers(store));
    assert_int_equal(try_save(store, "00000", 1 * MIB), STATUS_OK);
    close_small_disk(store, &disk);
}

static void test_freed_pages_are_used_again_on_a_full_disk(void **state)
{
    struct test_store *store = *state;
    struct span last;
    bool more;
    struct small_disk disk = open_on_small_disk(store, "size=24m");
    fill_up(store);
    store_delete_rows(store, store_request(OPERATION_DELETE_KIND, "k", NULL, NULL), (struct span){NULL, 0}, 0,
                      UINT64_MAX, &last, &more);
    assert_true(recovers(store));
    assert_int_equal(try_save(store, "again", 100 * KIB), STATUS_OK);
    storage_close(&store->storage);
    store_open(store);
    assert_int_equal(try_save(store, "and again", 100 * KIB), STATUS_OK);
    fill_up(store); /* without a reserve: there must still be space for deletes and the checkpoint behind them */
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "%05d", i);
        delete_with_record(store, id);
        assert_int_equal(store->storage->ops->checkpoint(store->storage), STATUS_OK);
    }
    close_small_disk(store, &disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_commit_whose_sync_fails_is_unknown),
        TEST(test_opening_writes_the_wal_once_more),
        TEST(test_what_a_checkpoint_moved_in_part_is_moved_again),
        TEST(test_a_checkpoint_whose_sync_fails_is_unknown),
        TEST(test_an_opening_whose_sync_fails_is_unknown),
        TEST(test_a_write_without_space_rolls_all_back),
        cmocka_unit_test_setup_teardown(test_a_crash_at_any_moment_loses_nothing_answered, setup_closed, teardown),
        TEST(test_the_wal_stays_short),
        TEST(test_the_wal_shrinks_again_after_a_long_reader),
        TEST(test_the_wal_stays_short_under_busy_readers),
        TEST(test_a_full_disk_takes_deletes_and_recovers),
        TEST(test_freed_pages_are_used_again_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
