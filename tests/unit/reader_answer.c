/* reader_answer.c - the reader's judgement of a batch: who is refused, who is answered, on which snapshot. */
#include "reader/reader.h"
#include "tests/unit/storage_read_fixture.h"

#include "proto/clock.h"

#include <stdlib.h>

static struct reader *open_reader(const struct fixture *fixture)
{
    struct reader *reader = NULL;
    struct failure failure = {0};
    struct reader_options options = {.path = fixture->path, .keep_snapshots = true};
    if (reader_new(&options, &reader, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
    return reader;
}

/* Again until the first `wanted` are answered, as fixture_ask_all. */
static void answer(struct reader *reader, struct fixture *fixture, const struct request *requests, size_t count,
                   struct reply *replies, size_t most_bytes, size_t wanted)
{
    do {
        reader_answer(reader, requests, count, replies, fixture->arena, most_bytes);
    } while (replies[wanted - 1].status == STATUS_NOT_READ);
}

static void the_good_are_answered_among_the_refused(void **state)
{
    struct fixture *fixture = *state;
    struct reply replies[6];
    char long_id[1026];
    memset(long_id, 'x', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = '\0';
    fixture_put(fixture, "k", span_text("a"), span_text("A"));
    struct reader *reader = open_reader(fixture);
    struct request requests[] = {
        fixture_request(OPERATION_GET, "k", long_id), fixture_request(OPERATION_GET, "k", "a"),
        fixture_request(OPERATION_SAVE, "k", "a"),    fixture_request(OPERATION_GET, "k", "a"),
        fixture_request(OPERATION_STAT, "k", "a"),    fixture_request(OPERATION_GET, "k", "b"),
    };
    requests[3].deadline_ns = clock_boot_ns() - 1;
    answer(reader, fixture, requests, 6, replies, 1 << 20, 6);
    static const int wanted[] = {STATUS_INVALID_ARGUMENT,  STATUS_OK, STATUS_INVALID_ARGUMENT,
                                 STATUS_DEADLINE_EXCEEDED, STATUS_OK, STATUS_NOT_FOUND};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(replies[i].status, wanted[i]);
    assert_true(replies[0].message.size > 0);
    assert_true(replies[2].message.size > 0);
    assert_span_equal(replies[1].items[0].data, span_text("A"));
    assert_null(replies[4].items[0].data.data);
    assert_int_equal(replies[5].revision, 1);
    reader_answer(reader, requests, 1, replies, fixture->arena, 1 << 20);
    assert_int_equal(replies[0].status, STATUS_INVALID_ARGUMENT);
    reader_answer(reader, requests, 0, replies, fixture->arena, 1 << 20);
    reader_free(&reader);
    assert_null(reader);
    reader_free(&reader);
}

static void what_does_not_fit_is_not_read(void **state)
{
    struct fixture *fixture = *state;
    struct request requests[20];
    struct reply replies[20];
    char data[1000] = {0};
    fixture_put(fixture, "k", span_text("a"), (struct span){data, sizeof(data)});
    struct reader *reader = open_reader(fixture);
    for (size_t i = 0; i < 20; i++)
        requests[i] = fixture_request(OPERATION_GET, i == 0 ? "" : "k", "a");
    answer(reader, fixture, requests, 20, replies, 10000, 6);
    size_t answered = 0, bytes = 0;
    assert_int_equal(replies[0].status, STATUS_INVALID_ARGUMENT);
    while (answered < 19 && replies[1 + answered].status == STATUS_OK)
        bytes += replies[1 + answered++].items[0].data.size;
    assert_in_range(answered, 5, 9);
    assert_true(bytes <= 10000);
    for (size_t i = 1 + answered; i < 20; i++)
        assert_int_equal(replies[i].status, STATUS_NOT_READ);
    requests[1] = fixture_request(OPERATION_LIST, "k", "");
    reader_answer(reader, requests + 1, 1, replies, fixture->arena, 500);
    assert_int_equal(replies[0].status, STATUS_TOO_LARGE);
    reader_free(&reader);
}

static void a_snapshot_is_held_until_released(void **state)
{
    struct fixture *fixture = *state;
    struct reply reply;
    fixture_put(fixture, "k", span_text("a"), span_text("A"));
    struct reader *reader = open_reader(fixture);
    struct request request = fixture_request(OPERATION_GET, "k", "a");
    assert_false(reader_holds_snapshot(reader));
    reader_answer(reader, &request, 1, &reply, fixture->arena, 1 << 20);
    assert_true(reader_holds_snapshot(reader));
    reader_release(reader);
    assert_false(reader_holds_snapshot(reader));
    fixture_put(fixture, "k", span_text("a"), span_text("B"));
    reader_answer(reader, &request, 1, &reply, fixture->arena, 1 << 20);
    assert_span_equal(reply.items[0].data, span_text("B"));
    reader_free(&reader);
}

static void a_replaced_file_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    char other[256];
    struct stream *stream = NULL;
    snprintf(other, sizeof(other), "%s/other", fixture->folder);
    struct reader *reader = open_reader(fixture);
    assert_true(reader_is_current(reader));
    sqlite3_close(fixture_create(other));
    assert_int_equal(rename(other, fixture->path), 0);
    assert_false(reader_is_current(reader));
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    assert_int_not_equal(stream_open(reader, &list, &stream, NULL), STATUS_OK);
    assert_null(stream);
    assert_int_not_equal(reader_identity(reader)->inode, 0);
    reader_free(&reader);
}

static void opening_says_why_not(void **state)
{
    struct fixture *fixture = *state;
    struct reader *reader = NULL;
    struct failure failure;
    char absent[256];
    snprintf(absent, sizeof(absent), "%s/absent", fixture->folder);
    struct reader_options options = {.path = absent};
    assert_int_equal(reader_new(&options, &reader, &failure), STATUS_NOT_FOUND);
    assert_null(reader);
    assert_non_null(strstr(failure.message, "absent"));
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(the_good_are_answered_among_the_refused),
        ON_A_STORE(what_does_not_fit_is_not_read),
        ON_A_STORE(a_snapshot_is_held_until_released),
        ON_A_STORE(a_replaced_file_is_noticed),
        ON_A_STORE(opening_says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
