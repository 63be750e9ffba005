/*
 * place.h - the folder of a rig: FOLDER/disk is what it watches, below FOLDER/graves the disk keeps what lost its name.
 *
 * Owns: the folder.  Thread: one.
 */
#ifndef TESTS_FAULT_DISK_PLACE_H
#define TESTS_FAULT_DISK_PLACE_H
#include <stdbool.h>

/* In $TMPDIR, else in memory: no real disk is waited for. */
void place_make(void);
/* Null-safe, any number of times. */
void place_remove(void);
/* Empties it. */
void place_clear(void);
const char *place_folder(void);
const char *place_root(void);
/* "ROOT/NAME", for free(). */
char *place_path(const char *name);
/* Removes the file, or fills it with noise. */
void place_spoil(const char *path, bool with_noise);
#endif
