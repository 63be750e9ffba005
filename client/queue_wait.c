/*
 * queue_wait.c - waiting for a queue's results, and driving the handle's lanes meanwhile; flush.
 */
#include "client/queue.h"

#include <poll.h>
#include <unistd.h>

enum { POLL_MOST_MS = 60000 };

/* ---- driving; mutex held ---- */

static bool lead_if_work(struct driver *driver)
{
    if (!driver || driver->is_remote || driver->led || !driver->lane->ops->has_work(driver->lane))
        return false;
    driver_lead(driver, 0, -1);
    return true;
}

/* Does what lies in this process's own lanes; true when it did something. */
static bool drive_local(struct stigstore *store)
{
    bool reading = lead_if_work(store->reads);
    bool writing = lead_if_work(store->writes);
    return reading || writing;
}

static bool is_free(const struct driver *driver)
{
    return driver && !driver->led;
}

static void pass_all(struct stigstore *store)
{
    if (store->remote)
        driver_pass(store->remote);
    if (store->reads)
        driver_pass(store->reads);
    if (store->writes && store->writes != store->remote)
        driver_pass(store->writes);
}

/* A thread that waits for whatever lane of its handle. */
struct waiters {
    struct waiter remote, reads, writes;
};

static void join_all(struct stigstore *store, struct waiters *waiters, const struct waiter *as)
{
    *waiters = (struct waiters){.remote = *as, .reads = *as, .writes = *as};
    if (store->remote)
        driver_join(store->remote, &waiters->remote);
    if (store->reads)
        driver_join(store->reads, &waiters->reads);
    if (store->writes && store->writes != store->remote)
        driver_join(store->writes, &waiters->writes);
}

static void quit_all(struct stigstore *store, struct waiters *waiters)
{
    if (store->remote)
        driver_quit(store->remote, &waiters->remote);
    if (store->reads)
        driver_quit(store->reads, &waiters->reads);
    if (store->writes && store->writes != store->remote)
        driver_quit(store->writes, &waiters->writes);
}

