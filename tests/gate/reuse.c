/*
 * reuse.c - one afar leaves while one on this host comes: the broker's descriptor of the first serves the second.
 */
#include "tests/gate/crush.h"
#include "tests/gate/far.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum { ROUNDS = 20, PEERS = 4, WAIT_MS = 20000 };

/* libzmq speaks first, once it has accepted. */
static void wait_until_accepted(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
}

/* The broker, stopped meanwhile, learns at once of those that left and of those that came. */
static void swap(const struct gate *gate, pid_t broker, const int leaving[PEERS], struct far coming[PEERS])
{
    kill(broker, SIGSTOP);
    for (size_t i = 0; i < PEERS; i++)
        close(leaving[i]);
    for (size_t i = 0; i < PEERS; i++)
        far_connect_here(&coming[i], gate);
    kill(broker, SIGCONT);
}

static void who_comes_here_is_greeted_while_others_leave_afar(void **state)
{
    (void)state;
    struct gate gate;
    gate_open(&gate);
    pid_t broker = service_actor(&gate.service, "stigstore-broker", 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        int leaving[PEERS];
        struct far coming[PEERS];
        for (size_t i = 0; i < PEERS; i++)
            leaving[i] = crush_connect(&gate);
        for (size_t i = 0; i < PEERS; i++)
            wait_until_accepted(leaving[i]);
        swap(&gate, broker, leaving, coming);
        for (size_t i = 0; i < PEERS; i++)
            far_greet(&coming[i]);
        struct request save = far_save("a", "here");
        for (size_t i = 0; i < PEERS; i++) {
            assert_int_equal(far_write(&coming[i], 1, &save).status, STATUS_OK);
            far_close(&coming[i]);
        }
    }
    assert_int_equal(gate_number(&gate, "dropped_stray"), 0);
    gate_free(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_here_is_greeted_while_others_leave_afar),
    };
    return cmocka_run_group_tests_name("reuse", tests, NULL, NULL);
}
