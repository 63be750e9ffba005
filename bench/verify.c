/*
 * verify.c - the check at the end: all that was acknowledged is there, as it was put, at its revision.
 */
#include "bench/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, BATCH_BYTES = 4 * 1024 * 1024, TIMEOUT_MS = 60000 };

struct check {
    struct bench *bench;
    stigstore *store;
    stigstore_result *result;
    char *complaint;
    size_t room;
    bool good;
};

static bool object(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool object(struct check *check, const char *format, ...)
{
    va_list arguments;
    if (check->good) {
        va_start(arguments, format);
        vsnprintf(check->complaint, check->room, format, arguments);
        va_end(arguments);
    }
    check->good = false;
    return false;
}

static bool call(struct check *check, stigstore_request *request)
{
    request->timeout_ms = TIMEOUT_MS;
    int status = stigstore_call(check->store, request, &check->result);
    return status == STIGSTORE_OK || object(check, "the check: %s: %s", stigstore_status_name(status),
                                            check->result ? check->result->message : "");
}

/* What is there must be the last that was acknowledged, or one whose outcome stayed open. */
static bool is_right(struct check *check, uint64_t key, const stigstore_item *item)
{
    const struct bench *bench = check->bench;
    struct ledger_entry entry = ledger_entry(bench->ledger, key);
    struct value_head head;
    if (item->status == STIGSTORE_NOT_FOUND) {
        return entry.revision == 0 ||
               object(check, "key %" PRIu64 " is lost: it was acknowledged with revision %" PRIu64, key,
                      entry.revision);
    }
    bool whole = bench->workload->documents ? document_check(bench->values, item->data, true, &head)
                                            : value_check(bench->values, item->data, true, &head);
    if (!whole || head.key != key)
        return object(check, "key %" PRIu64 " has a value that was never put", key);
    if (bench->options.keep && entry.revision == 0)
        return true; /* an earlier run put it */
    bool is_last = item->revision == entry.revision && head.stamp == entry.stamp;
    if (!is_last && (entry.unknown == 0 || item->revision < entry.revision)) {
        return object(check, "key %" PRIu64 " stands at revision %" PRIu64 ", acknowledged was %" PRIu64, key,
                      item->revision, entry.revision);
    }
    uint64_t updates = entry.count - 1u;
    if (bench->workload->documents && (head.count < updates || head.count > updates + entry.unknown)) {
        return object(check, "document %" PRIu64 " holds %" PRIu64 " updates of %" PRIu64 " acknowledged", key,
                      head.count, updates);
    }
    return true;
}

static bool check_some(struct check *check, uint64_t first, size_t count)
{
    struct bench *bench = check->bench;
    stigstore_request parts[BATCH] = {0};
    char ids[BATCH][VALUE_ID_BYTES];
    for (size_t i = 0; i < count; i++) {
        parts[i] = (stigstore_request){STIGSTORE_REQUEST(GET), .kind = stigstore_text(bench->kind),
                                       .id = operation_id(bench, first + i, ids[i])};
    }
    stigstore_request many = {STIGSTORE_REQUEST(GET_MANY), .parts = parts, .part_count = count};
    if (!call(check, &many))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!is_right(check, first + i, &check->result->items[i]))
            return false;
    return true;
}

static bool check_versions(struct check *check, uint64_t key)
{
    struct bench *bench = check->bench;
    struct ledger_entry entry = ledger_entry(bench->ledger, key);
    char id[VALUE_ID_BYTES];
    stigstore_request history = {STIGSTORE_REQUEST(AUDIT_HISTORY), .kind = stigstore_text(bench->kind),
                                 .id = operation_id(bench, key, id), .flags = STIGSTORE_KEYS_ONLY};
    if (!call(check, &history))
        return false;
    size_t there = check->result->item_count;
    if (there < entry.count || there > entry.count + entry.unknown)
        return object(check, "key %" PRIu64 " has %zu versions of %" PRIu32 " acknowledged", key, there, entry.count);
    char hash[HASH_TEXT + 1];
    operation_hash(entry.stamp, hash);
    const stigstore_item *newest = check->result->items;
    bool is_newest = there == 0 || entry.unknown ||
                     (newest->revision == entry.revision && newest->hash.size == HASH_TEXT &&
                      memcmp(newest->hash.data, hash, HASH_TEXT) == 0);
    return is_newest || object(check, "key %" PRIu64 ": its newest version is not the last acknowledged", key);
}

static bool check_gone(struct check *check)
{
    stigstore_request count = {STIGSTORE_REQUEST(COUNT), .kind = stigstore_text(check->bench->kind),
                               .id = stigstore_text(operation_victims)};
    if (!call(check, &count))
        return false;
    return check->result->count == 0 ||
           object(check, "%" PRIu64 " resources outlived their deletion", check->result->count);
}

bool verify_all(struct bench *bench, bool deleted, uint64_t *checked, char *complaint, size_t room)
{
    struct check check = {.bench = bench,
                          .store = bench->handles[bench->options.handles],
                          .complaint = complaint,
                          .room = room,
                          .good = true};
    uint64_t end = atomic_load(&bench->next_key), key = deleted ? bench->keys : 0;
    size_t batch = BATCH_BYTES / (bench->options.value_bytes + 1);
    batch = batch > BATCH ? BATCH : batch ? batch : 1;
    *checked = end - key;
    if (deleted && !check_gone(&check))
        end = key;
    while (check.good && key < end) {
        size_t some = end - key < batch ? (size_t)(end - key) : batch;
        if (bench->workload->archives) {
            some = 1;
            check_versions(&check, key);
        } else {
            check_some(&check, key, some);
        }
        key += some;
    }
    stigstore_result_free(&check.result);
    return check.good;
}
