/*
 * sqlite_apply.c - one mutation, or all parts of a TRANSACT, inside the open transaction.
 *
 * A condition is judged before anything is changed, so a refused request leaves nothing behind.  Only a TRANSACT needs
 * a savepoint: its first parts have changed something when a later one is refused.
 */
#include "storage/sqlite_writing.h"

#include <assert.h>

/* One request, or all the parts of one, under one revision. */
struct change {
    struct sqlite_store *store;
    uint64_t revision; /* what it takes if it changes something */
    bool changed;
    struct reply *reply;
};

static void bind_names(sqlite3_stmt *statement, const struct request *request)
{
    sqlite_bind_text(statement, 1, request->kind);
    sqlite_bind_text(statement, 2, request->id);
}

/* *revision 0: there is no such resource. */
static int find_revision(struct sqlite_store *store, const struct request *request, uint64_t *revision)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(store, WRITE_REVISION_OF, &rc);
    *revision = 0;
    if (!statement)
        return rc;
    bind_names(statement, request);
    if (sqlite3_step(statement) == SQLITE_ROW)
        *revision = (uint64_t)sqlite3_column_int64(statement, 0);
    return sqlite3_reset(statement);
}

static bool condition_holds(const struct request *request, uint64_t revision)
{
    switch (request->condition) {
    case CONDITION_IF_ABSENT:
        return revision == 0;
    case CONDITION_IF_EXISTS:
        return revision != 0;
    case CONDITION_IF_REVISION:
        return revision == request->if_revision;
    default:
        return true;
    }
}

/* The reply is CONFLICT afterwards when the condition does not hold. */
static int judge(struct change *change, const struct request *request)
{
    if (request->condition == CONDITION_ALWAYS)
        return SQLITE_OK;
    uint64_t revision;
    int rc = find_revision(change->store, request, &revision);
    if (rc == SQLITE_OK && !condition_holds(request, revision)) {
        change->reply->status = STATUS_CONFLICT;
        change->reply->revision = revision;
    }
    return rc;
}

/* ---- the parts ---- */

static int save(struct change *change, const struct request *request)
{
    struct sqlite_store *store = change->store;
    bool is_import = request->created_ms || request->updated_ms;
    char created[TIMETEXT_BYTES + 1], updated[TIMETEXT_BYTES + 1];
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(store, is_import ? WRITE_IMPORT : WRITE_SAVE, &rc);
    if (!statement)
        return rc;
    struct span when = {store->writing->now_text, TIMETEXT_BYTES};
    if (request->updated_ms) {
        timetext_format(request->updated_ms, updated);
        when.data = updated;
    }
    bind_names(statement, request);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)change->revision);
    sqlite_bind_text(statement, 4, when);
    sqlite_bind_blob(statement, 5, request->data);
    if (is_import && request->created_ms) {
        timetext_format(request->created_ms, created);
        sqlite_bind_text(statement, 6, (struct span){created, TIMETEXT_BYTES});
    } else if (is_import) {
        sqlite3_bind_null(statement, 6);
    }
    change->changed = true;
    return sqlite_run(statement);
}

static int delete_by_names(struct change *change, const struct request *request, enum write_statement which,
                           uint64_t *count)
{
    int rc;
    sqlite3_stmt *statement = sqlite_writing_statement(change->store, which, &rc);
    if (!statement)
        return rc;
    bind_names(statement, request);
    rc = sqlite_run(statement);
    if (rc == SQLITE_OK)
        *count = (uint64_t)sqlite3_changes64(change->store->db);
    return rc;
}

static int delete_resource(struct change *change, const struct request *request)
{
    uint64_t count = 0, records = 0;
    int rc = delete_by_names(change, request, WRITE_DELETE, &count);
    if (rc == SQLITE_OK) /* those of a resource that is absent too */
        rc = delete_by_names(change, request, WRITE_AUDIT_DELETE, &records);
    change->reply->count += count;
    change->changed = change->changed || count || records;
    return rc;
}

static int delete_audit(struct change *change, const struct request *request)
{
    uint64_t count = 0;
    int rc = delete_by_names(change, request, WRITE_AUDIT_DELETE, &count);
    change->reply->count += count;
    change->changed = change->changed || count;
    return rc;
}

static int require_resource(struct change *change, const struct request *request)
{
    uint64_t revision;
    int rc = find_revision(change->store, request, &revision);
    if (rc == SQLITE_OK && revision == 0)
        change->reply->status = STATUS_CONFLICT;
    return rc;
}

static int save_audit(struct change *change, const struct request *request)
{
    struct sqlite_writing *writing = change->store->writing;
    char archived[TIMETEXT_BYTES + 1];
    int64_t given_ms = request->updated_ms ? request->updated_ms : request->created_ms;
    int rc;
    if (request->flags & REQUEST_REQUIRE_RESOURCE) {
        rc = require_resource(change, request);
        if (rc != SQLITE_OK || change->reply->status != STATUS_OK)
            return rc;
    }
    sqlite3_stmt *statement = sqlite_writing_statement(change->store, WRITE_AUDIT_SAVE, &rc);
    if (!statement)
        return rc;
    struct span when = {writing->now_text, TIMETEXT_BYTES};
    if (given_ms) {
        timetext_format(given_ms, archived);
        when.data = archived;
    }
    bind_names(statement, request);
    sqlite_bind_text(statement, 3, when);
    sqlite_bind_text(statement, 4, request->hash);
    sqlite_bind_text(statement, 5, request->tag);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)change->revision);
    sqlite_bind_blob(statement, 7, request->data);
    change->changed = true;
    return sqlite_run(statement);
}

