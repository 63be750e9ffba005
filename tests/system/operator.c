/*
 * operator.c - the command against a running service: exit codes, status, large data, pipes, protoc, a second service.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct service service;

static int start(void **state)
{
    (void)state;
    service = service_start(NULL, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    service_free(&service);
    return 0;
}

static void expect_failure(int code, const char *word, const char *const *words, const char *input)
{
    struct output output = scene_run(code, words, input, input ? strlen(input) : 0);
    assert_string_equal(output.text, "");
    if (!strstr(output.errors, word))
        fail_msg("'%s' says nothing of %s", output.errors, word);
    output_free(&output);
}

/* ---- status ---- */

/* What workers say of themselves is up to a second old. */
static bool status_says(void *word)
{
    const char *status[] = {"status", "--json", "--store", service.url, NULL};
    struct output output = scene_run(0, status, NULL, 0);
    bool says = strstr(output.text, word) != NULL;
    output_free(&output);
    return says;
}

static void status_tells_of_all_actors(void **state)
{
    (void)state;
    const char *put[] = {"put", "k", "a", "--store", service.url, NULL};
    scene_expect(0, "1\n", put, "x");
    wait_until(status_says, (void *)(uintptr_t) "\"service\":{\"revision\":1,", 10, "revision 1 in the status");
    const char *status[] = {"status", "--json", "--store", service.url, NULL};
    struct output output = scene_run(0, status, NULL, 0);
    json_t *json = json_loads(output.text, 0, NULL);
    assert_non_null(json);
    const json_t *told = json_object_get(json, "service");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(told, "broker"), "pid")),
                     service_actor(&service, "stigstore-broker", 0));
    assert_non_null(json_object_get(json_object_get(told, "broker"), "load"));
    assert_non_null(json_object_get(json_object_get(told, "broker"), "latency"));
    assert_non_null(json_object_get(json_object_get(told, "broker"), "counters"));
    const json_t *workers = json_object_get(told, "workers");
    assert_int_equal(json_array_size(workers), 3); /* a writer, two readers */
    assert_non_null(strstr(output.text, "wal_bytes"));
    assert_int_equal(json_array_size(json_object_get(json_object_get(json, "health"), "actors")) >= 4, 1);
    json_decref(json);
    output_free(&output);
}

static void status_is_4_when_the_service_does_not_answer(void **state)
{
    (void)state;
    const char *by_url[] = {"status", "--store", service.url, "--timeout", "0.3", NULL};
    const char *by_path[] = {"status", "--store", service.database, "--timeout", "0.3", NULL};
    struct output output = scene_run(0, by_url, NULL, 0);
    output_free(&output);
    output = scene_run(0, by_path, NULL, 0);
    output_free(&output);
    pid_t broker = service_actor(&service, "stigstore-broker", 0);
    kill(broker, SIGSTOP);
    output = scene_run(4, by_url, NULL, 0);
    output_free(&output);
    output = scene_run(4, by_path, NULL, 0);
    output_free(&output);
    kill(broker, SIGCONT);
    assert_int_equal(service_stop(&service), 0);
    output = scene_run(4, by_url, NULL, 0);
    output_free(&output);
    service_restart(&service);
    output = scene_run(0, by_url, NULL, 0);
    output_free(&output);
}

/* ---- exit codes ---- */

static void what_cannot_be_asked_now_is_4_and_a_doubtful_mutation_6(void **state)
{
    (void)state;
    const char *put[] = {"put", "k", "a", "--store", service.url, "--timeout", "0.3", "--idempotency-key", "one", NULL};
    const char *again[] = {"put", "k", "a", "--store", service.url, "--idempotency-key", "one", NULL};
    const char *get[] = {"get", "k", "a", "--store", scene_through_broker(&service), "--timeout", "0.3", NULL};
    pid_t broker = service_actor(&service, "stigstore-broker", 0),
          writer = service_actor(&service, "stigstore-writer", 0), readers[2];
    assert_int_equal(process_children(service.pid, "stigstore-reader", readers, 2), 2);
    kill(broker, SIGSTOP);
    expect_failure(4, "UNAVAILABLE", put, "x"); /* nothing was asked yet */
    expect_failure(4, "UNAVAILABLE", get, NULL);
    kill(broker, SIGCONT);
    kill(readers[0], SIGSTOP);
    kill(readers[1], SIGSTOP);
    expect_failure(4, "later", get, NULL);
    kill(readers[0], SIGCONT);
    kill(readers[1], SIGCONT);
    kill(writer, SIGSTOP);
    expect_failure(6, "--idempotency-key", put, "x");
    kill(writer, SIGCONT);
    struct output output = scene_run(0, again, "x", 1); /* applied once, whether or not the first one was */
    output_free(&output);
    stigstore *store = load_open(service.url, 20000);
    assert_int_equal(store_revision(store), 1);
    stigstore_free(&store);
}

/* ---- data ---- */

