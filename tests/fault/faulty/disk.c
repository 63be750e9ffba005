/*
 * disk.c - a slow disk under the writer, and checkpoints that go wrong: linked into the faulty writer.
 *
 * $STIGSTORE_SYNC_MS: each sync takes so long. $STIGSTORE_FAULT: no-checkpoint (says that it moved the WAL, and does
 * not), waits-for-snapshots (commits wait until nobody holds a snapshot any more).
 */
#include "tests/fault/wrap.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int faulty_checkpoint(sqlite3 *db, const char *schema, int mode, int *frames, int *moved)
    INSTEAD_OF(sqlite3_wal_checkpoint_v2);
int real_checkpoint(sqlite3 *db, const char *schema, int mode, int *frames, int *moved) REAL(sqlite3_wal_checkpoint_v2);
/* Stands in the C library's place for SQLite. */
__attribute__((visibility("default"))) int slow_fdatasync(int fd) __asm__("fdatasync");

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

int slow_fdatasync(int fd)
{
    const char *ms = getenv("STIGSTORE_SYNC_MS");
    if (ms)
        sleep_ms(strtol(ms, NULL, 10));
    return (int)syscall(SYS_fdatasync, fd);
}

static int is_fault(const char *name)
{
    const char *fault = getenv("STIGSTORE_FAULT");
    return fault && strcmp(fault, name) == 0;
}

int faulty_checkpoint(sqlite3 *db, const char *schema, int mode, int *frames, int *moved)
{
    if (is_fault("no-checkpoint")) {
        *frames = *moved = 0;
        return SQLITE_OK;
    }
    int rc = real_checkpoint(db, schema, mode, frames, moved);
    while (is_fault("waits-for-snapshots") && mode == SQLITE_CHECKPOINT_RESTART && (rc & 0xFF) == SQLITE_BUSY) {
        sleep_ms(1);
        rc = real_checkpoint(db, schema, mode, frames, moved);
    }
    return rc;
}
