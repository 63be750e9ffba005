/*
 * file_restore.c - put a checked copy in a database's place while nobody owns it.
 *
 * The copy is made and synced beside the database first.  The old -wal and -shm go before the rename, since a -wal laid
 * beside another database would be replayed into it; and before they go the old database gets what the -wal holds.  So
 * there is a whole database at the path at every moment.
 */
#include "proto/clock.h"
#include "storage/file_internal.h"
#include "storage/lock.h"
#include "storage/path.h"
#include "storage/schema.h"
#include "storage/sqlite.h"
#include "storage/wal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_target(const char *from, const char *to, struct failure *failure)
{
    struct stat source, target;
    enum file_kind kind = file_inspect(to, failure);

    if (stat(from, &source) == 0 && stat(to, &target) == 0 && source.st_dev == target.st_dev &&
        source.st_ino == target.st_ino)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s: is the database itself", from);
    if (kind == FILE_FOREIGN || kind == FILE_BADGER)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "%s: is no stigstore database; move it away before restoring there", to);
    return STATUS_OK;
}

static int take_lock(struct lock *lock, const char *to, struct failure *failure)
{
    struct lock_holder holder;
    int status = lock_take(lock, LOCK_OWNER, &holder);

    if (status == STATUS_OK)
        status = lock_take(lock, LOCK_WRITER, &holder);
    if (status == STATUS_BUSY)
        return failure_set(failure, status, "%s: process %lld on %s owns it; stop it first", to, (long long)holder.pid,
                           holder.host[0] ? holder.host : "this host");
    return status == STATUS_OK ? status : failure_set(failure, status, "%s: cannot take its lock", to);
}

struct first_finding {
    char line[256];
};

static void keep_first(void *context, bool is_notice, const char *line)
{
    struct first_finding *first = context;

    if (!is_notice && !first->line[0])
        snprintf(first->line, sizeof first->line, "%s", line);
}

static int check_copy(const char *path, struct failure *failure)
{
    struct first_finding first = {""};
    int status = file_verify(path, keep_first, &first, failure);

    if (status == STATUS_CORRUPT)
        failure_set(failure, status, "the copy is damaged: %s", first.line);
    return status;
}

/* A database put back twice from one copy lives two lives: each is told apart by an incarnation of its own. Stigmer's
 * files get theirs when they are upgraded. */
static int renew_incarnation(const char *path, struct failure *failure)
{
    struct schema_meta meta;
    sqlite3 *db = NULL;
    bool found = false;
    int status = STATUS_OK;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE", NULL, NULL,
                          NULL);
    if (rc == SQLITE_OK)
        rc = schema_load_meta(db, &meta, &found);
    if (rc == SQLITE_OK && found) {
        random_bytes(meta.incarnation, sizeof meta.incarnation);
        rc = schema_store_meta(db, &meta);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        status = sqlite_fail_own(db, rc, path, failure);
    sqlite3_close(db);
    return status;
}

static int copy_source(const char *from, const char *unfinished, struct failure *failure)
{
    sqlite3 *source;
    int rc = file_open_for_reading(from, &source);
    int status =
        rc == SQLITE_OK ? file_copy_database(source, unfinished, failure) : sqlite_fail(source, rc, from, failure);

    sqlite3_close(source);
    return status;
}

static void remove_beside(const char *path, const char *suffix)
{
    char *name = path_beside(path, suffix);

    if (name)
        unlink(name);
    free(name);
}

static bool is_gone_beside(const char *path, const char *suffix)
{
    char *name = path_beside(path, suffix);
    struct stat entry;
    bool gone = name && lstat(name, &entry) != 0 && errno == ENOENT;

    free(name);
    return gone;
}

/* Moves the whole -wal into the database, or plays its journal back. An SQLite result code; BUSY: somebody reads it. */
static int bring_in_wal(sqlite3 *db)
{
    int frames = 0, moved = 0;
    int rc = sqlite3_busy_timeout(db, 1000);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA synchronous = FULL; SELECT count(*) FROM sqlite_schema; BEGIN IMMEDIATE", NULL,
                          NULL, NULL);
    if (rc == SQLITE_OK) /* as whoever opens it for writing does; the checkpoint syncs it before it moves anything */
        rc = wal_rewrite(db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_FULL, &frames, &moved);
    return rc == SQLITE_OK && moved < frames ? SQLITE_BUSY : rc;
}

