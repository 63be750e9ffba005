/*
 * wake.c - a futex: glibc's semaphore cannot tell two messages apart, and its condition variable wants the mutex back.
 */
#include "client/wake.h"
#include "proto/clock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void wake_tell(struct wake *wake, uint32_t what)
{
    /* Of a sleeper that has gone meanwhile the kernel sees no more than an address, which nobody waits on. */
    atomic_fetch_or(&wake->word, what);
    syscall(SYS_futex, &wake->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

uint32_t wake_sleep(struct wake *wake, int64_t until_ns)
{
    uint32_t told = atomic_fetch_and(&wake->word, ~(uint32_t)WAKE_LOOK);
    struct timespec left = {0};
    int64_t left_ns = until_ns == INT64_MAX ? 0 : until_ns - clock_boot_ns();

    if (told)
        return told;
    if (until_ns != INT64_MAX && left_ns <= 0)
        return 0;
    left.tv_sec = (time_t)(left_ns / NS_PER_S);
    left.tv_nsec = (long)(left_ns % NS_PER_S);
    syscall(SYS_futex, &wake->word, FUTEX_WAIT_PRIVATE, 0, until_ns == INT64_MAX ? NULL : &left, NULL, 0);
    return atomic_fetch_and(&wake->word, ~(uint32_t)WAKE_LOOK);
}
