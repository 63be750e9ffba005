/*
 * sqlite_range.c - prefixes of ids as half-open ranges of keys, bytewise, with no pattern matching.
 */
#include "storage/sqlite.h"

#include <assert.h>

static void set_from(struct sqlite_range *range, struct span bytes)
{
    if (bytes.size)
        memcpy(range->from, bytes.data, bytes.size);
    range->from_size = bytes.size;
}

void sqlite_range_make(struct sqlite_range *range, struct span prefix, struct span after)
{
    assert(prefix.size <= LIMIT_ID_BYTES && after.size <= LIMIT_ID_BYTES);
    if (after.size && span_compare(after, prefix) >= 0) {
        set_from(range, after);
        range->from[range->from_size++] = 0; /* the smallest id behind `after` */
    } else {
        set_from(range, prefix);
    }
    size_t size = prefix.size;
    while (size && ((const uint8_t *)prefix.data)[size - 1] == 0xFF)
        size--;
    range->is_open = size == 0;
    range->to_size = size;
    if (size) {
        memcpy(range->to, prefix.data, size);
        range->to[size - 1]++;
    }
}

void sqlite_range_cut(struct sqlite_range *range, struct span last)
{
    assert(last.size && last.size <= LIMIT_ID_BYTES);
    memcpy(range->to, last.data, last.size);
    range->to[last.size] = 0; /* the smallest id behind it */
    range->to_size = last.size + 1;
    range->is_open = false;
}

int sqlite_range_bind(sqlite3_stmt *statement, int index, const struct sqlite_range *range)
{
    int rc = sqlite_bind_text(statement, index, (struct span){range->from, range->from_size});
    if (rc != SQLITE_OK)
        return rc;
    struct span to = {range->to, range->to_size};
    return range->is_open ? sqlite3_bind_zeroblob(statement, index + 1, 0) : sqlite_bind_text(statement, index + 1, to);
}
