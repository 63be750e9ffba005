/*
 * storage_write_text.c - times as text, and prefixes as ranges of keys.
 */
#include "storage/sqlite.h"
#include "storage/timetext.h"
#include "tests/support/cmocka_all.h"

static void expect_text(int64_t ms, const char *text)
{
    char out[TIMETEXT_BYTES + 1];
    timetext_format(ms, out);
    assert_string_equal(out, text);
    assert_int_equal(timetext_parse(span_text(text)), ms);
}

static void test_times_go_there_and_back(void **state)
{
    (void)state;
    expect_text(1, "1970-01-01 00:00:00.001");
    expect_text(INT64_C(1709164799999), "2024-02-28 23:59:59.999");
    expect_text(INT64_C(1709164800000), "2024-02-29 00:00:00.000");
    expect_text(INT64_C(951782400000), "2000-02-29 00:00:00.000");
    expect_text(INT64_C(4107542400000), "2100-03-01 00:00:00.000");
    expect_text(-1, "1969-12-31 23:59:59.999");
    expect_text(INT64_C(253402300799999), "9999-12-31 23:59:59.999");
    expect_text(INT64_C(-62167219200000), "0000-01-01 00:00:00.000");
}

static void test_every_day_of_a_cycle(void **state)
{
    (void)state;
    char out[TIMETEXT_BYTES + 1], previous[TIMETEXT_BYTES + 1] = "";
    for (int64_t day = -146097; day < 146097; day++) {
        timetext_format(day * 86400000, out);
        assert_true(strcmp(previous, out) < 0);
        assert_int_equal(timetext_parse(span_text(out)), day * 86400000);
        memcpy(previous, out, sizeof out);
    }
}

static void test_times_out_of_range_are_clamped(void **state)
{
    (void)state;
    char out[TIMETEXT_BYTES + 1];
    timetext_format(INT64_MAX, out);
    assert_string_equal(out, "9999-12-31 23:59:59.999");
    timetext_format(INT64_MIN, out);
    assert_string_equal(out, "0000-01-01 00:00:00.000");
}

/* Any byte in any place: only what still is a time is read as one. */
static void test_one_wrong_byte_is_no_time(void **state)
{
    (void)state;
    static const char good[] = "2024-11-10 12:34:56.789", form[] = "0000-00-00 00:00:00.000";
    for (size_t at = 0; at < TIMETEXT_BYTES; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            text[at] = (char)byte;
            bool is_digit = byte >= '0' && byte <= '9', is_form = form[at] == '0' ? is_digit : form[at] == byte;
            bool is_other_form = (at == 10 && byte == 'T') || (at == 22 && byte == 'Z');
            bool is_no_date = is_digit && ((at == 5 && byte > '1') || (at == 6 && byte > '2') ||
                                           (at == 8 && (byte == '0' || byte > '3')));
            bool is_time = timetext_parse((struct span){text, TIMETEXT_BYTES}) != 0;
            assert_int_equal(is_time, (is_form && !is_no_date) || is_other_form);
        }
    }
}

static void test_what_others_write_is_read(void **state)
{
    (void)state;
    assert_int_equal(timetext_parse(span_text("2024-02-29 01:02:03")), INT64_C(1709168523000));
    assert_int_equal(timetext_parse(span_text("2024-02-29T01:02:03Z")), INT64_C(1709168523000));
    assert_int_equal(timetext_parse(span_text("2024-02-29T01:02:03.123456789Z")), INT64_C(1709168523123));
    assert_int_equal(timetext_parse(span_text("2024-02-29T03:02:03.5+02:00")), INT64_C(1709168523500));
    assert_int_equal(timetext_parse(span_text("2024-02-28T20:02:03-05:00")), INT64_C(1709168523000));
    static const char *const bad[] = {
        "", "yesterday", "2024-02-29", "2024-13-01 00:00:00", "2024-01-01 00:00:00 UTC", "2024-01-01 00:00:00+02"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(timetext_parse(span_text(bad[i])), 0);
}

static bool is_within(struct span id, struct span prefix, struct span after)
{
    struct sqlite_range range;
    sqlite_range_make(&range, prefix, after);
    struct span from = {range.from, range.from_size}, to = {range.to, range.to_size};
    return span_compare(id, from) >= 0 && (range.is_open || span_compare(id, to) < 0);
}

/* Against the plain meaning of the words, over all short strings of three awkward bytes. */
static void test_a_range_holds_what_begins_with_the_prefix(void **state)
{
    (void)state;
    static const char alphabet[3] = {0, 'a', (char)0xFF};
    static const int numbers[] = {1, 3, 9, 27}; /* of strings, by their size */
    char ids[40][3];
    struct span spans[40];
    size_t count = 0;
    for (size_t size = 0; size < sizeof numbers / sizeof *numbers; size++) {
        for (int number = 0; number < numbers[size]; number++) {
            int rest = number;
            for (size_t i = 0; i < size; i++, rest /= 3)
                ids[count][i] = alphabet[rest % 3];
            spans[count] = (struct span){ids[count], size};
            count++;
        }
    }
    for (size_t id = 0; id < count; id++)
        for (size_t prefix = 0; prefix < count; prefix++)
            for (size_t after = 0; after < count; after++) {
                bool wanted = span_begins_with(spans[id], spans[prefix]) &&
                              (spans[after].size == 0 || span_compare(spans[id], spans[after]) > 0);
                assert_int_equal(is_within(spans[id], spans[prefix], spans[after]), wanted);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_go_there_and_back),
        cmocka_unit_test(test_every_day_of_a_cycle),
        cmocka_unit_test(test_times_out_of_range_are_clamped),
        cmocka_unit_test(test_one_wrong_byte_is_no_time),
        cmocka_unit_test(test_what_others_write_is_read),
        cmocka_unit_test(test_a_range_holds_what_begins_with_the_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
