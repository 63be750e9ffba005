/*
 * locate.h - where a database, its default and its service's socket lie.
 *
 * Thread: any.
 */
#ifndef CLIENT_LOCATE_H
#define CLIENT_LOCATE_H
#include "proto/failure.h"

#include <stddef.h>

/* The real path as far as it exists, made absolute; from malloc, NULL: no memory or the path is empty. */
char *locate_real_path(const char *path);

/* ~/.stigmer/stigmer.sqlite if it exists; else a ~/.stigmer/stigmer.db that is an SQLite file; else the former. From
 * malloc; NULL with *failure. *notice: one line worth telling (a BadgerDB folder is left alone), or "". */
char *locate_default_database(char *notice, size_t notice_bytes, struct failure *failure);

/* "ipc://..." of the service of `database_path` unless told otherwise: under $XDG_RUNTIME_DIR/stigstore, else
 * /tmp/stigstore-UID. PERMISSION_DENIED when that folder is somebody else's or others may write to it;
 * INVALID_ARGUMENT when the path is too long for a socket. The folder need not exist. */
int locate_endpoint(const char *database_path, char *endpoint, size_t endpoint_bytes, struct failure *failure);
/* True when somebody listens on "ipc://PATH". */
bool locate_is_answered(const char *endpoint);
#endif
