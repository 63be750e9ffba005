/*
 * endpoint.c - where the service listens: names of its sockets, the folder they lie in, and what may be replaced there.
 *
 * A bind of libzmq unlinks whatever is at its path first, so all is looked at before.
 */
#include "actor/actor.h"
#include "proto/limits.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define WORKERS_SUFFIX ".workers"

/* The path of an ipc:// endpoint that leaves room for the workers' one; NULL when it is none. */
static const char *ipc_path(const char *endpoint, struct failure *failure)
{
    static const char scheme[] = "ipc://";
    if (strncmp(endpoint, scheme, sizeof scheme - 1) != 0 || endpoint[sizeof scheme - 1] != '/') {
        failure_set(failure, STATUS_INVALID_ARGUMENT, "%s is not ipc:// with an absolute path", endpoint);
        return NULL;
    }
    const char *path = endpoint + sizeof scheme - 1;
    if (strlen(path) + sizeof WORKERS_SUFFIX - 1 > LIMIT_IPC_PATH_BYTES) {
        failure_set(failure, STATUS_INVALID_ARGUMENT, "%s is longer than the %zu bytes that a socket path may have",
                    path, LIMIT_IPC_PATH_BYTES - (sizeof WORKERS_SUFFIX - 1));
        return NULL;
    }
    if (path[strlen(path) - 1] == '/') {
        failure_set(failure, STATUS_INVALID_ARGUMENT, "%s names a folder, not a socket", endpoint);
        return NULL;
    }
    return path;
}

static int fits(int length, size_t out_bytes, const char *endpoint, struct failure *failure)
{
    if (length >= 0 && (size_t)length < out_bytes)
        return STATUS_OK;
    return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s is too long", endpoint);
}

int endpoint_of_workers(const char *endpoint, char *out, size_t out_bytes, struct failure *failure)
{
    if (!ipc_path(endpoint, failure))
        return STATUS_INVALID_ARGUMENT;
    return fits(snprintf(out, out_bytes, "%s" WORKERS_SUFFIX, endpoint), out_bytes, endpoint, failure);
}

int endpoint_folder(const char *endpoint, const char *suffix, char *out, size_t out_bytes, struct failure *failure)
{
    const char *path = ipc_path(endpoint, failure);
    if (!path)
        return STATUS_INVALID_ARGUMENT;
    int folder_bytes = (int)(strrchr(path, '/') - path);
    while (folder_bytes > 0 && path[folder_bytes - 1] == '/')
        folder_bytes--;
    if (folder_bytes == 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s lies in no folder of its own", endpoint);
    return fits(snprintf(out, out_bytes, "%.*s%s", folder_bytes, path, suffix), out_bytes, endpoint, failure);
}

static int make_folders(const char *folder, struct failure *failure)
{
    char path[PATH_MAX];
    if (strlen(folder) >= sizeof path)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "the path of the folder is too long");
    memcpy(path, folder, strlen(folder) + 1);
    for (char *slash = path + 1; slash;) {
        slash = strchr(slash, '/');
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return failure_set(failure, STATUS_IO_ERROR, "cannot make %s: %s", path, strerror(errno));
        if (slash)
            *slash++ = '/';
    }
    return STATUS_OK;
}

static bool owner_is_trusted(const struct stat *info)
{
    return info->st_uid == geteuid() || info->st_uid == 0;
}

/* Nobody else may put another folder in the place of one on the way: where everybody may write, the sticky bit must
 * be set and what we use must belong to us or to root. */
static int check_way(const char *folder, struct failure *failure)
{
    char path[PATH_MAX];
    bool shared = false;
    snprintf(path, sizeof path, "%s", folder);
    for (char *end = path + 1;;) {
        end += strcspn(end, "/");
        char kept = *end;
        *end = '\0';
        struct stat info;
        if (lstat(path, &info) != 0)
            return failure_set(failure, STATUS_IO_ERROR, "cannot look at %s: %s", path, strerror(errno));
        if (shared && !owner_is_trusted(&info))
            return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s belongs to somebody else", path);
        bool is_link = S_ISLNK(info.st_mode);
        shared = !is_link && (info.st_mode & S_IWOTH);
        if (shared && !(info.st_mode & S_ISVTX))
            return failure_set(failure, STATUS_INVALID_ARGUMENT, "everybody may replace what is in %s", path);
        if (kept == '\0')
            return STATUS_OK;
        *end++ = kept;
    }
}

static int check_folder(const char *folder, struct failure *failure)
{
    struct stat info;
    if (stat(folder, &info) != 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot look at %s: %s", folder, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s is not a folder", folder);
    if (!owner_is_trusted(&info))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s belongs to somebody else", folder);
    if (info.st_mode & (S_IWGRP | S_IWOTH))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "others may write to %s: it must be ours alone", folder);
    return STATUS_OK;
}

int endpoint_make_folder(const char *folder, struct failure *failure)
{
    char real[PATH_MAX];
    int status = make_folders(folder, failure);
    if (status == STATUS_OK)
        status = check_folder(folder, failure);
    if (status == STATUS_OK)
        status = check_way(folder, failure);
    if (status != STATUS_OK)
        return status;
    if (!realpath(folder, real))
        return failure_set(failure, STATUS_IO_ERROR, "cannot look at %s: %s", folder, strerror(errno));
    return check_way(real, failure);
}

/* *pid: who does, 0 when that cannot be told. */
static bool somebody_listens(const char *path, pid_t *pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    bool listens = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno != ECONNREFUSED;
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (listens && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        *pid = peer.pid;
    close(fd);
    return listens;
}

static int check_place(const char *path, struct failure *failure)
{
    struct stat info;
    pid_t pid = 0;
    if (lstat(path, &info) != 0)
        return errno == ENOENT ? STATUS_OK
                               : failure_set(failure, STATUS_IO_ERROR, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISSOCK(info.st_mode))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "%s is in the way and is not a socket", path);
    if (!somebody_listens(path, &pid))
        return STATUS_OK;
    if (pid > 0)
        return failure_set(failure, STATUS_BUSY, "process %ld listens at %s already", (long)pid, path);
    return failure_set(failure, STATUS_BUSY, "somebody listens at %s already", path);
}

int endpoint_check_bind(const char *endpoint, struct failure *failure)
{
    char folder[PATH_MAX], workers[LIMIT_IPC_PATH_BYTES + 8];
    int status = endpoint_folder(endpoint, "", folder, sizeof folder, failure);
    if (status == STATUS_OK)
        status = endpoint_of_workers(endpoint, workers, sizeof workers, failure);
    if (status == STATUS_OK)
        status = endpoint_make_folder(folder, failure);
    if (status == STATUS_OK)
        status = check_place(ipc_path(endpoint, failure), failure);
    if (status == STATUS_OK)
        status = check_place(workers + strlen("ipc://"), failure);
    return status;
}
