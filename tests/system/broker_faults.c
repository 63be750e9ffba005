/*
 * broker_faults.c - the real broker when things go wrong: workers that die, deadlines, floods, descriptors, its own end.
 */
#include "tests/system/raw.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

static struct raw_broker broker;

static int set_up(void **state)
{
    (void)state;
    raw_broker_start(&broker);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    raw_broker_free(&broker);
    return 0;
}

static void send_request(void *by, uint8_t type, uint64_t first)
{
    struct envelope envelope = raw_envelope(type, first);
    raw_send(by, &envelope, "body", 4);
}

static void answer(void *worker, const struct envelope *to)
{
    raw_reply(worker, to, STATUS_OK, "fine", 4);
}

static void wait_for_epoch(void *client, uint64_t epoch)
{
    struct hello hello = {.writer_epoch = ~epoch};
    while (hello.writer_epoch != epoch) {
        struct raw_message news = raw_receive_any(client);
        assert_int_equal(hello_decode(news.body, news.size, &hello), STATUS_OK);
        raw_message_free(&news);
    }
}

static void what_a_dead_writer_had_goes_to_the_next_in_order(void **state)
{
    (void)state;
    void *writer = raw_worker(&broker, ROLE_WRITER, 1, 1), *client = raw_client(&broker);
    for (uint64_t number = 1; number <= 3; number++) {
        send_request(client, MESSAGE_WRITE, number);
        raw_expect(writer, MESSAGE_WRITE, number, STATUS_OK);
    }
    raw_close(&broker, &writer);
    wait_for_epoch(client, 0);
    send_request(client, MESSAGE_WRITE, 4);
    writer = raw_worker(&broker, ROLE_WRITER, 2, 2);
    for (uint64_t number = 1; number <= 3; number++) {
        struct envelope got = raw_expect(writer, MESSAGE_WRITE, number, STATUS_OK);
        assert_int_equal(got.attempt, 2);
        answer(writer, &got);
        raw_expect(client, MESSAGE_REPLY, number, STATUS_OK);
    }
    struct envelope last = raw_expect(writer, MESSAGE_WRITE, 4, STATUS_OK);
    assert_int_equal(last.attempt, 1);
    answer(writer, &last);
    raw_expect(client, MESSAGE_REPLY, 4, STATUS_OK);
    raw_close(&broker, &writer);
    raw_close(&broker, &client);
}

static void a_read_that_kills_two_readers_is_answered_internal(void **state)
{
    (void)state;
    void *client = raw_client(&broker);
    send_request(client, MESSAGE_READ, 1);
    for (uint64_t life = 1; life <= 2; life++) {
        void *reader = raw_worker(&broker, ROLE_READER, life, 1);
        raw_expect(reader, MESSAGE_READ, 1, STATUS_OK);
        raw_close(&broker, &reader);
    }
    raw_expect(client, MESSAGE_REPLY, 1, STATUS_INTERNAL);
    raw_close(&broker, &client);
}

static void without_workers_requests_wait_a_second_or_their_deadline(void **state)
{
    (void)state;
    void *client = raw_client(&broker);
    void *writer = raw_worker(&broker, ROLE_WRITER, 1, 1);
    wait_for_epoch(client, 1);
    raw_close(&broker, &writer);
    wait_for_epoch(client, 0);
    struct envelope soon = raw_envelope(MESSAGE_WRITE, 1);
    soon.deadline_ns = clock_deadline_ns(100);
    raw_send(client, &soon, "body", 4);
    send_request(client, MESSAGE_WRITE, 2);
    raw_expect(client, MESSAGE_REPLY, 1, STATUS_DEADLINE_EXCEEDED);
    assert_true(raw_expect(client, MESSAGE_REPLY, 2, STATUS_UNAVAILABLE).retry_after_ms > 0);
    raw_close(&broker, &client);
}

/* Deadlines of another boot count from their arrival. */
static void another_hosts_deadline_counts_from_now(void **state)
{
    (void)state;
    void *client = raw_client(&broker), *reader = raw_worker(&broker, ROLE_READER, 1, 1);
    struct envelope read = raw_envelope(MESSAGE_READ, 1);
    memset(read.boot_id, 0x42, sizeof read.boot_id);
    read.deadline_ns = 5;
    read.timeout_ms = 60000;
    raw_send(client, &read, "body", 4);
    struct envelope got = raw_expect(reader, MESSAGE_READ, 1, STATUS_OK);
    assert_memory_equal(got.boot_id, clock_boot_id(), BOOT_ID_SIZE);
    assert_true(got.deadline_ns > clock_boot_ns() + 50 * NS_PER_S);
    answer(reader, &got);
    raw_expect(client, MESSAGE_REPLY, 1, STATUS_OK);
    raw_close(&broker, &client);
    raw_close(&broker, &reader);
}

