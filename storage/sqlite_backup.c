/*
 * sqlite_backup.c - an online copy, a few pages at a time on the connection that writes.
 *
 * On any other connection each commit would start it again.  The copy is made under another name beside its own, gets a
 * fresh incarnation and no session log (its sessions belong to the old one), and is renamed once it is synced.
 */
#include "storage/path.h"
#include "storage/sqlite_writing.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct storage_backup {
    struct sqlite_store *store;
    char *path, *partial;
    sqlite3 *copy;
    sqlite3_backup *pages;
    bool made; /* the partial file is there */
};

static int connect_copy(struct storage_backup *backup)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(backup->partial, &backup->copy, flags, NULL);
    /* Alone on the file: its wal-index stays in memory and nothing is left beside it. */
    return rc == SQLITE_OK ? sqlite3_exec(backup->copy, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL) : rc;
}

static int refuse_path(const char *path, struct failure *failure)
{
    struct stat file;
    if (path[0] != '/')
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s: a backup needs an absolute path", path);
    if (lstat(path, &file) == 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s: exists already", path);
    return errno == ENOENT ? STATUS_OK : path_fail_errno(failure, "make", path);
}

static int start_copy(struct storage_backup *backup, struct failure *failure)
{
    int fd = mkostemp(backup->partial, O_CLOEXEC); /* 0600 */
    if (fd < 0)
        return path_fail_errno(failure, "make", backup->path);
    close(fd);
    backup->made = true;
    int rc = connect_copy(backup);
    if (rc == SQLITE_OK) /* a copy that is not finished is thrown away */
        rc = sqlite3_exec(backup->copy, "PRAGMA journal_mode = OFF", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return sqlite_fail_own(backup->copy, rc, backup->path, failure);
    backup->pages = sqlite3_backup_init(backup->copy, "main", backup->store->db, "main");
    rc = sqlite3_extended_errcode(backup->copy);
    return backup->pages ? STATUS_OK : sqlite_fail_own(backup->copy, rc, backup->path, failure);
}

int sqlite_backup_open(struct storage *storage, const char *path, struct storage_backup **out, struct failure *failure)
{
    *out = NULL;
    int status = refuse_path(path, failure);
    if (status != STATUS_OK)
        return status;
    struct storage_backup *backup = calloc(1, sizeof *backup);
    if (!backup || !(backup->path = strdup(path)) || asprintf(&backup->partial, "%s.partial.XXXXXX", path) < 0) {
        status = failure_set(failure, STATUS_NO_MEMORY, "%s: no memory", path);
    } else {
        backup->store = sqlite_of(storage);
        status = start_copy(backup, failure);
    }
    if (status == STATUS_OK)
        *out = backup;
    else
        sqlite_backup_close(&backup);
    return status;
}

/* What sets the copy apart from its origin, in one synced transaction. */
static int give_identity(struct storage_backup *backup)
{
    static const char sql[] = "PRAGMA synchronous = FULL;"
                              "BEGIN IMMEDIATE;"
                              "UPDATE meta SET value = randomblob(16) WHERE name = 'incarnation';"
                              "UPDATE meta SET value = 1 WHERE name = 'clean';"
                              "DELETE FROM session_log;"
                              "COMMIT";
    int rc = sqlite3_backup_finish(backup->pages);
    backup->pages = NULL;
    int closed = sqlite3_close(backup->copy);
    backup->copy = NULL;
    if (rc == SQLITE_OK)
        rc = closed;
    if (rc == SQLITE_OK)
        rc = connect_copy(backup);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(backup->copy, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(backup->copy, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return rc;
}

static int rename_copy(struct storage_backup *backup, struct failure *failure)
{
    int rc = renameat2(AT_FDCWD, backup->partial, AT_FDCWD, backup->path, RENAME_NOREPLACE);
    if (rc != 0 && (errno == EINVAL || errno == ENOSYS) && access(backup->path, F_OK) != 0)
        rc = rename(backup->partial, backup->path); /* a file system that cannot say "only if absent" */
    if (rc != 0)
        return path_fail_errno(failure, "make", backup->path);
    backup->made = false;
    int status = path_sync_folder(backup->path, failure);
    if (status != STATUS_OK) /* a copy that may be gone after a power cut is none: it can be made again */
        unlink(backup->path);
    return status;
}

static int finish_copy(struct storage_backup *backup, struct failure *failure)
{
    int rc = give_identity(backup);
    if (rc != SQLITE_OK)
        return sqlite_fail_own(backup->copy, rc, backup->path, failure);
    rc = sqlite3_close(backup->copy);
    backup->copy = NULL;
    return rc == SQLITE_OK ? rename_copy(backup, failure) : sqlite_fail(NULL, rc, backup->path, failure);
}

int sqlite_backup_step(struct storage_backup *backup, int pages, bool *done, struct failure *failure)
{
    assert(backup->pages && !backup->store->writing->in_transaction);
    int rc = sqlite3_backup_step(backup->pages, pages);
    *done = false;
    if (rc == SQLITE_OK || (rc & 0xFF) == SQLITE_BUSY || (rc & 0xFF) == SQLITE_LOCKED)
        return STATUS_OK;
    if (rc != SQLITE_DONE)
        return sqlite_fail_own(backup->copy, rc, backup->path, failure);
    int status = finish_copy(backup, failure);
    *done = status == STATUS_OK;
    return status;
}

static void remove_partial(const struct storage_backup *backup)
{
    static const char *const suffixes[] = {"", "-wal", "-journal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *name = sqlite3_mprintf("%s%s", backup->partial, suffixes[i]);
        if (name)
            unlink(name);
        sqlite3_free(name);
    }
}

void sqlite_backup_close(struct storage_backup **backup)
{
    struct storage_backup *closing = backup ? *backup : NULL;
    if (!closing)
        return;
    sqlite3_backup_finish(closing->pages);
    sqlite3_close(closing->copy);
    if (closing->made)
        remove_partial(closing);
    free(closing->partial);
    free(closing->path);
    free(closing);
    *backup = NULL;
}
