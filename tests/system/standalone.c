/*
 * standalone.c - broker, writer and reader started one by one, as containers do: who owns the file, and who may take it.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACTOR_EXIT_REFUSED = 11 };

struct actors {
    char *folder, *database;
    char endpoint[160];
    pid_t broker, writer, reader;
};

static pid_t start_broker(const struct actors *actors)
{
    bool is_ready;
    const char *arguments[] = {"stigstore-broker", "--endpoint", actors->endpoint, NULL};
    pid_t pid = scene_start(arguments, -2, &is_ready);
    assert_true(is_ready);
    return pid;
}

static pid_t start_worker(const struct actors *actors, const char *program, const char *more)
{
    bool is_ready;
    const char *arguments[] = {program, "--db", actors->database, "--endpoint", actors->endpoint, more, NULL};
    pid_t pid = scene_start(arguments, -2, &is_ready);
    assert_true(is_ready);
    return pid;
}

static struct actors start_all(void)
{
    struct actors actors = {.folder = folder_new()};
    actors.database = folder_path(actors.folder, "store.sqlite");
    snprintf(actors.endpoint, sizeof(actors.endpoint), "ipc://%s/run/broker.sock", actors.folder);
    actors.broker = start_broker(&actors);
    actors.writer = start_worker(&actors, "stigstore-writer", NULL);
    actors.reader = start_worker(&actors, "stigstore-reader", NULL);
    return actors;
}

static int stop(pid_t *pid, int signal)
{
    kill(*pid, signal);
    int code = process_join(*pid);
    *pid = 0;
    return code;
}

static void free_all(struct actors *actors)
{
    pid_t *pids[] = {&actors->reader, &actors->writer, &actors->broker};
    for (size_t i = 0; i < 3; i++)
        if (*pids[i])
            assert_int_equal(stop(pids[i], SIGTERM), 0);
    free(actors->database);
    folder_remove(&actors->folder);
}

static int open_embedded(const struct actors *actors, uint32_t flags, uint32_t timeout_ms, stigstore **store,
                         char message[256])
{
    stigstore_options options = {.struct_size = sizeof(options), .flags = flags, .open_timeout_ms = timeout_ms};
    stigstore_result *result = NULL;
    int status = stigstore_open(actors->database, &options, store, &result);
    snprintf(message, 256, "%s", result ? result->message : "");
    stigstore_result_free(&result);
    return status;
}

static void they_serve_and_end_in_order(void **state)
{
    (void)state;
    struct actors actors = start_all();
    char through_broker[200], message[256], pid[32];
    snprintf(through_broker, sizeof(through_broker), "%s?reads=broker", actors.endpoint);
    stigstore *store = load_open(actors.endpoint, 20000), *through = load_open(through_broker, 20000),
              *by_path = load_open(actors.database, 20000), *embedded = NULL;
    scene_must_save(store, "a", "1");
    scene_must_hold(store, "a", "1");
    scene_must_hold(through, "a", "1");
    scene_must_save(by_path, "b", "2"); /* a path that they own attaches to them */
    scene_must_hold(through, "b", "2");
    snprintf(pid, sizeof(pid), "%ld", (long)actors.writer);
    assert_status(BUSY, open_embedded(&actors, STIGSTORE_OPEN_NO_ATTACH, 100, &embedded, message));
    assert_non_null(strstr(message, pid));
    stigstore_free(&store);
    stigstore_free(&through);
    stigstore_free(&by_path);

    assert_int_equal(stop(&actors.reader, SIGTERM), 0);
    assert_int_equal(stop(&actors.writer, SIGTERM), 0);
    assert_int_equal(stop(&actors.broker, SIGTERM), 0);
    assert_status(OK, open_embedded(&actors, 0, 100, &embedded, message)); /* at once: they were stopped cleanly */
    scene_must_hold(embedded, "b", "2");
    stigstore_free(&embedded);
    free_all(&actors);
}