static void a_flood_is_overload_for_its_sender_only(void **state)
{
    (void)state;
    enum { SENT = 300 };
    static uint8_t body[60 * 1024];
    void *flooder = raw_client(&broker), *other = raw_client(&broker);
    void *writer = raw_worker(&broker, ROLE_WRITER, 1, 1);
    for (uint64_t number = 1; number <= SENT; number++) {
        struct envelope write = raw_envelope(MESSAGE_WRITE, number);
        raw_send(flooder, &write, body, sizeof body);
    }
    struct envelope refused = raw_expect(flooder, MESSAGE_REPLY, 137, STATUS_OVERLOADED);
    assert_true(refused.retry_after_ms > 0);
    send_request(other, MESSAGE_WRITE, 1);
    for (unsigned count = 0;; count++) {
        struct raw_message got = raw_receive(writer);
        raw_message_free(&got);
        answer(writer, &got.envelope);
        if (got.size == 4)
            break;
        assert_true(count < SENT);
    }
    raw_expect(other, MESSAGE_REPLY, 1, STATUS_OK);
    raw_close(&broker, &flooder);
    raw_close(&broker, &other);
    raw_close(&broker, &writer);
}

static void answers_that_nobody_reads_hold_up_nobody_else(void **state)
{
    (void)state;
    enum { LARGE = 4 * 1024 * 1024, READS = 40 };
    uint8_t *large = calloc(1, LARGE);
    void *lazy = raw_dealer(&broker, broker.endpoint, false), *client = raw_client(&broker);
    int mark = 1;
    zmq_setsockopt(lazy, ZMQ_RCVHWM, &mark, sizeof mark);
    void *reader = raw_worker(&broker, ROLE_READER, 1, 1);
    for (uint64_t number = 1; number <= READS; number++)
        send_request(lazy, MESSAGE_READ, number);
    send_request(client, MESSAGE_READ, 1000);
    for (bool served = false; !served;) {
        struct raw_message got = raw_receive(reader);
        raw_message_free(&got);
        served = got.envelope.first == 1000;
        raw_reply(reader, &got.envelope, STATUS_OK, large, served ? 4 : LARGE);
    }
    raw_expect(client, MESSAGE_REPLY, 1000, STATUS_OK);
    free(large);
    raw_close(&broker, &lazy);
    raw_close(&broker, &client);
    raw_close(&broker, &reader);
}

/* ---- connections ---- */

static int connect_bare(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = broker.endpoint + strlen("ipc://");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* ZMTP's greeting comes from whoever was let in; the end from whoever was not. */
static bool is_let_in(int fd)
{
    char byte;
    ssize_t size = recv(fd, &byte, 1, 0);
    return size == 1;
}

static void say_hello_zmtp(int fd)
{
    static const uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
}

static void expect_cap(unsigned connections, unsigned least_in, unsigned most_in)
{
    int *fds = calloc(connections, sizeof *fds);
    unsigned in = 0;
    for (unsigned i = 0; i < connections; i++) {
        fds[i] = connect_bare();
        say_hello_zmtp(fds[i]);
    }
    for (unsigned i = 0; i < connections; i++)
        in += is_let_in(fds[i]);
    assert_in_range(in, least_in, most_in);
    for (unsigned i = 0; i < connections; i++)
        close(fds[i]);
    free(fds);
}

static void connections_are_capped_and_come_free(void **state)
{
    (void)state;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < LIMIT_CONNECTIONS + 300)
        skip();
    expect_cap(LIMIT_CONNECTIONS + 100, LIMIT_CONNECTIONS, LIMIT_CONNECTIONS);
    void *client = raw_client(&broker);
    free(raw_status(client));
    raw_close(&broker, &client);
}

static void running_out_of_descriptors_is_survived(void **state)
{
    (void)state;
    char number[16];
    int ready[2];
    assert_int_equal(raw_broker_stop(&broker), 0);
    assert_int_equal(pipe(ready), 0);
    snprintf(number, sizeof number, "%d", ready[1]);
    char program[512];
    snprintf(program, sizeof program, "%s/stigstore-broker", STIGSTORE_BIN_DIR);
    const char *const arguments[] = {"/usr/bin/prlimit", "--nofile=60:60", program, "--endpoint",
                                     broker.endpoint,    "--ready-fd",     number,  NULL};
    broker.pid = process_start(arguments, -1, -1, ready[1]);
    close(ready[1]);
    char line[8];
    assert_true(read(ready[0], line, sizeof line) > 0);
    close(ready[0]);
    expect_cap(100, 20, 60);
    void *client = raw_client(&broker);
    char *json = raw_status(client);
    assert_true(raw_number(json, "connections_refused") >= 40);
    free(json);
    raw_close(&broker, &client);
}

