/*
 * parcel.c - a pool of parcels and the list on which I/O threads give them back.
 */
#include "broker/parcel.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    KEPT_MOST = 8192,      /* parcels kept for reuse */
    COPIED_BODY_BYTES = 33 /* libzmq keeps so short a frame inside its zmq_msg_t, without memory of its own */
};

struct parcel_pool {
    struct parcel *spare;
    size_t spare_count;
    int event_fd;
    struct parcel *_Atomic returned;
    atomic_bool armed;
};

/* What libzmq holds now.  Raised before a frame is lent and lowered first of all when it comes back, so that what was
 * written to the parcel is there to be read, whatever libzmq does in between. */
static atomic_size_t lent_count;

struct parcel_pool *parcel_pool_new(void)
{
    struct parcel_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->event_fd < 0) {
        free(pool);
        return NULL;
    }
    return pool;
}

static void free_list(struct parcel *list)
{
    while (list) {
        struct parcel *parcel = list;
        list = parcel->next;
        zmq_msg_close(&parcel->body);
        free(parcel);
    }
}

void parcel_pool_free(struct parcel_pool **pointer)
{
    struct parcel_pool *pool = *pointer;
    if (!pool)
        return;
    free_list(atomic_load(&pool->returned));
    free_list(pool->spare);
    close(pool->event_fd);
    free(pool);
    *pointer = NULL;
}

int parcel_pool_fd(const struct parcel_pool *pool)
{
    return pool->event_fd;
}

void parcel_pool_arm(struct parcel_pool *pool)
{
    atomic_store(&pool->armed, true);
    if (atomic_load(&pool->returned))
        eventfd_write(pool->event_fd, 1);
}

void parcel_pool_clear(struct parcel_pool *pool)
{
    eventfd_t ignored;
    eventfd_read(pool->event_fd, &ignored);
}

struct parcel *parcel_pool_returned(struct parcel_pool *pool)
{
    return atomic_load_explicit(&pool->returned, memory_order_relaxed) ? atomic_exchange(&pool->returned, NULL) : NULL;
}

/* On an I/O thread, or on ours when the connection has gone. */
static void give_back(void *data, void *hint)
{
    (void)data;
    size_t lent_before = atomic_fetch_sub(&lent_count, 1);
    assert(lent_before > 0);
    struct parcel *parcel = hint;
    struct parcel_pool *pool = parcel->pool;
    parcel->next = atomic_load(&pool->returned);
    while (!atomic_compare_exchange_weak(&pool->returned, &parcel->next, parcel)) {
    }
    if (atomic_exchange(&pool->armed, false))
        eventfd_write(pool->event_fd, 1);
}

struct parcel *parcel_new(struct parcel_pool *pool)
{
    struct parcel *parcel = pool->spare;
    if (parcel) {
        pool->spare = parcel->next;
        pool->spare_count--;
    } else {
        parcel = malloc(sizeof *parcel);
    }
    if (parcel) {
        parcel->next = NULL;
        parcel->pool = pool;
        parcel->counted = false;
        parcel->bytes = 0;
        zmq_msg_init(&parcel->body);
    }
    return parcel;
}

struct parcel *parcel_of(struct parcel_pool *pool, const void *bytes, size_t size)
{
    struct parcel *parcel = parcel_new(pool);
    if (parcel && size > 0) {
        if (zmq_msg_init_size(&parcel->body, size) != 0) {
            zmq_msg_init(&parcel->body);
            parcel_drop(parcel);
            return NULL;
        }
        memcpy(zmq_msg_data(&parcel->body), bytes, size);
    }
    return parcel;
}

void parcel_drop(struct parcel *parcel)
{
    struct parcel_pool *pool = parcel->pool;
    zmq_msg_close(&parcel->body);
    if (pool->spare_count == KEPT_MOST) {
        free(parcel);
        return;
    }
    parcel->next = pool->spare;
    pool->spare = parcel;
    pool->spare_count++;
}

static bool lend_frame(struct parcel *parcel, zmq_msg_t *frame, void *bytes, size_t size)
{
    atomic_fetch_add(&lent_count, 1);
    if (zmq_msg_init_data(frame, bytes, size, give_back, parcel) != 0) {
        atomic_fetch_sub(&lent_count, 1);
        return false;
    }
    return true;
}

static bool lend_body(struct parcel *parcel, zmq_msg_t *envelope, zmq_msg_t *body, size_t size)
{
    if (zmq_msg_init_size(envelope, ENVELOPE_BYTES) != 0)
        return false;
    memcpy(zmq_msg_data(envelope), parcel->envelope, ENVELOPE_BYTES);
    if (!lend_frame(parcel, body, zmq_msg_data(&parcel->body), size)) {
        zmq_msg_close(envelope);
        return false;
    }
    return true;
}

bool parcel_lend(struct parcel *parcel, zmq_msg_t *envelope, zmq_msg_t *body)
{
    size_t size = zmq_msg_size(&parcel->body);
    if (size > COPIED_BODY_BYTES)
        return lend_body(parcel, envelope, body, size);
    if (zmq_msg_init_size(body, size) != 0)
        return false;
    memcpy(zmq_msg_data(body), zmq_msg_data(&parcel->body), size);
    if (!lend_frame(parcel, envelope, parcel->envelope, ENVELOPE_BYTES)) {
        zmq_msg_close(body);
        return false;
    }
    return true;
}
