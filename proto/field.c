/*
 * field.c - the walk over one message's fields.
 */
#include "proto/field.h"
#include "proto/little_endian.h"

static size_t bytes_left(const struct field_walk *walk)
{
    return (size_t)(walk->end - walk->at);
}

static bool get_fixed(struct field_walk *walk, struct field *field)
{
    size_t size = field->wire == FIELD_FIXED64 ? 8 : 4;

    if (bytes_left(walk) < size)
        return false;
    field->value = size == 8 ? get_u64(walk->at) : get_u32(walk->at);
    walk->at += size;
    return true;
}

static bool get_bytes(struct field_walk *walk, struct field *field)
{
    uint64_t size;

    if (!varint_get(walk, &size) || size > bytes_left(walk))
        return false;
    field->bytes = (struct span){walk->at, (size_t)size};
    walk->at += size;
    return true;
}

enum field_step field_next(struct field_walk *walk, struct field *field)
{
    uint64_t key;
    bool fine = false;

    if (walk->at == walk->end)
        return FIELD_END;
    if (!varint_get(walk, &key) || key >> 3 == 0 || key >> 3 > 536870911)
        return FIELD_MALFORMED;
    field->number = (uint32_t)(key >> 3);
    field->wire = (enum field_wire)(key & 7);
    switch (field->wire) {
    case FIELD_VARINT:
        fine = varint_get(walk, &field->value);
        break;
    case FIELD_FIXED64:
    case FIELD_FIXED32:
        fine = get_fixed(walk, field);
        break;
    case FIELD_LENGTH:
        fine = get_bytes(walk, field);
        break;
    }
    return fine ? FIELD_FOUND : FIELD_MALFORMED;
}
