/*
 * client_life.c - handles from open to free: who owns a file, two handles, close under load, fork, default paths.
 */
#include "tests/unit/client_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- two handles, two processes ---- */

static void two_handles_on_one_file_share_it(void **state)
{
    struct fixture *fixture = *state;
    stigstore *second = open_with(fixture->path, 0);
    char link_path[128];
    stigstore *third;

    assert_non_null(second);
    save(fixture->store, "k", "a", "1");
    assert_data(second, "k", "a", "1");
    save(second, "k", "a", "2");
    stigstore_free(&fixture->store);
    assert_data(second, "k", "a", "2");
    snprintf(link_path, sizeof(link_path), "%s/link", fixture->folder);
    assert_int_equal(symlink(fixture->path, link_path), 0);
    third = open_with(link_path, 0);
    assert_string_equal(stigstore_path(third), fixture->path);
    save(third, "k", "a", "3");
    assert_data(second, "k", "a", "3");
    stigstore_free(&third);
    stigstore_free(&second);
}

/* Runs `body` in a process of its own that never had the store open; 0: it did well. */
static int in_child(int (*body)(const char *path), const char *path)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(body(path));
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int hold_until_told(const char *path, int ready_fd, int go_fd)
{
    stigstore *store = open_with(path, 0);
    char byte = 'r';

    if (!store || stigstore_save_resource(store, TEXT("k"), TEXT("theirs"), TEXT("1"), NULL) != STIGSTORE_OK)
        return 1;
    if (write(ready_fd, &byte, 1) != 1 || read(go_fd, &byte, 1) < 0)
        return 2;
    stigstore_free(&store);
    return 0;
}

static void another_process_is_named_and_can_be_read_beside(void **state)
{
    struct fixture *fixture = *state;
    int ready[2], go[2], status;
    char message[512], pid_text[32], byte;
    stigstore *reader;
    pid_t child;

    stigstore_free(&fixture->store);
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    child = fork();
    if (child == 0)
        _exit(hold_until_told(fixture->path, ready[1], go[0]));
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(open_status(fixture->path, 0, message, sizeof(message)), STIGSTORE_BUSY);
    snprintf(pid_text, sizeof(pid_text), "%d", (int)child);
    assert_non_null(strstr(message, pid_text));
    reader = open_with(fixture->path, STIGSTORE_OPEN_READ_ONLY);
    assert_data(reader, "k", "theirs", "1");
    assert_int_equal(stigstore_save_resource(reader, TEXT("k"), TEXT("a"), TEXT("1"), NULL), STIGSTORE_READ_ONLY);
    stigstore_free(&reader);
    assert_int_equal(write(go[1], "g", 1), 1);
    waitpid(child, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 0);
    fixture->store = open_with(fixture->path, 0);
    assert_data(fixture->store, "k", "theirs", "1");
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
}

static stigstore *inherited;

static int use_inherited(const char *path)
{
    stigstore_queue *queue;
    stigstore_result *result = NULL;

    if (stigstore_get_resource(inherited, TEXT("k"), TEXT("a"), &result) != STIGSTORE_FORKED)
        return 1;
    stigstore_result_free(&result);
    if (stigstore_queue_new(inherited, &queue) != STIGSTORE_FORKED)
        return 2;
    if (stigstore_close(inherited) != STIGSTORE_FORKED)
        return 3;
    if (open_status(path, 0, NULL, 0) == STIGSTORE_OK)
        return 4;
    stigstore_free(&inherited);
    return inherited ? 5 : 0;
}

static void a_forked_child_gets_nothing_of_it(void **state)
{
    struct fixture *fixture = *state;

    save(fixture->store, "k", "a", "1");
    inherited = fixture->store;
    assert_int_equal(in_child(use_inherited, fixture->path), 0);
    assert_data(fixture->store, "k", "a", "1");
    assert_int_equal(stigstore_save_resource(fixture->store, TEXT("k"), TEXT("a"), TEXT("2"), NULL), STIGSTORE_OK);
}

static int save_and_die(const char *path)
{
    stigstore *store = open_with(path, 0);

    if (!store || stigstore_save_resource(store, TEXT("k"), TEXT("a"), TEXT("kept"), NULL) != STIGSTORE_OK)
        return 1;
    raise(SIGKILL);
    return 2;
}

static void what_a_killed_process_saved_is_there(void **state)
{
    struct fixture *fixture = *state;

    stigstore_free(&fixture->store);
    assert_int_equal(in_child(save_and_die, fixture->path), -1);
    fixture->store = open_with(fixture->path, 0);
    assert_data(fixture->store, "k", "a", "kept");
}

/* ---- close ---- */

