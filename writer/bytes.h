/*
 * bytes.h - bytes written one behind the other into memory that grows, and read back with every bound checked.
 *
 * Numbers are varints of 7 bits a byte, least significant first; signed ones are zigzag coded.
 */
#ifndef WRITER_BYTES_H
#define WRITER_BYTES_H
#include "proto/span.h"

#include <stdint.h>

struct bytes_writer {
    uint8_t *data;
    size_t size, capacity;
    bool failed; /* memory was short: nothing is written any more */
};
void bytes_put(struct bytes_writer *writer, const void *data, size_t size);
void bytes_put_byte(struct bytes_writer *writer, uint8_t byte);
void bytes_put_number(struct bytes_writer *writer, uint64_t number);
void bytes_put_signed(struct bytes_writer *writer, int64_t number);

struct bytes_reader {
    const uint8_t *data;
    size_t left;
    bool failed; /* what was read is not there: everything read from then on is 0 */
};
const void *bytes_get(struct bytes_reader *reader, size_t size); /* NULL when it is not there */
uint8_t bytes_get_byte(struct bytes_reader *reader);
uint64_t bytes_get_number(struct bytes_reader *reader);
int64_t bytes_get_signed(struct bytes_reader *reader);
#endif
