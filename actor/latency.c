/* latency.c - a histogram of times. */
#include "actor/latency.h"

#include <string.h>

enum { PARTS = 8, PART_BITS = 3 };

/* Below 8 ns one bucket each; above, eight for each power of two. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < PARTS)
        return (unsigned)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns);
    return (power - PART_BITS + 1) * PARTS + (unsigned)((ns >> (power - PART_BITS)) & (PARTS - 1));
}

static int64_t top_of(unsigned bucket)
{
    if (bucket < PARTS)
        return bucket;
    unsigned power = bucket / PARTS + PART_BITS - 1;
    return (int64_t)((((uint64_t)PARTS + bucket % PARTS + 1) << (power - PART_BITS)) - 1);
}

void latency_add(struct latency *latency, int64_t ns)
{
    if (ns < 0)
        ns = 0;
    latency->buckets[bucket_of((uint64_t)ns)]++;
    latency->count++;
    if (ns > latency->most_ns)
        latency->most_ns = ns;
}

int64_t latency_percentile_ns(const struct latency *latency, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)latency->count + 0.5);
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > 0 && seen >= wanted)
            return top_of(i) < latency->most_ns ? top_of(i) : latency->most_ns;
    }
    return 0;
}

void latency_report(struct latency *latency, struct health *health)
{
    health_number(health, "latency_p50_us", (double)latency_percentile_ns(latency, 0.50) / 1000);
    health_number(health, "latency_p99_us", (double)latency_percentile_ns(latency, 0.99) / 1000);
    health_number(health, "latency_max_us", (double)latency->most_ns / 1000);
    memset(latency, 0, sizeof *latency);
}
