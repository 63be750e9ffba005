/*
 * key_folder.h - the folder that --keys names: DIR/server.key, and DIR/clients/NAME.key for who may come in.
 *
 * Owns: descriptors of both folders, and a lock against others who change it.  Thread: the main one.
 * Invariant: a client's key stands in at most one file after a change, and never with more than the role asked for.
 */
#ifndef CLI_KEY_FOLDER_H
#define CLI_KEY_FOLDER_H
#include "cli/key_file.h"

enum { KEY_NAME_BYTES = 200 };

struct key_folder {
    char path[4096];
    int folder_fd, clients_fd;
};

/* Makes the folders that are missing, 0700, and the server's pair. CONFLICT when it has one. */
int key_folder_make(const char *path, struct key_file *server, struct failure *failure);

/* Waits for others who change it. INVALID_ARGUMENT when there is no server's key, PERMISSION_DENIED when it is not ours
 * alone to write. */
int key_folder_open(const char *path, struct key_folder *folder, struct failure *failure);
void key_folder_close(struct key_folder *folder);

/* Puts the key there under that name, with that role alone. CONFLICT when the name is another key's. */
int key_folder_put(struct key_folder *folder, const char *name, const struct key_file *key, struct failure *failure);
/* Removes every file that holds the key, and tells their names. NOT_FOUND when there is none. */
int key_folder_drop(struct key_folder *folder, const char *public_key, void (*removed)(const char *name),
                    struct failure *failure);
/* The same for the key of that name, and the file itself whatever it holds. */
int key_folder_drop_name(struct key_folder *folder, const char *name, void (*removed)(const char *name),
                         struct failure *failure);
/* How many clients' keys are left. */
size_t key_folder_count(const struct key_folder *folder);

/* Whether it can stand for a client: a file's name without a leading dot. */
bool key_name_is_good(const char *name);
#endif
