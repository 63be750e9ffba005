/*
 * cli_promises.c - what the command promises to those who script it: files whole or absent, one line of error, health.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/service.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *folder, *database, *home;

static int make_folder(void **state)
{
    (void)state;
    folder = folder_new();
    database = folder_path(folder, "store.sqlite");
    home = folder_path(folder, "home");
    setenv("HOME", home, 1);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    unsetenv("STIGSTORE_URL");
    return mkdir(home, 0700);
}

static int drop_folder(void **state)
{
    (void)state;
    free(home);
    free(database);
    folder_remove(&folder);
    return 0;
}

static bool is_one_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end && end > text && end[1] == '\0';
}

#define RUN(...) process_run((const char *const[]){"stigstore", __VA_ARGS__, NULL}, NULL, 0)

/* An expected exit code; unless it is 0, one line on standard error in which `word` stands. */
static void expect(struct output output, int code, const char *word)
{
    if (output.code != code || (code != 0 && !is_one_line(output.errors)) || !strstr(output.errors, word)) {
        fail_msg("exit %d, wanted %d with \"%s\"; output: %s; errors: %s", output.code, code, word, output.text,
                 output.errors);
    }
    output_free(&output);
}

static void put(const char *id, const char *data)
{
    const char *arguments[] = {"stigstore", "put", "k", id, "--store", database, NULL};
    expect(process_run(arguments, data, strlen(data)), 0, "");
}

static char *content_of(const char *path)
{
    char text[256] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    close(fd);
    return strdup(text);
}

static void set_content(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void expect_content(const char *path, const char *expected)
{
    char *content = content_of(path);
    assert_string_equal(content, expected);
    free(content);
}

/* ---- usage ---- */

static void what_is_wrong_with_a_line_is_told_in_one(void **state)
{
    (void)state;
    expect(RUN("put", "k"), 2, "`stigstore put --help` says more");
    expect(RUN("put", "--colour", "k", "a"), 2, "--colour");
    expect(RUN("put", "k", "a", "b", "c"), 2, "'c'");
    expect(RUN("get", "k", "a", "--timeout", "never"), 2, "never");
    expect(RUN("--timeout", "never", "get", "k", "a"), 2, "never");
    expect(RUN("serve", "now"), 2, "now");
    expect(RUN("version", "now"), 2, "version");
    expect(RUN("audit", "save", "k"), 2, "`stigstore audit save --help` says more");
    expect(RUN("audit"), 2, "audit");
    expect(RUN("audit", "rename", "k"), 2, "rename");
    expect(RUN("rename"), 2, "rename");
    const char *nothing[] = {"stigstore", NULL};
    expect(process_run(nothing, NULL, 0), 2, "stigstore --help");
}

static void common_options_stand_before_or_behind_the_verb(void **state)
{
    (void)state;
    put("a", "x");
    expect(RUN("--store", database, "get", "k", "a"), 0, "");
    expect(RUN("get", "--store", database, "k", "a"), 0, "");
    expect(RUN("audit", "--store", database, "list", "k", "a"), 0, "");
    expect(RUN("--store", database, "audit", "list", "k", "a"), 0, "");
    expect(RUN("audit", "list", "k", "a", "--store", database), 0, "");
    expect(RUN("list", "k", "--limit", "0", "--store", database), 2, "--limit");
    expect(RUN("audit", "list", "k", "a", "--limit", "0", "--store", database), 2, "--limit");
}

static void a_conflict_names_the_revision(void **state)
{
    (void)state;
    put("a", "x");
    put("a", "y");
    put("b", "z");
    expect(RUN("delete", "k", "a", "--if-revision", "1", "--store", database), 3, "revision is the current one: 2;");
}

/* ---- what goes in ---- */

/* Of the programs started from here on; sanitizers reserve more than any bound. */
static void bound_memory(rlim_t bytes)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
#else
    (void)bytes;
#endif
}

static void what_no_store_takes_is_not_read(void **state)
{
    (void)state;
    char *huge = folder_path(folder, "huge");
    int fd = open(huge, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, (off_t)1 << 36), 0);
    close(fd);
    bound_memory((rlim_t)1 << 30);
    struct output of_file = RUN("put", "k", "a", huge, "--store", database);
    struct output of_device = RUN("put", "k", "a", "/dev/zero", "--store", database);
    struct output of_audit = RUN("audit", "save", "k", "a", huge, "--hash", "h", "--store", database);
    bound_memory(RLIM_INFINITY);
    expect(of_file, 2, "TOO_LARGE");
    expect(of_device, 2, "TOO_LARGE");
    expect(of_audit, 2, "TOO_LARGE");
    free(huge);
}

/* ---- what comes out ---- */

