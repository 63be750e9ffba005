/*
 * transfer.c - length-delimited protobuf records on a stream.
 */
#include "cli/transfer.h"

#include "proto/limits.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

enum { VARINT_BYTES = 10, RECORD_OVERHEAD_BYTES = 4096 };

bool transfer_write(FILE *out, const transfer_record *record)
{
    size_t size = stigstore__transfer__v1__record__get_packed_size(record);
    uint8_t *bytes = malloc(VARINT_BYTES + size);
    if (!bytes) {
        errno = ENOMEM;
        return false;
    }
    size_t at = 0;
    for (size_t rest = size;; rest >>= 7) {
        bytes[at++] = (uint8_t)(rest & 0x7f) | (rest > 0x7f ? 0x80 : 0);
        if (rest <= 0x7f)
            break;
    }
    at += stigstore__transfer__v1__record__pack(record, bytes + at);
    bool done = fwrite(bytes, 1, at, out) == at;
    free(bytes);
    return done;
}

static enum transfer_read end_of_file(FILE *in, bool inside)
{
    if (ferror(in))
        return TRANSFER_IO;
    return inside ? TRANSFER_DAMAGED : TRANSFER_EOF;
}

static enum transfer_read read_length(FILE *in, uint64_t *length)
{
    *length = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_BYTES; shift += 7) {
        int byte = getc_unlocked(in);
        if (byte == EOF)
            return end_of_file(in, shift > 0);
        if (shift == 63 && byte > 1)
            return TRANSFER_DAMAGED;
        *length |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return TRANSFER_RECORD;
    }
    return TRANSFER_DAMAGED;
}

enum transfer_read transfer_read(FILE *in, transfer_record **record)
{
    uint64_t length = 0;
    enum transfer_read outcome = read_length(in, &length);
    if (outcome != TRANSFER_RECORD)
        return outcome;
    if (length > LIMIT_DATA_BYTES_MOST + RECORD_OVERHEAD_BYTES)
        return TRANSFER_DAMAGED;
    uint8_t *bytes = malloc(length ? length : 1);
    if (!bytes) {
        errno = ENOMEM;
        return TRANSFER_IO;
    }
    if (fread(bytes, 1, length, in) != length) {
        free(bytes);
        return end_of_file(in, true);
    }
    *record = stigstore__transfer__v1__record__unpack(NULL, length, bytes);
    free(bytes);
    return *record ? TRANSFER_RECORD : TRANSFER_DAMAGED;
}

void transfer_free(transfer_record **record)
{
    if (*record) {
        stigstore__transfer__v1__record__free_unpacked(*record, NULL);
        *record = NULL;
    }
}
