/*
 * callers.c - threads inside the client library, and the record of their calls.
 */
#include "tests/fault/overload/callers.h"

#include "proto/clock.h"
#include "stigstore.h"
#include "tests/support/cmocka_all.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SUBMITTED_AT_ONCE = 32, SUBMITTED_MOST = 1 << 20, OPEN_MS = 60000, PATIENCE_MS = 30000 };

struct caller {
    struct callers *callers;
    pthread_t thread;
    stigstore *store;
    unsigned index;
};

struct callers {
    struct callers_options options;
    atomic_bool stop;
    pthread_mutex_t mutex;
    struct callers_figures figures;
    double *took_ms;
    size_t took_count, took_room;
    uint8_t *value;
    struct caller callers[CALLERS_MOST];
};

static void note(struct callers *callers, int status, int64_t began_ns)
{
    double took_ms = (double)(clock_boot_ns() - began_ns) / 1e6;
    pthread_mutex_lock(&callers->mutex);
    struct callers_figures *figures = &callers->figures;
    if (callers->took_count == callers->took_room) {
        callers->took_room = callers->took_room ? 2 * callers->took_room : 1024;
        callers->took_ms = realloc(callers->took_ms, callers->took_room * sizeof(double));
        if (!callers->took_ms)
            abort();
    }
    callers->took_ms[callers->took_count++] = took_ms;
    figures->done += status == STIGSTORE_OK;
    figures->overloaded += status == STIGSTORE_OVERLOADED;
    figures->expired += status == STIGSTORE_DEADLINE_EXCEEDED;
    if (status != STIGSTORE_OK && status != STIGSTORE_OVERLOADED && status != STIGSTORE_DEADLINE_EXCEEDED) {
        figures->other++;
        figures->other_status = status;
    }
    pthread_mutex_unlock(&callers->mutex);
}

static void wait_for(int64_t until_ns)
{
    int left_ms = clock_ms_until(until_ns, 1000);
    if (left_ms > 0)
        poll(NULL, 0, left_ms);
}

static stigstore_request make_request(const struct callers *callers, unsigned thread, unsigned turn, char id[32])
{
    const struct callers_options *options = &callers->options;
    bool is_write = options->writes && (!options->reads || turn % 2 == 0);
    stigstore_request save = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("caller")};
    stigstore_request get = {STIGSTORE_REQUEST(GET), .kind = stigstore_text("load")};
    stigstore_request request = is_write ? save : get;
    if (is_write)
        snprintf(id, 32, "%u-%u", thread, turn % 100);
    else
        snprintf(id, 32, "%u", turn % 100);
    request.id = stigstore_text(id);
    if (is_write)
        request.data = (stigstore_bytes){callers->value, options->value_bytes};
    return request;
}

/* ---- callers that wait ---- */

static void *call(void *context)
{
    struct caller *caller = context;
    struct callers *callers = caller->callers;
    for (unsigned turn = caller->index; !atomic_load(&callers->stop); turn++) {
        char id[32];
        stigstore_request request = make_request(callers, caller->index, turn, id);
        int64_t began_ns = clock_boot_ns();
        int status = stigstore_call(caller->store, &request, NULL);
        note(callers, status, began_ns);
        wait_for(began_ns + callers->options.pace_ms * NS_PER_MS);
    }
    return NULL;
}

/* ---- one that does not ---- */

struct submitted {
    int64_t *began_ns; /* by number; 0: not under way */
    uint64_t count, open;
};

static void take_results(struct callers *callers, stigstore_queue *queue, struct submitted *submitted, uint32_t wait_ms)
{
    stigstore_result *results[64] = {NULL};
    size_t count = 0;
    do {
        stigstore_queue_wait(queue, results, 64, wait_ms, &count);
        for (size_t i = 0; i < count; i++) {
            int64_t *began_ns = &submitted->began_ns[results[i]->user % SUBMITTED_MOST];
            if (*began_ns == 0) {
                callers->figures.twice++;
                continue;
            }
            note(callers, results[i]->status, *began_ns);
            *began_ns = 0;
            submitted->open--;
        }
        stigstore_results_free(results, count);
    } while (count == 64);
}

