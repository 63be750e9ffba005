/*
 * queues.c - asynchronous calls: submit, wait, poll, cancel, order.
 */
#include "tests/behaviour/behaviour.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

enum { WAIT_MS = 30000 };

static stigstore_queue *new_queue(void)
{
    stigstore_queue *queue = NULL;
    assert_status(OK, stigstore_queue_new(store, &queue));
    return queue;
}

/* The next result; fails the test when none comes. */
static stigstore_result *take(stigstore_queue *queue)
{
    stigstore_result *result = NULL;
    size_t number = 0;
    assert_status(OK, stigstore_queue_wait(queue, &result, 1, WAIT_MS, &number));
    assert_int_equal(number, 1);
    return result;
}

static void every_submission_gets_one_result(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = new_queue();
    uint64_t ticket = 0;
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x")};
    assert_status(OK, stigstore_submit(queue, &request, 7, &ticket));
    stigstore_result *result = take(queue);
    assert_status(OK, result->status);
    assert_int_equal(result->user, 7);
    assert_int_equal(result->ticket, ticket);
    stigstore_result_free(&result);

    request.kind = TEXT("");
    assert_status(OK, stigstore_submit(queue, &request, 8, NULL)); /* a refusal is a result too */
    result = take(queue);
    assert_status(INVALID_ARGUMENT, result->status);
    assert_int_equal(result->user, 8);
    stigstore_result_free(&result);
    size_t number = 9;
    assert_status(OK, stigstore_queue_wait(queue, &result, 1, 0, &number));
    assert_int_equal(number, 0);
    stigstore_queue_free(&queue);
}

static void ten_thousand_calls_outstanding(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = new_queue();
    for (unsigned i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%05u", i); /* gone after submit: it copies */
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = stigstore_text(id),
                                     .data = stigstore_text(id), .timeout_ms = 120000};
        assert_status(OK, stigstore_submit(queue, &request, i, NULL));
        memset(id, 0, sizeof(id));
    }
    char *seen = calloc(COUNT, 1);
    assert_non_null(seen);
    stigstore_result *results[256] = {NULL};
    for (unsigned total = 0; total < COUNT;) {
        size_t number = 0;
        assert_status(OK, stigstore_queue_wait(queue, results, 256, WAIT_MS, &number));
        assert_true(number > 0);
        for (size_t i = 0; i < number; i++) {
            assert_status(OK, results[i]->status);
            assert_int_equal(seen[results[i]->user]++, 0);
        }
        stigstore_results_free(results, number);
        total += (unsigned)number;
    }
    free(seen);
    assert_int_equal(count(kind, TEXT("")), COUNT);
    assert_stored(kind, TEXT("09999"), TEXT("09999"));
    stigstore_queue_free(&queue);
}

static void one_handles_mutations_land_in_order(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = new_queue();
    for (unsigned i = 0; i < COUNT; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("same"),
                                     .data = numbered("", i)};
        assert_status(OK, stigstore_submit(queue, &request, i, NULL));
    }
    uint64_t revisions[COUNT] = {0};
    for (unsigned i = 0; i < COUNT; i++) {
        stigstore_result *result = take(queue);
        assert_status(OK, result->status);
        revisions[result->user] = result->revision;
        stigstore_result_free(&result);
    }
    for (unsigned i = 1; i < COUNT; i++)
        assert_true(revisions[i] > revisions[i - 1]);
    assert_stored(kind, TEXT("same"), numbered("", COUNT - 1));
    stigstore_queue_free(&queue);
}

static void reads_come_through_queues_as_well(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    save(kind, TEXT("a"), TEXT("A"));
    stigstore_queue *queue = new_queue();
    for (unsigned i = 0; i < 500; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = kind, .id = i % 2 ? TEXT("a") : TEXT("b")};
        assert_status(OK, stigstore_submit(queue, &request, i, NULL));
    }
    for (unsigned i = 0; i < 500; i++) {
        stigstore_result *result = take(queue);
        assert_int_equal(result->status, result->user % 2 ? STIGSTORE_OK : STIGSTORE_NOT_FOUND);
        stigstore_result_free(&result);
    }
    stigstore_queue_free(&queue);
}

