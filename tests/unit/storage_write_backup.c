/*
 * storage_write_backup.c - an online copy: whole, of one moment, its own store, and never half there.
 */
#include "tests/support/folder.h"
#include "tests/unit/storage_write_store.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void fill(struct test_store *store, int count)
{
    char id[16], data[3000];
    memset(data, 'x', sizeof data - 1);
    data[sizeof data - 1] = '\0';
    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%04d", i);
        store_save(store, "k", id, data);
    }
}

static struct storage_backup *start(struct test_store *store, const char *path)
{
    struct storage_backup *backup = NULL;
    struct failure failure = {0};
    if (store->storage->ops->backup_open(store->storage, path, &backup, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
    return backup;
}

static void test_a_backup_holds_what_was_saved_while_it_went_on(void **state)
{
    struct test_store *store = *state;
    struct failure failure = {0};
    struct stat file;
    bool done = false;
    int steps = 0;
    char *path = folder_path(store->folder, "copy"), *original = store->path;
    fill(store, 300);
    struct storage_session_record record = {.bytes = span_text("session"), .session_counter = 5};
    assert_int_equal(store->storage->ops->begin(store->storage, store->now_ms), STATUS_OK);
    assert_int_equal(store->storage->ops->commit(store->storage, &record, NULL), STATUS_OK);
    struct storage_backup *backup = start(store, path);
    for (; !done; steps++) {
        if (steps == 1)
            store_save(store, "k", "0000", "meanwhile");
        assert_int_equal(store->storage->ops->backup_step(backup, 50, &done, &failure), STATUS_OK);
    }
    assert_true(steps > 2);
    store->storage->ops->backup_close(&backup);
    assert_null(backup);
    struct storage_identity identity = store->storage->identity;
    storage_close(&store->storage);

    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    store->options.path = store->path = path;
    assert_int_equal(store_number(store, "SELECT count(*) FROM session_log"), 0);
    store_open(store);
    assert_memory_not_equal(identity.incarnation, store->storage->identity.incarnation, 16);
    store_expect_data(store, "k", "0000", "meanwhile");
    assert_int_equal(store_save(store, "k", "new", "v"), 302);
    struct storage_counters counters;
    store->storage->ops->counters(store->storage, &counters);
    assert_int_equal(counters.session_counter, 5);
    storage_close(&store->storage);
    store->path = original;
    free(path);
}

static int count_files(const char *folder, const char *part)
{
    int count = 0;
    DIR *files = opendir(folder);
    assert_non_null(files);
    for (struct dirent *entry; (entry = readdir(files));)
        count += strstr(entry->d_name, part) != NULL;
    closedir(files);
    return count;
}

static void test_an_unfinished_copy_is_removed(void **state)
{
    struct test_store *store = *state;
    struct failure failure = {0};
    bool done = true;
    char *path = folder_path(store->folder, "copy");
    fill(store, 100);
    struct storage_backup *backup = start(store, path);
    assert_int_equal(store->storage->ops->backup_step(backup, 10, &done, &failure), STATUS_OK);
    assert_false(done);
    assert_int_equal(count_files(store->folder, "copy"), 1);
    assert_int_not_equal(access(path, F_OK), 0);
    store->storage->ops->backup_close(&backup);
    assert_int_equal(count_files(store->folder, "copy"), 0);
    free(path);
}

static void expect_refused(struct test_store *store, const char *path, int status)
{
    struct storage_backup *backup = NULL;
    struct failure failure = {0};
    assert_int_equal(store->storage->ops->backup_open(store->storage, path, &backup, &failure), status);
    assert_null(backup);
    assert_true(failure.message[0] != '\0');
}

static void test_a_backup_overwrites_nothing(void **state)
{
    struct test_store *store = *state;
    char *missing = folder_path(store->folder, "missing/copy");
    expect_refused(store, "relative", STATUS_INVALID_ARGUMENT);
    expect_refused(store, store->path, STATUS_INVALID_ARGUMENT);
    expect_refused(store, missing, STATUS_NOT_FOUND);
    free(missing);
}

static void test_a_file_that_appeared_meanwhile_is_kept(void **state)
{
    struct test_store *store = *state;
    struct failure failure = {0};
    bool done = false;
    char *path = folder_path(store->folder, "copy");
    struct storage_backup *backup = start(store, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    int status = STATUS_OK;
    while (status == STATUS_OK && !done)
        status = store->storage->ops->backup_step(backup, 100, &done, &failure);
    assert_int_not_equal(status, STATUS_OK);
    store->storage->ops->backup_close(&backup);
    assert_int_equal(count_files(store->folder, "copy"), 1);
    struct stat kept;
    assert_int_equal(stat(path, &kept), 0);
    assert_int_equal(kept.st_size, 0);
    free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_backup_holds_what_was_saved_while_it_went_on),
        TEST(test_an_unfinished_copy_is_removed),
        TEST(test_a_backup_overwrites_nothing),
        TEST(test_a_file_that_appeared_meanwhile_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