static void submit_some(struct caller *caller, stigstore_queue *queue, struct submitted *submitted)
{
    for (unsigned i = 0; i < SUBMITTED_AT_ONCE; i++) {
        char id[32];
        uint64_t number = submitted->count % SUBMITTED_MOST;
        stigstore_request request = make_request(caller->callers, caller->index, (unsigned)submitted->count++, id);
        int64_t began_ns = clock_boot_ns();
        request.flags = STIGSTORE_NO_WAIT;
        int status = stigstore_submit(queue, &request, number, NULL);
        if (status == STIGSTORE_OK) {
            submitted->began_ns[number] = began_ns;
            submitted->open++;
        } else {
            note(caller->callers, status, began_ns);
        }
    }
}

static void *submit(void *context)
{
    struct caller *caller = context;
    struct callers *callers = caller->callers;
    struct submitted submitted = {.began_ns = calloc(SUBMITTED_MOST, sizeof(int64_t))};
    stigstore_queue *queue = NULL;
    if (!submitted.began_ns || stigstore_queue_new(caller->store, &queue) != STIGSTORE_OK)
        abort();
    while (!atomic_load(&callers->stop)) {
        int64_t began_ns = clock_boot_ns();
        submit_some(caller, queue, &submitted);
        do
            take_results(callers, queue, &submitted,
                         (uint32_t)clock_ms_until(began_ns + callers->options.pace_ms * NS_PER_MS, 1000));
        while (clock_ms_until(began_ns + callers->options.pace_ms * NS_PER_MS, 1000) > 0);
    }
    int64_t until_ns = clock_deadline_ns(callers->options.timeout_ms + PATIENCE_MS);
    while (submitted.open > 0 && clock_boot_ns() < until_ns)
        take_results(callers, queue, &submitted, 100);
    callers->figures.unanswered += submitted.open;
    stigstore_queue_free(&queue);
    free(submitted.began_ns);
    return NULL;
}

/* ---- life ---- */

struct callers *callers_start(const struct callers_options *options)
{
    struct callers *callers = calloc(1, sizeof(*callers));
    assert_non_null(callers);
    callers->options = *options;
    callers->value = calloc(1, options->value_bytes + 1);
    pthread_mutex_init(&callers->mutex, NULL);
    stigstore_options of_calls = {
        .struct_size = sizeof(of_calls), .timeout_ms = options->timeout_ms, .open_timeout_ms = OPEN_MS};
    for (unsigned i = 0; i < options->threads; i++) {
        struct caller *caller = &callers->callers[i];
        *caller = (struct caller){.callers = callers, .index = i};
        if (i % 2)
            caller->store = caller[-1].store;
        else
            assert_int_equal(stigstore_open(options->url, &of_calls, &caller->store, NULL), STIGSTORE_OK);
    }
    for (unsigned i = 0; i < options->threads; i++)
        assert_int_equal(pthread_create(&callers->callers[i].thread, NULL, options->is_submitting ? submit : call,
                                        &callers->callers[i]),
                         0);
    return callers;
}

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

struct callers_figures callers_look(struct callers *callers)
{
    pthread_mutex_lock(&callers->mutex);
    struct callers_figures figures = callers->figures;
    size_t count = callers->took_count;
    if (count > 0) {
        qsort(callers->took_ms, count, sizeof(double), compare);
        figures.p50_ms = callers->took_ms[count / 2];
        figures.p99_ms = callers->took_ms[count - 1 - count / 100];
        figures.most_ms = callers->took_ms[count - 1];
    }
    callers->took_count = 0;
    callers->figures = (struct callers_figures){0};
    pthread_mutex_unlock(&callers->mutex);
    return figures;
}

struct callers_figures callers_stop(struct callers **pointer)
{
    struct callers *callers = *pointer;
    atomic_store(&callers->stop, true);
    for (unsigned i = 0; i < callers->options.threads; i++)
        pthread_join(callers->callers[i].thread, NULL);
    struct callers_figures figures = callers_look(callers);
    for (unsigned i = 0; i < callers->options.threads; i += 2)
        stigstore_free(&callers->callers[i].store);
    pthread_mutex_destroy(&callers->mutex);
    free(callers->took_ms);
    free(callers->value);
    free(callers);
    *pointer = NULL;
    return figures;
}
