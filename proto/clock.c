/*
 * clock.c - clocks, deadlines, the boot id and random bytes, as the kernel gives them.
 */
#include "proto/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

int64_t clock_boot_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

int64_t clock_deadline_ns(uint32_t timeout_ms)
{
    if (timeout_ms == UINT32_MAX)
        return INT64_MAX;
    return clock_boot_ns() + (int64_t)timeout_ms * NS_PER_MS;
}

int clock_ms_until(int64_t deadline_ns, int most)
{
    int64_t now = clock_boot_ns();
    int64_t left_ms;

    if (deadline_ns <= now)
        return 0;
    left_ms = (deadline_ns - now - 1) / NS_PER_MS + 1;
    return left_ms < most ? (int)left_ms : most;
}

static uint8_t boot_id[BOOT_ID_BYTES];
static pthread_once_t boot_id_once = PTHREAD_ONCE_INIT;

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

/* "6f1c...-..." with its dashes left out; false unless there are exactly 32 digits. */
static bool parse_boot_id(const char *text, size_t size, uint8_t id[BOOT_ID_BYTES])
{
    size_t digits = 0;

    for (size_t i = 0; i < size && text[i] != '\n'; i++) {
        int value = hex_value(text[i]);
        if (text[i] == '-')
            continue;
        if (value < 0 || digits == (size_t)2 * BOOT_ID_BYTES)
            return false;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | value);
        digits++;
    }
    return digits == (size_t)2 * BOOT_ID_BYTES;
}

static void read_boot_id(void)
{
    uint8_t id[BOOT_ID_BYTES] = {0};
    char text[64];
    ssize_t size;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    size = read(fd, text, sizeof text);
    close(fd);
    if (size > 0 && parse_boot_id(text, (size_t)size, id))
        for (size_t i = 0; i < sizeof id; i++)
            boot_id[i] = id[i];
}

const uint8_t *clock_boot_id(void)
{
    pthread_once(&boot_id_once, read_boot_id);
    return boot_id;
}

void random_bytes(void *bytes, uint64_t size)
{
    uint8_t *at = bytes;

    while (size > 0) {
        ssize_t got = getrandom(at, size < 256 ? (size_t)size : 256, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        at += got;
        size -= (uint64_t)got;
    }
}
