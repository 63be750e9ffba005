/*
 * cancelled.c - calls that are given up after they were sent: each has its result, and none lands late.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 4, SENDING_MS = 50, WAIT_MS = 20000 };

static stigstore_queue *new_queue(stigstore *store)
{
    stigstore_queue *queue = NULL;
    assert_status(OK, stigstore_queue_new(store, &queue));
    return queue;
}

static stigstore_result *take(stigstore_queue *queue, uint32_t timeout_ms)
{
    stigstore_result *result = NULL;
    size_t count = 0;
    assert_status(OK, stigstore_queue_wait(queue, &result, 1, timeout_ms, &count));
    return count ? result : NULL;
}

static uint64_t submit(stigstore_queue *queue, uint32_t operation, const char *id)
{
    stigstore_request request = {.struct_size = sizeof(request),
                                 .operation = operation,
                                 .kind = stigstore_text("k"),
                                 .id = stigstore_text(id),
                                 .timeout_ms = WAIT_MS};
    uint64_t ticket = 0;
    if (operation == STIGSTORE_SAVE)
        request.data = stigstore_text("cancelled");
    assert_status(OK, stigstore_submit(queue, &request, 0, &ticket));
    assert_null(take(queue, SENDING_MS)); /* it leaves; nobody answers */
    return ticket;
}

/* `stopped` does not answer while calls are sent and cancelled. */
static void cancel_while(const char *program)
{
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(scene_through_broker(&service), WAIT_MS), *other = load_open(service.url, WAIT_MS);
    stigstore_queue *queue = new_queue(store);
    pid_t stopped = service_actor(&service, program, 0);
    scene_must_save(store, "same", "before");
    for (unsigned round = 0; round < ROUNDS; round++) {
        char id[16], text[64], again[64];
        snprintf(id, sizeof(id), "c%u", round);
        kill(stopped, SIGSTOP);
        uint64_t tickets[2] = {submit(queue, STIGSTORE_SAVE, id), submit(queue, STIGSTORE_SAVE, "same")};
        for (unsigned i = 0; i < 2; i++) {
            assert_status(OK, stigstore_cancel(queue, tickets[i]));
            stigstore_result *result = take(queue, WAIT_MS);
            assert_non_null(result);
            assert_status(CANCELLED, result->status);
            assert_int_equal(result->ticket, tickets[i]);
            assert_false(result->flags & STIGSTORE_NOT_APPLIED); /* it was sent: who knows */
            stigstore_result_free(&result);
            assert_status(NOT_FOUND, stigstore_cancel(queue, tickets[i])); /* it has its final result */
        }
        kill(stopped, SIGCONT);
        scene_must_save(store, "same", "after");
        int seen = scene_get(other, id, text);
        for (unsigned i = 0; i < 20; i++)
            scene_must_save(other, "filler", "x");
        assert_int_equal(scene_get(other, id, again), seen); /* it landed before the later one, or never */
        assert_string_equal(text, again);
        scene_must_hold(other, "same", "after");
    }
    stigstore_queue_free(&queue);
    stigstore_free(&store);
    stigstore_free(&other);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
}

static void mutations_that_lie_at_the_broker(void **state)
{
    (void)state;
    cancel_while("stigstore-broker");
}

static void mutations_that_lie_at_the_writer(void **state)
{
    (void)state;
    cancel_while("stigstore-writer");
}

static void reads_that_were_sent(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(scene_through_broker(&service), WAIT_MS);
    stigstore_queue *queue = new_queue(store);
    scene_must_save(store, "a", "x");
    pid_t broker = service_actor(&service, "stigstore-broker", 0);
    kill(broker, SIGSTOP);
    uint64_t ticket = submit(queue, STIGSTORE_GET, "a");
    assert_status(OK, stigstore_cancel(queue, ticket));
    stigstore_result *result = take(queue, WAIT_MS);
    assert_non_null(result);
    assert_status(CANCELLED, result->status);
    stigstore_result_free(&result);
    kill(broker, SIGCONT);
    scene_must_hold(store, "a", "x"); /* the late answer disturbs nobody */
    stigstore_queue_free(&queue);
    stigstore_free(&store);
    service_free(&service);
}

/* A stopped service does not hold up who closes. */
static void a_handle_closes_while_nobody_answers(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(scene_through_broker(&service), WAIT_MS);
    stigstore_queue *queue = new_queue(store);
    pid_t broker = service_actor(&service, "stigstore-broker", 0);
    kill(broker, SIGSTOP);
    submit(queue, STIGSTORE_SAVE, "a");
    int64_t begin_ms = scene_now_ms();
    assert_status(OK, stigstore_close(store));
    assert_true(scene_now_ms() - begin_ms < 5000);
    stigstore_result *result = take(queue, 0);
    assert_non_null(result);
    assert_status(CLOSED, result->status);
    stigstore_result_free(&result);
    stigstore_queue_free(&queue);
    stigstore_free(&store);
    kill(broker, SIGCONT);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutations_that_lie_at_the_broker),
        cmocka_unit_test(mutations_that_lie_at_the_writer),
        cmocka_unit_test(reads_that_were_sent),
        cmocka_unit_test(a_handle_closes_while_nobody_answers),
    };
    return cmocka_run_group_tests_name("cancelled calls", tests, NULL, NULL);
}
