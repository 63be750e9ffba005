/*
 * storage_path.c - names of files beside and above others, for paths of every length.
 */
#include "storage/path.h"
#include "tests/support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

static void a_folder_is_what_stands_before_the_last_slash(void **state)
{
    char buffer[PATH_MAX];
    (void)state;
    assert_string_equal(path_folder("/a/b/c", buffer), "/a/b");
    assert_string_equal(path_folder("/a", buffer), "/");
    assert_string_equal(path_folder("a", buffer), ".");
}

/* Cut at PATH_MAX it would be another folder, which may exist. */
static void a_path_that_is_too_long_has_none(void **state)
{
    char path[PATH_MAX + 2], buffer[PATH_MAX];
    (void)state;
    memset(path, 'a', sizeof path);
    path[0] = path[4] = '/';
    path[PATH_MAX - 1] = '\0';
    assert_string_equal(path_folder(path, buffer), "/aaa");
    path[PATH_MAX - 1] = 'a';
    path[PATH_MAX] = '\0';
    assert_string_equal(path_folder(path, buffer), "");
}

static void a_size_beside_is_of_that_file_or_minus_one(void **state)
{
    char path[PATH_MAX + 2];
    (void)state;
    assert_int_equal(path_size_beside("/dev/nul", "l"), 0);
    assert_int_equal(path_size_beside("/dev/nul", "-wal"), -1);
    memset(path, '/', sizeof path);
    path[PATH_MAX + 1] = '\0';
    assert_int_equal(path_size_beside(path, "dev/null"), -1);
}

static void what_uris_give_a_meaning_to_is_escaped(void **state)
{
    (void)state;
    char *uri = path_make_uri("/a b/100%?#.sqlite", "?immutable=1");
    assert_string_equal(uri, "file:///a b/100%25%3F%23.sqlite?immutable=1");
    free(uri);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_what_stands_before_the_last_slash),
        cmocka_unit_test(a_path_that_is_too_long_has_none),
        cmocka_unit_test(a_size_beside_is_of_that_file_or_minus_one),
        cmocka_unit_test(what_uris_give_a_meaning_to_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
