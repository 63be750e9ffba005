/*
 * file_copy.c - a complete, synced copy of a database, made through SQLite so that its -wal counts.
 */
#include "storage/file_internal.h"
#include "storage/path.h"
#include "storage/sqlite.h"

#include <fcntl.h>
#include <unistd.h>

static int sync_file(const char *path, struct failure *failure)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int status = STATUS_OK;

    if (fd < 0 || fsync(fd) != 0)
        status = path_fail_errno(failure, "sync", path);
    if (fd >= 0)
        close(fd);
    return status;
}

static int make_private(const char *path, struct failure *failure)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return path_fail_errno(failure, "make", path);
    close(fd);
    return STATUS_OK;
}

/* The copy needs no journal of its own: it is synced whole before it gets its name, or thrown away. */
static int copy_pages(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *backup;
    int rc = sqlite3_exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL);

    if (rc != SQLITE_OK)
        return rc;
    backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup)
        return sqlite3_extended_errcode(to);
    rc = sqlite3_backup_step(backup, -1);
    sqlite3_backup_finish(backup);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int copy_into(sqlite3 *from, const char *path, struct failure *failure)
{
    sqlite3 *to = NULL;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int status = STATUS_OK;

    if (rc == SQLITE_OK)
        rc = copy_pages(from, to);
    if (rc != SQLITE_OK)
        status = sqlite_fail_own(to, rc, path, failure);
    sqlite3_close(to);
    return status;
}

int file_copy_database(sqlite3 *from, const char *to, struct failure *failure)
{
    int status = make_private(to, failure);

    if (status != STATUS_OK)
        return status;
    status = copy_into(from, to, failure);
    if (status == STATUS_OK)
        status = sync_file(to, failure);
    if (status != STATUS_OK)
        unlink(to);
    return status;
}
