/*
 * storage_file.c - what a file is, whether it is sound, and putting a copy in its place.
 */
#include "storage_file_support.h"

#include "storage/file.h"
#include "storage/lock.h"

/* ---- inspect ---- */

/* Looks, and holds the folder and the file to what they were. */
static enum file_kind inspect(struct folder *folder, const char *path, struct failure *why)
{
    size_t before_size, after_size;
    unsigned entries = count_entries(folder->path);
    char *before = read_whole(path, &before_size);
    enum file_kind kind = file_inspect(path, why);
    char *after = read_whole(path, &after_size);

    assert_int_equal(count_entries(folder->path), entries);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);
    return kind;
}

static void what_is_no_database_is_named(void **state)
{
    struct folder *folder = *state;
    struct failure why;

    assert_int_equal(file_inspect(file_in(folder, "absent"), &why), FILE_ABSENT);
    assert_int_equal(file_inspect(file_in(folder, "absent/below"), &why), FILE_ABSENT);
    write_whole(file_in(folder, "empty"), "", 0);
    assert_int_equal(file_inspect(folder->name, &why), FILE_EMPTY);
    write_whole(file_in(folder, "text"),
                "not a database, but long enough to have held a header of one, and then some."
                " And more, so that it is past a hundred bytes.",
                120);
    assert_int_equal(inspect(folder, folder->name, &why), FILE_FOREIGN);
    assert_int_equal(why.status, STATUS_UNSUPPORTED);
    assert_non_null(strstr(why.message, "text"));
    assert_int_equal(file_inspect(folder->path, &why), FILE_FOREIGN);
    assert_int_equal(mkfifo(file_in(folder, "pipe"), 0600), 0);
    assert_int_equal(file_inspect(folder->name, &why), FILE_FOREIGN);
}

static void a_badger_directory_is_named(void **state)
{
    struct folder *folder = *state;
    struct failure why;

    assert_int_equal(mkdir(file_in(folder, "stigmer.db"), 0700), 0);
    assert_int_equal(file_inspect(folder->name, &why), FILE_FOREIGN);
    write_whole(file_in(folder, "stigmer.db/MANIFEST"), "", 0);
    assert_int_equal(file_inspect(file_in(folder, "stigmer.db"), &why), FILE_BADGER);
    assert_int_equal(why.status, STATUS_UNSUPPORTED);
    assert_non_null(strstr(why.message, "BadgerDB"));
}

static void databases_are_told_apart_without_a_trace(void **state)
{
    static const struct {
        const char *name;
        const char *sql;
        enum file_kind kind;
    } cases[] = {
        {"no tables", "PRAGMA journal_mode = WAL; PRAGMA user_version = 1;", FILE_EMPTY},
        {"other", "CREATE TABLE notes (a)", FILE_FOREIGN},
        {"other wal", "PRAGMA journal_mode = WAL; CREATE TABLE notes (a)", FILE_FOREIGN},
        {"of another program", "PRAGMA application_id = 7; " STIGMER_RESOURCES, FILE_FOREIGN},
        {"more columns", "CREATE TABLE resources (kind, id, data, updated_at, x, PRIMARY KEY (kind, id))",
         FILE_FOREIGN},
        {"another key", "CREATE TABLE resources (kind, id, data, updated_at, PRIMARY KEY (id))", FILE_FOREIGN},
        {"a trigger", STIGMER_RESOURCES "CREATE TRIGGER t AFTER DELETE ON resources BEGIN SELECT 1; END", FILE_FOREIGN},
        {"a name of ours", STIGMER_RESOURCES "CREATE TABLE idempotency (a)", FILE_FOREIGN},
        {"their meta", STIGMER_RESOURCES "CREATE TABLE meta (key, val)", FILE_FOREIGN},
        {"schema 1?#%41", STIGMER_SCHEMA_1, FILE_STIGMER},
        {"schema 2", STIGMER_SCHEMA_2, FILE_STIGMER},
        {"unversioned", STIGMER_RESOURCES, FILE_STIGMER},
        {"our mark alone", "PRAGMA application_id = 1398032211; CREATE TABLE a (b)", FILE_DAMAGED},
    };
    struct folder *folder = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct failure why;
        make_database(file_in(folder, cases[i].name), cases[i].sql);
        if (inspect(folder, folder->name, &why) != cases[i].kind)
            fail_msg("%s: %s", cases[i].name, why.message);
    }
    make_ours(file_in(folder, "ours"), SCHEMA_VERSION);
    assert_int_equal(inspect(folder, folder->name, NULL), FILE_OURS);
}

