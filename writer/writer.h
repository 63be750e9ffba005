/*
 * writer.h - apply mutations one group at a time on the only read-write connection, each exactly once.
 *
 * A plain library: the writer actor and the embedded lane feed it.
 * Owns: the storage, the session table.  Thread: one at a time.
 * Invariant: no reply is final before its transaction has committed.
 */
#ifndef WRITER_WRITER_H
#define WRITER_WRITER_H
#include "proto/body.h"
#include "storage/storage.h"

struct writer;

struct writer_options {
    uint64_t max_data_bytes; /* 0: the default */
    uint32_t max_sessions;   /* 0: LIMIT_SESSIONS */
    uint32_t session_idle_s; /* 0: LIMIT_SESSION_IDLE_S */
    struct log_sink log;
    int64_t (*wall_ms)(void); /* NULL: clock_wall_ms; tests step it back */
};

/* One message: a run of mutations of one session, or of one embedded handle without a session.  The caller's memory,
 * which stays until it is done. */
struct write_message {
    const struct request *requests;
    size_t count;
    struct reply *replies; /* `count`, filled in order */
    struct arena *arena;   /* where the replies' spans go */
    bool has_session;
    struct session_header session;
    uint64_t first;  /* number of requests[0] */
    uint64_t stream; /* without a session: the handle; messages of one stream go in order */
    uint8_t principal[PRINCIPAL_BYTES];
    uint8_t role;
    size_t settled; /* replies[0..settled) are final; done when it equals `count` */
    void *context;  /* the caller's */

    /* The writer's own, zero at first: a ranged delete in steps. */
    struct {
        bool active;
        uint64_t count;
        struct span last;
        uint64_t turn; /* when it made its last one */
    } step;
};

/* Loads the session log and takes the storage over (on failure too). */
int writer_new(struct storage **storage, const struct writer_options *options, struct writer **writer,
               struct failure *failure);
/* In order, before writer_free, which does it too but cannot say. OK, or STORAGE_UNKNOWN: a sync failed. */
int writer_end(struct writer *writer);
void writer_free(struct writer **writer);

/*
 * One transaction: takes from `messages`, in order, what one commit group may hold (LIMIT_GROUP_*), applies, commits.
 * Afterwards `settled` tells how far each came; those not done are handed in again, first and in the same order, with
 * later ones behind them.  A ranged delete is a transaction alone, or one step of it.  Each call settles something or
 * makes a step.  Requests are judged (request_check, role, deadline just before BEGIN) here.
 * OK, or STORAGE_UNKNOWN: nothing of this call may be answered, the writer must be freed.
 */
int writer_run(struct writer *writer, struct write_message *const *messages, size_t count);

/* Housekeeping between groups: checkpoint, disk-full probe; small expiry rides in groups. True: call again soon.
 * STORAGE_UNKNOWN in *status as above. */
bool writer_idle(struct writer *writer, int *status);
/* What is worth doing when nothing has come for a while, and doing it: OK or STORAGE_UNKNOWN. */
bool writer_wants_rest(const struct writer *writer);
int writer_rest(struct writer *writer);

struct storage *writer_storage(struct writer *writer); /* for backup, counters and embedded reads */
struct writer_counters {
    uint64_t groups, requests, replayed, out_of_order, below_floor, sessions, sessions_evicted;
};
void writer_counters(const struct writer *writer, struct writer_counters *counters);
#endif
