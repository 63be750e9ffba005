/*
 * hostile.c - peers that send garbage to a real service while others work; what it uses when nobody wants anything.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PEERS = 40, GREETING_BYTES = 64, IDLE_WINDOW_MS = 3000, ACTORS_MOST = 8 };

static int connect_raw(const struct service *service, const char *suffix)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", service->endpoint + strlen("ipc://"), suffix);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
}

/* False: the other side has had enough. */
static bool send_raw(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

/* ZMTP 3.0, mechanism NULL, as a DEALER. */
static bool shake_hands(int fd)
{
    static const char greeting[GREETING_BYTES] = "\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL";
    static const char ready[] = "\4\x29\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0";
    char answer[256];
    if (!send_raw(fd, greeting, sizeof(greeting)) || recv(fd, answer, GREETING_BYTES, MSG_WAITALL) != GREETING_BYTES)
        return false;
    return send_raw(fd, ready, sizeof(ready) - 1) && recv(fd, answer, sizeof(answer), 0) > 0;
}

/* What this peer does to the service. */
static void misbehave(int fd, unsigned kind)
{
    char bytes[4096];
    static const char huge_frame[] = "\2\x7f\xff\xff\xff\xff\xff\xff\xff", junk_frame[] = "\0\5junk!",
                      half_frame[] = "\1\200half", short_envelope[] = "\1\4abcd\0\0";
    memset(bytes, (int)kind, sizeof(bytes));
    switch (kind % 8) {
    case 0: /* half a greeting, and then nothing */
        send_raw(fd, "\xff\0\0\0\0\0\0\0\1\x7f\3\0NU", 14);
        return;
    case 1: /* no greeting at all */
        send_raw(fd, bytes, sizeof(bytes));
        return;
    case 2: /* an old protocol's */
        send_raw(fd, "\1\0", 2);
        return;
    default:
        break;
    }
    if (!shake_hands(fd))
        return;
    switch (kind % 8) {
    case 3:
        send_raw(fd, huge_frame, sizeof(huge_frame) - 1);
        return;
    case 4:
        for (unsigned i = 0; i < 100 && send_raw(fd, junk_frame, sizeof(junk_frame) - 1); i++) {
        }
        return;
    case 5:
        send_raw(fd, half_frame, sizeof(half_frame) - 1);
        return;
    case 6:
        for (unsigned i = 0; i < 100 && send_raw(fd, short_envelope, sizeof(short_envelope) - 1); i++) {
        }
        return;
    default: /* ten thousand frames of one message, and no end of it */
        for (unsigned i = 0; i < 10000 && send_raw(fd, "\1\5junk!", 7); i++) {
        }
        return;
    }
}

static void garbage_harms_nobody(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    pid_t broker = service_actor(&service, "stigstore-broker", 0),
          writer = service_actor(&service, "stigstore-writer", 0);
    stigstore *store = load_open(service.url, 20000);
    uint64_t revision = store_revision(store);
    struct load load = {.stop_at_failure = true};
    load_start(&load, service.url, 20000);
    load_wait(&load, 50);
    int fds[PEERS];
    for (unsigned i = 0; i < PEERS; i++) {
        fds[i] = connect_raw(&service, i % 5 == 4 ? ".workers" : "");
        misbehave(fds[i], i);
        if (i % 2) {
            close(fds[i]);
            fds[i] = -1;
        }
    }
    load_wait(&load, 200);
    load_join(&load);
    for (unsigned i = 0; i < LOAD_THREADS; i++)
        assert_int_equal(load.threads[i].failed, 0);
    load_check(&load, store, revision);
    for (unsigned i = 0; i < PEERS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    assert_int_equal(kill(broker, 0), 0); /* the very same processes */
    assert_int_equal(kill(writer, 0), 0);
    assert_int_equal(service_actor(&service, "stigstore-broker", 0), broker);
    stigstore_free(&store);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
}

/* The broker cuts it off, or dies of it and is started again: others only wait a moment. */
static void a_message_without_an_end_ends_at_the_brokers_bound(void **state)
{
    (void)state;
    if (SCENE_IS_SANITIZED)
        skip(); /* its broker has no bound: the sanitizers' own memory would count */
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(service.url, 30000);
    scene_must_save(store, "a", "x");
    size_t size = (size_t)256 << 10;
    char *frame = calloc(1, size + 9);
    assert_non_null(frame);
    frame[0] = 3; /* long, and more to come */
    for (unsigned i = 0; i < 8; i++)
        frame[1 + i] = (char)(size >> (8 * (7 - i)));
    int fd = connect_raw(&service, "");
    assert_true(shake_hands(fd));
    uint64_t sent = 0;
    while (send_raw(fd, frame, size + 9)) {
        sent += size;
        assert_true(sent < (uint64_t)600 << 20);
    }
    close(fd);
    free(frame);
    print_message("cut after %lu MiB\n", (unsigned long)(sent >> 20));
    scene_must_save(store, "b", "x"); /* good clients come back */
    scene_must_hold(store, "a", "x");
    stigstore_free(&store);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
}

/* ---- idle ---- */

/* Of all threads of a process, in ns. */
static uint64_t cpu_ns(pid_t pid)
{
    char path[300];
    uint64_t sum = 0;
    snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        unsigned long long ran = 0;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%ld/task/%s/schedstat", (long)pid, entry->d_name);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%llu", &ran) == 1)
            sum += ran;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return sum;
}

static bool is_past(void *context)
{
    return scene_now_ms() >= *(int64_t *)context;
}

static void wait_ms(int64_t ms)
{
    int64_t until_ms = scene_now_ms() + ms;
    wait_until(is_past, &until_ms, 60, "some time");
}

static void an_idle_service_uses_no_measurable_cpu(void **state)
{
    (void)state;
    static const char *const programs[] = {"stigstore-broker", "stigstore-writer", "stigstore-reader"};
    if (SCENE_IS_SANITIZED)
        skip(); /* some of them keep a thread of their own awake */
    struct service service = service_start(NULL, NULL);
    stigstore *local = load_open(service.url, 20000), *through = load_open(scene_through_broker(&service), 20000);
    scene_must_save(local, "a", "x"); /* connected, and a snapshot was kept */
    scene_must_hold(local, "a", "x");
    scene_must_hold(through, "a", "x");
    pid_t pids[ACTORS_MOST] = {service.pid};
    size_t count = 1;
    for (size_t i = 0; i < 3; i++)
        count += process_children(service.pid, programs[i], pids + count, ACTORS_MOST - count);
    assert_int_equal(count, 5);
    wait_ms(500); /* what was begun ends */
    uint64_t before[ACTORS_MOST], used = 0;
    for (size_t i = 0; i < count; i++)
        before[i] = cpu_ns(pids[i]);
    wait_ms(IDLE_WINDOW_MS);
    for (size_t i = 0; i < count; i++) {
        uint64_t ns = cpu_ns(pids[i]) - before[i];
        print_message("process %zu: %lu us in %d ms\n", i, (unsigned long)(ns / 1000), IDLE_WINDOW_MS);
        used += ns;
    }
    assert_true(used < (uint64_t)IDLE_WINDOW_MS * 1000000 / 100); /* all together 1 % of a core */
    stigstore_free(&local);
    stigstore_free(&through);
    service_free(&service);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(garbage_harms_nobody),
        cmocka_unit_test(a_message_without_an_end_ends_at_the_brokers_bound),
        cmocka_unit_test(an_idle_service_uses_no_measurable_cpu),
    };
    return cmocka_run_group_tests_name("hostile peers and idle ones", tests, NULL, NULL);
}
