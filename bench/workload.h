/*
 * workload.h - the loads as shares of actions, and how they choose keys.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum action {
    ACTION_PUT,    /* overwrite, or make */
    ACTION_INSERT, /* make the next new key */
    ACTION_GET,
    ACTION_CHANGE, /* read, change, save if nothing changed since, and again */
    ACTION_SCAN,   /* 1 to 100 rows behind a key */
    ACTION_LIST,   /* all rows, as a stream */
    ACTION_AUDIT_SAVE,
    ACTION_AUDIT_BY_HASH,
    ACTION_AUDIT_BY_TAG,
    ACTION_COUNT
};

enum choice { CHOICE_UNIFORM, CHOICE_ZIPFIAN, CHOICE_LATEST };

struct workload {
    const char *name, *summary;
    uint8_t percent[ACTION_COUNT];
    enum choice choice;
    bool loads;     /* the keys are there before it begins */
    bool documents; /* values are growing documents, `value_bytes` at most */
    bool deletes;   /* the keys are deleted by prefix while others are put */
    bool archives;  /* works on audit records */
    uint64_t keys;
    size_t value_bytes;
};

extern const struct workload workload_load; /* what makes the keys at first: puts of one key after the other */
extern const struct workload workload_put;  /* what goes on beside others */
const struct workload *workload_find(const char *name); /* NULL: no such */
#endif
