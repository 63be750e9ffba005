/*
 * bench.h - loads on a store by one of four ways in, their speed, and whether all that was acknowledged is there.
 *
 * Thread: one run at a time, from one thread; it starts and joins its own.
 * Invariant: a run leaves a store that is not its own as it was: it works in a kind of its own and deletes it.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H
#include "bench/histogram.h"
#include "bench/watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum bench_via {
    BENCH_EMBEDDED, /* the file itself, in this process */
    BENCH_LOCAL,    /* writes through the broker, reads from the service's file */
    BENCH_BROKER,   /* all through the broker, by the client library */
    BENCH_RAW,      /* all through the broker, by frames of our own */
    BENCH_VIAS
};
extern const char *const bench_via_names[BENCH_VIAS];

/* The workloads by name, for help; NULL ends. */
struct bench_about {
    const char *name, *summary;
};
const struct bench_about *bench_workloads(void);

enum { BENCH_MOST_THREADS = 1024, BENCH_MOST_IN_FLIGHT = 16384, BENCH_MOST_BATCH = 1024 };

struct bench_options {
    const char *workload;
    enum bench_via via;
    const char *url; /* embedded: the file; else the service's endpoint */
    const char *server_key, *key_file;
    uint32_t timeout_ms;
    unsigned threads;   /* callers; 0: 1 */
    unsigned handles;   /* that they share; 0: 1. Raw: each thread has a connection of its own */
    unsigned in_flight; /* calls under way, of all threads; more than threads: through queues. 0: threads */
    unsigned batch;     /* get: get_many of so many. Raw: requests of one message. 0: 1 */
    size_t value_bytes; /* 0: the workload's own */
    uint64_t keys;      /* 0: the workload's own */
    double seconds;
    uint64_t operations; /* stop after so many; 0: after `seconds` */
    double rate;         /* operations a second, begun on time whatever became of those before; 0: as fast as it goes */
    double beside_rate;  /* puts a second beside it, by one more handle */
    uint64_t seed;
    const char *keep;       /* kind to work in, whose keys stay and are there already if their number fits; NULL: one of
                               its own, deleted at the end. For loads that only put, get and change their keys */
    bool durability_normal; /* embedded */
    pid_t service;          /* the supervisor of our own service, to watch its actors; 0: not ours */
    /* On the calling thread, ten times a second. `part`: 0 to 1 of the phase. */
    void (*progress)(void *context, const char *phase, double part, uint64_t operations);
    void *progress_context;
};

struct bench_report {
    struct bench_options options; /* with the defaults filled in */
    double elapsed_s;
    uint64_t operations, rows, failed, conflicts, late;
    uint64_t acknowledged; /* mutations, those of the loading too */
    uint64_t checked;      /* keys that were read at the end */
    bool verified;
    char complaint[200]; /* the first thing that went wrong, or "" */
    struct histogram latency;
    struct histogram beside; /* of the puts beside it */
    struct histogram quiet;  /* delete-prefix: of the puts before the delete began */
    uint64_t deleted;        /* delete-prefix: rows */
    double delete_s, beside_s;
    struct watch_process processes[WATCH_MOST];
    size_t process_count;
};

/* False: it could not be run, and report->complaint says why. Else the report is filled; `verified` may be false. */
bool bench_run(const struct bench_options *options, struct bench_report *report);
/* Ends the present run early, as if its time were up. Safe from a signal handler. */
void bench_stop(void);
#endif
