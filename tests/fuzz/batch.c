/*
 * batch.c - fuzz target: batches of requests (first byte even) and of replies (odd).
 *
 * What decodes encodes, to the size that was told, to something that protobuf-c can read and that decodes the same.
 */
#include "proto/body.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "stigstore.pb-c.h"
#include "tests/fuzz/fuzz.h"

enum { MESSAGE_MOST = 64 * 1024 * 1024 };

/* ---- requests ---- */

static void same_request(const struct request *a, const struct request *b, bool part)
{
    REQUIRE(a->operation == b->operation && a->condition == b->condition && a->flags == b->flags);
    REQUIRE(a->limit == b->limit && a->if_revision == b->if_revision);
    REQUIRE(a->created_ms == b->created_ms && a->updated_ms == b->updated_ms);
    REQUIRE(a->idempotency_retention_s == b->idempotency_retention_s);
    REQUIRE(span_equal(a->kind, b->kind) && span_equal(a->id, b->id) && span_equal(a->data, b->data));
    REQUIRE(span_equal(a->hash, b->hash) && span_equal(a->tag, b->tag) && span_equal(a->after, b->after));
    REQUIRE(span_equal(a->idempotency_key, b->idempotency_key));
    REQUIRE(span_equal(a->idempotency_fingerprint, b->idempotency_fingerprint));
    REQUIRE(a->part_count == b->part_count && (!part || a->part_count == 0));
    for (size_t i = 0; i < a->part_count; i++)
        same_request(&a->parts[i], &b->parts[i], true);
}

/* Whole milliseconds travel, rounded up; what is far ahead is held to the limit, which moves on with the clock. */
static void near_deadline(const struct request *a, const struct request *b, int64_t since_ns)
{
    if (a->deadline_ns > 0)
        REQUIRE(b->deadline_ns >= a->deadline_ns && b->deadline_ns - a->deadline_ns <= since_ns + NS_PER_MS);
}

static void judge_contents(const struct request_batch *batch)
{
    size_t parts = 0;
    for (size_t i = 0; i < batch->count; i++) {
        parts += batch->requests[i].part_count;
        REQUIRE(batch->requests[i].part_count <= LIMIT_PARTS && parts <= LIMIT_BATCH_PARTS);
        const char *why = NULL;
        int status = request_check(&batch->requests[i], 0, &why);
        REQUIRE(status == STATUS_OK || status == STATUS_INVALID_ARGUMENT || status == STATUS_TOO_LARGE);
        REQUIRE(status == STATUS_OK || (why && *why));
        if (status == STATUS_OK) {
            REQUIRE(batch->requests[i].kind.size <= LIMIT_KIND_BYTES);
            REQUIRE(batch->requests[i].id.size <= LIMIT_ID_BYTES);
            REQUIRE(batch->requests[i].data.size <= LIMIT_DATA_BYTES);
            REQUIRE(request_text_is_valid(batch->requests[i].kind));
        }
    }
}

static void read_requests_elsewhere(const uint8_t *bytes, size_t size, const struct request_batch *batch)
{
    Stigstore__Wire__V1__RequestBatch *other = stigstore__wire__v1__request_batch__unpack(NULL, size, bytes);
    REQUIRE(other && other->n_requests == batch->count && !other->session == !batch->has_session);
    for (size_t i = 0; i < batch->count; i++) {
        REQUIRE(other->requests[i]->operation == batch->requests[i].operation);
        REQUIRE(other->requests[i]->n_parts == batch->requests[i].part_count);
    }
    stigstore__wire__v1__request_batch__free_unpacked(other, NULL);
}

