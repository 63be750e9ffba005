/* lock.c - record locks on PATH.lock, through one descriptor a process and file. */
#include "storage/lock.h"
#include "proto/clock.h"
#include "storage/lock_text.h"
#include "storage/path.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_BYTES = 2, ATTEMPTS = 8 };

/* A descriptor that may not be closed yet: closing any one of a file drops the process's locks on it. */
struct spare {
    int fd;
    struct spare *next;
};

struct entry {
    dev_t device;
    ino_t inode;
    int fd;
    bool writable;
    unsigned users;
    const struct lock *owner[LOCK_BYTES];
    struct spare *spares;
    struct entry *next;
};

/* One a process: a child finds its parent's, holds none of its locks, and starts one of its own. */
struct registry {
    pid_t pid;
    pthread_mutex_t mutex;
    struct entry *entries;
    struct registry *parents;
};
static _Atomic(struct registry *) current_registry;

struct lock {
    struct registry *registry;
    struct entry *entry;
    bool create;
    char *path; /* of the lock file */
};

static struct registry *registry_get(void)
{
    struct registry *found = atomic_load(&current_registry);
    while (!found || found->pid != getpid()) {
        struct registry *fresh = calloc(1, sizeof(*fresh));
        if (!fresh)
            return NULL;
        fresh->pid = getpid();
        fresh->parents = found;
        pthread_mutex_init(&fresh->mutex, NULL);
        if (atomic_compare_exchange_strong(&current_registry, &found, fresh))
            return fresh;
        pthread_mutex_destroy(&fresh->mutex);
        free(fresh);
    }
    return found;
}

static bool is_of_parent(const struct lock *lock)
{
    return lock->registry->pid != getpid();
}

/* ---- the file ---- */

static int resolve_new(const char *path, bool create, char **real, struct failure *failure)
{
    struct stat link;
    if (lstat(path, &link) == 0)
        return failure_set(failure, STATUS_NOT_FOUND, "%s is a link that leads nowhere", path);
    int status = create ? path_make_folders(path, failure) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    *real = path_real(path);
    return *real ? STATUS_OK : path_fail_errno(failure, "find the folder of", path);
}

/* PATH.lock by the real path, so that every name of a database leads to one lock. */
static int find_lock_path(const char *database_path, bool create, char **lock_path, struct failure *failure)
{
    int status = STATUS_OK;
    char *real = realpath(database_path, NULL);
    if (!real && errno == ENOENT)
        status = resolve_new(database_path, create, &real, failure);
    else if (!real)
        status = path_fail_errno(failure, "find", database_path);
    if (status == STATUS_OK && !(*lock_path = path_beside(real, ".lock")))
        status = failure_set(failure, STATUS_NO_MEMORY, "out of memory");
    free(real);
    return status;
}

static int open_file(const char *path, bool create, bool *writable)
{
    const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    *writable = true;
    int fd = open(path, O_RDWR | flags | (create ? O_CREAT : 0), 0600);
    if (fd < 0 && !create && (errno == EACCES || errno == EROFS)) {
        *writable = false;
        fd = open(path, O_RDONLY | flags);
    }
    return fd;
}

/* ---- entries; the registry's mutex is held ---- */

static struct entry *entry_find(struct registry *registry, const struct stat *file)
{
    struct entry *entry = registry->entries;
    while (entry && (entry->device != file->st_dev || entry->inode != file->st_ino))
        entry = entry->next;
    return entry;
}

static struct entry *entry_add(struct registry *registry, const struct stat *file, int fd, bool writable)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (!entry)
        return NULL;
    *entry = (struct entry){
        .device = file->st_dev, .inode = file->st_ino, .fd = fd, .writable = writable, .next = registry->entries};
    registry->entries = entry;
    return entry;
}

/* A second descriptor of a file: used from now on if it can do more, else laid aside. */
static bool entry_keep(struct entry *entry, int fd, bool writable)
{
    struct spare *spare = malloc(sizeof(*spare));
    if (!spare)
        return false;
    bool better = writable && !entry->writable;
    *spare = (struct spare){.fd = better ? entry->fd : fd, .next = entry->spares};
    entry->spares = spare;
    if (better) {
        entry->fd = fd;
        entry->writable = true;
    }
    return true;
}

