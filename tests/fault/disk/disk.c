/*
 * disk.c - the contents of files as the disk has them, page by page beside the page cache.
 */
#include "tests/fault/disk/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, SECTOR_BYTES = 512, MEDIA_MOST = 256 };

struct disk disk;

/* A page that the disk has otherwise than the cache. */
struct shadow {
    bool is_dirty; /* to be written; else clean, though it was never written: its sync failed, or it was cut off */
    uint8_t bytes[PAGE_BYTES];
};

struct medium {
    ino_t inode;
    off_t size;   /* on the disk */
    off_t shrunk; /* the least that the cache's size was since the disk knew it; -1: it did not shrink */
    struct shadow **shadows;
    size_t room;
};

static struct medium media[MEDIA_MOST];
static size_t media_count;
static uint64_t random_state;

uint32_t disk_draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % below);
}

bool disk_act(void)
{
    if (disk.is_off || disk.acts_left == 0) {
        disk.is_off = true;
        return false;
    }
    if (disk.acts_left > 0)
        disk.acts_left--;
    disk.acts++;
    return true;
}

/* ---- media and shadows ---- */

static struct medium *find_medium(int fd, off_t *cache_size)
{
    struct stat file;

    if (fstat(fd, &file) != 0)
        return NULL;
    *cache_size = file.st_size;
    for (size_t i = 0; i < media_count; i++)
        if (media[i].inode == file.st_ino)
            return &media[i];
    return NULL;
}

void disk_opened(int fd, const char *path, bool was_made)
{
    off_t size = 0;
    struct stat file;

    if (find_medium(fd, &size) || fstat(fd, &file) != 0)
        return;
    assert(media_count < MEDIA_MOST);
    media[media_count++] = (struct medium){.inode = file.st_ino, .size = was_made ? 0 : size, .shrunk = -1};
    disk_keep(path, was_made ? file.st_ino : 0);
}

static void drop_shadow(struct medium *medium, size_t page)
{
    free(medium->shadows[page]);
    medium->shadows[page] = NULL;
}

static size_t pages_of(off_t size)
{
    return (size_t)((size + PAGE_BYTES - 1) / PAGE_BYTES);
}

static void make_room(struct medium *medium, size_t pages)
{
    if (pages <= medium->room)
        return;
    medium->shadows = realloc(medium->shadows, pages * sizeof *medium->shadows);
    assert(medium->shadows);
    memset(medium->shadows + medium->room, 0, (pages - medium->room) * sizeof *medium->shadows);
    medium->room = pages;
}

static void read_page(int fd, size_t page, uint8_t bytes[PAGE_BYTES])
{
    ssize_t got = syscall(SYS_pread64, fd, bytes, PAGE_BYTES, (off_t)page * PAGE_BYTES);

    got = got < 0 ? 0 : got;
    memset(bytes + got, 0, PAGE_BYTES - (size_t)got);
}

/* Keeps aside what the disk has of a page, which is what the cache has of it if it has no shadow yet. */
static struct shadow *cast_shadow(struct medium *medium, int fd, size_t page)
{
    make_room(medium, page + 1);
    if (!medium->shadows[page]) {
        medium->shadows[page] = calloc(1, sizeof(struct shadow));
        assert(medium->shadows[page]);
        read_page(fd, page, medium->shadows[page]->bytes);
    }
    return medium->shadows[page];
}

/* The disk learns that the file became shorter: what stood behind is gone from it. */
static void commit_shrinking(struct medium *medium)
{
    if (medium->shrunk < 0)
        return;
    for (size_t page = (size_t)(medium->shrunk / PAGE_BYTES); page < medium->room; page++) {
        off_t begins = (off_t)page * PAGE_BYTES;
        size_t kept = begins < medium->shrunk ? (size_t)(medium->shrunk - begins) : 0;
        if (medium->shadows[page])
            memset(medium->shadows[page]->bytes + kept, 0, PAGE_BYTES - kept);
    }
    if (medium->size > medium->shrunk)
        medium->size = medium->shrunk;
    medium->shrunk = -1;
}

/* The disk gets a whole page of the cache. */
static void write_back(struct medium *medium, size_t page, off_t cache_size)
{
    off_t end = (off_t)(page + 1) * PAGE_BYTES;

    commit_shrinking(medium);
    drop_shadow(medium, page);
    end = end < cache_size ? end : cache_size;
    if (medium->size < end)
        medium->size = end;
}

/* ---- acts ---- */

void disk_before_write(int fd, off_t at, size_t size)
{
    off_t cache_size;
    struct medium *medium = find_medium(fd, &cache_size);

    if (!medium || size == 0)
        return;
    for (size_t page = (size_t)(at / PAGE_BYTES); page < pages_of(at + (off_t)size); page++)
        cast_shadow(medium, fd, page)->is_dirty = true;
}

void disk_after_write(int fd)
{
    off_t cache_size;
    struct medium *medium = find_medium(fd, &cache_size);

    if (!medium || disk_draw(40))
        return;
    for (size_t page = 0; page < medium->room; page++)
        if (medium->shadows[page] && medium->shadows[page]->is_dirty && disk_draw(2))
            write_back(medium, page, cache_size);
}

