/*
 * file.c - look at a database file without changing it, and say what it is.
 */
#include "storage/file_internal.h"
#include "storage/path.h"
#include "storage/schema.h"
#include "storage/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum file_kind say(struct failure *why, enum file_kind kind, int status, const char *path, const char *what)
{
    failure_set(why, status, "%s: %s", path, what);
    return kind;
}

/* ---- opening without a trace ---- */

static int open_uri(const char *path, const char *query, sqlite3 **db)
{
    char *uri = path_make_uri(path, query);
    int rc = SQLITE_NOMEM;

    if (uri)
        rc = sqlite3_open_v2(uri, db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    free(uri);
    return rc == SQLITE_OK ? sqlite_harden(*db) : rc;
}

/* Byte 18 of the header: 2 when the file is in WAL mode. Read through SQLite, whose locks a descriptor of our own would
 * drop at its close. */
static bool is_in_wal_mode(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    unsigned char version = 0;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file || !file->pMethods)
        return false;
    return file->pMethods->xRead(file, &version, 1, 18) == SQLITE_OK && version == 2;
}

int file_open_for_reading(const char *path, sqlite3 **db)
{
    int rc;

    *db = NULL;
    if (path_size_beside(path, "-wal") <= 0) {
        rc = open_uri(path, "?immutable=1", db);
        if (rc != SQLITE_OK || is_in_wal_mode(*db))
            return rc;
        sqlite3_close(*db);
        *db = NULL;
    }
    rc = open_uri(path, "", db);
    return rc == SQLITE_OK ? sqlite3_busy_timeout(*db, 1000) : rc;
}

/* ---- what it is ---- */

static int query_is_one(sqlite3 *db, const char *sql, bool *is_one)
{
    int64_t number;
    int rc = sqlite_query_number(db, sql, &number);

    *is_one = rc == SQLITE_OK && number == 1;
    return rc;
}

static enum file_kind kind_of_error(sqlite3 *db, int rc, const char *path, struct failure *why)
{
    int status = sqlite_fail(db, rc, path, why);

    switch (rc & 0xFF) {
    case SQLITE_NOTADB:
        return say(why, FILE_FOREIGN, STATUS_UNSUPPORTED, path, "not an SQLite database");
    case SQLITE_ERROR: /* a file format or schema beyond this SQLite */
        if (why)
            why->status = STATUS_UNSUPPORTED;
        return FILE_FOREIGN;
    default:
        return status == STATUS_CORRUPT ? FILE_DAMAGED : FILE_UNREADABLE;
    }
}

/* A cut inside the last page opens without a word; only a file with nothing beside it says its true size. */
static bool is_cut_short(sqlite3 *db, const char *path)
{
    struct stat entry;
    int64_t page_bytes, pages;

    if (path_size_beside(path, "-wal") > 0 || path_size_beside(path, "-journal") > 0 || stat(path, &entry) != 0)
        return false;
    if (sqlite_query_number(db, "PRAGMA page_size", &page_bytes) != SQLITE_OK ||
        sqlite_query_number(db, "PRAGMA page_count", &pages) != SQLITE_OK || page_bytes <= 0)
        return false;
    return entry.st_size % page_bytes != 0 || entry.st_size / page_bytes < pages;
}

static const char stigmer_tables[] =
    "SELECT (SELECT group_concat(name) FROM (SELECT name FROM pragma_table_xinfo('resources') ORDER BY name))"
    " = 'data,id,kind,updated_at'"
    " AND (SELECT group_concat(name) FROM (SELECT name FROM pragma_table_xinfo('resources') WHERE pk ORDER BY pk))"
    " = 'kind,id'"
    " AND coalesce((SELECT group_concat(name) FROM"
    "   (SELECT name FROM pragma_table_xinfo('resource_audit') ORDER BY name)), '')"
    " IN ('', 'archived_at,data,id,kind,resource_id,tag,version_hash')"
    " AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name IN ('meta', 'session_log', 'idempotency'))"
    " AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name IN"
    "   ('resources', 'resource_audit'))";

static enum file_kind classify_ours(const struct schema_meta *meta, sqlite3 *db, const char *path, struct failure *why)
{
    bool has_tables;
    int rc;

    if (meta->version > SCHEMA_VERSION) {
        failure_set(why, STATUS_UNSUPPORTED, "%s: made by a newer stigstore (schema %lld, this one knows %d)", path,
                    (long long)meta->version, SCHEMA_VERSION);
        return FILE_NEWER;
    }
    rc = query_is_one(db,
                      "SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'table' AND name IN"
                      " ('resources', 'resource_audit')",
                      &has_tables);
    if (rc != SQLITE_OK)
        return kind_of_error(db, rc, path, why);
    if (meta->version < 1 || !has_tables)
        return say(why, FILE_DAMAGED, STATUS_CORRUPT, path, "a stigstore database whose tables are not all there");
    return FILE_OURS;
}

enum file_kind file_classify(sqlite3 *db, const char *path, struct failure *why)
{
    struct schema_meta meta;
    int64_t objects, application;
    bool found = false, is_stigmers;
    int rc = sqlite_query_number(db, "SELECT count(*) FROM sqlite_schema", &objects);

