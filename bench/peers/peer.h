/*
 * peer.h - what the small programs share that the store is held against: options, a clock, a folder, one line of JSON.
 *
 * Thread: one.
 */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H
#include "bench/histogram.h"

#include <stdbool.h>
#include <stddef.h>

struct peer {
    const char *mode; /* the word on the line */
    unsigned group, in_flight, hops, sessions;
    size_t value_bytes;
    uint64_t keys, seed;
    bool unsynced, cached; /* SQLite's: without syncs; with all pages in memory, in one transaction */
    bool synced;           /* the echo's worker writes a page and syncs it before it answers */
    double seconds;
    const char *database; /* NULL: one of its own */
    char folder[64];      /* of that one, or "" */
    int64_t begin_ns, end_ns;
    uint64_t operations, rows;
    struct histogram latency;
};

/* Reads the line, `--name number`; exits with usage on anything else. */
void peer_parse(struct peer *peer, int argc, char **argv, const char *modes);
int64_t peer_now_ns(void);
/* Makes a folder in $TMPDIR or /tmp and gives "FOLDER/NAME" in malloc'ed memory; exits when it cannot. */
char *peer_path(struct peer *peer, const char *name);
/* Begins the time; peer_is_over says when it is up. */
void peer_begin(struct peer *peer);
bool peer_is_over(const struct peer *peer);
void peer_record(struct peer *peer, int64_t begin_ns, uint64_t operations, uint64_t rows);
/* Prints {"ops_per_s": ..., "p50_us": ...} and removes the folder. */
void peer_end(struct peer *peer);
/* One line on standard error, the folder removed, exit code 1. */
void peer_fail(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* `size` bytes that do not compress. */
void peer_noise(uint64_t seed, void *bytes, size_t size);
/* As the loads of `stigstore bench` name theirs. */
void peer_id(uint64_t key, char out[32]);
#endif
