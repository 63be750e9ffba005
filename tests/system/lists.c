/*
 * lists.c - cursors and reads while the service expires, stops or loses its readers.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 64, DATA_BYTES = 256 * 1024, READERS = 4 };

/* Far more than is ever fetched ahead. */
static void fill(stigstore *store)
{
    char *data = calloc(1, DATA_BYTES), id[16];
    assert_non_null(data);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(id, sizeof(id), "%05u", i);
        assert_status(OK, stigstore_save_resource(store, stigstore_text("large"), stigstore_text(id),
                                                  (stigstore_bytes){data, DATA_BYTES}, NULL));
    }
    free(data);
}

static stigstore_cursor *open_list(stigstore *store, const char *after)
{
    stigstore_request request = {STIGSTORE_REQUEST(LIST), .kind = stigstore_text("large"),
                                 .after = stigstore_text(after)};
    stigstore_cursor *cursor = NULL;
    assert_status(OK, stigstore_cursor_open(store, &request, &cursor, NULL));
    return cursor;
}

/* Opens a list and takes the first item of it. */
static stigstore_cursor *begin_list(stigstore *store, unsigned *seen, char last[16])
{
    stigstore_cursor *cursor = open_list(store, "");
    const stigstore_item *item = NULL;
    assert_status(OK, stigstore_cursor_next(cursor, &item));
    snprintf(last, 16, "%.*s", (int)item->id.size, (const char *)item->id.data);
    *seen = 1;
    return cursor;
}

/* Counts the items that come, the id of the last in `last`; what the list ended with. */
static int read_list(stigstore_cursor *cursor, unsigned *seen, char last[16])
{
    const stigstore_item *item = NULL;
    int status;
    while ((status = stigstore_cursor_next(cursor, &item)) == STIGSTORE_OK) {
        assert_int_equal(item->data.size, DATA_BYTES);
        snprintf(last, 16, "%.*s", (int)item->id.size, (const char *)item->id.data);
        ++*seen;
    }
    return status;
}

static bool is_past(void *context)
{
    return scene_now_ms() >= *(int64_t *)context;
}

static void check_expiry(const char *url)
{
    stigstore *store = load_open(url, 20000);
    char last[16] = "";
    unsigned seen;
    stigstore_cursor *cursor = begin_list(store, &seen, last);
    int64_t until_ms = scene_now_ms() + 1500;
    wait_until(is_past, &until_ms, 10, "the time that a snapshot lives");
    assert_status(SNAPSHOT_EXPIRED, read_list(cursor, &seen, last));
    assert_in_range(seen, 1, COUNT - 1);
    if (!strstr(stigstore_cursor_message(cursor), last)) /* it says where it ended */
        fail_msg("'%s' does not name %s", stigstore_cursor_message(cursor), last);
    /* One can go on from there on a newer snapshot, again if a slow machine needs longer than that one lives. */
    int ended = STIGSTORE_SNAPSHOT_EXPIRED;
    for (unsigned before = 0; ended == STIGSTORE_SNAPSHOT_EXPIRED && before < seen;) {
        before = seen;
        stigstore_cursor_free(&cursor);
        cursor = open_list(store, last);
        ended = read_list(cursor, &seen, last);
    }
    assert_status(END, ended);
    assert_int_equal(seen, COUNT);
    stigstore_cursor_free(&cursor);
    stigstore_free(&store);
}

static void a_list_that_stalls_expires_and_says_where(void **state)
{
    (void)state;
    static const char *const options[] = {"--snapshot-seconds", "1", NULL};
    struct service service = service_start(NULL, options);
    stigstore *store = load_open(service.url, 20000);
    fill(store);
    check_expiry(scene_through_broker(&service));
    stigstore_free(&store);
    service_free(&service);
}

/* Local reads take the time from the handle's options. */
static void a_local_list_that_stalls_expires_too(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore_options options = {.struct_size = sizeof(options), .snapshot_ms = 300, .timeout_ms = 20000};
    stigstore *store = NULL;
    char last[16] = "";
    unsigned seen;
    assert_status(OK, stigstore_open(service.url, &options, &store, NULL));
    fill(store);
    stigstore_cursor *cursor = begin_list(store, &seen, last);
    int64_t until_ms = scene_now_ms() + 500;
    wait_until(is_past, &until_ms, 10, "the time that a snapshot lives");
    assert_status(SNAPSHOT_EXPIRED, read_list(cursor, &seen, last));
    assert_non_null(strstr(stigstore_cursor_message(cursor), last));
    stigstore_cursor_free(&cursor);
    stigstore_free(&store);
    service_free(&service);
}