static void entry_put(struct registry *registry, struct entry *entry)
{
    if (--entry->users > 0)
        return;
    struct entry **place = &registry->entries;
    while (*place != entry) {
        assert(*place);
        place = &(*place)->next;
    }
    *place = entry->next;
    while (entry->spares) {
        struct spare *spare = entry->spares;
        entry->spares = spare->next;
        close(spare->fd);
        free(spare);
    }
    close(entry->fd);
    free(entry);
}

static int entry_open(struct lock *lock, struct entry **found, struct failure *failure)
{
    struct stat file;
    bool writable;
    int fd = open_file(lock->path, lock->create, &writable);
    if (fd < 0)
        return path_fail_errno(failure, "open", lock->path);
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        close(fd);
        return failure_set(failure, STATUS_IO_ERROR, "%s is not a regular file", lock->path);
    }
    *found = entry_find(lock->registry, &file);
    if (*found ? entry_keep(*found, fd, writable) : (*found = entry_add(lock->registry, &file, fd, writable)) != NULL)
        return STATUS_OK;
    /* With an entry that could not keep it the descriptor stays open: to close it would drop our locks. */
    if (!*found)
        close(fd);
    return failure_set(failure, STATUS_NO_MEMORY, "out of memory");
}

/* Looks before it opens: a descriptor that turned out to be a second one could never be closed. */
static int attach(struct lock *lock, struct failure *failure)
{
    struct stat file;
    struct entry *entry = stat(lock->path, &file) == 0 ? entry_find(lock->registry, &file) : NULL;
    int status = STATUS_OK;
    if (!entry || (lock->create && !entry->writable))
        status = entry_open(lock, &entry, failure);
    if (status != STATUS_OK)
        return status;
    assert(entry);
    entry->users++;
    lock->entry = entry;
    return STATUS_OK;
}

/* True when the path still leads to the file whose bytes we lock. */
static bool is_current(const struct lock *lock)
{
    struct stat file;
    return stat(lock->path, &file) == 0 && file.st_dev == lock->entry->device && file.st_ino == lock->entry->inode;
}

/* Goes over to the file that is at the path now, unless a byte of the old one is held. */
static int reattach(struct lock *lock)
{
    struct entry *old = lock->entry;
    for (int byte = 0; byte < LOCK_BYTES; byte++)
        if (old->owner[byte] == lock)
            return STATUS_IO_ERROR;
    int status = attach(lock, NULL);
    if (status == STATUS_OK)
        entry_put(lock->registry, old);
    return status;
}

static int set_lock(const struct lock *lock, short type, enum lock_byte byte)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    if (fcntl(lock->entry->fd, F_SETLK, &range) == 0)
        return STATUS_OK;
    return errno == EACCES || errno == EAGAIN ? STATUS_BUSY : STATUS_IO_ERROR;
}

static int take(struct lock *lock, enum lock_byte byte)
{
    int status = STATUS_OK;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (!is_current(lock) && (status = reattach(lock)) != STATUS_OK)
            return status;
        const struct lock **owner = &lock->entry->owner[byte];
        if (*owner)
            return *owner == lock ? STATUS_OK : STATUS_BUSY;
        if (!lock->entry->writable)
            return STATUS_READ_ONLY;
        if ((status = set_lock(lock, F_WRLCK, byte)) != STATUS_OK)
            return status;
        if (is_current(lock)) {
            *owner = lock;
            return STATUS_OK;
        }
        set_lock(lock, F_UNLCK, byte);
    }
    return STATUS_IO_ERROR;
}

static void release(struct lock *lock, enum lock_byte byte)
{
    if (lock->entry->owner[byte] != lock)
        return;
    set_lock(lock, F_UNLCK, byte);
    lock->entry->owner[byte] = NULL;
}

static uint64_t own_pid_namespace(void)
{
    struct stat namespace;
    return stat("/proc/self/ns/pid", &namespace) == 0 ? namespace.st_ino : 0;
}

/* Who holds the byte besides `lock`: -1 nobody, 0 a process that cannot be named, else its pid. */
static int64_t find_holder(const struct lock *lock, enum lock_byte byte)
{
    const struct lock *owner = lock->entry->owner[byte];
    if (owner && !is_of_parent(lock))
        return owner == lock ? -1 : getpid();
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    if (fcntl(lock->entry->fd, F_GETLK, &range) != 0 || range.l_type == F_UNLCK)
        return -1;
    return range.l_pid > 0 ? range.l_pid : 0;
}

