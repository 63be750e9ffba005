/* actor_start.c - the first steps of an actor: random routing ids, signals by descriptor, and whom it dies with. */
#include "actor/actor.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* What a ROUTER of a fresh actor calls its first peer. */
static void first_routing_id(uint8_t id[5])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        actor_start("test", 0);
        void *context = zmq_ctx_new();
        void *router = zmq_socket(context, ZMQ_ROUTER), *dealer = zmq_socket(context, ZMQ_DEALER);
        uint8_t found[5];
        if (zmq_bind(router, "inproc://here") != 0 || zmq_connect(dealer, "inproc://here") != 0 ||
            zmq_send(dealer, "", 0, 0) != 0 || zmq_recv(router, found, sizeof found, 0) != 5)
            _exit(1);
        _exit(write(ends[1], found, sizeof found) != 5);
    }
    assert_int_equal(wait_for(pid), 0);
    assert_int_equal(read(ends[0], id, 5), 5);
    close(ends[0]);
    close(ends[1]);
}

static void routing_ids_differ_between_processes(void **state)
{
    (void)state;
    uint8_t ids[3][5];
    for (int i = 0; i < 3; i++)
        first_routing_id(ids[i]);
    assert_memory_not_equal(ids[0], ids[1], 5);
    assert_memory_not_equal(ids[1], ids[2], 5);
    assert_memory_not_equal(ids[0], ids[2], 5);
}

static void signals_arrive_by_descriptor(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        int fd = actor_start("test", 0);
        if (actor_signal(fd) != 0 || raise(SIGTERM) != 0 || raise(SIGPIPE) != 0)
            _exit(1);
        struct pollfd item = {.fd = fd, .events = POLLIN};
        _exit(poll(&item, 1, 5000) != 1 || actor_signal(fd) != SIGTERM || actor_signal(fd) != 0);
    }
    assert_int_equal(wait_for(pid), 0);
}

static void ends_when_its_supervisor_is_gone_already(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        actor_start("test", 999999999);
        _exit(0);
    }
    int status = wait_for(pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), ACTOR_EXIT_FAILED);
}

static void dies_with_its_supervisor(void **state)
{
    (void)state;
    int ends[2];
    char letter;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        pid_t self = getpid();
        if (fork() == 0) {
            actor_start("test", self);
            if (write(ends[1], "x", 1) == 1)
                pause();
            _exit(0);
        }
        pause();
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &letter, 1), 1);
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    wait_for(supervisor);
    assert_int_equal(read(ends[0], &letter, 1), 0); /* the end: nobody holds the pipe any more */
    close(ends[0]);
}

static void says_ready_once(void **state)
{
    (void)state;
    int ends[2];
    char text[16];
    assert_int_equal(pipe(ends), 0);
    actor_ready(&ends[1]);
    assert_int_equal(ends[1], -1);
    actor_ready(&ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text), 6);
    assert_memory_equal(text, "READY\n", 6);
    assert_int_equal(read(ends[0], text, sizeof text), 0);
    close(ends[0]);
}

static void numbers_are_judged(void **state)
{
    (void)state;
    uint64_t number = 0;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1x", "4", "11", "99999999999999999999", "0x5"};
    assert_true(actor_parse_number("10", 5, 10, &number));
    assert_int_equal(number, 10);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(actor_parse_number(bad[i], 5, 10, &number));
    assert_false(actor_parse_number(NULL, 0, 1, &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routing_ids_differ_between_processes),
        cmocka_unit_test(signals_arrive_by_descriptor),
        cmocka_unit_test(ends_when_its_supervisor_is_gone_already),
        cmocka_unit_test(dies_with_its_supervisor),
        cmocka_unit_test(says_ready_once),
        cmocka_unit_test(numbers_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
