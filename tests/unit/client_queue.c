/*
 * client_queue.c - calls that do not wait, and lists item by item.
 */
#include "client/queue.h"
#include "tests/unit/client_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

enum { LONG_MS = 20000, READS = 2000 };

static stigstore_queue *queue_of(stigstore *store)
{
    stigstore_queue *queue;
    assert_int_equal(stigstore_queue_new(store, &queue), STIGSTORE_OK);
    return queue;
}

static stigstore_result *next_result(stigstore_queue *queue)
{
    stigstore_result *result = NULL;
    size_t count = 0;

    assert_int_equal(stigstore_queue_wait(queue, &result, 1, LONG_MS, &count), STIGSTORE_OK);
    assert_int_equal(count, 1);
    return result;
}

static int next_status(stigstore_queue *queue, uint64_t *user)
{
    stigstore_result *result = next_result(queue);
    int status = result->status;

    if (user)
        *user = result->user;
    stigstore_result_free(&result);
    return status;
}

static void submit_save(stigstore_queue *queue, int i, uint64_t *ticket)
{
    char id[16], data[24];
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k")};

    snprintf(id, sizeof(id), "%05d", i);
    snprintf(data, sizeof(data), "data %d", i);
    request.id = stigstore_text(id);
    request.data = stigstore_text(data);
    assert_int_equal(stigstore_submit(queue, &request, (uint64_t)i, ticket), STIGSTORE_OK);
}

static void ten_thousand_calls_are_answered_once_each(void **state)
{
    enum { CALLS = 10000 };
    stigstore_queue *queue = queue_of(store_of(state));
    unsigned char *seen = calloc(CALLS, 1);
    size_t total = 0;

    for (int i = 0; i < CALLS; i++)
        submit_save(queue, i, NULL);
    while (total < CALLS) {
        stigstore_result *results[64];
        size_t count;
        assert_int_equal(stigstore_queue_wait(queue, results, 64, LONG_MS, &count), STIGSTORE_OK);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(results[i]->status, STIGSTORE_OK);
            assert_int_equal(seen[results[i]->user]++, 0);
        }
        total += count;
        stigstore_results_free(results, count);
    }
    assert_int_equal(count_of(store_of(state), "k"), CALLS);
    assert_data(store_of(state), "k", "09999", "data 9999");
    free(seen);
    stigstore_queue_free(&queue);
}

/* More bytes than one commit group takes. */
static void saves_of_one_id_end_with_the_last(void **state)
{
    enum { DATA_BYTES = 40000 };
    stigstore_queue *queue = queue_of(store_of(state));
    stigstore_result *result = NULL;
    char *data = calloc(1, DATA_BYTES);

    for (int i = 0; i < 500; i++) {
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = TEXT("k"), .id = TEXT("one")};
        snprintf(data, DATA_BYTES, "%d", i);
        request.data = (stigstore_bytes){data, DATA_BYTES};
        assert_int_equal(stigstore_submit(queue, &request, 0, NULL), STIGSTORE_OK);
    }
    free(data);
    assert_int_equal(stigstore_flush(store_of(state), LONG_MS), STIGSTORE_OK);
    assert_int_equal(stigstore_get_resource(store_of(state), TEXT("k"), TEXT("one"), &result), STIGSTORE_OK);
    assert_string_equal(result->items[0].data.data, "499");
    stigstore_result_free(&result);
    for (int i = 0; i < 500; i++)
        assert_int_equal(next_status(queue, NULL), STIGSTORE_OK);
    stigstore_queue_free(&queue);
}

