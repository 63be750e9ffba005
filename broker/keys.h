/*
 * keys.h - who may connect from other hosts: a folder with the server's key and one file for each client.
 *
 * DIR/server.key holds our public and secret key, DIR/clients/NAME.key a client's public key and its role, "reader",
 * "writer" or "admin", all as zcert_save writes them.  The folder is watched: a file that comes, changes or goes
 * counts from the next message on.  What others than we and root may write to counts as not there.
 *
 * Owns: the table, a descriptor that is readable when the folder changed.  Thread: one.
 * Invariant: a key whose file is not there, or not readable, is in no role.
 */
#ifndef BROKER_KEYS_H
#define BROKER_KEYS_H
#include "proto/failure.h"
#include "proto/request.h"

enum { KEY_TEXT_BYTES = 40 }; /* of 32 bytes in Z85 */

struct keys;

/* INVALID_ARGUMENT or PERMISSION_DENIED when there is no server key for us alone, or not one client's, or others may
 * write to the folder. */
int keys_new(const char *folder, struct keys **keys, struct failure *failure);
void keys_free(struct keys **keys);
/* Our secret key in Z85. */
const char *keys_secret(const struct keys *keys);
int keys_fd(const struct keys *keys);
/* Reads the folder again if it changed: one system call when it did not. */
void keys_take_changes(struct keys *keys);
/* Reads the folder again if it changed or cannot be watched; how many clients' keys there are. */
size_t keys_refresh(struct keys *keys);
/* The role of a client's key in Z85, ROLE_NONE when it is unknown; its 32 bytes to `principal` otherwise. */
uint8_t keys_role(const struct keys *keys, const char *text, uint8_t principal[PRINCIPAL_BYTES]);
#endif