static void four_mebibytes_go_through_the_broker(void **state)
{
    (void)state;
    size_t size = (size_t)4 << 20;
    char *data = malloc(size + 1);
    assert_non_null(data);
    for (size_t i = 0; i <= size; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    const char *put[] = {"put", "k", "a", "--store", service.url, NULL};
    const char *get[] = {"get", "k", "a", "--store", scene_through_broker(&service), NULL};
    struct output output = scene_run(0, put, data, size);
    output_free(&output);
    output = scene_run(0, get, NULL, 0);
    assert_int_equal(output.size, size);
    assert_memory_equal(output.text, data, size);
    output_free(&output);
    output = scene_run(2, put, data, size + 1);
    assert_non_null(strstr(output.errors, "TOO_LARGE"));
    output_free(&output);
    free(data);
}

static void a_file_in_and_a_file_out(void **state)
{
    (void)state;
    char *in = folder_path(service.folder, "in"), *out = folder_path(service.folder, "out");
    FILE *file = fopen(in, "w");
    assert_non_null(file);
    fputs("from a file", file);
    fclose(file);
    const char *put[] = {"put", "--store", service.url, "--", "k", "-a", in, NULL}; /* `--` ends the options */
    const char *get[] = {"get", "--store", service.url, "-o", out, "--", "k", "-a", NULL};
    const char *cat[] = {"/bin/cat", out, NULL};
    scene_expect(0, "1\n", put, NULL);
    scene_expect(0, "", get, NULL);
    struct output output = process_run(cat, NULL, 0);
    assert_string_equal(output.text, "from a file");
    output_free(&output);
    free(in);
    free(out);
}

static void a_closed_pipe_ends_quietly(void **state)
{
    (void)state;
    stigstore *store = load_open(service.url, 20000);
    char long_name[600];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    for (unsigned i = 0; i < 400; i++) { /* far more than a pipe holds */
        memcpy(long_name + sizeof(long_name) - 1 - 5,
               (char[]){(char)('0' + i / 100), (char)('0' + i / 10 % 10), (char)('0' + i % 10), 'y', 'z'}, 5);
        scene_must_save(store, long_name, "x");
    }
    stigstore_free(&store);
    static const char *const scripts[] = {"\"$0\" list k --store \"$1\" | head -n 1 | wc -l",
                                          "\"$0\" list k --json --data --store \"$1\" | head -n 1 | wc -l"};
    for (unsigned i = 0; i < 2; i++) {
        const char *arguments[] = {"/bin/sh", "-c", scripts[i], STIGSTORE_BIN_DIR "/stigstore", service.url, NULL};
        struct output output = process_run(arguments, NULL, 0);
        assert_int_equal(atoi(output.text), 1);
        assert_string_equal(output.errors, "");
        output_free(&output);
    }
}

static void a_message_is_shown_through_protoc(void **state)
{
    (void)state;
    if (system("command -v protoc >/dev/null") != 0) {
        print_message("skipped: no protoc\n");
        skip();
    }
    char *proto = folder_path(service.folder, "skill.proto");
    FILE *file = fopen(proto, "w");
    assert_non_null(file);
    fputs("syntax = \"proto3\";\npackage test;\nmessage Skill { string name = 1; int32 size = 2; }\n", file);
    fclose(file);
    const char *put[] = {"put", "skill", "a", "--store", service.url, NULL};
    const char *get[] = {"get", "skill",        "a",       "--decode",  "test.Skill",
                         "-I",  service.folder, "--store", service.url, NULL};
    scene_expect(0, "1\n", put, "\n\5hello\20\52");
    scene_expect(0, "name: \"hello\"\nsize: 42\n", get, NULL);
    free(proto);
}

/* ---- others ---- */

static void a_second_service_is_refused_within_a_second(void **state)
{
    (void)state;
    char supervisor[32], broker[32], elsewhere[160], other[160];
    snprintf(supervisor, sizeof(supervisor), "%ld", (long)service.pid);
    snprintf(broker, sizeof(broker), "%ld", (long)service_actor(&service, "stigstore-broker", 0));
    snprintf(elsewhere, sizeof(elsewhere), "ipc://%s/other/broker.sock", service.folder);
    snprintf(other, sizeof(other), "%s/other.sqlite", service.folder);
    const char *same_database[] = {"serve", "--db", service.database, "--endpoint", elsewhere, NULL};
    const char *same_endpoint[] = {"serve", "--db", other, "--endpoint", service.endpoint, NULL};
    int64_t begin_ms = scene_now_ms();
    expect_failure(4, supervisor, same_database, NULL);
    assert_true(scene_now_ms() - begin_ms < (SCENE_IS_SANITIZED ? 5000 : 1000));
    begin_ms = scene_now_ms();
    expect_failure(4, broker, same_endpoint, NULL);
    assert_true(scene_now_ms() - begin_ms < (SCENE_IS_SANITIZED ? 5000 : 1000));
    stigstore *store = load_open(service.url, 20000);
    scene_must_save(store, "a", "x");
    stigstore_free(&store);
}

static void options_of_serve_reach_the_actors(void **state)
{
    (void)state;
    static const char *const options[] = {"--readers", "1", "--durability", "normal", "--max-data-bytes", "1000", NULL};
    struct service other = service_start(NULL, options);
    pid_t pids[4];
    assert_int_equal(process_children(other.pid, "stigstore-reader", pids, 4), 1);
    stigstore *store = load_open(other.url, 20000);
    char data[1001] = "";
    stigstore_bytes bytes = {data, 1000};
    assert_status(OK, stigstore_save_resource(store, stigstore_text("k"), stigstore_text("a"), bytes, NULL));
    bytes.size++;
    assert_status(TOO_LARGE, stigstore_save_resource(store, stigstore_text("k"), stigstore_text("a"), bytes, NULL));
    stigstore_free(&store);
    service_free(&other);
}

static void the_controller_asks_everything_at_once(void **state)
{
    (void)state;
    stigstore *store = load_open(service.url, 20000);
    char id[16];
    for (unsigned i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "agent/%u", i);
        assert_status(OK, stigstore_save_resource(store, stigstore_text("run"), stigstore_text(id),
                                                  stigstore_text("data"), NULL));
    }
    assert_status(OK,
                  stigstore_save_audit(store, stigstore_text("run"), stigstore_text("agent/0"),
                                       stigstore_text("archived"), stigstore_text("h"), stigstore_text("v1"), NULL));
    stigstore_free(&store);
    const char *arguments[] = {STIGSTORE_BIN_DIR "/../examples/controller", service.url, "run", "agent/", "v1", NULL};
    struct output output = process_run(arguments, NULL, 0);
    print_message("%s%s", output.text, output.errors);
    assert_int_equal(output.code, 0);
    assert_non_null(strchr(output.text, '5'));
    output_free(&output);
}

