/*
 * sqlite_checkpoint.c - moving the WAL into the database, between groups, on the connection that commits.
 *
 * A busy store lets the WAL grow as long as the database (2 to 64 MiB with pages of 4 KiB): a page that many groups
 * write is then moved once; where groups are small, 4 MiB and some hundred commits are enough.  Then PASSIVE, after
 * which the next commit begins the WAL anew.  Readers that follow each other back to back never leave a moment in which
 * it may: when it grew on it is tried again each millisecond, for a bounded time, with commits held up.  A store at rest
 * moves what is left without waiting for anybody.
 */
#include "proto/clock.h"
#include "storage/sqlite_writing.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
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

int sqlite_wal_plan(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    int64_t pages = 0, page_bytes = 0, frames, kept_bytes;
    char sql[64];
    int rc = sqlite_run_number(store, WRITE_PAGE_COUNT, &pages);
    if (rc == SQLITE_OK)
        rc = sqlite_run_number(store, WRITE_PAGE_SIZE, &page_bytes);
    if (rc != SQLITE_OK)
        return rc;
    frames = pages < WAL_LEAST_FRAMES ? WAL_LEAST_FRAMES : pages > WAL_MOST_FRAMES ? WAL_MOST_FRAMES : pages;
    writing->restart_at_frames = (int)frames;
    if (writing->wal_long_frames == frames)
        return SQLITE_OK;
    writing->wal_long_frames = (int)frames;
    kept_bytes = (frames + frames / 2) * page_bytes; /* the last group may be a large one */
    snprintf(sql, sizeof sql, "PRAGMA journal_size_limit = %" PRId64,
             kept_bytes < WAL_KEPT_LEAST_BYTES ? (int64_t)WAL_KEPT_LEAST_BYTES : kept_bytes);
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL);
}

static void sleep_1_ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
}

/* Until the next commit can begin the WAL anew, or the time is up; then not before it has grown by a step. */
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
    if (rc == SQLITE_OK && complete)
        return sqlite_wal_plan(store);
    writing->restart_at_frames = writing->wal_frames + WAL_STEP_FRAMES;
    return rc;
}

/* On a full disk deletes have no room but what the reserve was, so the WAL must not grow there. */
static bool is_long(const struct sqlite_writing *writing)
{
    if (writing->is_full)
        return writing->wal_frames >= WAL_FULL_FRAMES;
    return writing->wal_frames >= writing->restart_at_frames ||
           (writing->wal_commits >= WAL_MOST_COMMITS &&
            writing->wal_frames >= writing->wal_checked_frames + WAL_STEP_FRAMES);
}

static int move_frames(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    bool first, complete;
    int rc = SQLITE_OK;
    if (writing->wal_frames < writing->wal_checked_frames) { /* it has begun anew */
        writing->wal_checked_frames = 0;
        rc = sqlite_wal_plan(store);
    }
    if (rc != SQLITE_OK || writing->wal_frames == writing->wal_checked_frames || !is_long(writing))
        return rc;
    if (writing->is_full)
        return restart_wal(store);
    first = writing->wal_checked_frames == 0;
    writing->wal_checked_frames = writing->wal_frames;
    writing->wal_commits = 0;
    if (!first)
        return restart_wal(store);
    writing->restart_at_frames = writing->wal_frames + WAL_STEP_FRAMES;
    return sqlite_checkpoint_once(store, SQLITE_CHECKPOINT_PASSIVE, &complete);
}

static int end_checkpoint(struct sqlite_store *store, int rc)
{
    if (sqlite_rc_is_full(store->db, rc))
        rc = sqlite_full_enter(store);
    if (rc == SQLITE_OK)
        rc = sqlite_full_probe(store);
    if (sqlite_rc_is_unknown(rc))
        return sqlite_writing_break(store, "the sync of a checkpoint failed");
    return sqlite_rc_is_full(store->db, rc) ? STATUS_OK : sqlite_status(store, rc);
}

int sqlite_checkpoint(struct storage *storage)
{
    struct sqlite_store *store = sqlite_of(storage);
    assert(store->writing && !store->writing->in_transaction);
    return end_checkpoint(store, move_frames(store));
}

bool sqlite_wants_rest(const struct storage *storage)
{
    const struct sqlite_writing *writing = ((const struct sqlite_store *)storage)->writing;
    int moved = writing->wal_checked_frames <= writing->wal_frames ? writing->wal_checked_frames : 0;
    return writing->wal_frames >= moved + WAL_LEAST_FRAMES;
}

int sqlite_rest(struct storage *storage)
{
    struct sqlite_store *store = sqlite_of(storage);
    bool complete;
    assert(store->writing && !store->writing->in_transaction);
    store->writing->wal_checked_frames = store->writing->wal_frames;
    store->writing->wal_commits = 0;
    return end_checkpoint(store, sqlite_checkpoint_once(store, SQLITE_CHECKPOINT_PASSIVE, &complete));
}
