/*
 * remote_store.c - when a handle notices that its store went back.
 */
#include "client/remote_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct hello hello_of(uint8_t incarnation, uint64_t epoch, uint64_t revision)
{
    return (struct hello){.incarnation = {incarnation}, .writer_epoch = epoch, .revision = revision};
}

static enum remote_store_news say(struct remote_store *store, uint8_t incarnation, uint64_t epoch, uint64_t revision)
{
    struct hello hello = hello_of(incarnation, epoch, revision);

    return remote_store_hello(store, &hello);
}

static void a_hello_a_second_old_is_no_step_back(void **state)
{
    struct remote_store store = {0};

    (void)state;
    assert_int_equal(say(&store, 1, 1, 10), REMOTE_STORE_SAME);
    remote_store_saw(&store, 50);
    assert_int_equal(say(&store, 1, 1, 40), REMOTE_STORE_SAME);
    assert_int_equal(store.revision, 50);
}

static void a_new_writer_below_what_was_seen_is_one(void **state)
{
    struct remote_store store = {0};

    (void)state;
    say(&store, 1, 1, 10);
    remote_store_saw(&store, 50);
    assert_int_equal(say(&store, 1, 0, 0), REMOTE_STORE_SAME); /* no writer: says nothing of the store */
    assert_int_equal(say(&store, 1, 2, 49), REMOTE_STORE_BEHIND);
    assert_int_equal(say(&store, 1, 3, 49), REMOTE_STORE_SAME); /* once */
}

static void a_new_writer_of_the_same_store_is_none(void **state)
{
    struct remote_store store = {0};

    (void)state;
    say(&store, 1, 1, 10);
    remote_store_saw(&store, 50);
    assert_int_equal(say(&store, 1, 2, 50), REMOTE_STORE_SAME);
}

static void another_incarnation_is_told_once(void **state)
{
    struct remote_store store = {0};

    (void)state;
    say(&store, 1, 1, 10);
    assert_int_equal(say(&store, 2, 1, 5), REMOTE_STORE_OTHER);
    assert_int_equal(say(&store, 2, 1, 6), REMOTE_STORE_SAME);
    remote_store_refused(&store); /* the writer told of the next one first */
    assert_int_equal(say(&store, 3, 1, 2), REMOTE_STORE_SAME);
    assert_int_equal(say(&store, 4, 1, 2), REMOTE_STORE_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_a_second_old_is_no_step_back),
        cmocka_unit_test(a_new_writer_below_what_was_seen_is_one),
        cmocka_unit_test(a_new_writer_of_the_same_store_is_none),
        cmocka_unit_test(another_incarnation_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
