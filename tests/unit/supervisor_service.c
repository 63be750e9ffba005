/* supervisor_service.c - the whole service of real programs: it starts, heals and stops. */
#include "actor/actor.h"
#include "actor/health.h"
#include "cli/supervisor.h"
#include "proto/clock.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000, LOOK_MS = 10 };

struct stage {
    char folder[64], database[128], endpoint[128];
    pid_t supervisor;
    int ready_fd;
};

static int setup(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    strcpy(stage->folder, "/tmp/stigstore-test-XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->database, sizeof stage->database, "%s/db", stage->folder);
    snprintf(stage->endpoint, sizeof stage->endpoint, "ipc://%s/run/s", stage->folder);
    stage->ready_fd = -1;
    *state = stage;
    return 0;
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    char command[128];
    if (stage->supervisor > 0) {
        kill(stage->supervisor, SIGKILL);
        waitpid(stage->supervisor, NULL, 0);
    }
    close(stage->ready_fd);
    snprintf(command, sizeof command, "rm -rf '%s'", stage->folder);
    int status = system(command);
    free(stage);
    return status;
}

static void start(struct stage *stage)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    stage->supervisor = fork();
    if (stage->supervisor == 0) {
        const struct supervisor_options options = {
            .database_path = stage->database,
            .endpoint = stage->endpoint,
            .readers = 2,
            .program_dir = STIGSTORE_BIN_DIR,
            .ready_fd = ends[1],
            .log = actor_log_sink,
        };
        _exit(supervisor_run(&options));
    }
    close(ends[1]);
    stage->ready_fd = ends[0];
}

static void expect_ready(struct stage *stage)
{
    char text[8];
    struct pollfd item = {.fd = stage->ready_fd, .events = POLLIN};
    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
    assert_int_equal(read(stage->ready_fd, text, sizeof text), 6);
}

static int wait_for(struct stage *stage)
{
    int status;
    assert_int_equal(waitpid(stage->supervisor, &status, 0), stage->supervisor);
    stage->supervisor = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int stop(struct stage *stage)
{
    kill(stage->supervisor, SIGTERM);
    return wait_for(stage);
}

static json_int_t number_of(const json_t *report, const char *name)
{
    return json_integer_value(json_object_get(report, name));
}

/* Looks at the health files until `role` has a ready report, of another process than `before`; its pid. */
static pid_t await(const struct stage *stage, const char *role, pid_t before)
{
    int64_t until_ns = clock_deadline_ns(PATIENCE_MS);
    pid_t found = 0;
    while (found == 0 && clock_boot_ns() < until_ns) {
        bool fresh;
        size_t i;
        const json_t *report;
        char *text = health_collect(stage->endpoint, &fresh);
        json_t *whole = json_loads(text, 0, NULL);
        free(text);
        json_array_foreach(json_object_get(whole, "actors"), i, report)
        {
            bool is_ready = strcmp(json_string_value(json_object_get(report, "state")), "ready") == 0;
            bool is_role = strcmp(json_string_value(json_object_get(report, "actor")), role) == 0;
            if (is_ready && is_role && number_of(report, "pid") != before)
                found = (pid_t)number_of(report, "pid");
        }
        json_decref(whole);
        poll(NULL, 0, LOOK_MS);
    }
    assert_true(found > 0);
    return found;
}

static void starts_and_stops_without_a_trace(void **state)
{
    struct stage *stage = *state;
    char path[160];
    start(stage);
    expect_ready(stage);
    await(stage, "broker", 0);
    await(stage, "writer", 0);
    await(stage, "reader", 0);
    assert_int_equal(stop(stage), ACTOR_EXIT_OK);
    snprintf(path, sizeof path, "%s/run/health", stage->folder);
    assert_int_equal(rmdir(path), 0); /* empty */
    snprintf(path, sizeof path, "%s/run", stage->folder);
    assert_int_equal(rmdir(path), 0);
}

static void heals(void **state)
{
    static const char *const roles[] = {"broker", "writer", "reader"};
    struct stage *stage = *state;
    start(stage);
    expect_ready(stage);
    for (size_t i = 0; i < 3; i++) {
        pid_t pid = await(stage, roles[i], 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        await(stage, roles[i], pid);
    }
    assert_int_equal(stop(stage), ACTOR_EXIT_OK);
}

static void follows_a_killed_one_at_once(void **state)
{
    struct stage *stage = *state;
    start(stage);
    expect_ready(stage);
    kill(stage->supervisor, SIGKILL);
    wait_for(stage);
    close(stage->ready_fd);
    start(stage);
    expect_ready(stage);
    assert_int_equal(stop(stage), ACTOR_EXIT_OK);
}

static void refuses_a_foreign_file(void **state)
{
    struct stage *stage = *state;
    char text[64] = "";
    int fd = open(stage->database, O_CREAT | O_RDWR, 0600);
    assert_int_equal(write(fd, "this is no database\n", 20), 20);
    start(stage);
    assert_int_equal(wait_for(stage), ACTOR_EXIT_REFUSED);
    assert_int_equal(pread(fd, text, sizeof text, 0), 20);
    assert_string_equal(text, "this is no database\n");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(starts_and_stops_without_a_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(heals, setup, teardown),
        cmocka_unit_test_setup_teardown(follows_a_killed_one_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_foreign_file, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
