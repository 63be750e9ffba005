/*
 * defaults.c - which store opens when none is named: in a home of the test's own.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *home, *folder, *ours, *theirs, *runtime;

static int make_home(void **state)
{
    (void)state;
    home = folder_new();
    folder = folder_path(home, ".stigmer");
    ours = folder_path(home, ".stigmer/stigmer.sqlite");
    theirs = folder_path(home, ".stigmer/stigmer.db");
    runtime = folder_path(home, "runtime");
    assert_int_equal(mkdir(runtime, 0700), 0);
    setenv("HOME", home, 1);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    unsetenv("STIGSTORE_URL");
    return 0;
}

static int drop_home(void **state)
{
    (void)state;
    free(folder);
    free(ours);
    free(theirs);
    free(runtime);
    unsetenv("STIGSTORE_URL");
    folder_remove(&home);
    return 0;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static const char *const put[] = {"put", "k", "a", NULL};
static const char *const get[] = {"get", "k", "a", NULL};

static void a_new_one_is_made_in_the_home(void **state)
{
    (void)state;
    struct output output = scene_run(1, get, NULL, 0);
    assert_false(exists(folder)); /* reading made nothing */
    output_free(&output);
    scene_expect(0, "1\n", put, "x");
    scene_expect(0, "x", get, NULL);
    struct stat at;
    assert_int_equal(stat(folder, &at), 0);
    assert_int_equal(at.st_mode & 0777, 0700);
    assert_int_equal(stat(ours, &at), 0);
    assert_int_equal(at.st_mode & 0777, 0600);
}

static void make_stigmers_database(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(sqlite3_open(theirs, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL DEFAULT "
                     "(datetime('now')));"
                     "CREATE TABLE resources (kind TEXT NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, updated_at "
                     "TEXT NOT NULL DEFAULT (datetime('now')), PRIMARY KEY (kind, id)) WITHOUT ROWID;"
                     "INSERT INTO schema_version(version) VALUES (1);"
                     "INSERT INTO resources(kind, id, data) VALUES ('k', 'a', 'theirs');",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
}

static void stigmers_own_database_is_used_where_it_is(void **state)
{
    (void)state;
    make_stigmers_database();
    const char *put_b[] = {"put", "k", "b", NULL};
    struct output output = scene_run(0, put_b, "x", 1); /* upgrades it */
    output_free(&output);
    scene_expect(0, "theirs", get, NULL);
    assert_false(exists(ours));
}

static void ours_comes_before_stigmers(void **state)
{
    (void)state;
    scene_expect(0, "1\n", put, "ours");
    char *kept = folder_path(home, "kept");
    assert_int_equal(rename(folder, kept), 0);
    make_stigmers_database();
    char *back = folder_path(kept, "stigmer.sqlite");
    assert_int_equal(rename(back, ours), 0);
    scene_expect(0, "ours", get, NULL);
    free(kept);
    free(back);
}

static unsigned occurrences(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, word)); at++)
        count++;
    return count;
}

