/*
 * disk_names.c - the names in folders as the disk has them: what happened to them since their folder was synced.
 *
 * A journal keeps each act whole, and what was done to one name in its order.
 */
#include "tests/fault/disk/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ACTS_MOST = 512, PATH_BYTES = 192, NAMES_OF_ACT = 2 };

/* What a name led to, and leads to; 0: nothing. */
struct change {
    char path[PATH_BYTES];
    ino_t before, after;
};

struct name_act {
    ino_t folder;
    bool is_folder; /* a folder was made */
    unsigned count;
    struct change changes[NAMES_OF_ACT];
    bool is_kept; /* at a cut */
};

static char graves[PATH_BYTES];
static struct name_act acts[ACTS_MOST];
static size_t act_count;

const char *disk_grave(ino_t inode)
{
    static char path[PATH_BYTES + 32];

    snprintf(path, sizeof path, "%s/%lu", graves, (unsigned long)inode);
    return path;
}

static ino_t inode_at(const char *path)
{
    struct stat file;

    return fstatat(AT_FDCWD, path, &file, AT_SYMLINK_NOFOLLOW) == 0 ? file.st_ino : 0;
}

static ino_t folder_of(const char *path)
{
    char copy[PATH_BYTES];

    snprintf(copy, sizeof copy, "%s", path);
    return inode_at(dirname(copy));
}

static struct name_act *add_act(const char *path)
{
    assert(act_count < ACTS_MOST);
    acts[act_count] = (struct name_act){.folder = folder_of(path)};
    return &acts[act_count++];
}

static void add_change(struct name_act *act, const char *path, ino_t before, ino_t after)
{
    struct change *change = &act->changes[act->count++];

    assert(strlen(path) < PATH_BYTES);
    *change = (struct change){.before = before, .after = after};
    memcpy(change->path, path, strlen(path) + 1);
}

static void dig_grave(const char *path)
{
    ino_t inode = inode_at(path);

    if (inode && linkat(AT_FDCWD, path, AT_FDCWD, disk_grave(inode), 0) != 0)
        assert(errno == EEXIST);
}

void disk_keep(const char *path, ino_t made)
{
    dig_grave(path);
    if (made)
        add_change(add_act(path), path, 0, made);
}

void disk_unlinking(const char *path)
{
    dig_grave(path);
    add_change(add_act(path), path, inode_at(path), 0);
}

void disk_renaming(const char *from, const char *to)
{
    struct name_act *act = add_act(from);

    dig_grave(from);
    dig_grave(to);
    add_change(act, from, inode_at(from), 0);
    add_change(act, to, inode_at(to), inode_at(from));
}

void disk_made_folder(const char *path)
{
    struct name_act *act = add_act(path);

    act->is_folder = true;
    add_change(act, path, 0, inode_at(path));
}

void disk_names_synced(ino_t folder)
{
    size_t left = 0;

    for (size_t i = 0; i < act_count; i++)
        if (acts[i].folder != folder)
            acts[left++] = acts[i];
    act_count = left;
}

/* ---- a cut ---- */

static bool share_name(const struct name_act *a, const struct name_act *b)
{
    for (unsigned i = 0; i < a->count; i++)
        for (unsigned j = 0; j < b->count; j++)
            if (strcmp(a->changes[i].path, b->changes[j].path) == 0)
                return true;
    return false;
}

static bool follows_lost(const struct name_act *act)
{
    for (const struct name_act *before = acts; before < act; before++)
        if (!before->is_kept && share_name(before, act))
            return true;
    return false;
}

/* None, all, those up to one of them, or each by itself where none before it on the same name was lost. */
static void choose_acts(void)
{
    uint32_t mode = disk_draw(4);
    size_t up_to = act_count ? disk_draw((uint32_t)act_count + 1) : 0;

    for (size_t i = 0; i < act_count; i++)
        switch (mode) {
        case 0:
            acts[i].is_kept = false;
            break;
        case 1:
            acts[i].is_kept = true;
            break;
        case 2:
            acts[i].is_kept = i < up_to;
            break;
        default:
            acts[i].is_kept = !follows_lost(&acts[i]) && disk_draw(2);
        }
}

/* What a name led to before the first act on it, and after the last one that is kept. */
static ino_t kept_inode(const char *path)
{
    bool is_known = false;
    ino_t inode = 0;

    for (size_t i = 0; i < act_count; i++)
        for (unsigned j = 0; j < acts[i].count; j++) {
            const struct change *change = &acts[i].changes[j];
            if (strcmp(change->path, path) != 0)
                continue;
            if (!is_known)
                inode = change->before;
            is_known = true;
            if (acts[i].is_kept)
                inode = change->after;
        }
    return inode;
}

static int remove_entry(const char *path, const struct stat *entry, int type, struct FTW *walk)
{
    (void)entry;
    (void)walk;
    return unlinkat(AT_FDCWD, path, type == FTW_DP ? AT_REMOVEDIR : 0);
}

static void put_name(const struct name_act *act, const struct change *change)
{
    ino_t kept = kept_inode(change->path), now = inode_at(change->path);

    if (kept == now)
        return;
    if (act->is_folder) {
        nftw(change->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        return;
    }
    if (now)
        unlinkat(AT_FDCWD, change->path, 0);
    if (kept && linkat(AT_FDCWD, disk_grave(kept), AT_FDCWD, change->path, 0) != 0)
        assert(errno == ENOENT); /* its folder is gone */
}

void disk_names_cut(void)
{
    choose_acts();
    for (size_t i = 0; i < act_count; i++)
        for (unsigned j = 0; j < acts[i].count; j++)
            put_name(&acts[i], &acts[i].changes[j]);
    disk_names_settle();
}

static int remove_grave(const char *path, const struct stat *entry, int type, struct FTW *walk)
{
    (void)entry;
    return type == FTW_F && walk->level == 1 ? unlinkat(AT_FDCWD, path, 0) : 0;
}

void disk_names_settle(void)
{
    act_count = 0;
    nftw(graves, remove_grave, 8, FTW_PHYS);
}

void disk_names_start(const char *folder)
{
    char path[PATH_BYTES];

    snprintf(graves, sizeof graves, "%s/graves", folder);
    snprintf(path, sizeof path, "%s/disk", folder);
    if (mkdirat(AT_FDCWD, graves, 0700) != 0 || mkdirat(AT_FDCWD, path, 0700) != 0)
        assert(errno == EEXIST);
    act_count = 0;
}
