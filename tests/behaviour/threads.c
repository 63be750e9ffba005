/*
 * threads.c - many threads on one handle: nothing lost, nothing twice, close under load.
 */
#include "tests/behaviour/behaviour.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOST_THREADS = 100 };

struct work {
    stigstore *on;
    stigstore_bytes kind;
    unsigned index, rounds;
    atomic_uint *failures;
    atomic_bool *stop;
};

static void run_threads(void *(*body)(void *), struct work *works, unsigned number)
{
    pthread_t threads[MOST_THREADS];
    for (unsigned i = 0; i < number; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, &works[i]), 0);
    for (unsigned i = 0; i < number; i++)
        pthread_join(threads[i], NULL);
}

static void fail_if(struct work *work, bool failed)
{
    if (failed)
        atomic_fetch_add(work->failures, 1);
}

/* Even threads write values that say where they belong, odd ones read and check them. */
static void *read_or_write(void *context)
{
    struct work *work = context;
    stigstore_result *result = NULL;
    for (unsigned i = 0; i < work->rounds; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%03u", (work->index / 2 + i) % 50);
        stigstore_bytes bytes = stigstore_text(id);
        if (work->index % 2 == 0) {
            fail_if(work, stigstore_save_resource(work->on, work->kind, bytes, bytes, &result) != STIGSTORE_OK);
            continue;
        }
        int status = stigstore_get_resource(work->on, work->kind, bytes, &result);
        bool right = status == STIGSTORE_NOT_FOUND || (status == STIGSTORE_OK && result->items[0].data.size == 3 &&
                                                       memcmp(result->items[0].data.data, id, 3) == 0);
        fail_if(work, !right);
    }
    stigstore_result_free(&result);
    return NULL;
}

static void fifty_readers_and_fifty_writers(void **state)
{
    (void)state;
    atomic_uint failures = 0;
    struct work works[100];
    stigstore_bytes kind = fresh_kind();
    for (unsigned i = 0; i < 100; i++)
        works[i] = (struct work){.on = store, .kind = kind, .index = i, .rounds = 20, .failures = &failures};
    run_threads(read_or_write, works, 100);
    assert_int_equal(failures, 0);
    assert_int_equal(count(kind, TEXT("")), 50);
}

static stigstore_decision add_one(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    uint64_t *number = context;
    *number = 0;
    if (current)
        memcpy(number, current->data.data, sizeof(*number));
    *number += 1;
    *data = (stigstore_bytes){number, sizeof(*number)};
    return STIGSTORE_UPDATE_SAVE;
}

static void *count_up(void *context)
{
    struct work *work = context;
    for (unsigned i = 0; i < work->rounds; i++) {
        char id[16];
        uint64_t number = 0;
        snprintf(id, sizeof(id), "counter-%u", (work->index + i) % 16);
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = work->kind, .id = stigstore_text(id),
                                     .timeout_ms = 60000};
        fail_if(work, stigstore_update(work->on, &request, add_one, &number, NULL) != STIGSTORE_OK);
    }
    return NULL;
}

static void sixteen_threads_count_exactly(void **state)
{
    (void)state;
    atomic_uint failures = 0;
    struct work works[16];
    stigstore_bytes kind = fresh_kind();
    stigstore *other = open_another(); /* half of them on a handle of their own */
    for (unsigned i = 0; i < 16; i++) {
        works[i] =
            (struct work){.on = i % 2 ? store : other, .kind = kind, .index = i, .rounds = 1000, .failures = &failures};
    }
    run_threads(count_up, works, 16);
    stigstore_free(&other);
    assert_int_equal(failures, 0);
    stigstore_result *result = NULL;
    assert_status(OK, stigstore_list_resources(store, kind, &result));
    assert_int_equal(result->item_count, 16);
    for (size_t i = 0; i < 16; i++) {
        uint64_t number = 0;
        memcpy(&number, result->items[i].data.data, sizeof(number));
        assert_int_equal(number, 1000);
    }
    stigstore_result_free(&result);
}

struct nested {
    stigstore_bytes kind;
    int inner;
};

static stigstore_decision use_the_store(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    struct nested *nested = context;
    (void)current;
    nested->inner = stigstore_save_resource(store, nested->kind, TEXT("inner"), TEXT("x"), NULL);
    *data = TEXT("outer");
    return STIGSTORE_UPDATE_SAVE;
}

static void an_update_callback_may_use_the_store(void **state)
{
    (void)state;
    struct nested nested = {.kind = fresh_kind(), .inner = -1};
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = nested.kind, .id = TEXT("outer")};
    assert_status(OK, stigstore_update(store, &request, use_the_store, &nested, NULL));
    assert_status(OK, nested.inner);
    assert_stored(nested.kind, TEXT("inner"), TEXT("x"));
    assert_stored(nested.kind, TEXT("outer"), TEXT("outer"));
}

/* Saves until the handle is closed under it; remembers how many were acknowledged. */
static void *save_until_closed(void *context)
{
    struct work *work = context;
    for (work->rounds = 0;; work->rounds++) {
        char id[32];
        snprintf(id, sizeof(id), "%u-%06u", work->index, work->rounds);
        int status = stigstore_save_resource(work->on, work->kind, stigstore_text(id), TEXT("x"), NULL);
        if (status != STIGSTORE_OK) {
            fail_if(work, status != STIGSTORE_CLOSED);
            return NULL;
        }
        atomic_store(work->stop, true); /* the first is in */
    }
}

static bool is_true(const atomic_bool *flag)
{
    return atomic_load(flag);
}

static void close_under_load(void **state)
{
    (void)state;
    atomic_uint failures = 0;
    atomic_bool started = false;
    struct work works[8];
    pthread_t threads[8];
    stigstore_bytes kind = fresh_kind();
    stigstore *other = open_another();
    for (unsigned i = 0; i < 8; i++) {
        works[i] = (struct work){.on = other, .kind = kind, .index = i, .failures = &failures, .stop = &started};
        assert_int_equal(pthread_create(&threads[i], NULL, save_until_closed, &works[i]), 0);
    }
    while (!is_true(&started))
        sched_yield();
    assert_status(OK, stigstore_close(other));
    uint64_t acknowledged = 0;
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        acknowledged += works[i].rounds;
    }
    assert_int_equal(failures, 0);
    /* Every acknowledged one is there; at most one more of each thread was under way. */
    uint64_t stored = count(kind, TEXT(""));
    assert_in_range(stored, acknowledged, acknowledged + 8);
    assert_status(CLOSED, stigstore_save_resource(other, kind, TEXT("late"), TEXT("x"), NULL));
    assert_status(OK, stigstore_close(other));
    stigstore_free(&other);
    assert_absent(kind, TEXT("late"));
}

int thread_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_readers_and_fifty_writers),
        cmocka_unit_test(sixteen_threads_count_exactly),
        cmocka_unit_test(an_update_callback_may_use_the_store),
        cmocka_unit_test(close_under_load),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
