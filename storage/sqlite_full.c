/*
 * sqlite_full.c - a full disk: a reserve file that is given up, deletes out of it, and noticing that space came back.
 *
 * COMMIT, DELETE and checkpoint all need space, so without the reserve nothing could ever be freed.  Pages that deletes
 * free stay in the file; so when enough of them are free saves are taken again without a reserve, as long as no commit
 * makes the file grow.
 */
#include "proto/clock.h"
#include "storage/sqlite_writing.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PROBE_EVERY_S = 1, FREE_PAGES_ENOUGH = 1024 };

/* Makes the file hold `bytes` for certain; what it had is kept when there is no space. */
static bool reserve_space(int fd, off_t bytes)
{
    int error;
    do
        error = posix_fallocate(fd, 0, bytes);
    while (error == EINTR);
    return error == 0;
}

/* Space for twice as much must be there: what giving the reserve up frees is not space that came back. */
static bool take_reserve_of(struct sqlite_writing *writing, off_t bytes)
{
    int fd = open(writing->reserve_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool taken = reserve_space(fd, 2 * bytes) && ftruncate(fd, bytes) == 0;
    close(fd);
    if (!taken)
        unlink(writing->reserve_path);
    writing->has_reserve = taken;
    writing->reserve_bytes = taken ? bytes : writing->reserve_bytes;
    return taken;
}

bool sqlite_full_take_reserve(struct sqlite_writing *writing)
{
    for (off_t bytes = RESERVE_MOST_BYTES; bytes >= RESERVE_LEAST_BYTES; bytes /= 2)
        if (take_reserve_of(writing, bytes))
            return true;
    return false;
}

void sqlite_full_give_reserve(struct sqlite_writing *writing)
{
    unlink(writing->reserve_path);
    writing->has_reserve = false;
}

bool sqlite_full_allows(const struct request *request)
{
    if (request->operation == OPERATION_DELETE || request->operation == OPERATION_AUDIT_DELETE)
        return true;
    if (request->operation != OPERATION_TRANSACT)
        return false;
    for (size_t i = 0; i < request->part_count; i++)
        if (request->parts[i].operation == OPERATION_SAVE || request->parts[i].operation == OPERATION_AUDIT_SAVE)
            return false;
    return true;
}

/* What a checkpoint says that has no space to work in is no news. */
static int checkpoint_if_possible(struct sqlite_store *store)
{
    bool complete;
    int rc = sqlite_checkpoint_once(store, SQLITE_CHECKPOINT_PASSIVE, &complete);
    return sqlite_rc_is_full(store->db, rc) ? SQLITE_OK : rc;
}

int sqlite_full_enter(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    if (writing->is_full)
        return SQLITE_OK;
    if (writing->has_reserve && take_reserve_of(writing, writing->reserve_bytes))
        return SQLITE_OK; /* there is space: the transaction was too large, or a limit on the file's size stopped it */
    writing->is_full = true;
    writing->probe_ns = clock_boot_ns();
    sqlite_full_give_reserve(writing);
    log_line(&store->log, LOG_LEVEL_WARNING, "%s: no space left; only deletes are accepted", store->path);
    return checkpoint_if_possible(store);
}

static bool has_free_pages(struct sqlite_store *store)
{
    int64_t pages = 0;
    return sqlite_run_number(store, WRITE_FREE_COUNT, &pages) == SQLITE_OK && pages >= FREE_PAGES_ENOUGH;
}

int sqlite_full_probe(struct sqlite_store *store)
{
    struct sqlite_writing *writing = store->writing;
    int64_t now_ns = clock_boot_ns();
    if ((!writing->is_full && writing->has_reserve) || now_ns - writing->probe_ns < PROBE_EVERY_S * NS_PER_S)
        return SQLITE_OK;
    writing->probe_ns = now_ns;
    bool has_space = take_reserve_of(writing, writing->reserve_bytes);
    if (!writing->is_full)
        return SQLITE_OK;
    int rc = checkpoint_if_possible(store);
    if (rc != SQLITE_OK || (!has_space && !has_free_pages(store)))
        return rc;
    writing->is_full = false;
    log_line(&store->log, LOG_LEVEL_NOTICE, "%s: there is space again", store->path);
    return SQLITE_OK;
}
