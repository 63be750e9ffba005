/*
 * import_history.h - which versions of a file a store has already, so that an import that broke off can run again.
 *
 * Owns: for each resource met so far, the versions that the store had before this run.  Thread: one.
 * Invariant: versions of one resource are asked for in the file's order, and each stored one is matched once at most.
 */
#ifndef CLI_IMPORT_HISTORY_H
#define CLI_IMPORT_HISTORY_H
#include "cli/transfer.h"
#include "stigstore.h"

struct import_history;

struct import_history *import_history_new(stigstore *store);
void import_history_free(struct import_history **history);

/* OK: *present tells. Else the status that asking the store ended with, NO_MEMORY included. */
int import_history_has(struct import_history *history, const Stigstore__Transfer__V1__Version *version, bool *present);
#endif
