/*
 * bench_parts.c - the load generator's own parts: percentiles, zipfian draws, values that tell, and a check that finds
 * what is lost, older or changed.
 */
#include "bench/internal.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"

#include <stdlib.h>
#include <string.h>

/* ---- histogram ---- */

static void percentiles_are_within_a_percent(void **state)
{
    (void)state;
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    assert_non_null(histogram);
    enum { MOST = 1000000 };
    for (int64_t i = 1; i <= MOST; i++)
        histogram_record(histogram, i);
    static const double points[] = {1, 50, 90, 99, 99.9, 99.99};
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
        double exact = MOST * points[i] / 100, got = (double)histogram_percentile_ns(histogram, points[i]);
        assert_true(got >= exact && got <= exact * 1.01);
    }
    assert_int_equal(histogram_percentile_ns(histogram, 100), MOST);
    assert_int_equal(histogram->most_ns, MOST);
    free(histogram);
}

static void any_time_has_a_bucket(void **state)
{
    (void)state;
    static const int64_t times[] = {-5, 0, 1, 127, 128, 129, 255, 256, INT64_MAX / 3, INT64_MAX};
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        struct histogram *one = calloc(1, sizeof(*one)), *sum = calloc(1, sizeof(*sum));
        assert_true(one && sum);
        histogram_record(one, times[i]);
        histogram_add(sum, one);
        histogram_add(sum, one);
        assert_int_equal(sum->count, 2);
        assert_int_equal(histogram_percentile_ns(sum, 50), times[i] < 0 ? 0 : times[i]);
        free(one);
        free(sum);
    }
}

static void nothing_recorded_is_nothing(void **state)
{
    (void)state;
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    assert_non_null(histogram);
    assert_int_equal(histogram_percentile_ns(histogram, 99), 0);
    free(histogram);
}

/* ---- draws ---- */

static void a_seed_repeats_its_draws(void **state)
{
    (void)state;
    struct draw one = draw_seeded(7, 3), same = draw_seeded(7, 3), other = draw_seeded(7, 4);
    bool differ = false;
    for (int i = 0; i < 100; i++) {
        uint64_t number = draw_next(&one);
        assert_int_equal(number, draw_next(&same));
        differ = differ || number != draw_next(&other);
        assert_true(draw_below(&one, 10) < 10 && draw_below(&same, 10) < 10);
    }
    assert_true(differ);
}

static void zipfian_ranks_fall_as_they_should(void **state)
{
    (void)state;
    enum { COUNT = 1000, DRAWS = 1000000 };
    struct zipf zipf = zipf_of(COUNT);
    struct draw draw = draw_seeded(1, 1);
    static unsigned seen[COUNT];
    for (int i = 0; i < DRAWS; i++) {
        uint64_t rank = zipf_next(&zipf, &draw);
        assert_true(rank < COUNT);
        seen[rank]++;
    }
    double first = DRAWS / zipf.zeta;
    assert_true(seen[0] > first * 0.98 && seen[0] < first * 1.02);
    assert_true(seen[1] > seen[0] * 0.48 && seen[1] < seen[0] * 0.53);
    assert_true(seen[0] > seen[1] && seen[1] > seen[9] && seen[9] > seen[99] && seen[99] > seen[999]);
    for (uint64_t few = 1; few <= 3; few++) {
        zipf = zipf_of(few);
        for (int i = 0; i < 1000; i++)
            assert_true(zipf_next(&zipf, &draw) < few);
    }
}

/* ---- values ---- */

static void a_changed_byte_is_seen(void **state)
{
    (void)state;
    enum { BYTES = 300 };
    uint8_t data[BYTES];
    struct value_head head = {5, 77, 0}, got;
    struct values *values = values_new(1, BYTES), *others = values_new(2, BYTES);
    assert_true(values && others);
    value_fill(values, &head, BYTES, data);
    stigstore_bytes bytes = {data, BYTES};
    assert_true(value_check(values, bytes, true, &got));
    assert_true(got.key == 5 && got.stamp == 77);
    assert_false(value_check(others, bytes, true, &got));
    for (size_t i = VALUE_HEAD_BYTES; i < BYTES; i++) {
        data[i] ^= 1;
        assert_false(value_check(values, bytes, true, &got));
        data[i] ^= 1;
    }
    bytes.size = VALUE_HEAD_BYTES - 1;
    assert_false(value_check(values, bytes, false, &got));
    values_free(&values);
    values_free(&others);
}

static void a_document_keeps_what_it_was(void **state)
{
    (void)state;
    enum { STEPS = 5 };
    uint8_t was[STEPS * VALUE_STEP_BYTES], now[STEPS * VALUE_STEP_BYTES];
    struct values *values = values_new(1, sizeof(was));
    assert_non_null(values);
    struct value_head head = {9, 1, 0}, got;
    document_fill(values, &head, VALUE_STEP_BYTES, was);
    for (size_t steps = 1; steps < STEPS; steps++) {
        head = (struct value_head){9, steps + 1, steps};
        size_t bytes = document_grow(values, &head, (stigstore_bytes){was, steps * VALUE_STEP_BYTES}, now);
        assert_int_equal(bytes, (steps + 1) * VALUE_STEP_BYTES);
        assert_memory_equal(now + VALUE_HEAD_BYTES, was + VALUE_HEAD_BYTES,
                            steps * VALUE_STEP_BYTES - VALUE_HEAD_BYTES);
        assert_true(document_check(values, (stigstore_bytes){now, bytes}, true, &got));
        assert_int_equal(got.count, steps);
        memcpy(was, now, bytes);
    }
    values_free(&values);
}

