/* fork.c - what a process has open, and how its forked child knows that none of it is the child's. */
#include "client/fork.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

struct opened {
    uint64_t device, inode;
    unsigned generation;
    unsigned count;
    struct opened *next;
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t opened_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct opened *opened_files;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static atomic_uint generation = 1;

/* Both locks are free in the child, and what they protect is whole. */
static void before_fork(void)
{
    pthread_mutex_lock(&registry_mutex);
    pthread_mutex_lock(&opened_mutex);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&opened_mutex);
    pthread_mutex_unlock(&registry_mutex);
}

static void in_child(void)
{
    atomic_fetch_add(&generation, 1);
    in_parent();
}

static void watch_forks(void)
{
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

void fork_watch(void)
{
    pthread_once(&fork_once, watch_forks);
}

unsigned fork_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

void registry_lock(void)
{
    pthread_mutex_lock(&registry_mutex);
}

void registry_unlock(void)
{
    pthread_mutex_unlock(&registry_mutex);
}

/* ---- files ---- */

static struct opened **find(uint64_t device, uint64_t inode)
{
    struct opened **at = &opened_files;

    while (*at && !((*at)->device == device && (*at)->inode == inode && (*at)->generation == fork_generation()))
        at = &(*at)->next;
    return at;
}

bool opened_add(uint64_t device, uint64_t inode)
{
    struct opened *file;

    pthread_mutex_lock(&opened_mutex);
    file = *find(device, inode);
    if (!file) {
        file = calloc(1, sizeof(*file));
        if (file) {
            *file = (struct opened){device, inode, fork_generation(), 0, opened_files};
            opened_files = file;
        }
    }
    if (file)
        file->count++;
    pthread_mutex_unlock(&opened_mutex);
    return file != NULL;
}

void opened_remove(uint64_t device, uint64_t inode)
{
    struct opened **at, *file;

    pthread_mutex_lock(&opened_mutex);
    at = find(device, inode);
    file = *at;
    assert(file && file->count > 0);
    if (--file->count == 0) {
        *at = file->next;
        free(file);
    }
    pthread_mutex_unlock(&opened_mutex);
}

static bool is_open(const char *path, bool here)
{
    bool found = false;
    struct stat at;

    if (stat(path, &at) != 0)
        return false;
    pthread_mutex_lock(&opened_mutex);
    for (const struct opened *file = opened_files; file && !found; file = file->next)
        found =
            (file->generation == fork_generation()) == here && file->device == at.st_dev && file->inode == at.st_ino;
    pthread_mutex_unlock(&opened_mutex);
    return found;
}

bool opened_in_parent(const char *path)
{
    return is_open(path, false);
}

bool opened_here(const char *path)
{
    return is_open(path, true);
}
