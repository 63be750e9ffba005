/*
 * key_file.c - key files in and out.
 */
#include "cli/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { FILE_BYTES_MOST = 16384, NAME_BYTES_MOST = 256 };

/* ---- in ---- */

static bool is_key(const char *text)
{
    uint8_t bytes[KEY_FILE_CHARS * 4 / 5];
    return strlen(text) == KEY_FILE_CHARS && zmq_z85_decode(bytes, text) != NULL;
}

/* The key of a line like `    public-key = "..."`, in quotes of either kind or in none, as the broker takes it. */
static bool take_line(const char *line, char public_key[KEY_FILE_CHARS + 1])
{
    char text[KEY_FILE_CHARS + 2] = "";
    int at = 0;
    if (sscanf(line, " public-key = %n", &at) != 0 || at == 0)
        return false;
    const char *value = line + at;
    char quote[] = {*value, '\0'};
    if (*value != '"' && *value != '\'')
        *quote = '\0';
    if (*quote)
        value++;
    size_t length = strcspn(value, *quote ? quote : " \t\r#");
    if (length != KEY_FILE_CHARS || (*quote && value[length] != *quote))
        return false;
    memcpy(text, value, KEY_FILE_CHARS);
    if (!is_key(text))
        return false;
    memcpy(public_key, text, KEY_FILE_CHARS + 1);
    return true;
}

int key_file_read(int folder_fd, const char *path, char public_key[KEY_FILE_CHARS + 1], struct failure *failure)
{
    char text[FILE_BYTES_MOST], *rest = text;
    int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot read %s: %s", path, strerror(error));
    text[got] = '\0';
    bool found = false;
    for (char *line; !found && (line = strsep(&rest, "\n"));)
        found = take_line(line, public_key);
    explicit_bzero(text, sizeof(text));
    return found ? STATUS_OK
                 : failure_set(failure, STATUS_INVALID_ARGUMENT, "%s holds no public-key of %d characters", path,
                               KEY_FILE_CHARS);
}

/* ---- out ---- */

static int format(const struct key_file *key, char *out, size_t out_bytes)
{
    char role[64] = "", secret[KEY_FILE_CHARS + 32] = "";
    if (key->role)
        snprintf(role, sizeof(role), "metadata\n    role = \"%s\"\n", key->role);
    if (*key->secret_key)
        snprintf(secret, sizeof(secret), "    secret-key = \"%s\"\n", key->secret_key);
    int size = snprintf(out, out_bytes, "#   %s\n%scurve\n    public-key = \"%s\"\n%s",
                        *key->secret_key ? "A key pair of stigstore: keep it to yourself"
                                         : "A public key of stigstore: it may be shown",
                        role, key->public_key, secret);
    explicit_bzero(secret, sizeof(secret));
    return size;
}

/* Umask apart, and down to the disk before it gets its name. */
static bool fill(int fd, const char *text, size_t size, mode_t mode)
{
    while (size > 0) {
        ssize_t wrote = write(fd, text, size);
        if (wrote < 0 && errno != EINTR)
            return false;
        text += wrote > 0 ? wrote : 0;
        size -= wrote > 0 ? (size_t)wrote : 0;
    }
    return fchmod(fd, mode) == 0 && fsync(fd) == 0;
}

static bool draft(int folder_fd, const char *name, const char *text, size_t size, mode_t mode)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool done = fill(fd, text, size, mode);
    int error = errno;
    close(fd);
    if (!done)
        unlinkat(folder_fd, name, 0);
    errno = error;
    return done;
}

/* Names that begin with a dot are nobody's key. */
static bool place(int folder_fd, const char *name, const char *text, size_t size, mode_t mode, bool replace)
{
    char temporary[NAME_BYTES_MOST];
    uint32_t number = 0;
    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        return false;
    snprintf(temporary, sizeof(temporary), ".%08x.new", (unsigned)number);
    if (!draft(folder_fd, temporary, text, size, mode))
        return false;
    if (renameat2(folder_fd, temporary, folder_fd, name, replace ? 0 : RENAME_NOREPLACE) == 0)
        return fsync(folder_fd) == 0;
    int error = errno;
    unlinkat(folder_fd, temporary, 0);
    errno = error;
    return false;
}

int key_file_write(int folder_fd, const char *name, const struct key_file *key, mode_t mode, bool replace,
                   struct failure *failure)
{
    char text[512];
    int size = format(key, text, sizeof(text));
    bool done = place(folder_fd, name, text, (size_t)size, mode, replace);
    int error = errno;
    explicit_bzero(text, sizeof(text));
    if (done)
        return STATUS_OK;
    if (error == EEXIST)
        return failure_set(failure, STATUS_CONFLICT, "there is a file %s already", name);
    return failure_set(failure, STATUS_IO_ERROR, "cannot write %s: %s", name, strerror(error));
}