static void after_close_every_call_says_so(void **state)
{
    stigstore *store = store_of(state);
    stigstore_result *result = NULL;
    stigstore_queue *queue = NULL;
    char *json;

    assert_int_equal(stigstore_close(store), STIGSTORE_OK);
    assert_int_equal(stigstore_close(store), STIGSTORE_OK);
    assert_int_equal(stigstore_get_resource(store, TEXT("k"), TEXT("a"), &result), STIGSTORE_CLOSED);
    assert_int_equal(stigstore_save_resource(store, TEXT("k"), TEXT("a"), TEXT("1"), &result), STIGSTORE_CLOSED);
    assert_int_equal(stigstore_queue_new(store, &queue), STIGSTORE_CLOSED);
    assert_int_equal(stigstore_flush(store, 0), STIGSTORE_CLOSED);
    assert_int_equal(stigstore_status_json(store, &json), STIGSTORE_CLOSED);
    assert_int_equal(stigstore_backup(store, "/tmp/none", &result), STIGSTORE_CLOSED);
    stigstore_result_free(&result);
}

static void cursors_and_queues_outlive_their_handle(void **state)
{
    struct fixture *fixture = *state;
    stigstore_cursor *cursor;
    stigstore_queue *queue;
    const stigstore_item *item;
    stigstore_result *result;
    size_t count;

    save(fixture->store, "k", "a", "1");
    assert_int_equal(stigstore_cursor_open(fixture->store,
                                           &(stigstore_request){STIGSTORE_REQUEST(LIST), .kind = TEXT("k")}, &cursor,
                                           NULL),
                     STIGSTORE_OK);
    assert_int_equal(stigstore_queue_new(fixture->store, &queue), STIGSTORE_OK);
    assert_int_equal(stigstore_submit(queue,
                                      &(stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("b")},
                                      9, NULL),
                     STIGSTORE_OK);
    stigstore_free(&fixture->store);
    assert_int_equal(stigstore_cursor_next(cursor, &item), STIGSTORE_CLOSED);
    assert_int_equal(stigstore_queue_wait(queue, &result, 1, 1000, &count), STIGSTORE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(result->status, STIGSTORE_CLOSED);
    assert_int_equal(result->user, 9);
    stigstore_result_free(&result);
    assert_int_equal(stigstore_queue_wait(queue, &result, 1, 1000, &count), STIGSTORE_CLOSED);
    assert_int_equal(stigstore_submit(queue, &(stigstore_request){STIGSTORE_REQUEST(KINDS)}, 9, NULL),
                     STIGSTORE_CLOSED);
    stigstore_cursor_free(&cursor);
    stigstore_queue_free(&queue);
    fixture->store = open_with(fixture->path, 0);
    assert_absent(fixture->store, "k", "b");
}

struct load {
    stigstore *store;
    atomic_int saved;
};

static void *save_until_closed(void *context)
{
    struct load *load = context;
    int status;

    do {
        char id[32];
        snprintf(id, sizeof(id), "%d", atomic_load(&load->saved));
        status = stigstore_save_resource(load->store, TEXT("k"), stigstore_text(id), TEXT("x"), NULL);
        if (status == STIGSTORE_OK)
            atomic_fetch_add(&load->saved, 1);
    } while (status == STIGSTORE_OK);
    return status == STIGSTORE_CLOSED ? NULL : context;
}

static void *read_until_closed(void *context)
{
    struct load *load = context;
    int status;

    do
        status = stigstore_get_resource(load->store, TEXT("k"), TEXT("0"), NULL);
    while (status == STIGSTORE_OK || status == STIGSTORE_NOT_FOUND);
    return status == STIGSTORE_CLOSED ? NULL : context;
}

static void *wait_until_closed(void *context)
{
    struct load *load = context;
    stigstore_queue *queue;
    stigstore_result *result;
    size_t count;
    int status;

    if (stigstore_queue_new(load->store, &queue) != STIGSTORE_OK)
        return NULL;
    do
        status = stigstore_queue_wait(queue, &result, 1, STIGSTORE_NO_DEADLINE, &count);
    while (status == STIGSTORE_OK);
    stigstore_queue_free(&queue);
    return status == STIGSTORE_CLOSED ? NULL : context;
}

static void close_under_load_ends_every_thread(void **state)
{
    enum { THREADS = 9 };
    void *(*const bodies[])(void *) = {save_until_closed, read_until_closed, wait_until_closed};
    struct load load = {.store = store_of(state)};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, bodies[i % 3], &load), 0);
    while (atomic_load(&load.saved) < 50)
        sched_yield();
    assert_int_equal(stigstore_close(load.store), STIGSTORE_OK);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

/* ---- paths and files ---- */

