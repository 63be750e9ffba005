/*
 * remote_judge_rules.c - the writer's rules of a session, as the protocol states them, for one session at a time.
 */
#include "proto/limits.h"
#include "tests/unit/remote_judge.h"

#include <assert.h>
#include <stdlib.h>

enum { SESSIONS = 64, NUMBERS = 8192 };

struct outcome {
    bool settled;
    int status;
    uint64_t revision;
    uint32_t flags;
};
struct known {
    uint8_t id[SESSION_ID_BYTES];
    uint64_t floor, next;
    struct outcome outcomes[NUMBERS];
};
struct judge {
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t counter;
    struct known *known[SESSIONS];
    size_t count;
    struct known *present;
};

static struct judge *rules_create(const uint8_t incarnation[INCARNATION_BYTES], uint64_t counter)
{
    struct judge *judge = calloc(1, sizeof *judge);

    assert(judge);
    memcpy(judge->incarnation, incarnation, INCARNATION_BYTES);
    judge->counter = counter;
    return judge;
}

static void forget(struct judge *judge)
{
    while (judge->count)
        free(judge->known[--judge->count]);
}

static void rules_free(struct judge *judge)
{
    forget(judge);
    free(judge);
}

static struct known *find(struct judge *judge, const struct session_header *header)
{
    for (size_t i = 0; i < judge->count; i++)
        if (memcmp(judge->known[i]->id, header->id, SESSION_ID_BYTES) == 0)
            return judge->known[i];
    if (header->counter < judge->counter)
        return NULL;
    assert(judge->count < SESSIONS);
    struct known *known = calloc(1, sizeof *known);
    assert(known);
    memcpy(known->id, header->id, SESSION_ID_BYTES);
    known->floor = known->next = header->floor;
    return judge->known[judge->count++] = known;
}

static struct judgement refuse(int status, uint64_t number)
{
    return (struct judgement){.verdict = VERDICT_REFUSED, .status = status, .number = number};
}

static struct judgement rules_decide(struct judge *judge, const struct session_header *header, uint64_t number)
{
    struct known *known;

    if (memcmp(header->incarnation, judge->incarnation, INCARNATION_BYTES) != 0)
        return refuse(STATUS_OTHER_STORE, 0);
    known = judge->present = find(judge, header);
    if (!known)
        return refuse(STATUS_UNKNOWN_SESSION, judge->counter);
    if (header->floor > known->floor)
        known->floor = header->floor;
    if (known->next < known->floor)
        known->next = known->floor;
    if (number < known->floor)
        return refuse(STATUS_BELOW_FLOOR, known->floor);
    if (number < known->next) {
        const struct outcome *outcome = &known->outcomes[number];
        assert(outcome->settled);
        return (struct judgement){VERDICT_SETTLED, outcome->status, outcome->revision, outcome->flags, 0};
    }
    assert(number - header->floor < LIMIT_SESSION_WINDOW);
    if (number > known->next)
        return refuse(STATUS_OUT_OF_ORDER, known->next);
    return (struct judgement){.verdict = VERDICT_APPLY};
}

static void rules_settle(struct judge *judge, int status, uint64_t revision, uint32_t flags)
{
    struct known *known = judge->present;

    assert(known->next < NUMBERS);
    known->outcomes[known->next++] = (struct outcome){true, status, revision, flags};
}

static void rules_commit(struct judge *judge)
{
    (void)judge;
}

static uint64_t rules_evict(struct judge *judge)
{
    forget(judge);
    return ++judge->counter;
}

const struct judge_ops judge_of_rules = {rules_create, rules_free,   rules_decide,
                                         rules_settle, rules_commit, rules_evict};
