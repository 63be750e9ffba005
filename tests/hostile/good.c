/*
 * good.c - paced saves and gets, each answer checked, each latency kept.
 */
#include "tests/hostile/good.h"

#include "stigstore.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIENTS = 4, PERIOD_US = 4000, SAMPLES_MOST = 65536, DATA_BYTES = 200 };

struct client {
    struct good *good;
    pthread_t thread;
    stigstore *store;
    unsigned index;
};

struct good {
    struct client clients[CLIENTS];
    atomic_bool stop;
    pthread_mutex_t mutex; /* what follows */
    uint32_t samples[SAMPLES_MOST];
    size_t count;
    uint64_t calls, failed;
    int last_failure;
};

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void wait_until_us(uint64_t time_us)
{
    const struct timespec until = {.tv_sec = (time_t)(time_us / 1000000), .tv_nsec = (long)(time_us % 1000000) * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Each client saves on an id of its own and reads back what it saved. */
static int call(struct client *client, uint64_t round)
{
    static _Thread_local char data[DATA_BYTES];
    char id[16];
    snprintf(id, sizeof id, "good-%u", client->index);
    if (round % 2 == 0) {
        snprintf(data, sizeof data, "%0*llu", DATA_BYTES - 1, (unsigned long long)round);
        return stigstore_save_resource(client->store, stigstore_text("k"), stigstore_text(id),
                                       (stigstore_bytes){data, sizeof data}, NULL);
    }
    stigstore_result *result = NULL;
    int status = stigstore_get_resource(client->store, stigstore_text("k"), stigstore_text(id), &result);
    if (status == STIGSTORE_OK &&
        (result->items[0].data.size != sizeof data || memcmp(result->items[0].data.data, data, sizeof data) != 0))
        status = STIGSTORE_CORRUPT; /* somebody else's, or an older one */
    stigstore_result_free(&result);
    return status;
}

static void note(struct good *good, int status, uint64_t latency_us)
{
    pthread_mutex_lock(&good->mutex);
    good->calls++;
    if (status != STIGSTORE_OK) {
        good->failed++;
        good->last_failure = status;
    }
    if (good->count < SAMPLES_MOST)
        good->samples[good->count++] = (uint32_t)latency_us;
    pthread_mutex_unlock(&good->mutex);
}

static void *run(void *context)
{
    struct client *client = context;
    struct good *good = client->good;
    uint64_t next_us = now_us() + client->index * PERIOD_US / CLIENTS;
    for (uint64_t round = 0; !atomic_load(&good->stop); round++) {
        uint64_t began_us = now_us();
        int status = call(client, round);
        uint64_t ended_us = now_us();
        note(good, status, ended_us - began_us);
        next_us = next_us + PERIOD_US > ended_us ? next_us + PERIOD_US : ended_us;
        wait_until_us(next_us);
    }
    return NULL;
}

struct good *good_start(const char *url)
{
    struct good *good = calloc(1, sizeof *good);
    const stigstore_options options = {.struct_size = sizeof options, .open_timeout_ms = 30000};
    if (!good)
        die("out of memory");
    pthread_mutex_init(&good->mutex, NULL);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &good->clients[i];
        *client = (struct client){.good = good, .index = i};
        if (stigstore_open(url, &options, &client->store, NULL) != STIGSTORE_OK)
            die("a good client cannot open the store");
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        if (pthread_create(&good->clients[i].thread, NULL, run, &good->clients[i]) != 0)
            die("cannot start a thread");
    return good;
}

void good_stop(struct good **good)
{
    atomic_store(&(*good)->stop, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join((*good)->clients[i].thread, NULL);
        stigstore_free(&(*good)->clients[i].store);
    }
    pthread_mutex_destroy(&(*good)->mutex);
    free(*good);
    *good = NULL;
}

void good_forget(struct good *good)
{
    pthread_mutex_lock(&good->mutex);
    good->count = 0;
    pthread_mutex_unlock(&good->mutex);
}

size_t good_count(struct good *good)
{
    pthread_mutex_lock(&good->mutex);
    size_t count = good->count;
    pthread_mutex_unlock(&good->mutex);
    return count;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint64_t quantile_us(struct good *good, size_t of_thousand)
{
    pthread_mutex_lock(&good->mutex);
    qsort(good->samples, good->count, sizeof good->samples[0], compare);
    uint64_t us = good->count ? good->samples[(good->count - 1) * of_thousand / 1000] : 0;
    pthread_mutex_unlock(&good->mutex);
    return us;
}

uint64_t good_p99_us(struct good *good)
{
    return quantile_us(good, 990);
}

uint64_t good_longest_us(struct good *good)
{
    return quantile_us(good, 1000);
}

uint64_t good_failed(struct good *good, const char **last)
{
    pthread_mutex_lock(&good->mutex);
    uint64_t failed = good->failed;
    *last = stigstore_status_name(good->last_failure);
    pthread_mutex_unlock(&good->mutex);
    return failed;
}

uint64_t good_calls(struct good *good)
{
    pthread_mutex_lock(&good->mutex);
    uint64_t calls = good->calls;
    pthread_mutex_unlock(&good->mutex);
    return calls;
}
