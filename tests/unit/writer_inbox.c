/*
 * writer_inbox.c - what waits at the writer actor is bounded by what it takes once decoded.
 */
#include "proto/limits.h"
#include "tests/support/cmocka_all.h"
#include "writer/inbox.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { REQUESTS = 64, SMALL_MESSAGES = 100, MOST = 1000 };

static void add(struct inbox *inbox, const void *body, size_t size)
{
    zmq_msg_t *frame = malloc(sizeof *frame);

    assert_non_null(frame);
    assert_int_equal(zmq_msg_init_size(frame, size), 0);
    memcpy(zmq_msg_data(frame), body, size);
    inbox_add(inbox, NULL,
              &(struct worker_message){.envelope = {.type = MESSAGE_WRITE, .first = 1},
                                       .body = {zmq_msg_data(frame), size},
                                       .frame = frame});
}

static void add_batch(struct inbox *inbox, const struct request *requests, size_t count)
{
    const struct session_header session = {.counter = 1, .floor = 1};
    size_t size = body_requests_size(&session, requests, count, 0);
    void *body = malloc(size);

    assert_non_null(body);
    body_encode_requests(&session, requests, count, 0, body);
    add(inbox, body, size);
    free(body);
}

/* A part takes three bytes on the wire. */
static void test_many_small_parts_fill_it(void **state)
{
    static struct request parts[LIMIT_PARTS], requests[REQUESTS];
    struct inbox *inbox = inbox_new();

    (void)state;
    assert_non_null(inbox);
    for (size_t i = 0; i < REQUESTS; i++)
        requests[i] = (struct request){.operation = OPERATION_TRANSACT, .parts = parts, .part_count = LIMIT_PARTS};
    while (!inbox_is_full(inbox) && inbox_count(inbox) < MOST)
        add_batch(inbox, requests, REQUESTS);
    assert_true(inbox_count(inbox) * REQUESTS * LIMIT_PARTS * sizeof(struct request) <= 4 * LIMIT_GROUP_BYTES);
    inbox_free(&inbox);
}

static void test_small_messages_do_not(void **state)
{
    const struct request request = {.operation = OPERATION_SAVE, .kind = {"k", 1}, .id = {"a", 1}};
    struct inbox *inbox = inbox_new();

    (void)state;
    assert_non_null(inbox);
    for (int i = 0; i < SMALL_MESSAGES; i++)
        add_batch(inbox, &request, 1);
    assert_false(inbox_is_full(inbox));
    assert_int_equal(inbox_count(inbox), SMALL_MESSAGES);
    inbox_free(&inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_small_parts_fill_it),
        cmocka_unit_test(test_small_messages_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
