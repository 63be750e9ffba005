/*
 * engine.h - a database file that this process owns: one for all handles on it, by a registry of the process.
 *
 * Owns: the lock's bytes 0 and 1, the write lane, the readers.
 * Thread: any.
 */
#ifndef CLIENT_ENGINE_H
#define CLIENT_ENGINE_H
#include "client/core.h"
#include "client/local_write.h"
#include "storage/lock.h"

struct engine {
    struct hub *hub;
    struct driver driver; /* of the write lane; its lane is NULL until the file is open */
    struct pool *pool;
    struct lock *lock;
    uint64_t max_data_bytes;
    uint64_t next_stream; /* hub's mutex */
    unsigned users;       /* the registry's lock, as what follows */
    unsigned generation;
    struct engine *next;
};

struct engine_options {
    const char *path; /* real path, as far as it exists */
    bool create;
    bool take_over;
    bool durability_normal;
    bool keep_snapshots;
    uint64_t max_data_bytes;
    uint32_t snapshot_ms;
    uint64_t cache_bytes; /* of all local reads */
};

/* All with the registry's lock held. */
struct engine *engine_find(const char *path); /* one user more, or NULL */
/* BUSY: somebody owns the file, *holder says who as far as is known. UNAVAILABLE: its standalone actors were not
 * stopped cleanly. FORKED. Else what storage says. */
int engine_new(const struct engine_options *options, struct engine **engine, struct lock_holder *holder,
               struct failure *failure);

/* One user less; the last one closes the file. Takes the registry's lock. */
void engine_release(struct engine **engine);
#endif
