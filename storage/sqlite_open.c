/*
 * sqlite_open.c - the shared entry of the engine: its table of operations, the store itself, who the file is, closing.
 */
#include "proto/clock.h"
#include "storage/path.h"
#include "storage/schema.h"
#include "storage/sqlite_writing.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const struct storage_ops sqlite_ops = {
    .begin = sqlite_begin,
    .apply = sqlite_apply,
    .delete_rows = sqlite_delete_rows,
    .count_rows = sqlite_count_rows,
    .expire_keys = sqlite_expire_keys,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .session_log = sqlite_session_log,
    .checkpoint = sqlite_checkpoint,
    .rest = sqlite_rest,
    .wants_rest = sqlite_wants_rest,
    .end = sqlite_end,
    .backup_open = sqlite_backup_open,
    .backup_step = sqlite_backup_step,
    .backup_close = sqlite_backup_close,
    .answer = sqlite_answer,
    .holds_snapshot = sqlite_holds_snapshot,
    .release_snapshot = sqlite_release_snapshot,
    .scan_open = sqlite_scan_open,
    .scan_next = sqlite_scan_next,
    .scan_close = sqlite_scan_close,
    .is_current = sqlite_is_current,
    .counters = sqlite_counters,
    .close = sqlite_close,
};

/* ---- where the file is ---- */

/* By what statfs calls them. FUSE may be local or not, and is let pass. */
static const struct {
    uint32_t type;
    const char *name;
} network_file_systems[] = {
    {0x6969, "NFS"},       {0x517B, "SMB"},      {0xFF534D42, "CIFS"},   {0xFE534D42, "SMB2"}, {0x01021997, "9P"},
    {0x00C36400, "Ceph"},  {0x5346414F, "AFS"},  {0x0BD00BD3, "Lustre"}, {0x73757245, "Coda"}, {0x564C, "NCP"},
    {0x7461636F, "OCFS2"}, {0x01161970, "GFS2"}, {0x47504653, "GPFS"},
};

static bool statfs_nearest(const char *path, struct statfs *fs)
{
    char folder[PATH_MAX];
    if (statfs(path, fs) == 0)
        return true;
    if (strlen(path) >= sizeof folder)
        return false;
    memcpy(folder, path, strlen(path) + 1);
    for (char *slash; (slash = strrchr(folder, '/')) != NULL;) {
        slash[slash == folder] = '\0'; /* keeps the root's own slash */
        if (statfs(folder, fs) == 0)
            return true;
        if (slash == folder)
            return false;
    }
    return statfs(".", fs) == 0;
}

int sqlite_refuse_network(const char *path, struct failure *failure)
{
    struct statfs fs;
    if (!statfs_nearest(path, &fs))
        return failure_set(failure, STATUS_IO_ERROR, "%s: %s", path, strerror(errno));
    for (size_t i = 0; i < sizeof network_file_systems / sizeof *network_file_systems; i++)
        if ((uint32_t)fs.f_type == network_file_systems[i].type)
            return failure_set(failure, STATUS_UNSUPPORTED,
                               "%s lies on a network file system (%s); the database needs a local one", path,
                               network_file_systems[i].name);
    return STATUS_OK;
}

int sqlite_identify(struct sqlite_store *store, const uint8_t incarnation[16])
{
    struct stat file;
    int moved = 0;
    if (stat(store->path, &file) != 0)
        return SQLITE_IOERR_FSTAT;
    int rc = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (rc == SQLITE_OK && moved)
        return SQLITE_IOERR_FSTAT; /* replaced while it was being opened */
    struct storage_identity *identity = &store->base.identity;
    memcpy(identity->boot_id, clock_boot_id(), sizeof identity->boot_id);
    memcpy(identity->incarnation, incarnation, sizeof identity->incarnation);
    identity->device = file.st_dev;
    identity->inode = file.st_ino;
    return rc == SQLITE_NOTFOUND ? SQLITE_OK : rc;
}

bool sqlite_is_current(struct storage *storage)
{
    struct stat file;
    return stat(storage->path, &file) == 0 && file.st_dev == storage->identity.device &&
           file.st_ino == storage->identity.inode && sqlite_is_unchanged(sqlite_of(storage));
}

/* ---- counters ---- */

static uint64_t file_bytes(const char *path, const char *suffix)
{
    int64_t bytes = path_size_beside(path, suffix);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

void sqlite_counters(struct storage *storage, struct storage_counters *counters)
{
    struct sqlite_store *store = sqlite_of(storage);
    const struct sqlite_writing *writing = store->writing;
    struct schema_meta meta = {0};
    bool found = false;
    *counters = (struct storage_counters){0};
    if (writing)
        meta = writing->meta;
    else
        schema_load_meta(store->db, &meta, &found);
    counters->revision = meta.revision;
    counters->epoch = meta.epoch;
    counters->session_counter = meta.session_counter;
    counters->wal_bytes = file_bytes(store->path, "-wal");
    counters->database_bytes = file_bytes(store->path, "");
    if (!writing)
        return;
    counters->commits = writing->commits;
    counters->checkpoints = writing->checkpoints;
    counters->checkpoints_busy = writing->checkpoints_busy;
    counters->idempotency_keys = writing->keys;
    counters->full = writing->is_full;
}

/* ---- life ---- */

void sqlite_close(struct storage *storage)
{
    struct sqlite_store *store = sqlite_of(storage);
    sqlite_reading_free(store);
    sqlite_writing_free(store);
    int rc = sqlite3_close(store->db);
    assert(rc == SQLITE_OK); /* BUSY: a statement of ours was not finalized */
    free(store->path);
    free(store);
}

static struct sqlite_store *store_new(const struct storage_options *options)
{
    struct sqlite_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->base.ops = &sqlite_ops;
    store->log = options->log;
    store->keep_snapshots = options->keep_snapshots;
    store->max_data_bytes = options->max_data_bytes ? options->max_data_bytes : LIMIT_DATA_BYTES;
    return store;
}

static int find_path(struct sqlite_store *store, const struct storage_options *options, struct failure *failure)
{
    store->path =
        options->access == STORAGE_FOR_WRITING ? sqlite_make_path(options, failure) : realpath(options->path, NULL);
    store->base.path = store->path;
    if (store->path)
        return sqlite_refuse_network(store->path, failure);
    if (options->access == STORAGE_FOR_WRITING)
        return failure->status;
    int status = errno == ENOENT || errno == ENOTDIR ? STATUS_NOT_FOUND
                 : errno == ENOMEM                   ? STATUS_NO_MEMORY
                                                     : STATUS_IO_ERROR;
    return failure_set(failure, status, "%s: %s", options->path, strerror(errno));
}

int storage_open_sqlite(const struct storage_options *options, struct storage **storage, struct failure *failure)
{
    struct failure unwanted;
    if (!failure)
        failure = &unwanted;
    *storage = NULL;
    struct sqlite_store *store = store_new(options);
    if (!store)
        return failure_set(failure, STATUS_NO_MEMORY, "%s: no memory", options->path);
    int status = find_path(store, options, failure);
    if (status == STATUS_OK)
        status = options->access == STORAGE_FOR_WRITING ? sqlite_open_writing(store, options, failure)
                                                        : sqlite_open_reading(store, options, failure);
    if (status != STATUS_OK) {
        sqlite_close(&store->base);
        return status;
    }
    *storage = &store->base;
    return STATUS_OK;
}

void storage_close(struct storage **storage)
{
    if (!storage || !*storage)
        return;
    (*storage)->ops->close(*storage);
    *storage = NULL;
}
