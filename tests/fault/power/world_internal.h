/*
 * world_internal.h - what the parts of the world share.
 */
#ifndef TESTS_FAULT_POWER_WORLD_INTERNAL_H
#define TESTS_FAULT_POWER_WORLD_INTERNAL_H
#include "tests/fault/power/world.h"

/* What the handles had in flight was committed, or was not. */
void handles_learn(struct world *world, bool was_committed);
/* What was answered is forgotten where it lies behind `revision`: a power cut took it, as durability normal allows. */
void handles_lose(struct world *world, uint64_t revision);
/* They belong to another store now. */
void handles_renew(struct world *world);
#endif
