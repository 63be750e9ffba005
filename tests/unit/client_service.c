/*
 * client_service.c - the library beside a real service: attaching, local reads, deadlines, restored files, fork.
 */
#include "client/locate.h"
#include "client/stigstore.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/service.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ThreadSanitizer ends a child of a process with threads that starts one itself. */
#if defined(__SANITIZE_THREAD__)
#define FORK_WITH_THREADS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORK_WITH_THREADS 0
#endif
#endif
#ifndef FORK_WITH_THREADS
#define FORK_WITH_THREADS 1
#endif

#define TEXT(literal) ((stigstore_bytes){(literal), sizeof(literal) - 1})

static struct service service;

static stigstore *open_flags(const char *url, uint32_t flags)
{
    const stigstore_options options = {.struct_size = sizeof(options), .flags = flags, .timeout_ms = 20000};
    stigstore *store = NULL;

    assert_int_equal(stigstore_open(url, &options, &store, NULL), STIGSTORE_OK);
    return store;
}

static void save(stigstore *store, const char *data)
{
    assert_int_equal(stigstore_save_resource(store, TEXT("k"), TEXT("a"), stigstore_text(data), NULL), STIGSTORE_OK);
}

static void assert_data(stigstore *store, const char *data)
{
    stigstore_result *result = NULL;

    assert_int_equal(stigstore_get_resource(store, TEXT("k"), TEXT("a"), &result), STIGSTORE_OK);
    assert_int_equal(result->items[0].data.size, strlen(data));
    assert_memory_equal(result->items[0].data.data, data, strlen(data));
    stigstore_result_free(&result);
}

static int set_up(void **state)
{
    (void)state;
    service = service_start(NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    service_free(&service);
    return 0;
}

static void stop_broker(int how)
{
    kill(service_actor(&service, "stigstore-broker", 0), how);
}

/* ---- two lanes ---- */

/* The broker stands still: what is answered was read from the file. */
static void reads_need_no_broker(void **state)
{
    stigstore *store = open_flags(service.url, 0);
    stigstore *through = open_flags(service.url, STIGSTORE_READS_THROUGH_BROKER);
    stigstore_cursor *cursor = NULL;
    const stigstore_item *item;

    (void)state;
    save(store, "1");
    assert_data(through, "1");
    assert_string_equal(stigstore_path(store), service.database);
    stop_broker(SIGSTOP);
    assert_data(store, "1");
    assert_int_equal(
        stigstore_cursor_open(store, &(stigstore_request){STIGSTORE_REQUEST(LIST), .kind = TEXT("k")}, &cursor, NULL),
        STIGSTORE_OK);
    assert_int_equal(stigstore_cursor_next(cursor, &item), STIGSTORE_OK);
    assert_int_equal(stigstore_cursor_next(cursor, &item), STIGSTORE_END);
    stigstore_cursor_free(&cursor);
    assert_int_equal(stigstore_call(through,
                                    &(stigstore_request){STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a"),
                                                         .timeout_ms = 50},
                                    NULL),
                     STIGSTORE_DEADLINE_EXCEEDED);
    stop_broker(SIGCONT);
    assert_data(through, "1");
    stigstore_free(&through);
    stigstore_free(&store);
}

static void a_given_up_mutation_never_lands_late(void **state)
{
    stigstore *store = open_flags(service.url, 0);
    stigstore_request late = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("a"), .data = TEXT("late")};

    (void)state;
    save(store, "1");
    stop_broker(SIGSTOP);
    late.timeout_ms = 50;
    assert_int_equal(stigstore_call(store, &late, NULL), STIGSTORE_DEADLINE_EXCEEDED);
    stop_broker(SIGCONT);
    save(store, "2");
    assert_data(store, "2");
    stigstore_free(&store);
}

static void without_a_service_a_call_is_unavailable_and_not_applied(void **state)
{
    stigstore *store = open_flags(service.url, 0);
    stigstore_result *result = NULL;
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("a"), .timeout_ms = 100};

    (void)state;
    save(store, "1");
    service_stop(&service);
    assert_int_equal(stigstore_call(store, &request, &result), STIGSTORE_UNAVAILABLE);
    assert_true(result->flags & STIGSTORE_NOT_APPLIED);
    service_restart(&service);
    request.timeout_ms = 0;
    assert_int_equal(stigstore_call(store, &request, &result), STIGSTORE_OK);
    stigstore_result_free(&result);
    stigstore_free(&store);
}

/* ---- a restored file ---- */

static void restore(const char *copy)
{
    struct output output =
        process_run((const char *const[]){"stigstore", "--store", service.database, "restore", copy, NULL}, NULL, 0);

    if (output.code != 0)
        print_error("%s\n", output.errors);
    assert_int_equal(output.code, 0);
    output_free(&output);
}

/* WENT_BACK comes with one of the next calls, and only once. */
static void expect_went_back(stigstore *store)
{
    int told = 0;

    for (int i = 0; i < 5; i++) {
        int status = stigstore_get_resource(store, TEXT("k"), TEXT("a"), NULL);
        told += status == STIGSTORE_WENT_BACK;
        assert_true(status == STIGSTORE_OK || status == STIGSTORE_WENT_BACK);
    }
    assert_int_equal(told, 1);
    assert_data(store, "1");
    save(store, "3");
    assert_data(store, "3");
}

