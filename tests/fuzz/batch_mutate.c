/*
 * batch_mutate.c - changes a batch of requests field by field: bytes changed at random seldom stay protobuf.
 */
#include "proto/body.h"
#include "proto/limits.h"
#include "tests/fuzz/fuzz.h"

enum { REQUESTS_MOST = 16, TEXT_MOST = 1200, BASE_NS = 1000000000 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static uint64_t random_state;

static uint64_t roll(uint64_t most)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % most;
}

static uint64_t number(uint64_t now)
{
    static const uint64_t edges[] = {0, 1, 127, 128, 1024, 1025, UINT32_MAX, INT64_MAX, UINT64_MAX};
    switch (roll(4)) {
    case 0:
        return edges[roll(sizeof edges / sizeof edges[0])];
    case 1:
        return now ^ UINT64_C(1) << roll(64);
    case 2:
        return now + roll(16) - 8;
    default:
        return roll(128);
    }
}

/* Around the limits, or a little changed. */
static struct span text(struct span now, struct arena *arena)
{
    static const size_t sizes[] = {0,
                                   1,
                                   LIMIT_KIND_BYTES,
                                   LIMIT_KIND_BYTES + 1,
                                   LIMIT_KEY_BYTES,
                                   LIMIT_KEY_BYTES + 1,
                                   LIMIT_ID_BYTES,
                                   LIMIT_ID_BYTES + 1};
    uint8_t *bytes = arena_alloc(arena, TEXT_MOST);
    REQUIRE(bytes);
    size_t size = now.size < TEXT_MOST ? now.size : TEXT_MOST;
    if (size)
        memcpy(bytes, now.data, size);
    if (roll(2))
        return (struct span){bytes, LLVMFuzzerMutate(bytes, size, TEXT_MOST)};
    size = sizes[roll(sizeof sizes / sizeof sizes[0])];
    memset(bytes, (int)('a' + roll(26)), size);
    return (struct span){bytes, size};
}

/* Fewer, or as many as may be, or one more. */
static void change_parts(struct request *request, struct arena *arena)
{
    size_t count = roll(2) ? LIMIT_PARTS + roll(2) : roll(request->part_count + 1);
    if (count > request->part_count) {
        struct request *parts = arena_calloc(arena, count, sizeof *parts);
        REQUIRE(parts);
        if (request->part_count)
            memcpy(parts, request->parts, request->part_count * sizeof *parts);
        request->parts = parts;
    }
    request->part_count = count;
}

static void change(struct request *request, struct arena *arena)
{
    struct span *spans[] = {&request->kind,
                            &request->id,
                            &request->data,
                            &request->hash,
                            &request->tag,
                            &request->after,
                            &request->idempotency_key,
                            &request->idempotency_fingerprint};
    uint32_t *narrow[] = {&request->operation, &request->condition, &request->flags, &request->limit};
    size_t which = roll(18);
    if (which < 8)
        *spans[which] = text(*spans[which], arena);
    else if (which < 12)
        *narrow[which - 8] = (uint32_t)number(*narrow[which - 8]);
    else if (which == 12)
        request->if_revision = number(request->if_revision);
    else if (which == 13)
        request->created_ms = (int64_t)number((uint64_t)request->created_ms);
    else if (which == 14)
        request->idempotency_retention_s = number(request->idempotency_retention_s);
    else if (which == 15)
        request->deadline_ns = (int64_t)number((uint64_t)request->deadline_ns);
    else if (which == 16)
        change_parts(request, arena);
    else
        request->operation = (uint32_t)(1 + roll(OPERATION_KEY_LOOKUP));
}

/* 0: it does not fit. */
static size_t put_back(const struct request_batch *batch, const struct request *requests, size_t count, uint8_t *data,
                       size_t max_size)
{
    const struct session_header *session = batch->has_session && roll(8) ? &batch->session : NULL;
    size_t size = body_requests_size(session, requests, count, BASE_NS);
    if (size + 1 > max_size)
        return 0;
    body_encode_requests(session, requests, count, BASE_NS, data + 1);
    return size + 1;
}

static size_t change_one(uint8_t *data, size_t size, size_t max_size, struct arena *arena)
{
    struct request_batch batch;
    struct request requests[REQUESTS_MOST];
    if (body_decode_requests(data + 1, size - 1, BASE_NS, arena, &batch) != STATUS_OK || batch.count > REQUESTS_MOST)
        return 0;
    size_t count = batch.count, at = roll(count);
    memcpy(requests, batch.requests, count * sizeof requests[0]);
    if (count < REQUESTS_MOST && roll(8) == 0)
        requests[count++] = requests[at];
    struct request *request = &requests[at];
    if (request->part_count && roll(2)) {
        struct request *parts = arena_calloc(arena, request->part_count, sizeof *parts);
        REQUIRE(parts);
        memcpy(parts, request->parts, request->part_count * sizeof *parts);
        change(&parts[roll(request->part_count)], arena);
        request->parts = parts;
    } else {
        change(request, arena);
    }
    return put_back(&batch, requests, count, data, max_size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    size_t changed = 0;
    if (size > 1 && data[0] % 2 == 0 && roll(2)) {
        struct arena *arena = arena_new(0);
        REQUIRE(arena);
        changed = change_one(data, size, max_size, arena);
        arena_free(&arena);
    }
    return changed ? changed : LLVMFuzzerMutate(data, size, max_size);
}
