/*
 * calls.c - functions in the place of the C library's; each does the real act by its system call.
 */
#include "tests/fault/disk/calls.h"
#include "tests/fault/disk/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Visible to the shared libraries, whose calls come here too. */
#define IN_PLACE __attribute__((visibility("default")))

struct calls calls;

const char *const call_names[CALLS] = {"write", "sync", "read", "open", "truncate", "map", "unlink", "rename"};

enum { DESCRIPTORS = 1024 };
/* What a descriptor leads to, kept from its opening. */
static struct {
    bool is_watched;
    bool is_folder;
    bool is_shared; /* memory of SQLite's: no file of the disk's, dropped at a cut whatever it holds */
} descriptors[DESCRIPTORS];

void calls_watch(const char *root, bool has_disk)
{
    calls = (struct calls){.root = root, .has_disk = has_disk};
}

void calls_fail(enum call kind, int error, long before, bool stays)
{
    calls.fails = true;
    calls.kind = kind;
    calls.error = error;
    calls.before = before;
    calls.stays = stays;
    calls.has_failed = false;
}

void calls_heal(void)
{
    calls.fails = false;
}

/* True: this call fails, with errno set. */
static bool fails_now(enum call kind)
{
    calls.met[kind]++;
    if (!calls.fails || calls.kind != kind || (calls.has_failed && !calls.stays) || calls.before-- > 0)
        return false;
    calls.has_failed = true;
    errno = calls.error;
    return true;
}

static bool is_watched(const char *path)
{
    size_t size = calls.root ? strlen(calls.root) : 0;

    return size && strncmp(path, calls.root, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static bool is_watched_file(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS && descriptors[fd].is_watched && !descriptors[fd].is_folder;
}

static bool is_on_disk(int fd)
{
    return calls.has_disk && is_watched_file(fd) && !descriptors[fd].is_shared;
}

/* True: the act may be done. `changes_disk`: it does. */
static bool may_act(enum call kind, bool changes_disk)
{
    if (fails_now(kind))
        return false;
    if (!changes_disk || disk_act())
        return true;
    errno = EIO;
    return false;
}

/* ---- opening ---- */

static bool is_shared_memory(const char *path)
{
    size_t size = strlen(path);

    return size > 4 && strcmp(path + size - 4, "-shm") == 0;
}

static void note_open(int fd, const char *path, bool was_made)
{
    struct stat file;

    if (fd < 0 || fd >= DESCRIPTORS)
        return;
    descriptors[fd].is_watched = fstat(fd, &file) == 0 && (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode));
    descriptors[fd].is_folder = descriptors[fd].is_watched && S_ISDIR(file.st_mode);
    descriptors[fd].is_shared = is_shared_memory(path);
    if (is_on_disk(fd))
        disk_opened(fd, path, was_made);
}

static int open_watched(const char *path, int flags, mode_t mode)
{
    bool makes = (flags & O_CREAT) && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    int fd;

    if (!may_act(CALL_OPEN, calls.has_disk && makes && !is_shared_memory(path)))
        return -1;
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    note_open(fd, path, makes);
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    int fd;

    if (is_watched(path))
        return open_watched(path, flags, mode);
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS)
        descriptors[fd].is_watched = false;
    return fd;
}

static mode_t mode_of(int flags, va_list more)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

IN_PLACE int open(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return open_any(path, flags, mode);
}

IN_PLACE int open64(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    mode_t mode = mode_of(flags, more);
    va_end(more);
    return open_any(path, flags, mode);
}

IN_PLACE int mkostemp(char *path, int flags)
{
    static unsigned number;
    size_t size = strlen(path);

    snprintf(path + size - 6, 7, "%06u", number++ % 1000000);
    return open_any(path, O_RDWR | O_CREAT | O_EXCL | flags, 0600);
}

IN_PLACE int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        descriptors[fd].is_watched = false;
    return (int)syscall(SYS_close, fd);
}

/* ---- contents ---- */

static ssize_t write_at(int fd, const void *bytes, size_t size, off_t at)
{
    if (!is_watched_file(fd))
        return syscall(SYS_pwrite64, fd, bytes, size, at);
    if (!may_act(CALL_WRITE, is_on_disk(fd)))
        return -1;
    if (is_on_disk(fd))
        disk_before_write(fd, at, size);
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, size, at);
    if (is_on_disk(fd))
        disk_after_write(fd);
    return written;
}

