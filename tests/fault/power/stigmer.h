/*
 * stigmer.h - a file of Stigmer's own store, and what must become of it.
 */
#ifndef TESTS_FAULT_POWER_STIGMER_H
#define TESTS_FAULT_POWER_STIGMER_H
#include "tests/fault/power/world.h"

/* Makes it, synced, with schema 1 or 2; the world expects what an upgrade makes of it. */
void stigmer_make(struct world *world, const char *path, unsigned schema);
/* A copy of what it was lies beside it, whole. */
void stigmer_check_backup(struct world *world);
#endif
