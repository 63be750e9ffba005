/*
 * proto_body_replies.c - batches of replies, held against protobuf-c both ways.
 */
#include "proto/field.h"
#include "proto_body_support.h"

/* ---- replies ---- */

static struct reply *random_replies(struct fixture *fixture, size_t count)
{
    struct reply *replies = arena_calloc(fixture->arena, count, sizeof *replies);

    for (size_t i = 0; i < count; i++) {
        struct item *items = arena_calloc(fixture->arena, 3, sizeof *items);
        for (size_t k = 0; k < 3; k++)
            items[k] = (struct item){text(fixture, 9),
                                     text(fixture, 90),
                                     text(fixture, 900),
                                     text(fixture, 9),
                                     text(fixture, 9),
                                     number(fixture),
                                     (int64_t)number(fixture),
                                     (int64_t)number(fixture),
                                     number(fixture),
                                     (int32_t)number(fixture),
                                     0};
        replies[i] = (struct reply){
            .status = (int32_t)number(fixture),
            .flags = (uint32_t)number(fixture),
            .revision = number(fixture),
            .count = number(fixture),
            .number = number(fixture),
            .retry_after_ms = (uint32_t)number(fixture),
            .failed_part = (uint32_t)number(fixture),
            .message = text(fixture, 40),
            .items = items,
            .item_count = next(fixture) % 4,
        };
    }
    return replies;
}

static void same_item(const struct item *ours, const wire_item *theirs)
{
    same_bytes(ours->kind, theirs->kind);
    same_bytes(ours->id, theirs->id);
    same_bytes(ours->data, theirs->data);
    same_bytes(ours->hash, theirs->hash);
    same_bytes(ours->tag, theirs->tag);
    assert_true(ours->revision == theirs->revision);
    assert_true(ours->created_ms == theirs->created_ms && ours->updated_ms == theirs->updated_ms);
    assert_true(ours->data_bytes == theirs->data_bytes);
    assert_int_equal(ours->status, theirs->status);
}

static void same_reply(const struct reply *ours, const wire_reply *theirs)
{
    assert_int_equal(ours->status, theirs->status);
    assert_int_equal(ours->flags, theirs->flags);
    assert_true(ours->revision == theirs->revision);
    assert_true(ours->count == theirs->count);
    assert_true(ours->number == theirs->number);
    assert_int_equal(ours->retry_after_ms, theirs->retry_after_ms);
    assert_int_equal(ours->failed_part, theirs->failed_part);
    same_bytes(ours->message, theirs->message);
    assert_int_equal(ours->item_count, theirs->n_items);
    for (size_t i = 0; i < ours->item_count; i++)
        same_item(&ours->items[i], theirs->items[i]);
}

static void replies_agree_with_protobuf_c_both_ways(void **state)
{
    struct fixture *fixture = *state;

    for (size_t round = 0; round < 200; round++) {
        size_t count = round % 5, back_count;
        struct reply *replies = random_replies(fixture, count);
        const struct reply *back;
        size_t size = body_replies_size(replies, count);
        uint8_t *bytes = malloc(size + 1);
        assert_non_null(bytes);
        bytes[size] = 0x5A;
        body_encode_replies(replies, count, bytes);
        assert_int_equal(bytes[size], 0x5A);
        wire_reply_batch *batch = stigstore__wire__v1__reply_batch__unpack(NULL, size, bytes);
        assert_non_null(batch);
        assert_int_equal(batch->n_replies, count);
        for (size_t i = 0; i < count; i++)
            same_reply(&replies[i], batch->replies[i]);
        assert_int_equal(stigstore__wire__v1__reply_batch__pack(batch, bytes), size);
        assert_int_equal(body_decode_replies(bytes, size, fixture->arena, &back, &back_count), STATUS_OK);
        memset(bytes, 0xEE, size);
        free(bytes);
        assert_int_equal(back_count, count);
        for (size_t i = 0; i < count; i++)
            same_reply(&back[i], batch->replies[i]);
        stigstore__wire__v1__reply_batch__free_unpacked(batch, NULL);
    }
}

static void empty_data_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct item item = {.kind = {"k", 1}, .id = {"i", 1}};
    struct reply reply = {.items = &item, .item_count = 1};
    const struct reply *back;
    uint8_t bytes[64];
    size_t size = body_replies_size(&reply, 1), count;

    assert_true(size <= sizeof bytes);
    body_encode_replies(&reply, 1, bytes);
    assert_int_equal(body_decode_replies(bytes, size, fixture->arena, &back, &count), STATUS_OK);
    assert_non_null(back[0].items[0].data.data);
    assert_int_equal(back[0].items[0].data.size, 0);
}

static void malformed_replies_are_corrupt(void **state)
{
    struct fixture *fixture = *state;
    const struct reply *back;
    size_t count;

    assert_int_equal(body_decode_replies("\x0a", 1, fixture->arena, &back, &count), STATUS_CORRUPT);
    assert_int_equal(body_decode_replies("\x08\x01", 2, fixture->arena, &back, &count), STATUS_CORRUPT);
    assert_int_equal(body_decode_replies("\x0a\x02\x48\x01", 4, fixture->arena, &back, &count), STATUS_CORRUPT);
    assert_int_equal(body_decode_replies("\x0a\x03\x4a\x01\x08", 5, fixture->arena, &back, &count), STATUS_CORRUPT);
    uint8_t many[2 * (LIMIT_BATCH_REQUESTS + 1)];
    for (size_t i = 0; i < sizeof many; i += 2) {
        many[i] = 0x0a;
        many[i + 1] = 0;
    }
    assert_int_equal(body_decode_replies(many, sizeof many, fixture->arena, &back, &count), STATUS_CORRUPT);
}

/* An item of two bytes becomes a struct of more than a hundred. */
static void too_many_items_are_corrupt(void **state)
{
    enum { HEAD = 5, REPLIES = 2, ITEMS = LIMIT_REPLY_ITEMS / REPLIES };
    struct fixture *fixture = *state;
    const struct reply *back;
    size_t count, size = 2 * ITEMS;
    uint8_t *bytes = calloc(REPLIES, HEAD + 2 * ITEMS + 2), *at = bytes;

    assert_non_null(bytes);
    for (int i = 0; i < REPLIES; i++) {
        *at++ = 0x0a;
        at = varint_put(at, size);
        for (size_t k = 0; k < size; k += 2, at += 2)
            *at = 0x4a;
        if (i == 0)
            assert_int_equal(body_decode_replies(bytes, (size_t)(at - bytes), fixture->arena, &back, &count),
                             STATUS_OK);
        size += 2;
    }
    assert_int_equal(body_decode_replies(bytes, (size_t)(at - bytes), fixture->arena, &back, &count), STATUS_CORRUPT);
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_agree_with_protobuf_c_both_ways),
        TEST(empty_data_is_there),
        TEST(malformed_replies_are_corrupt),
        TEST(too_many_items_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
