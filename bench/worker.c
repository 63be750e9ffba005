/*
 * worker.c - callers of a phase: when each begins an operation, closed loop or open, and what came of it.
 */
#include "bench/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PROGRESS_MS = 100, BESIDE_WINDOW = 256, STAMP_WORKER_BITS = 40, STAMP_PHASE_BITS = 54 };

static const int64_t ns_per_s = 1000000000;
static _Atomic bool stopped;

void bench_stop(void)
{
    atomic_store(&stopped, true);
}

bool bench_is_stopped(void)
{
    return atomic_load(&stopped);
}

int64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * ns_per_s + now.tv_nsec;
}

void bench_sleep_until(int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / ns_per_s, .tv_nsec = until_ns % ns_per_s};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR && !bench_is_stopped()) {
    }
}

void worker_complain(struct worker *worker, const char *format, ...)
{
    va_list arguments;
    if (!*worker->tally.complaint) {
        va_start(arguments, format);
        vsnprintf(worker->tally.complaint, sizeof(worker->tally.complaint), format, arguments);
        va_end(arguments);
    }
}

bool worker_answered(struct worker *worker, struct task *operation, const struct outcome *outcome)
{
    if (!operation_end(worker, operation, outcome))
        return false;
    worker->tally.last_ns = bench_now_ns();
    worker->tally.operations++;
    histogram_record(worker->latency, worker->tally.last_ns - operation->intended_ns);
    atomic_store_explicit(&worker->done, worker->tally.operations, memory_order_relaxed);
    worker->free[worker->free_count++] = operation;
    return true;
}

/* ---- when ---- */

/* Whether one more may begin now; false: not yet, or worker->over. *number: which of the phase it is. */
static bool may_begin(struct worker *worker, int64_t now_ns, uint64_t *number)
{
    struct phase *phase = worker->phase;
    int64_t due_ns = worker->step_ns ? worker->next_ns : now_ns;
    int64_t end_ns = atomic_load_explicit(&phase->end_ns, memory_order_relaxed);
    /* However short the phase, each caller has something to tell. */
    bool first = worker->begun == 0 && !phase->most;
    if (bench_is_stopped() || (due_ns >= end_ns && !first)) {
        worker->over = true;
        return false;
    }
    if (due_ns > now_ns)
        return false;
    *number = phase->most ? atomic_fetch_add_explicit(&phase->begun, 1, memory_order_relaxed) : 0;
    worker->over = phase->most && *number >= phase->most;
    return !worker->over;
}

static void begin_what_is_due(struct worker *worker)
{
    uint64_t number = 0;
    while (worker->free_count && !worker->over) {
        int64_t now_ns = bench_now_ns();
        if (!may_begin(worker, now_ns, &number))
            return;
        struct task *operation = worker->free[--worker->free_count];
        /* In the open loop time runs from when it was to begin, or waiting for slow ones would go unseen. */
        operation->intended_ns = worker->step_ns ? worker->next_ns : now_ns;
        worker->next_ns += worker->step_ns;
        worker->begun++;
        operation_begin(worker, operation, number);
        worker->way->start(worker, operation);
    }
}

/* What should have begun and could not: it took at least until now. */
static void book_the_late(struct worker *worker)
{
    int64_t end_ns = atomic_load(&worker->phase->end_ns), now_ns = bench_now_ns();
    for (; worker->step_ns && !worker->phase->most && worker->next_ns < (end_ns < now_ns ? end_ns : now_ns);
         worker->next_ns += worker->step_ns) {
        histogram_record(worker->latency, now_ns - worker->next_ns);
        worker->tally.late++;
    }
}

static void run(struct worker *worker)
{
    for (;;) {
        begin_what_is_due(worker);
        if (worker->free_count < worker->window) {
            bool can_begin = worker->free_count && !worker->over && worker->step_ns;
            worker->way->wait(worker, can_begin ? worker->next_ns : INT64_MAX);
        } else if (worker->over) {
            break;
        } else if (worker->step_ns) {
            int64_t end_ns = atomic_load(&worker->phase->end_ns);
            bench_sleep_until(worker->next_ns < end_ns ? worker->next_ns : end_ns);
        }
    }
    book_the_late(worker);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct phase *phase = worker->phase;
    bool opened = worker->way->open(worker);
    worker->over = !opened;
    pthread_barrier_wait(&phase->opened);
    pthread_barrier_wait(&phase->started);
    worker->next_ns += phase->begin_ns;
    run(worker);
    if (opened)
        worker->way->close(worker);
    return NULL;
}

