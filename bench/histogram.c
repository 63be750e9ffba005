/*
 * histogram.c - logarithmic buckets of times.
 */
#include "bench/histogram.h"

#include <math.h>

static unsigned bucket_of(uint64_t ns)
{
    if (ns < (1u << HISTOGRAM_CUT_BITS))
        return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_CUT_BITS;
    return ((shift + 1) << HISTOGRAM_CUT_BITS) + (unsigned)((ns >> shift) - (1u << HISTOGRAM_CUT_BITS));
}

static uint64_t upper_end(unsigned bucket)
{
    if (bucket < (1u << HISTOGRAM_CUT_BITS))
        return bucket;
    unsigned shift = (bucket >> HISTOGRAM_CUT_BITS) - 1;
    uint64_t within = (bucket & ((1u << HISTOGRAM_CUT_BITS) - 1)) + (1u << HISTOGRAM_CUT_BITS);
    return ((within + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, int64_t ns)
{
    ns = ns < 0 ? 0 : ns;
    histogram->count++;
    histogram->most_ns = ns > histogram->most_ns ? ns : histogram->most_ns;
    histogram->buckets[bucket_of((uint64_t)ns)]++;
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
    to->count += from->count;
    to->most_ns = from->most_ns > to->most_ns ? from->most_ns : to->most_ns;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
}

int64_t histogram_percentile_ns(const struct histogram *histogram, double percent)
{
    uint64_t wanted = (uint64_t)ceil(percent / 100 * (double)histogram->count), seen = 0;
    wanted = wanted ? wanted : 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            uint64_t end = upper_end(i);
            return end < (uint64_t)histogram->most_ns ? (int64_t)end : histogram->most_ns;
        }
    }
    return histogram->most_ns;
}
