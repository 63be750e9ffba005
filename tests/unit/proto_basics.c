/*
 * proto_basics.c - statuses, failures and log lines, clocks, spans, protobuf fields.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/clock.h"
#include "proto/failure.h"
#include "proto/field.h"
#include "proto/span.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- statuses ---- */

static void every_status_has_its_columns(void **state)
{
    (void)state;
    assert_string_equal(status_name(STATUS_OK), "OK");
    assert_string_equal(status_name(STATUS_INTERNAL), "INTERNAL");
    assert_string_equal(status_name(STATUS_OUT_OF_ORDER), "OUT_OF_ORDER");
    assert_string_equal(status_name(STATUS_NOT_READ), "NOT_READ");
    assert_int_equal(STATUS_OUT_OF_ORDER, 128);
    assert_int_equal(status_was_applied(STATUS_OK), STATUS_APPLIED_YES);
    assert_int_equal(status_was_applied(STATUS_CONFLICT), STATUS_APPLIED_NO);
    assert_int_equal(status_was_applied(STATUS_DEADLINE_EXCEEDED), STATUS_APPLIED_MAYBE);
    assert_int_equal(status_what_to_do(STATUS_OVERLOADED), STATUS_ADVICE_LATER);
    for (int status = 0; status <= STATUS_INTERNAL; status++)
        assert_string_not_equal(status_name(status), "UNKNOWN");
}

static void an_unknown_number_is_unknown(void **state)
{
    static const int numbers[] = {-1, STATUS_INTERNAL + 1, 127, 133, 1 << 30, INT32_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_string_equal(status_name(numbers[i]), "UNKNOWN");
        assert_int_equal(status_was_applied(numbers[i]), STATUS_APPLIED_MAYBE);
        assert_false(status_is_deterministic(numbers[i]));
    }
}

static void what_passes_is_not_recorded(void **state)
{
    static const int passing[] = {STATUS_DEADLINE_EXCEEDED, STATUS_OVERLOADED, STATUS_UNAVAILABLE, STATUS_BUSY,
                                  STATUS_STORAGE_FULL,      STATUS_IO_ERROR,   STATUS_NO_MEMORY,   STATUS_OUT_OF_ORDER,
                                  STATUS_INTERNAL};
    static const int final[] = {STATUS_OK,        STATUS_CONFLICT,
                                STATUS_NOT_FOUND, STATUS_INVALID_ARGUMENT,
                                STATUS_TOO_LARGE, STATUS_IDEMPOTENCY_MISMATCH};

    (void)state;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        assert_false(status_is_deterministic(passing[i]));
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        assert_true(status_is_deterministic(final[i]));
}

/* ---- failures and lines ---- */

static void a_failure_is_one_line_within_its_bound(void **state)
{
    struct failure failure;
    char text[2000];

    (void)state;
    assert_int_equal(failure_set(&failure, STATUS_BUSY, "held by %d\nand\x1b more", 7), STATUS_BUSY);
    assert_int_equal(failure.status, STATUS_BUSY);
    assert_string_equal(failure.message, "held by 7?and? more");
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    failure_set(&failure, STATUS_BUSY, "%s", text);
    assert_int_equal(strlen(failure.message), sizeof failure.message - 1);
    assert_int_equal(failure_set(NULL, STATUS_BUSY, "nobody asked"), STATUS_BUSY);
}

static void take_line(void *context, int level, const char *line)
{
    snprintf(context, 64, "%d %s", level, line);
}

static void lines_reach_the_sink(void **state)
{
    char line[64] = "";
    struct log_sink sink = {take_line, line}, nowhere = {NULL, NULL};

    (void)state;
    log_line(&sink, LOG_LEVEL_WARNING, "a\t%s", "b");
    assert_string_equal(line, "2 a?b");
    log_line(&nowhere, LOG_LEVEL_WARNING, "x");
    log_line(NULL, LOG_LEVEL_WARNING, "x");
}

/* ---- clocks ---- */

static void deadlines_do_not_overflow(void **state)
{
    int64_t before = clock_boot_ns();

    (void)state;
    assert_true(clock_deadline_ns(UINT32_MAX) == INT64_MAX);
    assert_true(clock_deadline_ns(UINT32_MAX - 1) > before);
    assert_true(clock_deadline_ns(0) >= before);
    assert_int_equal(clock_ms_until(before - 1, 100), 0);
    assert_int_equal(clock_ms_until(INT64_MIN, 100), 0);
    assert_int_equal(clock_ms_until(INT64_MAX, 100), 100);
    assert_in_range(clock_ms_until(clock_boot_ns() + 50 * NS_PER_MS, 1000), 1, 50);
    assert_int_equal(clock_ms_until(clock_boot_ns() + 5 * NS_PER_S, 10), 10);
}

