/*
 * daemon.c - the whole life of a service: start, load, SIGTERM under load, nothing left, start again.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/service.h"
#include "tests/system/load.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const actors[] = {"stigstore-broker", "stigstore-writer", "stigstore-reader"};

/* Every actor of the service, by program; returned so that it can be asked whether they live. */
static size_t all_actors(const struct service *service, pid_t *pids, size_t most)
{
    size_t count = 0;
    for (size_t i = 0; i < 3; i++)
        count += process_children(service->pid, actors[i], pids + count, most - count);
    return count;
}

/* Gone, or dead and only waiting for its new parent to notice. */
static bool is_dead(void *context)
{
    char path[64], line[512];
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)*(pid_t *)context);
    FILE *file = fopen(path, "re");
    bool dead = !file || !fgets(line, sizeof(line), file) || strstr(line, ") Z ") != NULL;
    if (file)
        fclose(file);
    return dead;
}

static void assert_nothing_left(const struct service *service, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(kill(pids[i], 0), 0);
    char workers[160];
    snprintf(workers, sizeof(workers), "%s.workers", service->endpoint + strlen("ipc://"));
    assert_int_not_equal(access(service->endpoint + strlen("ipc://"), F_OK), 0);
    assert_int_not_equal(access(workers, F_OK), 0);
}

static void a_daemon_cycle(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    struct load load = {.stop_at_failure = true};
    pid_t pids[16];
    for (unsigned cycle = 0; cycle < 2; cycle++) {
        size_t count = all_actors(&service, pids, 16);
        assert_int_equal(count, 4); /* a broker, a writer, two readers */
        load = (struct load){.stop_at_failure = true};
        stigstore *store = load_open(service.database, 10000);
        for (unsigned i = 0; i < LOAD_THREADS; i++) { /* counts from zero in each cycle */
            assert_int_equal(stigstore_delete_resources_by_kind(store, stigstore_text(i % 2 ? "own" : "shared"), NULL),
                             STIGSTORE_OK);
        }
        stigstore_free(&store);
        load_start(&load, service.url, 1500);
        load_wait(&load, 300);
        assert_int_equal(service_stop(&service), 0);
        load_join(&load); /* every call in flight has been answered, else this waits for ever */
        assert_nothing_left(&service, pids, count);
        stigstore *embedded = load_open(service.database, 10000); /* nobody holds a lock */
        load_check(&load, embedded, UINT64_MAX);
        stigstore_free(&embedded);
        service_restart(&service);
    }
    service_free(&service);
}

static void a_second_service_is_refused_with_the_first_ones_pid(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    char pid[32], elsewhere[160];
    snprintf(pid, sizeof(pid), "%ld", (long)service.pid);
    snprintf(elsewhere, sizeof(elsewhere), "ipc://%s/other/broker.sock", service.folder);
    const char *same_database[] = {"stigstore", "serve", "--db", service.database, "--endpoint", elsewhere, NULL};
    struct output output = process_run(same_database, NULL, 0);
    assert_int_equal(output.code, 4);
    assert_non_null(strstr(output.errors, pid));
    output_free(&output);

    char other_database[160];
    snprintf(other_database, sizeof(other_database), "%s/other.sqlite", service.folder);
    const char *same_endpoint[] = {"stigstore", "serve", "--db", other_database, "--endpoint", service.endpoint, NULL};
    output = process_run(same_endpoint, NULL, 0);
    assert_int_not_equal(output.code, 0);
    output_free(&output);

    stigstore *store = load_open(service.url, 10000); /* the first one lives on */
    assert_int_equal(
        stigstore_save_resource(store, stigstore_text("k"), stigstore_text("i"), stigstore_text("x"), NULL),
        STIGSTORE_OK);
    stigstore_free(&store);
    service_free(&service);
}

static void an_endpoint_that_is_a_file_is_left_alone(void **state)
{
    (void)state;
    char *folder = folder_new(), *file = folder_path(folder, "precious"),
         *database = folder_path(folder, "store.sqlite");
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs("precious", out);
    fclose(out);
    char endpoint[200], long_endpoint[300];
    snprintf(endpoint, sizeof(endpoint), "ipc://%s", file);
    const char *on_file[] = {"stigstore", "serve", "--db", database, "--endpoint", endpoint, NULL};
    struct output output = process_run(on_file, NULL, 0);
    assert_int_not_equal(output.code, 0);
    output_free(&output);
    char text[16] = "";
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    assert_non_null(fgets(text, sizeof(text), in));
    fclose(in);
    assert_string_equal(text, "precious");

    snprintf(long_endpoint, sizeof(long_endpoint), "ipc://%s/%0120d", folder, 1);
    const char *too_long[] = {"stigstore", "serve", "--db", database, "--endpoint", long_endpoint, NULL};
    output = process_run(too_long, NULL, 0);
    assert_int_not_equal(output.code, 0);
    output_free(&output);
    free(file);
    free(database);
    folder_remove(&folder);
}

static void a_path_that_a_service_owns_attaches_to_it(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore *through = load_open(service.database, 10000), *direct = load_open(service.url, 10000);
    assert_int_equal(
        stigstore_save_resource(through, stigstore_text("k"), stigstore_text("i"), stigstore_text("x"), NULL),
        STIGSTORE_OK);
    assert_int_equal(stigstore_get_resource(direct, stigstore_text("k"), stigstore_text("i"), NULL), STIGSTORE_OK);
    stigstore_free(&through);
    stigstore_free(&direct);
    stigstore_options options = {
        .struct_size = sizeof(options), .flags = STIGSTORE_OPEN_NO_ATTACH, .open_timeout_ms = 200};
    stigstore_result *result = NULL;
    char pid[32];
    snprintf(pid, sizeof(pid), "%ld", (long)service.pid);
    assert_int_equal(stigstore_open(service.database, &options, &through, &result), STIGSTORE_BUSY);
    assert_non_null(strstr(result->message, pid));
    stigstore_result_free(&result);
    service_free(&service);
}

/* kill -9 of the supervisor takes all with it, and the next start finds its way. */
static void nothing_survives_its_supervisor(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    pid_t pids[16];
    size_t count = all_actors(&service, pids, 16);
    stigstore *store = load_open(service.url, 30000);
    assert_int_equal(
        stigstore_save_resource(store, stigstore_text("k"), stigstore_text("i"), stigstore_text("x"), NULL),
        STIGSTORE_OK);
    kill(service.pid, SIGKILL);
    process_join(service.pid);
    service.pid = 0;
    service_restart(&service);
    for (size_t i = 0; i < count; i++)
        wait_until(is_dead, &pids[i], 10, "the end of an actor without a supervisor");
    assert_int_equal(
        stigstore_save_resource(store, stigstore_text("k"), stigstore_text("j"), stigstore_text("x"), NULL),
        STIGSTORE_OK);
    assert_int_equal(stigstore_get_resource(store, stigstore_text("k"), stigstore_text("i"), NULL), STIGSTORE_OK);
    stigstore_free(&store);
    service_free(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_daemon_cycle),
        cmocka_unit_test(a_second_service_is_refused_with_the_first_ones_pid),
        cmocka_unit_test(an_endpoint_that_is_a_file_is_left_alone),
        cmocka_unit_test(a_path_that_a_service_owns_attaches_to_it),
        cmocka_unit_test(nothing_survives_its_supervisor),
    };
    return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
