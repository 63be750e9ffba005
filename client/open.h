/*
 * open.h - from what a caller named to a handle's lanes: who owns the file, and where the default store is.
 *
 * Thread: the one that opens; mutex not held.
 */
#ifndef CLIENT_OPEN_H
#define CLIENT_OPEN_H
#include "client/core.h"

struct open_options {
    uint32_t open_timeout_ms;
    bool durability_normal;
    uint32_t snapshot_ms;
    uint64_t cache_bytes;    /* of all local reads */
    uint64_t max_data_bytes; /* 0: the default */
    const char *server_key, *key_file;
};

/* Fills the handle's hub, lanes, path; `url` NULL: the default store. On failure store_shut undoes what was done. */
int store_open(struct stigstore *store, const char *url, const struct open_options *options, struct failure *failure);
/* Lets go of lanes and files. No thread is inside, no call is left. */
void store_shut(struct stigstore *store);
#endif
