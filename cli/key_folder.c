/*
 * key_folder.c - who may come in, as files that the broker watches.
 */
#include "cli/key_folder.h"

#include "actor/actor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

static const char suffix[] = ".key", server_name[] = "server.key";

bool key_name_is_good(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > KEY_NAME_BYTES || *name == '.')
        return false;
    for (const char *at = name; *at; at++)
        if (*at == '/' || (unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    return true;
}

static void file_name(const char *name, char out[NAME_MAX + 1])
{
    snprintf(out, NAME_MAX + 1, "%s%s", name, suffix);
}

/* The client's name of such a file; false for other files. */
static bool client_name(const char *file, char out[NAME_MAX + 1])
{
    size_t length = strlen(file), tail = sizeof(suffix) - 1;
    if (*file == '.' || length <= tail || strcmp(file + length - tail, suffix) != 0)
        return false;
    snprintf(out, NAME_MAX + 1, "%.*s", (int)(length - tail), file);
    return true;
}

/* ---- the folder ---- */

/* Others who may write to it could let in whom they like, so the broker would not use it. */
static int check_ours(int fd, const char *path, struct failure *failure)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot look at %s: %s", path, strerror(errno));
    if (info.st_uid != geteuid())
        return failure_set(failure, STATUS_PERMISSION_DENIED, "%s belongs to user %u: run this as that user", path,
                           (unsigned)info.st_uid);
    if (info.st_mode & (S_IWGRP | S_IWOTH))
        return failure_set(failure, STATUS_PERMISSION_DENIED, "others may write to %s: chmod 0700", path);
    return STATUS_OK;
}

static int open_folder(int at_fd, const char *path, const char *shown, int *fd, struct failure *failure)
{
    *fd = openat(at_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot open %s: %s", shown, strerror(errno));
    return check_ours(*fd, shown, failure);
}

static int open_clients(struct key_folder *folder, struct failure *failure)
{
    char shown[sizeof(folder->path) + 16];
    snprintf(shown, sizeof(shown), "%s/clients", folder->path);
    if (mkdirat(folder->folder_fd, "clients", 0700) != 0 && errno != EEXIST)
        return failure_set(failure, STATUS_IO_ERROR, "cannot make %s: %s", shown, strerror(errno));
    return open_folder(folder->folder_fd, "clients", shown, &folder->clients_fd, failure);
}

static int open_both(const char *path, struct key_folder *folder, struct failure *failure)
{
    *folder = (struct key_folder){.folder_fd = -1, .clients_fd = -1};
    if ((size_t)snprintf(folder->path, sizeof(folder->path), "%s", path) >= sizeof(folder->path))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "the folder's path is too long");
    int status = open_folder(AT_FDCWD, path, path, &folder->folder_fd, failure);
    if (status == STATUS_OK && flock(folder->folder_fd, LOCK_EX) != 0)
        status = failure_set(failure, STATUS_IO_ERROR, "cannot lock %s: %s", path, strerror(errno));
    return status == STATUS_OK ? open_clients(folder, failure) : status;
}

int key_folder_open(const char *path, struct key_folder *folder, struct failure *failure)
{
    int status = open_both(path, folder, failure);
    if (status == STATUS_OK && faccessat(folder->folder_fd, server_name, F_OK, 0) != 0)
        status = failure_set(failure, STATUS_INVALID_ARGUMENT, "%s has no %s: `stigstore keygen --keys %s` makes one",
                             path, server_name, path);
    if (status != STATUS_OK)
        key_folder_close(folder);
    return status;
}

void key_folder_close(struct key_folder *folder)
{
    if (folder->folder_fd >= 0)
        close(folder->folder_fd);
    if (folder->clients_fd >= 0)
        close(folder->clients_fd);
    folder->folder_fd = folder->clients_fd = -1;
}

int key_folder_make(const char *path, struct key_file *server, struct failure *failure)
{
    struct key_folder folder;
    int status = endpoint_make_folder(path, failure);
    if (status != STATUS_OK)
        return status;
    status = open_both(path, &folder, failure);
    if (status == STATUS_OK)
        status = key_file_write(folder.folder_fd, server_name, server, 0600, false, failure);
    key_folder_close(&folder);
    return status;
}

/* ---- clients ---- */

/* Calls `take` for each client's key until it fails; files that hold none are left out. */
typedef int take_client(void *context, const char *name, const char *public_key, struct failure *failure);

