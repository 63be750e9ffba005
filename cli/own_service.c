/*
 * own_service.c - a temporary store with a service, for verbs that bring their own.
 */
#include "cli/own_service.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 32, FOLDER_MOST = 40 /* a socket's path is short */ };

bool own_service_prepare(struct own_service *service, const char *name)
{
    const char *root = getenv("TMPDIR");
    *service = (struct own_service){0};
    root = root && *root == '/' && strlen(root) < FOLDER_MOST - strlen(name) ? root : "/tmp";
    snprintf(service->folder, sizeof(service->folder), "%s/stigstore-%s-XXXXXX", root, name);
    if (!mkdtemp(service->folder)) {
        cli_error("cannot make a temporary store: %s", strerror(errno));
        *service->folder = '\0';
        return false;
    }
    snprintf(service->database, sizeof(service->database), "%s/store.sqlite", service->folder);
    snprintf(service->endpoint, sizeof(service->endpoint), "ipc://%s/run/broker.sock", service->folder);
    return true;
}

static void run_service(const struct own_service *service, const char *const *more, int ready_fd)
{
    char ready[16];
    const char *arguments[MOST_ARGUMENTS] = {"stigstore",  "serve",           "--db",       service->database,
                                             "--endpoint", service->endpoint, "--ready-fd", ready};
    for (size_t i = 8; more && *more && i < MOST_ARGUMENTS - 1; i++)
        arguments[i] = *more++;
    snprintf(ready, sizeof(ready), "%d", ready_fd);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setpgid(0, 0); /* Ctrl-C is for the verb, which then stops it */
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    fcntl(ready_fd, F_SETFD, 0);
    execv("/proc/self/exe", (char **)(uintptr_t)arguments);
    _exit(127);
}

bool own_service_start(struct own_service *service, const char *const *more)
{
    int ready[2];
    char line[8] = "";
    if (pipe2(ready, O_CLOEXEC) != 0) {
        cli_error("cannot start a service: %s", strerror(errno));
        return false;
    }
    service->pid = fork();
    if (service->pid == 0)
        run_service(service, more, ready[1]);
    close(ready[1]);
    ssize_t got = 0;
    while (service->pid > 0 && (got = read(ready[0], line, sizeof(line) - 1)) < 0 && errno == EINTR) {
    }
    close(ready[0]);
    if (got <= 0)
        cli_error("the service did not start; `stigstore serve --db %s` says why", service->database);
    return got > 0;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    (void)stat;
    (void)type;
    (void)at;
    return remove(path);
}

bool own_service_stop(struct own_service *service)
{
    int status = 0;
    if (service->pid > 0) {
        kill(service->pid, SIGTERM);
        while (waitpid(service->pid, &status, 0) < 0 && errno == EINTR) {
        }
        service->pid = 0;
    }
    if (*service->folder) {
        nftw(service->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        *service->folder = '\0';
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
