/*
 * calls.h - the C library's calls on files, of SQLite and of ours alike, watched below one folder and failing on demand.
 *
 * SQLite's own VFS for Unix and the engine's acts on whole files (restore, upgrade, reserve, rename, sync of a folder)
 * meet in these calls, so that one place sees both, and SQLite's handling of errno is tested with it.
 *
 * Owns: nothing but `calls`.  Thread: one.
 */
#ifndef TESTS_FAULT_DISK_CALLS_H
#define TESTS_FAULT_DISK_CALLS_H
#include <stdbool.h>

enum call { CALL_WRITE, CALL_SYNC, CALL_READ, CALL_OPEN, CALL_TRUNCATE, CALL_MAP, CALL_UNLINK, CALL_RENAME, CALLS };

extern const char *const call_names[CALLS];

extern struct calls {
    const char *root; /* files below it are watched; NULL: none */
    bool has_disk;    /* disk.h is told of them */
    bool fails;       /* a call of `kind` fails when its turn has come */
    bool stays;       /* and so do all after it */
    enum call kind;
    int error;   /* errno */
    long before; /* so many calls of the kind still succeed */
    bool has_failed;
    long met[CALLS];
} calls;

/* Files below `root`, a real path, are watched from now on; nothing fails. */
void calls_watch(const char *root, bool has_disk);
/* The call of this number (0: the first) fails from now on. */
void calls_fail(enum call kind, int error, long before, bool stays);
/* What fails stops failing. */
void calls_heal(void);
#endif