static int each_client(const struct key_folder *folder, take_client *take, void *context, struct failure *failure)
{
    int fd = openat(folder->clients_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), status = STATUS_OK;
    DIR *clients = fd < 0 ? NULL : fdopendir(fd);
    if (!clients) {
        if (fd >= 0)
            close(fd);
        return failure_set(failure, STATUS_IO_ERROR, "cannot read %s/clients: %s", folder->path, strerror(errno));
    }
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(clients));) {
        char name[NAME_MAX + 1], public_key[KEY_FILE_CHARS + 1];
        if (client_name(entry->d_name, name) &&
            key_file_read(folder->clients_fd, entry->d_name, public_key, NULL) == STATUS_OK)
            status = take(context, name, public_key, failure);
    }
    closedir(clients);
    return status;
}

static int remove_client(const struct key_folder *folder, const char *name, struct failure *failure)
{
    char file[NAME_MAX + 1];
    file_name(name, file);
    if (unlinkat(folder->clients_fd, file, 0) != 0)
        return failure_set(failure, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO_ERROR,
                           "cannot remove %s/clients/%s: %s", folder->path, file, strerror(errno));
    return STATUS_OK;
}

static int sync_clients(const struct key_folder *folder, struct failure *failure)
{
    if (fsync(folder->clients_fd) != 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot sync %s/clients: %s", folder->path, strerror(errno));
    return STATUS_OK;
}

/* Files that hold `public_key`, but for the one named `kept`. */
struct removal {
    const struct key_folder *folder;
    const char *public_key, *kept;
    void (*removed)(const char *name);
    size_t count;
};

static int remove_if_same(void *context, const char *name, const char *public_key, struct failure *failure)
{
    struct removal *removal = context;
    if (strcmp(public_key, removal->public_key) != 0 || (removal->kept && strcmp(name, removal->kept) == 0))
        return STATUS_OK;
    int status = remove_client(removal->folder, name, failure);
    if (status != STATUS_OK)
        return status;
    removal->count++;
    if (removal->removed)
        removal->removed(name);
    return STATUS_OK;
}

int key_folder_put(struct key_folder *folder, const char *name, const struct key_file *key, struct failure *failure)
{
    char file[NAME_MAX + 1], present[KEY_FILE_CHARS + 1];
    struct removal others = {.folder = folder, .public_key = key->public_key, .kept = name};
    file_name(name, file);
    if (key_file_read(folder->clients_fd, file, present, NULL) == STATUS_OK && strcmp(present, key->public_key) != 0)
        return failure_set(failure, STATUS_CONFLICT, "the name %s is another key's: revoke that one, or give a --name",
                           name);
    int status = key_file_write(folder->clients_fd, file, key, 0600, true, failure);
    /* Until the others are gone the lesser of the roles holds. */
    if (status == STATUS_OK)
        status = each_client(folder, remove_if_same, &others, failure);
    return status == STATUS_OK ? sync_clients(folder, failure) : status;
}

int key_folder_drop(struct key_folder *folder, const char *public_key, void (*removed)(const char *name),
                    struct failure *failure)
{
    struct removal all = {.folder = folder, .public_key = public_key, .removed = removed};
    int status = each_client(folder, remove_if_same, &all, failure);
    if (status == STATUS_OK && all.count == 0)
        status = failure_set(failure, STATUS_NOT_FOUND, "the key is not in %s/clients", folder->path);
    return status == STATUS_OK ? sync_clients(folder, failure) : status;
}

int key_folder_drop_name(struct key_folder *folder, const char *name, void (*removed)(const char *name),
                         struct failure *failure)
{
    char file[NAME_MAX + 1], public_key[KEY_FILE_CHARS + 1];
    file_name(name, file);
    if (key_file_read(folder->clients_fd, file, public_key, NULL) == STATUS_OK)
        return key_folder_drop(folder, public_key, removed, failure);
    int status = remove_client(folder, name, failure);
    if (status == STATUS_OK)
        removed(name);
    return status == STATUS_OK ? sync_clients(folder, failure) : status;
}

static int count_one(void *context, const char *name, const char *public_key, struct failure *failure)
{
    (void)name;
    (void)public_key;
    (void)failure;
    ++*(size_t *)context;
    return STATUS_OK;
}

size_t key_folder_count(const struct key_folder *folder)
{
    size_t count = 0;
    each_client(folder, count_one, &count, NULL);
    return count;
}
