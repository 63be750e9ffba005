/*
 * script.c - a fixed piece of work on one thread, whose instructions are counted (bench/instructions).
 *
 *     script put|get|wire COUNT FOLDER
 *
 * put, get: so many, of 500 keys with 256 bytes, in a new store in the folder, opened embedded.  wire: a save and its
 * reply, encoded and decoded, 16 a message.  All but the process's own start is the same from run to run.
 */
#include "bench/peers/peer.h"
#include "client/stigstore.h"
#include "proto/body.h"
#include "proto/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 500, VALUE_BYTES = 256, BATCH = 16, ID_BYTES = 32 };

static uint8_t value[VALUE_BYTES];

static void check(int status, const char *what)
{
    if (status == STIGSTORE_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, stigstore_status_text(status));
    exit(1);
}

static void put(stigstore *store, uint64_t key, stigstore_result **result)
{
    char id[ID_BYTES];
    peer_id(key % KEYS, id);
    check(stigstore_save_resource(store, stigstore_text("script"), stigstore_text(id),
                                  (stigstore_bytes){value, sizeof(value)}, result),
          "put");
}

static void get(stigstore *store, uint64_t key, stigstore_result **result)
{
    char id[ID_BYTES];
    peer_id(key * 7 % KEYS, id);
    check(stigstore_get_resource(store, stigstore_text("script"), stigstore_text(id), result), "get");
}

/* Without a sync, which is the kernel's work, and with the keys there. */
static void with_store(const char *folder, bool puts, uint64_t count)
{
    char path[512];
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    const stigstore_options options = {.struct_size = sizeof(options), .durability_normal = 1};
    snprintf(path, sizeof(path), "%s/script.sqlite", folder);
    check(stigstore_open(path, &options, &store, &result), "open");
    for (uint64_t i = 0; i < KEYS; i++)
        put(store, i, &result);
    for (uint64_t i = 0; i < count; i++)
        if (puts)
            put(store, i, &result);
        else
            get(store, i, &result);
    stigstore_result_free(&result);
    stigstore_free(&store);
}

static void one_message(struct arena *arena, uint8_t *body, size_t room, uint64_t first)
{
    static const struct session_header header = {.counter = 1, .floor = 1};
    struct request requests[BATCH];
    struct reply replies[BATCH];
    char ids[BATCH][ID_BYTES];
    struct request_batch batch;
    const struct reply *decoded;
    size_t count, size;
    for (size_t i = 0; i < BATCH; i++) {
        peer_id((first + i) % KEYS, ids[i]);
        requests[i] = (struct request){.operation = OPERATION_SAVE,
                                       .kind = span_text("script"),
                                       .id = span_text(ids[i]),
                                       .data = {value, sizeof(value)},
                                       .deadline_ns = 5000000000};
        replies[i] = (struct reply){.status = STATUS_OK, .revision = first + i + 1};
    }
    size = body_requests_size(&header, requests, BATCH, 5000000000);
    if (size > room)
        exit(1);
    body_encode_requests(&header, requests, BATCH, 5000000000, body);
    check(body_decode_requests(body, size, 5000000000, arena, &batch), "requests");
    size = body_replies_size(replies, BATCH);
    body_encode_replies(replies, BATCH, body);
    check(body_decode_replies(body, size, arena, &decoded, &count), "replies");
    arena_reset(arena);
}

static void on_the_wire(uint64_t count)
{
    static uint8_t body[64 * 1024];
    struct arena *arena = arena_new(0);
    for (uint64_t i = 0; arena && i < count; i += BATCH)
        one_message(arena, body, sizeof(body), i);
    arena_free(&arena);
}

int main(int argc, char **argv)
{
    uint64_t count = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
    peer_noise(1, value, sizeof(value));
    if (argc == 4 && strcmp(argv[1], "wire") == 0) {
        on_the_wire(count);
    } else if (argc == 4 && (strcmp(argv[1], "put") == 0 || strcmp(argv[1], "get") == 0)) {
        with_store(argv[3], strcmp(argv[1], "put") == 0, count);
    } else {
        fprintf(stderr, "usage: %s put|get|wire COUNT FOLDER\n", argv[0]);
        return 2;
    }
    return 0;
}
