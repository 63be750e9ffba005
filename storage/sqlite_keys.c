/*
 * sqlite_keys.c - idempotency keys: what they are bound to, looking them up, recording, expiry.
 *
 * A key is bound to operation, kind and id, and to a fingerprint: what the caller gave, else the data's SHA-256, and
 * nothing where the data is made anew at each try (`update`, compare-and-set).
 */
#include "storage/sqlite_writing.h"

#include <sha256.h>

enum { EXPIRE_AT_ONCE = 64 };

/* Length before bytes, so that no two sequences of spans hash alike by running together. */
static void hash_span(SHA256_CTX *hash, struct span bytes)
{
    uint8_t size[8];
    for (size_t i = 0; i < sizeof size; i++)
        size[i] = (uint8_t)((uint64_t)bytes.size >> (8 * i));
    SHA256_Update(hash, size, sizeof size);
    if (bytes.size)
        SHA256_Update(hash, bytes.data, bytes.size);
}

static void hash_number(SHA256_CTX *hash, uint32_t number)
{
    uint8_t bytes[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24)};
    SHA256_Update(hash, bytes, sizeof bytes);
}

/* What the request is about: kind and id, and those of its parts. */
static void make_target(const struct request *request, uint8_t target[KEY_DIGEST_BYTES])
{
    SHA256_CTX hash;
    SHA256_Init(&hash);
    hash_span(&hash, request->kind);
    hash_span(&hash, request->id);
    for (size_t i = 0; i < request->part_count; i++) {
        hash_number(&hash, request->parts[i].operation);
        hash_span(&hash, request->parts[i].kind);
        hash_span(&hash, request->parts[i].id);
    }
    SHA256_Final(target, &hash);
}

static bool is_compare_and_set(const struct request *request)
{
    for (size_t i = 0; i < request->part_count; i++)
        if (request->parts[i].condition == CONDITION_IF_REVISION)
            return true;
    return request->condition == CONDITION_IF_REVISION || (request->flags & REQUEST_OF_UPDATE);
}

static void make_fingerprint(const struct request *request, struct sqlite_key *key)
{
    SHA256_CTX hash;
    bool is_given = request->idempotency_fingerprint.size != 0;
    key->fingerprint_bytes = 0;
    if (!is_given && is_compare_and_set(request))
        return;
    SHA256_Init(&hash);
    hash_number(&hash, is_given);
    hash_span(&hash, is_given ? request->idempotency_fingerprint : request->data);
    for (size_t i = 0; !is_given && i < request->part_count; i++)
        hash_span(&hash, request->parts[i].data);
    SHA256_Final(key->fingerprint, &hash);
    key->fingerprint_bytes = sizeof key->fingerprint;
}

/* An update's key counts as a save's, whatever its callback decided. */
static uint32_t bound_operation(const struct request *request)
{
    return request->flags & REQUEST_OF_UPDATE ? OPERATION_SAVE : request->operation;
}

/* Peers of this host share one principal, all zero: stored as no bytes. */
static struct span principal_span(const uint8_t *principal)
{
    static const uint8_t nobody[PRINCIPAL_BYTES];
    bool is_local = !principal || memcmp(principal, nobody, sizeof nobody) == 0;
    return (struct span){principal, is_local ? 0 : PRINCIPAL_BYTES};
}

static void replay(sqlite3_stmt *statement, struct reply *reply)
{
    reply->status = STATUS_OK;
    reply->flags |= REPLY_REPLAYED;
    reply->revision = (uint64_t)sqlite3_column_int64(statement, 3);
    reply->count = (uint64_t)sqlite3_column_int64(statement, 4);
}

static bool is_same(const struct sqlite_key *key, sqlite3_stmt *statement)
{
    struct span target = {key->target, sizeof key->target};
    struct span given = {key->fingerprint, key->fingerprint_bytes};
    struct span recorded = sqlite_column_span(statement, 2);
    return (uint32_t)sqlite3_column_int64(statement, 0) == key->operation &&
           span_equal(sqlite_column_span(statement, 1), target) &&
           (given.size == 0 || recorded.size == 0 || span_equal(given, recorded));
}

static sqlite3_stmt *bind_find(struct sqlite_store *store, struct span principal, struct span name, int *rc)
{
    sqlite3_stmt *statement = sqlite_writing_statement(store, WRITE_KEY_FIND, rc);
    if (!statement)
        return NULL;
    sqlite_bind_blob(statement, 1, principal);
    sqlite_bind_blob(statement, 2, name);
    return statement;
}

/* Kept longer than promised until its turn to be removed comes: not there any more. */
static bool is_expired(struct sqlite_store *store, sqlite3_stmt *statement)
{
    return sqlite3_column_int64(statement, 5) <= store->writing->now_ms / 1000;
}