static int make_whole(const char *path, struct failure *failure)
{
    sqlite3 *db = NULL;
    struct failure why;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int status = STATUS_OK;

    if (rc == SQLITE_OK)
        rc = bring_in_wal(db);
    if (rc != SQLITE_OK)
        status = sqlite_fail(db, rc, path, &why);
    sqlite3_close(db);
    if (status == STATUS_OK || status == STATUS_CORRUPT) /* a damaged one is not made worse */
        return STATUS_OK;
    return failure_set(failure, status, "what stands in %s-wal cannot be brought in first: %s", path, why.message);
}

/* The database that is to be replaced must be whole without its -wal. */
static int settle_target(const char *to, struct failure *failure)
{
    if (path_size_beside(to, "-wal") <= 0 && path_size_beside(to, "-journal") <= 0)
        return STATUS_OK;
    switch (file_inspect(to, NULL)) {
    case FILE_ABSENT:
    case FILE_EMPTY:
    case FILE_DAMAGED:
        return STATUS_OK;
    default:
        return make_whole(to, failure);
    }
}

static int remove_companions(const char *path, struct failure *failure)
{
    static const char *const companions[] = {"-wal", "-shm", "-journal"};

    for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
        remove_beside(path, companions[i]);
        if (!is_gone_beside(path, companions[i]))
            return failure_set(failure, STATUS_IO_ERROR, "%s%s: cannot be removed", path, companions[i]);
    }
    return STATUS_OK;
}

static int put_into_place(const char *unfinished, const char *to, struct failure *failure)
{
    int status = settle_target(to, failure);

    if (status == STATUS_OK)
        status = remove_companions(to, failure);
    if (status == STATUS_OK)
        status = path_sync_folder(to, failure); /* no power cut may bring the -wal back beside the copy */
    if (status != STATUS_OK)
        return status;
    if (rename(unfinished, to) != 0)
        return failure_set(failure, STATUS_IO_ERROR, "%s: cannot get its name: %s", to, strerror(errno));
    return path_sync_folders(to, failure);
}

/* What one left that was killed; the lock says that nobody is at it now. */
static int clear_unfinished(const char *unfinished, struct failure *failure)
{
    unlink(unfinished);
    return remove_companions(unfinished, failure);
}

static int restore_beside(const char *from, const char *to, const char *unfinished, struct failure *failure)
{
    int status = clear_unfinished(unfinished, failure);

    if (status == STATUS_OK)
        status = copy_source(from, unfinished, failure);
    if (status == STATUS_OK)
        status = check_copy(unfinished, failure);
    if (status == STATUS_OK)
        status = renew_incarnation(unfinished, failure);
    if (status == STATUS_OK)
        status = put_into_place(unfinished, to, failure);
    if (status != STATUS_OK)
        clear_unfinished(unfinished, NULL);
    return status;
}

static int restore_locked(const char *from, const char *to, struct failure *failure)
{
    char *unfinished = path_beside(to, ".restore-unfinished");
    int status = unfinished ? restore_beside(from, to, unfinished, failure)
                            : failure_set(failure, STATUS_NO_MEMORY, "out of memory");

    free(unfinished);
    return status;
}

static int restore_to(const char *from, const char *to, struct failure *failure)
{
    struct lock *lock = NULL;
    int status = check_target(from, to, failure);

    if (status == STATUS_OK)
        status = lock_open(to, true, &lock, failure);
    if (status == STATUS_OK)
        status = take_lock(lock, to, failure);
    if (status == STATUS_OK)
        status = restore_locked(from, to, failure);
    lock_free(&lock);
    return status;
}

int file_restore(const char *from, const char *to, struct failure *failure)
{
    char *real = realpath(to, NULL); /* a link stays one: what it leads to is replaced */
    int status = file_status_of_kind(file_inspect(from, failure), from, failure);

    if (status == STATUS_OK)
        status = restore_to(from, real ? real : to, failure);
    if (status == STATUS_OK && failure)
        *failure = (struct failure){0};
    free(real);
    return status;
}
