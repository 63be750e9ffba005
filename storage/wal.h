/*
 * wal.h - what we read of SQLite's WAL and of the WAL-index beside it, which its documentation describes
 * (https://sqlite.org/walformat.html): which commit is the newest, and how much of the WAL is in use.
 *
 * Owns: nothing.  Thread: that of the connection passed in.
 */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* The head of the WAL-index: its header, twice, and how many frames a checkpoint has moved. A commit changes the header
 * before it returns, a finished checkpoint the number. */
enum { WAL_HEAD_BYTES = 100 };

/* The first region of the WAL-index as the connection has it mapped; NULL: there is none. Stays while a transaction is
 * open. */
const void *wal_find_index(sqlite3 *db);
/* A copy of the head, which other processes may be writing: it counts only if it is whole. */
void wal_copy_head(const void *index, uint8_t head[WAL_HEAD_BYTES]);
/* Of a version that we know, and not in the middle of a commit? */
bool wal_head_is_whole(const uint8_t head[WAL_HEAD_BYTES]);

/*
 * After a sync that failed, pages count as written whether they reached the disk or not. This writes the WAL's frames
 * once more as they read, so that the next sync covers all of them, and has the next checkpoint move them all once more
 * into the database.  Inside a transaction that writes and has not written yet, so that nobody else does.  An SQLite
 * result code; BUSY: another program's checkpoint is under way.
 */
int wal_rewrite(sqlite3 *db);
#endif