static void a_file_is_replaced_as_a_whole(void **state)
{
    (void)state;
    put("a", "new");
    char *file = folder_path(folder, "file"), *link = folder_path(folder, "link");
    set_content(file, "old");
    assert_int_equal(chmod(file, 0640), 0);
    assert_int_equal(symlink("file", link), 0);
    int before = open(file, O_RDONLY | O_CLOEXEC);
    expect(RUN("get", "k", "a", "-o", link, "--store", database), 0, "");
    char text[8] = "";
    assert_int_equal(read(before, text, sizeof(text)), 3); /* who reads the old one reads it to its end */
    assert_string_equal(text, "old");
    close(before);
    expect_content(file, "new");
    struct stat info;
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    free(file);
    free(link);
}

static void all_forms_of_a_resource_go_into_the_file(void **state)
{
    (void)state;
    put("a", "new");
    char *file = folder_path(folder, "file");
    struct output output = RUN("get", "k", "a", "-o", file, "--json", "--store", database);
    assert_string_equal(output.text, "");
    expect(output, 0, "");
    char *content = content_of(file);
    assert_non_null(strstr(content, "\"bytes\":3"));
    free(content);
    expect(RUN("get", "k", "a", "-o", file, "--decode", "p.A", "-I", folder, "--store", database), 5, ".proto");
    content = content_of(file); /* what failed changes nothing */
    assert_non_null(strstr(content, "\"bytes\":3"));
    free(content);
    free(file);
}

static bool is_character_device(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISCHR(info.st_mode);
}

static void a_device_stays_one(void **state)
{
    (void)state;
    put("a", "new");
    char *device = folder_path(folder, "device");
    bool made = mknod(device, S_IFCHR | 0666, (dev_t)0x103) == 0; /* like /dev/null */
    int fd = made ? open(device, O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0) { /* not root, or no devices are allowed here */
        print_message("skipped: no device can be made here\n");
        free(device);
        skip();
    }
    close(fd);
    expect(RUN("export", device, "--store", database), 0, "");
    assert_true(is_character_device(device));
    expect(RUN("get", "k", "a", "-o", device, "--store", database), 0, "");
    assert_true(is_character_device(device));
    free(device);
}

static struct output shell(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    const char *command[] = {"/bin/sh", "-c", line, NULL};
    return process_run(command, NULL, 0);
}

static void a_full_or_closed_output_is_told_once_or_not_at_all(void **state)
{
    (void)state;
    static const char program[] = STIGSTORE_BIN_DIR "/stigstore";
    static const char *const verbs[] = {"get k a", "list k", "list k --json", "export -", "stat k a"};
    char *large = folder_path(folder, "large");
    int closed[2], fd = open(large, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, 3 << 20), 0);
    close(fd);
    assert_int_equal(pipe(closed), 0);
    close(closed[0]);
    expect(RUN("put", "k", "a", large, "--store", database), 0, "");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        expect(shell("%s --store %s %s >/dev/full", program, database, verbs[i]), 5, "No space left");
        for (size_t ignored = 0; ignored < 2; ignored++) { /* whether SIGPIPE ends it or not */
            struct output output = shell("%s%s --store %s %s >&%d", ignored ? "trap '' PIPE; " : "", program, database,
                                         verbs[i], closed[1]);
            assert_string_equal(output.errors, "");
            output_free(&output);
        }
    }
    close(closed[1]);
    free(large);
}

static void a_kind_named_twice_is_exported_once(void **state)
{
    (void)state;
    put("a", "x");
    char *file = folder_path(folder, "file"), *other = folder_path(folder, "other.sqlite");
    expect(RUN("export", file, "k", "k", "--store", database), 0, "");
    expect(RUN("import", file, "--store", other), 0, "");
    free(file);
    free(other);
}

/* ---- the default store ---- */

