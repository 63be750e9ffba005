/*
 * draw.c - uniform and zipfian random numbers.
 */
#include "bench/draw.h"

#include <math.h>

static const double zipf_theta = 0.99;

uint64_t draw_scramble(uint64_t number)
{
    number ^= number >> 30;
    number *= UINT64_C(0xbf58476d1ce4e5b9);
    number ^= number >> 27;
    number *= UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

struct draw draw_seeded(uint64_t seed, uint64_t stream)
{
    return (struct draw){draw_scramble(seed + 1) ^ draw_scramble(~stream)};
}

uint64_t draw_next(struct draw *draw)
{
    draw->state += UINT64_C(0x9e3779b97f4a7c15);
    return draw_scramble(draw->state);
}

uint64_t draw_below(struct draw *draw, uint64_t below)
{
    /* The upper 32 bits suffice for small ranges, and a product is cheaper than a division. */
    uint64_t number = draw_next(draw);
    return below <= UINT32_MAX ? ((number >> 32) * below) >> 32 : number % below;
}

struct zipf zipf_of(uint64_t count)
{
    double zeta = 0;
    for (uint64_t i = 1; i <= count; i++)
        zeta += 1 / pow((double)i, zipf_theta);
    double half = pow(0.5, zipf_theta);
    return (struct zipf){
        .count = count,
        .zeta = zeta,
        .alpha = 1 / (1 - zipf_theta),
        .eta = (1 - pow(2.0 / (double)count, 1 - zipf_theta)) / (1 - (1 + half) / zeta),
        .half = half,
    };
}

uint64_t zipf_next(const struct zipf *zipf, struct draw *draw)
{
    double uniform = (double)(draw_next(draw) >> 11) * 0x1p-53, at = uniform * zipf->zeta;
    if (at < 1 || zipf->count < 2)
        return 0;
    if (at < 1 + zipf->half || zipf->count < 3)
        return 1;
    uint64_t rank = (uint64_t)((double)zipf->count * pow(zipf->eta * uniform - zipf->eta + 1, zipf->alpha));
    return rank < zipf->count ? rank : zipf->count - 1;
}
