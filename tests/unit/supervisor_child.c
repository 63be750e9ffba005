/* supervisor_child.c - an actor as far as the supervisor sees one. */
#include "supervisor_child.h"
#include "actor/actor.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static volatile sig_atomic_t asked_to_end;

static void on_term(int number)
{
    (void)number;
    asked_to_end = 1;
}

static const char *value_of(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return "";
}

static void say_who(const char *role, const char *path)
{
    struct rlimit limit = {0};
    char line[160];
    getrlimit(RLIMIT_DATA, &limit);
    int length = snprintf(line, sizeof line, "%s %d %d %lld %s\n", role, getpid(), getpgrp(),
                          limit.rlim_cur == RLIM_INFINITY ? -1LL : (long long)limit.rlim_cur, path[0] ? path : "-");
    int fd = open(getenv("TEST_PIPE"), O_WRONLY);
    if (fd < 0 || write(fd, line, (size_t)length) != length)
        _exit(1);
}

static void wait_for_term(void)
{
    sigset_t none;
    sigemptyset(&none);
    while (!asked_to_end)
        sigsuspend(&none);
}

static bool happened_before(const char *role)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.%s", getenv("TEST_PIPE"), role);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

int child_play(const char *role, int argc, char **argv)
{
    char name[32] = "TEST_";
    for (size_t i = 0; role[i] && i < 20; i++)
        name[5 + i] = (char)(role[i] - 'a' + 'A'), name[6 + i] = '\0';
    const char *part = getenv(name) ? getenv(name) : "serve";
    int ready_fd = atoi(value_of(argc, argv, "--ready-fd"));
    bool ignores = strcmp(part, "ignore") == 0;
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGTERM, ignores ? SIG_IGN : on_term);
    say_who(role, value_of(argc, argv, "--db"));
    if (strcmp(part, "refuse") == 0)
        return ACTOR_EXIT_REFUSED;
    if (strcmp(part, "fail once") == 0 && !happened_before(role))
        return ACTOR_EXIT_FAILED;
    actor_ready(&ready_fd);
    wait_for_term();
    return 0;
}
