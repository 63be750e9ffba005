/*
 * bytes.c - a growing buffer, and a reader that stays failed once it has run past the end.
 */
#include "writer/bytes.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 512, NUMBER_BYTES = 10 };

static bool reserve(struct bytes_writer *writer, size_t size)
{
    size_t capacity = writer->capacity ? writer->capacity : FIRST_CAPACITY;
    uint8_t *data;

    if (writer->failed || size <= writer->capacity - writer->size)
        return !writer->failed;
    while (capacity - writer->size < size)
        capacity *= 2;
    data = realloc(writer->data, capacity);
    if (!data) {
        writer->failed = true;
        return false;
    }
    writer->data = data;
    writer->capacity = capacity;
    return true;
}

void bytes_put(struct bytes_writer *writer, const void *data, size_t size)
{
    if (size == 0 || !reserve(writer, size))
        return;
    memcpy(writer->data + writer->size, data, size);
    writer->size += size;
}

void bytes_put_byte(struct bytes_writer *writer, uint8_t byte)
{
    bytes_put(writer, &byte, 1);
}

void bytes_put_number(struct bytes_writer *writer, uint64_t number)
{
    uint8_t coded[NUMBER_BYTES];
    size_t size = 0;

    for (; number >= 0x80; number >>= 7)
        coded[size++] = (uint8_t)(number | 0x80);
    coded[size++] = (uint8_t)number;
    bytes_put(writer, coded, size);
}

void bytes_put_signed(struct bytes_writer *writer, int64_t number)
{
    bytes_put_number(writer, ((uint64_t)number << 1) ^ (number < 0 ? UINT64_MAX : 0));
}

const void *bytes_get(struct bytes_reader *reader, size_t size)
{
    const void *data = reader->data;

    if (reader->failed || size > reader->left) {
        reader->failed = true;
        return NULL;
    }
    reader->data += size;
    reader->left -= size;
    return data;
}

uint8_t bytes_get_byte(struct bytes_reader *reader)
{
    const uint8_t *byte = bytes_get(reader, 1);
    return byte ? *byte : 0;
}

uint64_t bytes_get_number(struct bytes_reader *reader)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 7 * NUMBER_BYTES; shift += 7) {
        uint8_t byte = bytes_get_byte(reader);
        if (shift == 63 && byte > 1)
            break;
        number |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return reader->failed ? 0 : number;
    }
    reader->failed = true;
    return 0;
}

int64_t bytes_get_signed(struct bytes_reader *reader)
{
    uint64_t number = bytes_get_number(reader);
    return (int64_t)((number >> 1) ^ (number & 1 ? UINT64_MAX : 0));
}