static void the_tour_ends_well(void **state)
{
    (void)state;
    char *one = folder_path(service.folder, "one.txt"), *two = folder_path(service.folder, "two.txt");
    for (unsigned i = 0; i < 2; i++) {
        FILE *file = fopen(i ? two : one, "w");
        assert_non_null(file);
        fprintf(file, "something to keep, number %u\n", i);
        fclose(file);
    }
    const char *demo[] = {"demo", one, two, NULL};
    struct output output = scene_run(0, demo, NULL, 0);
    static const char *const steps[] = {"serve", "save", "get", "list", "conflict", "stop"};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
        assert_non_null(strstr(output.text, steps[i]));
    output_free(&output);
    free(one);
    free(two);
}

/* A cursor that is left in the middle of a list holds its snapshot in this very process. */
static void status_names_who_holds_a_snapshot(void **state)
{
    (void)state;
    enum { COUNT = 400, BYTES = 32 * 1024 };
    stigstore *store = load_open(service.url, 30000);
    static char data[BYTES];
    for (unsigned i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%03u", i);
        assert_int_equal(stigstore_save_resource(store, stigstore_text("k"), stigstore_text(id),
                                                 (stigstore_bytes){data, BYTES}, NULL),
                         STIGSTORE_OK);
    }
    stigstore_request list = {STIGSTORE_REQUEST(LIST), .kind = stigstore_text("k")};
    stigstore_cursor *cursor = NULL;
    const stigstore_item *item = NULL;
    assert_int_equal(stigstore_cursor_open(store, &list, &cursor, NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_cursor_next(cursor, &item), STIGSTORE_OK);
    char holder[64];
    snprintf(holder, sizeof(holder), "\"snapshot_holders\":[{\"pid\":%ld,", (long)getpid());
    wait_until(status_says, holder, 10, "this process as the only holder of a snapshot");
    stigstore_cursor_free(&cursor);
    wait_until(status_says, (void *)(uintptr_t) "\"snapshot_holders\":[]", 10, "no holder any more");
    stigstore_free(&store);
}

#define WITH_SERVICE(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVICE(status_tells_of_all_actors),
        WITH_SERVICE(status_is_4_when_the_service_does_not_answer),
        WITH_SERVICE(what_cannot_be_asked_now_is_4_and_a_doubtful_mutation_6),
        WITH_SERVICE(status_names_who_holds_a_snapshot),
        WITH_SERVICE(four_mebibytes_go_through_the_broker),
        WITH_SERVICE(a_file_in_and_a_file_out),
        WITH_SERVICE(a_closed_pipe_ends_quietly),
        WITH_SERVICE(a_message_is_shown_through_protoc),
        WITH_SERVICE(a_second_service_is_refused_within_a_second),
        cmocka_unit_test(options_of_serve_reach_the_actors),
        WITH_SERVICE(the_controller_asks_everything_at_once),
        WITH_SERVICE(the_tour_ends_well),
    };
    return cmocka_run_group_tests_name("operator", tests, NULL, NULL);
}
