/*
 * process.c - what processes hear and say without ZeroMQ: signals, the READY line, numbers of options.
 */
#include "actor/actor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

int actor_signal(int signal_fd)
{
    struct signalfd_siginfo info;
    ssize_t size = read(signal_fd, &info, sizeof info);
    return size == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

void actor_ready(int *ready_fd)
{
    if (*ready_fd < 0)
        return;
    ssize_t written = write(*ready_fd, "READY\n", 6);
    (void)written; /* who started us may have gone */
    close(*ready_fd);
    *ready_fd = -1;
}

bool actor_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value < least || value > most)
        return false;
    *number = value;
    return true;
}