static int64_t earliest(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* ---- the queue's descriptor; mutex held ---- */

/* A wake is written outside the mutex, and maybe after the wait that it was for: so it is always looked for. */
static void drain(struct stigstore_queue *queue)
{
    uint64_t count;

    queue->signaled = false;
    (void)!read(queue->event_fd, &count, sizeof(count));
}

static bool has_local_work(const struct driver *driver)
{
    return driver && !driver->is_remote && !driver->led && driver->lane->ops->has_work(driver->lane);
}

/* What is left to do keeps the descriptor readable. */
static void rearm(struct stigstore_queue *queue)
{
    struct stigstore *store = queue->store;

    if (queue->ready_first || store->closed ||
        (!store_is_closing(store) && (has_local_work(store->reads) || has_local_work(store->writes))))
        queue_signal(queue);
    queue_arm_timer(queue);
}

static size_t take_ready(struct stigstore_queue *queue, stigstore_result **results, size_t capacity)
{
    size_t count = 0;

    while (queue->ready_first && count < capacity) {
        struct result_box *box = queue->ready_first;
        queue->ready_first = box->next;
        if (!queue->ready_first)
            queue->ready_last = NULL;
        box->next = NULL;
        results[count++] = &box->open;
    }
    return count;
}

static void poll_event(struct stigstore_queue *queue, int64_t until_ns)
{
    struct stigstore *store = queue->store;
    const struct waiter as = {.queue = queue};
    struct pollfd event = {.fd = queue->event_fd, .events = POLLIN};
    struct waiters waiters;

    join_all(store, &waiters, &as);
    pthread_mutex_unlock(&store->hub->mutex);
    poll(&event, 1, clock_ms_until(until_ns, POLL_MOST_MS));
    pthread_mutex_lock(&store->hub->mutex);
    quit_all(store, &waiters);
}

/* One step towards a result; false: the time is up and nothing is left to look at. */
static bool step(struct stigstore_queue *queue, int64_t until_ns, bool *looked)
{
    struct stigstore *store = queue->store;
    bool late = clock_boot_ns() >= until_ns;

    if (drive_local(store))
        return true;
    if (late && *looked)
        return false;
    *looked = late;
    if (is_free(store->remote)) {
        driver_lead(store->remote, late ? 0 : earliest(until_ns, queue_due_ns(store, false)), queue->event_fd);
        return true;
    }
    if (!late)
        poll_event(queue, earliest(until_ns, queue_due_ns(store, false)));
    return true;
}

static int wait_ready(struct stigstore_queue *queue, stigstore_result **results, size_t capacity, int64_t until_ns,
                      size_t *count)
{
    struct stigstore *store = queue->store;
    bool looked = false;

    for (;;) {
        if (!store_is_closing(store))
            queue_expire(store);
        *count = take_ready(queue, results, capacity);
        if (*count)
            return STATUS_OK;
        drain(queue);
        if (store_is_closing(store))
            return STATUS_CLOSED;
        if (atomic_exchange(&queue->woken, false))
            return STATUS_OK;
        if (!step(queue, until_ns, &looked))
            return STATUS_OK;
    }
}

/* The handle is being closed: what that leaves is handed out once it is done, which waits for us to leave. */
static int wait_closed(struct stigstore_queue *queue, stigstore_result **results, size_t capacity, size_t *count)
{
    struct stigstore *store = queue->store;

    pthread_mutex_lock(&store->hub->mutex);
    while (!store->closed)
        store_wait_rare(store, INT64_MAX);
    drain(queue);
    *count = take_ready(queue, results, capacity);
    rearm(queue);
    pthread_mutex_unlock(&store->hub->mutex);
    return *count ? STATUS_OK : STATUS_CLOSED;
}

int stigstore_queue_wait(stigstore_queue *queue, stigstore_result **results, size_t capacity, uint32_t timeout_ms,
                         size_t *count)
{
    struct entry entry;
    int status;

    if (!queue || !results || !capacity || !count)
        return STATUS_INVALID_ARGUMENT;
    *count = 0;
    status = store_enter_closing(queue->store, &entry);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&queue->store->hub->mutex);
    status = wait_ready(queue, results, capacity, timeout_ms ? clock_deadline_ns(timeout_ms) : 0, count);
    rearm(queue);
    if (!store_is_closing(queue->store))
        pass_all(queue->store);
    pthread_mutex_unlock(&queue->store->hub->mutex);
    store_leave(queue->store, &entry);
    return status == STATUS_CLOSED ? wait_closed(queue, results, capacity, count) : status;
}

/* ---- flush ---- */

static bool is_outstanding(const struct stigstore *store, uint64_t mark)
{
    return store->unanswered_first && store->unanswered_first->sequence <= mark;
}

static void flush_step(struct stigstore *store, int64_t until_ns)
{
    const struct waiter as = {.cond = &store->rare};
    int64_t due_ns = earliest(until_ns, queue_due_ns(store, false)); /* who leads tells when it leaves */
    struct waiters waiters;

    if (drive_local(store))
        return;
    if (is_free(store->remote)) {
        driver_lead(store->remote, due_ns, -1);
        return;
    }
    join_all(store, &waiters, &as);
    store_wait_rare(store, due_ns);
    quit_all(store, &waiters);
}

static int flush(struct stigstore *store, int64_t until_ns)
{
    uint64_t mark = store->submitted;

    for (;;) {
        if (store_is_closing(store))
            return STATUS_CLOSED;
        queue_expire(store);
        if (!is_outstanding(store, mark))
            return STATUS_OK;
        if (clock_boot_ns() >= until_ns)
            return STATUS_DEADLINE_EXCEEDED;
        flush_step(store, until_ns);
    }
}

int stigstore_flush(stigstore *store, uint32_t timeout_ms)
{
    struct entry entry;
    int status = store_enter(store, &entry);

    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&store->hub->mutex);
    status = flush(store, clock_deadline_ns(timeout_ms ? timeout_ms : store->timeout_ms));
    if (!store_is_closing(store))
        pass_all(store);
    pthread_mutex_unlock(&store->hub->mutex);
    store_leave(store, &entry);
    return status;
}
