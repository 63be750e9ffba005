/*
 * pool_helper.c - lets go of snapshots that idle readers keep and of those of lists that nobody goes on with.
 *
 * They hold up checkpoints.  Embedded, whoever commits lets go; beside a service a thread of the library's does, started
 * with the first snapshot.
 */
#include "client/hub.h"
#include "client/pool_state.h"
#include "proto/clock.h"

#include <signal.h>

enum {
    IDLE_MS = 10, /* when a snapshot is let go of: twice that is less than a checkpoint holds commits up for */
    HELPER_STACK_BYTES = 256 * 1024,
};

/* Lets go of snapshots that nobody used since `before_ns`; true when some are left. */
static bool release_idle(struct pool *pool, int64_t before_ns)
{
    bool left = false;

    for (struct source *source = pool->idle; source; source = source->next) {
        if (!reader_holds_snapshot(source->reader))
            continue;
        if (source->used_ns <= before_ns)
            reader_release(source->reader);
        else
            left = true;
    }
    return left;
}

/* Ends snapshots of lists that have lived long enough; called with streaming_mutex. One that is being asked right now
 * is looked at again. */
static void expire_streams(struct pool *pool)
{
    int64_t due_ns = pool->streaming ? reader_expire_streams(pool->streaming->reader) : INT64_MAX;
    int64_t soonest_ns = clock_deadline_ns(IDLE_MS);

    pthread_mutex_lock(&pool->mutex);
    pool->streams_due_ns = due_ns < soonest_ns ? soonest_ns : due_ns;
    pthread_mutex_unlock(&pool->mutex);
}

static void help_streams(struct pool *pool)
{
    pthread_mutex_unlock(&pool->mutex);
    pthread_mutex_lock(&pool->streaming_mutex);
    expire_streams(pool);
    pthread_mutex_unlock(&pool->streaming_mutex);
    pthread_mutex_lock(&pool->mutex);
}

static void *help(void *context)
{
    struct pool *pool = context;

    pthread_mutex_lock(&pool->mutex);
    while (!pool->helper_ends) {
        int64_t until_ns = pool->helper_busy ? clock_deadline_ns(IDLE_MS) : INT64_MAX;
        if (pool->streams_due_ns < until_ns)
            until_ns = pool->streams_due_ns;
        cond_wait_until(&pool->helper_wake, &pool->mutex, until_ns);
        if (pool->helper_busy)
            pool->helper_busy = release_idle(pool, clock_boot_ns() - IDLE_MS * NS_PER_MS);
        if (clock_boot_ns() >= pool->streams_due_ns)
            help_streams(pool);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* A thread of the library never takes the process's signals. */
static bool start_helper(struct pool *pool)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, HELPER_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pool->helper_runs = pthread_create(&pool->helper, &attributes, help, pool) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return pool->helper_runs;
}

void pool_watch_snapshot(struct pool *pool, struct source *source)
{
    if (!pool->options.helper || pool->helper_busy || !reader_holds_snapshot(source->reader))
        return;
    if (!pool->helper_runs && !start_helper(pool)) {
        reader_release(source->reader);
        return;
    }
    pool->helper_busy = true;
    pthread_cond_signal(&pool->helper_wake);
}

void pool_watch_streams(struct pool *pool)
{
    if (!pool->options.helper)
        return;
    expire_streams(pool);
    pthread_mutex_lock(&pool->mutex);
    if (pool->helper_runs || start_helper(pool)) /* else it ends when it is asked next */
        pthread_cond_signal(&pool->helper_wake);
    pthread_mutex_unlock(&pool->mutex);
}

void pool_stop_helper(struct pool *pool)
{
    bool runs;

    pthread_mutex_lock(&pool->mutex);
    runs = pool->helper_runs;
    pool->helper_ends = true;
    pthread_cond_signal(&pool->helper_wake);
    pthread_mutex_unlock(&pool->mutex);
    if (runs)
        pthread_join(pool->helper, NULL);
}

void pool_release_idle(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    release_idle(pool, INT64_MAX);
    pthread_mutex_unlock(&pool->mutex);
    if (pthread_mutex_trylock(&pool->streaming_mutex) == 0) { /* else a list is being opened: next time */
        expire_streams(pool);
        pthread_mutex_unlock(&pool->streaming_mutex);
    }
}