static void a_newer_schema_is_named(void **state)
{
    struct failure why;

    make_ours(file_in(*state, "store"), SCHEMA_VERSION + 1);
    assert_int_equal(inspect(*state, ((struct folder *)*state)->name, &why), FILE_NEWER);
    assert_int_equal(why.status, STATUS_UNSUPPORTED);
}

static void what_stands_only_in_the_wal_counts(void **state)
{
    const char *path = file_in(*state, "store");
    sqlite3 *db = open_database(path);

    run_sql(db, STIGMER_SCHEMA_1);
    assert_int_equal(file_inspect(path, NULL), FILE_STIGMER);
    run_sql(db, "INSERT INTO resources (kind, id, data) VALUES ('k', 'the lock outlives the look', x'01')");
    sqlite3_close(db);
}

/* As a kill in the middle of a transaction leaves it: pages half written, and the journal that takes them back. */
static void whose_an_unfinished_transaction_is_can_be_seen(void **state)
{
    struct folder *folder = *state;
    size_t size;
    sqlite3 *db = open_database(file_in(folder, "killed"));

    run_sql(db, "PRAGMA cache_size = 5;" STIGMER_RESOURCES
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300)"
                " INSERT INTO resources (kind, id, data) SELECT 'k', i, randomblob(3000) FROM n;"
                "BEGIN; UPDATE resources SET data = randomblob(3000);");
    char *bytes = read_whole(folder->name, &size);
    write_whole(file_in(folder, "copy"), bytes, size);
    free(bytes);
    bytes = read_whole(file_in(folder, "killed-journal"), &size);
    write_whole(file_in(folder, "copy-journal"), bytes, size);
    free(bytes);
    sqlite3_close(db);
    assert_int_equal(inspect(folder, file_in(folder, "copy"), NULL), FILE_STIGMER);
    make_database(folder->name, "SELECT count(*) FROM resources");
    assert_int_equal(inspect(folder, folder->name, NULL), FILE_STIGMER);
}

/* The first transaction of a new file: page 1 is on the disk in part, and the journal says that there was nothing. */
static void what_a_power_cut_left_of_a_new_file_is_empty(void **state)
{
    static const unsigned char journal[512] = {0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7, 0, 0, 0, 0, 1,    2,
                                               3,    4,    0,    0,    0,    0,    0,    0,    2, 0, 0, 0, 0x10, 0};
    struct folder *folder = *state;
    struct failure why;
    static char page[4096];

    page[4000] = 1;
    write_whole(file_in(folder, "db"), page, sizeof page);
    assert_int_equal(inspect(folder, folder->name, &why), FILE_FOREIGN);
    write_whole(file_in(folder, "db-journal"), journal, sizeof journal);
    assert_int_equal(inspect(folder, file_in(folder, "db"), &why), FILE_EMPTY);
    assert_int_equal(why.status, STATUS_OK);
    assert_query(file_in(folder, "db"), "SELECT count(*) FROM sqlite_schema", "0\n"); /* SQLite agrees */
}

static void cut_files_are_damaged(void **state)
{
    const char *path = file_in(*state, "store");
    struct failure why;
    size_t size;

    make_ours(path, SCHEMA_VERSION);
    char *bytes = read_whole(path, &size);
    static const size_t lost[] = {1, 512, 4096, 9000};
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        write_whole(path, bytes, size - lost[i]);
        assert_int_equal(inspect(*state, path, &why), FILE_DAMAGED);
        assert_int_equal(why.status, STATUS_CORRUPT);
    }
    free(bytes);
}

/* ---- verify ---- */

struct findings {
    unsigned damage, notices;
    char text[4096];
};

static void collect(void *context, bool is_notice, const char *line)
{
    struct findings *findings = context;
    size_t used = strlen(findings->text);

    *(is_notice ? &findings->notices : &findings->damage) += 1;
    snprintf(findings->text + used, sizeof findings->text - used, "%s\n", line);
}

static int verify(const char *path, struct findings *findings)
{
    *findings = (struct findings){0};
    return file_verify(path, collect, findings, NULL);
}

static void a_sound_file_has_no_findings(void **state)
{
    struct folder *folder = *state;
    struct findings findings;

    make_ours(file_in(folder, "store"), SCHEMA_VERSION);
    assert_int_equal(verify(folder->name, &findings), STATUS_OK);
    assert_string_equal(findings.text, "");
    assert_int_equal(count_entries(folder->path), 1);
    assert_int_equal(verify(file_in(folder, "absent"), &findings), STATUS_NOT_FOUND);
}

