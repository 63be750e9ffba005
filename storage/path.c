/*
 * path.c - see path.h.
 */
#include "storage/path.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return STATUS_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_READ_ONLY;
    case ENOSPC:
    case EDQUOT:
        return STATUS_STORAGE_FULL;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_IO_ERROR;
    }
}

int path_fail_errno(struct failure *failure, const char *doing, const char *path)
{
    int error = errno;
    return failure_set(failure, status_of_errno(error), "cannot %s %s: %s", doing, path, strerror(error));
}

/* ---- folders ---- */

const char *path_folder(const char *path, char buffer[PATH_MAX])
{
    size_t size = strlen(path) + 1;
    buffer[0] = '\0';
    if (size > PATH_MAX)
        return buffer;
    memcpy(buffer, path, size);
    return dirname(buffer);
}

/* 0, or errno. */
static int sync_one(const char *folder)
{
    int error = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    return error;
}

static int fail_sync(struct failure *failure, int error, const char *folder)
{
    errno = error;
    return path_fail_errno(failure, "sync", folder);
}

/* A folder that may not be read, or a file system that syncs none, is as durable as it can be. */
static bool is_no_failure(int error)
{
    return error == 0 || error == EACCES || error == EPERM || error == EINVAL || error == EROFS || error == EOPNOTSUPP;
}

int path_sync_folder(const char *path, struct failure *failure)
{
    char buffer[PATH_MAX];
    const char *folder = path_folder(path, buffer);
    int error = sync_one(folder);
    return is_no_failure(error) ? STATUS_OK : fail_sync(failure, error, folder);
}

int path_sync_folders(const char *path, struct failure *failure)
{
    char folder[PATH_MAX], above[PATH_MAX];
    bool is_last = false;
    for (path_folder(path, folder); !is_last; memcpy(folder, above, sizeof folder)) {
        int error = sync_one(folder);
        if (!is_no_failure(error))
            return fail_sync(failure, error, folder);
        is_last = strcmp(path_folder(folder, above), folder) == 0;
    }
    return STATUS_OK;
}

static int make_folder(const char *path, struct failure *failure)
{
    struct stat folder;
    if (mkdir(path, 0700) == 0) {
        path_sync_folder(path, NULL);
        return STATUS_OK;
    }
    int error = errno; /* READ_ONLY comes before "it exists" where nothing may be made */
    if (error == EEXIST || stat(path, &folder) == 0)
        return STATUS_OK;
    errno = error;
    return path_fail_errno(failure, "make", path);
}

int path_make_folders(const char *path, struct failure *failure)
{
    int status = STATUS_OK;
    char *copy = strdup(path);
    if (!copy)
        return failure_set(failure, STATUS_NO_MEMORY, "out of memory");
    for (char *slash = copy[0] ? strchr(copy + 1, '/') : NULL; status == STATUS_OK && slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = make_folder(copy, failure);
        *slash = '/';
    }
    free(copy);
    return status;
}

char *path_real(const char *path)
{
    char buffer[PATH_MAX], *real = realpath(path, NULL);
    if (real || errno != ENOENT)
        return real;
    char *folder = realpath(path_folder(path, buffer), NULL);
    if (!folder)
        return NULL;
    const char *slash = strrchr(path, '/');
    if (asprintf(&real, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, slash ? slash + 1 : path) < 0)
        real = NULL;
    free(folder);
    return real;
}

/* ---- names ---- */

char *path_beside(const char *path, const char *suffix)
{
    char *text;
    return asprintf(&text, "%s%s", path, suffix) < 0 ? NULL : text;
}

int64_t path_size_beside(const char *path, const char *suffix)
{
    struct stat file;
    char name[PATH_MAX];
    int size = snprintf(name, sizeof name, "%s%s", path, suffix);
    bool is_there = size > 0 && (size_t)size < sizeof name && stat(name, &file) == 0;
    return is_there ? (int64_t)file.st_size : -1;
}

char *path_make_uri(const char *path, const char *query)
{
    size_t room = 3 * strlen(path) + strlen(query) + sizeof "file://";
    char *uri = malloc(room), *at = uri;
    if (!uri)
        return NULL;
    at += snprintf(at, room, "%s", path[0] == '/' ? "file://" : "file:");
    for (; *path; path++) /* what URIs give a meaning to is written as %XX */
        at += snprintf(at, 4, strchr("%?#", *path) ? "%%%02X" : "%c", (unsigned char)*path);
    memcpy(at, query, strlen(query) + 1);
    return uri;
}
