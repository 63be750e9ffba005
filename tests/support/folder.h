/*
 * folder.h - a folder of its own for each test, removed with all that is in it.
 */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

/* A new folder with mode 0700, short enough for socket paths; fails the test when it cannot be made. */
char *folder_new(void);
/* Removes it with everything below, frees, nulls. */
void folder_remove(char **folder);
/* "FOLDER/NAME" in malloc'ed memory. */
char *folder_path(const char *folder, const char *name);
#endif