static void another_writer_goes_on_where_a_killed_one_was(void **state)
{
    (void)state;
    struct actors actors = start_all();
    stigstore *store = load_open(actors.endpoint, 30000);
    uint64_t revision = store_revision(store);
    struct load load = {.stop_at_failure = true};
    load_start(&load, actors.endpoint, 30000);
    load_wait(&load, 200);
    for (unsigned round = 0; round < 3; round++) {
        stop(&actors.writer, SIGKILL);
        actors.writer = start_worker(&actors, "stigstore-writer", NULL);
        load_wait(&load, 100);
    }
    stop(&actors.broker, SIGKILL);
    actors.broker = start_broker(&actors);
    load_wait(&load, 100);
    load_join(&load);
    load_check(&load, store, revision);
    stigstore_free(&store);
    free_all(&actors);
}

/* The writer may come back at any time: nobody else may own its file, unless told to. */
static void what_was_not_stopped_cleanly_is_taken_over_only_when_told(void **state)
{
    (void)state;
    struct actors actors = start_all();
    stigstore *store = load_open(actors.endpoint, 20000), *embedded = NULL;
    char message[256];
    scene_must_save(store, "a", "1");
    stop(&actors.writer, SIGKILL);
    int64_t begin_ms = scene_now_ms();
    assert_status(UNAVAILABLE, open_embedded(&actors, 0, 300, &embedded, message));
    assert_null(embedded);
    assert_in_range(scene_now_ms() - begin_ms, 300, 3000);
    const char *put[] = {"put", "k", "a", "--store", actors.database, "--timeout", "0.2", NULL};
    struct output output = scene_run(4, put, "2", 1);
    output_free(&output);
    assert_status(OK, open_embedded(&actors, STIGSTORE_OPEN_READ_ONLY, 300, &embedded, message)); /* reading may */
    scene_must_hold(embedded, "a", "1");
    stigstore_free(&embedded);

    actors.writer = start_worker(&actors, "stigstore-writer", NULL); /* it came back */
    scene_must_save(store, "a", "2");
    stop(&actors.writer, SIGKILL);
    assert_status(OK, open_embedded(&actors, STIGSTORE_OPEN_TAKE_OVER, 300, &embedded, message));
    scene_must_hold(embedded, "a", "2");
    bool is_ready;
    const char *late[] = {"stigstore-writer", "--db", actors.database, "--endpoint", actors.endpoint, NULL};
    pid_t pid = scene_start(late, -2, &is_ready); /* now this process has it */
    assert_false(is_ready);
    assert_int_equal(process_join(pid), ACTOR_EXIT_REFUSED);
    stigstore_free(&embedded);
    const char *take[] = {"put", "k", "a", "--store", actors.database, "--take-over", NULL};
    output = scene_run(0, take, "3", 1);
    output_free(&output);
    stigstore_free(&store);
    free_all(&actors);
}

/* Of two writers one serves, and the other says who. */
static void there_is_one_writer(void **state)
{
    (void)state;
    struct actors actors = start_all();
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld", (long)actors.writer);
    const char *second[] = {"stigstore-writer", "--db", actors.database, "--endpoint", actors.endpoint, NULL};
    struct output output = process_run(second, NULL, 0);
    assert_int_equal(output.code, ACTOR_EXIT_REFUSED);
    assert_non_null(strstr(output.errors, pid));
    output_free(&output);
    const char *broker[] = {"stigstore-broker", "--endpoint", actors.endpoint, NULL};
    output = process_run(broker, NULL, 0);
    assert_int_equal(output.code, ACTOR_EXIT_REFUSED);
    output_free(&output);
    stigstore *store = load_open(actors.endpoint, 20000);
    scene_must_save(store, "a", "1");
    stigstore_free(&store);
    free_all(&actors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_serve_and_end_in_order),
        cmocka_unit_test(another_writer_goes_on_where_a_killed_one_was),
        cmocka_unit_test(what_was_not_stopped_cleanly_is_taken_over_only_when_told),
        cmocka_unit_test(there_is_one_writer),
    };
    return cmocka_run_group_tests_name("standalone actors", tests, NULL, NULL);
}
