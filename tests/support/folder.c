/*
 * folder.c - temporary folders.
 */
#include "tests/support/folder.h"

#include "tests/support/cmocka_all.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *folder_new(void)
{
    char *folder = strdup("/tmp/stigstore-test-XXXXXX");
    assert_non_null(folder);
    assert_non_null(mkdtemp(folder));
    return folder;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *at)
{
    (void)stat;
    (void)type;
    (void)at;
    return remove(path);
}

void folder_remove(char **folder)
{
    if (*folder) {
        nftw(*folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(*folder);
        *folder = NULL;
    }
}

char *folder_path(const char *folder, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}
