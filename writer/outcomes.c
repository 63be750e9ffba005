/*
 * outcomes.c - a ring whose capacity is a power of two, from 4 up.
 */
#include "writer/outcomes.h"

#include <assert.h>
#include <stdlib.h>

enum { LEAST_CAPACITY = 4 };

static bool resize(struct outcomes *outcomes, size_t capacity)
{
    struct session_outcome *entries = malloc(capacity * sizeof *entries);

    if (!entries)
        return false;
    for (size_t i = 0; i < outcomes->count; i++)
        entries[i] = *outcomes_at(outcomes, i);
    free(outcomes->entries);
    outcomes->entries = entries;
    outcomes->capacity = capacity;
    outcomes->head = 0;
    return true;
}

bool outcomes_reserve(struct outcomes *outcomes)
{
    if (outcomes->count < outcomes->capacity)
        return true;
    return resize(outcomes, outcomes->capacity ? outcomes->capacity * 2 : LEAST_CAPACITY);
}

void outcomes_push(struct outcomes *outcomes, const struct session_outcome *outcome)
{
    assert(outcomes->count < outcomes->capacity);
    outcomes->entries[(outcomes->head + outcomes->count++) & (outcomes->capacity - 1)] = *outcome;
}

const struct session_outcome *outcomes_at(const struct outcomes *outcomes, size_t index)
{
    assert(index < outcomes->count);
    return &outcomes->entries[(outcomes->head + index) & (outcomes->capacity - 1)];
}

void outcomes_drop_front(struct outcomes *outcomes, size_t count)
{
    assert(count <= outcomes->count);
    if (count)
        outcomes->head = (outcomes->head + count) & (outcomes->capacity - 1);
    outcomes->count -= count;
}

void outcomes_drop_back(struct outcomes *outcomes, size_t count)
{
    assert(count <= outcomes->count);
    outcomes->count -= count;
}

void outcomes_trim(struct outcomes *outcomes)
{
    /* The smallest ring stays: a handle that writes one after the other would make it anew each time. */
    if (outcomes->capacity > LEAST_CAPACITY && outcomes->count <= outcomes->capacity / 8)
        resize(outcomes, outcomes->capacity / 4 > LEAST_CAPACITY ? outcomes->capacity / 4 : LEAST_CAPACITY);
}

void outcomes_clear(struct outcomes *outcomes)
{
    free(outcomes->entries);
    *outcomes = (struct outcomes){0};
}
