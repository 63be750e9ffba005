/* actor_latency.c - percentiles stay within the width of a bucket. */
#include "actor/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void an_empty_histogram_says_nothing(void **state)
{
    (void)state;
    struct latency latency = {0};
    assert_int_equal(latency_percentile_ns(&latency, 0.99), 0);
}

static void extremes_are_counted(void **state)
{
    (void)state;
    struct latency latency = {0};
    latency_add(&latency, -5);
    latency_add(&latency, 0);
    latency_add(&latency, INT64_MAX);
    assert_int_equal(latency.count, 3);
    assert_int_equal(latency_percentile_ns(&latency, 0.5), 0);
    assert_int_equal(latency_percentile_ns(&latency, 1.0), INT64_MAX);
}

static void percentiles_are_right_within_a_bucket(void **state)
{
    (void)state;
    struct latency latency = {0};
    for (int64_t ns = 1; ns <= 100000; ns++)
        latency_add(&latency, ns);
    for (int percent = 1; percent <= 99; percent += 7) {
        int64_t exact = 1000 * percent;
        int64_t found = latency_percentile_ns(&latency, percent / 100.0);
        assert_in_range(found, exact, exact + exact / 8 + 1);
    }
    assert_int_equal(latency_percentile_ns(&latency, 1.0), 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_says_nothing),
        cmocka_unit_test(extremes_are_counted),
        cmocka_unit_test(percentiles_are_right_within_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
