/*
 * arena.c - blocks that double from 1 KiB to 64 KiB; what does not fit in a quarter block gets one of its own.
 */
#include "proto/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BLOCK_BYTES = 1024, MOST_BLOCK_BYTES = 64 * 1024 };

struct block {
    struct block *next;
    size_t size; /* of the whole block */
    size_t used; /* from its beginning, this header included */
};

struct arena {
    struct block *blocks; /* the first one is the one that is being filled */
    size_t limit_bytes;
    size_t reserved_bytes;
    size_t next_block_bytes;
};

static const size_t alignment = _Alignof(max_align_t);

static size_t align_up(size_t size)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

struct arena *arena_new(size_t limit_bytes)
{
    struct arena *arena = calloc(1, sizeof *arena);

    if (!arena)
        return NULL;
    arena->limit_bytes = limit_bytes ? limit_bytes : SIZE_MAX;
    arena->next_block_bytes = FIRST_BLOCK_BYTES;
    return arena;
}

void arena_free(struct arena **arena)
{
    if (!arena || !*arena)
        return;
    for (struct block *block = (*arena)->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(*arena);
    *arena = NULL;
}

static struct block *add_block(struct arena *arena, size_t size)
{
    struct block *block;

    if (size > arena->limit_bytes - arena->reserved_bytes)
        return NULL;
    block = malloc(size);
    if (!block)
        return NULL;
    *block = (struct block){.size = size, .used = align_up(sizeof *block)};
    arena->reserved_bytes += size;
    return block;
}

/* A large piece stands behind the block being filled, whose rest goes on being used. */
static struct block *add_own_block(struct arena *arena, size_t size)
{
    struct block *block = add_block(arena, size);

    if (!block)
        return NULL;
    if (arena->blocks) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        arena->blocks = block;
    }
    return block;
}

static struct block *add_shared_block(struct arena *arena, size_t least)
{
    size_t room = arena->limit_bytes - arena->reserved_bytes;
    size_t size = arena->next_block_bytes < room ? arena->next_block_bytes : room;
    struct block *block = add_block(arena, size > least ? size : least);

    if (!block)
        return NULL;
    if (arena->next_block_bytes < MOST_BLOCK_BYTES)
        arena->next_block_bytes *= 2;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

static struct block *find_room(struct arena *arena, size_t size)
{
    const size_t header_bytes = align_up(sizeof(struct block));

    if (arena->blocks && size <= arena->blocks->size - arena->blocks->used)
        return arena->blocks;
    if (size > MOST_BLOCK_BYTES / 4)
        return add_own_block(arena, header_bytes + size);
    return add_shared_block(arena, header_bytes + size);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    struct block *block;
    void *piece;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = align_up(size ? size : 1);
    block = find_room(arena, size);
    if (!block)
        return NULL;
    assert(size <= block->size - block->used);
    piece = (char *)block + block->used;
    block->used += size;
    return piece;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
    void *piece;

    if (size && count > SIZE_MAX / size)
        return NULL;
    piece = arena_alloc(arena, count * size);
    if (piece)
        memset(piece, 0, count * size);
    return piece;
}

struct span arena_copy(struct arena *arena, struct span bytes)
{
    char *copy = bytes.size < SIZE_MAX ? arena_alloc(arena, bytes.size + 1) : NULL;

    if (!copy)
        return (struct span){NULL, 0};
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = '\0';
    return (struct span){copy, bytes.size};
}

const char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    char *text = NULL;
    int size;

    va_start(arguments, format);
    va_copy(again, arguments);
    size = vsnprintf(NULL, 0, format, arguments);
    if (size >= 0)
        text = arena_alloc(arena, (size_t)size + 1);
    if (text)
        vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text ? text : "out of memory";
}

void arena_reset(struct arena *arena)
{
    struct block *kept = NULL;

    for (struct block *block = arena->blocks, *next; block; block = next) {
        struct block *gone = block;
        next = block->next;
        if (block->size <= MOST_BLOCK_BYTES && (!kept || block->size > kept->size)) {
            gone = kept;
            kept = block;
        }
        if (gone)
            arena->reserved_bytes -= gone->size;
        free(gone);
    }
    if (kept) {
        kept->next = NULL;
        kept->used = align_up(sizeof *kept);
    }
    arena->blocks = kept;
}

size_t arena_bytes(const struct arena *arena)
{
    return arena->reserved_bytes;
}