/* The kernel knows the pid better than the file does, where it can see it: another one in a text of our own namespace
 * is an older owner's. Byte 1 may belong to the writer of the owner that the text names. */
static void fill_holder(const struct lock *lock, enum lock_byte byte, int64_t pid, struct lock_holder *holder)
{
    bool told = lock_text_read(lock->entry->fd, holder);
    if (pid <= 0 || holder->pid == pid)
        return;
    if (told && byte == LOCK_OWNER && holder->pid_namespace == own_pid_namespace())
        memset(holder, 0, sizeof(*holder));
    holder->pid = pid;
}

/* ---- the interface ---- */

int lock_open(const char *database_path, bool create, struct lock **out, struct failure *failure)
{
    int status = STATUS_NO_MEMORY;
    *out = NULL;
    struct lock *lock = calloc(1, sizeof(*lock));
    if (!lock || !(lock->registry = registry_get())) {
        failure_set(failure, status, "out of memory");
        goto failed;
    }
    lock->create = create;
    status = find_lock_path(database_path, create, &lock->path, failure);
    if (status != STATUS_OK)
        goto failed;
    pthread_mutex_lock(&lock->registry->mutex);
    status = attach(lock, failure);
    pthread_mutex_unlock(&lock->registry->mutex);
    if (status != STATUS_OK)
        goto failed_path;
    *out = lock;
    return STATUS_OK;

failed_path:
    free(lock->path);
failed:
    free(lock);
    return status;
}

void lock_free(struct lock **lock)
{
    struct lock *self = *lock;
    if (!self)
        return;
    *lock = NULL;
    if (!is_of_parent(self)) {
        pthread_mutex_lock(&self->registry->mutex);
        release(self, LOCK_WRITER);
        release(self, LOCK_OWNER);
        entry_put(self->registry, self->entry);
        pthread_mutex_unlock(&self->registry->mutex);
    }
    free(self->path);
    free(self);
}

int lock_take(struct lock *lock, enum lock_byte byte, struct lock_holder *holder)
{
    if (holder)
        memset(holder, 0, sizeof(*holder));
    if (is_of_parent(lock))
        return STATUS_FORKED;
    pthread_mutex_lock(&lock->registry->mutex);
    int status = take(lock, byte);
    if (status == STATUS_BUSY && holder)
        fill_holder(lock, byte, find_holder(lock, byte), holder);
    pthread_mutex_unlock(&lock->registry->mutex);
    return status;
}

void lock_release(struct lock *lock, enum lock_byte byte)
{
    if (is_of_parent(lock))
        return;
    pthread_mutex_lock(&lock->registry->mutex);
    release(lock, byte);
    pthread_mutex_unlock(&lock->registry->mutex);
}

int lock_describe(struct lock *lock, const struct lock_holder *holder, struct failure *failure)
{
    if (is_of_parent(lock))
        return failure_set(failure, STATUS_FORKED, "the lock is the parent process's");
    pthread_mutex_lock(&lock->registry->mutex);
    assert(lock->entry->owner[LOCK_OWNER] == lock);
    int status = lock_text_write(lock->entry->fd, holder, failure);
    pthread_mutex_unlock(&lock->registry->mutex);
    return status;
}

bool lock_is_held(struct lock *lock, enum lock_byte byte, struct lock_holder *holder)
{
    bool forked = is_of_parent(lock);
    if (!forked) {
        pthread_mutex_lock(&lock->registry->mutex);
        if (!is_current(lock))
            reattach(lock);
    }
    int64_t pid = find_holder(lock, byte);
    if (holder)
        fill_holder(lock, byte, pid, holder);
    if (!forked)
        pthread_mutex_unlock(&lock->registry->mutex);
    return pid >= 0;
}

void lock_holder_self(struct lock_holder *holder, enum lock_mode mode, const char *endpoint)
{
    memset(holder, 0, sizeof(*holder));
    holder->mode = mode;
    holder->pid = getpid();
    if (gethostname(holder->host, sizeof(holder->host) - 1) != 0)
        holder->host[0] = '\0';
    holder->pid_namespace = own_pid_namespace();
    memcpy(holder->boot_id, clock_boot_id(), sizeof(holder->boot_id));
    snprintf(holder->endpoint, sizeof(holder->endpoint), "%s", endpoint ? endpoint : "");
}
