/*
 * peer.c - options, clock, folder and report of a peer.
 */
#include "bench/peers/peer.h"

#include "bench/draw.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int64_t ns_per_s = 1000000000;

static void usage(const char *program, const char *modes)
{
    fprintf(stderr,
            "usage: %s %s [--seconds S] [--keys N] [--value-bytes N] [--group N] [--in-flight N] [--hops 1|2]"
            " [--sessions N] [--seed N] [--unsynced 0|1] [--cached 0|1] [--synced 0|1]"
            " [--db FILE]\n",
            program, modes);
    exit(2);
}

static bool take(struct peer *peer, const char *name, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    if (strcmp(name, "--db") != 0 && *end != '\0')
        return false;
    if (strcmp(name, "--seconds") == 0) {
        peer->seconds = number;
    } else if (strcmp(name, "--keys") == 0) {
        peer->keys = (uint64_t)number;
    } else if (strcmp(name, "--value-bytes") == 0) {
        peer->value_bytes = (size_t)number;
    } else if (strcmp(name, "--group") == 0) {
        peer->group = (unsigned)number;
    } else if (strcmp(name, "--in-flight") == 0) {
        peer->in_flight = (unsigned)number;
    } else if (strcmp(name, "--hops") == 0) {
        peer->hops = (unsigned)number;
    } else if (strcmp(name, "--sessions") == 0) {
        peer->sessions = (unsigned)number;
        return true;
    } else if (strcmp(name, "--unsynced") == 0) {
        peer->unsynced = number > 0;
        return true;
    } else if (strcmp(name, "--synced") == 0) {
        peer->synced = number > 0;
    } else if (strcmp(name, "--cached") == 0) {
        peer->cached = number > 0;
        return true;
    } else if (strcmp(name, "--seed") == 0) {
        peer->seed = (uint64_t)number;
        return true;
    } else if (strcmp(name, "--db") == 0) {
        peer->database = value;
        return true;
    } else {
        return false;
    }
    return number > 0;
}

void peer_parse(struct peer *peer, int argc, char **argv, const char *modes)
{
    *peer = (struct peer){
        .group = 1, .in_flight = 1, .hops = 2, .value_bytes = 256, .keys = 200000, .seconds = 3, .seed = 1};
    if (argc < 2 || argc % 2 != 0 || !strstr(modes, argv[1]))
        usage(argv[0], modes);
    peer->mode = argv[1];
    for (int i = 2; i + 1 < argc; i += 2)
        if (!take(peer, argv[i], argv[i + 1]))
            usage(argv[0], modes);
}

int64_t peer_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * ns_per_s + now.tv_nsec;
}

char *peer_path(struct peer *peer, const char *name)
{
    const char *root = getenv("TMPDIR");
    char *path = NULL;
    if (!*peer->folder) {
        root = root && *root == '/' && strlen(root) < 36 ? root : "/tmp";
        snprintf(peer->folder, sizeof(peer->folder), "%s/stigstore-peer-XXXXXX", root);
        if (!mkdtemp(peer->folder)) {
            *peer->folder = '\0';
            peer_fail(peer, "cannot make a folder: %s", strerror(errno));
        }
    }
    if (asprintf(&path, "%s/%s", peer->folder, name) < 0)
        peer_fail(peer, "no memory");
    return path;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    (void)stat;
    (void)type;
    (void)at;
    return remove(path);
}

static void remove_folder(struct peer *peer)
{
    if (*peer->folder) {
        nftw(peer->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        *peer->folder = '\0';
    }
}

void peer_begin(struct peer *peer)
{
    peer->begin_ns = peer_now_ns();
    peer->end_ns = peer->begin_ns + (int64_t)(peer->seconds * (double)ns_per_s);
}

bool peer_is_over(const struct peer *peer)
{
    return peer->operations > 0 && peer_now_ns() >= peer->end_ns;
}

void peer_record(struct peer *peer, int64_t begin_ns, uint64_t operations, uint64_t rows)
{
    histogram_record(&peer->latency, peer_now_ns() - begin_ns);
    peer->operations += operations;
    peer->rows += rows;
}

void peer_end(struct peer *peer)
{
    double seconds = (double)(peer_now_ns() - peer->begin_ns) / 1e9;
    const struct histogram *latency = &peer->latency;
    printf("{\"ops_per_s\":%.1f,\"rows_per_s\":%.1f,\"p50_us\":%.3f,\"p90_us\":%.3f,\"p99_us\":%.3f,\"max_us\":%.3f,"
           "\"operations\":%" PRIu64 "}\n",
           (double)peer->operations / seconds, (double)peer->rows / seconds,
           (double)histogram_percentile_ns(latency, 50) / 1e3, (double)histogram_percentile_ns(latency, 90) / 1e3,
           (double)histogram_percentile_ns(latency, 99) / 1e3, (double)latency->most_ns / 1e3, peer->operations);
    remove_folder(peer);
}

void peer_fail(struct peer *peer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    remove_folder(peer);
    exit(1);
}

void peer_noise(uint64_t seed, void *bytes, size_t size)
{
    struct draw draw = draw_seeded(seed, 1);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(draw_next(&draw) >> 32);
}

void peer_id(uint64_t key, char out[32])
{
    snprintf(out, 32, "here-%012" PRIu64, key);
}
