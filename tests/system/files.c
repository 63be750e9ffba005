/*
 * files.c - what the store does with the files it finds: Stigmer's own, foreign, newer, damaged, none at all.
 */
#include "stigstore.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder, *path;

static int make_folder(void **state)
{
    (void)state;
    folder = folder_new();
    path = folder_path(folder, "store.sqlite");
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    free(path);
    folder_remove(&folder);
    return 0;
}

static void copy_file(const char *from, const char *to)
{
    const char *arguments[] = {"/bin/cp", from, to, NULL};
    struct output output = process_run(arguments, NULL, 0);
    assert_int_equal(output.code, 0);
    output_free(&output);
    assert_int_equal(chmod(to, 0600), 0);
}

static void execute(const char *file, const char *sql)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

static int64_t query(const char *file, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static stigstore *open_store(const char *url)
{
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    if (stigstore_open(url, NULL, &store, &result) != STIGSTORE_OK)
        fail_msg("cannot open %s: %s", url, result ? result->message : "");
    stigstore_result_free(&result);
    return store;
}

static int open_status(const char *url)
{
    stigstore *store = NULL;
    stigstore_result *result = NULL;
    int status = stigstore_open(url, NULL, &store, &result);
    if (status != STIGSTORE_OK)
        assert_true(result && strlen(result->message) > 10);
    stigstore_result_free(&result);
    stigstore_free(&store);
    return status;
}

/* All bytes of a small file, to see that it was left as it was. */
static char *snapshot(const char *file, size_t *size)
{
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *size = fread(bytes, 1, 1 << 20, in);
    fclose(in);
    return bytes;
}

/* Opening is refused with `status`, and neither the file nor what lies beside it changed. */
static void expect_refused(int status)
{
    size_t before_size, after_size;
    char *before = snapshot(path, &before_size);
    assert_int_equal(open_status(path), status);
    char *after = snapshot(path, &after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);
    char *wal = folder_path(folder, "store.sqlite-wal");
    assert_int_not_equal(access(wal, F_OK), 0);
    free(wal);
}

static const char *const stigmer_v1 =
    "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL DEFAULT (datetime('now')));"
    "CREATE TABLE resources (kind TEXT NOT NULL, id TEXT NOT NULL, data BLOB NOT NULL, updated_at TEXT NOT NULL "
    "DEFAULT "
    "(datetime('now')), PRIMARY KEY (kind, id)) WITHOUT ROWID;"
    "CREATE INDEX idx_resources_kind_id ON resources(kind, id);"
    "INSERT INTO schema_version(version) VALUES (1);";

/* status{version_hash:"h1"} spec{tag:"t1"} as protobuf bytes. */
#define MESSAGE(hash, tag) "x'2A040A02" hash "22041202" tag "'"

static void a_file_of_stigmers_is_upgraded_and_still_works_for_it(void **state)
{
    (void)state;
    execute(path, stigmer_v1);
    execute(path,
            "INSERT INTO resources(kind,id,data) VALUES ('skill','a'," MESSAGE(
                "6832", "7432") "),"
                                "('skill','skill_audit/a/0000000000000000200'," MESSAGE(
                                    "6832", "7432") "),"
                                                    "('skill','skill_audit/a/0000000000000000100'," MESSAGE(
                                                        "6831", "7431") "),"
                                                                        "('skill','skill_audit/malformed'," MESSAGE(
                                                                            "6833", "7433") ")");
    stigstore *store = open_store(path);
    stigstore_bytes kind = stigstore_text("skill"), id = stigstore_text("a");
    stigstore_result *result = NULL;
    assert_int_equal(stigstore_get_audit_by_hash(store, kind, id, stigstore_text("h1"), &result), STIGSTORE_OK);
    assert_int_equal(stigstore_get_audit_by_tag(store, kind, id, stigstore_text("t2"), &result), STIGSTORE_OK);
    assert_int_equal(stigstore_list_audit_history(store, kind, id, &result), STIGSTORE_OK);
    assert_int_equal(result->item_count, 2);
    assert_memory_equal(result->items[0].hash.data, "h2", 2);
    assert_int_equal(stigstore_list_resources(store, kind, &result), STIGSTORE_OK);
    assert_int_equal(result->item_count, 2); /* the malformed row stays a resource */
    stigstore_free(&store);

    /* There and back: Stigmer's own statements on the upgraded file. */
    assert_int_equal(query(path, "SELECT max(version) FROM schema_version") >= 2, 1);
    execute(path,
            "INSERT OR REPLACE INTO resources (kind, id, data, updated_at) VALUES ('skill','a',x'00',datetime('now'));"
            "INSERT OR REPLACE INTO resources (kind, id, data, updated_at) VALUES ('skill','b',x'01',datetime('now'));"
            "INSERT INTO resource_audit (kind, resource_id, data, archived_at, version_hash, tag) VALUES "
            "('skill','a',x'02',datetime('now'),'h3','t2')");
    assert_int_equal(query(path, "SELECT length(data) FROM resources WHERE kind='skill' AND id='a'"), 1);
    assert_int_equal(query(path, "SELECT count(*) FROM resource_audit WHERE kind='skill' AND resource_id='a'"), 3);
    store = open_store(path);
    assert_int_equal(stigstore_get_resource(store, kind, stigstore_text("b"), &result), STIGSTORE_OK);
    assert_true(result->items[0].revision > 0); /* stamped at this open */
    assert_int_equal(stigstore_get_audit_by_tag(store, kind, id, stigstore_text("t2"), &result), STIGSTORE_OK);
    assert_memory_equal(result->items[0].hash.data, "h3", 2);
    stigstore_result_free(&result);
    stigstore_free(&store);
}

/* The real samples; skipped by name where they are not. */
static const char *sample(const char *name, char out[512])
{
    const char *samples = getenv("STIGSTORE_TEST_DATA");
    snprintf(out, 512, "%s/%s", samples ? samples : "", name);
    return samples && access(out, R_OK) == 0 ? out : NULL;
}

static void check_sample(const char *name, const char *copy)
{
    char from[512];
    copy_file(sample(name, from), copy);
    stigstore *store = open_store(copy);
    stigstore_result *skills = NULL, *history = NULL, *version = NULL;
    assert_int_equal(stigstore_list_resources(store, stigstore_text("skill"), &skills), STIGSTORE_OK);
    assert_int_equal(skills->item_count, 260);
    size_t versions = 0;
    for (size_t i = 0; i < skills->item_count; i++) {
        stigstore_bytes kind = skills->items[i].kind, id = skills->items[i].id;
        assert_int_equal(stigstore_list_audit_history(store, kind, id, &history), STIGSTORE_OK);
        for (size_t v = 0; v < history->item_count; v++) {
            const stigstore_item *item = &history->items[v];
            assert_true(item->hash.size > 0);
            assert_int_equal(stigstore_get_audit_by_hash(store, kind, id, item->hash, &version), STIGSTORE_OK);
            versions++;
            if (version->items[0].revision == item->revision) { /* else a newer one of equal hash */
                assert_int_equal(version->items[0].data.size, item->data.size);
                assert_memory_equal(version->items[0].data.data, item->data.data, item->data.size);
            }
        }
    }
    assert_int_equal(versions, 364);
    stigstore_result_free(&skills);
    stigstore_result_free(&history);
    stigstore_result_free(&version);
    stigstore_free(&store);
}

static struct output list_as_json(const char *file)
{
    const char *arguments[] = {"stigstore", "list", "skill", "--json", "--data", "--store", file, NULL};
    struct output output = process_run(arguments, NULL, 0);
    assert_int_equal(output.code, 0);
    return output;
}

/* Cuts "revision":N out of each line: upgrades number rows as they come. */
static void blank_revisions(char *text)
{
    for (char *at = text; (at = strstr(at, "\"revision\":"));)
        for (at += strlen("\"revision\":"); *at >= '0' && *at <= '9'; at++)
            *at = '0';
}

static void the_samples_open_upgrade_and_are_equal(void **state)
{
    (void)state;
    char found[512];
    if (!sample("stigmer-v1.sqlite", found) || !sample("stigmer-v2.sqlite", found)) {
        print_message("skipped: STIGSTORE_TEST_DATA does not name the samples\n");
        skip();
    }
    char *first = folder_path(folder, "v1.sqlite"), *second = folder_path(folder, "v2.sqlite");
    check_sample("stigmer-v1.sqlite", first);
    check_sample("stigmer-v2.sqlite", second);
    struct output one = list_as_json(first), two = list_as_json(second);
    blank_revisions(one.text);
    blank_revisions(two.text);
    assert_int_equal(one.size > 1000, 1);
    char *a = one.text, *b = two.text;
    for (char *x, *y; (x = strsep(&a, "\n")) && (y = strsep(&b, "\n"));) {
        /* digits differ in number between revisions; compare what follows them */
        char *behind_x = strstr(x, "\"created_at\""), *behind_y = strstr(y, "\"created_at\"");
        assert_int_equal(!behind_x, !behind_y);
        if (behind_x)
            assert_string_equal(behind_x, behind_y);
    }
    assert_true(!a && !b);
    output_free(&one);
    output_free(&two);
    const char *verify[] = {"stigstore", "verify", "--store", first, NULL};
    struct output output = process_run(verify, NULL, 0);
    assert_int_equal(output.code, 0);
    output_free(&output);
    free(first);
    free(second);
}

static void files_of_others_are_refused_unmodified(void **state)
{
    (void)state;
    execute(path, "CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('x')");
    expect_refused(STIGSTORE_UNSUPPORTED);
    assert_int_equal(unlink(path), 0);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (unsigned i = 0; i < 2000; i++)
        fputs("this is no database\n", out);
    fclose(out);
    expect_refused(STIGSTORE_UNSUPPORTED);
}

static void a_newer_schema_is_refused_unmodified(void **state)
{
    (void)state;
    stigstore *store = open_store(path);
    stigstore_free(&store);
    execute(path, "PRAGMA journal_mode=DELETE; UPDATE meta SET value = 99 WHERE name = 'schema'");
    expect_refused(STIGSTORE_UNSUPPORTED);
}

static void a_truncated_file_is_refused_unmodified(void **state)
{
    (void)state;
    stigstore *store = open_store(path);
    char data[20000];
    memset(data, 'd', sizeof(data));
    for (unsigned i = 0; i < 10; i++) {
        char id[8];
        snprintf(id, sizeof(id), "%u", i);
        assert_int_equal(stigstore_save_resource(store, stigstore_text("k"), stigstore_text(id),
                                                 (stigstore_bytes){data, sizeof(data)}, NULL),
                         STIGSTORE_OK);
    }
    stigstore_free(&store);
    execute(path, "PRAGMA journal_mode=DELETE");
    struct stat stat_buffer;
    assert_int_equal(stat(path, &stat_buffer), 0);
    assert_int_equal(truncate(path, stat_buffer.st_size / 2), 0);
    expect_refused(STIGSTORE_CORRUPT);
}

static void a_badgerdb_folder_is_named_and_left_alone(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    char *manifest = folder_path(path, "MANIFEST");
    FILE *out = fopen(manifest, "w");
    assert_non_null(out);
    fputs("Bdgr", out);
    fclose(out);
    assert_int_equal(open_status(path), STIGSTORE_UNSUPPORTED);
    assert_int_equal(access(manifest, F_OK), 0);
    free(manifest);
}

static void missing_folders_are_made(void **state)
{
    (void)state;
    char *deep = folder_path(folder, "a/b/c/store.sqlite"), *middle = folder_path(folder, "a/b");
    stigstore *store = open_store(deep);
    stigstore_free(&store);
    struct stat stat_buffer;
    assert_int_equal(stat(middle, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 0777, 0700);
    assert_int_equal(stat(deep, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 0777, 0600);
    free(deep);
    free(middle);
}

/* As a user without rights, since root may write everywhere. */
static void in_a_read_only_folder_one_can_read(void **state)
{
    (void)state;
    stigstore *store = open_store(path);
    assert_int_equal(
        stigstore_save_resource(store, stigstore_text("k"), stigstore_text("i"), stigstore_text("x"), NULL),
        STIGSTORE_OK);
    stigstore_free(&store);
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));) /* the database and what lies beside it */
        if (entry->d_name[0] != '.')
            assert_int_equal(fchmodat(dirfd(listing), entry->d_name, 0444, 0), 0);
    closedir(listing);
    assert_int_equal(chmod(folder, 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(9);
        stigstore *other = NULL;
        stigstore_options options = {.struct_size = sizeof(options), .flags = STIGSTORE_OPEN_READ_ONLY};
        if (stigstore_open(path, NULL, &other, NULL) != STIGSTORE_READ_ONLY)
            _exit(1);
        stigstore_result *why = NULL;
        if (stigstore_open(path, &options, &other, &why) != STIGSTORE_OK) {
            print_message("%s\n", why->message);
            _exit(2);
        }
        stigstore_result_free(&why);
        int status = stigstore_get_resource(other, stigstore_text("k"), stigstore_text("i"), NULL);
        stigstore_free(&other);
        _exit(status == STIGSTORE_OK ? 0 : 3);
    }
    int code = process_join(pid);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(code, 0);
}

static void reading_beside_another_embedded_owner(void **state)
{
    (void)state;
    stigstore *store = open_store(path); /* this process owns it */
    assert_int_equal(
        stigstore_save_resource(store, stigstore_text("k"), stigstore_text("i"), stigstore_text("first"), NULL),
        STIGSTORE_OK);
    const char *get[] = {"stigstore", "get", "k", "i", "--store", path, NULL};
    struct output output = process_run(get, NULL, 0);
    assert_int_equal(output.code, 0);
    assert_string_equal(output.text, "first");
    output_free(&output);
    const char *put[] = {"stigstore", "put", "k", "i", "--store", path, "--timeout", "0.2", NULL};
    output = process_run(put, "second", 6);
    assert_int_equal(output.code, 4);
    char pid[32];
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_non_null(strstr(output.errors, pid));
    output_free(&output);
    stigstore_free(&store);
    const char *again[] = {"stigstore", "put", "k", "i", "--store", path, NULL};
    output = process_run(again, "second", 6);
    assert_int_equal(output.code, 0);
    output_free(&output);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_file_of_stigmers_is_upgraded_and_still_works_for_it),
        WITH_FOLDER(the_samples_open_upgrade_and_are_equal),
        WITH_FOLDER(files_of_others_are_refused_unmodified),
        WITH_FOLDER(a_newer_schema_is_refused_unmodified),
        WITH_FOLDER(a_truncated_file_is_refused_unmodified),
        WITH_FOLDER(a_badgerdb_folder_is_named_and_left_alone),
        WITH_FOLDER(missing_folders_are_made),
        WITH_FOLDER(in_a_read_only_folder_one_can_read),
        WITH_FOLDER(reading_beside_another_embedded_owner),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