/* ---- the check ---- */

struct scene {
    char *folder, *path;
    struct bench bench;
    stigstore *handles[2];
};

static int begin_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    *state = scene;
    scene->folder = folder_new();
    scene->path = folder_path(scene->folder, "store.sqlite");
    scene->bench = (struct bench){
        .options = {.handles = 1, .threads = 1, .in_flight = 1, .batch = 1, .value_bytes = 64, .keys = 3},
        .workload = workload_find("put"),
        .values = values_new(1, 64),
        .ledger = ledger_new(3),
        .kind = "bench-test",
        .handles = scene->handles,
        .keys = 3,
    };
    scene->bench.next_key = 3;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(stigstore_open(scene->path, NULL, &scene->handles[i], NULL), STIGSTORE_OK);
    return 0;
}

static int end_scene(void **state)
{
    struct scene *scene = *state;
    for (size_t i = 0; i < 2; i++)
        stigstore_free(&scene->handles[i]);
    values_free(&scene->bench.values);
    ledger_free(&scene->bench.ledger);
    free(scene->path);
    folder_remove(&scene->folder);
    free(scene);
    return 0;
}

/* Saves a value of ours; booked: as an operation would. */
static void put(struct scene *scene, uint64_t key, uint64_t stamp, bool booked)
{
    uint8_t data[64];
    char id[VALUE_ID_BYTES];
    stigstore_result *result = NULL;
    struct value_head head = {key, stamp, 0};
    value_fill(scene->bench.values, &head, sizeof(data), data);
    int status =
        stigstore_save_resource(scene->handles[0], stigstore_text(scene->bench.kind),
                                operation_id(&scene->bench, key, id), (stigstore_bytes){data, sizeof(data)}, &result);
    assert_int_equal(status, STIGSTORE_OK);
    if (booked)
        ledger_acknowledge(scene->bench.ledger, key, result->revision, stamp);
    stigstore_result_free(&result);
}

static bool is_found_good(struct scene *scene)
{
    char complaint[200] = "";
    uint64_t checked = 0;
    bool good = verify_all(&scene->bench, false, &checked, complaint, sizeof(complaint));
    assert_int_equal(checked, 3);
    assert_int_equal(good, *complaint == '\0');
    return good;
}

static void what_is_as_acknowledged_is_good(void **state)
{
    struct scene *scene = *state;
    put(scene, 0, 1, true);
    put(scene, 1, 2, true);
    put(scene, 0, 3, true); /* key 2 was never put */
    assert_true(is_found_good(scene));
}

static void a_lost_key_is_found(void **state)
{
    struct scene *scene = *state;
    char id[VALUE_ID_BYTES];
    put(scene, 1, 1, true);
    assert_true(is_found_good(scene));
    assert_int_equal(stigstore_delete_resource(scene->handles[0], stigstore_text(scene->bench.kind),
                                               operation_id(&scene->bench, 1, id), NULL),
                     STIGSTORE_OK);
    assert_false(is_found_good(scene));
}

static void a_value_nobody_acknowledged_is_found(void **state)
{
    struct scene *scene = *state;
    put(scene, 1, 1, true);
    put(scene, 1, 2, false);
    assert_false(is_found_good(scene));
    ledger_doubt(scene->bench.ledger, 1); /* unless its outcome stayed open */
    assert_true(is_found_good(scene));
}

static void an_older_value_is_found(void **state)
{
    struct scene *scene = *state;
    put(scene, 1, 1, true);
    ledger_acknowledge(scene->bench.ledger, 1, 100, 2); /* as if a later save had been acknowledged and lost */
    ledger_doubt(scene->bench.ledger, 1);
    assert_false(is_found_good(scene));
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, begin_scene, end_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_within_a_percent),
        cmocka_unit_test(any_time_has_a_bucket),
        cmocka_unit_test(nothing_recorded_is_nothing),
        cmocka_unit_test(a_seed_repeats_its_draws),
        cmocka_unit_test(zipfian_ranks_fall_as_they_should),
        cmocka_unit_test(a_changed_byte_is_seen),
        cmocka_unit_test(a_document_keeps_what_it_was),
        WITH_SCENE(what_is_as_acknowledged_is_good),
        WITH_SCENE(a_lost_key_is_found),
        WITH_SCENE(a_value_nobody_acknowledged_is_found),
        WITH_SCENE(an_older_value_is_found),
    };
    return cmocka_run_group_tests_name("bench parts", tests, NULL, NULL);
}
