/*
 * hub.c - the mutex that handles share, and condition variables on it.
 */
#include "client/hub.h"
#include "proto/clock.h"
#include "proto/status.h"

#include <stdlib.h>
#include <time.h>

struct hub *hub_new(void)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return NULL;
    if (pthread_mutex_init(&hub->mutex, NULL) != 0) {
        free(hub);
        return NULL;
    }
    atomic_init(&hub->users, 1);
    return hub;
}

struct hub *hub_share(struct hub *hub)
{
    atomic_fetch_add(&hub->users, 1);
    return hub;
}

void hub_release(struct hub **hub)
{
    if (*hub && atomic_fetch_sub(&(*hub)->users, 1) == 1) {
        pthread_mutex_destroy(&(*hub)->mutex);
        free(*hub);
    }
    *hub = NULL;
}

/* ---- condition variables ---- */

int cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    int error;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    error = pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
    return error ? STATUS_NO_MEMORY : STATUS_OK;
}

void cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
    struct timespec at;
    int64_t left_ns;

    if (until_ns == INT64_MAX) {
        pthread_cond_wait(cond, mutex);
        return;
    }
    left_ns = until_ns - clock_boot_ns();
    if (left_ns <= 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(left_ns / NS_PER_S);
    at.tv_nsec += (long)(left_ns % NS_PER_S);
    if (at.tv_nsec >= NS_PER_S) {
        at.tv_sec++;
        at.tv_nsec -= (long)NS_PER_S;
    }
    pthread_cond_timedwait(cond, mutex, &at);
}
