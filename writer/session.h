/*
 * session.h - which numbers of which session are settled and how: decisions as plain functions of state, event, time.
 *
 * Decisions are staged, group by group: a group decides and settles, then either all of it is committed or all of it
 * is forgotten.  Storage is not known here; session_log.h turns a staged group into bytes and back.
 *
 * Owns: every session and its outcomes.  Thread: one at a time.  Times are ms of CLOCK_BOOTTIME.
 * Invariant: numbers from a session's floor up to `next` are settled, none above is; a failed group leaves no trace.
 */
#ifndef WRITER_SESSION_H
#define WRITER_SESSION_H
#include "proto/body.h"
#include "proto/limits.h"
#include "writer/outcomes.h"

enum { SESSION_OUTCOMES_MOST = 1024 * 1024 }; /* of all sessions together */
#define SESSION_NUMBER_MOST (UINT64_MAX / 4)  /* sums of numbers never overflow */

/* A session belongs to its principal: the same id of another principal is another session. */
struct session_key {
    uint8_t principal[PRINCIPAL_BYTES];
    uint8_t id[SESSION_ID_BYTES];
};

/* How far a ranged delete in steps, which is always the number `next`, has come. */
struct session_step {
    bool active;
    uint64_t count;
    size_t last_bytes;
    void *last; /* malloc */
};

struct session_view {
    uint64_t floor; /* the highest seen */
    uint64_t next;  /* the lowest that is not settled */
    bool closed;
    struct session_step step;
};

enum session_order { SESSION_LIVE, SESSION_CLOSED, SESSION_BY_ROW, SESSION_ORDERS };
enum { SESSION_LINK_USE, SESSION_LINK_ROW, SESSION_LINKS };

struct session {
    struct session_key key;
    struct session_view now, staged;
    struct outcomes outcomes; /* of [now.floor, now.next), then the staged ones */
    size_t staged_count;
    uint64_t staged_first; /* number of the first staged outcome */
    int64_t used_ms, deadline_ms;
    bool touched;      /* by the present group */
    bool fresh;        /* made by the present group */
    bool step_changed; /* staged.step is its own */
    bool passed;       /* the floor rose past what the present group settled: that it is settled must be kept */
    bool leaving;      /* goes when the present group commits */

    /* What the log knows: its name there, the row that holds all of it, and how far later rows have told. */
    uint64_t serial;
    uint64_t base_row;
    uint64_t logged_floor, logged_next;

    struct {
        struct session *previous, *next;
    } links[SESSION_LINKS];
    struct session *next_by_key, *next_by_serial, *next_touched, *next_leaving;
};

struct session_limits {
    uint32_t sessions;
    int64_t idle_ms;
    size_t outcomes;
};

struct session_table {
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t counter, staged_counter; /* raised by evictions */
    struct session_limits limits;
    size_t count, leaving_count;
    uint64_t evicted, staged_evicted;
    size_t outcomes; /* of all sessions, those of the present group not counted */
    uint64_t next_serial;
    uint64_t seed;
    struct session **by_key, **by_serial;
    size_t buckets;
    struct {
        struct session *head, *tail;
    } orders[SESSION_ORDERS];
    struct session *touched, *leaving;
};

enum session_verdict {
    SESSION_APPLY,   /* it is the next one: apply it, then session_settle */
    SESSION_SETTLED, /* `outcome` again */
    SESSION_REFUSED, /* `status`, `number` */
};

struct session_decision {
    enum session_verdict verdict;
    struct session *session; /* valid until commit, abort or seal */
    int status;
    uint64_t number;
    struct session_outcome outcome;
};

/* NULL when memory is short. */
struct session_table *session_table_new(const struct session_limits *limits,
                                        const uint8_t incarnation[INCARNATION_BYTES], uint64_t counter);
void session_table_free(struct session_table **table);
/* Forgets all sessions; no group is staged. */
void session_table_clear(struct session_table *table);
struct session *session_find(const struct session_table *table, const struct session_key *key);

/* What is to be done with `number` of a message with this header. */
struct session_decision session_decide(struct session_table *table, const struct session_key *key,
                                       const struct session_header *header, uint64_t number, int64_t deadline_ms,
                                       int64_t now_ms);
/* Settles the next number. OK or NO_MEMORY. */
int session_settle(struct session *session, const struct session_outcome *outcome);
/* The next number, a ranged delete, has come so far. OK or NO_MEMORY. */
int session_progress(struct session *session, uint64_t count, struct span last);
/* After its last number was settled: from now on a tombstone. */
void session_close(struct session *session);

/* Before the group is recorded: drops what settled nothing and chooses who goes (idle, closed and past, beyond the
 * limits), a bounded number a group. */
void session_seal(struct session_table *table, int64_t now_ms);
/* Does the group hold anything that must be recorded? */
bool session_has_staged(const struct session_table *table);
bool session_is_changed(const struct session *session);
void session_commit(struct session_table *table);
void session_abort(struct session_table *table);

/* ---- for session_log ---- */
/* A session that the log tells of; `serial` is not in use. NULL when memory is short. */
struct session *session_restore(struct session_table *table, const struct session_key *key, uint64_t serial);
struct session *session_find_serial(const struct session_table *table, uint64_t serial);
/* Forgets what is known of it and begins at `floor`. */
void session_restart(struct session_table *table, struct session *session, uint64_t floor);
void session_touch(struct session_table *table, struct session *session);
void session_raise_floor(struct session *session, uint64_t floor);
void session_remove(struct session_table *table, struct session *session);
/* Outcome of a number in [staged floor, staged next) of a touched one, [floor, next) of another. */
const struct session_outcome *session_outcome_of(const struct session *session, uint64_t number);
void session_order_append(struct session_table *table, enum session_order order, struct session *session);
void session_order_remove(struct session_table *table, enum session_order order, struct session *session);
/* Puts the orders of use right after a replay. */
void session_sort_by_use(struct session_table *table);
#endif
