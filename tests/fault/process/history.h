/*
 * history.h - what all processes of a fault test did and heard, gathered from their journals.
 *
 * Owns: all of it, and the complaints.  Thread: one.
 * Invariant: `is_sure` only of what was acknowledged before the file was looked at.
 */
#ifndef TESTS_FAULT_PROCESS_HISTORY_H
#define TESTS_FAULT_PROCESS_HISTORY_H
#include "tests/fault/process/journal.h"

struct mutation {
    enum deed deed; /* 0: never submitted */
    uint32_t slot;
    uint64_t origin, origin_number; /* DEED_RETRY */
    bool has_result, is_sure;       /* sure: acknowledged OK before the look at the file */
    bool is_retried;                /* by a successor, which may be who applied it */
    int32_t status;
    uint32_t flags;
    uint64_t revision, count; /* of the acknowledgement, else of the file; 0: not known */
    unsigned rows;            /* audit records that name it */
};

struct handle_history {
    uint64_t handle;
    struct mutation *mutations; /* [0] is number 1 */
    size_t count;
    size_t seen; /* records that were there before the look */
};

struct inside { /* somebody had the database for himself */
    uint64_t handle;
    int64_t from_ns, to_ns;
};

struct history {
    struct handle_history *handles; /* ascending */
    size_t count;
    struct inside *insides;
    size_t inside_count;
    uint64_t reads_died; /* with two readers each */
};

struct complaints {
    unsigned of_kind[COMPLAINTS];
    unsigned count;
    bool is_quiet; /* they are expected */
};
void complain(struct complaints *complaints, uint32_t kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Before the look at the file: how long each journal is. After it: all of them. */
void history_begin(struct history *history, const char *folder);
void history_gather(struct history *history, const char *folder, struct complaints *complaints);
void history_free(struct history *history);

struct handle_history *history_handle(const struct history *history, uint64_t handle);
/* NULL: never submitted. */
struct mutation *history_mutation(const struct history *history, uint64_t handle, uint64_t number);
/* What its result says. */
bool mutation_is_refused(const struct mutation *mutation); /* surely not applied */
bool mutation_is_open(const struct mutation *mutation);    /* may be applied */
#endif