/* A part that is refused has a status other than OK in the reply. */
static int apply_part(struct change *change, const struct request *request)
{
    int rc = judge(change, request);
    if (rc != SQLITE_OK || change->reply->status != STATUS_OK)
        return rc;
    switch (request->operation) {
    case OPERATION_SAVE:
        return save(change, request);
    case OPERATION_DELETE:
        return delete_resource(change, request);
    case OPERATION_AUDIT_SAVE:
        return save_audit(change, request);
    case OPERATION_AUDIT_DELETE:
        return delete_audit(change, request);
    case OPERATION_CHECK:
        return SQLITE_OK;
    default:
        change->reply->status = STATUS_INVALID_ARGUMENT;
        return SQLITE_OK;
    }
}

/* ---- TRANSACT ---- */

/* The reply tells of the part that was refused, with the revision as it is without the parts before it. */
static int undo_parts(struct change *change, const struct request *request, size_t failed_part, struct arena *arena)
{
    struct reply *reply = change->reply;
    reply->count = 0;
    reply->failed_part = (uint32_t)failed_part;
    reply->message = span_text(arena_printf(arena, "part %zu: %s", failed_part, status_text(reply->status)));
    change->changed = false;
    int rc = sqlite_run_plain(change->store, WRITE_SAVEPOINT_UNDO);
    return rc == SQLITE_OK ? find_revision(change->store, &request->parts[failed_part], &reply->revision) : rc;
}

static int apply_parts(struct change *change, const struct request *request, struct arena *arena)
{
    int rc = sqlite_run_plain(change->store, WRITE_SAVEPOINT);
    for (size_t i = 0; rc == SQLITE_OK && i < request->part_count; i++) {
        rc = apply_part(change, &request->parts[i]);
        if (rc == SQLITE_OK && change->reply->status != STATUS_OK) {
            rc = undo_parts(change, request, i, arena);
            break;
        }
    }
    return rc == SQLITE_OK ? sqlite_run_plain(change->store, WRITE_SAVEPOINT_RELEASE) : rc;
}

/* ---- a request ---- */

static bool sets_times(const struct request *request)
{
    for (size_t i = 0; i < request->part_count; i++)
        if (request->parts[i].created_ms || request->parts[i].updated_ms)
            return true;
    return request->created_ms || request->updated_ms;
}

static int change_rows(struct sqlite_store *store, const struct request *request, struct reply *reply,
                       struct arena *arena)
{
    struct sqlite_writing *writing = store->writing;
    struct change change = {.store = store, .revision = writing->pending.revision + 1, .reply = reply};
    bool is_transact = request->operation == OPERATION_TRANSACT;
    int rc = is_transact ? apply_parts(&change, request, arena) : apply_part(&change, request);
    if (rc == SQLITE_OK && change.changed) {
        writing->pending.revision = change.revision;
        reply->revision = change.revision;
    }
    return rc;
}

static int apply_with_key(struct sqlite_store *store, const struct storage_caller *caller,
                          const struct request *request, struct reply *reply, struct arena *arena)
{
    struct sqlite_key key;
    bool answered;
    int rc = sqlite_key_look(store, caller->principal, request, &key, reply, &answered);
    if (rc != SQLITE_OK || answered)
        return rc;
    rc = change_rows(store, request, reply, arena);
    if (rc == SQLITE_OK && reply->status == STATUS_OK)
        rc = sqlite_key_record(store, &key, request, reply);
    return rc;
}

int sqlite_apply(struct storage *storage, const struct storage_caller *caller, const struct request *request,
                 struct reply *reply, struct arena *arena)
{
    struct sqlite_store *store = sqlite_of(storage);
    assert(store->writing->in_transaction && !operation_is_ranged_delete(request->operation));
    *reply = (struct reply){.status = STATUS_OK};
    int rc = SQLITE_OK;
    if (request->operation == OPERATION_KEY_LOOKUP) {
        rc = sqlite_key_answer(store, caller->principal, request, reply);
    } else if (sets_times(request) && caller->role != ROLE_ADMIN) {
        reply->status = STATUS_PERMISSION_DENIED;
        reply->message = span_text("only an admin may set the times of a resource");
    } else if (store->writing->is_full && !sqlite_full_allows(request)) {
        reply->status = STATUS_STORAGE_FULL;
        reply->retry_after_ms = 1000;
    } else if (request->idempotency_key.size) {
        rc = apply_with_key(store, caller, request, reply, arena);
    } else {
        rc = change_rows(store, request, reply, arena);
    }
    return rc == SQLITE_OK ? STATUS_OK : sqlite_writing_give_up(store, rc);
}
