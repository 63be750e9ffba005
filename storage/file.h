/*
 * file.h - what a database file is before it is opened, and the acts on whole files: verify, restore.
 */
#ifndef STORAGE_FILE_H
#define STORAGE_FILE_H
#include "proto/failure.h"

#include <stdint.h>

enum file_kind {
    FILE_ABSENT,
    FILE_OURS,    /* our schema */
    FILE_STIGMER, /* a layout of Stigmer's own store: to be upgraded */
    FILE_EMPTY,   /* zero bytes, or SQLite without any table */
    FILE_NEWER,   /* our schema, of a later version */
    FILE_FOREIGN, /* an SQLite database of somebody else, or no database */
    FILE_BADGER,  /* a BadgerDB directory */
    FILE_DAMAGED,
    FILE_UNREADABLE,
};
/* Opens read-only and changes nothing; *why is one line for FOREIGN, NEWER, DAMAGED, UNREADABLE. */
enum file_kind file_inspect(const char *path, struct failure *why);

/* Integrity check, and that every invariant of the schema holds, on a read-only connection. Each finding is one line
 * to `found`. OK when there were none, CORRUPT when there were. Malformed legacy rows are notices: is_notice. */
int file_verify(const char *path, void (*found)(void *context, bool is_notice, const char *line), void *context,
                struct failure *failure);

/* Puts the copy at `from` in place of the database at `to`: only while nobody owns it (BUSY names the pid). */
int file_restore(const char *from, const char *to, struct failure *failure);
#endif
