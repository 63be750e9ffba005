/*
 * flood.c - one thread that offers requests to a broker and keeps the account of their answers.
 */
#include "tests/fault/overload/flood.h"

#include "proto/clock.h"
#include "tests/fault/overload/peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    OUT_MOST = 16384,          /* messages that a peer has out in one lane */
    BACKLOG_MOST = 128 * 1024, /* bytes that the socket has not taken: then requests do not leave the client */
    BATCH_MOST = 64,
    BODIES = 16,
    WELCOME_MS = 60000,
    PATIENCE_MS = 20000, /* beyond the deadline */
};

struct message_out {
    uint64_t number; /* 0: free */
    uint32_t count;
};

struct flooder { /* a connection and what it has out, by lane */
    struct message_out *out[2];
    unsigned under_way; /* messages */
    unsigned turn;
};

struct flood {
    struct flood_options options;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint_fast64_t done;
    struct flood_counts counts;
    struct peer_link *peers;
    struct flooder *flooders;
    struct arena *arena;
    uint8_t *value;
    size_t next_peer, turn;
    struct body {
        uint8_t *data;
        size_t size;
    } bodies[2][BODIES]; /* of reads, of writes */
    char ids[FLOOD_IDS][8];
};

/* ---- answers ---- */

static void count_status(struct flood *flood, int status, uint64_t requests)
{
    struct flood_counts *counts = &flood->counts;
    if (status == STATUS_OK) {
        counts->done += requests;
        atomic_fetch_add(&flood->done, requests);
    } else if (status == STATUS_OVERLOADED || status == STATUS_NOT_READ) { /* to be sent again */
        counts->overloaded += requests;
    } else if (status == STATUS_DEADLINE_EXCEEDED) {
        counts->expired += requests;
    } else {
        counts->other += requests;
        counts->other_status = status;
    }
}

static void count_replies(struct flood *flood, const struct peer_message *message, uint32_t count)
{
    const struct reply *replies = NULL;
    size_t got = 0;
    arena_reset(flood->arena);
    if (message->envelope.status != STATUS_OK) {
        count_status(flood, message->envelope.status, count);
        return;
    }
    int status = body_decode_replies(message->body, message->size, flood->arena, &replies, &got);
    if (status != STATUS_OK || got != count) {
        count_status(flood, STATUS_CORRUPT, count);
        return;
    }
    bool is_behind = false; /* one that was not settled: the wire's word for the others of its message */
    for (size_t i = 0; i < got; i++) {
        is_behind = is_behind || replies[i].status == STATUS_DEADLINE_EXCEEDED;
        bool is_expired = is_behind && replies[i].status == STATUS_OUT_OF_ORDER;
        count_status(flood, is_expired ? STATUS_DEADLINE_EXCEEDED : replies[i].status, 1);
    }
}

static void take_answer(struct flood *flood, size_t index, const struct peer_message *message)
{
    struct flooder *flooder = &flood->flooders[index];
    unsigned lane = (message->envelope.flags & ENVELOPE_WRITE) != 0;
    struct message_out *out = &flooder->out[lane][message->envelope.first % OUT_MOST];
    if (message->envelope.type == MESSAGE_HELLO)
        return;
    if (message->envelope.type != MESSAGE_REPLY || out->number == 0 || out->number != message->envelope.first) {
        flood->counts.twice++;
        return;
    }
    out->number = 0;
    flooder->under_way--;
    count_replies(flood, message, out->count);
}

static unsigned take_answers(struct flood *flood)
{
    unsigned under_way = 0;
    for (size_t i = 0; i < flood->options.peers; i++) {
        struct peer_message message;
        while (peer_receive(&flood->peers[i], &message))
            take_answer(flood, i, &message);
        under_way += flood->peers[i].fd >= 0 ? flood->flooders[i].under_way : 0;
    }
    return under_way;
}

/* ---- requests ---- */

/* They are made once: a generator that shares its processors with the service must cost little. */
static void make_body(struct flood *flood, bool is_write, unsigned index)
{
    struct request requests[BATCH_MOST];
    for (unsigned i = 0; i < flood->options.batch; i++) {
        const char *id = flood->ids[(index * flood->options.batch + i) % FLOOD_IDS];
        requests[i] = (struct request){.operation = is_write ? OPERATION_SAVE : OPERATION_GET,
                                       .kind = span_text(is_write ? "flood" : "load"),
                                       .id = span_text(id),
                                       .deadline_ns = INT64_MAX};
        if (is_write)
            requests[i].data = (struct span){flood->value, flood->options.value_bytes};
    }
    struct body *body = &flood->bodies[is_write][index];
    body->size = body_requests_size(NULL, requests, flood->options.batch, INT64_MAX);
    body->data = malloc(body->size + 1);
    if (!body->data)
        abort();
    body_encode_requests(NULL, requests, flood->options.batch, INT64_MAX, body->data);
}

