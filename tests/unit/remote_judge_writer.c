/*
 * remote_judge_writer.c - the writer's own session table as a judge.
 */
#include "tests/unit/remote_judge.h"
#include "writer/session.h"

#include <assert.h>
#include <stdlib.h>

struct judge {
    struct session_table *table;
    struct session *present;
};

static struct judge *writer_create(const uint8_t incarnation[INCARNATION_BYTES], uint64_t counter)
{
    const struct session_limits limits = {
        .sessions = 1000, .idle_ms = 1000 * LIMIT_SESSION_IDLE_S, .outcomes = SESSION_OUTCOMES_MOST};
    struct judge *judge = calloc(1, sizeof *judge);

    assert(judge);
    judge->table = session_table_new(&limits, incarnation, counter);
    assert(judge->table);
    return judge;
}

static void writer_free(struct judge *judge)
{
    session_table_free(&judge->table);
    free(judge);
}

static struct judgement writer_decide(struct judge *judge, const struct session_header *header, uint64_t number)
{
    struct session_key key = {0};
    struct session_decision decision;

    memcpy(key.id, header->id, SESSION_ID_BYTES);
    decision = session_decide(judge->table, &key, header, number, 1000, 500);
    judge->present = decision.session;
    switch (decision.verdict) {
    case SESSION_APPLY:
        return (struct judgement){.verdict = VERDICT_APPLY};
    case SESSION_SETTLED:
        return (struct judgement){VERDICT_SETTLED, decision.outcome.status, decision.outcome.revision,
                                  decision.outcome.flags, 0};
    default:
        return (struct judgement){.verdict = VERDICT_REFUSED, .status = decision.status, .number = decision.number};
    }
}

static void writer_settle(struct judge *judge, int status, uint64_t revision, uint32_t flags)
{
    const struct session_outcome outcome = {.status = (uint16_t)status, .flags = (uint16_t)flags, .revision = revision};

    assert(session_settle(judge->present, &outcome) == STATUS_OK);
}

static void writer_commit(struct judge *judge)
{
    session_seal(judge->table, 500);
    session_commit(judge->table);
}

static uint64_t writer_evict(struct judge *judge)
{
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t counter = judge->table->counter + 1;
    const struct session_limits limits = judge->table->limits;

    memcpy(incarnation, judge->table->incarnation, sizeof incarnation);
    session_table_free(&judge->table);
    judge->table = session_table_new(&limits, incarnation, counter);
    assert(judge->table);
    return counter;
}

const struct judge_ops judge_of_writer = {writer_create, writer_free,   writer_decide,
                                          writer_settle, writer_commit, writer_evict};
