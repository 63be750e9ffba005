/*
 * cli.c - the command as people and scripts use it: output, exit codes, errors, on an embedded store.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 24 };

static char *folder, *database;

static int make_folder(void **state)
{
    (void)state;
    folder = folder_new();
    database = folder_path(folder, "store.sqlite");
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    free(database);
    folder_remove(&folder);
    return 0;
}

/* Splits `line` at spaces, adds --store, runs it; "$F" at the start of a word is the test's folder. */
static struct output run(const char *line, const char *input, size_t input_size)
{
    const char *arguments[MOST_ARGUMENTS] = {"stigstore"};
    char copy[1024], paths[4][256];
    size_t count = 1, path_count = 0;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word && count < MOST_ARGUMENTS - 3; word = strtok(NULL, " ")) {
        if (strncmp(word, "$F", 2) == 0) {
            snprintf(paths[path_count], sizeof(paths[0]), "%s%s", folder, word + 2);
            word = paths[path_count++];
        }
        arguments[count++] = word;
    }
    arguments[count++] = "--store";
    arguments[count++] = database;
    return process_run(arguments, input, input_size);
}

/* Runs and checks exit code and output. */
static void expect(const char *line, const char *input, int code, const char *text)
{
    struct output output = run(line, input, input ? strlen(input) : 0);
    if (output.code != code || (text && strcmp(output.text, text) != 0)) {
        fail_msg("`%s`: exit %d, wanted %d\noutput: %s\nwanted: %s\nerrors: %s", line, output.code, code, output.text,
                 text ? text : "(any)", output.errors);
    }
    if (code != 0) { /* one line that says what was wrong */
        size_t lines = 0;
        for (const char *at = output.errors; *at; at++)
            lines += *at == '\n';
        assert_true(lines >= 1 && lines <= 3);
        assert_int_equal(strncmp(output.errors, "stigstore", 9), 0);
    }
    output_free(&output);
}

static void put_get_count_delete(void **state)
{
    (void)state;
    expect("put skill a", "hello", 0, "1\n");
    expect("put skill b -", "", 0, "2\n");
    expect("get skill a", NULL, 0, "hello");
    expect("get skill b", NULL, 0, "");
    expect("get skill c", NULL, 1, "");
    expect("count skill", NULL, 0, "2\n");
    expect("count skill --prefix b", NULL, 0, "1\n");
    expect("list skill --keys", NULL, 0, "a\nb\n");
    expect("list skill --keys --limit 1", NULL, 0, "a\n");
    expect("list skill --keys --after a", NULL, 0, "b\n");
    expect("delete skill a", NULL, 0, "1\n");
    expect("delete skill a", NULL, 0, "0\n");
    expect("delete skill --prefix b", NULL, 0, "1\n");
    expect("put skill c", "x", 0, "5\n");
    expect("delete skill --all", NULL, 0, "1\n");
    expect("get skill c -o $F/out", NULL, 1, "");
    char *out = folder_path(folder, "out");
    assert_int_not_equal(access(out, F_OK), 0); /* nothing found, nothing written */
    free(out);
}

static void binary_data_passes_through(void **state)
{
    (void)state;
    static const char bytes[] = "\0\n\r\xff\x00z";
    struct output output = run("put k i", bytes, sizeof(bytes));
    assert_int_equal(output.code, 0);
    output_free(&output);
    output = run("get k i", NULL, 0);
    assert_int_equal(output.size, sizeof(bytes));
    assert_memory_equal(output.text, bytes, sizeof(bytes));
    output_free(&output);
}

static void conditions_and_exit_codes(void **state)
{
    (void)state;
    expect("put k a --if-exists", "x", 3, "");
    expect("put k a --if-absent", "x", 0, "1\n");
    expect("put k a --if-absent", "x", 3, "");
    expect("put k a --if-revision 7", "x", 3, "");
    expect("put k a --if-revision 1", "y", 0, "2\n");
    expect("put k a --if-revision x", "y", 2, "");
    expect("put k a --if-absent --if-exists", "y", 2, "");
    expect("delete k a --if-revision 1", NULL, 3, "");
    expect("delete k a --if-revision 2", NULL, 0, "1\n");
    expect("delete k", NULL, 2, "");
    expect("delete k --all --prefix a", NULL, 2, "");
    expect("nonsense", NULL, 2, "");
    expect("put k", NULL, 2, "");
    expect("put k a --no-such-option", "x", 2, "");
    expect("put k $F/does-not-exist $F/does-not-exist", NULL, 5, "");
    expect("status --timeout x", NULL, 2, "");
}

