/*
 * internal.h - what the parts of a run share: the run, its phases, its workers, and the ways in.
 *
 * Thread: a worker's fields are its thread's until it is joined, save for `done`.
 */
#ifndef BENCH_INTERNAL_H
#define BENCH_INTERNAL_H
#include "bench/bench.h"
#include "bench/draw.h"
#include "bench/ledger.h"
#include "bench/value.h"
#include "bench/workload.h"
#include "stigstore.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    HASH_TEXT = 16,
    TAGS = 8,              /* different tags of a key's versions */
    SCAN_MOST = 100,       /* rows */
    OTHER_KEYS = 10000,    /* that are put while the rest is deleted */
    INSERTS_MOST = 1 << 24 /* new keys of one run; then they are overwritten */
};

/* A load under way: until its time, its operations or its keys are through. */
struct phase {
    const struct workload *mix;
    const char *name;
    uint64_t first_key, keys; /* the load: which; else chosen from them */
    uint64_t most;            /* operations; 0: no bound */
    _Atomic uint64_t begun;
    _Atomic int64_t end_ns; /* INT64_MAX: not by time */
    int64_t begin_ns;
    pthread_barrier_t opened, started;
};

struct bench {
    struct bench_options options; /* all filled in */
    const struct workload *workload;
    struct values *values;
    struct ledger *ledger;
    struct zipf zipf;
    char kind[24];
    stigstore **handles; /* options.handles, then one for what goes on beside, and for the check */
    uint64_t keys;       /* there at first, the others of delete-prefix not counted */
    uint64_t others;
    _Atomic uint64_t next_key;
    unsigned phases; /* so far: makes stamps unique */
};

/* What an operation's request came to. */
struct outcome {
    int status;
    uint32_t flags;
    uint64_t revision, count;
    const char *message;
};

struct task {
    enum action action;
    int64_t intended_ns;
    uint64_t key, stamp;
    uint64_t seen; /* the revision acknowledged for the key when it began */
    uint64_t rows;
    bool changed; /* a CHANGE: it was read, and its save is the next request */
    bool streams; /* its request is a list to be taken piece by piece */
    char id[VALUE_ID_BYTES], last_id[VALUE_ID_BYTES];
    char hash[HASH_TEXT + 1], tag[8];
    uint8_t *data;
    stigstore_request request;
    stigstore_request *parts; /* batch of them, for get_many */
    uint64_t *part_keys;
    char (*part_ids)[VALUE_ID_BYTES];
};

struct tally {
    uint64_t operations, rows, acknowledged, conflicts, failed, late;
    uint64_t wrong; /* answers that cannot be */
    int64_t last_ns;
    char complaint[200];
};

struct way;

struct worker {
    struct bench *bench;
    struct phase *phase;
    unsigned index;
    pthread_t thread;
    const struct way *way;
    void *state; /* of the way in */
    stigstore *store;
    struct draw draw;
    uint64_t stamp;
    struct task *operations, **free;
    unsigned window, free_count;
    int64_t next_ns, step_ns; /* open loop: when the next one begins; step 0: closed loop */
    uint64_t begun;
    bool over;
    struct tally tally;
    struct histogram *latency;
    _Atomic uint64_t done;
};

/* A way in. `open` gives false with a complaint in the tally. */
struct way {
    bool (*open)(struct worker *);
    /* Begins the operation's request; it ends now or in `wait`, with operation_items and worker_answered. */
    void (*start)(struct worker *, struct task *);
    /* Takes answers until `until_ns` or the first that come. */
    void (*wait)(struct worker *, int64_t until_ns);
    void (*close)(struct worker *);
};
extern const struct way way_call, way_queue, way_raw;

/* ---- operations ---- */

bool operation_prepare(const struct bench *bench, struct task *operation);
void operation_release(struct task *operation);
/* Chooses what comes next and makes its first request. */
void operation_begin(struct worker *worker, struct task *operation, uint64_t number);
/* Some items of the answer, in order. */
void operation_items(struct worker *worker, struct task *operation, const stigstore_item *items, size_t count);
/* True: it is over. False: operation->request is what comes next. */
bool operation_end(struct worker *worker, struct task *operation, const struct outcome *outcome);
/* "KEY-NUMBER"; of a key that delete-prefix deletes: "gone-NUMBER". */
stigstore_bytes operation_id(const struct bench *bench, uint64_t key, char out[VALUE_ID_BYTES]);
extern const char operation_victims[]; /* the prefix of those */
void operation_hash(uint64_t stamp, char out[HASH_TEXT + 1]);

/* ---- workers ---- */

/* Books the outcome; false: start the operation again, its next request stands in it. */
bool worker_answered(struct worker *worker, struct task *operation, const struct outcome *outcome);
/* The first complaint stays. */
void worker_complain(struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t bench_now_ns(void);
void bench_sleep_until(int64_t until_ns);

struct phase_plan {
    const struct workload *mix;
    const char *name;
    uint64_t first_key, keys, most;
    double seconds, rate;
    unsigned threads, in_flight;
    double beside_rate;                        /* 0: nothing beside */
    void (*meanwhile)(struct bench *, void *); /* on the calling thread; the phase ends when it returns */
    void *context;
};
struct phase_result {
    struct tally tally;
    double elapsed_s, beside_s;
    struct histogram *latency, *beside; /* NULL: not wanted */
};
/* False: a worker could not begin; the tally says why. */
bool phase_run(struct bench *bench, const struct phase_plan *plan, struct phase_result *result);
bool bench_is_stopped(void);

/* ---- the check ---- */

/* Reads all that was acknowledged; false with a complaint when something is not as it must be. */
bool verify_all(struct bench *bench, bool deleted, uint64_t *checked, char *complaint, size_t room);
#endif
