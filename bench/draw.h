/*
 * draw.h - random numbers that a seed repeats: uniform, and zipfian as YCSB draws them.
 *
 * Owns: nothing, plain values.  Thread: one at a time; a struct zipf is only read and may be shared.
 */
#ifndef BENCH_DRAW_H
#define BENCH_DRAW_H
#include <stdint.h>

struct draw {
    uint64_t state;
};
struct draw draw_seeded(uint64_t seed, uint64_t stream);
uint64_t draw_next(struct draw *draw);
/* 0 to below - 1; `below` above 0. */
uint64_t draw_below(struct draw *draw, uint64_t below);
/* Spreads neighbours: a bijection on 64 bits. */
uint64_t draw_scramble(uint64_t number);

/* Ranks 0 to count - 1, rank r as often as 1 / (r + 1)^0.99 (Gray et al., "Quickly Generating Billion-Record
 * Synthetic Databases", SIGMOD 1994). Setting up takes time in proportion to `count`. */
struct zipf {
    uint64_t count;
    double zeta, alpha, eta, half;
};
struct zipf zipf_of(uint64_t count);
uint64_t zipf_next(const struct zipf *zipf, struct draw *draw);
#endif
