/*
 * lock_text.h - what a lock file says about its owner, as text that survives being read while it is written.
 *
 * Layout: 1,024 bytes of lines closed by a checksum.
 * Owns: nothing.  Thread: any; one writer at a time.
 */
#ifndef STORAGE_LOCK_TEXT_H
#define STORAGE_LOCK_TEXT_H
#include "storage/lock.h"

/* STATUS_OK, INVALID_ARGUMENT (control characters in host or endpoint), STORAGE_FULL, IO_ERROR. */
int lock_text_write(int fd, const struct lock_holder *holder, struct failure *failure);
/* False, and a zeroed holder, when the file holds no whole text of ours. */
bool lock_text_read(int fd, struct lock_holder *holder);
#endif
