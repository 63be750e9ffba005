/*
 * state.c - see state.h.
 */
#include "tests/fault/power/state.h"

#include <stdio.h>
#include <string.h>

const char *state_kind(unsigned kind)
{
    static const char *const names[STATE_KINDS] = {"k0", "k1"};

    return names[kind];
}

const char *state_id(unsigned id)
{
    static char names[STATE_IDS][8];

    if (!names[id][0])
        snprintf(names[id], sizeof names[id], "%c/%02u", (char)('a' + id / 8), id % 100);
    return names[id];
}

const char *state_prefix(unsigned id)
{
    static const char *const names[] = {"a/", "b/", "c/"};

    return names[id / 8];
}

const char *state_key(unsigned key)
{
    static char names[STATE_KEYS][8];

    if (!names[key][0])
        snprintf(names[key], sizeof names[key], "key-%u", key % 100);
    return names[key];
}

/* Their place among the names; the number of them: none of ours. */
static unsigned find(struct span text, const char *(*name)(unsigned), unsigned count)
{
    unsigned at = 0;

    while (at < count && !span_equal(text, span_text(name(at))))
        at++;
    return at;
}

static uint64_t hash(uint64_t seed, struct span bytes)
{
    const uint8_t *at = bytes.data;

    for (size_t i = 0; i < bytes.size; i++)
        seed = (seed ^ at[i]) * UINT64_C(0x100000001B3);
    return seed ^ bytes.size;
}

static uint64_t record_hash(uint64_t revision, struct span data)
{
    return hash(revision * UINT64_C(0x9E3779B97F4A7C15), data);
}

/* ---- requests ---- */

static struct state_resource *resource_of(struct state *state, struct span kind, struct span id)
{
    unsigned k = find(kind, state_kind, STATE_KINDS), i = find(id, state_id, STATE_IDS);

    return k < STATE_KINDS && i < STATE_IDS ? &state->resources[k][i] : NULL;
}

static void apply_range(struct state *state, const struct request *request, struct span after, struct span last)
{
    unsigned kind = find(request->kind, state_kind, STATE_KINDS);

    for (unsigned i = 0; kind < STATE_KINDS && i < STATE_IDS; i++) {
        struct span id = span_text(state_id(i));
        bool is_in = request->operation == OPERATION_DELETE_KIND || span_begins_with(id, request->id);
        if (is_in && span_compare(id, after) > 0 && (last.size == 0 || span_compare(id, last) <= 0))
            state->resources[kind][i] = (struct state_resource){0};
    }
}

static void apply_part(struct state *state, const struct request *request, uint64_t revision)
{
    struct state_resource *resource = resource_of(state, request->kind, request->id);

    if (!resource)
        return;
    switch (request->operation) {
    case OPERATION_SAVE:
        resource->revision = revision;
        resource->data = hash(1, request->data);
        break;
    case OPERATION_DELETE:
        *resource = (struct state_resource){0};
        break;
    case OPERATION_AUDIT_SAVE:
        resource->records += record_hash(revision, request->data);
        resource->record_count++;
        break;
    case OPERATION_AUDIT_DELETE:
        resource->records = resource->record_count = 0;
        break;
    default:
        break;
    }
}

void state_apply(struct state *state, const struct request *request, const struct reply *reply, struct span after,
                 struct span last)
{
    unsigned key = find(request->idempotency_key, state_key, STATE_KEYS);

    if (reply->status != STATUS_OK || (reply->flags & REPLY_REPLAYED))
        return;
    if (operation_is_ranged_delete(request->operation))
        apply_range(state, request, after, last);
    else if (request->operation != OPERATION_TRANSACT)
        apply_part(state, request, reply->revision);
    for (size_t i = 0; request->operation == OPERATION_TRANSACT && i < request->part_count; i++)
        apply_part(state, &request->parts[i], reply->revision);
    if (reply->revision)
        state->revision = reply->revision;
    if (request->idempotency_key.size && key < STATE_KEYS && last.size == 0)
        state->keys[key] = 1 + reply->revision;
}

/* ---- tables ---- */

static struct span column(sqlite3_stmt *row, int index)
{
    const void *data = sqlite3_column_blob(row, index);

    return (struct span){data, (size_t)sqlite3_column_bytes(row, index)};
}

static bool take_resource(struct state *state, sqlite3_stmt *row)
{
    struct state_resource *resource = resource_of(state, column(row, 0), column(row, 1));

    if (!resource || resource->revision)
        return false;
    resource->revision = (uint64_t)sqlite3_column_int64(row, 2);
    resource->data = hash(1, column(row, 3));
    return true;
}

static bool take_record(struct state *state, sqlite3_stmt *row)
{
    struct state_resource *resource = resource_of(state, column(row, 0), column(row, 1));

    if (!resource)
        return false;
    resource->records += record_hash((uint64_t)sqlite3_column_int64(row, 2), column(row, 3));
    resource->record_count++;
    return true;
}

static bool take_key(struct state *state, sqlite3_stmt *row)
{
    unsigned key = find(column(row, 0), state_key, STATE_KEYS);

    if (key < STATE_KEYS)
        state->keys[key] = 1 + (uint64_t)sqlite3_column_int64(row, 1);
    return key < STATE_KEYS;
}

static bool take_revision(struct state *state, sqlite3_stmt *row)
{
    state->revision = (uint64_t)sqlite3_column_int64(row, 0);
    return true;
}

static const struct table {
    const char *sql;
    bool (*take)(struct state *state, sqlite3_stmt *row);
} tables[] = {
    {"SELECT kind, id, revision, data FROM resources", take_resource},
    {"SELECT kind, resource_id, revision, data FROM resource_audit", take_record},
    {"SELECT key, revision FROM idempotency", take_key},
    {"SELECT value FROM meta WHERE name = 'revision'", take_revision},
};

static bool read_table(struct state *state, sqlite3 *db, const struct table *table, const char **why)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, table->sql, -1, &statement, NULL);
    bool known = true;

    while (rc == SQLITE_OK && known && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        known = table->take(state, statement);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    if (rc == SQLITE_OK || rc == SQLITE_DONE)
        *why = known ? NULL : "a row that nobody wrote";
    else
        *why = sqlite3_errmsg(db);
    return *why == NULL;
}

bool state_read(struct state *state, sqlite3 *db, const char **why)
{
    *state = (struct state){0};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!read_table(state, db, &tables[i], why))
            return false;
    return true;
}

const char *state_difference(const struct state *expected, const struct state *found)
{
    static char line[200];

    for (unsigned k = 0; k < STATE_KINDS; k++)
        for (unsigned i = 0; i < STATE_IDS; i++) {
            const struct state_resource *a = &expected->resources[k][i], *b = &found->resources[k][i];
            if (memcmp(a, b, sizeof *a) == 0)
                continue;
            snprintf(line, sizeof line, "%s %s: revision %llu with %llu records expected, %llu with %llu found%s",
                     state_kind(k), state_id(i), (unsigned long long)a->revision, (unsigned long long)a->record_count,
                     (unsigned long long)b->revision, (unsigned long long)b->record_count,
                     a->revision == b->revision ? ", with other bytes" : "");
            return line;
        }
    for (unsigned i = 0; i < STATE_KEYS; i++)
        if (expected->keys[i] != found->keys[i]) {
            snprintf(line, sizeof line, "%s: of revision %lld expected, %lld found", state_key(i),
                     (long long)expected->keys[i] - 1, (long long)found->keys[i] - 1);
            return line;
        }
    return NULL;
}
