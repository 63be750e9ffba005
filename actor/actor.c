/*
 * actor.c - the first steps of every actor, before ZeroMQ is touched.
 */
#include "actor/actor.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <czmq.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kernel kills us when the thread that forked us ends; it may have ended before we asked for that. */
static void die_with(long supervisor_pid)
{
    if (supervisor_pid <= 0)
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == (pid_t)supervisor_pid)
        return;
    actor_log(LOG_LEVEL_ERROR, "process %ld, which started this one, is gone", supervisor_pid);
    exit(ACTOR_EXIT_FAILED);
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* libzmq draws routing ids from rand() and seeds it nowhere: restarted, it would hand out the same ids again. */
static void seed_rand(void)
{
    unsigned seed;
    random_bytes(&seed, sizeof seed);
    srand(seed);
}

/* Bodies of some hundred KiB come and go all the time; given back to the kernel each time, their pages would be faulted
 * in anew each time. What is kept is bounded by the second number. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, (int)(1 * MIB));
    mallopt(M_TRIM_THRESHOLD, (int)(8 * MIB));
}

int actor_start(const char *name, long supervisor_pid)
{
    keep_memory();
    actor_set_name(name);
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    die_with(supervisor_pid);
    int signal_fd = block_signals();
    if (signal_fd < 0) {
        actor_log(LOG_LEVEL_ERROR, "no descriptor for signals: %s", strerror(errno));
        exit(ACTOR_EXIT_FAILED);
    }
    zsys_handler_set(NULL);
    zsys_init();
    seed_rand();
    return signal_fd;
}