    if (rc == SQLITE_OK)
        rc = sqlite_query_number(db, "PRAGMA application_id", &application);
    if (rc != SQLITE_OK)
        return kind_of_error(db, rc, path, why);
    if (is_cut_short(db, path))
        return say(why, FILE_DAMAGED, STATUS_CORRUPT, path, "shorter than its header says");
    if (application != 0 && application != SCHEMA_APPLICATION_ID)
        return say(why, FILE_FOREIGN, STATUS_UNSUPPORTED, path, "an SQLite database of another program");
    if (objects == 0)
        return FILE_EMPTY;
    rc = schema_load_meta(db, &meta, &found);
    if (rc == SQLITE_OK && found)
        return classify_ours(&meta, db, path, why);
    if (rc != SQLITE_OK && (rc & 0xFF) != SQLITE_ERROR)
        return kind_of_error(db, rc, path, why);
    if (application == SCHEMA_APPLICATION_ID)
        return say(why, FILE_DAMAGED, STATUS_CORRUPT, path, "a stigstore database without its meta table");
    rc = query_is_one(db, stigmer_tables, &is_stigmers);
    if (rc != SQLITE_OK)
        return kind_of_error(db, rc, path, why);
    if (is_stigmers)
        return FILE_STIGMER;
    return say(why, FILE_FOREIGN, STATUS_UNSUPPORTED, path, "an SQLite database of another program");
}

static enum file_kind classify_opened(sqlite3 *db, int rc, const char *path, struct failure *why)
{
    enum file_kind kind = rc == SQLITE_OK ? file_classify(db, path, why) : kind_of_error(db, rc, path, why);

    sqlite3_close(db);
    return kind;
}

/* The journal of the transaction that made the database says that there was none before: what a power cut left of it
 * need not look like one. */
static bool has_journal_of_empty(const char *path)
{
    static const unsigned char magic[] = {0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7};
    static const unsigned char no_pages[4];
    unsigned char header[20];
    char *name = path_beside(path, "-journal");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool is_empty = fd >= 0 && pread(fd, header, sizeof header, 0) == (ssize_t)sizeof header &&
                    memcmp(header, magic, sizeof magic) == 0 && memcmp(header + 16, no_pages, sizeof no_pages) == 0;

    if (fd >= 0)
        close(fd);
    free(name);
    return is_empty;
}

/*
 * A crash in rollback mode (before WAL mode is set, for one) leaves a journal that only a writer may play back. Until
 * then the pages are those of an unfinished transaction: good enough to see whose file it is, not to find it damaged.
 */
static enum file_kind inspect_unfinished(const char *path, struct failure *why)
{
    struct failure ignored;
    sqlite3 *db = NULL;
    int rc;
    enum file_kind kind;

    if (has_journal_of_empty(path)) {
        if (why)
            *why = (struct failure){0};
        return FILE_EMPTY;
    }
    rc = open_uri(path, "?immutable=1", &db);
    kind = classify_opened(db, rc, path, &ignored);

    if (kind == FILE_DAMAGED || kind == FILE_UNREADABLE)
        return say(why, FILE_UNREADABLE, STATUS_IO_ERROR, path,
                   "an unfinished transaction lies beside it; open it once with the program that wrote it");
    if (why)
        *why = kind == FILE_FOREIGN || kind == FILE_NEWER ? ignored : (struct failure){0};
    return kind;
}

static enum file_kind inspect_database(const char *path, struct failure *why)
{
    struct failure failure = {0};
    sqlite3 *db = NULL;
    int rc = file_open_for_reading(path, &db);
    enum file_kind kind = classify_opened(db, rc, path, &failure);

    if (why)
        *why = failure;
    if (kind == FILE_UNREADABLE && failure.status == STATUS_READ_ONLY && path_size_beside(path, "-journal") > 0)
        return inspect_unfinished(path, why);
    return kind;
}

static enum file_kind inspect_folder(const char *path, struct failure *why)
{
    char *manifest = path_beside(path, "/MANIFEST");
    struct stat entry;
    bool is_badger = manifest && stat(manifest, &entry) == 0;

    free(manifest);
    if (is_badger)
        return say(why, FILE_BADGER, STATUS_UNSUPPORTED, path, "a BadgerDB directory, which stigstore does not read");
    return say(why, FILE_FOREIGN, STATUS_UNSUPPORTED, path, "a directory");
}

enum file_kind file_inspect(const char *path, struct failure *why)
{
    struct stat entry;

    if (why)
        *why = (struct failure){0};
    if (stat(path, &entry) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return FILE_ABSENT;
        return say(why, FILE_UNREADABLE, errno == EACCES ? STATUS_PERMISSION_DENIED : STATUS_IO_ERROR, path,
                   strerror(errno));
    }
    if (S_ISDIR(entry.st_mode))
        return inspect_folder(path, why);
    if (!S_ISREG(entry.st_mode))
        return say(why, FILE_FOREIGN, STATUS_UNSUPPORTED, path, "not a regular file");
    return entry.st_size == 0 ? FILE_EMPTY : inspect_database(path, why);
}

int file_status_of_kind(enum file_kind kind, const char *path, struct failure *failure)
{
    switch (kind) {
    case FILE_OURS:
    case FILE_STIGMER:
        return STATUS_OK;
    case FILE_ABSENT:
        return failure_set(failure, STATUS_NOT_FOUND, "%s: there is no such file", path);
    case FILE_EMPTY:
        return failure_set(failure, STATUS_UNSUPPORTED, "%s: an empty file, no database", path);
    case FILE_NEWER:
    case FILE_FOREIGN:
    case FILE_BADGER:
        return STATUS_UNSUPPORTED;
    case FILE_DAMAGED:
        return STATUS_CORRUPT;
    case FILE_UNREADABLE:
        break;
    }
    return failure && failure->status ? failure->status : STATUS_IO_ERROR;
}
