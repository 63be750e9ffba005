/*
 * client_service_queue.c - queues and long lists beside a real service.
 */
#include "client/stigstore.h"
#include "proto/clock.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/service.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>

#define TEXT(literal) ((stigstore_bytes){(literal), sizeof(literal) - 1})

static struct service service;

static stigstore *open_flags(uint32_t flags)
{
    const stigstore_options options = {.struct_size = sizeof(options), .flags = flags, .timeout_ms = 20000};
    stigstore *store = NULL;

    assert_int_equal(stigstore_open(service.url, &options, &store, NULL), STIGSTORE_OK);
    return store;
}

static int set_up(void **state)
{
    (void)state;
    service = service_start(NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    service_free(&service);
    return 0;
}

static void stop_broker(int how)
{
    kill(service_actor(&service, "stigstore-broker", 0), how);
}

/* ---- a queue's descriptor ---- */

static void a_queue_is_driven_by_its_descriptor(void **state)
{
    enum { CALLS = 200 };
    stigstore *store = open_flags(STIGSTORE_READS_THROUGH_BROKER);
    stigstore_queue *queue;
    stigstore_result *results[16];
    size_t count, total = 0;
    struct pollfd descriptor;

    (void)state;
    assert_int_equal(stigstore_queue_new(store, &queue), STIGSTORE_OK);
    descriptor = (struct pollfd){.fd = stigstore_queue_fd(queue), .events = POLLIN};
    for (int i = 0; i < CALLS; i++) {
        const stigstore_request saving = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("a")};
        const stigstore_request reading = {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a")};
        assert_int_equal(stigstore_submit(queue, i % 2 ? &reading : &saving, 0, NULL), STIGSTORE_OK);
    }
    while (total < CALLS) {
        assert_int_equal(poll(&descriptor, 1, 20000), 1);
        do {
            assert_int_equal(stigstore_queue_wait(queue, results, 16, 0, &count), STIGSTORE_OK);
            stigstore_results_free(results, count);
            total += count;
        } while (count);
    }
    stop_broker(SIGSTOP);
    assert_int_equal(stigstore_submit(queue,
                                      &(stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("a"),
                                                           .timeout_ms = 100},
                                      0, NULL),
                     STIGSTORE_OK);
    count = 0;
    while (count == 0) {
        assert_int_equal(poll(&descriptor, 1, 20000), 1);
        assert_int_equal(stigstore_queue_wait(queue, results, 1, 0, &count), STIGSTORE_OK);
    }
    assert_int_equal(results[0]->status, STIGSTORE_DEADLINE_EXCEEDED);
    stigstore_results_free(results, count);
    stop_broker(SIGCONT);
    stigstore_queue_free(&queue);
    stigstore_free(&store);
}

/* A thread that makes one call that waits each time it is told. */
struct beside {
    stigstore *store;
    sem_t go, done;
    int rounds, failed;
};

static void *save_when_told(void *context)
{
    struct beside *beside = context;

    for (int i = 0; i < beside->rounds; i++) {
        sem_wait(&beside->go);
        beside->failed += stigstore_save_resource(beside->store, TEXT("k"), TEXT("b"), TEXT("x"), NULL) != STIGSTORE_OK;
        sem_post(&beside->done);
    }
    return NULL;
}

static int poll_for_one(stigstore_queue *queue)
{
    struct pollfd descriptor = {.fd = stigstore_queue_fd(queue), .events = POLLIN};
    stigstore_result *result;
    size_t count = 0;
    int status;

    while (count == 0) {
        assert_int_equal(poll(&descriptor, 1, 10000), 1);
        assert_int_equal(stigstore_queue_wait(queue, &result, 1, 0, &count), STIGSTORE_OK);
    }
    status = result->status;
    stigstore_result_free(&result);
    return status;
}

/* What is submitted while another thread leads, who leaves with its own answer, is the descriptor's to tell of. */
static void a_polled_queue_is_not_forgotten_beside_waiting_calls(void **state)
{
    const stigstore_request saving = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("a")};
    struct beside beside = {.store = open_flags(0), .rounds = 2000};
    stigstore_queue *queue;
    pthread_t thread;

    (void)state;
    assert_int_equal(stigstore_queue_new(beside.store, &queue), STIGSTORE_OK);
    assert_true(stigstore_queue_fd(queue) >= 0);
    sem_init(&beside.go, 0, 0);
    sem_init(&beside.done, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, save_when_told, &beside), 0);
    for (int i = 0; i < beside.rounds; i++) {
        sem_post(&beside.go);
        for (int64_t until_ns = clock_boot_ns() + i % 500 * 2000; clock_boot_ns() < until_ns;)
            sched_yield();
        assert_int_equal(stigstore_submit(queue, &saving, 0, NULL), STIGSTORE_OK);
        assert_int_equal(poll_for_one(queue), STIGSTORE_OK);
        sem_wait(&beside.done);
    }
    pthread_join(thread, NULL);
    assert_int_equal(beside.failed, 0);
    sem_destroy(&beside.go);
    sem_destroy(&beside.done);
    stigstore_queue_free(&queue);
    stigstore_free(&beside.store);
}

/* ---- long lists ---- */

enum { PARTS = 1000, TRANSACTS = 80 };

static void save_thousands(stigstore *store)
{
    static char ids[PARTS][16];
    static stigstore_request parts[PARTS];

    for (int i = 0; i < TRANSACTS; i++) {
        for (int k = 0; k < PARTS; k++) {
            snprintf(ids[k], sizeof(ids[k]), "%07d", i * PARTS + k);
            parts[k] = (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = stigstore_text(ids[k]),
                                           .data = TEXT("x")};
        }
        assert_int_equal(
            stigstore_call(
                store, &(stigstore_request){STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = PARTS}, NULL),
            STIGSTORE_OK);
    }
}

static size_t list_by_queue(stigstore *store, const stigstore_request *list)
{
    stigstore_queue *queue;
    stigstore_result *result;
    uint64_t ticket;
    size_t count, items = 0;
    bool more = true;

    assert_int_equal(stigstore_queue_new(store, &queue), STIGSTORE_OK);
    assert_int_equal(stigstore_submit(queue, list, 0, &ticket), STIGSTORE_OK);
    while (more) {
        assert_int_equal(stigstore_queue_wait(queue, &result, 1, 20000, &count), STIGSTORE_OK);
        assert_int_equal(count, 1);
        assert_int_equal(result->status, STIGSTORE_OK);
        more = result->flags & STIGSTORE_MORE;
        items += result->item_count;
        stigstore_result_free(&result);
        if (more)
            assert_int_equal(stigstore_queue_more(queue, ticket), STIGSTORE_OK);
    }
    stigstore_queue_free(&queue);
    return items;
}

/* Of small resources most of what a piece costs is not their bytes. */
static void a_list_of_many_small_resources_does_not_run_dry(void **state)
{
    const stigstore_request list = {STIGSTORE_REQUEST(LIST), .flags = STIGSTORE_KEYS_ONLY, .kind = TEXT("k"),
                                    .timeout_ms = 5000};
    stigstore *store = open_flags(STIGSTORE_READS_THROUGH_BROKER);

    (void)state;
    save_thousands(store);
    assert_int_equal(list_by_queue(store, &list), TRANSACTS * PARTS);
    stigstore_free(&store);
}

#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(a_queue_is_driven_by_its_descriptor),
        SERVICE_TEST(a_polled_queue_is_not_forgotten_beside_waiting_calls),
        SERVICE_TEST(a_list_of_many_small_resources_does_not_run_dry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
