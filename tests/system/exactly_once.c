/*
 * exactly_once.c - what was acknowledged is there once, whoever dies; what was given up never comes late.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/process.h"
#include "tests/support/service.h"
#include "tests/system/load.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void kill_and_wait(struct service *service, const char *program)
{
    pid_t old = service_actor(service, program, 0);
    kill(old, SIGKILL);
    service_actor(service, program, old);
}

static void counters_are_exact_although_writer_and_broker_are_killed(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(service.url, 30000);
    uint64_t revision = store_revision(store);
    struct load load = {.stop_at_failure = true};
    load_start(&load, service.url, 60000);
    for (unsigned round = 0; round < 6; round++) {
        load_wait(&load, 200);
        kill_and_wait(&service, round % 2 ? "stigstore-broker" : "stigstore-writer");
    }
    load_wait(&load, 200);
    kill(service_actor(&service, "stigstore-reader", 0), SIGKILL);
    kill(service_actor(&service, "stigstore-broker", 0), SIGKILL);
    kill(service_actor(&service, "stigstore-writer", 0), SIGKILL);
    load_wait(&load, 200);
    load_join(&load);
    for (unsigned i = 0; i < LOAD_THREADS; i++)
        if (load.threads[i].failed)
            fail_msg("thread %u: %s", i, stigstore_status_name(load.threads[i].last_failure));
    load_check(&load, store, revision);
    stigstore_free(&store);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
}

static int put(stigstore *store, const char *id, const char *data, uint32_t timeout_ms)
{
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("k"), .id = stigstore_text(id),
                                 .data = stigstore_text(data), .timeout_ms = timeout_ms};
    return stigstore_call(store, &request, NULL);
}

static void what_was_given_up_never_shows_after_a_later_put(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(service.url, 30000), *other = load_open(service.url, 30000);
    pid_t broker = service_actor(&service, "stigstore-broker", 0);
    for (unsigned round = 0; round < 5; round++) {
        char given_up[16], later[16];
        snprintf(given_up, sizeof(given_up), "a%u", round);
        snprintf(later, sizeof(later), "b%u", round);
        kill(broker, SIGSTOP);
        assert_int_equal(put(store, given_up, "A", 100), STIGSTORE_DEADLINE_EXCEEDED);
        assert_int_equal(put(store, "same", "A", 100), STIGSTORE_DEADLINE_EXCEEDED);
        kill(broker, SIGCONT);
        assert_int_equal(put(store, later, "B", 0), STIGSTORE_OK);
        assert_int_equal(put(store, "same", "B", 0), STIGSTORE_OK);
        int seen = stigstore_get_resource(other, stigstore_text("k"), stigstore_text(given_up), NULL);
        for (unsigned i = 0; i < 20; i++) /* all that the broker may still have held has passed the writer by then */
            assert_int_equal(put(other, "filler", "x", 0), STIGSTORE_OK);
        assert_int_equal(stigstore_get_resource(other, stigstore_text("k"), stigstore_text(given_up), NULL), seen);
        stigstore_result *result = NULL;
        assert_int_equal(stigstore_get_resource(other, stigstore_text("k"), stigstore_text("same"), &result),
                         STIGSTORE_OK);
        assert_memory_equal(result->items[0].data.data, "B", 1);
        stigstore_result_free(&result);
    }
    stigstore_free(&store);
    stigstore_free(&other);
    service_free(&service);
}

static void pipelined_saves_of_one_id_end_with_the_last_although_the_broker_dies(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(service.url, 60000);
    stigstore_queue *queue = NULL;
    assert_int_equal(stigstore_queue_new(store, &queue), STIGSTORE_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        char data[16];
        snprintf(data, sizeof(data), "%u", i);
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("k"), .id = stigstore_text("same"),
                                     .data = stigstore_text(data)};
        assert_int_equal(stigstore_submit(queue, &request, i, NULL), STIGSTORE_OK);
    }
    uint64_t revisions[COUNT] = {0};
    for (unsigned seen = 0; seen < COUNT;) {
        stigstore_result *results[64] = {NULL};
        size_t number = 0;
        assert_int_equal(stigstore_queue_wait(queue, results, 64, 60000, &number), STIGSTORE_OK);
        assert_true(number > 0);
        for (size_t i = 0; i < number; i++) {
            assert_int_equal(results[i]->status, STIGSTORE_OK);
            revisions[results[i]->user] = results[i]->revision;
            if (++seen == COUNT / 4 || seen == COUNT / 2)
                kill(service_actor(&service, seen == COUNT / 4 ? "stigstore-broker" : "stigstore-writer", 0), SIGKILL);
        }
        stigstore_results_free(results, number);
    }
    for (unsigned i = 1; i < COUNT; i++)
        assert_int_equal(revisions[i], revisions[i - 1] + 1); /* in order, each once */
    stigstore_result *result = NULL;
    assert_int_equal(stigstore_get_resource(store, stigstore_text("k"), stigstore_text("same"), &result), STIGSTORE_OK);
    assert_memory_equal(result->items[0].data.data, "2999", 4);
    stigstore_result_free(&result);
    stigstore_queue_free(&queue);
    stigstore_free(&store);
    service_free(&service);
}

static void two_processes_retry_one_activity(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    const char *program = STIGSTORE_BIN_DIR "/../examples/activity";
    pid_t pids[12];
    for (unsigned i = 0; i < 12; i++) { /* four activities, each tried three times at once */
        char name[16];
        snprintf(name, sizeof(name), "activity-%u", i % 4);
        const char *arguments[] = {program, service.url, "workflow", "run", name, NULL};
        pids[i] = process_start(arguments, -1, -2, -1);
    }
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(process_join(pids[i]), 0);
    const char *get[] = {"stigstore", "get", "execution", "workflow/run", "--store", service.url, NULL};
    struct output output = process_run(get, NULL, 0);
    assert_int_equal(output.code, 0);
    unsigned lines = 0;
    for (size_t i = 0; i < output.size; i++)
        lines += output.text[i] == '\n';
    assert_int_equal(lines, 4);
    for (unsigned i = 0; i < 4; i++) {
        char name[24];
        snprintf(name, sizeof(name), "activity-%u done", i);
        char *first = strstr(output.text, name);
        assert_non_null(first);
        assert_null(strstr(first + 1, name));
    }
    output_free(&output);
    service_free(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_are_exact_although_writer_and_broker_are_killed),
        cmocka_unit_test(what_was_given_up_never_shows_after_a_later_put),
        cmocka_unit_test(pipelined_saves_of_one_id_end_with_the_last_although_the_broker_dies),
        cmocka_unit_test(two_processes_retry_one_activity),
    };
    return cmocka_run_group_tests_name("exactly once", tests, NULL, NULL);
}
