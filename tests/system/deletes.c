/*
 * deletes.c - deletes of more than 50,000 rows: in steps with others' work in between, exact although the writer dies.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 60000, STEP_LEAST = 100, STEP_MOST = 10000, PARTS = 1000, SAVES_MOST = 4096, P99_MOST_MS = 1000 };

/* Straight into the file, while nobody serves it. */
static void fill(const char *database, const char *kind, unsigned rows)
{
    stigstore *store = load_open(database, 20000);
    stigstore_request *parts = calloc(PARTS, sizeof(*parts));
    char(*ids)[16] = calloc(PARTS, sizeof(*ids));
    assert_true(parts && ids);
    for (unsigned begin = 0; begin < rows; begin += PARTS) {
        for (unsigned i = 0; i < PARTS; i++) {
            snprintf(ids[i], sizeof(ids[i]), "%06u", begin + i);
            parts[i] = (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = stigstore_text(kind),
                                           .id = stigstore_text(ids[i]), .data = stigstore_text("some data")};
        }
        stigstore_request all = {STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = PARTS};
        assert_status(OK, stigstore_call(store, &all, NULL));
    }
    free(parts);
    free(ids);
    stigstore_free(&store);
}

static struct service serve_filled(void)
{
    struct service service = service_start(NULL, NULL);
    assert_int_equal(service_stop(&service), 0);
    fill(service.database, "many", ROWS);
    service_restart(&service);
    return service;
}

struct deletion {
    stigstore *store;
    uint32_t flags;
    atomic_bool done;
    int status;
    uint64_t count;
    pthread_t thread;
};

static void *run_deletion(void *context)
{
    struct deletion *deletion = context;
    stigstore_request request = {STIGSTORE_REQUEST(DELETE_KIND), .kind = stigstore_text("many"),
                                 .flags = deletion->flags, .timeout_ms = 60000};
    stigstore_result *result = NULL;
    deletion->status = stigstore_call(deletion->store, &request, &result);
    deletion->count = result ? result->count : 0;
    stigstore_result_free(&result);
    atomic_store(&deletion->done, true);
    return NULL;
}

static void start(struct deletion *deletion, const char *url, uint32_t flags)
{
    *deletion = (struct deletion){.store = load_open(url, 60000), .flags = flags};
    assert_int_equal(pthread_create(&deletion->thread, NULL, run_deletion, deletion), 0);
}

static void finish(struct deletion *deletion)
{
    pthread_join(deletion->thread, NULL);
    stigstore_free(&deletion->store);
}

static bool has_begun(void *store)
{
    return scene_count(store, "many") < ROWS;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void others_work_goes_on_between_the_steps(void **state)
{
    (void)state;
    struct service service = serve_filled();
    stigstore *other = load_open(service.url, 20000);
    struct deletion deletion;
    int64_t *took_ms = calloc(SAVES_MOST, sizeof(*took_ms));
    assert_non_null(took_ms);
    uint64_t before = store_revision(other), between = 0, saves = 0;
    start(&deletion, service.url, 0);
    while (!atomic_load(&deletion.done) && saves < SAVES_MOST) {
        int64_t begin_ms = scene_now_ms();
        scene_must_save(other, "a", "x");
        took_ms[saves++] = scene_now_ms() - begin_ms;
        uint64_t left = scene_count(other, "many");
        assert_int_equal(left % STEP_LEAST, 0); /* a step is all or nothing */
        between += left > 0 && left < ROWS;
    }
    finish(&deletion);
    assert_status(OK, deletion.status);
    assert_int_equal(deletion.count, ROWS);
    assert_int_equal(scene_count(other, "many"), 0);
    assert_true(between > 0);
    uint64_t steps = store_revision(other) - before - saves; /* each has its revision */
    assert_in_range(steps, ROWS / STEP_MOST, ROWS / STEP_LEAST);
    qsort(took_ms, saves, sizeof(*took_ms), by_size);
    print_message("%lu saves meanwhile, %lu of them between steps; the slowest %ld ms\n", (unsigned long)saves,
                  (unsigned long)between, (long)took_ms[saves - 1]);
    assert_true(took_ms[saves - 1 - saves / 100] < P99_MOST_MS);
    free(took_ms);
    stigstore_free(&other);
    service_free(&service);
}

static void the_count_is_exact_although_the_writer_is_killed(void **state)
{
    (void)state;
    struct service service = serve_filled();
    stigstore *other = load_open(service.url, 20000);
    struct deletion deletion;
    start(&deletion, service.url, 0);
    wait_until(has_begun, other, 30, "the first step");
    pid_t writer = service_actor(&service, "stigstore-writer", 0);
    bool in_the_middle = !atomic_load(&deletion.done);
    kill(writer, SIGKILL);
    service_actor(&service, "stigstore-writer", writer);
    finish(&deletion);
    print_message("killed %s\n", in_the_middle ? "in the middle" : "after its end");
    assert_status(OK, deletion.status);
    assert_int_equal(deletion.count, ROWS);
    assert_int_equal(scene_count(other, "many"), 0);
    stigstore_free(&other);
    service_free(&service);
}

static void all_or_nothing_is_seen_whole_or_not_at_all(void **state)
{
    (void)state;
    struct service service = serve_filled();
    stigstore *other = load_open(service.url, 60000);
    struct deletion deletion;
    uint64_t before = store_revision(other);
    stigstore_request hurried = {STIGSTORE_REQUEST(DELETE_KIND), .kind = stigstore_text("many"),
                                 .flags = STIGSTORE_ALL_OR_NOTHING, .timeout_ms = 5};
    assert_status(DEADLINE_EXCEEDED, stigstore_call(other, &hurried, NULL));
    scene_must_save(other, "a", "x"); /* the hurried one is over by now */
    assert_int_equal(scene_count(other, "many"), ROWS);
    assert_int_equal(store_revision(other), before + 1);

    start(&deletion, service.url, STIGSTORE_ALL_OR_NOTHING);
    uint64_t left;
    while (!atomic_load(&deletion.done)) {
        left = scene_count(other, "many");
        assert_true(left == ROWS || left == 0);
    }
    finish(&deletion);
    assert_status(OK, deletion.status);
    assert_int_equal(deletion.count, ROWS);
    assert_int_equal(store_revision(other), before + 2);
    stigstore_free(&other);
    service_free(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_work_goes_on_between_the_steps),
        cmocka_unit_test(the_count_is_exact_although_the_writer_is_killed),
        cmocka_unit_test(all_or_nothing_is_seen_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("large deletes", tests, NULL, NULL);
}
