/*
 * path.h - names of files: what lies beside one, the folder that it lies in, and what errno says about it.
 *
 * Owns: nothing.  Thread: any.
 */
#ifndef STORAGE_PATH_H
#define STORAGE_PATH_H
#include "proto/failure.h"

#include <limits.h>
#include <stdint.h>

/* "cannot DOING PATH: " and errno's text into `failure`; its status: NOT_FOUND, READ_ONLY, STORAGE_FULL, NO_MEMORY, or
 * IO_ERROR. */
int path_fail_errno(struct failure *failure, const char *doing, const char *path);
/* Makes every missing folder above `path`, with mode 0700. */
int path_make_folders(const char *path, struct failure *failure);
/* The real path, for free(), of a file that need not be there; its folder must. NULL: errno. */
char *path_real(const char *path);
/* The folder of `path`, in `buffer`; of one that is longer than any file can have: "", which nothing opens. */
const char *path_folder(const char *path, char buffer[PATH_MAX]);
/* Makes what happened to the names in the folder of `path` durable, as far as it may be opened. */
int path_sync_folder(const char *path, struct failure *failure);
/* The same for every folder above `path`: one that was killed may have made them. */
int path_sync_folders(const char *path, struct failure *failure);
/* "PATH" and `suffix` in one string, for free(). NULL: no memory. */
char *path_beside(const char *path, const char *suffix);
/* Bytes of the file "PATH" and `suffix`; -1: there is none. Takes no memory. */
int64_t path_size_beside(const char *path, const char *suffix);
/* "file:" URI of a path for SQLite, with `query` ("?immutable=1") behind it, for free(). NULL: no memory. */
char *path_make_uri(const char *path, const char *query);
#endif
