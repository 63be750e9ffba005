/*
 * service.c - services of a test.
 */
#include "tests/support/service.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READY_TIMEOUT_S = 60, MOST_OPTIONS = 32 };

static void wait_ready(int fd)
{
    char line[16] = "";
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&poll_fd, 1, READY_TIMEOUT_S * 1000), 1);
    assert_true(read(fd, line, sizeof(line) - 1) > 0);
    assert_string_equal(line, "READY\n");
}

static pid_t start(const struct service *service, const char *const *more)
{
    int ready[2];
    char ready_fd[16];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    snprintf(ready_fd, sizeof(ready_fd), "%d", ready[1]);
    const char *arguments[MOST_OPTIONS] = {"stigstore",  "serve",           "--db",       service->database,
                                           "--endpoint", service->endpoint, "--ready-fd", ready_fd};
    for (size_t i = 8; more && *more && i < MOST_OPTIONS - 1; i++)
        arguments[i] = *more++;
    pid_t pid = process_start(arguments, -1, -2, ready[1]);
    close(ready[1]);
    wait_ready(ready[0]);
    close(ready[0]);
    return pid;
}

struct service service_start(const char *folder, const char *const *more)
{
    struct service service = {.folder = folder ? strdup(folder) : folder_new(), .owns_folder = !folder};
    snprintf(service.database, sizeof(service.database), "%s/store.sqlite", service.folder);
    snprintf(service.endpoint, sizeof(service.endpoint), "ipc://%s/run/broker.sock", service.folder);
    snprintf(service.url, sizeof(service.url), "%s", service.endpoint);
    service.pid = start(&service, more);
    return service;
}

void service_restart(struct service *service)
{
    assert_int_equal(service->pid, 0);
    service->pid = start(service, NULL);
}

int service_stop(struct service *service)
{
    kill(service->pid, SIGTERM);
    int code = process_join(service->pid);
    service->pid = 0;
    return code;
}

void service_free(struct service *service)
{
    if (service->pid)
        service_stop(service);
    if (service->owns_folder)
        folder_remove(&service->folder);
    else
        free(service->folder);
    *service = (struct service){0};
}

struct wanted {
    pid_t parent, not_this, found;
    const char *program;
};

static bool is_there(void *context)
{
    struct wanted *wanted = context;
    pid_t pids[16];
    size_t count = process_children(wanted->parent, wanted->program, pids, 16);
    for (size_t i = 0; i < count && i < 16; i++) {
        if (pids[i] != wanted->not_this) {
            wanted->found = pids[i];
            return true;
        }
    }
    return false;
}

pid_t service_actor(const struct service *service, const char *program, pid_t not_this)
{
    struct wanted wanted = {.parent = service->pid, .not_this = not_this, .program = program};
    wait_until(is_there, &wanted, 30, program);
    return wanted.found;
}
