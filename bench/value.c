/*
 * value.c - contents that can be judged.
 */
#include "bench/value.h"

#include "bench/draw.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { OFFSETS = 4096 };

struct values {
    uint64_t magic;
    size_t most_bytes;
    uint8_t *block;
};

struct values *values_new(uint64_t seed, size_t most_bytes)
{
    size_t block_bytes = (most_bytes + OFFSETS + VALUE_STEP_BYTES + 7) / 8 * 8;
    struct draw draw = draw_seeded(seed, 0);
    struct values *values = malloc(sizeof(*values));
    uint8_t *block = malloc(block_bytes);
    if (!values || !block) {
        free(values);
        free(block);
        return NULL;
    }
    *values = (struct values){draw_next(&draw), most_bytes, block};
    for (size_t i = 0; i < block_bytes; i += 8) {
        uint64_t word = draw_next(&draw);
        memcpy(block + i, &word, sizeof(word));
    }
    return values;
}

void values_free(struct values **values)
{
    if (*values) {
        free((*values)->block);
        free(*values);
        *values = NULL;
    }
}

static void write_head(const struct values *values, const struct value_head *head, uint8_t *out)
{
    const uint64_t words[VALUE_HEAD_BYTES / 8] = {values->magic, head->key, head->stamp, head->count};
    memcpy(out, words, sizeof(words));
}

static bool read_head(const struct values *values, stigstore_bytes data, struct value_head *head)
{
    uint64_t words[VALUE_HEAD_BYTES / 8];
    if (data.size < sizeof(words) || data.size > values->most_bytes)
        return false;
    memcpy(words, data.data, sizeof(words));
    *head = (struct value_head){words[1], words[2], words[3]};
    return words[0] == values->magic;
}

/* The last bytes alone, unless `whole`: that the value is all there costs next to nothing then. */
static bool same_rest(stigstore_bytes data, const uint8_t *rest, bool whole)
{
    size_t size = data.size - VALUE_HEAD_BYTES, skip = !whole && size > 8 ? size - 8 : 0;
    return memcmp((const uint8_t *)data.data + VALUE_HEAD_BYTES + skip, rest + skip, size - skip) == 0;
}

void value_fill(const struct values *values, const struct value_head *head, size_t bytes, uint8_t *out)
{
    assert(bytes >= VALUE_HEAD_BYTES && bytes <= values->most_bytes);
    write_head(values, head, out);
    memcpy(out + VALUE_HEAD_BYTES, values->block + head->stamp % OFFSETS, bytes - VALUE_HEAD_BYTES);
}

bool value_check(const struct values *values, stigstore_bytes data, bool whole, struct value_head *head)
{
    return read_head(values, data, head) && same_rest(data, values->block + head->stamp % OFFSETS, whole);
}

void document_fill(const struct values *values, const struct value_head *head, size_t bytes, uint8_t *out)
{
    assert(bytes >= VALUE_STEP_BYTES && bytes <= values->most_bytes);
    write_head(values, head, out);
    memcpy(out + VALUE_HEAD_BYTES, values->block, bytes - VALUE_HEAD_BYTES);
}

size_t document_grow(const struct values *values, const struct value_head *head, stigstore_bytes was, uint8_t *out)
{
    size_t bytes = was.size + VALUE_STEP_BYTES;
    assert(was.size >= VALUE_HEAD_BYTES && bytes <= values->most_bytes);
    memcpy(out, was.data, was.size);
    write_head(values, head, out);
    memcpy(out + was.size, values->block + was.size - VALUE_HEAD_BYTES, VALUE_STEP_BYTES);
    return bytes;
}

bool document_check(const struct values *values, stigstore_bytes data, bool whole, struct value_head *head)
{
    return read_head(values, data, head) && data.size % VALUE_STEP_BYTES == 0 && same_rest(data, values->block, whole);
}