/* ---- the broker's own end ---- */

static void a_killed_broker_comes_back_with_a_new_life_and_welcomes_all(void **state)
{
    (void)state;
    void *client = raw_client(&broker), *writer = raw_worker(&broker, ROLE_WRITER, 1, 1);
    send_request(client, MESSAGE_WRITE, 1);
    struct envelope before = raw_expect(writer, MESSAGE_WRITE, 1, STATUS_OK);
    kill(broker.pid, SIGKILL);
    process_join(broker.pid);
    raw_broker_again(&broker);
    struct raw_message welcome = raw_receive(client);
    assert_int_equal(welcome.envelope.type, MESSAGE_HELLO);
    assert_int_not_equal(welcome.envelope.life, before.life);
    raw_message_free(&welcome);
    void *next = raw_worker(&broker, ROLE_WRITER, 2, 2);
    send_request(client, MESSAGE_WRITE, 1);
    struct envelope again = raw_expect(next, MESSAGE_WRITE, 1, STATUS_OK);
    assert_int_not_equal(again.life, before.life);
    answer(next, &again);
    raw_expect(client, MESSAGE_REPLY, 1, STATUS_OK);
    raw_close(&broker, &client);
    raw_close(&broker, &writer);
    raw_close(&broker, &next);
}

static void a_drain_answers_what_is_in_flight_and_ends_the_workers(void **state)
{
    (void)state;
    void *client = raw_client(&broker);
    void *reader = raw_worker(&broker, ROLE_READER, 1, 1), *writer = raw_worker(&broker, ROLE_WRITER, 2, 1);
    send_request(client, MESSAGE_READ, 1);
    send_request(client, MESSAGE_WRITE, 2);
    struct envelope read = raw_expect(reader, MESSAGE_READ, 1, STATUS_OK);
    struct envelope write = raw_expect(writer, MESSAGE_WRITE, 2, STATUS_OK);
    kill(broker.pid, SIGTERM);
    for (uint64_t number = 3;; number++) { /* the signal and the request race */
        send_request(client, MESSAGE_CONTROL, number);
        send_request(client, MESSAGE_READ, number);
        raw_expect(client, MESSAGE_REPLY, number, STATUS_INVALID_ARGUMENT);
        zmq_pollitem_t item = {.socket = client, .events = ZMQ_POLLIN};
        if (zmq_poll(&item, 1, 20) == 0) {
            struct envelope extra = raw_expect(reader, MESSAGE_READ, number, STATUS_OK);
            answer(reader, &extra);
            raw_expect(client, MESSAGE_REPLY, number, STATUS_OK);
            continue;
        }
        raw_expect(client, MESSAGE_REPLY, number, STATUS_UNAVAILABLE);
        break;
    }
    answer(reader, &read);
    raw_expect(client, MESSAGE_REPLY, 1, STATUS_OK);
    raw_expect(reader, MESSAGE_DRAIN, 0, STATUS_OK);
    answer(writer, &write);
    raw_expect(client, MESSAGE_REPLY, 2, STATUS_OK);
    struct envelope goodbye = raw_envelope(MESSAGE_GOODBYE, 0);
    raw_send(reader, &goodbye, "", 0);
    raw_expect(writer, MESSAGE_DRAIN, 0, STATUS_OK);
    raw_send(writer, &goodbye, "", 0);
    assert_int_equal(process_join(broker.pid), 0);
    broker.pid = 0;
    raw_close(&broker, &client);
    raw_close(&broker, &reader);
    raw_close(&broker, &writer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_dead_writer_had_goes_to_the_next_in_order),
        TEST(a_read_that_kills_two_readers_is_answered_internal),
        TEST(without_workers_requests_wait_a_second_or_their_deadline),
        TEST(another_hosts_deadline_counts_from_now),
        TEST(a_flood_is_overload_for_its_sender_only),
        TEST(answers_that_nobody_reads_hold_up_nobody_else),
        TEST(connections_are_capped_and_come_free),
        TEST(running_out_of_descriptors_is_survived),
        TEST(a_killed_broker_comes_back_with_a_new_life_and_welcomes_all),
        TEST(a_drain_answers_what_is_in_flight_and_ends_the_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