IN_PLACE ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    return write_at(fd, bytes, size, at);
}

IN_PLACE ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at)
{
    return write_at(fd, bytes, size, at);
}

IN_PLACE ssize_t pread(int fd, void *bytes, size_t size, off_t at)
{
    if (is_watched_file(fd) && fails_now(CALL_READ))
        return -1;
    return syscall(SYS_pread64, fd, bytes, size, at);
}

IN_PLACE ssize_t pread64(int fd, void *bytes, size_t size, off_t at)
{
    return pread(fd, bytes, size, at);
}

IN_PLACE int ftruncate(int fd, off_t size)
{
    if (is_watched_file(fd)) {
        if (!may_act(CALL_TRUNCATE, is_on_disk(fd)))
            return -1;
        if (is_on_disk(fd))
            disk_before_truncate(fd, size);
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}

IN_PLACE int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

/* Gives errno. As a plain growth: to the disk it is one. */
IN_PLACE int posix_fallocate(int fd, off_t at, off_t size)
{
    struct stat file;

    if (!is_watched_file(fd))
        return syscall(SYS_fallocate, fd, 0, at, size) == 0 ? 0 : errno;
    if (!may_act(CALL_TRUNCATE, is_on_disk(fd)))
        return errno;
    if (fstat(fd, &file) != 0 || file.st_size >= at + size)
        return 0;
    if (is_on_disk(fd))
        disk_before_truncate(fd, at + size);
    return syscall(SYS_ftruncate, fd, at + size) == 0 ? 0 : errno;
}

/* Nobody waits for the real disk. */
static int sync_any(int fd)
{
    bool is_ours = fd >= 0 && fd < DESCRIPTORS && descriptors[fd].is_watched;

    if (!is_ours)
        return (int)syscall(SYS_fdatasync, fd);
    if (!may_act(CALL_SYNC, calls.has_disk))
        return -1;
    errno = calls.has_disk ? disk_sync(fd) : 0;
    return errno ? -1 : 0;
}

IN_PLACE int fsync(int fd)
{
    return sync_any(fd);
}

IN_PLACE int fdatasync(int fd)
{
    return sync_any(fd);
}

static void *map_any(void *address, size_t size, int protection, int flags, int fd, off_t at)
{
    /* SQLite maps nothing but its shared memory. */
    if (fd >= 0 && calls.root && (protection & PROT_WRITE) && (flags & MAP_SHARED) && fails_now(CALL_MAP))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, at);
}

IN_PLACE void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t at)
{
    return map_any(address, size, protection, flags, fd, at);
}

IN_PLACE void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t at)
{
    return map_any(address, size, protection, flags, fd, at);
}

/* ---- names ---- */

IN_PLACE int unlink(const char *path)
{
    if (is_watched(path) && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        bool changes_disk = calls.has_disk && !is_shared_memory(path);
        if (!may_act(CALL_UNLINK, changes_disk))
            return -1;
        if (changes_disk)
            disk_unlinking(path);
    }
    return unlinkat(AT_FDCWD, path, 0);
}

static int rename_any(const char *from, const char *to, unsigned flags)
{
    if (is_watched(from)) {
        if ((flags & RENAME_NOREPLACE) && faccessat(AT_FDCWD, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            errno = EEXIST;
            return -1;
        }
        if (!may_act(CALL_RENAME, calls.has_disk))
            return -1;
        if (calls.has_disk)
            disk_renaming(from, to);
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

IN_PLACE int rename(const char *from, const char *to)
{
    return rename_any(from, to, 0);
}

IN_PLACE int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    (void)from_folder;
    (void)to_folder;
    return rename_any(from, to, flags);
}

IN_PLACE int mkdir(const char *path, mode_t mode)
{
    int rc;

    if (is_watched(path) && faccessat(AT_FDCWD, path, F_OK, 0) != 0 && !may_act(CALL_OPEN, calls.has_disk))
        return -1;
    rc = mkdirat(AT_FDCWD, path, mode);
    if (rc == 0 && calls.has_disk && is_watched(path))
        disk_made_folder(path);
    return rc;
}