static void missing_folders_are_made(void **state)
{
    struct fixture *fixture = *state;
    char path[160];
    struct stat at;
    stigstore *store;

    snprintf(path, sizeof(path), "sqlite:%s/new/er/store.sqlite", fixture->folder);
    assert_int_equal(open_status(path, STIGSTORE_OPEN_MUST_EXIST, NULL, 0), STIGSTORE_NOT_FOUND);
    assert_int_equal(open_status(path, STIGSTORE_OPEN_READ_ONLY, NULL, 0), STIGSTORE_NOT_FOUND);
    assert_int_not_equal(stat(path + strlen("sqlite:"), &at), 0);
    store = open_with(path, 0);
    assert_non_null(store);
    assert_string_equal(stigstore_path(store), path + strlen("sqlite:"));
    stigstore_free(&store);
    snprintf(path, sizeof(path), "%s/new", fixture->folder);
    assert_int_equal(stat(path, &at), 0);
    assert_int_equal(at.st_mode & 0777, 0700);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_foreign_file_is_refused_and_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char path[128], lock_path[160], message[512], text[64] = "";
    struct stat at;
    FILE *file;

    snprintf(path, sizeof(path), "%s/notes.txt", fixture->folder);
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    write_text(path, "not a database");
    assert_int_equal(open_status(path, 0, message, sizeof(message)), STIGSTORE_UNSUPPORTED);
    assert_true(strlen(message) > 10);
    assert_int_not_equal(stat(lock_path, &at), 0);
    file = fopen(path, "r");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, "not a database");
}

static void what_cannot_be_opened_is_said(void **state)
{
    char message[512];
    stigstore *store;

    (void)state;
    assert_int_equal(open_status("http://host", 0, message, sizeof(message)), STIGSTORE_UNSUPPORTED);
    assert_int_equal(open_status("", 0, NULL, 0), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(open_status("ipc://", 0, NULL, 0), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(open_status("tcp://host", 0, NULL, 0), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(open_status("ipc:///tmp/none?reads=maybe", 0, NULL, 0), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(open_status("ipc:///tmp/none", 0, NULL, 0), STIGSTORE_UNSUPPORTED);
    assert_int_equal(open_status("/tmp/none", 1u << 30, NULL, 0), STIGSTORE_UNSUPPORTED);
    assert_int_equal(stigstore_open("/tmp/none", &(stigstore_options){.flags = 0}, &store, NULL),
                     STIGSTORE_INVALID_ARGUMENT);
    assert_null(store);
}

static char noticed[4096];

static void note(void *context, int level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(noticed + strlen(noticed), sizeof(noticed) - strlen(noticed), "%s\n", line);
}

static void the_default_store_is_found(void **state)
{
    struct fixture *fixture = *state;
    const stigstore_options options = {.struct_size = sizeof(options), .log = note};
    char path[160];
    stigstore *store = NULL;

    unsetenv("STIGSTORE_URL");
    setenv("HOME", fixture->folder, 1);
    snprintf(path, sizeof(path), "%s/.stigmer", fixture->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/stigmer.db");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(stigstore_open(NULL, &options, &store, NULL), STIGSTORE_OK);
    assert_non_null(strstr(noticed, path));
    strcpy(strrchr(path, '/'), "/stigmer.sqlite");
    assert_string_equal(stigstore_path(store), path);
    stigstore_free(&store);
    setenv("STIGSTORE_URL", fixture->path, 1);
    assert_int_equal(stigstore_open(NULL, &options, &store, NULL), STIGSTORE_OK);
    assert_string_equal(stigstore_path(store), fixture->path);
    stigstore_free(&store);
    unsetenv("STIGSTORE_URL");
}

static void a_backup_opens_as_a_store(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    stigstore *copy;

    save(fixture->store, "k", "a", "1");
    snprintf(path, sizeof(path), "%s/copy.sqlite", fixture->folder);
    assert_int_equal(stigstore_backup(fixture->store, "relative", NULL), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(stigstore_backup(fixture->store, path, NULL), STIGSTORE_OK);
    assert_int_not_equal(stigstore_backup(fixture->store, path, NULL), STIGSTORE_OK);
    save(fixture->store, "k", "a", "2");
    copy = open_with(path, 0);
    assert_data(copy, "k", "a", "1");
    stigstore_free(&copy);
}

static void status_is_json(void **state)
{
    char *json = NULL;

    save(store_of(state), "k", "a", "1");
    assert_int_equal(stigstore_status_json(store_of(state), &json), STIGSTORE_OK);
    assert_non_null(strstr(json, "\"mode\":\"embedded\""));
    assert_non_null(strstr(json, "\"revision\":1,"));
    stigstore_memory_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(two_handles_on_one_file_share_it),
        STORE_TEST(another_process_is_named_and_can_be_read_beside),
        STORE_TEST(a_forked_child_gets_nothing_of_it),
        STORE_TEST(what_a_killed_process_saved_is_there),
        STORE_TEST(after_close_every_call_says_so),
        STORE_TEST(cursors_and_queues_outlive_their_handle),
        STORE_TEST(close_under_load_ends_every_thread),
        STORE_TEST(missing_folders_are_made),
        STORE_TEST(a_foreign_file_is_refused_and_left_alone),
        STORE_TEST(what_cannot_be_opened_is_said),
        STORE_TEST(the_default_store_is_found),
        STORE_TEST(a_backup_opens_as_a_store),
        STORE_TEST(status_is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