static void a_badgerdb_folder_is_named_in_one_notice_and_left_alone(void **state)
{
    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(mkdir(theirs, 0700), 0);
    char *manifest = folder_path(theirs, "MANIFEST");
    FILE *out = fopen(manifest, "w");
    assert_non_null(out);
    fputs("Bdgr", out);
    fclose(out);
    struct stat before, after;
    assert_int_equal(stat(theirs, &before), 0);
    struct output output = scene_run(0, put, "x", 1);
    assert_string_equal(output.text, "1\n"); /* the notice is elsewhere */
    assert_int_equal(occurrences(output.errors, theirs), 1);
    assert_int_equal(occurrences(output.errors, "BadgerDB"), 1);
    output_free(&output);
    assert_true(exists(ours) && exists(manifest));
    assert_int_equal(stat(theirs, &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    output = scene_run(0, get, NULL, 0); /* our own is there now */
    assert_string_equal(output.text, "x");
    output_free(&output);
    const char *named[] = {"get", "k", "a", "--store", theirs, NULL};
    output = scene_run(5, named, NULL, 0);
    assert_non_null(strstr(output.errors, "UNSUPPORTED"));
    output_free(&output);
    free(manifest);
}

struct notices {
    unsigned count, badger;
    int level;
};

static void take_notice(void *context, int level, const char *line)
{
    struct notices *notices = context;
    notices->count++;
    if (strstr(line, "BadgerDB")) {
        notices->badger++;
        notices->level = level;
        assert_null(strchr(line, '\n'));
    }
}

/* The library prints nothing: what it has to say goes to the hook. */
static void notices_go_to_the_log_hook(void **state)
{
    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(mkdir(theirs, 0700), 0);
    struct notices notices = {0};
    stigstore_options options = {.struct_size = sizeof(options), .log = take_notice, .log_context = &notices};
    stigstore *store = NULL;
    assert_status(OK, stigstore_open(NULL, &options, &store, NULL));
    assert_int_equal(notices.badger, 1);
    assert_int_equal(notices.level, 3);
    assert_string_equal(stigstore_path(store), ours);
    stigstore_free(&store);
}

static void the_environment_names_another(void **state)
{
    (void)state;
    char *named = folder_path(home, "named.sqlite"), *flag = folder_path(home, "flag.sqlite");
    setenv("STIGSTORE_URL", named, 1);
    scene_expect(0, "1\n", put, "x");
    assert_true(exists(named) && !exists(folder));
    const char *with_flag[] = {"put", "k", "a", "--store", flag, NULL};
    scene_expect(0, "1\n", with_flag, "y"); /* a flag comes before it */
    scene_expect(0, "x", get, NULL);
    setenv("STIGSTORE_URL", "", 1);
    scene_expect(0, "1\n", put, "z"); /* empty is as if it were not set */
    assert_true(exists(ours));
    free(named);
    free(flag);
}

static size_t read_some(int fd, char *text, size_t room)
{
    ssize_t got = read(fd, text, room - 1);
    text[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

/* serve without a word more: it says where it listens and what to try, and Ctrl-C ends it. */
static void the_default_service_is_attached_to(void **state)
{
    (void)state;
    int out[2];
    char text[2048];
    bool is_ready;
    assert_int_equal(pipe(out), 0);
    const char *serve[] = {"stigstore", "serve", NULL};
    pid_t pid = scene_start(serve, out[1], &is_ready);
    close(out[1]);
    assert_true(is_ready);
    read_some(out[0], text, sizeof(text));
    assert_non_null(strstr(text, ours));
    assert_non_null(strstr(text, "ipc://"));
    assert_int_equal(occurrences(text, "\n  "), 3); /* commands to try */

    scene_expect(0, "1\n", put, "x");
    scene_expect(0, "x", get, NULL);
    char *json = NULL;
    stigstore *store = load_open(NULL, 20000);
    assert_status(OK, stigstore_status_json(store, &json));
    assert_non_null(strstr(json, "\"endpoint\":\"ipc://"));
    assert_string_equal(stigstore_path(store), ours);
    stigstore_memory_free(json);
    stigstore_free(&store);

    kill(pid, SIGINT);
    assert_int_equal(process_join(pid), 0);
    assert_int_equal(read_some(out[0], text, sizeof(text)), 0); /* it said nothing more */
    close(out[0]);
    scene_expect(0, "x", get, NULL); /* and then the file itself */
    scene_expect(0, "2\n", put, "y");
}

#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, drop_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(a_new_one_is_made_in_the_home),
        WITH_HOME(stigmers_own_database_is_used_where_it_is),
        WITH_HOME(ours_comes_before_stigmers),
        WITH_HOME(a_badgerdb_folder_is_named_in_one_notice_and_left_alone),
        WITH_HOME(notices_go_to_the_log_hook),
        WITH_HOME(the_environment_names_another),
        WITH_HOME(the_default_service_is_attached_to),
    };
    return cmocka_run_group_tests_name("the default store", tests, NULL, NULL);
}
