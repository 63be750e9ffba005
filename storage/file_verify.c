/*
 * file_verify.c - SQLite's own integrity check, and what else must hold in a store's file, on one snapshot.
 */
#include "proto/limits.h"
#include "proto/request.h"
#include "storage/file_internal.h"
#include "storage/legacy.h"
#include "storage/schema.h"
#include "storage/sqlite.h"
#include "storage/timetext.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST_LINES_A_RULE = 100 }; /* a broken rule names so many rows, then only counts */

struct verify {
    const char *path;
    sqlite3 *db;
    void (*found)(void *context, bool is_notice, const char *line);
    void *context;
    bool is_sound;
};

__attribute__((format(printf, 3, 4))) static void tell(struct verify *verify, bool is_notice, const char *format, ...)
{
    char line[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (unsigned char *c = (unsigned char *)line; *c; c++)
        if (*c < ' ' || *c == 0x7F)
            *c = '?';
    verify->is_sound = verify->is_sound && is_notice;
    if (verify->found)
        verify->found(verify->context, is_notice, line);
}

/* Each row of a rule's statement is something wrong; its first column says what. */
struct rule {
    const char *sql;
    bool is_notice;
};

static const struct rule rules[] = {
    {"SELECT 'integrity check: ' || integrity_check FROM pragma_integrity_check(1000) WHERE integrity_check <> 'ok'",
     false},
    {"SELECT 'the file is missing ' || column1 FROM (VALUES ('resources_unstamped'), ('resource_audit_resource'),"
     " ('resource_audit_hash'), ('resource_audit_tag'), ('resource_audit_unstamped'), ('session_log'),"
     " ('idempotency'), ('idempotency_expiry')) WHERE column1 NOT IN (SELECT name FROM sqlite_schema)",
     false},
    {"SELECT 'meta: the incarnation is not 16 bytes' WHERE NOT EXISTS"
     " (SELECT 1 FROM meta WHERE name = 'incarnation' AND typeof(value) = 'blob' AND length(value) = 16)",
     false},
    {"SELECT 'resource ' || quote(kind) || ' ' || quote(id) || ': revision ' || revision ||"
     " ' was never issued, the last one is ' || last"
     " FROM resources, (SELECT max(value) AS last FROM meta WHERE name IN ('revision', 'revision_reserved'))"
     " WHERE revision < 1 OR revision > last OR typeof(revision) NOT IN ('integer', 'null')",
     false},
    {"SELECT 'audit record ' || id || ': revision ' || revision || ' was never issued, the last one is ' || last"
     " FROM resource_audit, (SELECT max(value) AS last FROM meta WHERE name IN ('revision', 'revision_reserved'))"
     " WHERE revision < 1 OR revision > last OR typeof(revision) NOT IN ('integer', 'null')",
     false},
    {"SELECT 'idempotency key ' || rowid || ': not of a key''s form' FROM idempotency"
     " WHERE length(principal) NOT IN (0, 32) OR length(key) NOT BETWEEN 1 AND 256",
     false},
    {"SELECT count(*) || ' resources were written by another program and get their revision when the store is next "
     "opened'"
     " FROM resources WHERE revision IS NULL HAVING count(*) > 0",
     true},
    {"SELECT count(*) || ' audit records were written by another program and get their revision when the store is next"
     " opened' FROM resource_audit WHERE revision IS NULL HAVING count(*) > 0",
     true},
};

static int run_rule(struct verify *verify, const struct rule *rule)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(verify->db, rule->sql, -1, &statement, NULL);
    unsigned lines = 0;

    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (lines++ < MOST_LINES_A_RULE)
            tell(verify, rule->is_notice, "%s", text ? text : "a row that cannot be named");
        rc = SQLITE_OK;
    }
    if (lines > MOST_LINES_A_RULE)
        tell(verify, rule->is_notice, "... and %u more of these", lines - MOST_LINES_A_RULE);
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- every row's names, time and data ---- */

static bool is_name(sqlite3_stmt *row, int column, size_t most_bytes)
{
    struct span name = sqlite_column_span(row, column);
    return sqlite3_column_type(row, column) == SQLITE_TEXT && name.size >= 1 && name.size <= most_bytes &&
           request_text_is_valid(name);
}

static const char *judge_names(sqlite3_stmt *row)
{
    struct span time = sqlite_column_span(row, 2);

    if (!is_name(row, 0, LIMIT_KIND_BYTES))
        return "its kind breaks the rules; it cannot be asked for";
    if (!is_name(row, 1, LIMIT_ID_BYTES))
        return "its id breaks the rules; it cannot be asked for";
    if (timetext_parse(time) == 0 && !span_equal(time, span_text("1970-01-01 00:00:00")) &&
        !span_equal(time, span_text("1970-01-01 00:00:00.000")))
        return "its time cannot be read";
    return NULL;
}

