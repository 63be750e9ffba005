/*
 * script.h - random requests that can be sent again: each is kept as a few numbers, from which its bytes are made anew.
 *
 * Owns: nothing.  Thread: any.
 */
#ifndef TESTS_FAULT_POWER_SCRIPT_H
#define TESTS_FAULT_POWER_SCRIPT_H
#include "proto/arena.h"
#include "proto/request.h"

struct random {
    uint64_t state;
};

enum { SPEC_PARTS = 3, SPEC_NO_KEY = -1 };

struct spec {
    uint32_t operation;
    uint32_t condition;
    uint32_t flags;
    unsigned kind, id;
    uint64_t if_revision;
    uint32_t seed, bytes; /* of the data */
    int key;
    unsigned part_count;
    struct spec_part {
        uint32_t operation, condition;
        unsigned id;
        uint32_t bytes;
    } parts[SPEC_PARTS];
};

struct random random_new(uint64_t seed);
/* Below `below`. */
uint32_t random_draw(struct random *random, uint32_t below);
/* One mutation; `seed` is no other one's. */
struct spec script_draw(struct random *random, uint32_t seed);
/* A save of so many bytes. */
struct spec script_save(unsigned kind, unsigned id, uint32_t seed, uint32_t bytes);
/* Without a deadline that could pass; in `arena`. */
struct request script_request(const struct spec *spec, struct arena *arena);
#endif
