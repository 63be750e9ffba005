/* actor_reader_lists.c - stigstore-reader: lists in pieces, on credit. */
#include "actor_scene.h"
#include "proto/limits.h"

/* Takes pieces until the last and gives their bytes back as credit. */
static size_t drain_list(struct scene *scene, uint64_t ticket, uint32_t piece)
{
    size_t items = 0;
    for (;;) {
        scene_receives(scene);
        assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
        assert_int_equal(scene->envelope.ticket, ticket);
        assert_int_equal(scene->envelope.piece, piece++);
        assert_int_equal(scene->envelope.status, STATUS_OK);
        assert_true(scene->size < LIMIT_PIECE_BYTES + 10000);
        items += scene->replies[0].item_count;
        if (scene->envelope.flags & ENVELOPE_LAST)
            return items;
        scene_tells(scene, MESSAGE_CREDIT, ticket, scene->size);
    }
}

static void streams_a_list_of_one_snapshot(void **state)
{
    struct scene *scene = *state;
    scene_save(scene, 1000, 2000, 1000);
    uint64_t ticket = scene_opens_list(scene, 1000);
    scene_receives(scene);
    assert_int_equal(scene->envelope.piece, 0);
    size_t items = scene->replies[0].item_count;
    assert_true(items >= 1 && items <= 10); /* what the credit allows */
    scene_save(scene, 5000, 100, 10);       /* not seen any more */
    scene_tells(scene, MESSAGE_CREDIT, ticket, LIMIT_STREAM_BYTES);
    items += drain_list(scene, ticket, 1);
    assert_int_equal(items, 2003);
    assert_int_equal(scene->replies[0].status, STATUS_OK);
}

static void a_list_without_credit_does_not_hold_up_reads(void **state)
{
    struct scene *scene = *state;
    scene_save(scene, 1000, 1000, 1000);
    uint64_t ticket = scene_opens_list(scene, 1);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene_asks_one(scene, scene_get("000001"))->status, STATUS_OK); /* and no second piece came */
    scene_tells(scene, MESSAGE_CANCEL, ticket, 0);
    assert_int_equal(scene_asks_one(scene, scene_get("000001"))->status, STATUS_OK);
}

static void a_list_that_is_not_taken_expires(void **state)
{
    struct scene *scene = *state;
    scene_save(scene, 1000, 1000, 1000);
    uint64_t ticket = scene_opens_list(scene, 1);
    scene_receives(scene);
    scene_receives(scene); /* a second later */
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene->envelope.ticket, ticket);
    assert_int_equal(scene->envelope.piece, 1);
    assert_true(scene->envelope.flags & ENVELOPE_LAST);
    int status = scene->envelope.status ? scene->envelope.status : scene->replies[0].status;
    assert_int_equal(status, STATUS_SNAPSHOT_EXPIRED);
}

static void too_many_lists_are_refused(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < LIMIT_STREAMS; i++)
        scene_opens_list(scene, 0);
    uint64_t ticket = scene_opens_list(scene, 1000000);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene->envelope.ticket, ticket);
    assert_int_equal(scene->envelope.status, STATUS_OVERLOADED);
    assert_true(scene->envelope.flags & ENVELOPE_LAST);
    scene_tells(scene, MESSAGE_CANCEL, ticket - 1, 0);
    ticket = scene_opens_list(scene, LIMIT_STREAM_BYTES);
    assert_int_equal(drain_list(scene, ticket, 0), 3);
}

static void only_a_list_streams(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    const struct request requests[] = {scene_get("000001")};
    envelope.flags = ENVELOPE_STREAM;
    scene_asks(scene, &envelope, requests, 1);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene->envelope.flags, ENVELOPE_LAST);
    assert_int_equal(scene->envelope.status, STATUS_INVALID_ARGUMENT);
}

static void expect_no_list(struct scene *scene, const struct envelope *envelope, int status)
{
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene->envelope.ticket, envelope->ticket);
    assert_int_equal(scene->envelope.flags, ENVELOPE_LAST);
    assert_int_equal(scene->envelope.status, status);
}

static void lists_are_for_those_who_may_read(void **state)
{
    struct scene *scene = *state;
    struct request list = scene_get("");
    list.operation = OPERATION_LIST;
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    envelope.flags = ENVELOPE_STREAM;
    envelope.role = ROLE_NONE;
    scene_asks(scene, &envelope, &list, 1);
    expect_no_list(scene, &envelope, STATUS_PERMISSION_DENIED);
    envelope = scene_envelope(scene, MESSAGE_READ);
    envelope.flags = ENVELOPE_STREAM;
    stage_sends(&scene->stage, &envelope, span_text("\xff\xff\xff"));
    expect_no_list(scene, &envelope, STATUS_INVALID_ARGUMENT);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(streams_a_list_of_one_snapshot),
        STAGED(a_list_without_credit_does_not_hold_up_reads),
        STAGED(a_list_that_is_not_taken_expires),
        STAGED(too_many_lists_are_refused),
        STAGED(only_a_list_streams),
        STAGED(lists_are_for_those_who_may_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
