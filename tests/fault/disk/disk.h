/*
 * disk.h - what a disk keeps of a folder when the power goes: files as they were synced, and of the rest whatever comes.
 *
 * Programs see the page cache, which here is the real file.  What was not synced is kept aside as it stands on the
 * disk: page by page, with the size of the file and the names in its folder.  At a cut any part of what is not synced
 * may have reached the disk: pages or sectors of 512 bytes each by itself, and names in any order that a journal of
 * the file system may keep.  Between two syncs pages are written back at random moments.
 *
 * Owns: the folder "graves" beside the watched one, where each file keeps a second name.  Thread: one.
 * Invariant: a page that has no shadow is on the disk as the real file has it.
 */
#ifndef TESTS_FAULT_DISK_DISK_H
#define TESTS_FAULT_DISK_DISK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

extern struct disk {
    bool is_off;        /* the power is off, or the process is dead: no act has an effect, each fails with EIO */
    long acts_left;     /* until it goes off by itself; negative: it does not */
    unsigned long acts; /* writes, truncations, syncs, changes of names so far */
    long syncs_left;    /* until a sync fails, its pages then clean and perhaps never written; negative: none does */
    bool lies;          /* a sync says OK and does nothing */
    unsigned long syncs, failed_syncs;
} disk;

/* Watches `folder`/disk, which is made; all that is in it counts as synced. */
void disk_start(const char *folder, uint64_t seed);
void disk_stop(void);
/* The machine goes down and comes up again: the files are as the disk has them. No descriptor may be open. */
void disk_cut(void);
/* All that there is counts as synced. */
void disk_settle(void);
/* From the same numbers as what the disk does: below `below`. */
uint32_t disk_draw(uint32_t below);

/* ---- for calls.c ---- */
/* One more act: false when the power is off. */
bool disk_act(void);
/* A regular file below the folder was opened or made. */
void disk_opened(int fd, const char *path, bool was_made);
/* Both around the real act. */
void disk_before_write(int fd, off_t at, size_t size);
void disk_after_write(int fd);
void disk_before_truncate(int fd, off_t size);
/* 0, or errno when the sync fails. */
int disk_sync(int fd);
/* Before the real act; `folder`: that of the name. */
void disk_unlinking(const char *path);
void disk_renaming(const char *from, const char *to);
void disk_made_folder(const char *path);

/* ---- between disk.c and disk_names.c ---- */
/* Keeps the file alive under a name among the graves. */
void disk_keep(const char *path, ino_t inode);
/* "GRAVES/INODE" in a static buffer. */
const char *disk_grave(ino_t inode);
void disk_names_start(const char *folder);
/* What happened to the names in this folder is on the disk now. */
void disk_names_synced(ino_t folder);
/* Puts the names as the disk has them. */
void disk_names_cut(void);
void disk_names_settle(void);
#endif