static void a_restored_file_is_told_of_once(void **state)
{
    stigstore *reading = open_flags(service.url, 0);
    stigstore *through = open_flags(service.url, STIGSTORE_READS_THROUGH_BROKER);
    char copy[160];

    (void)state;
    snprintf(copy, sizeof(copy), "%s/copy.sqlite", service.folder);
    save(reading, "1");
    assert_int_equal(stigstore_backup(reading, copy, NULL), STIGSTORE_OK);
    save(reading, "2");
    assert_data(reading, "2");
    assert_data(through, "2");
    service_stop(&service);
    restore(copy);
    service_restart(&service);
    expect_went_back(reading);
    stigstore_free(&reading);
    stigstore_free(&through);
}

/* ---- fork, threads ---- */

static int use_in_child(stigstore *inherited)
{
    const stigstore_options options = {.struct_size = sizeof(options), .timeout_ms = 20000};
    stigstore *store = NULL;

    if (stigstore_get_resource(inherited, TEXT("k"), TEXT("a"), NULL) != STIGSTORE_FORKED)
        return 1;
    stigstore_free(&inherited);
    if (stigstore_open(service.url, &options, &store, NULL) != STIGSTORE_OK)
        return 2;
    if (stigstore_get_resource(store, TEXT("k"), TEXT("a"), NULL) != STIGSTORE_OK)
        return 3;
    if (stigstore_save_resource(store, TEXT("k"), TEXT("a"), TEXT("child"), NULL) != STIGSTORE_OK)
        return 4;
    stigstore_free(&store);
    return 0;
}

static void a_forked_child_opens_its_own(void **state)
{
    stigstore *store;
    int status = -1;
    pid_t child;

    (void)state;
    if (!FORK_WITH_THREADS)
        skip();
    store = open_flags(service.url, 0);
    save(store, "1");
    assert_data(store, "1");
    child = fork();
    if (child == 0)
        _exit(use_in_child(store));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_data(store, "child");
    stigstore_free(&store);
}

static int threads_of_process(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void only_kept_snapshots_need_a_thread(void **state)
{
    stigstore *keeping = open_flags(service.url, 0);
    stigstore *plain = open_flags(service.url, STIGSTORE_NO_SNAPSHOT_REUSE);
    int before = threads_of_process();

    (void)state;
    save(keeping, "1");
    assert_data(plain, "1");
    assert_int_equal(threads_of_process(), before);
    assert_data(keeping, "1");
    assert_int_equal(threads_of_process(), before + 1);
    stigstore_free(&plain);
    stigstore_free(&keeping);
}

/* ---- requests that no message takes ---- */

static void a_backup_to_a_path_too_long_is_refused(void **state)
{
    static char path[5000];
    stigstore *store = open_flags(service.url, 0);

    (void)state;
    memset(path, '/', sizeof(path) - 1);
    assert_int_equal(stigstore_backup(store, path, NULL), STIGSTORE_INVALID_ARGUMENT);
    stigstore_free(&store);
}

/* ---- the default service ---- */

static void the_default_service_is_found(void **state)
{
    char home[128], database[160], endpoint[160];
    const char *arguments[] = {"stigstore", "serve", "--db", database, "--ready-fd", "0000", NULL};
    char fd_text[16], byte;
    struct failure failure;
    stigstore *store;
    int ready[2];
    pid_t pid;

    (void)state;
    snprintf(home, sizeof(home), "%s/home", service.folder);
    snprintf(database, sizeof(database), "%s/.stigmer/stigmer.sqlite", home);
    assert_int_equal(mkdir(home, 0700), 0);
    setenv("HOME", home, 1);
    setenv("XDG_RUNTIME_DIR", home, 1);
    unsetenv("STIGSTORE_URL");
    assert_int_equal(pipe(ready), 0);
    snprintf(fd_text, sizeof(fd_text), "%d", ready[1]);
    arguments[5] = fd_text;
    pid = process_start(arguments, -1, -2, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    assert_int_equal(locate_endpoint(database, endpoint, sizeof(endpoint), &failure), STIGSTORE_OK);
    assert_true(locate_is_answered(endpoint));
    store = open_flags(NULL, 0);
    assert_string_equal(stigstore_path(store), database);
    save(store, "1");
    stigstore_free(&store);
    kill(pid, SIGTERM);
    assert_int_equal(process_join(pid), 0);
    assert_false(locate_is_answered(endpoint));
    store = open_flags(NULL, 0);
    assert_data(store, "1");
    stigstore_free(&store);
}

#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(reads_need_no_broker),
        SERVICE_TEST(a_given_up_mutation_never_lands_late),
        SERVICE_TEST(without_a_service_a_call_is_unavailable_and_not_applied),
        SERVICE_TEST(a_restored_file_is_told_of_once),
        SERVICE_TEST(a_forked_child_opens_its_own),
        SERVICE_TEST(only_kept_snapshots_need_a_thread),
        SERVICE_TEST(a_backup_to_a_path_too_long_is_refused),
        SERVICE_TEST(the_default_service_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
