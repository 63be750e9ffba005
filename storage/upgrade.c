/*
 * upgrade.c - Stigmer's tables to ours, in one transaction on a connection that is alone on the file.
 */
#include "storage/upgrade.h"
#include "storage/file_internal.h"
#include "storage/legacy.h"
#include "storage/path.h"
#include "storage/schema.h"
#include "storage/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct upgrade {
    const char *path;
    sqlite3 *db;
    const struct log_sink *log;
    struct failure *failure;
    int64_t version; /* Stigmer's, as found; 0: it did not number its schema yet */
    bool has_versions;
    bool has_audit;
};

static int fail(const struct upgrade *upgrade, int rc)
{
    if ((rc & 0xFF) == SQLITE_BUSY)
        return failure_set(upgrade->failure, STATUS_BUSY,
                           "%s: another program has it open; it must be closed while the file is upgraded",
                           upgrade->path);
    int status = sqlite_fail_own(upgrade->db, rc, upgrade->path, upgrade->failure);
    return sqlite_rc_is_unknown(rc) ? STORAGE_UNKNOWN : status;
}

static int run(const struct upgrade *upgrade, const char *sql)
{
    int rc = sqlite3_exec(upgrade->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? STATUS_OK : fail(upgrade, rc);
}

static int query(const struct upgrade *upgrade, const char *sql, int64_t *number)
{
    int rc = sqlite_query_number(upgrade->db, sql, number);
    return rc == SQLITE_OK ? STATUS_OK : fail(upgrade, rc);
}

/* Every other connection, an idle one too, holds a shared lock in WAL mode: the exclusive lock is the proof. */
static int open_alone(struct upgrade *upgrade)
{
    int rc = sqlite3_open_v2(upgrade->path, &upgrade->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite_harden(upgrade->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(upgrade->db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = legacy_register(upgrade->db);
    if (rc != SQLITE_OK)
        return fail(upgrade, rc);
    return run(upgrade, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA foreign_keys = OFF; PRAGMA synchronous = FULL;"
                        "PRAGMA journal_mode = WAL; BEGIN EXCLUSIVE; COMMIT");
}

static int find_layout(struct upgrade *upgrade)
{
    int64_t versions = 0, audit = 0;
    int status = query(upgrade, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'",
                       &versions);

    if (status == STATUS_OK)
        status = query(upgrade, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'resource_audit'",
                       &audit);
    if (status == STATUS_OK && versions)
        status = query(upgrade, "SELECT max(version) FROM schema_version", &upgrade->version);
    upgrade->has_versions = versions;
    upgrade->has_audit = audit;
    return status;
}

/* ---- the copy beside it ---- */

/* The first of PATH.stigmer-v2.backup, PATH.stigmer-v2.backup-2, ... that is not taken. */
static int choose_name(const struct upgrade *upgrade, char **name)
{
    char suffix[64];
    struct stat entry;

    for (unsigned number = 1; number < 1000; number++) {
        snprintf(suffix, sizeof suffix, number == 1 ? ".stigmer-v%lld.backup" : ".stigmer-v%lld.backup-%u",
                 (long long)upgrade->version, number);
        *name = path_beside(upgrade->path, suffix);
        if (!*name)
            return failure_set(upgrade->failure, STATUS_NO_MEMORY, "out of memory");
        if (lstat(*name, &entry) != 0 && errno == ENOENT)
            return STATUS_OK;
        free(*name);
        *name = NULL;
    }
    return failure_set(upgrade->failure, STATUS_IO_ERROR, "%s: no name is free for a backup copy beside it",
                       upgrade->path);
}

static int copy_to(const struct upgrade *upgrade, const char *unfinished, const char *name)
{
    int status;

    assert(unfinished && name);
    unlink(unfinished); /* left by one that was killed; the lock says that nobody is at it now */
    status = file_copy_database(upgrade->db, unfinished, upgrade->failure);
    if (status != STATUS_OK)
        return status;
    if (rename(unfinished, name) != 0) {
        unlink(unfinished);
        return failure_set(upgrade->failure, STATUS_IO_ERROR, "%s: cannot get its name: %s", name, strerror(errno));
    }
    return path_sync_folder(name, upgrade->failure);
}

static int make_backup(const struct upgrade *upgrade)
{
    char *name = NULL;
    char *unfinished = path_beside(upgrade->path, ".stigmer-backup-unfinished");
    int status =
        unfinished ? choose_name(upgrade, &name) : failure_set(upgrade->failure, STATUS_NO_MEMORY, "out of memory");

    if (status == STATUS_OK)
        status = copy_to(upgrade, unfinished, name);
    if (status == STATUS_OK)
        log_line(upgrade->log, LOG_LEVEL_NOTICE, "%s: a copy of what it was is kept as %s", upgrade->path, name);
    free(name);
    free(unfinished);
    return status;
}

/* ---- the tables ---- */

static const char move_resources[] = "INSERT INTO resources (kind, id, revision, created_at, updated_at, data)"
                                     " SELECT kind, id, 1, updated_at, updated_at, data FROM stigmer_resources"
                                     " WHERE legacy_digits(kind, id) IS NULL ORDER BY kind, id";
static const char move_audit[] =
    "INSERT INTO resource_audit (id, kind, resource_id, archived_at, version_hash, tag, revision, data)"
    " SELECT id, kind, resource_id, archived_at,"
    " iif(coalesce(version_hash, '') = '', coalesce(legacy_hash(kind, data), version_hash), version_hash),"
    " iif(coalesce(tag, '') = '', coalesce(legacy_tag(kind, data), tag), tag),"
    " 1, data FROM stigmer_audit ORDER BY id";
/* Behind what the audit table has, by the nanoseconds in the id, which order is by length and then by digits. */
static const char move_legacy_audit[] =
    "INSERT INTO resource_audit (kind, resource_id, archived_at, version_hash, tag, revision, data)"
    " SELECT kind, legacy_target(kind, id), updated_at,"
    " coalesce(legacy_hash(kind, data), ''), coalesce(legacy_tag(kind, data), ''), 1, data"
    " FROM stigmer_resources WHERE legacy_digits(kind, id) IS NOT NULL"
    " ORDER BY length(legacy_digits(kind, id)), legacy_digits(kind, id), kind, id";

static int move_tables(const struct upgrade *upgrade)
{
    int status = run(upgrade, "ALTER TABLE resources RENAME TO stigmer_resources");

    if (status == STATUS_OK && upgrade->has_audit)
        status = run(upgrade, "ALTER TABLE resource_audit RENAME TO stigmer_audit");
    if (status == STATUS_OK)
        status = run(upgrade, schema_sql);
    if (status == STATUS_OK)
        status = run(upgrade, move_resources);
    if (status == STATUS_OK && upgrade->has_audit)
        status = run(upgrade, move_audit);
    if (status == STATUS_OK)
        status = run(upgrade, move_legacy_audit);
    if (status == STATUS_OK)
        status = run(upgrade, "DROP TABLE stigmer_resources");
    if (status == STATUS_OK && upgrade->has_audit)
        status = run(upgrade, "DROP TABLE stigmer_audit");
    return status;
}

/* Below 2, Stigmer's own migration would move audit rows once more, over our tables. */
static int store_version(const struct upgrade *upgrade)
{
    int status = STATUS_OK;

    if (upgrade->version >= 2)
        return STATUS_OK;
    if (!upgrade->has_versions)
        status = run(upgrade, "CREATE TABLE schema_version (version INTEGER PRIMARY KEY,"
                              " applied_at TEXT NOT NULL DEFAULT (datetime('now')))");
    if (status == STATUS_OK)
        status = run(upgrade, "INSERT INTO schema_version (version) VALUES (1), (2) ON CONFLICT (version) DO NOTHING");
    return status;
}

static int store_meta(const struct upgrade *upgrade)
{
    struct schema_meta meta = schema_new_meta();
    int64_t rows;
    int status =
        query(upgrade, "SELECT EXISTS (SELECT 1 FROM resources) OR EXISTS (SELECT 1 FROM resource_audit)", &rows);
    int rc;

    if (status != STATUS_OK)
        return status;
    meta.revision = rows ? 1 : 0;
    rc = schema_store_meta(upgrade->db, &meta);
    return rc == SQLITE_OK ? STATUS_OK : fail(upgrade, rc);
}

/* Rows that look like audit records without being any stay where they are; one line says how many. */
static void tell_malformed(const struct upgrade *upgrade)
{
    int64_t left = 0;
    int rc = sqlite_query_number(
        upgrade->db, "SELECT count(*) FROM resources WHERE substr(id, 1, length(kind) + 7) = kind || '_audit/'", &left);

    if (rc == SQLITE_OK && left > 0)
        log_line(
            upgrade->log, LOG_LEVEL_WARNING,
            "%s: %lld rows begin like audit records but are none; they stay among the resources, `verify` names them",
            upgrade->path, (long long)left);
}

static int rebuild(const struct upgrade *upgrade)
{
    int status = run(upgrade, "BEGIN EXCLUSIVE");

    if (status != STATUS_OK)
        return status;
    status = move_tables(upgrade);
    if (status == STATUS_OK)
        status = store_version(upgrade);
    if (status == STATUS_OK)
        status = store_meta(upgrade);
    if (status == STATUS_OK)
        status = run(upgrade, "COMMIT");
    if (status != STATUS_OK && !sqlite3_get_autocommit(upgrade->db))
        sqlite3_exec(upgrade->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static int upgrade_alone(struct upgrade *upgrade)
{
    enum file_kind kind = file_classify(upgrade->db, upgrade->path, upgrade->failure);
    int status;

    if (kind == FILE_OURS)
        return STATUS_OK;
    if (kind != FILE_STIGMER)
        return upgrade->failure && upgrade->failure->status
                   ? upgrade->failure->status
                   : failure_set(upgrade->failure, STATUS_UNSUPPORTED, "%s: not a file of Stigmer's", upgrade->path);
    status = find_layout(upgrade);
    if (status == STATUS_OK)
        status = make_backup(upgrade);
    if (status == STATUS_OK)
        status = rebuild(upgrade);
    if (status != STATUS_OK)
        return status;
    tell_malformed(upgrade);
    return run(upgrade, "PRAGMA wal_checkpoint(TRUNCATE)");
}

int upgrade_run(const char *path, const struct log_sink *log, struct failure *failure)
{
    struct upgrade upgrade = {.path = path, .log = log, .failure = failure};
    int status;

    if (failure)
        *failure = (struct failure){0};
    status = open_alone(&upgrade);
    if (status == STATUS_OK)
        status = upgrade_alone(&upgrade);
    sqlite3_close(upgrade.db);
    return status;
}
