/*
 * queue.c - calls that do not wait: submit, and take results where they are waited for.
 *
 * A thread in queue_wait polls the queue's event descriptor, or leads the lane of a service with that descriptor among
 * what it polls: whatever is done under the mutex for the queue, and a wake from a signal handler, is seen there.
 */
#include "client/queue.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* ---- making and freeing ---- */

static void close_descriptors(struct stigstore_queue *queue)
{
    if (queue->poll_fd >= 0)
        close(queue->poll_fd);
    if (queue->timer_fd >= 0)
        close(queue->timer_fd);
    if (queue->event_fd >= 0)
        close(queue->event_fd);
}

static int watch(int poll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_descriptors(struct stigstore_queue *queue)
{
    queue->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    queue->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    queue->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (queue->event_fd < 0 || queue->timer_fd < 0 || queue->poll_fd < 0)
        return STATUS_NO_MEMORY;
    if (watch(queue->poll_fd, queue->event_fd) != 0 || watch(queue->poll_fd, queue->timer_fd) != 0)
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

static int new_queue(struct stigstore *store, struct stigstore_queue **out)
{
    struct stigstore_queue *queue = calloc(1, sizeof(*queue));

    if (!queue)
        return STATUS_NO_MEMORY;
    if (open_descriptors(queue) != STATUS_OK) {
        close_descriptors(queue);
        free(queue);
        return STATUS_NO_MEMORY;
    }
    queue->store = store;
    queue->generation = store->generation;
    pthread_mutex_lock(&store->hub->mutex);
    store_reference(store);
    queue->next = store->queues;
    if (queue->next)
        queue->next->previous = queue;
    store->queues = queue;
    queue->watch_reads.queue = queue->watch_writes.queue = queue->watch_remote.queue = queue;
    if (store->reads)
        driver_watch(store->reads, &queue->watch_reads);
    if (store->writes && !store->writes->is_remote)
        driver_watch(store->writes, &queue->watch_writes);
    if (store->remote)
        driver_watch(store->remote, &queue->watch_remote);
    pthread_mutex_unlock(&store->hub->mutex);
    *out = queue;
    return STATUS_OK;
}

int stigstore_queue_new(stigstore *store, stigstore_queue **queue)
{
    struct entry entry;
    int status;

    if (!queue)
        return STATUS_INVALID_ARGUMENT;
    *queue = NULL;
    status = store_enter(store, &entry);
    if (status != STATUS_OK)
        return status;
    status = new_queue(store, queue);
    store_leave(store, &entry);
    return status;
}

struct stigstore_queue *queue_next(struct stigstore_queue *queue)
{
    return queue->next;
}

void queue_unwatch(struct stigstore_queue *queue)
{
    struct stigstore *store = queue->store;

    if (store->reads)
        driver_unwatch(store->reads, &queue->watch_reads);
    if (store->writes)
        driver_unwatch(store->writes, &queue->watch_writes);
    if (store->remote)
        driver_unwatch(store->remote, &queue->watch_remote);
}

/* Ends what is still under way; nobody will take the results. Mutex held. */
static void end_calls(struct stigstore_queue *queue)
{
    for (size_t i = 0; i < TICKET_BUCKETS; i++)
        while (queue->buckets[i])
            op_end_now(&queue->buckets[i]->op, STATUS_CANCELLED);
    while (queue->ready_first) {
        struct result_box *box = queue->ready_first;
        queue->ready_first = box->next;
        result_free(&box);
    }
}

void stigstore_queue_free(stigstore_queue **queue_pointer)
{
    struct stigstore_queue *queue;
    struct stigstore *store;
    struct entry entry;

    if (!queue_pointer || !*queue_pointer)
        return;
    queue = *queue_pointer;
    *queue_pointer = NULL;
    store = queue->store;
    if (store_enter_closing(store, &entry) != STATUS_OK)
        return; /* a child leaves its parent's */
    pthread_mutex_lock(&store->hub->mutex);
    end_calls(queue);
    queue_unwatch(queue);
    *(queue->previous ? &queue->previous->next : &store->queues) = queue->next;
    if (queue->next)
        queue->next->previous = queue->previous;
    pthread_mutex_unlock(&store->hub->mutex);
    close_descriptors(queue);
    free(queue);
    store_leave(store, &entry);
    pthread_mutex_lock(&store->hub->mutex);
    store_dereference(store);
}

/* ---- submit ---- */

static struct queued_call *new_call(struct stigstore_queue *queue, const struct request_in *in, uint64_t user)
{
    size_t bytes = request_copy_bytes(&in->request);
    struct queued_call *call = malloc(sizeof(*call) + bytes);

    if (!call)
        return NULL;
    *call = (struct queued_call){.queue = queue, .user = user, .timeout_ms = in->timeout_ms, .bytes = bytes};
    call->box = result_new();
    if (!call->box) {
        free(call);
        return NULL;
    }
    request_copy(&call->op.call.request, &in->request, call->memory);
    call->op.call.settle = queued_settle;
    call->op.call.streamed = operation_is_list(in->request.operation);
    call->op.call.credit_bytes = LIST_CREDIT_BYTES;
    call->op.store = queue->store;
    call->op.deadline_ns = in->request.deadline_ns;
    call->wanted = call->op.call.streamed;
    call->local.stream = queue->store->stream;
    return call;
}

static void free_call(struct queued_call *call)
{
    result_free(&call->box);
    free(call);
}

/* Room for one more? Mutex held. */
static int admit(struct stigstore *store, const struct queued_call *call)
{
    if (store->in_flight >= store->max_in_flight)
        return STATUS_OVERLOADED;
    if (store->in_flight && store->in_flight_bytes + call->bytes > store->max_in_flight_bytes)
        return STATUS_OVERLOADED;
    return deadlines_reserve(store->deadlines);
}

static struct driver *route(struct stigstore *store, uint32_t operation)
{
    if (!operation_is_write(operation) && store->reads && store_reads_itself(store))
        return store->reads;
    return store_route(store, operation);
}

/* It is answered before it is sent. Mutex held. */
static void refuse(struct queued_call *call, int status, const char *why)
{
    struct result_box *box = call->box;

    result_set(box, status, why && why[0] ? "%s" : NULL, why);
    box->open.ticket = call->ticket;
    box->open.user = call->user;
    queue_push(call->queue, box);
    free(call);
}

static void begin(struct queued_call *call, struct driver *driver)
{
    struct stigstore *store = call->op.store;
    struct stigstore_queue *queue = call->queue;

    store->in_flight++;
    store->in_flight_bytes += call->bytes;
    call->sequence = ++store->submitted;
    queued_hash(call);
    queued_await(call);
    if (call->op.deadline_ns != INT64_MAX)
        deadlines_add(store->deadlines, &call->deadline, call->op.deadline_ns);
    if (!driver->is_remote && operation_is_write(call->op.call.request.operation))
        call->op.call.lane_data = &call->local;
    op_begin(&call->op, driver); /* may answer at once: `call` may be gone */
    if (!driver->led && driver->lane->ops->has_work(driver->lane))
        queue_signal(queue);
    queue_arm_timer(queue);
}

static int submit(struct stigstore_queue *queue, struct queued_call *call, int refused, const char *why,
                  uint64_t *ticket)
{
    struct stigstore *store = queue->store;
    struct driver *driver;
    int status;

    pthread_mutex_lock(&store->hub->mutex);
    status = store_is_closing(store) ? STATUS_CLOSED : admit(store, call);
    if (status != STATUS_OK) {
        pthread_mutex_unlock(&store->hub->mutex);
        free_call(call);
        return status;
    }
    call->ticket = ++queue->next_ticket;
    if (ticket)
        *ticket = call->ticket;
    driver = route(store, call->op.call.request.operation);
    if (refused != STATUS_OK)
        refuse(call, refused, why);
    else if (!driver)
        refuse(call, STATUS_READ_ONLY, "the store was opened for reading");
    else
        begin(call, driver);
    pthread_mutex_unlock(&store->hub->mutex);
    return STATUS_OK;
}

int stigstore_submit(stigstore_queue *queue, const stigstore_request *request, uint64_t user, uint64_t *ticket)
{
    struct request_in in;
    struct entry entry;
    struct queued_call *call;
    const char *why = NULL;
    int refused, status;

    if (!queue)
        return STATUS_INVALID_ARGUMENT;
    status = store_enter(queue->store, &entry);
    if (status != STATUS_OK)
        return status;
    refused = request_in_read(request, queue->store->timeout_ms, &in, &why);
    if (refused == STATUS_OK)
        refused = request_check(&in.request, (size_t)atomic_load(&queue->store->max_data_bytes), &why);
    if (refused != STATUS_OK)
        in.request = (struct request){.operation = OPERATION_GET, .deadline_ns = INT64_MAX};
    call = new_call(queue, &in, user);
    status = call ? submit(queue, call, refused, why, ticket) : STATUS_NO_MEMORY;
    request_in_free(&in);
    store_leave(queue->store, &entry);
    return status;
}

/* ---- a call by its ticket ---- */

int stigstore_cancel(stigstore_queue *queue, uint64_t ticket)
{
    struct queued_call *call;
    struct entry entry;
    int status;

    if (!queue)
        return STATUS_INVALID_ARGUMENT;
    status = store_enter(queue->store, &entry);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&queue->store->hub->mutex);
    call = queued_find(queue, ticket);
    if (call)
        op_give_up(&call->op, STATUS_CANCELLED);
    pthread_mutex_unlock(&queue->store->hub->mutex);
    store_leave(queue->store, &entry);
    return call ? STATUS_OK : STATUS_NOT_FOUND;
}

int stigstore_queue_more(stigstore_queue *queue, uint64_t ticket)
{
    struct queued_call *call;
    struct entry entry;
    int status;

    if (!queue)
        return STATUS_INVALID_ARGUMENT;
    status = store_enter(queue->store, &entry);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&queue->store->hub->mutex);
    call = queued_find(queue, ticket);
    if (!call)
        status = STATUS_NOT_FOUND;
    else if (!call->op.call.streamed)
        status = STATUS_INVALID_ARGUMENT;
    else
        queued_want(call);
    if (status == STATUS_OK) {
        queue_signal(queue); /* the lane may have to be led for it */
        queue_arm_timer(queue);
    }
    pthread_mutex_unlock(&queue->store->hub->mutex);
    store_leave(queue->store, &entry);
    return status;
}

int stigstore_queue_wake(stigstore_queue *queue)
{
    const uint64_t one = 1;
    int error = errno;

    if (!queue)
        return STATUS_INVALID_ARGUMENT;
    if (queue->generation != fork_generation())
        return STATUS_FORKED;
    atomic_store(&queue->woken, true);
    (void)!write(queue->event_fd, &one, sizeof(one));
    errno = error;
    return STATUS_OK;
}

int stigstore_queue_fd(const stigstore_queue *queue)
{
    struct stigstore_queue *own = (struct stigstore_queue *)(uintptr_t)queue; /* only how it is watched changes */
    struct stigstore *store;
    struct driver *remote;

    if (!queue || queue->generation != fork_generation())
        return -1;
    store = own->store;
    pthread_mutex_lock(&store->hub->mutex);
    remote = store_is_closing(store) ? NULL : store->remote;
    if (!own->watched && remote)
        (void)watch(own->poll_fd, remote->lane->ops->descriptor(remote->lane));
    own->watched = true;
    queue_arm_timer(own);
    pthread_mutex_unlock(&store->hub->mutex);
    return own->poll_fd;
}