static void requests(const uint8_t *bytes, size_t size, struct arena *arena)
{
    struct request_batch batch, again;
    int64_t base_ns = clock_boot_ns();
    int status = body_decode_requests(bytes, size, base_ns, arena, &batch);
    if (status != STATUS_OK) {
        REQUIRE(status == STATUS_INVALID_ARGUMENT);
        return;
    }
    REQUIRE(batch.count >= 1 && batch.count <= LIMIT_BATCH_REQUESTS);
    judge_contents(&batch);
    const struct session_header *session = batch.has_session ? &batch.session : NULL;
    size_t encoded_size = body_requests_size(session, batch.requests, batch.count, base_ns);
    REQUIRE(encoded_size <= MESSAGE_MOST);
    uint8_t *encoded = malloc(encoded_size + 1);
    REQUIRE(encoded);
    body_encode_requests(session, batch.requests, batch.count, base_ns, encoded);
    REQUIRE(body_decode_requests(encoded, encoded_size, base_ns, arena, &again) == STATUS_OK);
    REQUIRE(again.count == batch.count && again.has_session == batch.has_session);
    if (batch.has_session) {
        REQUIRE(memcmp(batch.session.id, again.session.id, SESSION_ID_BYTES) == 0);
        REQUIRE(memcmp(batch.session.incarnation, again.session.incarnation, INCARNATION_BYTES) == 0);
        REQUIRE(batch.session.counter == again.session.counter && batch.session.floor == again.session.floor);
    }
    for (size_t i = 0; i < batch.count; i++) {
        same_request(&batch.requests[i], &again.requests[i], false);
        near_deadline(&batch.requests[i], &again.requests[i], clock_boot_ns() - base_ns);
    }
    read_requests_elsewhere(encoded, encoded_size, &batch);
    free(encoded);
}

/* ---- replies ---- */

static void same_item(const struct item *a, const struct item *b)
{
    REQUIRE(span_equal(a->kind, b->kind) && span_equal(a->id, b->id) && span_equal(a->data, b->data));
    REQUIRE(span_equal(a->hash, b->hash) && span_equal(a->tag, b->tag));
    REQUIRE(a->revision == b->revision && a->created_ms == b->created_ms && a->updated_ms == b->updated_ms);
    REQUIRE(a->data_bytes == b->data_bytes && a->status == b->status && a->data.data && b->data.data);
}

static void same_reply(const struct reply *a, const struct reply *b)
{
    REQUIRE(a->status == b->status && a->flags == b->flags && a->revision == b->revision && a->count == b->count);
    REQUIRE(a->number == b->number && a->retry_after_ms == b->retry_after_ms && a->failed_part == b->failed_part);
    REQUIRE(span_equal(a->message, b->message) && a->item_count == b->item_count);
    for (size_t i = 0; i < a->item_count; i++)
        same_item(&a->items[i], &b->items[i]);
}

static void read_replies_elsewhere(const uint8_t *bytes, size_t size, const struct reply *replies, size_t count)
{
    Stigstore__Wire__V1__ReplyBatch *other = stigstore__wire__v1__reply_batch__unpack(NULL, size, bytes);
    REQUIRE(other && other->n_replies == count);
    for (size_t i = 0; i < count; i++)
        REQUIRE(other->replies[i]->n_items == replies[i].item_count);
    stigstore__wire__v1__reply_batch__free_unpacked(other, NULL);
}

static void replies(const uint8_t *bytes, size_t size, struct arena *arena)
{
    const struct reply *first, *again;
    size_t count, count_again;
    int status = body_decode_replies(bytes, size, arena, &first, &count);
    if (status != STATUS_OK) {
        REQUIRE(status == STATUS_CORRUPT);
        return;
    }
    REQUIRE(count <= LIMIT_BATCH_REQUESTS);
    size_t encoded_size = body_replies_size(first, count);
    REQUIRE(encoded_size <= MESSAGE_MOST);
    uint8_t *encoded = malloc(encoded_size + 1);
    REQUIRE(encoded);
    body_encode_replies(first, count, encoded);
    REQUIRE(body_decode_replies(encoded, encoded_size, arena, &again, &count_again) == STATUS_OK);
    REQUIRE(count_again == count);
    for (size_t i = 0; i < count; i++)
        same_reply(&first[i], &again[i]);
    read_replies_elsewhere(encoded, encoded_size, first, count);
    free(encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(0);
    REQUIRE(arena);
    if (size > 0 && data[0] % 2 == 0)
        requests(data + 1, size - 1, arena);
    else if (size > 0)
        replies(data + 1, size - 1, arena);
    arena_free(&arena);
    return 0;
}
