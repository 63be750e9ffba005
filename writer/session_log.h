/*
 * session_log.h - the durable record of sessions: one delta-coded row a commit group, replayed at start.
 *
 * A row tells what its group changed.  A session is told whole when it is new; once that row is old it is told whole
 * again in the row of the present group, a few a group, so that rows can be dropped from the oldest on.
 *
 * Owns: the bytes of the row being made.  Thread: one at a time.
 * Invariant: the rows that are kept tell all that is live, whichever oldest ones of those dropped are still there.
 */
#ifndef WRITER_SESSION_LOG_H
#define WRITER_SESSION_LOG_H
#include "storage/storage.h"
#include "writer/session.h"

enum {
    SESSION_LOG_KEEP_ROWS = 512,  /* older than this a session is told again */
    SESSION_LOG_DROP_ROWS = 64,   /* they are given up so many at a time: each page is touched a few times only */
    SESSION_LOG_CARRY_BYTES = 256 /* told again in one row, and half of what else it holds */
};

struct session_log;

struct session_log *session_log_new(const uint8_t boot_id[16]);
void session_log_free(struct session_log **log);

/* One row, oldest first. OK or NO_MEMORY; a row that cannot be read marks the log as damaged. */
int session_log_replay(struct session_log *log, struct session_table *table, uint64_t sequence, struct span bytes,
                       int64_t now_ms);
/* After the last row. False: it is damaged and nothing of it is believed; the table is empty then, its counter must be
 * raised and session_log_last dropped through. */
bool session_log_finish(struct session_log *log, struct session_table *table);
uint64_t session_log_last(const struct session_log *log);

/* The row of the group that is staged and sealed; `record->bytes` is valid until the next call. OK or NO_MEMORY. */
int session_log_encode(struct session_log *log, const struct session_table *table, int64_t now_ms,
                       struct storage_session_record *record);
/* The row made last was committed as `sequence`; comes before session_commit. */
void session_log_committed(struct session_log *log, struct session_table *table, uint64_t sequence);
#endif
