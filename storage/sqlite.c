/*
 * sqlite.c - what both sides of the engine share: result codes as statuses, statements, binding.
 */
#include "storage/sqlite.h"

#include <errno.h>

/* ---- what the files of a connection met last ---- */

static int errno_of(sqlite3_file *file)
{
    int error = 0;
    if (file && file->pMethods)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

struct met {
    sqlite3_file *file, *wal;
    int of_file, of_wal; /* errno; 0: nothing, or it is not known */
};

static struct met met_by(sqlite3 *db)
{
    struct met met = {.file = NULL};
    if (db && sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &met.file) == SQLITE_OK &&
        sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &met.wal) == SQLITE_OK)
        met = (struct met){met.file, met.wal, errno_of(met.file), errno_of(met.wal)};
    return met;
}

/* A read behind the end of a file says no more than that, and SQLite takes note of it. */
static void forget(sqlite3_file *file, int error)
{
    char byte;
    sqlite3_int64 size;
    if (error && file->pMethods->xFileSize(file, &size) == SQLITE_OK)
        file->pMethods->xRead(file, &byte, 1, size);
}

void sqlite_forget_errno(struct sqlite_store *store)
{
    if (!store->has_errno)
        return;
    struct met met = met_by(store->db);
    store->has_errno = false;
    forget(met.file, met.of_file);
    forget(met.wal, met.of_wal);
}

static bool is_of_space(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* A write that SQLite calls an I/O error: for want of space, unless the files know better. */
static bool is_write_of_full(sqlite3 *db)
{
    struct met met = met_by(db);
    return is_of_space(met.of_file) || is_of_space(met.of_wal) || (met.of_file == 0 && met.of_wal == 0);
}

bool sqlite_failed_to_read(sqlite3 *db)
{
    struct met met = met_by(db);
    return met.of_file == EIO || met.of_wal == EIO;
}

/* ---- result codes ---- */

bool sqlite_rc_is_full(sqlite3 *db, int rc)
{
    return rc == SQLITE_FULL || rc == SQLITE_IOERR_SHMSIZE || (rc == SQLITE_IOERR_WRITE && is_write_of_full(db));
}

static int status_of_rc(sqlite3 *db, int rc)
{
    if (sqlite_rc_is_full(db, rc))
        return STATUS_STORAGE_FULL;
    if (rc == SQLITE_IOERR_NOMEM)
        return STATUS_NO_MEMORY;
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return STATUS_OK;
    case SQLITE_NOMEM:
        return STATUS_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STATUS_BUSY;
    case SQLITE_CORRUPT:
        return sqlite_failed_to_read(db) ? STATUS_IO_ERROR : STATUS_CORRUPT;
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT: /* only rows that broke our own invariants can violate one */
        return STATUS_CORRUPT;
    case SQLITE_READONLY:
        return STATUS_READ_ONLY;
    case SQLITE_INTERRUPT: /* the progress handler stops a statement at its deadline */
        return STATUS_DEADLINE_EXCEEDED;
    case SQLITE_TOOBIG:
        return STATUS_TOO_LARGE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return STATUS_IO_ERROR;
    default:
        return STATUS_INTERNAL;
    }
}

int sqlite_status(struct sqlite_store *store, int rc)
{
    int status = status_of_rc(store->db, rc);
    store->has_errno |= rc != SQLITE_OK;
    if (status != STATUS_OK && status != STATUS_DEADLINE_EXCEEDED && status != STATUS_BUSY)
        log_line(&store->log, LOG_LEVEL_ERROR, "%s: SQLite error %d: %s", store->path ? store->path : "?", rc,
                 store->db && sqlite3_extended_errcode(store->db) == rc ? sqlite3_errmsg(store->db)
                                                                        : sqlite3_errstr(rc));
    return status;
}

int sqlite_fail(sqlite3 *db, int rc, const char *what, struct failure *failure)
{
    return failure_set(failure, status_of_rc(db, rc), "%s: %s (SQLite error %d)", what,
                       db && sqlite3_extended_errcode(db) == rc ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc);
}

int sqlite_fail_own(sqlite3 *db, int rc, const char *what, struct failure *failure)
{
    int status = sqlite_fail(db, rc, what, failure);
    return status == STATUS_READ_ONLY
               ? failure_set(failure, STATUS_IO_ERROR, "%s: it could only be opened for reading", what)
               : status;
}

int sqlite_prepare(struct sqlite_store *store, sqlite3_stmt **slot, const char *sql)
{
    if (*slot)
        return SQLITE_OK;
    return sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
}

int sqlite_query_number(sqlite3 *db, const char *sql, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    *number = 0;
    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    int finalized = sqlite3_finalize(statement);
    return rc == SQLITE_OK ? finalized : rc;
}

void sqlite_finalize_all(sqlite3_stmt **slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(slots[i]);
        slots[i] = NULL;
    }
}

int sqlite_bind_text(sqlite3_stmt *statement, int index, struct span text)
{
    return sqlite3_bind_text64(statement, index, text.size ? text.data : "", text.size, SQLITE_STATIC, SQLITE_UTF8);
}

int sqlite_bind_blob(sqlite3_stmt *statement, int index, struct span bytes)
{
    return sqlite3_bind_blob64(statement, index, bytes.size ? bytes.data : "", bytes.size, SQLITE_STATIC);
}

struct span sqlite_column_span(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    return (struct span){data, data ? (size_t)sqlite3_column_bytes(statement, column) : 0};
}

int sqlite_harden(sqlite3 *db)
{
    int rc = sqlite3_extended_result_codes(db, 1);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    return rc;
}

/* It counts the bytes of each allocation under a lock of the process; a row that is read takes seven of them. */
void storage_own_process(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* 3.7.0 to 3.51.2, save for the releases that took the correction back into older lines. */
bool sqlite_version_is_affected(int version_number)
{
    static const int mended[] = {3044006, 3050007};
    for (size_t i = 0; i < sizeof mended / sizeof *mended; i++)
        if (version_number >= mended[i] && version_number / 1000 == mended[i] / 1000)
            return false;
    return version_number >= 3007000 && version_number < 3051003;
}

const char *storage_sqlite_warning(void)
{
    if (!sqlite_version_is_affected(sqlite3_libversion_number()))
        return NULL;
    return "this SQLite has the WAL-reset bug (mended in 3.51.3): no other program may write to the database or "
           "checkpoint it";
}
