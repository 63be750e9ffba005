/*
 * ledger.c - acknowledged revisions by key.
 */
#include "bench/ledger.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STRIPES = 256 };

struct row {
    _Atomic uint64_t revision;
    uint64_t stamp;
    uint32_t count, unknown;
};

struct ledger {
    struct row *rows;
    uint64_t keys;
    pthread_mutex_t stripes[STRIPES];
};

struct ledger *ledger_new(uint64_t keys)
{
    struct ledger *ledger = keys && keys < SIZE_MAX / sizeof(struct row) ? malloc(sizeof(*ledger)) : NULL;
    if (!ledger)
        return NULL;
    ledger->keys = keys;
    ledger->rows = mmap(NULL, keys * sizeof(struct row), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ledger->rows == MAP_FAILED) {
        free(ledger);
        return NULL;
    }
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_init(&ledger->stripes[i], NULL);
    return ledger;
}

void ledger_free(struct ledger **ledger)
{
    if (!*ledger)
        return;
    munmap((*ledger)->rows, (*ledger)->keys * sizeof(struct row));
    for (unsigned i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&(*ledger)->stripes[i]);
    free(*ledger);
    *ledger = NULL;
}

uint64_t ledger_keys(const struct ledger *ledger)
{
    return ledger->keys;
}

void ledger_acknowledge(struct ledger *ledger, uint64_t key, uint64_t revision, uint64_t stamp)
{
    assert(key < ledger->keys);
    struct row *row = &ledger->rows[key];
    pthread_mutex_t *stripe = &ledger->stripes[key % STRIPES];
    pthread_mutex_lock(stripe);
    row->count++;
    if (revision > atomic_load_explicit(&row->revision, memory_order_relaxed)) {
        row->stamp = stamp;
        atomic_store_explicit(&row->revision, revision, memory_order_release);
    }
    pthread_mutex_unlock(stripe);
}

void ledger_doubt(struct ledger *ledger, uint64_t key)
{
    assert(key < ledger->keys);
    pthread_mutex_lock(&ledger->stripes[key % STRIPES]);
    ledger->rows[key].unknown++;
    pthread_mutex_unlock(&ledger->stripes[key % STRIPES]);
}

uint64_t ledger_revision(const struct ledger *ledger, uint64_t key)
{
    assert(key < ledger->keys);
    return atomic_load_explicit(&ledger->rows[key].revision, memory_order_acquire);
}

struct ledger_entry ledger_entry(struct ledger *ledger, uint64_t key)
{
    assert(key < ledger->keys);
    const struct row *row = &ledger->rows[key];
    pthread_mutex_lock(&ledger->stripes[key % STRIPES]);
    struct ledger_entry entry = {atomic_load_explicit(&row->revision, memory_order_relaxed), row->stamp, row->count,
                                 row->unknown};
    pthread_mutex_unlock(&ledger->stripes[key % STRIPES]);
    return entry;
}
