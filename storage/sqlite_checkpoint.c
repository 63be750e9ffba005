/*
 * sqlite_checkpoint.c - moving the WAL into the database, between groups, on the connection that commits.
 *
 * PASSIVE as a rule.  Readers that follow each other back to back never leave a moment in which the WAL may begin
 * anew; above 4 MiB it is therefore tried again each millisecond, for a bounded time, with commits held up.
 */
#include "proto/clock.h"
#include "storage/sqlite_writing.h"

#include <assert.h>
#include <time.h>

int sqlite_checkpoint_once(struct sqlite_store *store, int mode, bool *complete)
{
    struct sqlite_writing *writing = store->writing;
    int frames = 0, moved = 0;
    sqlite3_busy_timeout(store->db, 0); /* the wait would not read the readers' marks again */
    int rc = sqlite3_wal_checkpoint_v2(store->db, "main", mode, &frames, &moved);
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    *complete = rc == SQLITE_OK && moved >= frames;
    if ((rc & 0xFF) == SQLITE_BUSY || (rc & 0xFF) == SQLITE_LOCKED) {
        writing->checkpoints_busy++;
        return SQLITE_OK;
    }
    writing->checkpoints += rc == SQLITE_OK;
    return rc;
}

static void sleep_1_ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
}

/* Until the next commit can begin the WAL anew, or the time is up; then not before it has grown by as much again. */
static int restart_wal(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    int64_t end_ns = clock_boot_ns() + RESTART_MOST_MS * NS_PER_MS;
    bool complete = false;
    int rc = SQLITE_OK;
    for (;;) {
        rc = sqlite_checkpoint_once(store, SQLITE_CHECKPOINT_RESTART, &complete);
        if (rc != SQLITE_OK || complete || clock_boot_ns() >= end_ns)
            break;
        sleep_1_ms();
    }
    writing->restart_at_frames = complete ? WAL_RESTART_FRAMES : writing->wal_frames + WAL_RESTART_FRAMES;
    return rc;
}

/* After a failed sync: pages that never reached the disk count as written until they are written again. */
static int pay_checkpoint(struct sqlite_store *store)
{
    bool complete;
    int rc = sqlite_checkpoint_once(store, SQLITE_CHECKPOINT_FULL, &complete);
    if (complete)
        store->writing->owes_checkpoint = false;
    return rc;
}

static int move_frames(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    bool complete;
    if (writing->owes_checkpoint)
        return pay_checkpoint(store);
    if (writing->wal_frames == writing->wal_checked_frames)
        return SQLITE_OK;
    if (writing->wal_frames < writing->wal_checked_frames) { /* it has begun anew */
        writing->wal_checked_frames = 0;
        writing->restart_at_frames = WAL_RESTART_FRAMES;
    }
    if (writing->wal_frames >= writing->restart_at_frames) {
        writing->wal_checked_frames = writing->wal_frames;
        return restart_wal(store);
    }
    if (writing->wal_frames < writing->wal_checked_frames + WAL_PASSIVE_FRAMES)
        return SQLITE_OK;
    writing->wal_checked_frames = writing->wal_frames;
    return sqlite_checkpoint_once(store, SQLITE_CHECKPOINT_PASSIVE, &complete);
}

int sqlite_checkpoint(struct storage *storage)
{
    struct sqlite_store *store = sqlite_of(storage);
    assert(store->writing && !store->writing->in_transaction);
    int rc = move_frames(store);
    if (sqlite_rc_is_full(rc))
        rc = sqlite_full_enter(store);
    if (rc == SQLITE_OK)
        rc = sqlite_full_probe(store);
    if (sqlite_rc_is_unknown(rc))
        return sqlite_writing_break(store, "the sync of a checkpoint failed");
    return sqlite_rc_is_full(rc) ? STATUS_OK : sqlite_status(store, rc);
}
