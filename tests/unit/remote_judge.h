/*
 * remote_judge.h - writers to hold a client's session against: the rules written down anew, and the real table.
 */
#ifndef TESTS_REMOTE_JUDGE_H
#define TESTS_REMOTE_JUDGE_H
#include "proto/body.h"

enum verdict { VERDICT_APPLY, VERDICT_SETTLED, VERDICT_REFUSED };

struct judgement {
    enum verdict verdict;
    int status;        /* SETTLED, REFUSED */
    uint64_t revision; /* SETTLED */
    uint32_t flags;
    uint64_t number; /* REFUSED */
};

struct judge;
struct judge_ops {
    struct judge *(*create)(const uint8_t incarnation[INCARNATION_BYTES], uint64_t counter);
    void (*free)(struct judge *judge);
    struct judgement (*decide)(struct judge *judge, const struct session_header *header, uint64_t number);
    /* Right after APPLY for that number. */
    void (*settle)(struct judge *judge, int status, uint64_t revision, uint32_t flags);
    void (*commit)(struct judge *judge);
    /* Forgets every session, as if it had been idle for long; the new counter. */
    uint64_t (*evict)(struct judge *judge);
};
extern const struct judge_ops judge_of_rules, judge_of_writer;
#endif
