/*
 * client_owner.c - embedded: who owned the file before, folders that may not be written, commits of unknown outcome.
 */
#include "storage/lock.h"
#include "tests/unit/client_fixture.h"
#include "tests/unit/storage_write_fault.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int in_child(int (*body)(struct fixture *), struct fixture *fixture)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(body(fixture));
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- the last owner ---- */

static int own_as_standalone(struct fixture *fixture)
{
    struct lock *lock;
    struct lock_holder holder;
    struct failure failure;

    if (lock_open(fixture->path, true, &lock, &failure) != STATUS_OK ||
        lock_take(lock, LOCK_OWNER, &holder) != STATUS_OK)
        return 1;
    lock_holder_self(&holder, LOCK_STANDALONE, "ipc:///nowhere");
    return lock_describe(lock, &holder, &failure) == STATUS_OK ? 0 : 2;
}

static void a_file_of_standalone_actors_is_taken_over_only_when_asked(void **state)
{
    struct fixture *fixture = *state;

    stigstore_free(&fixture->store);
    assert_int_equal(in_child(own_as_standalone, fixture), 0);
    assert_int_equal(open_status(fixture->path, 0, NULL, 0), STIGSTORE_UNAVAILABLE);
    fixture->store = open_with(fixture->path, STIGSTORE_OPEN_TAKE_OVER);
    assert_non_null(fixture->store);
    stigstore_free(&fixture->store);
    fixture->store = open_with(fixture->path, 0);
    assert_non_null(fixture->store);
}

/* ---- folders that may not be written, or not be read ---- */

enum { NOBODY = 65534 };

static int open_as_nobody(struct fixture *fixture)
{
    stigstore *store;
    char message[512];

    if (geteuid() == 0 && setuid(NOBODY) != 0)
        return 1;
    if (open_status(fixture->path, 0, message, sizeof(message)) != STIGSTORE_READ_ONLY)
        return 2;
    if (!strstr(message, fixture->folder))
        return 3;
    store = open_with(fixture->path, STIGSTORE_OPEN_READ_ONLY);
    if (!store || stigstore_get_resource(store, TEXT("k"), TEXT("a"), NULL) != STIGSTORE_OK)
        return 4;
    stigstore_free(&store);
    return 0;
}

static void a_folder_that_may_not_be_written_can_be_read(void **state)
{
    struct fixture *fixture = *state;
    char command[256];

    save(fixture->store, "k", "a", "1");
    stigstore_free(&fixture->store);
    snprintf(command, sizeof(command), "chmod 0444 %s* && chmod 0555 %s", fixture->path, fixture->folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(in_child(open_as_nobody, fixture), 0);
    assert_int_equal(chmod(fixture->folder, 0755), 0);
}

static int write_as_nobody(struct fixture *fixture)
{
    stigstore *store;

    if (geteuid() == 0 && (chown(fixture->folder, NOBODY, NOBODY) != 0 || setuid(NOBODY) != 0))
        return 1;
    if (chmod(fixture->folder, 0300) != 0)
        return 2;
    store = open_with(fixture->path, 0); /* a new file, then one that is there */
    stigstore_free(&store);
    store = open_with(fixture->path, 0);
    if (!store || stigstore_save_resource(store, TEXT("k"), TEXT("a"), TEXT("1"), NULL) != STIGSTORE_OK)
        return 3;
    stigstore_free(&store);
    return 0;
}

/* Nor can it be synced then. */
static void a_folder_that_may_not_be_read_can_be_written(void **state)
{
    struct fixture *fixture = *state;
    char command[256];

    stigstore_free(&fixture->store);
    snprintf(command, sizeof(command), "rm -f %s*", fixture->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(in_child(write_as_nobody, fixture), 0);
    assert_int_equal(chmod(fixture->folder, 0755), 0);
}

/* ---- commits of unknown outcome ---- */

static stigstore *open_durable(const char *path)
{
    const stigstore_options options = {.struct_size = sizeof(options)};
    stigstore *store = NULL;

    assert_int_equal(stigstore_open(path, &options, &store, NULL), STIGSTORE_OK);
    return store;
}

static void after_a_failed_sync_the_next_call_opens_anew(void **state)
{
    struct fixture *fixture = *state;
    stigstore_result *result = NULL;

    stigstore_free(&fixture->store);
    fixture->store = open_durable(fixture->path);
    save(fixture->store, "k", "a", "1");
    fault.sync_rc = SQLITE_IOERR_FSYNC;
    assert_int_equal(stigstore_save_resource(fixture->store, TEXT("k"), TEXT("a"), TEXT("2"), &result),
                     STIGSTORE_IO_ERROR);
    assert_false(result->flags & STIGSTORE_NOT_APPLIED);
    assert_int_equal(stigstore_save_resource(fixture->store, TEXT("k"), TEXT("b"), TEXT("1"), &result),
                     STIGSTORE_IO_ERROR);
    assert_int_equal(stigstore_get_resource(fixture->store, TEXT("k"), TEXT("a"), NULL), STIGSTORE_OK);
    fault_clear();
    assert_int_equal(stigstore_save_resource(fixture->store, TEXT("k"), TEXT("a"), TEXT("3"), &result), STIGSTORE_OK);
    assert_data(fixture->store, "k", "a", "3");
    assert_absent(fixture->store, "k", "b");
    stigstore_result_free(&result);
}

static void after_a_sync_that_fails_while_opening_it_is_opened_anew(void **state)
{
    struct fixture *fixture = *state;
    stigstore *store = NULL;

    stigstore_free(&fixture->store);
    fault.sync_rc = SQLITE_IOERR_FSYNC;
    assert_int_equal(stigstore_open(fixture->path, NULL, &store, NULL), STIGSTORE_IO_ERROR);
    fault_clear();
    fixture->store = open_durable(fixture->path);
    save(fixture->store, "k", "a", "1");
}

static void *save_one(void *context)
{
    return (void *)(intptr_t)stigstore_save_resource(context, TEXT("k"), TEXT("a"), TEXT("2"), NULL);
}

static void all_inside_a_group_learn_of_a_failed_sync(void **state)
{
    enum { THREADS = 8 };
    struct fixture *fixture = *state;
    pthread_t threads[THREADS];
    void *status;

    stigstore_free(&fixture->store);
    fixture->store = open_durable(fixture->path);
    fault.sync_rc = SQLITE_IOERR_FSYNC;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, save_one, fixture->store), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &status);
        assert_int_equal((intptr_t)status, STIGSTORE_IO_ERROR);
    }
    fault_clear();
    save(fixture->store, "k", "a", "3");
}

static int set_up_with_faults(void **state)
{
    fault_install();
    fault_clear();
    return fixture_set_up(state);
}

static int tear_down_with_faults(void **state)
{
    fault_clear();
    return fixture_tear_down(state);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_with_faults, tear_down_with_faults)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_file_of_standalone_actors_is_taken_over_only_when_asked),
        STORE_TEST(a_folder_that_may_not_be_written_can_be_read),
        STORE_TEST(a_folder_that_may_not_be_read_can_be_written),
        FAULT_TEST(after_a_failed_sync_the_next_call_opens_anew),
        FAULT_TEST(after_a_sync_that_fails_while_opening_it_is_opened_anew),
        FAULT_TEST(all_inside_a_group_learn_of_a_failed_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
