/*
 * proto_body_support.h - random values, the same in every run, and protobuf-c's messages to hold ours against.
 */
#ifndef TESTS_PROTO_BODY_SUPPORT_H
#define TESTS_PROTO_BODY_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/body.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <stdlib.h>

#include "stigstore.pb-c.h"

typedef Stigstore__Wire__V1__Request wire_request;
typedef Stigstore__Wire__V1__RequestBatch wire_request_batch;
typedef Stigstore__Wire__V1__Item wire_item;
typedef Stigstore__Wire__V1__Reply wire_reply;
typedef Stigstore__Wire__V1__ReplyBatch wire_reply_batch;

struct fixture {
    struct arena *arena;
    int64_t base_ns;
    uint64_t random;
};

static inline int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    if (!fixture || !(fixture->arena = arena_new(0)))
        return -1;
    fixture->base_ns = clock_boot_ns() + 60 * NS_PER_S;
    fixture->random = 0x9E3779B97F4A7C15;
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *fixture = *state;

    arena_free(&fixture->arena);
    free(fixture);
    return 0;
}

/* ---- random values, the same in every run ---- */

static inline uint64_t next(struct fixture *fixture)
{
    fixture->random ^= fixture->random << 13;
    fixture->random ^= fixture->random >> 7;
    fixture->random ^= fixture->random << 17;
    return fixture->random;
}

/* Often zero, often at an edge of a varint's size. */
static inline uint64_t number(struct fixture *fixture)
{
    uint64_t draw = next(fixture);
    return draw % 3 == 0 ? 0 : next(fixture) >> (draw >> 32) % 64;
}

static inline struct span text(struct fixture *fixture, size_t most)
{
    size_t size = next(fixture) % 3 ? next(fixture) % (most + 1) : 0;
    unsigned char *bytes = arena_alloc(fixture->arena, size);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)next(fixture);
    return (struct span){bytes, size};
}

static inline void same_bytes(struct span ours, ProtobufCBinaryData theirs)
{
    assert_true(span_equal(ours, (struct span){theirs.data, theirs.len}));
}
#endif
