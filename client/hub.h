/*
 * hub.h - the mutex that handles share, and condition variables on it.
 *
 * A hub is shared by all handles of one engine, or belongs to the one handle of a service; queues and cursors that
 * outlive their handle keep it.
 * Thread: any.
 */
#ifndef CLIENT_HUB_H
#define CLIENT_HUB_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct hub {
    pthread_mutex_t mutex;
    atomic_uint users;
};
struct hub *hub_new(void); /* NULL: no memory */
struct hub *hub_share(struct hub *hub);
void hub_release(struct hub **hub);

/* A condition variable on CLOCK_MONOTONIC (OK, NO_MEMORY), and a wait on it until a time of CLOCK_BOOTTIME. */
int cond_init(pthread_cond_t *cond);
void cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);
#endif