void disk_before_truncate(int fd, off_t size)
{
    off_t cache_size;
    struct medium *medium = find_medium(fd, &cache_size);

    if (!medium || size >= cache_size)
        return;
    for (size_t page = (size_t)(size / PAGE_BYTES); page < pages_of(cache_size); page++) {
        struct shadow *shadow = cast_shadow(medium, fd, page);
        shadow->is_dirty = (off_t)page * PAGE_BYTES < size;
    }
    if (medium->shrunk < 0 || size < medium->shrunk)
        medium->shrunk = size;
}

static void sync_medium(struct medium *medium, off_t cache_size, bool fails)
{
    for (size_t page = 0; page < medium->room; page++) {
        struct shadow *shadow = medium->shadows[page];
        if (!shadow || !shadow->is_dirty)
            continue;
        if (!fails || disk_draw(2))
            write_back(medium, page, cache_size);
        else
            shadow->is_dirty = false;
    }
    if (fails && disk_draw(2))
        return;
    commit_shrinking(medium);
    medium->size = cache_size;
    for (size_t page = pages_of(cache_size); page < medium->room; page++)
        drop_shadow(medium, page);
}

static bool sync_fails(void)
{
    if (disk.syncs_left < 0 || disk.syncs_left-- > 0)
        return false;
    disk.failed_syncs++;
    return true;
}

int disk_sync(int fd)
{
    struct stat file;
    off_t cache_size;
    bool fails = sync_fails();
    struct medium *medium = find_medium(fd, &cache_size);

    disk.syncs++;
    if (disk.lies)
        return 0;
    if (medium)
        sync_medium(medium, cache_size, fails);
    else if (!fails && fstat(fd, &file) == 0 && S_ISDIR(file.st_mode))
        disk_names_synced(file.st_ino);
    return fails ? EIO : 0;
}

/* ---- a cut ---- */

enum tearing { KEEPS_NOTHING, KEEPS_ALL, KEEPS_PAGES, KEEPS_SECTORS, TEARINGS };

/* Puts into `shadow` what of the dirty cache had reached the disk; the end of the last of it in the page, 0: nothing. */
static size_t tear_page(struct shadow *shadow, const uint8_t *cache, enum tearing tearing, uint32_t sixteenths)
{
    bool keeps_page = tearing == KEEPS_ALL || (tearing == KEEPS_PAGES && disk_draw(16) < sixteenths);
    size_t end = 0;

    for (size_t at = 0; at < PAGE_BYTES; at += SECTOR_BYTES) {
        if (!keeps_page && (tearing != KEEPS_SECTORS || disk_draw(16) >= sixteenths))
            continue;
        memcpy(shadow->bytes + at, cache + at, SECTOR_BYTES);
        end = at + SECTOR_BYTES;
    }
    return end;
}

/* Pages behind a shrinking that the disk never learnt of are as they were. */
static bool is_behind_shrinking(const struct medium *medium, size_t page)
{
    return medium->shrunk >= 0 && (off_t)(page + 1) * PAGE_BYTES > medium->shrunk;
}

static void cut_medium(struct medium *medium, int fd, off_t cache_size)
{
    static const uint32_t some[] = {1, 8, 15};
    enum tearing tearing = disk_draw(TEARINGS);
    uint32_t sixteenths = some[disk_draw(3)];
    uint8_t cache[PAGE_BYTES];

    if (disk_draw(2))
        commit_shrinking(medium);
    for (size_t page = 0; page < medium->room; page++) {
        struct shadow *shadow = medium->shadows[page];
        if (!shadow || !shadow->is_dirty || is_behind_shrinking(medium, page))
            continue;
        read_page(fd, page, cache);
        size_t end = tear_page(shadow, cache, tearing, sixteenths);
        off_t reached = (off_t)page * PAGE_BYTES + (off_t)end;
        reached = reached < cache_size ? reached : cache_size;
        if (end && medium->size < reached)
            medium->size = reached;
    }
    if (medium->shrunk < 0 && medium->size < cache_size && disk_draw(4) == 0)
        medium->size = cache_size;
}

static void put_as_on_disk(const struct medium *medium, int fd)
{
    for (size_t page = 0; page < medium->room; page++)
        if (medium->shadows[page] && (off_t)page * PAGE_BYTES < medium->size &&
            syscall(SYS_pwrite64, fd, medium->shadows[page]->bytes, PAGE_BYTES, (off_t)page * PAGE_BYTES) != PAGE_BYTES)
            abort();
    if (syscall(SYS_ftruncate, fd, medium->size) != 0)
        abort();
}

static void forget_media(void)
{
    for (size_t i = 0; i < media_count; i++) {
        for (size_t page = 0; page < media[i].room; page++)
            free(media[i].shadows[page]);
        free(media[i].shadows);
    }
    media_count = 0;
}

void disk_cut(void)
{
    for (size_t i = 0; i < media_count; i++) {
        off_t cache_size = 0;
        int fd = (int)syscall(SYS_openat, AT_FDCWD, disk_grave(media[i].inode), O_RDWR);
        assert(fd >= 0);
        find_medium(fd, &cache_size);
        cut_medium(&media[i], fd, cache_size);
        put_as_on_disk(&media[i], fd);
        syscall(SYS_close, fd);
    }
    forget_media();
    disk_names_cut();
    disk.is_off = false;
    disk.acts_left = disk.syncs_left = -1;
}

void disk_settle(void)
{
    forget_media();
    disk_names_settle();
}

void disk_start(const char *folder, uint64_t seed)
{
    random_state = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    disk = (struct disk){.acts_left = -1, .syncs_left = -1};
    disk_names_start(folder);
}

void disk_stop(void)
{
    disk_settle();
}