static void the_boot_id_is_the_kernels(void **state)
{
    char text[64] = "", expected[33] = "", found[33] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");

    (void)state;
    if (!file)
        skip();
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    size_t used = 0;
    for (const char *c = text; *c && *c != '\n'; c++)
        if (*c != '-')
            expected[used++] = *c;
    for (size_t i = 0; i < BOOT_ID_BYTES; i++)
        snprintf(found + 2 * i, 3, "%02x", clock_boot_id()[i]);
    assert_string_equal(found, expected);
}

static void random_bytes_fill_all_of_it(void **state)
{
    unsigned char bytes[1000] = {0}, again[1000] = {0};
    unsigned zeros = 0;

    (void)state;
    random_bytes(bytes, sizeof bytes);
    random_bytes(again, sizeof again);
    for (size_t i = 0; i < sizeof bytes; i++)
        zeros += bytes[i] == 0;
    assert_true(zeros < 50);
    assert_memory_not_equal(bytes, again, sizeof bytes);
    assert_true(clock_wall_ms() > INT64_C(1600000000000));
}

/* ---- spans ---- */

static void spans_compare_as_bytes(void **state)
{
    (void)state;
    assert_true(span_compare(span_text("a"), span_text("ab")) < 0);
    assert_true(span_compare(span_text("b"), span_text("ab")) > 0);
    assert_true(span_compare((struct span){"\xff", 1}, (struct span){"a", 1}) > 0);
    assert_true(span_equal((struct span){NULL, 0}, span_text("")));
    assert_true(span_begins_with(span_text("abc"), span_text("ab")));
    assert_false(span_begins_with(span_text("a"), span_text("ab")));
    assert_true(span_begins_with((struct span){NULL, 0}, (struct span){NULL, 0}));
}

/* ---- protobuf fields ---- */

static enum field_step walk_whole(const void *bytes, size_t size, unsigned *fields)
{
    struct field_walk walk = field_walk_start((struct span){bytes, size});
    struct field field;
    enum field_step step;

    *fields = 0;
    while ((step = field_next(&walk, &field)) == FIELD_FOUND)
        ++*fields;
    return step;
}

static void varints_have_their_sizes(void **state)
{
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint8_t bytes[16];
        uint64_t back;
        size_t size = (size_t)(varint_put(bytes, values[i]) - bytes);
        struct field_walk walk = {bytes, bytes + size}, cut = {bytes, bytes + size - 1};
        assert_int_equal(size, varint_size(values[i]));
        assert_true(varint_get(&walk, &back));
        assert_true(back == values[i]);
        assert_false(varint_get(&cut, &back));
    }
    static const int64_t signed_values[] = {0, -1, 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof signed_values / sizeof *signed_values; i++)
        assert_true(unzigzag(zigzag(signed_values[i])) == signed_values[i]);
    assert_int_equal(zigzag(-1), 1);
}

static void malformed_fields_end_the_walk(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x00\x01", 2},                                          /* field number 0 */
        {"\x0b", 1},                                              /* a group */
        {"\x0c", 1},                                              /* the end of one */
        {"\x0e", 1},                                              /* wire type 6 */
        {"\x08", 1},                                              /* no value */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* eleven bytes of it */
        {"\x0a\x05"
         "abc",
         5},                                                  /* longer than what is left */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* longer than memory */
        {"\x09\x01\x02\x03", 4},                              /* fixed, cut */
        {"\x0d\x01\x02\x03", 4},
        {"\xff\xff\xff\xff\xff\xff\x01\x01", 8}, /* a number beyond 2^29 */
    };
    unsigned fields;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(walk_whole(cases[i].bytes, cases[i].size, &fields), FIELD_MALFORMED);
    assert_int_equal(walk_whole(NULL, 0, &fields), FIELD_END);
    assert_int_equal(
        walk_whole("\x08\x01\x12\x00\x1d\x01\x02\x03\x04\x21\x01\x02\x03\x04\x05\x06\x07\x08", 18, &fields), FIELD_END);
    assert_int_equal(fields, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_columns),  cmocka_unit_test(an_unknown_number_is_unknown),
        cmocka_unit_test(what_passes_is_not_recorded),   cmocka_unit_test(a_failure_is_one_line_within_its_bound),
        cmocka_unit_test(lines_reach_the_sink),          cmocka_unit_test(deadlines_do_not_overflow),
        cmocka_unit_test(the_boot_id_is_the_kernels),    cmocka_unit_test(random_bytes_fill_all_of_it),
        cmocka_unit_test(spans_compare_as_bytes),        cmocka_unit_test(varints_have_their_sizes),
        cmocka_unit_test(malformed_fields_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
