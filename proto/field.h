/*
 * field.h - protobuf fields as bytes: measure, write and walk them, one field at a time, within given bounds.
 *
 * Owns: nothing.  Thread: any.
 * Invariant: a walk never reads past the end it was given, and a field's bytes lie wholly inside it.
 */
#ifndef PROTO_FIELD_H
#define PROTO_FIELD_H
#include "proto/span.h"

#include <stdint.h>

enum field_wire { FIELD_VARINT = 0, FIELD_FIXED64 = 1, FIELD_LENGTH = 2, FIELD_FIXED32 = 5 };

/* ---- writing ---- */

static inline size_t varint_size(uint64_t value)
{
    /* One byte for each seven bits; zero takes one too. */
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static inline uint8_t *varint_put(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

/* Zero and empty are proto3's defaults, which are not written. */
static inline size_t field_number_size(unsigned field, uint64_t value)
{
    return value ? varint_size(field << 3) + varint_size(value) : 0;
}

static inline uint8_t *field_number_put(uint8_t *out, unsigned field, uint64_t value)
{
    return value ? varint_put(varint_put(out, field << 3 | FIELD_VARINT), value) : out;
}

/* A message is written also when it is empty. */
static inline size_t field_message_size(unsigned field, size_t size)
{
    return varint_size(field << 3) + varint_size(size) + size;
}

static inline uint8_t *field_message_put(uint8_t *out, unsigned field, size_t size)
{
    return varint_put(varint_put(out, field << 3 | FIELD_LENGTH), size);
}

static inline size_t field_bytes_size(unsigned field, struct span bytes)
{
    return bytes.size ? field_message_size(field, bytes.size) : 0;
}

static inline uint8_t *field_bytes_put(uint8_t *out, unsigned field, struct span bytes)
{
    if (bytes.size == 0)
        return out;
    out = field_message_put(out, field, bytes.size);
    memcpy(out, bytes.data, bytes.size);
    return out + bytes.size;
}

static inline uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

/* ---- walking ---- */

struct field_walk {
    const uint8_t *at;
    const uint8_t *end;
};

struct field {
    uint32_t number;
    enum field_wire wire;
    uint64_t value;    /* VARINT, FIXED32, FIXED64 */
    struct span bytes; /* LENGTH: inside what is walked */
};

enum field_step { FIELD_FOUND, FIELD_END, FIELD_MALFORMED };

static inline struct field_walk field_walk_start(struct span message)
{
    const uint8_t *at = message.data;
    return (struct field_walk){at, message.size ? at + message.size : at};
}

static inline bool varint_get(struct field_walk *walk, uint64_t *value)
{
    uint64_t sum = 0;

    for (unsigned shift = 0; shift < 70 && walk->at < walk->end; shift += 7) {
        uint8_t byte = *walk->at++;
        sum |= shift < 64 ? (uint64_t)(byte & 0x7F) << shift : 0;
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return false;
}

/* Groups, and numbers that protobuf does not have, are malformed. */
enum field_step field_next(struct field_walk *walk, struct field *field);
#endif
