/*
 * histogram.h - counts of times in logarithmic buckets: any percentile with less than one percent of error.
 *
 * Owns: nothing, a plain value.  Thread: one at a time.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H
#include <stdint.h>

/* Each power of two is cut into 2^7 equal buckets; below 2^7 ns each number is a bucket of its own. */
enum { HISTOGRAM_CUT_BITS = 7, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_CUT_BITS + 1) << HISTOGRAM_CUT_BITS };

struct histogram {
    uint64_t count;
    int64_t most_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* A time below 0 counts as 0. */
void histogram_record(struct histogram *histogram, int64_t ns);
void histogram_add(struct histogram *to, const struct histogram *from);
/* The time that `percent` of the recorded ones do not exceed (its bucket's upper end, at most most_ns); 0 if empty. */
int64_t histogram_percentile_ns(const struct histogram *histogram, double percent);
#endif
