/*
 * service.h - a handle's part that speaks to a service; the embedded library has none.
 *
 * Thread: any, mutex not held, unless said otherwise.
 */
#ifndef CLIENT_SERVICE_H
#define CLIENT_SERVICE_H
#include "client/core.h"

struct service_options {
    const char *endpoint;
    const char *server_key, *key_file;
    bool reads_local; /* where the service's file is surely this host's */
    bool keep_snapshots;
    uint32_t snapshot_ms;
    uint64_t cache_bytes; /* of all local reads */
};

bool service_is_supported(void);
/* Gives the handle its hub, its remote lane and, if wanted, a pool that waits for the service to name its file. Does
 * not wait. UNSUPPORTED in the embedded library. */
int service_attach(struct stigstore *store, const struct service_options *options, struct failure *failure);
/* Waits until the service answers: OK, UNAVAILABLE, PERMISSION_DENIED, ... */
int service_wait(struct stigstore *store, uint32_t timeout_ms, struct failure *failure);
/* JSON of the lane's state, in `arena`; "{}" without one. Mutex held. */
struct span service_lane_status(struct stigstore *store, struct arena *arena);
#endif
