/*
 * script.c - see script.h.
 */
#include "tests/fault/power/script.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/fault/power/state.h"

#include <assert.h>

struct random random_new(uint64_t seed)
{
    return (struct random){seed * UINT64_C(0xD1342543DE82EF95) + 1};
}

uint32_t random_draw(struct random *random, uint32_t below)
{
    random->state = random->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random->state >> 33) % below);
}

static uint32_t draw_bytes(struct random *random)
{
    switch (random_draw(random, 40)) {
    case 0:
        return random_draw(random, 60000);
    case 1:
    case 2:
    case 3:
        return random_draw(random, 9000);
    default:
        return random_draw(random, 2000);
    }
}

static uint32_t draw_operation(struct random *random)
{
    static const uint32_t often[] = {OPERATION_SAVE,       OPERATION_SAVE,     OPERATION_SAVE,     OPERATION_SAVE,
                                     OPERATION_SAVE,       OPERATION_SAVE,     OPERATION_DELETE,   OPERATION_AUDIT_SAVE,
                                     OPERATION_AUDIT_SAVE, OPERATION_TRANSACT, OPERATION_TRANSACT, OPERATION_DELETE};
    static const uint32_t seldom[] = {OPERATION_DELETE_PREFIX, OPERATION_DELETE_KIND, OPERATION_AUDIT_DELETE,
                                      OPERATION_SKIP};

    if (random_draw(random, 10) == 0)
        return seldom[random_draw(random, sizeof seldom / sizeof *seldom)];
    return often[random_draw(random, sizeof often / sizeof *often)];
}

static void draw_parts(struct random *random, struct spec *spec)
{
    static const uint32_t operations[] = {OPERATION_SAVE, OPERATION_SAVE, OPERATION_DELETE, OPERATION_AUDIT_SAVE};

    spec->part_count = 1 + random_draw(random, SPEC_PARTS);
    for (unsigned i = 0; i < spec->part_count; i++) {
        struct spec_part *part = &spec->parts[i];
        *part = (struct spec_part){.operation = operations[random_draw(random, 4)],
                                   .id = (spec->id + i) % STATE_IDS,
                                   .bytes = random_draw(random, 1500)};
        if (part->operation == OPERATION_SAVE && random_draw(random, 4) == 0)
            part->condition = random_draw(random, 2) ? CONDITION_IF_ABSENT : CONDITION_IF_EXISTS;
    }
}

struct spec script_draw(struct random *random, uint32_t seed)
{
    struct spec spec = {.operation = draw_operation(random),
                        .kind = random_draw(random, STATE_KINDS),
                        .id = random_draw(random, STATE_IDS),
                        .seed = seed,
                        .bytes = draw_bytes(random),
                        .key = SPEC_NO_KEY};

    if (spec.operation == OPERATION_TRANSACT)
        draw_parts(random, &spec);
    if ((spec.operation == OPERATION_SAVE || spec.operation == OPERATION_DELETE) && random_draw(random, 5) == 0)
        spec.condition = random_draw(random, 2) ? CONDITION_IF_EXISTS : CONDITION_IF_ABSENT;
    if (spec.operation == OPERATION_DELETE && spec.condition == CONDITION_IF_ABSENT)
        spec.condition = CONDITION_IF_EXISTS;
    if (spec.operation != OPERATION_SKIP && random_draw(random, 12) == 0)
        spec.key = (int)random_draw(random, STATE_KEYS);
    return spec;
}

struct spec script_save(unsigned kind, unsigned id, uint32_t seed, uint32_t bytes)
{
    return (struct spec){
        .operation = OPERATION_SAVE, .kind = kind, .id = id, .seed = seed, .bytes = bytes, .key = SPEC_NO_KEY};
}

static struct span make_data(uint32_t seed, uint32_t bytes, struct arena *arena)
{
    struct random random = random_new(seed);
    uint8_t *data = arena_alloc(arena, bytes + 1);

    assert(data);
    for (uint32_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)random_draw(&random, 256);
    return (struct span){data, bytes};
}

static bool has_data(uint32_t operation)
{
    return operation == OPERATION_SAVE || operation == OPERATION_AUDIT_SAVE;
}

static void fill_names(struct request *request, const struct spec *spec)
{
    request->kind = span_text(state_kind(spec->kind));
    if (request->operation == OPERATION_DELETE_PREFIX)
        request->id = span_text(state_prefix(spec->id));
    else if (request->operation != OPERATION_DELETE_KIND)
        request->id = span_text(state_id(spec->id));
}

static void fill_parts(struct request *request, const struct spec *spec, struct arena *arena)
{
    struct request *parts = arena_calloc(arena, spec->part_count, sizeof *parts);

    assert(parts);
    for (unsigned i = 0; i < spec->part_count; i++) {
        const struct spec_part *from = &spec->parts[i];
        parts[i] = (struct request){.operation = from->operation,
                                    .condition = from->condition,
                                    .kind = span_text(state_kind(spec->kind)),
                                    .id = span_text(state_id(from->id)),
                                    .deadline_ns = request->deadline_ns};
        if (has_data(from->operation))
            parts[i].data = make_data(spec->seed + i, from->bytes, arena);
    }
    request->parts = parts;
    request->part_count = spec->part_count;
}

struct request script_request(const struct spec *spec, struct arena *arena)
{
    struct request request = {.operation = spec->operation,
                              .condition = spec->condition,
                              .flags = spec->flags,
                              .if_revision = spec->if_revision,
                              .deadline_ns = clock_boot_ns() + 1800 * NS_PER_S};

    if (spec->operation == OPERATION_SKIP)
        return request;
    if (spec->key != SPEC_NO_KEY)
        request.idempotency_key = span_text(state_key((unsigned)spec->key));
    if (spec->operation == OPERATION_TRANSACT) {
        fill_parts(&request, spec, arena);
        return request;
    }
    fill_names(&request, spec);
    if (has_data(spec->operation))
        request.data = make_data(spec->seed, spec->bytes, arena);
    return request;
}
