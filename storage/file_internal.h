/*
 * file_internal.h - what inspecting, verifying, restoring and upgrading whole files share.
 *
 * Owns: nothing.  Thread: that of the caller; connections made here are the caller's.
 */
#ifndef STORAGE_FILE_INTERNAL_H
#define STORAGE_FILE_INTERNAL_H
#include "storage/file.h"

#include <sqlite3.h>

/*
 * Opens for reading without a trace: where no -wal holds anything, as immutable, so that neither -wal nor -shm is made.
 * An SQLite result code; *db may be set on failure too, for its message, and is closed by the caller.
 */
int file_open_for_reading(const char *path, sqlite3 **db);
/* What an open database is, by its application id and tables. */
enum file_kind file_classify(sqlite3 *db, const char *path, struct failure *why);
/* OK for what may be read as a store; else the status of a refusal, with `failure` as file_inspect left it or filled. */
int file_status_of_kind(enum file_kind kind, const char *path, struct failure *failure);
/* Copies the database behind `from`, whatever stands in its -wal included, to a new file of mode 0600 that is complete
 * and synced when this returns OK, and gone when it does not. */
int file_copy_database(sqlite3 *from, const char *to, struct failure *failure);
#endif
