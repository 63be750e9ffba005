/*
 * failing.c - in an actor's process: one call on files fails, as a file says, until that file is gone.
 *
 * $STIGSTORE_FAILING names the file: "PROGRAM FOLDER KIND ERRNO N STAYS".  "FILE.met" is made once the call has failed.
 * With $STIGSTORE_FULL_REFUSES deletes are refused while the disk is full, which tests must catch.
 */
#include "tests/fault/disk/calls.h"
#include "tests/fault/wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct request;
bool failing_allows(const struct request *request) INSTEAD_OF(sqlite_full_allows);
bool real_allows(const struct request *request) REAL(sqlite_full_allows);

static char folder[160];
static const char *spec;

bool failing_allows(const struct request *request)
{
    return !getenv("STIGSTORE_FULL_REFUSES") && real_allows(request);
}

static void tell_met(void)
{
    char path[256];
    int fd;

    if (!calls.has_failed)
        return;
    snprintf(path, sizeof path, "%s.met", spec);
    fd = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

static void *watch(void *context)
{
    (void)context;
    for (;;) {
        tell_met();
        if (faccessat(AT_FDCWD, spec, F_OK, 0) != 0)
            calls_heal();
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return NULL;
}

/* A thread that takes no signals of the actor's. */
static void start_watching(void)
{
    sigset_t all, before;
    pthread_t thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, watch, NULL) != 0)
        abort();
    pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

__attribute__((constructor)) static void begin(void)
{
    char program[64];
    int kind, error, stays;
    long n;
    FILE *file;

    spec = getenv("STIGSTORE_FAILING");
    file = spec ? fopen(spec, "re") : NULL;
    if (!file)
        return;
    if (fscanf(file, "%63s %159s %d %d %ld %d", program, folder, &kind, &error, &n, &stays) == 6 &&
        strcmp(program, program_invocation_short_name) == 0) {
        calls_watch(folder, false);
        calls_fail((enum call)kind, error, n, stays);
        atexit(tell_met);
        start_watching();
    }
    fclose(file);
}