static void a_service_stops_while_clients_hold_cursors(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore *local = load_open(service.url, 2000), *through = load_open(scene_through_broker(&service), 2000);
    char last[16] = "";
    unsigned seen, through_seen;
    fill(local);
    stigstore_cursor *on_file = begin_list(local, &seen, last), *on_reader = begin_list(through, &through_seen, last);

    int64_t begin_ms = scene_now_ms();
    assert_int_equal(service_stop(&service), 0);
    print_message("stopped after %ld ms\n", (long)(scene_now_ms() - begin_ms));
    assert_true(scene_now_ms() - begin_ms < 9000);
    assert_status(END, read_list(on_file, &seen, last)); /* its snapshot is still that of the file */
    assert_int_equal(seen, COUNT);
    int ended = read_list(on_reader, &through_seen, last);
    assert_int_not_equal(ended, STIGSTORE_OK);
    assert_int_not_equal(ended, STIGSTORE_END); /* never passed off as the whole list */
    assert_true(through_seen < COUNT);
    stigstore_cursor_free(&on_file);
    stigstore_cursor_free(&on_reader);

    service_restart(&service);
    on_reader = open_list(through, "");
    seen = 0;
    assert_status(END, read_list(on_reader, &seen, last));
    assert_int_equal(seen, COUNT);
    stigstore_cursor_free(&on_reader);
    stigstore_free(&local);
    stigstore_free(&through);
    service_free(&service);
}

struct reading {
    stigstore *store;
    atomic_bool stop;
    atomic_uint_fast64_t reads, failures;
    atomic_int last_failure;
};

static void *read_on(void *context)
{
    struct reading *reading = context;
    while (!atomic_load(&reading->stop)) {
        stigstore_result *result = NULL;
        int status = stigstore_get_resource(reading->store, stigstore_text("k"), stigstore_text("a"), &result);
        if (status != STIGSTORE_OK || result->items[0].data.size != 1) {
            atomic_store(&reading->last_failure, status);
            atomic_fetch_add(&reading->failures, 1);
        }
        atomic_fetch_add(&reading->reads, 1);
        stigstore_result_free(&result);
    }
    return NULL;
}

struct goal {
    struct reading *reading;
    uint64_t reads;
};

static bool is_reached(void *context)
{
    struct goal *goal = context;
    return atomic_load(&goal->reading->reads) >= goal->reads;
}

static void wait_reads(struct reading *reading, uint64_t more)
{
    struct goal goal = {reading, atomic_load(&reading->reads) + more};
    wait_until(is_reached, &goal, 30, "more reads");
}

static void no_read_fails_although_readers_are_killed(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    struct reading reading = {.store = load_open(scene_through_broker(&service), 20000)};
    pthread_t threads[READERS];
    scene_must_save(reading.store, "a", "x");
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &reading), 0);
    for (unsigned round = 0; round < 6; round++) {
        pid_t pids[2];
        wait_reads(&reading, 300);
        assert_int_equal(process_children(service.pid, "stigstore-reader", pids, 2), 2);
        kill(pids[0], SIGKILL);
        wait_reads(&reading, 300);
        service_actor(&service, "stigstore-reader", pids[0]);
        for (size_t count = 0; count != 2;)
            count = process_children(service.pid, "stigstore-reader", pids, 2);
    }
    atomic_store(&reading.stop, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    if (atomic_load(&reading.failures)) {
        fail_msg("%lu reads failed, the last one: %s", (unsigned long)atomic_load(&reading.failures),
                 stigstore_status_name(atomic_load(&reading.last_failure)));
    }
    stigstore_free(&reading.store);
    service_free(&service);
}

/* A reader that dies after it has delivered pieces ends its list by name; the list asked for anew is whole. */
static void a_list_ends_by_name_with_its_reader(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    stigstore *store = load_open(scene_through_broker(&service), 20000);
    char last[16] = "";
    unsigned seen;
    fill(store);
    stigstore_cursor *cursor = begin_list(store, &seen, last);
    pid_t pids[2];
    assert_int_equal(process_children(service.pid, "stigstore-reader", pids, 2), 2);
    kill(pids[0], SIGKILL);
    kill(pids[1], SIGKILL);
    assert_status(SNAPSHOT_EXPIRED, read_list(cursor, &seen, last));
    stigstore_cursor_free(&cursor);
    cursor = open_list(store, last);
    assert_status(END, read_list(cursor, &seen, last));
    assert_int_equal(seen, COUNT);
    stigstore_cursor_free(&cursor);
    stigstore_free(&store);
    service_free(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_stalls_expires_and_says_where),
        cmocka_unit_test(a_local_list_that_stalls_expires_too),
        cmocka_unit_test(a_service_stops_while_clients_hold_cursors),
        cmocka_unit_test(no_read_fails_although_readers_are_killed),
        cmocka_unit_test(a_list_ends_by_name_with_its_reader),
    };
    return cmocka_run_group_tests_name("lists and readers", tests, NULL, NULL);
}
