/*
 * pool.h - reading connections to one database file, shared by the threads that read it directly.
 *
 * In a client beside a service the file is the one that the service named, and is used only while it is surely the
 * same: boot, device, inode and incarnation.
 * Owns: the readers; a helper thread that lets go of idle snapshots, where nobody else does.
 * Thread: any.
 */
#ifndef CLIENT_POOL_H
#define CLIENT_POOL_H
#include "reader/reader.h"

struct pool;

struct pool_options {
    const char *path; /* NULL: none until pool_expect */
    bool keep_snapshots;
    bool helper; /* idle snapshots hold up somebody else's checkpoints */
    uint64_t max_data_bytes;
    uint64_t cache_bytes; /* of pages in memory, of all readers */
    uint32_t snapshot_ms;
};
struct pool *pool_new(const struct pool_options *options); /* NULL: no memory */
void pool_free(struct pool **pool);                        /* its streams must be closed */

/* From now on only this file; readers of another one go. NULL path: none. OK, NO_MEMORY. */
int pool_expect(struct pool *pool, const char *path, const struct storage_identity *identity);

/* Answers on this thread, see reader_answer. Otherwise a status, and nothing was answered: FORKED, UNAVAILABLE (no
 * file is expected, or it is another one), DEADLINE_EXCEEDED (all readers busy until then), or why it cannot be read. */
int pool_answer(struct pool *pool, const struct request *requests, size_t count, struct reply *replies,
                struct arena *arena, size_t most_bytes, struct failure *failure);
/* Makes sure that one reader can be opened. */
int pool_try(struct pool *pool, struct failure *failure);

/* A list on a snapshot of its own; used by one thread at a time. */
struct pool_stream;
int pool_stream_open(struct pool *pool, const struct request *request, struct pool_stream **stream,
                     struct failure *failure);
void pool_stream_next(struct pool_stream *stream, size_t most_bytes, struct reply *piece, bool *last,
                      struct arena *arena);
void pool_stream_close(struct pool_stream **stream);

/* Lets go of the snapshots of idle readers, and of lists that have lived long enough. */
void pool_release_idle(struct pool *pool);
#endif
