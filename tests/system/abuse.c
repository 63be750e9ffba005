/*
 * abuse.c - peers that wear the broker out: it stays within its memory or is started anew, and those who behave go on.
 */
#include "proto/clock.h"
#include "proto/envelope.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/process.h"
#include "tests/support/service.h"
#include "tests/system/load.h"
#include "tests/system/zmtp.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FRAME_BYTES = 64 * 1024, FRAMES_MOST = 100000, FLOODERS = 900, EACH = 24, BOUND_KIB = 512 * 1024 };

static long peak_kib(pid_t pid)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        sscanf(line, "VmHWM: %ld kB", &kib);
    if (file)
        fclose(file);
    return kib;
}

/* Frames sent until the connection was ended. */
static unsigned send_without_end(const char *endpoint)
{
    static const char frame[FRAME_BYTES];
    int fd = zmtp_connect(endpoint);
    unsigned sent = 0;
    while (fd >= 0 && sent < FRAMES_MOST && zmtp_send(fd, frame, sizeof(frame), true))
        sent++;
    close(fd);
    return sent;
}

/* The broker refuses the memory, or ends for want of it and is started anew. */
static void a_message_without_end_ends_its_connection_and_nothing_else(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    char through[200];
    snprintf(through, sizeof(through), "%s?reads=broker", service.endpoint);
    struct load load = {.url = NULL};
    load_start(&load, through, 60000);
    for (unsigned time = 0; time < 3; time++) {
        load_wait(&load, 100);
        unsigned sent = send_without_end(service.endpoint);
        print_message("%u frames\n", sent);
        assert_true(sent < FRAMES_MOST);
        assert_true(peak_kib(service_actor(&service, "stigstore-broker", 0)) <= BOUND_KIB);
    }
    load_wait(&load, 100);
    stigstore *store = load_open(through, 60000);
    load_join(&load);
    load_check(&load, store, UINT64_MAX);
    for (unsigned i = 0; i < LOAD_THREADS; i++)
        assert_int_equal(load.threads[i].failed, 0);
    stigstore_free(&store);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
}

static void send_request(int fd, uint8_t type, uint64_t first, const void *body, size_t size)
{
    struct envelope envelope = envelope_make(type, clock_deadline_ns(30000));
    uint8_t encoded[ENVELOPE_BYTES];
    envelope.first = first;
    envelope.count = 1;
    envelope_encode(&envelope, encoded);
    struct pollfd item = {.fd = fd, .events = POLLOUT};
    if (poll(&item, 1, 0) == 1 && zmtp_send(fd, encoded, sizeof(encoded), true))
        zmtp_send(fd, body, size, false);
}

static void hundreds_that_flood_and_read_nothing_hold_nobody_up(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct service service = service_start(NULL, NULL);
    pid_t broker = service_actor(&service, "stigstore-broker", 0);
    char through[200];
    snprintf(through, sizeof(through), "%s?reads=broker", service.endpoint);
    stigstore *store = load_open(through, 60000);

    int *fds = calloc(FLOODERS, sizeof(*fds));
    void *body = calloc(1, FRAME_BYTES);
    for (unsigned i = 0; i < FLOODERS; i++) {
        fds[i] = zmtp_connect(service.endpoint);
        assert_true(fds[i] >= 0);
        zmtp_send(fds[i], "", 0, false);
    }
    for (unsigned round = 0; round < EACH; round++) {
        for (unsigned i = 0; i < FLOODERS; i++)
            send_request(fds[i], i % 2 ? MESSAGE_READ : MESSAGE_WRITE, round + 1, body, FRAME_BYTES - 64);
        assert_int_equal(
            stigstore_save_resource(store, stigstore_text("k"), stigstore_text("i"), stigstore_text("x"), NULL),
            STIGSTORE_OK);
        assert_int_equal(stigstore_get_resource(store, stigstore_text("k"), stigstore_text("i"), NULL), STIGSTORE_OK);
    }
    print_message("the broker's peak: %ld KiB\n", peak_kib(broker));
    assert_int_equal(service_actor(&service, "stigstore-broker", 0), broker);
    assert_true(peak_kib(broker) < BOUND_KIB);
    stigstore_free(&store);
    assert_int_equal(service_stop(&service), 0);
    for (unsigned i = 0; i < FLOODERS; i++)
        close(fds[i]);
    free(fds);
    free(body);
    service_free(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_without_end_ends_its_connection_and_nothing_else),
        cmocka_unit_test(hundreds_that_flood_and_read_nothing_hold_nobody_up),
    };
    return cmocka_run_group_tests_name("abuse", tests, NULL, NULL);
}