static void a_refused_request_has_its_result_too(void **state)
{
    stigstore_queue *queue = queue_of(store_of(state));
    uint64_t user = 0;

    assert_int_equal(stigstore_submit(queue, &(stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = TEXT("k")}, 7, NULL),
                     STIGSTORE_OK);
    assert_int_equal(next_status(queue, &user), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(user, 7);
    assert_int_equal(stigstore_submit(queue, NULL, 8, NULL), STIGSTORE_OK);
    assert_int_equal(next_status(queue, &user), STIGSTORE_INVALID_ARGUMENT);
    assert_int_equal(user, 8);
    stigstore_queue_free(&queue);
}

static void reads_are_answered_with_their_items(void **state)
{
    stigstore_queue *queue = queue_of(store_of(state));
    stigstore_result *result;

    save(store_of(state), "k", "a", "1");
    assert_int_equal(stigstore_submit(queue,
                                      &(stigstore_request){STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a")},
                                      1, NULL),
                     STIGSTORE_OK);
    result = next_result(queue);
    assert_int_equal(result->item_count, 1);
    assert_memory_equal(result->items[0].data.data, "1", 1);
    stigstore_result_free(&result);
    stigstore_queue_free(&queue);
}

static void what_is_cancelled_before_it_runs_is_not_applied(void **state)
{
    stigstore_queue *queue = queue_of(store_of(state));
    uint64_t ticket;
    stigstore_result *result;

    submit_save(queue, 1, &ticket);
    assert_int_equal(stigstore_cancel(queue, ticket), STIGSTORE_OK);
    result = next_result(queue);
    assert_int_equal(result->status, STIGSTORE_CANCELLED);
    assert_int_equal(result->ticket, ticket);
    assert_true(result->flags & STIGSTORE_NOT_APPLIED);
    stigstore_result_free(&result);
    assert_int_equal(stigstore_cancel(queue, ticket), STIGSTORE_NOT_FOUND);
    assert_absent(store_of(state), "k", "00001");
    submit_save(queue, 2, &ticket);
    assert_int_equal(next_status(queue, NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_cancel(queue, ticket), STIGSTORE_NOT_FOUND);
    stigstore_queue_free(&queue);
}

static void too_much_in_flight_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    const stigstore_options options = {.struct_size = sizeof(options), .max_in_flight = 2};
    stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a")};
    stigstore_queue *queue;
    stigstore *store;

    assert_int_equal(stigstore_open(fixture->path, &options, &store, NULL), STIGSTORE_OK);
    queue = queue_of(store);
    assert_int_equal(stigstore_submit(queue, &request, 0, NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_submit(queue, &request, 0, NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_submit(queue, &request, 0, NULL), STIGSTORE_OVERLOADED);
    assert_int_equal(next_status(queue, NULL), STIGSTORE_NOT_FOUND);
    assert_int_equal(next_status(queue, NULL), STIGSTORE_NOT_FOUND);
    assert_int_equal(stigstore_submit(queue, &request, 0, NULL), STIGSTORE_OK);
    stigstore_queue_free(&queue);
    stigstore_free(&store);
}

/* ---- the descriptor ---- */

static bool is_readable(stigstore_queue *queue)
{
    struct pollfd descriptor = {.fd = stigstore_queue_fd(queue), .events = POLLIN};
    return poll(&descriptor, 1, 0) == 1;
}

static void the_descriptor_tells_of_work(void **state)
{
    stigstore_queue *queue = queue_of(store_of(state));
    stigstore_result *result = NULL;
    size_t count;
    int answered = 0;

    assert_false(is_readable(queue));
    for (int i = 0; i < 3; i++)
        submit_save(queue, i, NULL);
    while (is_readable(queue)) {
        assert_int_equal(stigstore_queue_wait(queue, &result, 1, 0, &count), STIGSTORE_OK);
        answered += (int)count;
        if (count)
            stigstore_result_free(&result);
    }
    assert_int_equal(answered, 3);
    stigstore_queue_free(&queue);
}

/* A deadline that its call did not need leaves nothing to be polled for. */
static void the_descriptor_is_quiet_after_a_deadline(void **state)
{
    const stigstore_request get = {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a"), .timeout_ms = 20};
    stigstore_queue *queue = queue_of(store_of(state));
    struct pollfd descriptor = {.fd = stigstore_queue_fd(queue), .events = POLLIN};
    stigstore_result *result;
    size_t count;

    assert_int_equal(stigstore_submit(queue, &get, 0, NULL), STIGSTORE_OK);
    assert_int_equal(next_status(queue, NULL), STIGSTORE_NOT_FOUND);
    for (int i = 0; i < 3 && poll(&descriptor, 1, 100) == 1; i++) /* an early timer is harmless */
        assert_int_equal(stigstore_queue_wait(queue, &result, 1, 0, &count), STIGSTORE_OK);
    assert_false(is_readable(queue));
    stigstore_queue_free(&queue);
}

/* A waker may be so slow that its wait has ended before it writes to the descriptor. */
static void a_late_wake_does_not_stay(void **state)
{
    stigstore_queue *queue = queue_of(store_of(state));
    const uint64_t one = 1;
    stigstore_result *result;
    size_t count;

    assert_int_equal(write(queue->event_fd, &one, sizeof(one)), sizeof(one));
    assert_true(is_readable(queue));
    assert_int_equal(stigstore_queue_wait(queue, &result, 1, 0, &count), STIGSTORE_OK);
    assert_int_equal(count, 0);
    assert_false(is_readable(queue));
    stigstore_queue_free(&queue);
}

static stigstore_queue *woken_queue;

static void wake_from_signal(int number)
{
    (void)number;
    stigstore_queue_wake(woken_queue);
}

static void *send_signal(void *thread)
{
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}

static void a_signal_handler_ends_a_wait(void **state)
{
    struct sigaction action = {.sa_handler = wake_from_signal};
    stigstore_result *result;
    pthread_t self = pthread_self(), other;
    size_t count;

    woken_queue = queue_of(store_of(state));
    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(pthread_create(&other, NULL, send_signal, &self), 0);
    assert_int_equal(stigstore_queue_wait(woken_queue, &result, 1, STIGSTORE_NO_DEADLINE, &count), STIGSTORE_OK);
    assert_int_equal(count, 0);
    pthread_join(other, NULL);
    assert_int_equal(stigstore_queue_wait(woken_queue, &result, 1, 0, &count), STIGSTORE_OK);
    assert_int_equal(count, 0);
    stigstore_queue_free(&woken_queue);
}

/* A thread that makes one call that waits each time it is told. */
struct beside {
    stigstore *store;
    sem_t go, done;
    int rounds;
};

static void *save_when_told(void *context)
{
    struct beside *beside = context;

    for (int i = 0; i < beside->rounds; i++) {
        sem_wait(&beside->go);
        if (stigstore_save_resource(beside->store, TEXT("k"), TEXT("beside"), TEXT("x"), NULL) != STIGSTORE_OK)
            return context;
        sem_post(&beside->done);
    }
    return NULL;
}

static void poll_for_one(stigstore_queue *queue)
{
    struct pollfd descriptor = {.fd = stigstore_queue_fd(queue), .events = POLLIN};
    stigstore_result *result;
    size_t count = 0;

    while (count == 0) {
        assert_int_equal(poll(&descriptor, 1, LONG_MS), 1);
        assert_int_equal(stigstore_queue_wait(queue, &result, 1, 0, &count), STIGSTORE_OK);
    }
    stigstore_result_free(&result);
}

/* What is submitted while another thread leads the lane, who then leaves, is the descriptor's to tell of. */
static void a_polled_queue_is_not_forgotten_beside_waiting_calls(void **state)
{
    struct fixture *fixture = *state;
    const stigstore_options durable = {.struct_size = sizeof(durable)};
    struct beside beside = {.rounds = 300};
    stigstore_queue *queue;
    pthread_t thread;
    void *failed;

    stigstore_free(&fixture->store);
    assert_int_equal(stigstore_open(fixture->path, &durable, &fixture->store, NULL), STIGSTORE_OK);
    beside.store = fixture->store;
    queue = queue_of(beside.store);
    sem_init(&beside.go, 0, 0);
    sem_init(&beside.done, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, save_when_told, &beside), 0);
    for (int i = 0; i < beside.rounds; i++) {
        sem_post(&beside.go);
        for (int turn = 0; turn < i % 50; turn++)
            sched_yield();
        submit_save(queue, i, NULL);
        poll_for_one(queue);
        sem_wait(&beside.done);
    }
    pthread_join(thread, &failed);
    assert_null(failed);
    sem_destroy(&beside.go);
    sem_destroy(&beside.done);
    stigstore_queue_free(&queue);
}

struct taker {
    stigstore_queue *queue;
    sem_t begun;
    int unanswered;
};

static void *take_all(void *context)
{
    struct taker *taker = context;

    for (int i = 0; i < READS; i++) {
        taker->unanswered += next_status(taker->queue, NULL) != STIGSTORE_NOT_FOUND;
        if (i == 0)
            sem_post(&taker->begun);
    }
    return NULL;
}

/* Another thread answers what is queued, of which there is more than it takes at once. */
static void a_flush_lets_another_thread_lead(void **state)
{
    const stigstore_request get = {STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a")};
    struct taker taker = {.queue = queue_of(store_of(state))};
    pthread_t thread;

    sem_init(&taker.begun, 0, 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < READS; i++)
            assert_int_equal(stigstore_submit(taker.queue, &get, 0, NULL), STIGSTORE_OK);
        assert_int_equal(pthread_create(&thread, NULL, take_all, &taker), 0);
        sem_wait(&taker.begun);
        assert_int_equal(stigstore_flush(store_of(state), LONG_MS), STIGSTORE_OK);
        pthread_join(thread, NULL);
        assert_int_equal(taker.unanswered, 0);
    }
    sem_destroy(&taker.begun);
    stigstore_queue_free(&taker.queue);
}

/* ---- lists ---- */

static void save_many(stigstore *store, int count, size_t data_bytes)
{
    char id[16];
    char *data = calloc(1, data_bytes);

    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof(id), "%05d", i);
        assert_int_equal(
            stigstore_save_resource(store, TEXT("k"), stigstore_text(id), (stigstore_bytes){data, data_bytes}, NULL),
            STIGSTORE_OK);
    }
    free(data);
}

static void a_queued_list_comes_in_chunks_that_are_asked_for(void **state)
{
    stigstore_queue *queue = queue_of(store_of(state));
    stigstore_result *result;
    uint64_t ticket;
    size_t items = 0, chunks = 0;
    bool more = true;

    save_many(store_of(state), 40, 64 * 1024);
    assert_int_equal(
        stigstore_submit(queue, &(stigstore_request){STIGSTORE_REQUEST(LIST), .kind = TEXT("k")}, 3, &ticket),
        STIGSTORE_OK);
    save(store_of(state), "k", "later", "x");
    while (more) {
        result = next_result(queue);
        assert_int_equal(result->status, STIGSTORE_OK);
        assert_int_equal(result->ticket, ticket);
        more = result->flags & STIGSTORE_MORE;
        items += result->item_count;
        chunks++;
        stigstore_result_free(&result);
        if (more) {
            size_t count;
            assert_int_equal(stigstore_queue_wait(queue, &result, 1, 0, &count), STIGSTORE_OK);
            assert_int_equal(count, 0);
            assert_int_equal(stigstore_queue_more(queue, ticket), STIGSTORE_OK);
        }
    }
    assert_true(items >= 40 && chunks >= 5);
    assert_int_equal(stigstore_queue_more(queue, ticket), STIGSTORE_NOT_FOUND);
    stigstore_queue_free(&queue);
}

static void a_half_read_list_can_be_cancelled(void **state)
{
    stigstore_queue *queue = queue_of(store_of(state));
    stigstore_result *result;
    uint64_t ticket;

    save_many(store_of(state), 40, 64 * 1024);
    assert_int_equal(
        stigstore_submit(queue, &(stigstore_request){STIGSTORE_REQUEST(LIST), .kind = TEXT("k")}, 3, &ticket),
        STIGSTORE_OK);
    result = next_result(queue);
    assert_true(result->flags & STIGSTORE_MORE);
    stigstore_result_free(&result);
    assert_int_equal(stigstore_cancel(queue, ticket), STIGSTORE_OK);
    assert_int_equal(next_status(queue, NULL), STIGSTORE_CANCELLED);
    assert_int_equal(
        stigstore_submit(queue, &(stigstore_request){STIGSTORE_REQUEST(LIST), .kind = TEXT("k")}, 3, &ticket),
        STIGSTORE_OK);
    result = next_result(queue);
    stigstore_result_free(&result);
    stigstore_queue_free(&queue);
}

static void a_cursor_shows_one_snapshot_in_order(void **state)
{
    stigstore *store = store_of(state);
    stigstore_cursor *cursor = NULL;
    const stigstore_item *item;
    char id[16];
    int seen = 0, status;

    save_many(store, 100, 10000);
    assert_int_equal(stigstore_cursor_open(store,
                                           &(stigstore_request){STIGSTORE_REQUEST(LIST), .kind = TEXT("k"),
                                                                .id = TEXT("000"), .after = TEXT("00009"), .limit = 50},
                                           &cursor, NULL),
                     STIGSTORE_OK);
    assert_int_equal(stigstore_delete_resources_by_kind(store, TEXT("k"), NULL), STIGSTORE_OK);
    while ((status = stigstore_cursor_next(cursor, &item)) == STIGSTORE_OK) {
        snprintf(id, sizeof(id), "%05d", 10 + seen++);
        assert_memory_equal(item->id.data, id, 5);
        assert_int_equal(item->data.size, 10000);
    }
    assert_int_equal(status, STIGSTORE_END);
    assert_int_equal(seen, 50);
    assert_int_equal(stigstore_cursor_next(cursor, &item), STIGSTORE_END);
    stigstore_cursor_free(&cursor);
    assert_int_equal(
        stigstore_cursor_open(store, &(stigstore_request){STIGSTORE_REQUEST(GET), .kind = TEXT("k"), .id = TEXT("a")},
                              &cursor, NULL),
        STIGSTORE_INVALID_ARGUMENT);
    assert_null(cursor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(ten_thousand_calls_are_answered_once_each),
        STORE_TEST(saves_of_one_id_end_with_the_last),
        STORE_TEST(a_refused_request_has_its_result_too),
        STORE_TEST(reads_are_answered_with_their_items),
        STORE_TEST(what_is_cancelled_before_it_runs_is_not_applied),
        STORE_TEST(too_much_in_flight_is_refused_at_once),
        STORE_TEST(the_descriptor_tells_of_work),
        STORE_TEST(the_descriptor_is_quiet_after_a_deadline),
        STORE_TEST(a_late_wake_does_not_stay),
        STORE_TEST(a_signal_handler_ends_a_wait),
        STORE_TEST(a_polled_queue_is_not_forgotten_beside_waiting_calls),
        STORE_TEST(a_flush_lets_another_thread_lead),
        STORE_TEST(a_queued_list_comes_in_chunks_that_are_asked_for),
        STORE_TEST(a_half_read_list_can_be_cancelled),
        STORE_TEST(a_cursor_shows_one_snapshot_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
