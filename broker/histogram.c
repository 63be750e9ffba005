/*
 * histogram.c - four buckets for each power of two.
 */
#include "broker/histogram.h"

#include "proto/clock.h"

#include <stdbool.h>
#include <string.h>

static unsigned bucket_of(uint64_t value)
{
    if (value < 4)
        return (unsigned)value;
    unsigned power = 63u - (unsigned)__builtin_clzll(value);
    return power * 4 + (unsigned)((value >> (power - 2)) & 3);
}

/* The largest value of a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < 4)
        return bucket;
    unsigned power = bucket / 4;
    return (((uint64_t)4 + bucket % 4 + 1) << (power - 2)) - 1;
}

static void turn(struct histogram *histogram, int64_t now_ns)
{
    bool recent = now_ns - histogram->began_ns < 2 * NS_PER_S * HISTOGRAM_SPAN_S;
    if (recent)
        memcpy(histogram->last, histogram->present, sizeof(histogram->last));
    else
        memset(histogram->last, 0, sizeof(histogram->last));
    memset(histogram->present, 0, sizeof(histogram->present));
    histogram->began_ns = now_ns;
}

void histogram_add(struct histogram *histogram, int64_t latency_ns, int64_t now_ns)
{
    if (now_ns - histogram->began_ns >= HISTOGRAM_SPAN_S * NS_PER_S)
        turn(histogram, now_ns);
    histogram->present[bucket_of(latency_ns > 0 ? (uint64_t)latency_ns : 0)]++;
}

int64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += histogram->present[i] + histogram->last[i];
    uint64_t wanted = (uint64_t)((double)total * share), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && total > 0; i++) {
        seen += histogram->present[i] + histogram->last[i];
        if (seen > wanted || seen == total)
            return (int64_t)bucket_end(i);
    }
    return 0;
}