/* What an event loop does: poll the descriptor, then look until nothing is left. */
static void the_descriptor_says_when_to_look(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = new_queue();
    for (unsigned i = 0; i < 100; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = numbered("a", i), .data = TEXT("x")};
        assert_status(OK, stigstore_submit(queue, &request, i, NULL));
    }
    unsigned seen = 0;
    while (seen < 100) {
        struct pollfd fd = {.fd = stigstore_queue_fd(queue), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
        for (size_t number = 1; number > 0;) {
            stigstore_result *results[16] = {NULL};
            assert_status(OK, stigstore_queue_wait(queue, results, 16, 0, &number));
            seen += (unsigned)number;
            stigstore_results_free(results, number);
        }
    }
    assert_int_equal(count(kind, TEXT("")), 100);
    stigstore_queue_free(&queue);
}

static void a_streamed_list_comes_piece_by_piece(void **state)
{
    (void)state;
    enum { COUNT = 600, BYTES = 2048 };
    stigstore_bytes kind = fresh_kind();
    char data[BYTES];
    memset(data, 'd', sizeof(data));
    for (unsigned i = 0; i < COUNT; i++)
        save(kind, numbered("a", i), (stigstore_bytes){data, BYTES});
    stigstore_queue *queue = new_queue();
    uint64_t ticket = 0;
    stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = kind};
    assert_status(OK, stigstore_submit(queue, &request, 1, &ticket));
    unsigned seen = 0, pieces = 0;
    for (bool more = true; more;) {
        stigstore_result *result = take(queue);
        assert_status(OK, result->status);
        for (size_t i = 0; i < result->item_count; i++)
            assert_bytes(numbered("a", seen++), result->items[i].id);
        pieces++;
        more = result->flags & STIGSTORE_MORE;
        stigstore_result_free(&result);
        if (more)
            assert_status(OK, stigstore_queue_more(queue, ticket));
    }
    assert_int_equal(seen, COUNT);
    assert_true(pieces > 1);
    stigstore_queue_free(&queue);
}

static void a_cancelled_call_still_has_its_result(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = new_queue();
    uint64_t tickets[3];
    for (unsigned i = 0; i < 3; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = numbered("a", i), .data = TEXT("x")};
        assert_status(OK, stigstore_submit(queue, &request, i, &tickets[i]));
    }
    /* Nobody has been inside a wait yet, so none was sent: this one never lands. */
    assert_status(OK, stigstore_cancel(queue, tickets[1]));
    for (unsigned i = 0; i < 3; i++) {
        stigstore_result *result = take(queue);
        if (result->user == 1) {
            assert_status(CANCELLED, result->status);
            assert_true(result->flags & STIGSTORE_NOT_APPLIED);
        } else {
            assert_status(OK, result->status);
        }
        stigstore_result_free(&result);
    }
    assert_int_equal(count(kind, TEXT("")), 2);
    assert_absent(kind, TEXT("a00001"));
    /* After its result there is nothing left to cancel. */
    assert_status(NOT_FOUND, stigstore_cancel(queue, tickets[0]));
    stigstore_queue_free(&queue);
}

struct waiting {
    stigstore_queue *queue;
    size_t number;
    int status;
};

static void *wait_in_thread(void *context)
{
    struct waiting *waiting = context;
    stigstore_result *result = NULL;
    waiting->status = stigstore_queue_wait(waiting->queue, &result, 1, WAIT_MS, &waiting->number);
    stigstore_result_free(&result);
    return NULL;
}

