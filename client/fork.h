/*
 * fork.h - what a process has open, and how its forked child knows that none of it is the child's.
 *
 * A child may neither use its parent's handles nor open the same database file anew: SQLite in it would take its
 * parent's locks for its own.
 * Thread: any.
 */
#ifndef CLIENT_FORK_H
#define CLIENT_FORK_H
#include <stdbool.h>
#include <stdint.h>

/* From now on forks are noticed; call it before the first fork_generation. */
void fork_watch(void);
/* Is another number in a forked child. */
unsigned fork_generation(void);

/* The lock on the process's list of engines; taken before every other one. */
void registry_lock(void);
void registry_unlock(void);

/* A connection to this file was opened, or closed. False: no memory. */
bool opened_add(uint64_t device, uint64_t inode);
void opened_remove(uint64_t device, uint64_t inode);
/* True when the file at `path` was open in a process that this one was forked from. */
bool opened_in_parent(const char *path);
/* True when this process has the file open: then it must not be opened by hand, for close() would drop its locks. */
bool opened_here(const char *path);
#endif
