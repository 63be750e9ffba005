/*
 * span.h - bytes by pointer and length, borrowed from whoever owns them.
 *
 * Owns: nothing.  Thread: any.
 * Invariant: size > 0 implies data != NULL; an empty span may have either.
 */
#ifndef PROTO_SPAN_H
#define PROTO_SPAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct span {
    const void *data;
    size_t size;
};

/* A span of a C string without its terminator; NULL is empty. */
static inline struct span span_text(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

/* A C string of its own, for free(); NULL when memory is short. */
static inline char *span_string(struct span text)
{
    char *copy = malloc(text.size + 1);
    if (!copy)
        return NULL;
    if (text.size)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

/* Bytewise order as memcmp; a prefix sorts before what it begins. */
static inline int span_compare(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && span_compare(a, b) == 0;
}

static inline bool span_begins_with(struct span whole, struct span prefix)
{
    return prefix.size <= whole.size && (prefix.size == 0 || memcmp(whole.data, prefix.data, prefix.size) == 0);
}
#endif