static int expire(struct sqlite_store *store, int64_t now_ms, unsigned most, unsigned *removed)
{
    int rc;
    *removed = 0;
    sqlite3_stmt *statement = sqlite_writing_statement(store, WRITE_KEY_EXPIRE, &rc);
    if (!statement)
        return rc;
    sqlite3_bind_int64(statement, 1, now_ms / 1000);
    sqlite3_bind_int64(statement, 2, most);
    rc = sqlite_run(statement);
    if (rc == SQLITE_OK) {
        *removed = (unsigned)sqlite3_changes(store->db);
        store->writing->pending.keys -= *removed;
    }
    return rc;
}

/* Is there room for one more key? */
static int make_room(struct sqlite_store *store, struct reply *reply, bool *answered)
{
    struct sqlite_writing *writing = store->writing;
    unsigned removed;
    int rc = SQLITE_OK;
    if (writing->pending.keys >= LIMIT_IDEMPOTENCY_KEYS)
        rc = expire(store, writing->now_ms, EXPIRE_AT_ONCE, &removed);
    if (rc == SQLITE_OK && writing->pending.keys >= LIMIT_IDEMPOTENCY_KEYS) {
        reply->status = STATUS_KEYS_EXHAUSTED;
        reply->retry_after_ms = 1000;
        *answered = true;
    }
    return rc;
}

int sqlite_key_look(struct sqlite_store *store, const uint8_t *principal, const struct request *request,
                    struct sqlite_key *key, struct reply *reply, bool *answered)
{
    int rc;
    *answered = false;
    key->is_kept = false;
    key->operation = bound_operation(request);
    key->principal = principal_span(principal);
    make_target(request, key->target);
    make_fingerprint(request, key);
    sqlite3_stmt *statement = bind_find(store, key->principal, request->idempotency_key, &rc);
    if (!statement)
        return rc;
    if (sqlite3_step(statement) == SQLITE_ROW) {
        key->is_kept = true;
        *answered = !is_expired(store, statement);
        if (*answered && is_same(key, statement))
            replay(statement, reply);
        else if (*answered)
            reply->status = STATUS_IDEMPOTENCY_MISMATCH;
    }
    rc = sqlite3_reset(statement);
    return rc == SQLITE_OK && !key->is_kept ? make_room(store, reply, answered) : rc;
}

int sqlite_key_answer(struct sqlite_store *store, const uint8_t *principal, const struct request *request,
                      struct reply *reply)
{
    struct sqlite_key key = {.operation = OPERATION_SAVE};
    int rc;
    sqlite3_stmt *statement = bind_find(store, principal_span(principal), request->idempotency_key, &rc);
    if (!statement)
        return rc;
    make_target(request, key.target);
    reply->status = STATUS_NOT_FOUND;
    if (sqlite3_step(statement) == SQLITE_ROW && !is_expired(store, statement)) {
        if (!(request->flags & REQUEST_OF_UPDATE))
            key.operation = (uint32_t)sqlite3_column_int64(statement, 0);
        if (request->kind.size == 0 || is_same(&key, statement))
            replay(statement, reply);
        else
            reply->status = STATUS_IDEMPOTENCY_MISMATCH;
    }
    return sqlite3_reset(statement);
}

int sqlite_key_record(struct sqlite_store *store, const struct sqlite_key *key, const struct request *request,
                      const struct reply *reply)
{
    int rc;
    uint64_t kept_s = request->idempotency_retention_s;
    sqlite3_stmt *statement = sqlite_writing_statement(store, WRITE_KEY_RECORD, &rc);
    if (!statement)
        return rc;
    sqlite_bind_blob(statement, 1, key->principal);
    sqlite_bind_blob(statement, 2, request->idempotency_key);
    sqlite3_bind_int64(statement, 3,
                       store->writing->now_ms / 1000 + (int64_t)(kept_s ? kept_s : LIMIT_IDEMPOTENCY_RETENTION_S));
    sqlite3_bind_int64(statement, 4, key->operation);
    sqlite_bind_blob(statement, 5, (struct span){key->target, sizeof key->target});
    sqlite_bind_blob(statement, 6, (struct span){key->fingerprint, key->fingerprint_bytes});
    sqlite3_bind_int64(statement, 7, (sqlite3_int64)reply->revision);
    sqlite3_bind_int64(statement, 8, (sqlite3_int64)reply->count);
    rc = sqlite_run(statement);
    if (rc == SQLITE_OK && !key->is_kept)
        store->writing->pending.keys++;
    return rc;
}

int sqlite_expire_keys(struct storage *storage, int64_t now_ms, unsigned most, unsigned *removed)
{
    struct sqlite_store *store = sqlite_of(storage);
    int rc = expire(store, now_ms, most, removed);
    return rc == SQLITE_OK ? STATUS_OK : sqlite_writing_give_up(store, rc);
}
