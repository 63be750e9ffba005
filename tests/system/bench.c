/*
 * bench.c - `stigstore bench`: every load by every way in, for a moment and with few keys, ends well and tells it.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/service.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_ARGUMENTS = 32 };

static const char *const loads[] = {"put",    "get",    "ycsb-a", "ycsb-b",        "ycsb-c", "ycsb-d",
                                    "ycsb-e", "ycsb-f", "list",   "delete-prefix", "audit",  "status-storm"};

/* Runs it with --json and gives the object; the line is split at spaces. */
static json_t *run(const char *line, const char *store)
{
    const char *arguments[MOST_ARGUMENTS] = {"stigstore", "bench", "--json", "--seconds", "0.05"};
    char copy[512];
    size_t count = 5;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word && count < MOST_ARGUMENTS - 3; word = strtok(NULL, " "))
        arguments[count++] = word;
    if (store) {
        arguments[count++] = "--store";
        arguments[count++] = store;
    }
    struct output output = process_run(arguments, NULL, 0);
    if (output.code != 0)
        fail_msg("bench %s: exit %d\noutput: %s\nerrors: %s", line, output.code, output.text, output.errors);
    json_t *object = json_loads(output.text, 0, NULL);
    assert_non_null(object);
    output_free(&output);
    return object;
}

static double number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_number(value))
        fail_msg("no number '%s'", name);
    return json_number_value(value);
}

static void expect_figures(const json_t *object)
{
    assert_true(number(object, "ops_per_s") > 0);
    assert_true(number(object, "p50_us") > 0);
    assert_true(number(object, "p50_us") <= number(object, "p90_us"));
    assert_true(number(object, "p90_us") <= number(object, "p99_us"));
    assert_true(number(object, "p99_us") <= number(object, "p999_us"));
    assert_true(number(object, "p999_us") <= number(object, "max_us"));
    assert_true(number(object, "acknowledged") > 0);
    assert_true(number(object, "checked") > 0);
    assert_int_equal(number(object, "failed"), 0);
    assert_string_equal(json_string_value(json_object_get(object, "complaint")), "");
    assert_true(json_is_true(json_object_get(object, "verified")));
}

static void by(const char *way)
{
    for (size_t i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
        char line[128];
        const char *window = i % 2 ? "--threads 2 --in-flight 16" : "--threads 3 --handles 2";
        snprintf(line, sizeof(line), "%s --via %s --keys 40 %s", loads[i], way, window);
        json_t *object = run(line, NULL);
        assert_string_equal(json_string_value(json_object_get(object, "workload")), loads[i]);
        assert_string_equal(json_string_value(json_object_get(object, "via")), way);
        expect_figures(object);
        json_decref(object);
    }
}

static void embedded(void **state)
{
    (void)state;
    by("embedded");
}

static void local(void **state)
{
    (void)state;
    by("local");
}

static void broker(void **state)
{
    (void)state;
    by("broker");
}

static void raw(void **state)
{
    (void)state;
    by("raw");
}

static void raw_messages_of_many_and_large_ones(void **state)
{
    (void)state;
    static const char *const lines[] = {"put --via raw --keys 40 --in-flight 64 --batch 16",
                                        "get --via raw --keys 40 --in-flight 64 --batch 16",
                                        "ycsb-f --via raw --keys 10 --in-flight 32 --batch 8 --value-bytes 100000"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        json_t *object = run(lines[i], NULL);
        expect_figures(object);
        json_decref(object);
    }
}

static void a_rate_and_puts_beside(void **state)
{
    (void)state;
    json_t *object = run("get --via local --keys 40 --rate 400 --beside 200 --seconds 0.3", NULL);
    expect_figures(object);
    assert_true(number(object, "operations") + number(object, "late") >= 100);
    assert_true(number(object, "operations") <= 121);
    assert_true(number(object, "beside_per_s") > 0);
    json_decref(object);
}

static void batches_and_a_number_of_operations(void **state)
{
    (void)state;
    json_t *object = run("get --via broker --keys 40 --batch 8 --operations 20", NULL);
    expect_figures(object);
    assert_int_equal(number(object, "operations"), 20);
    assert_true(number(object, "rows_per_s") > 7 * number(object, "ops_per_s"));
    json_decref(object);
}

static void a_given_store_is_left_as_it_was(void **state)
{
    (void)state;
    static const char *const ways[] = {"local", "broker", "raw"};
    struct service service = service_start(NULL, NULL);
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        char line[128];
        snprintf(line, sizeof(line), "%s --via %s --keys 20", i % 2 ? "audit" : "put", ways[i]);
        json_t *object = run(line, service.url);
        expect_figures(object);
        json_decref(object);
    }
    const char *const arguments[] = {"stigstore", "export", "-", "--store", service.url, NULL};
    struct output output = process_run(arguments, NULL, 0);
    assert_int_equal(output.code, 0);
    assert_null(memmem(output.text, output.size, "bench-", 6));
    output_free(&output);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
}

static void what_is_kept_is_not_loaded_again(void **state)
{
    (void)state;
    char *folder = folder_new(), *path = folder_path(folder, "store.sqlite");
    for (int i = 0; i < 2; i++) {
        json_t *object = run("ycsb-a --via embedded --keys 50 --keep mine --operations 10", path);
        assert_true(json_is_true(json_object_get(object, "verified")));
        assert_true(i ? number(object, "acknowledged") <= 10 : number(object, "acknowledged") >= 50);
        json_decref(object);
    }
    const char *const arguments[] = {"stigstore", "count", "mine", "--store", path, NULL};
    struct output output = process_run(arguments, NULL, 0);
    assert_string_equal(output.text, "50\n");
    output_free(&output);
    free(path);
    folder_remove(&folder);
}

static void csv_has_a_line_a_run(void **state)
{
    (void)state;
    char *folder = folder_new(), *path = folder_path(folder, "runs.csv");
    char line[256];
    snprintf(line, sizeof(line), "put --via embedded --keys 20 --csv %s", path);
    for (int i = 0; i < 2; i++)
        json_decref(run(line, NULL));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int lines = 0;
    while (fgets(line, sizeof(line), file)) {
        assert_int_equal(strncmp(line, lines ? "put,embedded," : "workload,via,", 13), 0);
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 3);
    free(path);
    folder_remove(&folder);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    static const char *const words[][3] = {
        {"no-such", NULL}, {"put", "--via=pigeon"}, {"put", "--value-bytes=8"}, {NULL}};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        const char *arguments[] = {"stigstore", "bench", words[i][0], words[i][0] ? words[i][1] : NULL, NULL};
        struct output output = process_run(arguments, NULL, 0);
        assert_int_equal(output.code, 2);
        assert_int_equal(output.size, 0);
        output_free(&output);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded),
        cmocka_unit_test(local),
        cmocka_unit_test(broker),
        cmocka_unit_test(raw),
        cmocka_unit_test(raw_messages_of_many_and_large_ones),
        cmocka_unit_test(a_rate_and_puts_beside),
        cmocka_unit_test(batches_and_a_number_of_operations),
        cmocka_unit_test(a_given_store_is_left_as_it_was),
        cmocka_unit_test(what_is_kept_is_not_loaded_again),
        cmocka_unit_test(csv_has_a_line_a_run),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