/* ---- a worker's life ---- */

static const struct way *way_of(const struct bench *bench, unsigned window)
{
    if (bench->options.via == BENCH_RAW)
        return &way_raw;
    return window > 1 ? &way_queue : &way_call;
}

static bool prepare(struct worker *worker)
{
    worker->operations = calloc(worker->window, sizeof(*worker->operations));
    worker->free = calloc(worker->window, sizeof(struct task *));
    worker->latency = calloc(1, sizeof(*worker->latency));
    bool done = worker->operations && worker->free && worker->latency;
    for (unsigned i = 0; done && i < worker->window; i++) {
        done = operation_prepare(worker->bench, &worker->operations[i]);
        worker->free[worker->free_count++] = &worker->operations[i];
    }
    return done;
}

static void release(struct worker *worker)
{
    for (unsigned i = 0; worker->operations && i < worker->window; i++)
        operation_release(&worker->operations[i]);
    free(worker->operations);
    free(worker->free);
    free(worker->latency);
}

static struct worker worker_of(struct bench *bench, struct phase *phase, const struct phase_plan *plan, unsigned index)
{
    unsigned window = plan->in_flight / plan->threads + (index < plan->in_flight % plan->threads);
    window = window ? window : 1;
    return (struct worker){
        .bench = bench,
        .phase = phase,
        .index = index,
        .way = way_of(bench, plan->in_flight > plan->threads ? 2 : 1),
        .store = bench->handles[index % bench->options.handles],
        .draw = draw_seeded(bench->options.seed, (uint64_t)bench->phases << STAMP_WORKER_BITS | (index + 1)),
        .stamp = (uint64_t)bench->phases << STAMP_PHASE_BITS | (uint64_t)index << STAMP_WORKER_BITS,
        .window = window,
        .next_ns = plan->rate > 0 ? (int64_t)((double)ns_per_s / plan->rate * index) : 0,
        .step_ns = plan->rate > 0 ? (int64_t)((double)ns_per_s / plan->rate * plan->threads) : 0,
    };
}

/* ---- a phase ---- */

static void report_progress(const struct bench *bench, const struct phase *phase, const struct worker *workers,
                            unsigned count)
{
    uint64_t done = 0;
    int64_t end_ns = atomic_load(&phase->end_ns);
    for (unsigned i = 0; i < count; i++)
        done += atomic_load_explicit(&workers[i].done, memory_order_relaxed);
    double part = phase->most          ? (double)done / (double)phase->most
                  : end_ns < INT64_MAX ? (double)(bench_now_ns() - phase->begin_ns) / (double)(end_ns - phase->begin_ns)
                                       : 0;
    if (bench->options.progress)
        bench->options.progress(bench->options.progress_context, phase->name, part < 1 ? part : 1, done);
}

static void join_all(struct bench *bench, struct phase *phase, struct worker *workers, unsigned count,
                     unsigned main_ones)
{
    struct timespec until;
    for (unsigned i = 0; i < count; i++) {
        for (;;) {
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += PROGRESS_MS * 1000000L;
            until.tv_sec += until.tv_nsec / ns_per_s;
            until.tv_nsec %= ns_per_s;
            if (pthread_timedjoin_np(workers[i].thread, NULL, &until) == 0)
                break;
            report_progress(bench, phase, workers, main_ones);
        }
        if (i + 1 == main_ones) /* what goes on beside it ends with it */
            atomic_store(&phase[1].end_ns, bench_now_ns());
    }
}

static void collect(const struct worker *worker, struct tally *tally, struct histogram *latency)
{
    tally->operations += worker->tally.operations;
    tally->rows += worker->tally.rows;
    tally->acknowledged += worker->tally.acknowledged;
    tally->conflicts += worker->tally.conflicts;
    tally->failed += worker->tally.failed;
    tally->wrong += worker->tally.wrong;
    tally->late += worker->tally.late;
    tally->last_ns = worker->tally.last_ns > tally->last_ns ? worker->tally.last_ns : tally->last_ns;
    if (!*tally->complaint)
        snprintf(tally->complaint, sizeof(tally->complaint), "%s", worker->tally.complaint);
    if (latency)
        histogram_add(latency, worker->latency);
}

