/*
 * proto_envelope.c - 128 bytes there and back, at the offsets that PROTOCOL.md prints, and no trust in a peer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/clock.h"
#include "proto/envelope.h"
#include "proto/limits.h"

static struct envelope full(void)
{
    struct envelope envelope = {
        .version = ENVELOPE_VERSION,
        .type = MESSAGE_WRITE,
        .flags = 0x0201,
        .life = 0x1112131415161718,
        .ticket = 0x2122232425262728,
        .first = 0x3132333435363738,
        .count = 0x41424344,
        .attempt = 0x45464748,
        .deadline_ns = -2,
        .timeout_ms = 0x51525354,
        .status = -3,
        .retry_after_ms = 0x55565758,
        .piece = 0x595A5B5C,
        .bytes = 0x6162636465666768,
        .role = ROLE_ADMIN,
    };
    memset(envelope.boot_id, 0xB0, sizeof envelope.boot_id);
    memset(envelope.principal, 0xC0, sizeof envelope.principal);
    return envelope;
}

static void fields_stand_where_the_protocol_says(void **state)
{
    struct envelope envelope = full();
    uint8_t bytes[ENVELOPE_BYTES];

    (void)state;
    memset(bytes, 0xEE, sizeof bytes);
    envelope_encode(&envelope, bytes);
    assert_memory_equal(bytes, "STIG\x01\x03\x01\x02", 8);
    assert_memory_equal(bytes + 8, "\x18\x17\x16\x15\x14\x13\x12\x11", 8);
    assert_memory_equal(bytes + 16, "\x28\x27\x26\x25\x24\x23\x22\x21", 8);
    assert_memory_equal(bytes + 24, "\x38\x37\x36\x35\x34\x33\x32\x31", 8);
    assert_memory_equal(bytes + 32, "\x44\x43\x42\x41\x48\x47\x46\x45", 8);
    assert_memory_equal(bytes + 40, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_memory_equal(bytes + 48, envelope.boot_id, 16);
    assert_memory_equal(bytes + 64, "\x54\x53\x52\x51\xfd\xff\xff\xff", 8);
    assert_memory_equal(bytes + 72, "\x58\x57\x56\x55\x5c\x5b\x5a\x59", 8);
    assert_memory_equal(bytes + 80, "\x68\x67\x66\x65\x64\x63\x62\x61", 8);
    assert_memory_equal(bytes + 88, "\x03\0\0\0\0\0\0\0", 8);
    assert_memory_equal(bytes + 96, envelope.principal, 32);
}

static void every_field_comes_back(void **state)
{
    struct envelope envelope = full(), back;
    uint8_t bytes[ENVELOPE_BYTES], again[ENVELOPE_BYTES];

    (void)state;
    envelope_encode(&envelope, bytes);
    assert_int_equal(envelope_decode(bytes, sizeof bytes, &back), STATUS_OK);
    envelope_encode(&back, again);
    assert_memory_equal(bytes, again, sizeof bytes);
    assert_int_equal(back.status, -3);
    assert_true(back.first == envelope.first);
    assert_true(back.deadline_ns == -2);
}

static void what_is_no_envelope_is_refused(void **state)
{
    struct envelope envelope = full(), back;
    uint8_t bytes[ENVELOPE_BYTES + 1] = {0};

    (void)state;
    envelope_encode(&envelope, bytes);
    assert_int_equal(envelope_decode(bytes, 0, &back), STATUS_INVALID_ARGUMENT);
    assert_int_equal(envelope_decode(NULL, 0, &back), STATUS_INVALID_ARGUMENT);
    assert_int_equal(envelope_decode(bytes, ENVELOPE_BYTES - 1, &back), STATUS_INVALID_ARGUMENT);
    assert_int_equal(envelope_decode(bytes, ENVELOPE_BYTES + 1, &back), STATUS_INVALID_ARGUMENT);
    bytes[5] = 0;
    assert_int_equal(envelope_decode(bytes, ENVELOPE_BYTES, &back), STATUS_INVALID_ARGUMENT);
    bytes[5] = MESSAGE_TYPE_END;
    assert_int_equal(envelope_decode(bytes, ENVELOPE_BYTES, &back), STATUS_INVALID_ARGUMENT);
    bytes[5] = MESSAGE_GOODBYE;
    assert_int_equal(envelope_decode(bytes, ENVELOPE_BYTES, &back), STATUS_OK);
    bytes[0] = 's';
    assert_int_equal(envelope_decode(bytes, ENVELOPE_BYTES, &back), STATUS_INVALID_ARGUMENT);
}

static void another_version_can_still_be_answered(void **state)
{
    struct envelope envelope = full(), back;
    uint8_t bytes[ENVELOPE_BYTES];

    (void)state;
    envelope.version = 2;
    envelope.type = 200;
    envelope_encode(&envelope, bytes);
    assert_int_equal(envelope_decode(bytes, sizeof bytes, &back), STATUS_UNSUPPORTED);
    assert_int_equal(back.version, 2);
    assert_int_equal(back.type, 200);
    assert_true(back.first == envelope.first);
    assert_int_equal(back.life, 0);
    assert_int_equal(back.role, 0);
}

static void a_deadline_of_this_boot_is_absolute(void **state)
{
    int64_t deadline = clock_boot_ns() + 2 * NS_PER_S;
    struct envelope envelope = envelope_make(MESSAGE_READ, deadline);

    (void)state;
    assert_int_equal(envelope.version, ENVELOPE_VERSION);
    assert_int_equal(envelope.type, MESSAGE_READ);
    assert_in_range(envelope.timeout_ms, 1, 2000);
    envelope.timeout_ms = 7;
    assert_true(envelope_deadline_ns(&envelope) == deadline);
    envelope = envelope_make(MESSAGE_READ, 5);
    assert_int_equal(envelope.timeout_ms, 0);
    assert_true(envelope_deadline_ns(&envelope) == 5);
}

static void a_deadline_of_another_boot_is_what_was_left(void **state)
{
    struct envelope envelope = envelope_make(MESSAGE_READ, INT64_MAX);
    int64_t before = clock_boot_ns();

    (void)state;
    envelope.boot_id[3] ^= 1;
    envelope.timeout_ms = 500;
    int64_t deadline = envelope_deadline_ns(&envelope);
    assert_true(deadline >= before + 500 * NS_PER_MS && deadline <= clock_boot_ns() + 500 * NS_PER_MS);
    memset(envelope.boot_id, 0, sizeof envelope.boot_id);
    deadline = envelope_deadline_ns(&envelope);
    assert_true(deadline <= clock_boot_ns() + 500 * NS_PER_MS);
}

static void no_deadline_is_more_than_an_hour_ahead(void **state)
{
    struct envelope envelope = envelope_make(MESSAGE_READ, INT64_MAX);
    int64_t most = clock_boot_ns() + (LIMIT_DEADLINE_S + 1) * NS_PER_S;

    (void)state;
    assert_int_equal(envelope.timeout_ms, UINT32_MAX);
    assert_true(envelope_deadline_ns(&envelope) < most);
    envelope.boot_id[0] ^= 1;
    assert_true(envelope_deadline_ns(&envelope) < most);
}

static void types_have_names(void **state)
{
    (void)state;
    assert_string_equal(message_type_name(MESSAGE_HELLO), "HELLO");
    assert_string_equal(message_type_name(MESSAGE_GOODBYE), "GOODBYE");
    for (uint8_t type = 1; type < MESSAGE_TYPE_END; type++)
        assert_string_not_equal(message_type_name(type), "UNKNOWN");
    assert_string_equal(message_type_name(0), "UNKNOWN");
    assert_string_equal(message_type_name(255), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_stand_where_the_protocol_says),
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(what_is_no_envelope_is_refused),
        cmocka_unit_test(another_version_can_still_be_answered),
        cmocka_unit_test(a_deadline_of_this_boot_is_absolute),
        cmocka_unit_test(a_deadline_of_another_boot_is_what_was_left),
        cmocka_unit_test(no_deadline_is_more_than_an_hour_ahead),
        cmocka_unit_test(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
