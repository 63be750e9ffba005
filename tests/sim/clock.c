/*
 * clock.c - the simulated clock and chance, in place of proto/clock.c: the linker takes these instead.
 */
#include "proto/clock.h"
#include "tests/sim/world.h"

struct world world;

/* splitmix64 */
static uint64_t draw(void)
{
    uint64_t z = (world.random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t roll(uint64_t sides)
{
    return (uint64_t)(((draw() >> 32) * sides) >> 32);
}

bool trouble(uint64_t in)
{
    return !world.calm && roll(in) == 0;
}

int64_t clock_boot_ns(void)
{
    return world.now_ns;
}

int64_t clock_wall_ms(void)
{
    return world.now_ns / NS_PER_MS;
}

int64_t clock_deadline_ns(uint32_t timeout_ms)
{
    return timeout_ms == UINT32_MAX ? INT64_MAX : world.now_ns + timeout_ms * NS_PER_MS;
}

int clock_ms_until(int64_t deadline_ns, int most)
{
    int64_t left_ms = deadline_ns > world.now_ns ? (deadline_ns - world.now_ns - 1) / NS_PER_MS + 1 : 0;

    return left_ms < most ? (int)left_ms : most;
}

const uint8_t *clock_boot_id(void)
{
    static const uint8_t id[BOOT_ID_BYTES] = "simulated";

    return id;
}

void random_bytes(void *bytes, uint64_t size)
{
    uint8_t *at = bytes;

    for (uint64_t i = 0; i < size; i++)
        at[i] = (uint8_t)draw();
}
