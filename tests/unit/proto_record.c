/*
 * proto_record.c - the bodies of fixed layout: hello, worker_state, control.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/body.h"
#include "proto/limits.h"

#include <stdlib.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct hello full_hello(void)
{
    struct hello hello = {
        .life = 0x0102030405060708,
        .max_message_bytes = 1,
        .max_data_bytes = 2,
        .client_in_flight_bytes = 3,
        .uncredited_bytes = 4,
        .snapshot_ms = 5,
        .pid = 6,
        .writer_epoch = 7,
        .session_counter = 8,
        .device = 9,
        .inode = 10,
        .revision = 11,
        .path = span_text("/a/b"),
    };
    memset(hello.boot_id, 0xB0, sizeof hello.boot_id);
    memset(hello.incarnation, 0xC0, sizeof hello.incarnation);
    return hello;
}

static void hello_stands_where_the_protocol_says(void **state)
{
    struct hello hello = full_hello(), back;
    struct span bytes = hello_encode(&hello, arena);
    const uint8_t *at = bytes.data;

    (void)state;
    assert_int_equal(bytes.size, 132);
    assert_memory_equal(at, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    static const struct {
        size_t offset;
        uint8_t value;
    } places[] = {{8, 1},     {16, 2}, {24, 3},  {32, 4},    {40, 5},   {44, 6},  {48, 7},  {56, 8},
                  {64, 0xB0}, {80, 9}, {88, 10}, {96, 0xC0}, {112, 11}, {120, 4}, {124, 0}, {128, '/'}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        assert_int_equal(at[places[i].offset], places[i].value);
    assert_int_equal(hello_decode(bytes.data, bytes.size, &back), STATUS_OK);
    struct span again = hello_encode(&back, arena);
    assert_true(span_equal(bytes, again));
}

static struct worker_state full_state(void)
{
    struct worker_state worker = {
        .role = ROLE_WRITER,
        .life = 1,
        .pid = 2,
        .epoch = 3,
        .max_data_bytes = 4,
        .snapshot_ms = 5,
        .session_counter = 6,
        .device = 7,
        .inode = 8,
        .revision = 9,
        .path = span_text("/a/b"),
        .status = span_text("{}"),
    };
    memset(worker.boot_id, 0xB0, sizeof worker.boot_id);
    memset(worker.incarnation, 0xC0, sizeof worker.incarnation);
    return worker;
}

static void worker_state_stands_where_the_protocol_says(void **state)
{
    struct worker_state worker = full_state(), back;
    struct span bytes = worker_state_encode(&worker, arena);
    const uint8_t *at = bytes.data;

    (void)state;
    assert_int_equal(bytes.size, 118);
    static const struct {
        size_t offset;
        uint8_t value;
    } places[] = {{0, ROLE_WRITER}, {4, 2},  {8, 1},     {16, 3}, {24, 4},  {32, 6},  {40, 5},    {44, 0},   {48, 0xB0},
                  {64, 7},          {72, 8}, {80, 0xC0}, {96, 9}, {104, 4}, {108, 2}, {112, '/'}, {116, '{'}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        assert_int_equal(at[places[i].offset], places[i].value);
    assert_int_equal(worker_state_decode(bytes.data, bytes.size, &back), STATUS_OK);
    assert_true(span_equal(back.path, worker.path));
    assert_true(span_equal(back.status, worker.status));
    struct span again = worker_state_encode(&back, arena);
    assert_true(span_equal(bytes, again));
}

static void controls_stand_where_the_protocol_says(void **state)
{
    struct control control = {CONTROL_BACKUP, span_text("/tmp/x")}, back;
    struct span bytes = control_encode(&control, arena);

    (void)state;
    assert_int_equal(bytes.size, 14);
    assert_memory_equal(bytes.data, "\x02\0\0\0\x06\0\0\0/tmp/x", 14);
    assert_int_equal(control_decode(bytes.data, bytes.size, &back), STATUS_OK);
    assert_int_equal(back.verb, CONTROL_BACKUP);
    assert_true(span_equal(back.argument, control.argument));
    control = (struct control){CONTROL_STATUS, {NULL, 0}};
    bytes = control_encode(&control, arena);
    assert_int_equal(control_decode(bytes.data, bytes.size, &back), STATUS_OK);
    assert_int_equal(back.argument.size, 0);
}

/* Every length but the right one, and every count that does not fit it. */
static void short_long_and_inconsistent_ones_are_refused(void **state)
{
    struct hello hello = full_hello(), hello_back;
    struct worker_state worker = full_state(), worker_back;
    struct control control = {CONTROL_BACKUP, span_text("/tmp/x")}, control_back;
    struct span bodies[] = {hello_encode(&hello, arena), worker_state_encode(&worker, arena),
                            control_encode(&control, arena)};

    (void)state;
    for (size_t body = 0; body < 3; body++) {
        for (size_t size = 0; size <= bodies[body].size + 1; size++) {
            uint8_t *exact = calloc(1, size ? size : 1);
            assert_non_null(exact);
            memcpy(exact, bodies[body].data, size < bodies[body].size ? size : bodies[body].size);
            int status = body == 0   ? hello_decode(exact, size, &hello_back)
                         : body == 1 ? worker_state_decode(exact, size, &worker_back)
                                     : control_decode(exact, size, &control_back);
            assert_int_equal(status, size == bodies[body].size ? STATUS_OK : STATUS_INVALID_ARGUMENT);
            free(exact);
        }
    }
    uint8_t *at = (uint8_t *)bodies[1].data;
    at[104] = 5;
    assert_int_equal(worker_state_decode(at, bodies[1].size, &worker_back), STATUS_INVALID_ARGUMENT);
    at[104] = 4;
    memset(at + 104, 0xFF, 8);
    assert_int_equal(worker_state_decode(at, bodies[1].size, &worker_back), STATUS_INVALID_ARGUMENT);
}

static void workers_are_readers_or_writers(void **state)
{
    struct worker_state worker = full_state(), back;

    (void)state;
    for (int role = 0; role < 256; role++) {
        worker.role = (uint8_t)role;
        struct span bytes = worker_state_encode(&worker, arena);
        int status = worker_state_decode(bytes.data, bytes.size, &back);
        assert_int_equal(status, role == ROLE_READER || role == ROLE_WRITER ? STATUS_OK : STATUS_INVALID_ARGUMENT);
    }
}

static void what_is_too_long_is_not_encoded(void **state)
{
    static char path[LIMIT_PATH_BYTES + 1];
    struct hello hello = full_hello();
    struct control control = {CONTROL_BACKUP, {path, sizeof path}};

    (void)state;
    hello.path = (struct span){path, sizeof path};
    assert_null(hello_encode(&hello, arena).data);
    assert_null(control_encode(&control, arena).data);
    hello.path.size--;
    assert_non_null(hello_encode(&hello, arena).data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hello_stands_where_the_protocol_says),   TEST(worker_state_stands_where_the_protocol_says),
        TEST(controls_stand_where_the_protocol_says), TEST(short_long_and_inconsistent_ones_are_refused),
        TEST(workers_are_readers_or_writers),         TEST(what_is_too_long_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