static void keys_make_retries_harmless(void **state)
{
    (void)state;
    expect("put k a --idempotency-key once", "first", 0, "1\n");
    expect("put k a", "second", 0, "2\n");
    expect("put k a --idempotency-key once", "first", 0, "1\n");
    expect("get k a", NULL, 0, "second");
    expect("put k a --idempotency-key once", "another", 5, "");
}

static void lists_print_tabs_or_json(void **state)
{
    (void)state;
    expect("put k a", "12345", 0, "1\n");
    struct output output = run("list k", NULL, 0);
    assert_int_equal(strncmp(output.text, "a\t1\t20", 6), 0);
    assert_non_null(strstr(output.text, "Z\t5\n"));
    output_free(&output);
    output = run("list k --json", NULL, 0);
    assert_non_null(strstr(output.text, "\"id\":\"a\""));
    assert_non_null(strstr(output.text, "\"bytes\":5"));
    assert_null(strstr(output.text, "\"data\""));
    output_free(&output);
    output = run("list k --json --data", NULL, 0);
    assert_non_null(strstr(output.text, "\"data\":\"MTIzNDU=\""));
    output_free(&output);
    output = run("stat k a", NULL, 0);
    assert_int_equal(strncmp(output.text, "a\t1\t20", 6), 0);
    output_free(&output);
    expect("stat k b", NULL, 1, "");
}

static void audit_verbs(void **state)
{
    (void)state;
    expect("audit save skill a --hash h1 --tag v1", "one", 0, "1\n");
    expect("audit save skill a --hash h2 --tag v2", "two", 0, "2\n");
    expect("audit save skill a --hash h3 --require-resource", "three", 3, "");
    expect("audit save skill a", "three", 2, "");
    expect("audit get skill a --hash h1", NULL, 0, "one");
    expect("audit get skill a --tag v2", NULL, 0, "two");
    expect("audit get skill a --tag v3", NULL, 1, "");
    expect("audit get skill a", NULL, 2, "");
    struct output output = run("audit list skill a", NULL, 0);
    assert_int_equal(strncmp(output.text, "h2\tv2\t20", 8), 0);
    assert_non_null(strstr(output.text, "\nh1\tv1\t20"));
    output_free(&output);
    expect("audit delete skill a", NULL, 0, "2\n");
    expect("audit rename skill a", NULL, 2, "");
}

static void reading_verbs_never_create_a_file(void **state)
{
    (void)state;
    expect("get k a", NULL, 1, "");
    expect("list k", NULL, 1, "");
    expect("count k", NULL, 1, "");
    assert_int_not_equal(access(database, F_OK), 0);
}

static struct output slurp(const char *name)
{
    char *path = folder_path(folder, name);
    const char *arguments[] = {"/bin/cat", path, NULL};
    struct output output = process_run(arguments, NULL, 0);
    assert_int_equal(output.code, 0);
    free(path);
    return output;
}

static void export_and_import_keep_times_and_order(void **state)
{
    (void)state;
    expect("put skill a", "A", 0, "1\n");
    expect("put skill b", "B", 0, "2\n");
    expect("put note c", "C", 0, "3\n");
    expect("audit save skill b --hash h1 --tag t", "B1", 0, "4\n");
    expect("audit save skill a --hash h2 --tag t", "A1", 0, "5\n");
    expect("audit save skill b --hash h1 --tag t", "B2", 0, "6\n");
    expect("export $F/first", NULL, 0, "");
    char *other = folder_path(folder, "other.sqlite");
    char *kept = database;
    database = other;
    expect("import $F/first", NULL, 0, "3 resources, 3 versions; 0 were there already\n");
    expect("import $F/first", NULL, 0, "3 resources, 3 versions; 6 were there already\n");
    expect("get skill a", NULL, 0, "A");
    expect("audit get skill b --tag t", NULL, 0, "B2");
    expect("put skill a", "changed", 0, NULL);
    expect("import $F/first", NULL, 3, "");
    expect("import --replace $F/first", NULL, 0, NULL);
    expect("get skill a", NULL, 0, "A");
    expect("export $F/second", NULL, 0, "");
    struct output first = slurp("first"), second = slurp("second");
    assert_int_equal(first.size, second.size); /* equal but for revisions, which are single bytes here */
    output_free(&first);
    output_free(&second);
    expect("import $F/other.sqlite", NULL, 2, "");
    expect("import $F/nothing", NULL, 5, "");
    database = kept;
    free(other);
}

