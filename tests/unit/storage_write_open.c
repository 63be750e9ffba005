/*
 * storage_write_open.c - opening for writing: the file and its mode, who owns it, revisions over restarts and boots.
 */
#include "storage/schema.h"
#include "storage/sqlite.h"
#include "tests/support/folder.h"
#include "tests/unit/storage_write_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static mode_t mode_of(const char *path, const char *suffix)
{
    char name[512];
    struct stat file;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    assert_int_equal(stat(name, &file), 0);
    return file.st_mode & 07777;
}

static void test_a_new_file_and_its_folders_are_private(void **state)
{
    struct test_store *store = *state;
    char *path = folder_path(store->folder, "one/two/db.sqlite"), *folder = folder_path(store->folder, "one");
    mode_t old = umask(0);
    store->options.path = path;
    store_open(store);
    umask(old);
    store_save(store, "k", "a", "v");
    assert_int_equal(mode_of(folder, ""), 0700);
    assert_int_equal(mode_of(folder, "/two"), 0700);
    assert_int_equal(mode_of(path, ""), 0600);
    assert_int_equal(mode_of(path, "-wal"), 0600);
    assert_int_equal(mode_of(path, "-shm"), 0600);
    assert_int_equal(mode_of(path, "-reserve"), 0600);
    free(folder);
    free(path);
}

static void test_what_must_exist_is_not_made(void **state)
{
    struct test_store *store = *state;
    struct failure failure;
    store->options.create = false;
    assert_int_equal(store_try_open(store, &failure), STATUS_NOT_FOUND);
    assert_null(store->storage);
    assert_int_not_equal(access(store->path, F_OK), 0);
}

static void test_a_second_opening_finds_all_and_raises_the_epoch(void **state)
{
    struct test_store *store = *state;
    struct storage_counters first, second;
    store_open(store);
    struct storage_identity identity = store->storage->identity;
    store->storage->ops->counters(store->storage, &first);
    store_save(store, "k", "a", "v");
    storage_close(&store->storage);
    store_open(store);
    store->storage->ops->counters(store->storage, &second);
    assert_true(second.epoch > first.epoch);
    assert_memory_equal(&identity, &store->storage->identity, sizeof identity);
    store_expect_data(store, "k", "a", "v");
    assert_int_equal(store_save(store, "k", "a", "w"), 2);
}

