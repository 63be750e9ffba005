/*
 * lock.h - who owns a database: record locks on PATH.lock, held by the kernel for as long as a process lives.
 *
 * Byte 0 belongs to the owner (supervisor, standalone writer, embedded process), byte 1 to the process that writes.
 * The file is opened once a process through a registry by (device, inode), never unlinked, O_CLOEXEC; its text names
 * the owner and is a hint only: the locks decide.
 *
 * Thread: any.
 */
#ifndef STORAGE_LOCK_H
#define STORAGE_LOCK_H
#include "proto/failure.h"

#include <stdint.h>

struct lock;
enum lock_byte { LOCK_OWNER = 0, LOCK_WRITER = 1 };
enum lock_mode { LOCK_NOBODY, LOCK_EMBEDDED, LOCK_SERVICE, LOCK_STANDALONE };

struct lock_holder {
    enum lock_mode mode;
    int64_t pid;
    char host[65];
    uint64_t pid_namespace;
    char endpoint[160]; /* where a service listens for clients; "" if embedded */
    uint8_t boot_id[16];
    bool stopped_cleanly; /* written when the owner let go in order */
};

/* Opens PATH.lock of the database at `database_path` (by its real path; it need not be there yet). `create`: makes the
 * lock file and missing directories (0700); READ_ONLY where that is not allowed. Without: NOT_FOUND when there is none,
 * and where it may not be written the lock serves for asking: lock_take says READ_ONLY. */
int lock_open(const char *database_path, bool create, struct lock **lock, struct failure *failure);
/* Releases what it holds and frees; null-safe. */
void lock_free(struct lock **lock);
/* Takes a byte without waiting: OK, or BUSY with *holder as far as the file tells, also against another `struct lock`
 * of this process; holder->mode is LOCK_NOBODY when the file does not tell. READ_ONLY, IO_ERROR; FORKED in a child. */
int lock_take(struct lock *lock, enum lock_byte byte, struct lock_holder *holder);
void lock_release(struct lock *lock, enum lock_byte byte);
/* The owner says who it is. */
int lock_describe(struct lock *lock, const struct lock_holder *holder, struct failure *failure);
/* Is the byte held by somebody now (not by `lock` itself), and what does the file say? */
bool lock_is_held(struct lock *lock, enum lock_byte byte, struct lock_holder *holder);
/* A holder that names this process: pid, host, pid namespace, boot id. */
void lock_holder_self(struct lock_holder *holder, enum lock_mode mode, const char *endpoint);
#endif