static void malformed_rows_are_notices_by_name(void **state)
{
    const char *path = file_in(*state, "store");
    struct findings findings;

    make_ours(path, SCHEMA_VERSION);
    make_database(path, "INSERT INTO resources (kind, id, data) VALUES ('k', 'k_audit/broken', x'01'),"
                        " ('k', 'k_audit/fine/12', x'01'), ('k', '', x'01'), ('k', char(10) || 'x', x'01')");
    assert_int_equal(verify(path, &findings), STATUS_OK);
    assert_int_equal(findings.damage, 0);
    assert_int_equal(findings.notices, 5); /* four names, and that four rows have no revision yet */
    assert_non_null(strstr(findings.text, "'k_audit/broken': it begins like an audit record"));
    assert_non_null(strstr(findings.text, "'k_audit/fine/12': it looks like an audit record"));
    assert_non_null(strstr(findings.text, "'?x': its id breaks the rules"));
}

static void broken_invariants_are_found(void **state)
{
    static const char *const broken[] = {
        "UPDATE resources SET revision = 99 WHERE id = 'a'",
        "UPDATE resource_audit SET revision = 0",
        "UPDATE resources SET data = 'text' WHERE id = 'b'",
        "UPDATE meta SET value = x'00' WHERE name = 'incarnation'",
        "DROP INDEX resources_unstamped",
        "DROP TABLE session_log",
        "INSERT INTO idempotency VALUES (x'00', x'00', 0, 0, x'', x'', 0, 0)",
    };

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char name[16];
        struct findings findings;
        snprintf(name, sizeof name, "store%zu", i);
        const char *path = file_in(*state, name);
        make_ours(path, SCHEMA_VERSION);
        make_database(path, broken[i]);
        assert_int_equal(verify(path, &findings), STATUS_CORRUPT);
        if (findings.damage != 1)
            fail_msg("%s: %s", broken[i], findings.text);
    }
}

static void damaged_pages_are_found(void **state)
{
    const char *path = file_in(*state, "store");
    struct findings findings;
    size_t size;

    make_ours(path, SCHEMA_VERSION);
    char *bytes = read_whole(path, &size);
    memset(bytes + 4096, 0, 4096);
    write_whole(path, bytes, size);
    assert_int_equal(verify(path, &findings), STATUS_CORRUPT);
    assert_true(findings.damage > 0);
    write_whole(path, bytes, size - 100);
    assert_int_equal(verify(path, &findings), STATUS_CORRUPT);
    assert_int_equal(findings.damage, 1);
    free(bytes);
}

/* ---- restore ---- */

static void paths(struct folder *folder, char copy[128], char store[128])
{
    snprintf(copy, 128, "%s", file_in(folder, "copy.sqlite"));
    snprintf(store, 128, "%s", file_in(folder, "store.sqlite"));
}

