/*
 * histogram.h - latencies in logarithmic buckets, over the present and the last span of time.
 *
 * Owns: plain memory.  Thread: one.
 * Invariant: a quantile is at most 25 % above the true one.
 */
#ifndef BROKER_HISTOGRAM_H
#define BROKER_HISTOGRAM_H
#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 256, HISTOGRAM_SPAN_S = 10 };

struct histogram {
    uint64_t present[HISTOGRAM_BUCKETS], last[HISTOGRAM_BUCKETS];
    int64_t began_ns;
};

/* Counts one latency; begins a new span when the present one is over. */
void histogram_add(struct histogram *histogram, int64_t latency_ns, int64_t now_ns);
/* The latency in ns that `share` (0 to 1) of those counted did not exceed, rounded up to its bucket; 0: none counted. */
int64_t histogram_quantile(const struct histogram *histogram, double share);
#endif