static pid_t serve_default_store(void)
{
    int ready[2];
    char number[16], line[8];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    snprintf(number, sizeof(number), "%d", ready[1]);
    const char *arguments[] = {"stigstore", "serve", "--ready-fd", number, NULL};
    pid_t pid = process_start(arguments, -1, -2, ready[1]);
    close(ready[1]);
    assert_true(read(ready[0], line, sizeof(line)) > 0);
    close(ready[0]);
    return pid;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void a_service_that_hangs_costs_the_timeout_once(void **state)
{
    (void)state;
    pid_t pid = serve_default_store(), broker;
    const char *arguments[] = {"stigstore", "put", "k", "a", NULL};
    expect(process_run(arguments, "x", 1), 0, "");
    assert_int_equal(process_children(pid, "stigstore-broker", &broker, 1), 1);
    kill(broker, SIGSTOP);
    int64_t begin_ms = now_ms();
    expect(RUN("get", "k", "a", "--timeout", "1.5"), 0, ""); /* out of the file */
    assert_in_range(now_ms() - begin_ms, 1400, 2600);
    kill(broker, SIGCONT);
    kill(pid, SIGTERM);
    assert_int_equal(process_join(pid), 0);
}

static void a_damaged_or_lost_default_store_can_be_restored(void **state)
{
    (void)state;
    char *path = folder_path(home, ".stigmer/stigmer.sqlite"), *copy = folder_path(folder, "copy");
    const char *arguments[] = {"stigstore", "put", "k", "a", NULL};
    expect(process_run(arguments, "x", 1), 0, "");
    expect(RUN("backup", copy), 0, "");
    assert_int_equal(truncate(path, 5000), 0);
    struct output output = RUN("verify");
    assert_int_equal(output.code, 5);
    output_free(&output);
    expect(RUN("restore", copy), 0, "");
    expect(RUN("get", "k", "a"), 0, "");
    assert_int_equal(unlink(path), 0);
    expect(RUN("restore", copy), 0, "");
    expect(RUN("get", "k", "a"), 0, "");
    free(path);
    free(copy);
}

/* ---- status ---- */

static void status_is_well_only_while_a_service_answers(void **state)
{
    (void)state;
    expect(RUN("status"), 4, "");
    expect(RUN("status", "--store", database), 4, "");
    put("a", "x");
    expect(RUN("status", "--store", database), 4, "no service answers");
    struct service service = service_start(folder, NULL);
    expect(RUN("status", "--store", database), 0, "");
    expect(RUN("status", "--store", service.url, "--json"), 0, "");
    expect(RUN("status", "--store", "tcp://nonsense"), 2, "");
    assert_int_equal(service_stop(&service), 0);
    expect(RUN("status", "--store", database), 4, "no service answers");
    expect(RUN("status", "--store", service.url, "--timeout", "0.2"), 4, "");
    service_free(&service);
}

static size_t count_of(const char *word, const char *text)
{
    size_t count = 0;
    while ((text = strstr(text, word))) {
        count++;
        text += strlen(word);
    }
    return count;
}

static void status_shows_nobody_of_a_service_that_was_killed(void **state)
{
    (void)state;
    struct service service = service_start(folder, NULL);
    kill(service.pid, SIGKILL);
    process_join(service.pid);
    service.pid = 0;
    service_restart(&service);
    struct output output = RUN("status", "--store", service.url, "--json");
    assert_int_equal(count_of("\"fresh\":", output.text), 5);
    expect(output, 0, "");
    service_free(&service);
}

/* ---- serve ---- */

static void what_cannot_be_served_is_refused_untouched(void **state)
{
    (void)state;
    char *foreign = folder_path(folder, "foreign"), *lock = folder_path(folder, "foreign.lock"), endpoint[200];
    set_content(foreign, "certainly no database, though long enough to have a header of its own, padded with words: "
                         "lorem ipsum dolor sit amet");
    snprintf(endpoint, sizeof(endpoint), "ipc://%s", foreign);
    expect(RUN("serve", "--db", foreign), 5, "not an SQLite database");
    assert_int_not_equal(access(lock, F_OK), 0);
    expect(RUN("serve", "--db", database, "--endpoint", endpoint), 2, "not a socket");
    expect(RUN("serve", "--db", database, "--endpoint", "ipc://relative"), 2, "absolute");
    free(foreign);
    free(lock);
}

static void settings_files_are_read_to_the_letter(void **state)
{
    (void)state;
    char *file = folder_path(folder, "serve.conf"), text[600], path[400];
    snprintf(path, sizeof(path), "/%0300d/store.sqlite", 1);
    snprintf(text, sizeof(text), "# words\n; words\n\n  db = %s  \nlisten =\n  readers=5\n", path);
    set_content(file, text);
    struct output output = RUN("serve", "--config", file, "--print-config");
    assert_non_null(strstr(output.text, path));
    assert_non_null(strstr(output.text, "\nreaders = 5\n"));
    expect(output, 0, "");
    set_content(file, "readers = 3\ndurability\n");
    expect(RUN("serve", "--config", file, "--print-config"), 2, "line 2");
    set_content(file, "[serve]\nreaders = 3\n");
    expect(RUN("serve", "--config", file, "--print-config"), 2, "line 1");
    expect(RUN("serve", "--config", folder, "--print-config"), 2, "directory");
    free(file);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(what_is_wrong_with_a_line_is_told_in_one),
        WITH_FOLDER(common_options_stand_before_or_behind_the_verb),
        WITH_FOLDER(a_conflict_names_the_revision),
        WITH_FOLDER(what_no_store_takes_is_not_read),
        WITH_FOLDER(a_file_is_replaced_as_a_whole),
        WITH_FOLDER(all_forms_of_a_resource_go_into_the_file),
        WITH_FOLDER(a_device_stays_one),
        WITH_FOLDER(a_full_or_closed_output_is_told_once_or_not_at_all),
        WITH_FOLDER(a_kind_named_twice_is_exported_once),
        WITH_FOLDER(a_service_that_hangs_costs_the_timeout_once),
        WITH_FOLDER(a_damaged_or_lost_default_store_can_be_restored),
        WITH_FOLDER(status_is_well_only_while_a_service_answers),
        WITH_FOLDER(status_shows_nobody_of_a_service_that_was_killed),
        WITH_FOLDER(what_cannot_be_served_is_refused_untouched),
        WITH_FOLDER(settings_files_are_read_to_the_letter),
    };
    return cmocka_run_group_tests_name("promises of the command", tests, NULL, NULL);
}