static void test_a_crash_before_the_tables_is_no_harm(void **state)
{
    struct test_store *store = *state;
    store_execute(store, "PRAGMA journal_mode = WAL");
    store_open(store);
    assert_int_equal(store_save(store, "k", "a", "v"), 1);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_what_is_not_ours_is_refused_as_it_was(void **state)
{
    struct test_store *store = *state;
    struct failure failure;
    struct stat before, after;
    store_execute(store, "CREATE TABLE somebody_else (x)");
    assert_int_equal(stat(store->path, &before), 0);
    assert_int_equal(store_try_open(store, &failure), STATUS_UNSUPPORTED);
    assert_true(failure.message[0] != '\0');
    assert_int_equal(stat(store->path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(unlink(store->path), 0);
    write_file(store->path, "this is a letter to nobody in particular, and longer than the header of a database is\n");
    assert_int_equal(store_try_open(store, &failure), STATUS_UNSUPPORTED);
    assert_null(store->storage);
}

static void test_a_newer_schema_is_refused(void **state)
{
    struct test_store *store = *state;
    struct failure failure;
    store_open(store);
    storage_close(&store->storage);
    store_execute(store, "UPDATE meta SET value = value + 1 WHERE name = 'schema'");
    assert_int_equal(store_try_open(store, &failure), STATUS_UNSUPPORTED);
}

#define STIGMER_SAVE \
    "INSERT OR REPLACE INTO resources (kind, id, data, updated_at) VALUES ('k', 'a', x'41', datetime('now'))"

static void test_rows_of_others_are_stamped_at_the_next_opening(void **state)
{
    struct test_store *store = *state;
    store_open(store);
    store_save(store, "k", "a", "v");
    storage_close(&store->storage);
    store_execute(store, STIGMER_SAVE);
    store_open(store);
    assert_int_equal(store_revision(store), 2);
    struct reply reply = store_answer(store, store_request(OPERATION_GET, "k", "a", NULL));
    assert_int_equal(reply.items[0].revision, 2);
    assert_int_not_equal(reply.items[0].created_ms, 0);
}

static void test_rows_of_others_are_stamped_while_we_are_at_it(void **state)
{
    struct test_store *store = *state;
    store_open(store);
    store_save(store, "k", "a", "v");
    store_execute(store, STIGMER_SAVE);
    struct request request = store_request(OPERATION_SAVE, "k", "a", "w");
    request.condition = CONDITION_IF_REVISION;
    request.if_revision = 1;
    struct reply reply = store_apply(store, request);
    assert_int_equal(reply.status, STATUS_CONFLICT);
    assert_int_equal(reply.revision, 2);
    store_expect_data(store, "k", "a", "A");
    assert_non_null(strstr(store->log, "another program"));
}

static void test_another_writer_ends_this_one(void **state)
{
    struct test_store *store = *state;
    store_open(store);
    store_save(store, "k", "a", "v");
    store_execute(store, "UPDATE meta SET value = value + 1 WHERE name = 'epoch'");
    assert_int_equal(store->storage->ops->begin(store->storage, store->now_ms), STORAGE_UNKNOWN);
}

static void test_a_file_moved_away_ends_its_writer(void **state)
{
    struct test_store *store = *state;
    struct reply reply;
    char *other = folder_path(store->folder, "other");
    store_open(store);
    assert_true(store->storage->ops->is_current(store->storage));
    assert_int_equal(rename(store->path, other), 0);
    assert_false(store->storage->ops->is_current(store->storage));
    assert_int_equal(store_try_apply(store, store_request(OPERATION_SAVE, "k", "a", "v"), &reply), STORAGE_UNKNOWN);
    free(other);
}

/* The files as a crash would leave them, put in place of the store's own. */
static void crash(struct test_store *store)
{
    char command[1024];
    snprintf(command, sizeof command, "cp '%s' '%s.c' && cp '%s-wal' '%s.c-wal'", store->path, store->path, store->path,
             store->path);
    assert_int_equal(system(command), 0); /* another process: opening the file here would drop our locks */
    storage_close(&store->storage);
    snprintf(command, sizeof command, "rm -f '%s' '%s-shm' && mv '%s.c' '%s' && mv '%s.c-wal' '%s-wal'", store->path,
             store->path, store->path, store->path, store->path, store->path);
    assert_int_equal(system(command), 0);
}

static void test_after_a_power_cut_no_revision_comes_twice(void **state)
{
    struct test_store *store = *state;
    store->options.durability_normal = true;
    store_open(store);
    assert_int_equal(store_save(store, "k", "a", "v"), 1);
    crash(store);
    store_open(store); /* in the same boot nothing was lost */
    assert_int_equal(store_save(store, "k", "a", "v"), 2);
    crash(store);
    store_execute(store, "UPDATE meta SET value = x'00112233445566778899aabbccddeeff' WHERE name = 'boot_id'");
    store_open(store);
    uint64_t revision = store_save(store, "k", "a", "v");
    assert_true(revision > 2 + 50000);
    storage_close(&store->storage);
    store_execute(store, "UPDATE meta SET value = x'00112233445566778899aabbccddeeff' WHERE name = 'boot_id'");
    store_open(store); /* stopped cleanly */
    assert_int_equal(store_save(store, "k", "a", "v"), revision + 1);
}

static void test_full_durability_leaves_no_gap(void **state)
{
    struct test_store *store = *state;
    store_open(store);
    store_save(store, "k", "a", "v");
    crash(store);
    store_execute(store, "UPDATE meta SET value = x'00112233445566778899aabbccddeeff' WHERE name = 'boot_id'");
    store_open(store);
    assert_int_equal(store_save(store, "k", "a", "v"), 2);
}

static void test_the_next_block_is_set_aside_in_time(void **state)
{
    struct test_store *store = *state;
    store->options.durability_normal = true;
    store_open(store);
    storage_close(&store->storage);
    store_execute(store, "UPDATE meta SET value = 500000 WHERE name = 'revision'");
    store_open(store);
    store_execute(store, "UPDATE meta SET value = 590001 WHERE name = 'revision'"); /* the reserved number is 600000 */
    assert_int_equal(store_save(store, "k", "a", "v"), 590002);
    store_save(store, "k", "a", "v");
    assert_true(store_number(store, "SELECT value FROM meta WHERE name = 'revision_reserved'") > 660000);
}

static void test_a_read_only_place_is_named(void **state)
{
    struct test_store *store = *state;
    struct failure failure;
    uid_t me = geteuid(), nobody = 65534;
    store_open(store);
    storage_close(&store->storage);
    assert_int_equal(chmod(store->folder, 0555), 0);
    if (me == 0) /* may write anywhere */
        assert_int_equal(chown(store->path, nobody, (gid_t)-1) | seteuid(nobody), 0);
    assert_int_equal(store_try_open(store, &failure), STATUS_READ_ONLY);
    assert_int_equal(seteuid(me), 0);
    assert_non_null(strstr(failure.message, store->folder));
    assert_int_equal(chmod(store->folder, 0700), 0);
}

static void test_versions_with_the_bug_are_told_by_list(void **state)
{
    (void)state;
    assert_true(sqlite_version_is_affected(3040001));
    assert_true(sqlite_version_is_affected(3051002));
    assert_true(sqlite_version_is_affected(3044005));
    assert_false(sqlite_version_is_affected(3044006));
    assert_true(sqlite_version_is_affected(3045000));
    assert_false(sqlite_version_is_affected(3050007));
    assert_false(sqlite_version_is_affected(3051003));
    assert_false(sqlite_version_is_affected(3006023));
    assert_int_equal(storage_sqlite_warning() != NULL, sqlite_version_is_affected(sqlite3_libversion_number()));
}

/* Whoever embeds the store or runs one command cannot do anything about it. */
static void test_an_ordinary_opening_says_nothing(void **state)
{
    struct test_store *store = *state;
    store_open(store);
    storage_close(&store->storage);
    store_open(store);
    assert_string_equal(store->log, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup_closed, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_file_and_its_folders_are_private),
        TEST(test_what_must_exist_is_not_made),
        TEST(test_an_ordinary_opening_says_nothing),
        TEST(test_a_second_opening_finds_all_and_raises_the_epoch),
        TEST(test_a_crash_before_the_tables_is_no_harm),
        TEST(test_what_is_not_ours_is_refused_as_it_was),
        TEST(test_a_newer_schema_is_refused),
        TEST(test_rows_of_others_are_stamped_at_the_next_opening),
        TEST(test_rows_of_others_are_stamped_while_we_are_at_it),
        TEST(test_another_writer_ends_this_one),
        TEST(test_a_file_moved_away_ends_its_writer),
        TEST(test_after_a_power_cut_no_revision_comes_twice),
        TEST(test_full_durability_leaves_no_gap),
        TEST(test_the_next_block_is_set_aside_in_time),
        TEST(test_a_read_only_place_is_named),
        cmocka_unit_test(test_versions_with_the_bug_are_told_by_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