static void restore(const char *copy, const char *store)
{
    struct failure failure;
    if (file_restore(copy, store, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
}

static void the_copy_takes_the_place_of_a_crashed_database(void **state)
{
    struct folder *folder = *state;
    char copy[128], store[128];
    struct stat entry;

    paths(folder, copy, store);
    make_ours(copy, SCHEMA_VERSION);
    make_ours(store, SCHEMA_VERSION);
    make_database(store, "UPDATE resources SET data = x'99'");
    /* A -wal with commits in it, as a crash leaves it. */
    sqlite3 *db = open_database(store);
    run_sql(db, "UPDATE resources SET data = x'77'");
    size_t size;
    char *wal = read_whole(file_in(folder, "store.sqlite-wal"), &size);
    assert_true(size > 0);
    sqlite3_close(db);
    write_whole(file_in(folder, "store.sqlite-wal"), wal, size);
    free(wal);

    restore(copy, store);
    assert_query(store, "SELECT id, hex(data) FROM resources", "a|01\nb|02\n");
    assert_query(store, "PRAGMA integrity_check", "ok\n");
    assert_int_equal(stat(store, &entry), 0);
    assert_int_equal(entry.st_mode & 0777, 0600);
    assert_query(copy, "SELECT id, hex(data) FROM resources", "a|01\nb|02\n");
    assert_int_equal(count_entries(folder->path), 3); /* both, and the lock */
}

static void each_restore_is_a_life_of_its_own(void **state)
{
    struct folder *folder = *state;
    char copy[128], store[128];
    static const char sql[] = "SELECT hex(value) FROM meta WHERE name = 'incarnation'";

    paths(folder, copy, store);
    make_ours(copy, SCHEMA_VERSION);
    restore(copy, store);
    sqlite3 *db = open_database(store);
    char *first = query_text(db, sql);
    sqlite3_close(db);
    restore(copy, store);
    db = open_database(store);
    char *second = query_text(db, sql);
    sqlite3_close(db);
    assert_string_not_equal(first, second);
    assert_query(store, "SELECT value FROM meta WHERE name = 'revision'", "2\n");
    sqlite3_free(first);
    sqlite3_free(second);
}

static void commits_that_stand_in_the_copys_wal_come_along(void **state)
{
    struct folder *folder = *state;
    char copy[128], store[128];

    paths(folder, copy, store);
    make_ours(copy, SCHEMA_VERSION);
    sqlite3 *db = open_database(copy);
    run_sql(db, "UPDATE resources SET data = x'55' WHERE id = 'a'");
    restore(copy, store);
    sqlite3_close(db);
    assert_query(store, "SELECT id, hex(data) FROM resources", "a|55\nb|02\n");
}

static void a_database_somebody_owns_is_left_alone(void **state)
{
    struct folder *folder = *state;
    char copy[128], store[128], pid[32];
    struct failure failure;
    struct lock *lock = NULL;
    struct lock_holder self;

    paths(folder, copy, store);
    make_ours(copy, SCHEMA_VERSION);
    make_ours(store, SCHEMA_VERSION);
    make_database(store, "UPDATE resources SET data = x'99'");
    assert_int_equal(lock_open(store, true, &lock, &failure), STATUS_OK);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    lock_holder_self(&self, LOCK_EMBEDDED, "");
    assert_int_equal(lock_describe(lock, &self, &failure), STATUS_OK);
    assert_int_equal(file_restore(copy, store, &failure), STATUS_BUSY);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_non_null(strstr(failure.message, pid));
    lock_free(&lock);
    assert_query(store, "SELECT id, hex(data) FROM resources", "a|99\nb|99\n");
    restore(copy, store);
}

static void what_is_no_sound_copy_is_refused(void **state)
{
    struct folder *folder = *state;
    char copy[128], store[128];
    struct failure failure;
    size_t size;

    paths(folder, copy, store);
    make_ours(store, SCHEMA_VERSION);
    assert_int_equal(file_restore(copy, store, &failure), STATUS_NOT_FOUND);
    assert_int_equal(file_restore(store, store, &failure), STATUS_INVALID_ARGUMENT);
    make_database(copy, "CREATE TABLE notes (a)");
    assert_int_equal(file_restore(copy, store, &failure), STATUS_UNSUPPORTED);
    unlink(copy);
    make_ours(copy, SCHEMA_VERSION);
    char *bytes = read_whole(copy, &size);
    memset(bytes + 4096, 0, 4096);
    write_whole(copy, bytes, size);
    free(bytes);
    assert_int_equal(file_restore(copy, store, &failure), STATUS_CORRUPT);
    assert_query(store, "SELECT id, hex(data) FROM resources", "a|01\nb|02\n");
    assert_int_equal(count_entries(folder->path), 3);
}

static void somebody_elses_file_is_not_replaced(void **state)
{
    struct folder *folder = *state;
    char copy[128], store[128];
    struct failure failure;

    paths(folder, copy, store);
    make_ours(copy, SCHEMA_VERSION);
    make_database(store, "CREATE TABLE notes (a)");
    assert_int_equal(file_restore(copy, store, &failure), STATUS_UNSUPPORTED);
    assert_query(store, "SELECT name FROM sqlite_schema", "notes\n");
}

static void a_link_goes_on_leading_to_the_database(void **state)
{
    struct folder *folder = *state;
    char copy[128], store[128], link[128];
    struct stat entry;

    paths(folder, copy, store);
    snprintf(link, sizeof link, "%s", file_in(folder, "link"));
    make_ours(copy, SCHEMA_VERSION);
    make_ours(store, SCHEMA_VERSION);
    make_database(store, "DELETE FROM resources");
    assert_int_equal(symlink(store, link), 0);
    restore(copy, link);
    assert_int_equal(lstat(link, &entry), 0);
    assert_true(S_ISLNK(entry.st_mode));
    assert_query(store, "SELECT id FROM resources", "a\nb\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_no_database_is_named),
        TEST(a_badger_directory_is_named),
        TEST(databases_are_told_apart_without_a_trace),
        TEST(a_newer_schema_is_named),
        TEST(what_stands_only_in_the_wal_counts),
        TEST(whose_an_unfinished_transaction_is_can_be_seen),
        TEST(what_a_power_cut_left_of_a_new_file_is_empty),
        TEST(cut_files_are_damaged),
        TEST(a_sound_file_has_no_findings),
        TEST(malformed_rows_are_notices_by_name),
        TEST(broken_invariants_are_found),
        TEST(damaged_pages_are_found),
        TEST(the_copy_takes_the_place_of_a_crashed_database),
        TEST(each_restore_is_a_life_of_its_own),
        TEST(commits_that_stand_in_the_copys_wal_come_along),
        TEST(a_database_somebody_owns_is_left_alone),
        TEST(what_is_no_sound_copy_is_refused),
        TEST(somebody_elses_file_is_not_replaced),
        TEST(a_link_goes_on_leading_to_the_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
