/*
 * place.c - see place.h.
 */
#include "tests/fault/disk/place.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[128], root[160];

static int remove_entry(const char *path, const struct stat *entry, int type, struct FTW *walk)
{
    (void)entry;
    if (walk->level == 0)
        return 0;
    return unlinkat(AT_FDCWD, path, type == FTW_DP ? AT_REMOVEDIR : 0);
}

void place_make(void)
{
    const char *base = getenv("TMPDIR");
    char *real;

    if (!base || !base[0])
        base = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%.90s/stigstore-fault-XXXXXX", base);
    real = mkdtemp(folder) ? realpath(folder, NULL) : NULL;
    if (!real || strlen(real) >= sizeof folder) {
        perror(folder);
        exit(2);
    }
    snprintf(folder, sizeof folder, "%s", real);
    snprintf(root, sizeof root, "%s/disk", folder);
    free(real);
}

void place_clear(void)
{
    if (folder[0])
        nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void place_remove(void)
{
    place_clear();
    if (folder[0])
        unlinkat(AT_FDCWD, folder, AT_REMOVEDIR);
    folder[0] = '\0';
}

const char *place_folder(void)
{
    return folder;
}

const char *place_root(void)
{
    return root;
}

char *place_path(const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", root, name) < 0)
        abort();
    return path;
}

void place_spoil(const char *path, bool with_noise)
{
    char noise[4096];
    int fd;

    unlinkat(AT_FDCWD, path, 0);
    if (!with_noise)
        return;
    memset(noise, 0x5A, sizeof noise);
    fd = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    for (int i = 0; fd >= 0 && i < 8; i++)
        if (write(fd, noise, sizeof noise) < 0)
            break;
    if (fd >= 0)
        close(fd);
}