static const char *judge_legacy(sqlite3_stmt *row)
{
    struct span kind = sqlite_column_span(row, 0), id = sqlite_column_span(row, 1);
    struct legacy_audit audit;

    if (!legacy_begins_as_audit(kind, id))
        return NULL;
    return legacy_parse_audit(kind, id, &audit) ? "it looks like an audit record of an old layout among the resources"
                                                : "it begins like an audit record of an old layout, but is none";
}

/* What others wrote is theirs to mend, so names are notices; a value that is no blob is not what anybody saved. */
static void judge_row(struct verify *verify, sqlite3_stmt *row, const char *table, bool is_resource)
{
    const char *name = judge_names(row);
    const char *legacy = is_resource && !name ? judge_legacy(row) : NULL;
    int kind_bytes = sqlite3_column_bytes(row, 0), id_bytes = sqlite3_column_bytes(row, 1);
    const char *kind = sqlite3_column_blob(row, 0), *id = sqlite3_column_blob(row, 1);

    if (name || legacy)
        tell(verify, true, "%s '%.*s' '%.*s': %s", table, kind_bytes, kind ? kind : "", id_bytes, id ? id : "",
             name ? name : legacy);
    if (sqlite3_column_int(row, 3))
        tell(verify, false, "%s '%.*s' '%.*s': its data is not a blob", table, kind_bytes, kind ? kind : "", id_bytes,
             id ? id : "");
}

static int judge_rows(struct verify *verify, const char *table, const char *sql, bool is_resource)
{
    sqlite3_stmt *row = NULL;
    int rc = sqlite3_prepare_v2(verify->db, sql, -1, &row, NULL);

    while (rc == SQLITE_OK && (rc = sqlite3_step(row)) == SQLITE_ROW) {
        judge_row(verify, row, table, is_resource);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(row);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int verify_rows(struct verify *verify)
{
    int rc = judge_rows(verify, "resource",
                        "SELECT kind, id, updated_at, typeof(data) <> 'blob' FROM resources ORDER BY kind, id", true);

    if (rc == SQLITE_OK)
        rc = judge_rows(verify, "audit record",
                        "SELECT kind, resource_id, archived_at, typeof(data) <> 'blob' FROM resource_audit ORDER BY id",
                        false);
    return rc;
}

/* ---- the whole ---- */

static int verify_database(struct verify *verify, enum file_kind kind)
{
    size_t count = kind == FILE_OURS ? sizeof rules / sizeof *rules : 1;
    int rc = sqlite3_exec(verify->db, "BEGIN", NULL, NULL, NULL);

    for (size_t i = 0; rc == SQLITE_OK && i < count; i++)
        rc = run_rule(verify, &rules[i]);
    if (rc == SQLITE_OK && kind == FILE_OURS)
        rc = verify_rows(verify);
    if (kind == FILE_STIGMER)
        tell(verify, true, "%s: a file of Stigmer's own store; it is upgraded when it is first opened for writing",
             verify->path);
    return rc;
}

static int verify_opened(struct verify *verify, enum file_kind kind, struct failure *failure)
{
    int rc = file_open_for_reading(verify->path, &verify->db);
    bool was_read;
    int status;

    if (rc == SQLITE_OK)
        rc = verify_database(verify, kind);
    was_read = !sqlite_failed_to_read(verify->db);
    status = rc == SQLITE_OK ? STATUS_OK : sqlite_fail(verify->db, rc, verify->path, failure);
    sqlite3_close(verify->db);
    if (status == STATUS_CORRUPT)
        tell(verify, false, "%s: %s", verify->path, sqlite3_errstr(rc));
    if (status == STATUS_OK && !was_read)
        status = failure_set(failure, STATUS_IO_ERROR, "%s: a part of it cannot be read", verify->path);
    if (status == STATUS_OK && !verify->is_sound)
        status = failure_set(failure, STATUS_CORRUPT, "%s: the check found damage", verify->path);
    return status;
}

int file_verify(const char *path, void (*found)(void *context, bool is_notice, const char *line), void *context,
                struct failure *failure)
{
    struct verify verify = {.path = path, .found = found, .context = context, .is_sound = true};
    struct failure why = {0};
    enum file_kind kind = file_inspect(path, &why);
    int status = file_status_of_kind(kind, path, &why);

    if (status == STATUS_OK)
        status = verify_opened(&verify, kind, &why);
    else if (status == STATUS_CORRUPT)
        tell(&verify, false, "%s", why.message);
    if (failure)
        *failure = why;
    return status;
}
