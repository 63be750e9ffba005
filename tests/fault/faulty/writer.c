/*
 * writer.c - a writer with a fault that tests must catch, linked from the real one's objects.
 *
 * $STIGSTORE_FAULT says which: early-reply (answers before it commits), no-sessions (does not keep the numbers of
 * sessions, so that what is resent is applied again), out-of-order (applies a number although one before it is missing,
 * and takes messages in another order than they came), lost-reply (now and then commits and does not answer).
 */
#include "writer/writer.h"
#include "actor/worker.h"
#include "tests/fault/wrap.h"
#include "writer/session.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DELAY_MS = 20, LOST_EACH = 200 };

int faulty_step(sqlite3_stmt *statement) INSTEAD_OF(sqlite3_step);
int real_step(sqlite3_stmt *statement) REAL(sqlite3_step);
bool faulty_idle(struct writer *writer, int *status) INSTEAD_OF(writer_idle);
bool real_idle(struct writer *writer, int *status) REAL(writer_idle);
int faulty_run(struct writer *writer, struct write_message *const *messages, size_t count) INSTEAD_OF(writer_run);
int real_run(struct writer *writer, struct write_message *const *messages, size_t count) REAL(writer_run);
struct session_decision faulty_decide(struct session_table *table, const struct session_key *key,
                                      const struct session_header *header, uint64_t number, int64_t deadline_ms,
                                      int64_t now_ms) INSTEAD_OF(session_decide);
struct session_decision real_decide(struct session_table *table, const struct session_key *key,
                                    const struct session_header *header, uint64_t number, int64_t deadline_ms,
                                    int64_t now_ms) REAL(session_decide);
int faulty_settle(struct session *session, const struct session_outcome *outcome) INSTEAD_OF(session_settle);
int real_settle(struct session *session, const struct session_outcome *outcome) REAL(session_settle);
void faulty_reply(struct worker *worker, const struct worker_message *to, int32_t status, void *body, size_t size,
                  uint32_t count) INSTEAD_OF(worker_reply);
void real_reply(struct worker *worker, const struct worker_message *to, int32_t status, void *body, size_t size,
                uint32_t count) REAL(worker_reply);

static bool is_fault(const char *name)
{
    static const char *fault;
    if (!fault)
        fault = getenv("STIGSTORE_FAULT") ? getenv("STIGSTORE_FAULT") : "";
    return strcmp(fault, name) == 0;
}

/* ---- early-reply ---- */

static sqlite3 *owed; /* the connection whose COMMIT is owed */

static void commit_late(void)
{
    if (!owed)
        return;
    sqlite3 *db = owed;
    owed = NULL;
    nanosleep(&(struct timespec){.tv_nsec = DELAY_MS * 1000000L}, NULL);
    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

int faulty_step(sqlite3_stmt *statement)
{
    if (is_fault("early-reply") && !owed && strcmp(sqlite3_sql(statement), "COMMIT") == 0) {
        owed = sqlite3_db_handle(statement);
        return SQLITE_DONE;
    }
    return real_step(statement);
}

/* Called when the answers have gone out. */
bool faulty_idle(struct writer *writer, int *status)
{
    commit_late();
    return real_idle(writer, status);
}

/* ---- no-sessions, out-of-order ---- */

static bool is_ahead; /* the number that is being applied */

static void forget_session(struct write_message *message)
{
    message->has_session = false;
    memcpy(&message->stream, message->session.id, sizeof(message->stream));
}

static int run_one_by_one(struct writer *writer, struct write_message *const *messages, size_t count)
{
    int status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = real_run(writer, messages + i, 1);
    return status;
}

int faulty_run(struct writer *writer, struct write_message *const *messages, size_t count)
{
    struct write_message *backwards[4096];
    if (is_fault("no-sessions"))
        for (size_t i = 0; i < count; i++)
            forget_session(messages[i]);
    if (is_fault("one-by-one"))
        return run_one_by_one(writer, messages, count);
    if (!is_fault("out-of-order") || count > sizeof(backwards) / sizeof(*backwards))
        return real_run(writer, messages, count);
    for (size_t i = 0; i < count; i++)
        backwards[i] = messages[count - 1 - i];
    return real_run(writer, backwards, count);
}

struct session_decision faulty_decide(struct session_table *table, const struct session_key *key,
                                      const struct session_header *header, uint64_t number, int64_t deadline_ms,
                                      int64_t now_ms)
{
    struct session_decision decision = real_decide(table, key, header, number, deadline_ms, now_ms);
    if (is_fault("out-of-order") && decision.verdict == SESSION_REFUSED && decision.status == STATUS_OUT_OF_ORDER) {
        decision.verdict = SESSION_APPLY;
        decision.session = session_find(table, key);
        is_ahead = true;
    } else {
        is_ahead = false;
    }
    return decision;
}

/* What is ahead of its turn has no place in the record yet. */
int faulty_settle(struct session *session, const struct session_outcome *outcome)
{
    return is_ahead ? STATUS_OK : real_settle(session, outcome);
}

/* ---- lost-reply ---- */

void faulty_reply(struct worker *worker, const struct worker_message *to, int32_t status, void *body, size_t size,
                  uint32_t count)
{
    static unsigned replies;
    if (is_fault("lost-reply") && ++replies % LOST_EACH == 0) {
        free(body);
        return;
    }
    real_reply(worker, to, status, body, size, count);
}
