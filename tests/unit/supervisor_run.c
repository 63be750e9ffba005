/*
 * supervisor_run.c - the supervisor over children of the test's own.
 *
 * The children are this program under the actors' names. Each says who it is in a pipe that only children write to, so
 * that the pipe's end is the end of them all.
 */
#include "actor/actor.h"
#include "cli/supervisor.h"
#include "proto/clock.h"
#include "storage/lock.h"
#include "supervisor_child.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

/* ---- the stage ---- */

struct stage {
    char folder[64], database[128], endpoint[128], pipe[128];
    int lines_fd, ready_fd, log_fd;
    char buffer[4096];
    size_t buffered;
    pid_t supervisor;
};

struct line {
    char role[16], path[128];
    int pid, group;
    long long limit;
};

static void link_programs(const struct stage *stage)
{
    static const char *const names[] = {"broker", "writer", "reader"};
    char self[PATH_MAX], path[256];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/stigstore-%s", stage->folder, names[i]);
        assert_int_equal(symlink(self, path), 0);
    }
}

static int setup(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    strcpy(stage->folder, "/tmp/stigstore-test-XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->database, sizeof stage->database, "%s/data/db", stage->folder);
    snprintf(stage->endpoint, sizeof stage->endpoint, "ipc://%s/run/s", stage->folder);
    snprintf(stage->pipe, sizeof stage->pipe, "%s/lines", stage->folder);
    link_programs(stage);
    assert_int_equal(mkfifo(stage->pipe, 0600), 0);
    stage->lines_fd = open(stage->pipe, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(stage->lines_fd >= 0);
    setenv("TEST_PIPE", stage->pipe, 1);
    stage->ready_fd = stage->log_fd = -1;
    *state = stage;
    return 0;
}

static void wait_until_readable(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
}

/* All children are gone. */
static void expect_the_end(struct stage *stage)
{
    char rest[256];
    ssize_t size;
    do {
        wait_until_readable(stage->lines_fd);
        size = read(stage->lines_fd, rest, sizeof rest);
    } while (size > 0);
    assert_int_equal(size, 0);
}

static int teardown(void **state)
{
    struct stage *stage = *state;
    char command[128];
    static const char *const names[] = {"TEST_BROKER", "TEST_WRITER", "TEST_READER", "NOTIFY_SOCKET"};
    for (size_t i = 0; i < 4; i++)
        unsetenv(names[i]);
    if (stage->supervisor > 0) {
        kill(stage->supervisor, SIGKILL);
        waitpid(stage->supervisor, NULL, 0);
    }
    close(stage->lines_fd);
    close(stage->ready_fd);
    close(stage->log_fd);
    snprintf(command, sizeof command, "rm -rf '%s'", stage->folder);
    int status = system(command);
    free(stage);
    return status;
}

static void write_log(void *context, int level, const char *line)
{
    (void)level;
    dprintf(*(int *)context, "%s\n", line);
}

static pid_t fork_supervisor(const struct stage *stage, int ready_fd, int log_fd)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    const struct supervisor_options options = {
        .database_path = stage->database,
        .endpoint = stage->endpoint,
        .readers = 2,
        .program_dir = stage->folder,
        .broker_memory_bytes = 300 << 20,
        .ready_fd = ready_fd,
        .log = {write_log, &log_fd},
    };
    _exit(supervisor_run(&options));
}

static void start(struct stage *stage)
{
    int ready[2], log[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    stage->supervisor = fork_supervisor(stage, ready[1], log[1]);
    assert_true(stage->supervisor > 0);
    close(ready[1]);
    close(log[1]);
    stage->ready_fd = ready[0];
    stage->log_fd = log[0];
}

static void expect_ready(struct stage *stage)
{
    char text[16];
    wait_until_readable(stage->ready_fd);
    assert_int_equal(read(stage->ready_fd, text, sizeof text), 6);
    assert_memory_equal(text, "READY\n", 6);
}

static struct line next_line(struct stage *stage)
{
    struct line line;
    char *end;
    while (!(end = memchr(stage->buffer, '\n', stage->buffered))) {
        wait_until_readable(stage->lines_fd);
        ssize_t size = read(stage->lines_fd, stage->buffer + stage->buffered, sizeof stage->buffer - stage->buffered);
        if (size > 0)
            stage->buffered += (size_t)size;
        else
            sched_yield(); /* the pipe's end, until the next child opens it */
    }
    *end = '\0';
    assert_int_equal(
        sscanf(stage->buffer, "%15s %d %d %lld %127s", line.role, &line.pid, &line.group, &line.limit, line.path), 5);
    stage->buffered -= (size_t)(end + 1 - stage->buffer);
    memmove(stage->buffer, end + 1, stage->buffered);
    return line;
}

static struct line expect_line(struct stage *stage, const char *role)
{
    struct line line = next_line(stage);
    assert_string_equal(line.role, role);
    return line;
}

/* The pid of a writer, when broker, writer and both readers have come. */
static int expect_all(struct stage *stage)
{
    int writer = 0;
    expect_line(stage, "broker");
    for (int i = 0; i < 3; i++) {
        struct line line = next_line(stage);
        if (strcmp(line.role, "writer") == 0)
            writer = line.pid;
    }
    assert_true(writer > 0);
    return writer;
}

static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int stop(struct stage *stage)
{
    kill(stage->supervisor, SIGTERM);
    int code = wait_for(stage->supervisor);
    stage->supervisor = 0;
    return code;
}

static void read_log(const struct stage *stage, char *text, size_t size)
{
    size_t filled = 0;
    ssize_t got;
    while ((got = read(stage->log_fd, text + filled, size - 1 - filled)) > 0)
        filled += (size_t)got;
    text[filled] = '\0';
}

static size_t files_in(const struct stage *stage, const char *name)
{
    char path[256];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", stage->folder, name);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* ---- tests ---- */

static void serves_until_it_is_told_to_stop(void **state)
{
    struct stage *stage = *state;
    start(stage);
    struct line broker = expect_line(stage, "broker");
    assert_int_equal(broker.group, broker.pid);
    assert_string_equal(broker.path, "-");
    for (int i = 0; i < 3; i++) {
        struct line line = next_line(stage);
        assert_int_equal(line.group, line.pid);
        assert_string_equal(line.path, stage->database);
        assert_int_equal(line.limit, -1);
    }
    expect_ready(stage);
    assert_int_equal(files_in(stage, "run/health"), 2);
    assert_int_equal(stop(stage), 0);
    expect_the_end(stage);
    assert_int_equal(files_in(stage, "run/health"), 0);
    assert_int_equal(files_in(stage, "run"), 1);
}

static void the_lock_says_who_serves_and_that_it_ended_well(void **state)
{
    struct stage *stage = *state;
    struct lock *lock;
    struct lock_holder holder = {0};
    start(stage);
    expect_all(stage);
    expect_ready(stage);
    assert_int_equal(lock_open(stage->database, false, &lock, NULL), STATUS_OK);
    assert_int_equal(lock_take(lock, LOCK_OWNER, &holder), STATUS_BUSY);
    assert_int_equal(holder.mode, LOCK_SERVICE);
    assert_int_equal(holder.pid, stage->supervisor);
    assert_string_equal(holder.endpoint, stage->endpoint);
    assert_false(holder.stopped_cleanly);
    assert_int_equal(stop(stage), 0);
    assert_false(lock_is_held(lock, LOCK_OWNER, &holder));
    assert_true(holder.stopped_cleanly);
    lock_free(&lock);
}

static void a_second_one_is_refused_with_the_pid_of_the_first(void **state)
{
    struct stage *stage = *state;
    int log[2];
    char text[4096], pid[32];
    start(stage);
    expect_all(stage);
    expect_ready(stage);
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    int64_t began_ns = clock_boot_ns();
    pid_t second = fork_supervisor(stage, -1, log[1]);
    close(log[1]);
    assert_int_equal(wait_for(second), ACTOR_EXIT_REFUSED);
    assert_true(clock_boot_ns() - began_ns < NS_PER_S);
    ssize_t size = read(log[0], text, sizeof text - 1);
    assert_true(size > 0);
    text[size] = '\0';
    close(log[0]);
    snprintf(pid, sizeof pid, "process %d", stage->supervisor);
    assert_non_null(strstr(text, pid));
    assert_int_equal(stop(stage), 0);
}

static void what_dies_is_started_again(void **state)
{
    struct stage *stage = *state;
    start(stage);
    int writer = expect_all(stage);
    expect_ready(stage);
    kill(writer, SIGKILL);
    assert_true(expect_line(stage, "writer").pid != writer);
    assert_int_equal(stop(stage), 0);
    expect_the_end(stage);
}

static void a_child_that_fails_before_ready_is_tried_again(void **state)
{
    struct stage *stage = *state;
    setenv("TEST_BROKER", "fail once", 1);
    start(stage);
    expect_line(stage, "broker");
    expect_all(stage);
    expect_ready(stage);
    assert_int_equal(stop(stage), 0);
}

static void a_refusal_ends_the_service(void **state)
{
    struct stage *stage = *state;
    char text[4096];
    setenv("TEST_WRITER", "refuse", 1);
    start(stage);
    assert_int_equal(wait_for(stage->supervisor), ACTOR_EXIT_REFUSED);
    stage->supervisor = 0;
    expect_the_end(stage);
    read_log(stage, text, sizeof text);
    assert_non_null(strstr(text, "stigstore-writer cannot serve"));
    assert_int_equal(read(stage->ready_fd, text, 1), 0);
}

static void a_missing_program_is_a_refusal(void **state)
{
    struct stage *stage = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/stigstore-broker", stage->folder);
    assert_int_equal(unlink(path), 0);
    char *programs = strdup(getenv("PATH"));
    setenv("PATH", stage->folder, 1);
    start(stage);
    setenv("PATH", programs, 1);
    free(programs);
    assert_int_equal(wait_for(stage->supervisor), ACTOR_EXIT_REFUSED);
    stage->supervisor = 0;
}

static void children_die_with_it(void **state)
{
    struct stage *stage = *state;
    start(stage);
    expect_all(stage);
    expect_ready(stage);
    kill(stage->supervisor, SIGKILL);
    waitpid(stage->supervisor, NULL, 0);
    stage->supervisor = 0;
    expect_the_end(stage);
    start(stage); /* what was left does not hinder the next one */
    expect_all(stage);
    expect_ready(stage);
    assert_int_equal(stop(stage), 0);
}

static void the_broker_alone_is_bounded_in_memory(void **state)
{
    struct stage *stage = *state;
    start(stage);
    struct line broker = expect_line(stage, "broker");
    assert_true(broker.limit == 300 << 20 || broker.limit == -1 /* under a sanitizer */);
    expect_ready(stage);
    assert_int_equal(stop(stage), 0);
}

static int bind_notify_socket(const struct stage *stage)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", stage->folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return fd;
}

static void expect_notice(int fd, const char *expected)
{
    char text[256];
    wait_until_readable(fd);
    ssize_t size = recv(fd, text, sizeof text - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    assert_string_equal(text, expected);
}

static void systemd_is_told(void **state)
{
    struct stage *stage = *state;
    int fd = bind_notify_socket(stage);
    start(stage);
    expect_notice(fd, "READY=1");
    kill(stage->supervisor, SIGINT);
    expect_notice(fd, "STOPPING=1");
    assert_int_equal(wait_for(stage->supervisor), 0);
    stage->supervisor = 0;
    close(fd);
}

static void who_does_not_listen_is_killed(void **state)
{
    struct stage *stage = *state;
    int fd = bind_notify_socket(stage);
    setenv("TEST_READER", "ignore", 1);
    start(stage);
    expect_notice(fd, "READY=1");
    kill(stage->supervisor, SIGTERM);
    expect_notice(fd, "STOPPING=1");
    kill(stage->supervisor, SIGINT); /* each further signal takes one step more */
    assert_int_equal(stop(stage), 0);
    expect_the_end(stage);
    close(fd);
}

static void a_file_in_the_way_is_left_alone(void **state)
{
    struct stage *stage = *state;
    char path[256];
    struct stat info;
    snprintf(path, sizeof path, "%s/run", stage->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/s");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "precious", 8), 8);
    close(fd);
    start(stage);
    assert_int_equal(wait_for(stage->supervisor), ACTOR_EXIT_REFUSED);
    stage->supervisor = 0;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 8);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int test_everything(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(serves_until_it_is_told_to_stop),
        STAGED(the_lock_says_who_serves_and_that_it_ended_well),
        STAGED(a_second_one_is_refused_with_the_pid_of_the_first),
        STAGED(what_dies_is_started_again),
        STAGED(a_child_that_fails_before_ready_is_tried_again),
        STAGED(a_refusal_ends_the_service),
        STAGED(children_die_with_it),
        STAGED(the_broker_alone_is_bounded_in_memory),
        STAGED(who_does_not_listen_is_killed),
        STAGED(systemd_is_told),
        STAGED(a_file_in_the_way_is_left_alone),
        STAGED(a_missing_program_is_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    const char *role = strstr(argv[0], "stigstore-");
    if (role && argc > 1)
        return child_play(role + strlen("stigstore-"), argc, argv);
    return test_everything();
}
