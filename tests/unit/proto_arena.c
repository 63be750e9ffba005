/*
 * proto_arena.c - pieces are aligned, keep their bytes, stay under the limit, and go all at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/arena.h"

static void pieces_are_aligned_and_keep_their_bytes(void **state)
{
    struct arena *arena = arena_new(0);
    unsigned char *pieces[2000];

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        size_t size = i * 37 % 5000;
        pieces[i] = arena_alloc(arena, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 251), size);
    }
    for (size_t i = 0; i < 2000; i++)
        for (size_t at = 0; at < i * 37 % 5000; at++)
            assert_int_equal(pieces[i][at], i % 251);
    arena_free(&arena);
    assert_null(arena);
    arena_free(&arena);
}

static void the_limit_holds(void **state)
{
    struct arena *arena = arena_new(100000);

    (void)state;
    assert_null(arena_alloc(arena, 100001));
    assert_non_null(arena_alloc(arena, 90000));
    assert_null(arena_alloc(arena, 20000));
    assert_non_null(arena_alloc(arena, 500));
    assert_true(arena_bytes(arena) <= 100000);
    while (arena_alloc(arena, 100))
        assert_true(arena_bytes(arena) <= 100000);
    arena_reset(arena);
    assert_non_null(arena_alloc(arena, 30000));
    arena_free(&arena);
}

static void a_reset_keeps_one_small_block(void **state)
{
    struct arena *arena = arena_new(0);

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(arena, 10000));
    assert_non_null(arena_alloc(arena, 1 << 20));
    arena_reset(arena);
    assert_in_range(arena_bytes(arena), 1, 64 * 1024);
    size_t kept = arena_bytes(arena);
    assert_non_null(arena_alloc(arena, kept / 2));
    assert_int_equal(arena_bytes(arena), kept);
    arena_free(&arena);
}

static void sizes_that_overflow_are_refused(void **state)
{
    struct arena *arena = arena_new(0);

    (void)state;
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_alloc(arena, SIZE_MAX - 8));
    assert_null(arena_calloc(arena, SIZE_MAX / 2, 3));
    assert_null(arena_copy(arena, (struct span){"", SIZE_MAX}).data);
    assert_non_null(arena_calloc(arena, 0, 8));
    arena_free(&arena);
}

static void copies_end_in_a_nul(void **state)
{
    struct arena *arena = arena_new(0);
    struct span copy = arena_copy(arena, (struct span){"abc\0d", 5});

    (void)state;
    assert_int_equal(copy.size, 5);
    assert_memory_equal(copy.data, "abc\0d\0", 6);
    copy = arena_copy(arena, (struct span){NULL, 0});
    assert_non_null(copy.data);
    assert_string_equal(copy.data, "");
    unsigned char *zeroed = arena_calloc(arena, 10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroed[i], 0);
    arena_free(&arena);
}

static void lines_are_formatted_or_say_why_not(void **state)
{
    struct arena *arena = arena_new(256);

    (void)state;
    assert_string_equal(arena_printf(arena, "%s has %d", "it", 7), "it has 7");
    assert_string_equal(arena_printf(arena, "%500d", 7), "out of memory");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_keep_their_bytes),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(a_reset_keeps_one_small_block),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(copies_end_in_a_nul),
        cmocka_unit_test(lines_are_formatted_or_say_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