/* One message; false: the client keeps it, since its socket takes nothing more. */
static bool offer(struct flood *flood, size_t index)
{
    struct peer_link *peer = &flood->peers[index];
    struct flooder *flooder = &flood->flooders[index];
    bool is_write = flooder->turn++ % 4 < flood->options.writes_of_4;
    uint64_t number = is_write ? peer->next_write : peer->next_read;
    struct message_out *out = &flooder->out[is_write][number % OUT_MOST];
    const struct body *body = &flood->bodies[is_write][flood->turn++ % BODIES];
    uint32_t count = flood->options.batch;
    flood->counts.offered += flood->options.batch;
    if (peer->fd < 0 || out->number || peer->out.to - peer->out.from > BACKLOG_MOST) {
        flood->counts.withheld += flood->options.batch;
        return false;
    }
    *out = (struct message_out){.number = number, .count = count};
    flooder->under_way++;
    flood->counts.sent += count;
    peer_send_encoded(peer, is_write ? MESSAGE_WRITE : MESSAGE_READ, body->data, body->size, count,
                      clock_deadline_ns(flood->options.timeout_ms));
    return true;
}

static void fill_windows(struct flood *flood)
{
    for (size_t i = 0; i < flood->options.peers; i++)
        while (flood->flooders[i].under_way < flood->options.window && offer(flood, i)) {
        }
}

static void keep_rate(struct flood *flood, int64_t begin_ns)
{
    double due = flood->options.rate * (double)(clock_boot_ns() - begin_ns) / 1e9;
    while ((double)flood->counts.offered < due)
        offer(flood, flood->next_peer++ % flood->options.peers);
}

/* ---- the thread ---- */

static void wait_for_the_rest(struct flood *flood)
{
    uint32_t patience_ms = flood->options.patience_ms ? flood->options.patience_ms : PATIENCE_MS;
    int64_t until_ns = clock_deadline_ns(flood->options.timeout_ms + patience_ms);
    while (take_answers(flood) > 0 && clock_boot_ns() < until_ns)
        peers_wait(flood->peers, flood->options.peers, true, 10);
    for (size_t i = 0; i < flood->options.peers; i++) {
        for (size_t o = 0; o < 2 * OUT_MOST; o++) {
            struct message_out *out = &flood->flooders[i].out[o / OUT_MOST][o % OUT_MOST];
            flood->counts.unanswered += out->number ? out->count : 0;
            flood->counts.cut += out->number && flood->peers[i].fd < 0 ? out->count : 0;
        }
    }
}

static void *run(void *context)
{
    struct flood *flood = context;
    struct timespec used;
    int64_t begin_ns = clock_boot_ns();
    while (!atomic_load(&flood->stop)) {
        take_answers(flood);
        if (flood->options.window)
            fill_windows(flood);
        else
            keep_rate(flood, begin_ns);
        peers_wait(flood->peers, flood->options.peers, true, flood->options.window ? 10 : 1);
    }
    wait_for_the_rest(flood);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    flood->counts.processor_s = (double)used.tv_sec + (double)used.tv_nsec / 1e9;
    return NULL;
}

/* ---- life ---- */

static void flood_free(struct flood *flood)
{
    for (size_t i = 0; i < flood->options.peers; i++) {
        peer_close(&flood->peers[i]);
        free(flood->flooders[i].out[0]);
        free(flood->flooders[i].out[1]);
    }
    for (unsigned i = 0; i < 2 * BODIES; i++)
        free(flood->bodies[i / BODIES][i % BODIES].data);
    free(flood->peers);
    free(flood->flooders);
    free(flood->value);
    arena_free(&flood->arena);
    free(flood);
}

static bool connect_all(struct flood *flood)
{
    bool is_good = true;
    for (size_t i = 0; i < flood->options.peers; i++) {
        flood->flooders[i].out[0] = calloc(OUT_MOST, sizeof(struct message_out));
        flood->flooders[i].out[1] = calloc(OUT_MOST, sizeof(struct message_out));
        is_good = peer_open(&flood->peers[i], flood->options.endpoint) && is_good;
        is_good = is_good && flood->flooders[i].out[0] && flood->flooders[i].out[1];
        flood->flooders[i].turn = (unsigned)i;
    }
    for (size_t i = 0; is_good && i < flood->options.peers; i++)
        is_good = peer_wait_welcome(&flood->peers[i], WELCOME_MS);
    return is_good;
}

struct flood *flood_start(const struct flood_options *options)
{
    struct flood *flood = calloc(1, sizeof(*flood));
    flood->options = *options;
    flood->peers = calloc(options->peers, sizeof(*flood->peers));
    flood->flooders = calloc(options->peers, sizeof(*flood->flooders));
    flood->value = calloc(1, options->value_bytes + 1);
    flood->arena = arena_new(0);
    for (unsigned i = 0; i < FLOOD_IDS; i++)
        snprintf(flood->ids[i], sizeof(flood->ids[i]), "%u", i);
    for (unsigned i = 0; i < 2 * BODIES; i++)
        make_body(flood, i / BODIES, i % BODIES);
    if (!connect_all(flood) || pthread_create(&flood->thread, NULL, run, flood) != 0) {
        flood_free(flood);
        return NULL;
    }
    return flood;
}

uint64_t flood_done(const struct flood *flood)
{
    return atomic_load(&flood->done);
}

struct flood_counts flood_stop(struct flood **flood)
{
    atomic_store(&(*flood)->stop, true);
    pthread_join((*flood)->thread, NULL);
    struct flood_counts counts = (*flood)->counts;
    flood_free(*flood);
    *flood = NULL;
    return counts;
}
