/*
 * sqlite_open_reading.c - opening a database for reading, without leaving a trace.
 *
 * SQLite would make -wal and -shm for a reader too, under the reader's user. So: where both are there, an ordinary
 * connection; where the -wal is missing or empty, the file alone, as immutable, and watched for any change; where the
 * -wal holds something and the -shm is missing, nothing, since the file alone is not the whole store.
 */
#include "storage/lock.h"
#include "storage/path.h"
#include "storage/schema.h"
#include "storage/sqlite_reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 1000 };

enum manner { MANNER_ORDINARY, MANNER_IMMUTABLE, MANNER_REFUSED };

static enum manner choose_manner(const char *path)
{
    int64_t wal = path_size_beside(path, "-wal");
    if (path_size_beside(path, "-journal") > 0)
        return MANNER_REFUSED;
    if (wal >= 0 && path_size_beside(path, "-shm") >= 0)
        return MANNER_ORDINARY;
    return wal > 0 ? MANNER_REFUSED : MANNER_IMMUTABLE;
}

static int check_file(const char *path, struct failure *failure)
{
    struct stat file;
    if (stat(path, &file) != 0 || access(path, R_OK) != 0) {
        int status = errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND : STATUS_IO_ERROR;
        return failure_set(failure, status, "cannot read %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(file.st_mode))
        return failure_set(failure, STATUS_UNSUPPORTED, "%s is not a regular file", path);
    if (file.st_size == 0)
        return failure_set(failure, STATUS_UNSUPPORTED, "%s is empty: open it for writing once", path);
    return STATUS_OK;
}

/* A service whose writer is being started: what recovery would find now may not be on the disk yet. */
static int check_owner(const char *path, struct failure *failure)
{
    struct lock *lock;
    struct lock_holder holder;
    if (lock_open(path, false, &lock, NULL) != STATUS_OK)
        return STATUS_OK;
    bool is_starting = lock_is_held(lock, LOCK_OWNER, &holder) && !lock_is_held(lock, LOCK_WRITER, NULL);
    lock_free(&lock);
    if (!is_starting)
        return STATUS_OK;
    return failure_set(failure, STATUS_UNAVAILABLE, "%s is owned by process %" PRId64 ", whose writer is not ready",
                       path, holder.pid);
}

static int set_memory(sqlite3 *db, const struct storage_options *options)
{
    char sql[96];
    int rc = SQLITE_OK;
    if (options->cache_bytes) {
        snprintf(sql, sizeof(sql), "PRAGMA cache_size = -%" PRIu64, options->cache_bytes / KIB);
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK && options->mapped_bytes) {
        snprintf(sql, sizeof(sql), "PRAGMA mmap_size = %" PRIu64, options->mapped_bytes);
        rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    return rc;
}

static int open_connection(struct sqlite_store *store, const struct storage_options *options, bool immutable)
{
    const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    char *uri = immutable ? path_make_uri(store->path, "?immutable=1") : NULL;
    if (immutable && !uri)
        return SQLITE_NOMEM;
    int rc =
        sqlite3_open_v2(immutable ? uri : store->path, &store->db, flags | (immutable ? SQLITE_OPEN_URI : 0), NULL);
    free(uri);
    if (rc == SQLITE_OK)
        rc = sqlite_harden(store->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(store->db, BUSY_MS);
    if (rc == SQLITE_OK)
        rc = set_memory(store->db, options);
    return rc;
}

/* A file cut within its last page would open. */
static int check_size(struct sqlite_store *store, struct failure *failure)
{
    int64_t pages = 0, page_bytes = 0;
    int rc = sqlite_query_number(store->db, "PRAGMA page_count", &pages);
    if (rc == SQLITE_OK)
        rc = sqlite_query_number(store->db, "PRAGMA page_size", &page_bytes);
    if (rc != SQLITE_OK)
        return sqlite_fail(store->db, rc, store->path, failure);
    if (store->reading->watched.size < pages * page_bytes)
        return failure_set(failure, STATUS_CORRUPT, "%s is cut short: %" PRId64 " bytes, its header says %" PRId64,
                           store->path, (int64_t)store->reading->watched.size, pages * page_bytes);
    return STATUS_OK;
}

/* The first read: whether the file is ours, and which one. */
static int read_meta(struct sqlite_store *store, struct failure *failure)
{
    struct schema_meta meta;
    bool found;
    int rc = schema_load_meta(store->db, &meta, &found);
    if (rc == SQLITE_NOTADB)
        return failure_set(failure, STATUS_UNSUPPORTED, "%s is not an SQLite database", store->path);
    if (rc != SQLITE_OK)
        return sqlite_fail(store->db, rc, store->path, failure);
    if (!found)
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "%s is not a store of this version: if it is an older one, open it for writing once",
                           store->path);
    if (meta.version > SCHEMA_VERSION)
        return failure_set(failure, STATUS_UNSUPPORTED, "%s has schema %" PRId64 ", newer than %d", store->path,
                           meta.version, SCHEMA_VERSION);
    rc = sqlite_identify(store, meta.incarnation);
    return rc == SQLITE_OK ? STATUS_OK : sqlite_fail(store->db, rc, store->path, failure);
}

static int open_in_manner(struct sqlite_store *store, const struct storage_options *options, enum manner manner,
                          struct failure *failure)
{
    struct watched_file watched;
    if (!sqlite_watch(store->path, &watched))
        return failure_set(failure, STATUS_NOT_FOUND, "%s is gone", store->path);
    int rc = open_connection(store, options, manner == MANNER_IMMUTABLE);
    if (rc != SQLITE_OK)
        return sqlite_fail(store->db, rc, store->path, failure);
    if (!sqlite_reading_of(store))
        return failure_set(failure, STATUS_NO_MEMORY, "out of memory");
    store->reading->is_immutable = manner == MANNER_IMMUTABLE;
    store->reading->watched = watched;
    int status = read_meta(store, failure);
    if (status == STATUS_OK && manner == MANNER_IMMUTABLE)
        status = check_size(store, failure);
    if (status == STATUS_OK && !sqlite_is_unchanged(store))
        status = failure_set(failure, STATUS_UNAVAILABLE, "%s was changed while it was opened", store->path);
    return status;
}

int sqlite_open_reading(struct sqlite_store *store, const struct storage_options *options, struct failure *failure)
{
    int status = check_file(store->path, failure);
    if (status == STATUS_OK)
        status = check_owner(store->path, failure);
    if (status != STATUS_OK)
        return status;
    enum manner manner = choose_manner(store->path);
    if (manner == MANNER_REFUSED)
        return failure_set(failure, STATUS_UNAVAILABLE,
                           "%s has changes beside it that only opening it for writing brings in", store->path);
    return open_in_manner(store, options, manner, failure);
}
