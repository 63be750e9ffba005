/*
 * remote_store.c - notices another incarnation, or an older state of the same one.
 */
#include "client/remote_store.h"

static void take(struct remote_store *store, const struct hello *hello)
{
    memcpy(store->incarnation, hello->incarnation, INCARNATION_BYTES);
    store->known = true;
    store->epoch = hello->writer_epoch;
    store->revision = hello->revision;
}

enum remote_store_news remote_store_hello(struct remote_store *store, const struct hello *hello)
{
    enum remote_store_news news = REMOTE_STORE_SAME;

    if (hello->writer_epoch == 0)
        return REMOTE_STORE_SAME;
    if (!store->known) {
        take(store, hello);
        return REMOTE_STORE_SAME;
    }
    if (memcmp(store->incarnation, hello->incarnation, INCARNATION_BYTES) != 0) {
        news = store->expected ? REMOTE_STORE_SAME : REMOTE_STORE_OTHER;
        store->expected = false;
        take(store, hello);
    } else if (hello->writer_epoch != store->epoch) {
        news = hello->revision < store->revision ? REMOTE_STORE_BEHIND : REMOTE_STORE_SAME;
        take(store, hello);
    } else if (hello->revision > store->revision) {
        store->revision = hello->revision;
    }
    return news;
}

void remote_store_saw(struct remote_store *store, uint64_t revision)
{
    store->used = true;
    if (revision > store->revision)
        store->revision = revision;
}

void remote_store_refused(struct remote_store *store)
{
    store->expected = true;
    store->revision = 0;
}