static void an_import_that_broke_off_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        char line[64];
        snprintf(line, sizeof(line), "audit save skill r%u --hash h%u", i % 2, i);
        expect(line, "the same data", 0, NULL);
        snprintf(line, sizeof(line), "put skill r%u", i);
        expect(line, "data", 0, NULL);
    }
    expect("export $F/whole", NULL, 0, "");
    struct output whole = slurp("whole");
    char *kept = database, *other = folder_path(folder, "other.sqlite"), *half = folder_path(folder, "half");
    database = other;
    FILE *file = fopen(half, "w");
    assert_non_null(file);
    fwrite(whole.text, 1, whole.size * 3 / 4, file);
    fclose(file);
    expect("import $F/half", NULL, 2, "");
    expect("import $F/whole", NULL, 0, NULL);
    expect("count skill", NULL, 0, "5\n");
    struct output history = run("audit list skill r0", NULL, 0);
    size_t lines = 0;
    for (const char *at = history.text; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 3);
    assert_int_equal(strncmp(history.text, "h4\t", 3), 0);
    output_free(&history);
    output_free(&whole);
    database = kept;
    free(other);
    free(half);
}

static void backup_restore_verify(void **state)
{
    (void)state;
    expect("put k a", "before", 0, "1\n");
    expect("backup $F/copy", NULL, 0, "1\n");
    expect("put k a", "after", 0, "2\n");
    expect("verify", NULL, 0, "");
    expect("restore $F/copy", NULL, 0, "");
    expect("get k a", NULL, 0, "before");
    expect("verify", NULL, 0, "");
    expect("restore $F/nothing", NULL, 1, "");
    expect("get k a", NULL, 0, "before");
}

static void help_and_version(void **state)
{
    (void)state;
    static const char *const verbs[] = {"serve",  "put",    "get",    "stat",   "list",    "count",
                                        "delete", "import", "export", "backup", "restore", "verify",
                                        "status", "bench",  "demo",   "version"};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        const char *arguments[] = {"stigstore", verbs[i], "--help", NULL};
        struct output output = process_run(arguments, NULL, 0);
        assert_int_equal(output.code, 0);
        assert_int_equal(strncmp(output.text, "Usage: stigstore", 16), 0);
        output_free(&output);
    }
    const char *version[] = {"stigstore", "version", NULL};
    struct output output = process_run(version, NULL, 0);
    assert_string_equal(output.text, "0.1.0\n");
    output_free(&output);
}

static void settings_come_from_flags_environment_and_file(void **state)
{
    (void)state;
    char *file = folder_path(folder, "serve.conf");
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs("# a comment\nreaders = 3\ndurability = normal\nsnapshot-seconds = 7\n", out);
    fclose(out);
    setenv("STIGSTORE_READERS", "4", 1);
    setenv("STIGSTORE_SNAPSHOT_SECONDS", "8", 1);
    const char *arguments[] = {"stigstore",          "serve", "--config",       file,
                               "--snapshot-seconds", "9",     "--print-config", NULL};
    struct output output = process_run(arguments, NULL, 0);
    unsetenv("STIGSTORE_READERS");
    unsetenv("STIGSTORE_SNAPSHOT_SECONDS");
    assert_int_equal(output.code, 0);
    assert_non_null(strstr(output.text, "\nreaders = 4\n"));
    assert_non_null(strstr(output.text, "\ndurability = normal\n"));
    assert_non_null(strstr(output.text, "\nsnapshot-seconds = 9\n"));
    output_free(&output);

    out = fopen(file, "w");
    assert_non_null(out);
    fputs("reeders = 3\n", out);
    fclose(out);
    output = process_run(arguments, NULL, 0);
    assert_int_equal(output.code, 2);
    assert_non_null(strstr(output.errors, "reeders"));
    output_free(&output);
    free(file);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(put_get_count_delete),
        WITH_FOLDER(binary_data_passes_through),
        WITH_FOLDER(conditions_and_exit_codes),
        WITH_FOLDER(keys_make_retries_harmless),
        WITH_FOLDER(lists_print_tabs_or_json),
        WITH_FOLDER(audit_verbs),
        WITH_FOLDER(reading_verbs_never_create_a_file),
        WITH_FOLDER(export_and_import_keep_times_and_order),
        WITH_FOLDER(an_import_that_broke_off_goes_on),
        WITH_FOLDER(backup_restore_verify),
        WITH_FOLDER(help_and_version),
        WITH_FOLDER(settings_come_from_flags_environment_and_file),
    };
    return cmocka_run_group_tests_name("command line", tests, NULL, NULL);
}
