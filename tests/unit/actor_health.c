/* actor_health.c - health files: round trip, age, and what lies in their folder that is none. */
#include "actor/health.h"
#include "proto/clock.h"

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64], endpoint[128], health[128];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->folder, "/tmp/stigstore-test-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->endpoint, sizeof place->endpoint, "ipc://%s/broker.sock", place->folder);
    snprintf(place->health, sizeof place->health, "%s/health", place->folder);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", place->folder);
    int status = system(command);
    free(place);
    return status;
}

static void report(struct health *health, const char *state)
{
    health_begin(health, state);
    health_number(health, "requests", 42);
    health_number(health, "load", 0.5);
    health_number(health, "nothing", NAN);
    health_text(health, "path", "/a \"b\"\n");
    health_text(health, "broken", "\xff");
    health_end(health);
}

static struct health *new_health(const struct place *place, const char *actor)
{
    struct health *health;
    struct failure failure;
    assert_int_equal(health_new(place->endpoint, actor, 7, &health, &failure), STATUS_OK);
    report(health, "ready");
    return health;
}

static json_t *collect(const struct place *place, bool *fresh)
{
    char *text = health_collect(place->endpoint, fresh);
    assert_non_null(text);
    json_t *whole = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(whole);
    return whole;
}

static void write_report(const struct place *place, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", place->health, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static size_t files_in(const char *folder)
{
    DIR *directory = opendir(folder);
    size_t count = 0;
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static void what_is_written_is_collected(void **state)
{
    struct place *place = *state;
    bool fresh;
    struct health *broker = new_health(place, "broker");
    json_t *whole = collect(place, &fresh);
    assert_false(fresh); /* no writer */
    json_decref(whole);
    struct health *writer = new_health(place, "writer");
    whole = collect(place, &fresh);
    assert_true(fresh);
    const json_t *actors = json_object_get(whole, "actors");
    assert_int_equal(json_array_size(actors), 2);
    const json_t *one = json_array_get(actors, 0);
    assert_int_equal(json_integer_value(json_object_get(one, "requests")), 42);
    assert_int_equal(json_integer_value(json_object_get(one, "pid")), getpid());
    assert_string_equal(json_string_value(json_object_get(one, "path")), "/a \"b\"\n");
    assert_string_equal(json_string_value(json_object_get(one, "state")), "ready");
    assert_string_equal(json_string_value(json_object_get(one, "life")), "0000000000000007");
    assert_null(json_object_get(one, "nothing"));
    assert_true(json_is_true(json_object_get(one, "fresh")));
    json_decref(whole);
    health_free(&broker);
    health_free(&writer);
    assert_null(writer);
    health_free(&writer);
    assert_int_equal(files_in(place->health), 0);
}

static void prometheus_reads_gauges(void **state)
{
    struct place *place = *state;
    struct health *writer = new_health(place, "writer");
    char path[256], text[4096] = "", line[128];
    snprintf(path, sizeof path, "%s/writer-%d.prom", place->health, getpid());
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    assert_true(size > 0 && text[size - 1] == '\n');
    snprintf(line, sizeof line, "\nstigstore_writer_requests{pid=\"%d\"} 42\n", getpid());
    assert_non_null(strstr(text, line));
    assert_non_null(strstr(text, "# TYPE stigstore_writer_load gauge\n"));
    assert_null(strstr(text, "path"));
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    health_free(&writer);
}

static void the_last_report_is_kept_as_json(void **state)
{
    struct place *place = *state;
    struct health *writer = new_health(place, "writer");
    json_t *parsed = json_loads(health_json(writer), 0, NULL);
    assert_non_null(parsed);
    assert_string_equal(json_string_value(json_object_get(parsed, "actor")), "writer");
    json_decref(parsed);
    health_free(&writer);
}

static void old_and_future_reports_are_unknown(void **state)
{
    struct place *place = *state;
    static const int64_t shifts_ms[] = {-HEALTH_STALE_MS - 1000, 3600000, INT64_MIN / 4};
    struct health *broker = new_health(place, "broker");
    struct health *writer = new_health(place, "writer");
    for (size_t i = 0; i < sizeof shifts_ms / sizeof shifts_ms[0]; i++) {
        char text[256];
        bool fresh;
        snprintf(text, sizeof text, "{\"actor\":\"reader\",\"state\":\"ready\",\"pid\":1,\"time_ms\":%lld}",
                 (long long)(clock_wall_ms() + shifts_ms[i]));
        write_report(place, "reader-1.json", text);
        json_t *whole = collect(place, &fresh);
        assert_false(fresh);
        json_decref(whole);
    }
    health_free(&broker);
    health_free(&writer);
}

static void garbage_is_left_out(void **state)
{
    struct place *place = *state;
    struct health *broker = new_health(place, "broker");
    struct health *writer = new_health(place, "writer");
    char path[256], *large = malloc(70000);
    assert_non_null(large);
    memset(large, ' ', 69999);
    large[69999] = '\0';
    write_report(place, "a.json", "");
    write_report(place, "b.json", "{");
    write_report(place, "c.json", "[1,2]");
    write_report(place, "d.json", "{\"actor\":5}");
    write_report(place, "e.json", large);
    write_report(place, "f.json", "\xff\xfe{}");
    free(large);
    snprintf(path, sizeof path, "%s/g.json", place->health);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/h.json", place->health);
    assert_int_equal(symlink("/dev/zero", path), 0);
    snprintf(path, sizeof path, "%s/i.json", place->health);
    assert_int_equal(mkdir(path, 0700), 0);
    bool fresh;
    json_t *whole = collect(place, &fresh);
    assert_true(fresh);
    assert_int_equal(json_array_size(json_object_get(whole, "actors")), 2);
    json_decref(whole);
    health_free(&broker);
    health_free(&writer);
}

static void no_folder_is_no_report(void **state)
{
    struct place *place = *state;
    bool fresh;
    json_t *whole = collect(place, &fresh);
    assert_false(fresh);
    assert_int_equal(json_array_size(json_object_get(whole, "actors")), 0);
    json_decref(whole);
}

/* A process that reports and is gone without having cleaned up. */
static pid_t leave_report(const struct place *place)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct health *reader;
        if (health_new(place->endpoint, "reader", 9, &reader, NULL) != STATUS_OK)
            _exit(1);
        report(reader, "ready");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return pid;
}

static void files_of_the_dead_are_removed(void **state)
{
    struct place *place = *state;
    struct health *writer = new_health(place, "writer");
    pid_t pid = leave_report(place);
    assert_int_equal(files_in(place->health), 4);
    health_remove_left(place->endpoint, pid);
    assert_int_equal(files_in(place->health), 2);
    leave_report(place);
    health_remove_left(place->endpoint, 0);
    assert_int_equal(files_in(place->health), 2);
    health_free(&writer);
}

/* Two lives of one container: the second writes under another name when the first one's file seemed another host's. */
static void files_of_a_former_life_of_the_same_pid_are_removed(void **state)
{
    struct place *place = *state;
    char name[64], text[512], host[65] = "";
    assert_int_equal(gethostname(host, sizeof host - 1), 0);
    assert_int_equal(mkdir(place->health, 0700), 0);
    snprintf(name, sizeof name, "reader-%d-0badcafe.json", getpid());
    snprintf(text, sizeof text,
             "{\"actor\":\"reader\",\"state\":\"ready\",\"pid\":%d,\"time_ms\":%lld,\"host\":\"%s\"}", getpid(),
             (long long)clock_wall_ms(), host);
    write_report(place, name, text);
    struct health *writer = new_health(place, "writer");
    assert_int_equal(files_in(place->health), 3); /* another role's is left alone */
    struct health *reader = new_health(place, "reader");
    assert_int_equal(files_in(place->health), 4);
    health_free(&reader);
    health_free(&writer);
    assert_int_equal(files_in(place->health), 0);
}

static void another_hosts_fresh_file_is_not_replaced(void **state)
{
    struct place *place = *state;
    char name[64], text[256];
    assert_int_equal(mkdir(place->health, 0700), 0);
    snprintf(name, sizeof name, "reader-%d.json", getpid());
    snprintf(text, sizeof text,
             "{\"actor\":\"reader\",\"state\":\"ready\",\"pid\":%d,\"time_ms\":%lld,\"host\":\"elsewhere\"}", getpid(),
             (long long)clock_wall_ms());
    write_report(place, name, text);
    struct health *reader = new_health(place, "reader");
    bool fresh;
    json_t *whole = collect(place, &fresh);
    assert_int_equal(json_array_size(json_object_get(whole, "actors")), 2);
    json_decref(whole);
    health_free(&reader);
    assert_int_equal(files_in(place->health), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_collected, setup, teardown),
        cmocka_unit_test_setup_teardown(prometheus_reads_gauges, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_report_is_kept_as_json, setup, teardown),
        cmocka_unit_test_setup_teardown(old_and_future_reports_are_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(no_folder_is_no_report, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_the_dead_are_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_a_former_life_of_the_same_pid_are_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(another_hosts_fresh_file_is_not_replaced, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
