/*
 * upgrade.h - turn a file of Stigmer's own store into one of ours, in place.
 *
 * Owns: nothing between calls.  Thread: any; no connection to the file may be open in this process.
 * Invariant: the file is either as it was or wholly upgraded, and a copy of what it was lies beside it.
 */
#ifndef STORAGE_UPGRADE_H
#define STORAGE_UPGRADE_H
#include "proto/failure.h"

/*
 * For a file that file_inspect calls FILE_STIGMER, by whoever holds the lock.  Proves that no other connection is open
 * (else BUSY), writes PATH.stigmer-vN.backup, then rebuilds the tables in one transaction: rows, audit records and
 * their order stay, revision 1 is stamped on all.  Tables that are not ours are untouched.  OK too when somebody has
 * upgraded it meanwhile.  STORAGE_UNKNOWN (storage.h): a sync failed.
 */
int upgrade_run(const char *path, const struct log_sink *log, struct failure *failure);
#endif
