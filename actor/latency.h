/*
 * latency.h - how long requests took, as percentiles of the time since the last report.
 *
 * Buckets grow by an eighth of a power of two, so a percentile is right within 9 %.
 * Thread: one.
 */
#ifndef ACTOR_LATENCY_H
#define ACTOR_LATENCY_H
#include "actor/health.h"

enum { LATENCY_BUCKETS = 512 };

struct latency {
    uint64_t buckets[LATENCY_BUCKETS]; /* since the last report */
    uint64_t count;
    int64_t most_ns;
};

void latency_add(struct latency *latency, int64_t ns);
/* The value that `part` (0 to 1) of them did not exceed; 0: there are none. */
int64_t latency_percentile_ns(const struct latency *latency, double part);
/* latency_p50_us, latency_p99_us, latency_max_us into the report; begins anew. */
void latency_report(struct latency *latency, struct health *health);
#endif
