/* storage_read_open.c - opening for reading: what is refused, and that nothing is left beside the file. */
#include "tests/unit/storage_read_fixture.h"

#include "proto/clock.h"
#include "storage/lock.h"
#include "tests/support/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int files_in(const char *folder)
{
    DIR *directory = opendir(folder);
    int count = -2; /* . and .. */
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static int try_open(const char *path, struct failure *failure)
{
    struct storage *storage = NULL;
    int status = fixture_try_open(path, &storage, failure);
    assert_int_equal(status == STATUS_OK, storage != NULL);
    storage_close(&storage);
    return status;
}

static void write_file(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
}

static void assert_reads(struct fixture *fixture, const char *wanted)
{
    struct reply reply = fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a"));
    assert_int_equal(reply.status, STATUS_OK);
    assert_span_equal(reply.items[0].data, span_text(wanted));
}

static void what_is_no_store_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct failure failure;
    char *path = folder_path(fixture->folder, "other"), *deep = folder_path(fixture->folder, "other/db");
    assert_int_equal(try_open(path, &failure), STATUS_NOT_FOUND);
    assert_non_null(strstr(failure.message, path));
    assert_int_equal(try_open(deep, &failure), STATUS_NOT_FOUND);
    assert_int_equal(try_open(fixture->folder, &failure), STATUS_UNSUPPORTED);
    write_file(path, "", 0);
    assert_int_equal(try_open(path, &failure), STATUS_UNSUPPORTED);
    write_file(
        path, "This is a text that was never a database, though it is longer than a header of one is, by far.....", 99);
    assert_int_equal(try_open(path, &failure), STATUS_UNSUPPORTED);
    unlink(path);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    int before = files_in(fixture->folder);
    assert_int_equal(try_open(path, &failure), STATUS_UNSUPPORTED);
    assert_int_equal(files_in(fixture->folder), before);
    fixture_run(fixture, "UPDATE meta SET value = 99 WHERE name = 'schema'");
    assert_int_equal(try_open(fixture->path, &failure), STATUS_UNSUPPORTED);
    assert_non_null(strstr(failure.message, "newer"));
    free(deep);
    free(path);
}

static void a_clean_file_is_read_without_a_trace(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    fixture_close_writer(fixture);
    assert_int_equal(files_in(fixture->folder), 1);
    fixture_open(fixture);
    assert_reads(fixture, "1");
    assert_int_equal(files_in(fixture->folder), 1);
    assert_true(fixture->storage->ops->is_current(fixture->storage));
}

static void special_names(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = {"a?immutable=0#x", "50%41", "file:x", " spaced 'name'", "\xC3\xBC.sqlite"};
    for (size_t i = 0; i < 5; i++) {
        char *path = folder_path(fixture->folder, names[i]);
        sqlite3_close(fixture_create(path));
        assert_int_equal(try_open(path, NULL), STATUS_OK);
        free(path);
    }
    assert_int_equal(files_in(fixture->folder), 5 + 3);
}

static void a_wal_left_alone_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct failure failure;
    char *copy = folder_path(fixture->folder, "copy"), *wal = folder_path(fixture->folder, "copy-wal"), command[512];
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    snprintf(command, sizeof(command), "cp '%s' '%s' && cp '%s-wal' '%s'", fixture->path, copy, fixture->path, wal);
    assert_int_equal(system(command), 0);
    int before = files_in(fixture->folder);
    assert_int_equal(try_open(copy, &failure), STATUS_UNAVAILABLE);
    assert_non_null(strstr(failure.message, copy));
    assert_int_equal(files_in(fixture->folder), before);
    assert_int_equal(truncate(wal, 0), 0);
    assert_int_equal(truncate(copy, 0), 0);
    assert_int_equal(try_open(copy, &failure), STATUS_UNSUPPORTED);
    free(copy);
    free(wal);
}

static void a_file_cut_short_is_corrupt(void **state)
{
    struct fixture *fixture = *state;
    struct failure failure;
    struct stat file;
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    fixture_close_writer(fixture);
    assert_int_equal(stat(fixture->path, &file), 0);
    assert_int_equal(truncate(fixture->path, file.st_size - 1), 0);
    assert_int_equal(try_open(fixture->path, &failure), STATUS_CORRUPT);
    assert_int_equal(truncate(fixture->path, file.st_size - 4096), 0);
    assert_int_equal(try_open(fixture->path, &failure), STATUS_CORRUPT);
}