/* Nobody waits for the queue: its calls are given up on the way of others, whom they must not hold up. */
static void what_is_overdue_in_a_queue_holds_nobody_up(void **state)
{
    (void)state;
    enum { COUNT = 10 };
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = new_queue();
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x"),
                                 .timeout_ms = 1};
    for (unsigned i = 0; i < COUNT; i++)
        assert_status(OK, stigstore_submit(queue, &request, i, NULL));
    poll(NULL, 0, 3); /* their time is up */
    request = (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("y"),
                                  .timeout_ms = WAIT_MS};
    assert_status(OK, call_status(&request));
    assert_stored(kind, TEXT("a"), TEXT("y"));
    for (unsigned i = 0; i < COUNT; i++) {
        stigstore_result *result = take(queue);
        stigstore_result_free(&result);
    }
    stigstore_queue_free(&queue);
}

static void a_wait_can_be_woken(void **state)
{
    (void)state;
    struct waiting waiting = {.queue = new_queue(), .number = 9, .status = -1};
    pthread_t thread;
    assert_status(OK, stigstore_queue_wake(waiting.queue)); /* before the wait: it ends the next one */
    assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &waiting), 0);
    pthread_join(thread, NULL);
    assert_status(OK, waiting.status);
    assert_int_equal(waiting.number, 0);
    stigstore_queue_free(&waiting.queue);
}

static void flush_waits_for_all_that_was_submitted(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore_queue *queue = new_queue();
    for (unsigned i = 0; i < 200; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = numbered("a", i), .data = TEXT("x")};
        assert_status(OK, stigstore_submit(queue, &request, i, NULL));
    }
    assert_status(OK, stigstore_flush(store, WAIT_MS));
    assert_int_equal(count(kind, TEXT("")), 200);
    for (size_t seen = 0, number = 1; seen < 200; seen += number) { /* all there without waiting */
        stigstore_result *results[64] = {NULL};
        assert_status(OK, stigstore_queue_wait(queue, results, 64, 0, &number));
        assert_true(number > 0);
        stigstore_results_free(results, number);
    }
    stigstore_queue_free(&queue);
}

static void a_queue_hands_out_what_is_left_after_close(void **state)
{
    (void)state;
    stigstore_bytes kind = fresh_kind();
    stigstore *other = open_another();
    stigstore_queue *queue = NULL;
    assert_status(OK, stigstore_queue_new(other, &queue));
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = kind, .id = TEXT("a"), .data = TEXT("x")};
    assert_status(OK, stigstore_submit(queue, &request, 1, NULL));
    stigstore_free(&other);
    stigstore_result *result = NULL;
    size_t number = 0;
    assert_status(OK, stigstore_queue_wait(queue, &result, 1, WAIT_MS, &number));
    assert_int_equal(number, 1);
    assert_status(CLOSED, result->status);
    stigstore_result_free(&result);
    assert_status(CLOSED, stigstore_queue_wait(queue, &result, 1, WAIT_MS, &number));
    assert_int_equal(number, 0);
    assert_status(CLOSED, stigstore_submit(queue, &request, 1, NULL));
    stigstore_queue_free(&queue);
}

int queue_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_submission_gets_one_result),
        cmocka_unit_test(ten_thousand_calls_outstanding),
        cmocka_unit_test(one_handles_mutations_land_in_order),
        cmocka_unit_test(reads_come_through_queues_as_well),
        cmocka_unit_test(the_descriptor_says_when_to_look),
        cmocka_unit_test(a_streamed_list_comes_piece_by_piece),
        cmocka_unit_test(a_cancelled_call_still_has_its_result),
        cmocka_unit_test(what_is_overdue_in_a_queue_holds_nobody_up),
        cmocka_unit_test(a_wait_can_be_woken),
        cmocka_unit_test(flush_waits_for_all_that_was_submitted),
        cmocka_unit_test(a_queue_hands_out_what_is_left_after_close),
    };
    return cmocka_run_group_tests_name("queues", tests, NULL, NULL);
}
