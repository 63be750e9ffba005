/*
 * import_file.h - what `stigstore import` does with an open file and an open store.
 *
 * Thread: the main one.
 * Invariant: a record that was read whole before the file's damage is in the store, or the exit code says why not.
 */
#ifndef CLI_IMPORT_FILE_H
#define CLI_IMPORT_FILE_H
#include "cli/progress.h"
#include "stigstore.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct import_counts {
    uint64_t resources, versions; /* read */
    uint64_t present;             /* of those, were in the store already */
};

/* An exit code; what was wrong is printed, with the file called `name`. `replace`: saves over resources with other
 * content. */
int import_file(stigstore *store, FILE *in, const char *name, bool replace, struct progress *progress,
                struct import_counts *counts);
#endif
