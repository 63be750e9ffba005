/* result.c - results as callers get them. */
#include "client/result.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Items are handed out as they are. */
#define SAME_PLACE(field) (offsetof(struct item, field) == offsetof(stigstore_item, field))
static_assert(sizeof(struct item) == sizeof(stigstore_item), "an item is a stigstore_item");
static_assert(sizeof(struct span) == sizeof(stigstore_bytes), "a span is a stigstore_bytes");
static_assert(SAME_PLACE(kind) && SAME_PLACE(id) && SAME_PLACE(data) && SAME_PLACE(hash) && SAME_PLACE(tag),
              "an item is a stigstore_item");
static_assert(SAME_PLACE(revision) && SAME_PLACE(created_ms) && SAME_PLACE(updated_ms) && SAME_PLACE(data_bytes) &&
                  SAME_PLACE(status),
              "an item is a stigstore_item");

struct result_box *result_new(void)
{
    struct result_box *box = calloc(1, sizeof(*box));

    if (box)
        box->open.message = status_text(STATUS_OK);
    return box;
}

void result_free(struct result_box **box)
{
    if (!*box)
        return;
    arena_free(&(*box)->arena);
    free((*box)->collected);
    free(*box);
    *box = NULL;
}

void result_reset(struct result_box *box)
{
    if (box->arena)
        arena_reset(box->arena);
    free(box->collected);
    box->collected = NULL;
    box->collected_capacity = 0;
    box->next = NULL;
    box->open = (stigstore_result){.message = status_text(STATUS_OK)};
}

struct result_box *result_begin(stigstore_result **wanted)
{
    struct result_box *box;

    if (!wanted || !*wanted)
        return result_new();
    box = (struct result_box *)*wanted;
    result_reset(box);
    return box;
}

int result_end(struct result_box *box, stigstore_result **wanted)
{
    int status = box->open.status;

    if (wanted)
        *wanted = &box->open;
    else
        result_free(&box);
    return status;
}

void stigstore_result_free(stigstore_result **result)
{
    struct result_box *box;

    if (!result || !*result)
        return;
    box = (struct result_box *)*result;
    result_free(&box);
    *result = NULL;
}

void stigstore_results_free(stigstore_result **results, size_t count)
{
    for (size_t i = 0; results && i < count; i++)
        stigstore_result_free(&results[i]);
}

struct arena *result_arena(struct result_box *box)
{
    if (!box->arena)
        box->arena = arena_new(0);
    return box->arena;
}

/* ---- outcomes ---- */

int result_set(struct result_box *box, int status, const char *format, ...)
{
    char line[512];
    struct span copy = {NULL, 0};
    va_list arguments;

    box->open.status = status;
    box->open.message = status_text(status);
    if (!format)
        return status;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (result_arena(box))
        copy = arena_copy(box->arena, span_text(line));
    if (copy.data)
        box->open.message = copy.data;
    return status;
}

int result_set_failure(struct result_box *box, const struct failure *failure)
{
    return result_set(box, failure->status, failure->message[0] ? "%s" : NULL, failure->message);
}

/* A service may be newer than this library, or broken: callers get none but the statuses that they have. */
static int known_status(int status)
{
    return status >= STATUS_OK && status <= STATUS_INTERNAL ? status : STATUS_INTERNAL;
}

static void set_numbers(struct result_box *box, const struct reply *reply)
{
    box->open.status = known_status(reply->status);
    box->open.flags = reply->flags;
    box->open.revision = reply->revision;
    box->open.count = reply->count;
    box->open.retry_after_ms = reply->retry_after_ms;
    box->open.failed_part = reply->failed_part;
    box->open.message = status_text(box->open.status);
}

static void set_message(struct result_box *box, struct span message)
{
    struct span copy = {NULL, 0};

    if (message.size && result_arena(box))
        copy = arena_copy(box->arena, message);
    if (copy.data)
        box->open.message = copy.data;
}

static bool copy_span(struct arena *arena, struct span *span)
{
    if (!span->data)
        return true;
    *span = arena_copy(arena, *span);
    return span->data != NULL;
}

static bool copy_item(struct arena *arena, struct item *to, const struct item *from)
{
    *to = *from;
    return copy_span(arena, &to->kind) && copy_span(arena, &to->id) && copy_span(arena, &to->data) &&
           copy_span(arena, &to->hash) && copy_span(arena, &to->tag);
}

static const struct item *copy_items(struct arena *arena, const struct item *from, size_t count)
{
    struct item *to = arena ? arena_calloc(arena, count, sizeof(*to)) : NULL;

    for (size_t i = 0; to && i < count; i++)
        if (!copy_item(arena, &to[i], &from[i]))
            return NULL;
    return to;
}

void result_copy(struct result_box *box, const struct reply *reply, bool is_write)
{
    const struct item *items = NULL;

    set_numbers(box, reply);
    set_message(box, reply->message);
    if (reply->item_count == 0)
        return;
    items = copy_items(result_arena(box), reply->items, reply->item_count);
    if (items) {
        box->open.items = (const stigstore_item *)items;
        box->open.item_count = reply->item_count;
    } else if (!is_write) {
        result_set(box, STATUS_NO_MEMORY, NULL);
    }
}

void result_adopt(struct result_box *box, const struct reply *reply)
{
    set_numbers(box, reply);
    set_message(box, reply->message);
    box->open.items = (const stigstore_item *)reply->items;
    box->open.item_count = reply->item_count;
}

/* ---- lists that come in pieces ---- */

static int grow(struct result_box *box, size_t most)
{
    size_t capacity = box->collected_capacity ? box->collected_capacity : 64;
    struct item *grown;

    while (capacity < most)
        capacity *= 2;
    if (capacity == box->collected_capacity)
        return STATUS_OK;
    grown = reallocarray(box->collected, capacity, sizeof(*grown));
    if (!grown)
        return STATUS_NO_MEMORY;
    box->collected = grown;
    box->collected_capacity = capacity;
    box->open.items = (const stigstore_item *)grown;
    return STATUS_OK;
}

int result_collect(struct result_box *box, const struct reply *piece)
{
    if (!result_arena(box) || grow(box, box->open.item_count + piece->item_count) != STATUS_OK)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < piece->item_count; i++) {
        if (!copy_item(box->arena, &box->collected[box->open.item_count], &piece->items[i]))
            return STATUS_NO_MEMORY;
        box->open.item_count++;
    }
    if (piece->revision)
        box->open.revision = piece->revision;
    return STATUS_OK;
}

void result_collected(struct result_box *box, const struct reply *last)
{
    uint64_t revision = last->revision ? last->revision : box->open.revision;

    set_numbers(box, last);
    box->open.revision = revision;
    set_message(box, last->message);
}
