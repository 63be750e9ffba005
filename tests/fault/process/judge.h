/*
 * judge.h - holds a database file against the journals of those who wrote to it.
 */
#ifndef TESTS_FAULT_PROCESS_JUDGE_H
#define TESTS_FAULT_PROCESS_JUDGE_H
#include "tests/fault/process/history.h"

struct judged_figures { /* for the report */
    uint64_t sure, unknown_found, retried, insides, midway;
    uint64_t writes_died, reads_died; /* alone on two workers that died */
};

/*
 * Looks at the file on one snapshot while anybody may go on writing: what was acknowledged before is there, nothing is
 * there twice or in part, one handle's mutations have come in their order, and each revision belongs to one mutation.
 * `history` comes out gathered; the caller frees it.
 */
void judge_file(const char *database, const char *folder, struct history *history, struct complaints *complaints,
                struct judged_figures *figures);
#endif
