/* locate.c - where a database, its default and its service's socket lie. */
#include "client/locate.h"
#include "client/fork.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sha256.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ENDPOINT_DIGITS = 16 };

/* ---- paths ---- */

static char *join(const char *folder, const char *name)
{
    char *path;
    size_t length = strlen(folder);

    while (length > 1 && folder[length - 1] == '/')
        length--;
    if (asprintf(&path, "%.*s%s%s", (int)length, folder, length == 1 && folder[0] == '/' ? "" : "/", name) < 0)
        return NULL;
    return path;
}

static char *make_absolute(const char *path)
{
    char folder[PATH_MAX];

    if (path[0] == '/')
        return strdup(path);
    return getcwd(folder, sizeof(folder)) ? join(folder, path) : NULL;
}

/* The folder is folded as far as it exists, and the rest put behind it. */
static char *fold(const char *path)
{
    char *real = realpath(path, NULL);
    const char *slash = strrchr(path, '/');
    char *folder, *folded;

    if (real || !slash || slash == path)
        return real ? real : strdup(path);
    folder = strndup(path, (size_t)(slash - path));
    folded = folder ? fold(folder) : NULL;
    real = folded ? join(folded, slash + 1) : NULL;
    free(folder);
    free(folded);
    return real;
}

char *locate_real_path(const char *path)
{
    char *absolute, *real;

    if (!path || !path[0])
        return NULL;
    absolute = make_absolute(path);
    real = absolute ? fold(absolute) : NULL;
    free(absolute);
    return real;
}

/* ---- the default database ---- */

static char *home_folder(void)
{
    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char room[4096];

    if (home && home[0] == '/')
        return strdup(home);
    if (getpwuid_r(getuid(), &entry, room, sizeof(room), &found) == 0 && found && found->pw_dir[0] == '/')
        return strdup(found->pw_dir);
    return NULL;
}

static bool exists(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0;
}

static bool is_folder(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 && S_ISDIR(at.st_mode);
}

static bool is_sqlite(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof(magic)] = "";
    struct stat at;
    ssize_t got = 0;
    int fd;

    if (opened_here(path))
        return true;
    if (stat(path, &at) != 0 || !S_ISREG(at.st_mode))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, head, sizeof(head));
        close(fd);
    }
    return got == (ssize_t)sizeof(magic) && memcmp(head, magic, sizeof(magic)) == 0;
}

char *locate_default_database(char *notice, size_t notice_bytes, struct failure *failure)
{
    char *home = home_folder();
    char *folder = home ? join(home, ".stigmer") : NULL;
    char *ours = folder ? join(folder, "stigmer.sqlite") : NULL;
    char *theirs = folder ? join(folder, "stigmer.db") : NULL;
    char *chosen = NULL;

    notice[0] = '\0';
    if (!home) {
        failure_set(failure, STATUS_INVALID_ARGUMENT, "there is no home folder to keep a store in: name one");
    } else if (!ours || !theirs) {
        failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    } else {
        bool use_theirs = !exists(ours) && is_sqlite(theirs);
        if (!exists(ours) && is_folder(theirs))
            snprintf(notice, notice_bytes, "%s is a BadgerDB folder and is left alone; the store is %s", theirs, ours);
        chosen = strdup(use_theirs ? theirs : ours);
        if (!chosen)
            failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    }
    free(home);
    free(folder);
    free(ours);
    free(theirs);
    return chosen;
}

/* ---- its service's socket ---- */

static void hash_path(const char *path, char digits[ENDPOINT_DIGITS + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA2_CTX context;

    SHA256Init(&context);
    SHA256Update(&context, (const uint8_t *)path, strlen(path));
    SHA256Final(digest, &context);
    for (size_t i = 0; i < ENDPOINT_DIGITS / 2; i++)
        snprintf(digits + 2 * i, 3, "%02x", digest[i]);
}

/* A folder under /tmp is trusted only when it is ours alone. */
static int check_folder(const char *folder, struct failure *failure)
{
    struct stat at;

    if (lstat(folder, &at) != 0)
        return STATUS_OK;
    if (!S_ISDIR(at.st_mode) || at.st_uid != geteuid() || (at.st_mode & (S_IWGRP | S_IWOTH)))
        return failure_set(failure, STATUS_PERMISSION_DENIED,
                           "%s is somebody else's, or others may write to it: sockets in it are not trusted", folder);
    return STATUS_OK;
}

int locate_endpoint(const char *database_path, char *endpoint, size_t endpoint_bytes, struct failure *failure)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char digits[ENDPOINT_DIGITS + 1] = "";
    char folder[PATH_MAX];
    char *real = locate_real_path(database_path);
    int length, status = STATUS_OK;

    if (!real)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    hash_path(real, digits);
    free(real);
    if (runtime && runtime[0] == '/') {
        length = snprintf(folder, sizeof(folder), "%s/stigstore", runtime);
    } else {
        length = snprintf(folder, sizeof(folder), "/tmp/stigstore-%u", (unsigned)geteuid());
        status = check_folder(folder, failure);
    }
    if (status != STATUS_OK)
        return status;
    if (length > 0 && (size_t)length < sizeof(folder))
        length = snprintf(endpoint, endpoint_bytes, "ipc://%s/%s/broker.sock", folder, digits);
    if (length < 0 || (size_t)length >= endpoint_bytes ||
        (size_t)length - strlen("ipc://") + strlen(".workers") > LIMIT_IPC_PATH_BYTES)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "the socket's path under %s is too long", folder);
    return STATUS_OK;
}

bool locate_is_answered(const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = endpoint + strlen("ipc://");
    bool answered;
    int fd;

    if (strncmp(endpoint, "ipc://", strlen("ipc://")) != 0 || strlen(path) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    answered = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
    close(fd);
    return answered;
}
