/* wal.c - the WAL's file and the first region of its index. */
#include "storage/wal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The WAL-index's header, in the byte order of the machine; it stands there twice. */
enum {
    INDEX_VERSION = 3007000, /* the first 32 bits */
    INDEX_PAGE_BYTES_AT = 14,
    INDEX_FRAMES_AT = 16,
    INDEX_HEADER_BYTES = 48,
    INDEX_MOVED_AT = 96,       /* frames that checkpoints have moved into the database */
    INDEX_CHECKPOINT_LOCK = 1, /* who holds it may change that number */
    INDEX_REGION_BYTES = 32768,
};

enum { WAL_HEADER_BYTES = 32, WAL_FRAME_HEADER_BYTES = 24, REWRITE_BYTES = 64 * 1024 };

static void *find_index(sqlite3 *db, sqlite3_file **file)
{
    void volatile *region = NULL;
    *file = NULL;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, file) != SQLITE_OK || !*file || !(*file)->pMethods)
        return NULL;
    if ((*file)->pMethods->iVersion < 2 || !(*file)->pMethods->xShmMap)
        return NULL;
    if ((*file)->pMethods->xShmMap(*file, 0, INDEX_REGION_BYTES, 0, &region) != SQLITE_OK)
        return NULL;
    return (void *)region;
}

const void *wal_find_index(sqlite3 *db)
{
    sqlite3_file *file;
    return find_index(db, &file);
}

/* The fences order the copy against our transaction's own reads. */
void wal_copy_head(const void *index, uint8_t head[WAL_HEAD_BYTES])
{
    atomic_thread_fence(memory_order_seq_cst);
    const volatile uint32_t *words = index;
    for (size_t i = 0; i < WAL_HEAD_BYTES / sizeof(uint32_t); i++) {
        uint32_t word = words[i];
        memcpy(head + i * sizeof word, &word, sizeof word);
    }
    atomic_thread_fence(memory_order_seq_cst);
}

bool wal_head_is_whole(const uint8_t head[WAL_HEAD_BYTES])
{
    uint32_t version;
    memcpy(&version, head, sizeof version);
    return version == INDEX_VERSION && memcmp(head, head + INDEX_HEADER_BYTES, INDEX_HEADER_BYTES) == 0;
}

/* ---- after a sync that failed ---- */

/* Up to its last commit; what the file holds behind that nobody reads. Everything, where the index does not tell. */
static sqlite3_int64 bytes_in_use(sqlite3 *db, sqlite3_int64 file_bytes)
{
    uint8_t head[WAL_HEAD_BYTES];
    uint16_t page_bytes;
    uint32_t frames;
    const void *index = wal_find_index(db);
    if (!index)
        return file_bytes;
    wal_copy_head(index, head);
    if (!wal_head_is_whole(head))
        return file_bytes;
    memcpy(&page_bytes, head + INDEX_PAGE_BYTES_AT, sizeof page_bytes);
    memcpy(&frames, head + INDEX_FRAMES_AT, sizeof frames);
    if (frames == 0)
        return 0;
    sqlite3_int64 frame_bytes = WAL_FRAME_HEADER_BYTES + (page_bytes == 1 ? 65536 : page_bytes);
    sqlite3_int64 used = WAL_HEADER_BYTES + frames * frame_bytes;
    return used < file_bytes ? used : file_bytes;
}

static bool is_moved_in_part(const void *index)
{
    uint8_t head[WAL_HEAD_BYTES];
    uint32_t frames, moved;
    wal_copy_head(index, head);
    memcpy(&frames, head + INDEX_FRAMES_AT, sizeof frames);
    memcpy(&moved, head + INDEX_MOVED_AT, sizeof moved);
    return wal_head_is_whole(head) && moved > 0 && moved < frames;
}

/* SQLite syncs the database when all frames have been moved; were that sync to fail, what an earlier checkpoint moved
 * would count for moved and never be written again. Recovery sets the number to 0 too. */
static int move_again(sqlite3 *db)
{
    enum { LOCK = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE, UNLOCK = SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE };
    sqlite3_file *file;
    char *index = find_index(db, &file);
    if (!index || !is_moved_in_part(index))
        return SQLITE_OK;
    int rc = file->pMethods->xShmLock(file, INDEX_CHECKPOINT_LOCK, 1, LOCK);
    if (rc != SQLITE_OK)
        return rc;
    if (is_moved_in_part(index))
        atomic_store((_Atomic uint32_t *)(void *)(index + INDEX_MOVED_AT), 0);
    return file->pMethods->xShmLock(file, INDEX_CHECKPOINT_LOCK, 1, UNLOCK);
}

static int write_again(sqlite3 *db)
{
    sqlite3_file *wal = NULL;
    sqlite3_int64 size = 0;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (rc != SQLITE_OK || !wal || !wal->pMethods)
        return rc;
    char *bytes = malloc(REWRITE_BYTES);
    rc = bytes ? wal->pMethods->xFileSize(wal, &size) : SQLITE_NOMEM;
    if (rc == SQLITE_OK)
        size = bytes_in_use(db, size);
    for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += REWRITE_BYTES) {
        int some = size - at < REWRITE_BYTES ? (int)(size - at) : REWRITE_BYTES;
        rc = wal->pMethods->xRead(wal, bytes, some, at);
        if (rc == SQLITE_OK)
            rc = wal->pMethods->xWrite(wal, bytes, some, at);
    }
    free(bytes);
    return rc;
}

int wal_rewrite(sqlite3 *db)
{
    int rc = move_again(db);
    return rc == SQLITE_OK ? write_again(db) : rc;
}
