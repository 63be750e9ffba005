/*
 * callers.h - callers of the client library while something happens to the service: how long their calls take, and how
 * they end.
 *
 * Owns: its threads and handles.  Thread: figures are read from another while they run.
 */
#ifndef TESTS_FAULT_OVERLOAD_CALLERS_H
#define TESTS_FAULT_OVERLOAD_CALLERS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CALLERS_MOST = 64 };

struct callers_options {
    const char *url;
    unsigned threads;    /* two share a handle */
    uint32_t timeout_ms; /* of a call */
    uint32_t pace_ms;    /* from one call's begin to the next one's, at least */
    bool reads, writes;  /* which calls; both: in turn */
    size_t value_bytes;
    bool is_submitting; /* one thread that submits NO_WAIT calls at this pace, 32 at a time, and never waits for one */
};

struct callers_figures {
    uint64_t done, overloaded, expired, other; /* calls by how they ended */
    uint64_t unanswered, twice;                /* submitted ones */
    int other_status;
    double p50_ms, p99_ms, most_ms; /* of all calls, however they ended */
};

struct callers;
struct callers *callers_start(const struct callers_options *options);
/* Since the last look. */
struct callers_figures callers_look(struct callers *callers);
/* Lets every call end. All figures since the last look. */
struct callers_figures callers_stop(struct callers **callers);
#endif