static void a_writer_that_comes_later_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    fixture_close_writer(fixture);
    fixture_open(fixture);
    assert_reads(fixture, "1");
    assert_int_equal(sqlite3_open(fixture->path, &fixture->db), SQLITE_OK);
    fixture_put(fixture, "k", span_text("a"), span_text("2"));
    struct reply reply = fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a"));
    assert_int_equal(reply.status, STATUS_UNAVAILABLE);
    assert_int_equal(reply.item_count, 0);
    assert_false(fixture->storage->ops->is_current(fixture->storage));
    storage_close(&fixture->storage);
    fixture_open(fixture);
    assert_reads(fixture, "2");
    /* And so when it has come and gone. */
    storage_close(&fixture->storage);
    fixture_close_writer(fixture);
    fixture_open(fixture);
    assert_int_equal(sqlite3_open(fixture->path, &fixture->db), SQLITE_OK);
    fixture_put(fixture, "k", span_text("a"), span_text("3"));
    fixture_close_writer(fixture);
    reply = fixture_ask(fixture, fixture_request(OPERATION_GET, "k", "a"));
    assert_int_equal(reply.status, STATUS_UNAVAILABLE);
}

static void identity_tells_files_apart(void **state)
{
    struct fixture *fixture = *state;
    struct stat file;
    char *other = folder_path(fixture->folder, "other");
    fixture_open(fixture);
    const struct storage_identity *identity = &fixture->storage->identity;
    assert_int_equal(stat(fixture->path, &file), 0);
    assert_int_equal(identity->device, file.st_dev);
    assert_int_equal(identity->inode, file.st_ino);
    assert_memory_equal(identity->boot_id, clock_boot_id(), BOOT_ID_BYTES);
    assert_true(fixture->storage->ops->is_current(fixture->storage));
    sqlite3_close(fixture_create(other));
    struct storage *second = NULL;
    assert_int_equal(fixture_try_open(other, &second, NULL), STATUS_OK);
    assert_memory_not_equal(identity->incarnation, second->identity.incarnation, 16);
    storage_close(&second);
    assert_int_equal(rename(other, fixture->path), 0);
    assert_false(fixture->storage->ops->is_current(fixture->storage));
    assert_int_equal(unlink(fixture->path), 0);
    assert_false(fixture->storage->ops->is_current(fixture->storage));
    free(other);
}

static void an_owner_whose_writer_is_missing(void **state)
{
    struct fixture *fixture = *state;
    struct lock *lock = NULL;
    struct failure failure;
    assert_int_equal(lock_open(fixture->path, true, &lock, NULL), STATUS_OK);
    assert_int_equal(try_open(fixture->path, &failure), STATUS_OK);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(try_open(fixture->path, &failure), STATUS_UNAVAILABLE);
    assert_int_equal(lock_take(lock, LOCK_WRITER, NULL), STATUS_OK);
    assert_int_equal(try_open(fixture->path, &failure), STATUS_OK);
    lock_free(&lock);
}

/* Opened, in the child, as nobody, who may only look. */
static int look_as_nobody(struct fixture *fixture)
{
    struct storage *storage = NULL;
    struct reply reply;
    struct request request = fixture_request(OPERATION_GET, "k", "a");
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        return 1;
    if (fixture_try_open(fixture->path, &storage, NULL) != STATUS_OK)
        return 2;
    for (int i = 0; i < 3; i++)
        if (storage->ops->answer(storage, &request, 1, &reply, fixture->arena, 1 << 20) != STATUS_OK || reply.status)
            return 3;
    if (reply.items[0].data.size != 1 || *(const char *)reply.items[0].data.data != '1')
        return 4;
    storage_close(&storage);
    return 0;
}

static void check_as_nobody(struct fixture *fixture)
{
    int before = files_in(fixture->folder), status;
    pid_t child = fork();
    if (child == 0)
        _exit(look_as_nobody(fixture));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(files_in(fixture->folder), before);
}

static void where_nothing_may_be_written(void **state)
{
    struct fixture *fixture = *state;
    char command[256];
    fixture_put(fixture, "k", span_text("a"), span_text("1"));
    snprintf(command, sizeof(command), "chmod 444 '%s' '%s'-*; chmod 555 '%s'", fixture->path, fixture->path,
             fixture->folder);
    assert_int_equal(system(command), 0);
    check_as_nobody(fixture); /* beside a writer, whose files it may read */
    fixture_close_writer(fixture);
    assert_int_equal(files_in(fixture->folder), 1);
    check_as_nobody(fixture); /* alone */
    assert_int_equal(chmod(fixture->folder, 0777), 0);
    check_as_nobody(fixture); /* where it could leave something */
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(what_is_no_store_is_refused),
        ON_A_STORE(a_clean_file_is_read_without_a_trace),
        ON_A_STORE(special_names),
        ON_A_STORE(a_wal_left_alone_is_refused),
        ON_A_STORE(a_file_cut_short_is_corrupt),
        ON_A_STORE(a_writer_that_comes_later_is_noticed),
        ON_A_STORE(identity_tells_files_apart),
        ON_A_STORE(an_owner_whose_writer_is_missing),
        ON_A_STORE(where_nothing_may_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