static void phase_init(struct phase *phase, const struct phase_plan *plan, unsigned workers)
{
    *phase = (struct phase){
        .mix = plan->mix, .name = plan->name, .first_key = plan->first_key, .keys = plan->keys, .most = plan->most};
    pthread_barrier_init(&phase->opened, NULL, workers + 1);
    pthread_barrier_init(&phase->started, NULL, workers + 1);
}

static void begin_clock(struct phase *phase, double seconds)
{
    phase->begin_ns = bench_now_ns();
    bool by_time = seconds > 0 && !phase->most;
    atomic_store(&phase->end_ns, by_time ? phase->begin_ns + (int64_t)(seconds * (double)ns_per_s) : INT64_MAX);
}

/* Starts `count` of them on phases[0], and what follows on phases[1]. */
static bool start_threads(struct worker *workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            /* The others wait at a barrier that would never open. */
            fputs("stigstore: cannot start a thread\n", stderr);
            exit(5);
        }
    }
    return true;
}

static void run_phases(struct bench *bench, struct phase phases[2], const struct phase_plan *plan,
                       struct worker *workers, unsigned count)
{
    bool has_beside = count > plan->threads;
    start_threads(workers, count);
    pthread_barrier_wait(&phases[0].opened);
    if (has_beside) {
        pthread_barrier_wait(&phases[1].opened);
        begin_clock(&phases[1], 0);
    }
    begin_clock(&phases[0], plan->seconds);
    if (has_beside)
        pthread_barrier_wait(&phases[1].started);
    pthread_barrier_wait(&phases[0].started);
    if (plan->meanwhile) {
        plan->meanwhile(bench, plan->context);
        atomic_store(&phases[0].end_ns, bench_now_ns());
    }
    join_all(bench, phases, workers, count, plan->threads);
}

bool phase_run(struct bench *bench, const struct phase_plan *plan, struct phase_result *result)
{
    bool has_beside = plan->beside_rate > 0;
    unsigned count = plan->threads + has_beside;
    struct phase phases[2];
    struct phase_plan beside = {.mix = &workload_put,
                                .name = "beside",
                                .first_key = plan->first_key,
                                .keys = plan->keys,
                                .threads = 1,
                                .in_flight = BESIDE_WINDOW,
                                .rate = plan->beside_rate};
    struct worker *workers = calloc(count, sizeof(*workers));
    bool done = true;
    *result = (struct phase_result){.latency = result->latency, .beside = result->beside};
    if (!workers) {
        snprintf(result->tally.complaint, sizeof(result->tally.complaint), "no memory");
        return false;
    }
    bench->phases++;
    phase_init(&phases[0], plan, plan->threads);
    phase_init(&phases[1], &beside, 1);
    for (unsigned i = 0; done && i < count; i++) {
        bool is_beside = i >= plan->threads;
        workers[i] = worker_of(bench, &phases[is_beside], is_beside ? &beside : plan, is_beside ? 0 : i);
        if (is_beside) {
            workers[i].store = bench->handles[bench->options.handles];
            workers[i].stamp |= (uint64_t)BENCH_MOST_THREADS << STAMP_WORKER_BITS;
        }
        done = prepare(&workers[i]);
    }
    if (done)
        run_phases(bench, phases, plan, workers, count);
    else
        snprintf(result->tally.complaint, sizeof(result->tally.complaint), "no memory");
    for (unsigned i = 0; i < count; i++) {
        bool is_beside = i >= plan->threads;
        struct tally apart = {0};
        if (done)
            collect(&workers[i], is_beside ? &apart : &result->tally, is_beside ? result->beside : result->latency);
        if (is_beside) {
            result->tally.acknowledged += apart.acknowledged;
            result->tally.wrong += apart.wrong;
            result->tally.failed += apart.failed;
            result->beside_s = (double)(apart.last_ns - phases[1].begin_ns) / 1e9;
        }
        release(&workers[i]);
    }
    free(workers);
    result->elapsed_s = (double)(result->tally.last_ns - phases[0].begin_ns) / 1e9;
    for (unsigned i = 0; i < 2; i++) {
        pthread_barrier_destroy(&phases[i].opened);
        pthread_barrier_destroy(&phases[i].started);
    }
    return done && result->tally.operations > 0;
}
