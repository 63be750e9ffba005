/*
 * outcomes.h - outcomes of a run of consecutive numbers, as a ring: settled at the back, forgotten at the front.
 *
 * Owns: its entries.  Thread: one at a time.
 * Invariant: what was reserved can be pushed without an allocation.
 */
#ifndef WRITER_OUTCOMES_H
#define WRITER_OUTCOMES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a settled number ended with: the part of a reply that a resend needs again. */
struct session_outcome {
    uint16_t status;
    uint16_t flags;
    uint32_t failed_part;
    uint64_t revision;
    uint64_t count;
};

struct outcomes {
    struct session_outcome *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t head;
    size_t count;
};

/* Room for one more; false when memory is short. */
bool outcomes_reserve(struct outcomes *outcomes);
/* After outcomes_reserve. */
void outcomes_push(struct outcomes *outcomes, const struct session_outcome *outcome);
const struct session_outcome *outcomes_at(const struct outcomes *outcomes, size_t index);
void outcomes_drop_front(struct outcomes *outcomes, size_t count);
void outcomes_drop_back(struct outcomes *outcomes, size_t count);
/* Gives memory back that is not needed by far. */
void outcomes_trim(struct outcomes *outcomes);
void outcomes_clear(struct outcomes *outcomes);
#endif
