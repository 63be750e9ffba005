/*
 * dice.h - random numbers that a seed repeats.  Owns: nothing.  Thread: that of its owner.
 */
#ifndef TESTS_FAULT_DICE_H
#define TESTS_FAULT_DICE_H
#include <stdint.h>

struct dice {
    uint64_t state;
};

/* SplitMix64: every seed, 0 too, gives a good stream. */
static inline uint64_t dice_next(struct dice *dice)
{
    uint64_t z = (dice->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 to `sides` - 1. */
static inline uint32_t dice_roll(struct dice *dice, uint32_t sides)
{
    return (uint32_t)(dice_next(dice) % sides);
}
#endif
