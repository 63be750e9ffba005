/*
 * value.h - contents that tell which write made them, so that whatever comes back can be judged.
 *
 * A value is a head (seed, key, stamp, count) and a piece of one random block.
 * Owns: the block.  Thread: any, nothing changes after values_new.
 */
#ifndef BENCH_VALUE_H
#define BENCH_VALUE_H
#include "stigstore.h"

#include <stdbool.h>

enum { VALUE_HEAD_BYTES = 32, VALUE_STEP_BYTES = 1024, VALUE_ID_BYTES = 32 };

struct values;

struct value_head {
    uint64_t key, stamp;
    uint64_t count; /* of a growing document: updates that are in it */
};

/* For values of up to `most_bytes`; NULL: no memory. */
struct values *values_new(uint64_t seed, size_t most_bytes);
void values_free(struct values **values);
/* Writes `bytes` (VALUE_HEAD_BYTES at least) to `out`. */
void value_fill(const struct values *values, const struct value_head *head, size_t bytes, uint8_t *out);
/* The head of `data`, if it is a value of ours; `whole`: every byte is looked at. */
bool value_check(const struct values *values, stigstore_bytes data, bool whole, struct value_head *head);

/* Documents are whole steps long and grow by one with each update: all that it was, under a new head, and one more
 * piece of the block. `out` has room for was.size + VALUE_STEP_BYTES; gives the new size. */
void document_fill(const struct values *values, const struct value_head *head, size_t bytes, uint8_t *out);
size_t document_grow(const struct values *values, const struct value_head *head, stigstore_bytes was, uint8_t *out);
bool document_check(const struct values *values, stigstore_bytes data, bool whole, struct value_head *head);
#endif
