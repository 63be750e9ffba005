/*
 * key_file.h - one file with a CURVE key, as zcert writes them and broker and client library read them.
 *
 * Thread: the main one.
 * Invariant: a file appears whole, with its mode, on disk; or not at all.
 */
#ifndef CLI_KEY_FILE_H
#define CLI_KEY_FILE_H
#include "proto/failure.h"

#include <stdbool.h>
#include <sys/types.h>

enum { KEY_FILE_CHARS = 40 }; /* of 32 bytes in Z85 */

struct key_file {
    char public_key[KEY_FILE_CHARS + 1];
    char secret_key[KEY_FILE_CHARS + 1]; /* "": the file holds none */
    const char *role;                    /* NULL: the file names none */
};

/* The public key of the file `path`, seen from the folder `folder_fd`. IO_ERROR, INVALID_ARGUMENT: it holds none. */
int key_file_read(int folder_fd, const char *path, char public_key[KEY_FILE_CHARS + 1], struct failure *failure);
/* A new file `name` in the folder, or another in its place when `replace`; else CONFLICT when there is one. */
int key_file_write(int folder_fd, const char *name, const struct key_file *key, mode_t mode, bool replace,
                   struct failure *failure);
#endif
