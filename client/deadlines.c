/* deadlines.c - which queued call is due first: a binary heap, numbered from 1. */
#include "client/deadlines.h"
#include "proto/status.h"

#include <assert.h>
#include <stdlib.h>

struct deadlines {
    struct deadline **heap;
    size_t count, capacity;
};

struct deadlines *deadlines_new(void)
{
    return calloc(1, sizeof(struct deadlines));
}

void deadlines_free(struct deadlines **deadlines)
{
    if (!*deadlines)
        return;
    free((*deadlines)->heap);
    free(*deadlines);
    *deadlines = NULL;
}

int deadlines_reserve(struct deadlines *deadlines)
{
    size_t capacity = deadlines->capacity ? deadlines->capacity * 2 : 64;
    struct deadline **heap;

    if (deadlines->count + 1 < deadlines->capacity)
        return STATUS_OK;
    heap = reallocarray(deadlines->heap, capacity, sizeof(struct deadline *));
    if (!heap)
        return STATUS_NO_MEMORY;
    deadlines->heap = heap;
    deadlines->capacity = capacity;
    return STATUS_OK;
}

static void put(struct deadlines *deadlines, size_t place, struct deadline *deadline)
{
    deadlines->heap[place] = deadline;
    deadline->place = place;
}

static void rise(struct deadlines *deadlines, size_t place)
{
    struct deadline *deadline = deadlines->heap[place];

    for (; place > 1 && deadlines->heap[place / 2]->due_ns > deadline->due_ns; place /= 2)
        put(deadlines, place, deadlines->heap[place / 2]);
    put(deadlines, place, deadline);
}

static void sink(struct deadlines *deadlines, size_t place)
{
    struct deadline *deadline = deadlines->heap[place];

    for (;;) {
        size_t child = place * 2;
        if (child < deadlines->count && deadlines->heap[child + 1]->due_ns < deadlines->heap[child]->due_ns)
            child++;
        if (child > deadlines->count || deadlines->heap[child]->due_ns >= deadline->due_ns)
            break;
        put(deadlines, place, deadlines->heap[child]);
        place = child;
    }
    put(deadlines, place, deadline);
}

void deadlines_add(struct deadlines *deadlines, struct deadline *deadline, int64_t due_ns)
{
    assert(deadline->place == 0 && deadlines->count + 1 < deadlines->capacity);
    deadline->due_ns = due_ns;
    put(deadlines, ++deadlines->count, deadline);
    rise(deadlines, deadlines->count);
}

void deadlines_remove(struct deadlines *deadlines, struct deadline *deadline)
{
    size_t place = deadline->place;
    struct deadline *last;

    if (place == 0)
        return;
    assert(deadlines->heap[place] == deadline);
    last = deadlines->heap[deadlines->count--];
    deadline->place = 0;
    if (last == deadline)
        return;
    put(deadlines, place, last);
    rise(deadlines, place);
    sink(deadlines, last->place);
}

struct deadline *deadlines_first(const struct deadlines *deadlines)
{
    return deadlines->count ? deadlines->heap[1] : NULL;
}
