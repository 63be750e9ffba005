/*
 * load.h - threads that put load on a service while a test does things to it.
 *
 * Each thread counts: by compare-and-set on counters that all share, and by plain saves of 1, 2, 3, ... on an id of its
 * own. What was acknowledged can be compared with the store afterwards.
 */
#ifndef TESTS_SYSTEM_LOAD_H
#define TESTS_SYSTEM_LOAD_H
#include "stigstore.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { LOAD_THREADS = 8, LOAD_COUNTERS = 4 };

struct load;
struct load_thread {
    struct load *load;
    stigstore *store;
    pthread_t thread;
    unsigned index;
    uint64_t increments[LOAD_COUNTERS]; /* acknowledged */
    uint64_t plain;                     /* the last plain value acknowledged */
    uint64_t mutations;                 /* acknowledged in all */
    uint64_t failed;                    /* calls that ended otherwise */
    int last_failure;
};
struct load {
    const char *url;
    uint32_t timeout_ms;
    bool stop_at_failure; /* a thread ends at its first failure */
    atomic_bool stop;
    atomic_uint_fast64_t acknowledged;
    struct load_thread threads[LOAD_THREADS];
};

stigstore *load_open(const char *url, uint32_t timeout_ms);
/* One handle for each two threads, so that handles are shared and there are several sessions. */
void load_start(struct load *load, const char *url, uint32_t timeout_ms);
/* Waits until `more` further mutations were acknowledged. */
void load_wait(struct load *load, uint64_t more);
/* Lets every thread finish its call, joins, closes the handles. */
void load_join(struct load *load);
/* Every counter is what was acknowledged: exactly, or up to one call more for each thread that ended with a failure.
 * With `revision_before` not UINT64_MAX the store's revision too has grown by exactly the mutations. */
void load_check(struct load *load, stigstore *store, uint64_t revision_before);
uint64_t store_revision(stigstore *store);
#endif
