/*
 * storage_file_upgrade.c - files of Stigmer's own store become ours in place, and nothing of them is lost.
 */
#include "storage_file_support.h"

#include "storage/file.h"
#include "storage/upgrade.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Skill messages: spec(4).tag(2) = "v1", status(5).version_hash(1) = "abc"; with fields around them. */
#define MESSAGE_BOTH \
    "x'0A0158"       \
    "2206"           \
    "1202"           \
    "7631"           \
    "1800"           \
    "2A05"           \
    "0A03"           \
    "616263'"
#define MESSAGE_NO_STATUS \
    "x'2204"              \
    "1202"                \
    "7631'"
#define MESSAGE_UNREADABLE \
    "x'2A050A03616263"     \
    "22FF'"

static void upgrade(const char *path)
{
    struct failure failure;
    int status = upgrade_run(path, NULL, &failure);

    if (status != STATUS_OK)
        fail_msg("%s", failure.message);
    assert_int_equal(file_inspect(path, &failure), FILE_OURS);
}

static void schema_1_keeps_every_row_in_its_place(void **state)
{
    const char *path = file_in(*state, "store.sqlite");

    make_database(path,
                  STIGMER_SCHEMA_1 "INSERT INTO resources VALUES ('skill', 's1', x'00FF00', '2026-01-01 00:00:00'),"
                                   " ('skill', 's2', x'', '2026-01-02 00:00:00'),"
                                   " ('workflow', 's1', x'01', '2026-01-03 00:00:00'),"
                                   " ('skill', 'skill_audit/s1/1000', x'04', '2026-01-08 00:00:00'),"
                                   " ('skill', 'skill_audit/s1/999', " MESSAGE_BOTH ", '2026-01-09 00:00:00'),"
                                   " ('skill', 'skill_audit/s1/0998', x'03', '2026-01-07 00:00:00'),"
                                   " ('skill', 'skill_audit/a/b/997', x'02', '2026-01-06 00:00:00');");
    assert_int_equal(file_inspect(path, NULL), FILE_STIGMER);
    upgrade(path);
    assert_query(path, "SELECT kind, id, hex(data), updated_at, created_at, revision FROM resources ORDER BY kind, id",
                 "skill|s1|00FF00|2026-01-01 00:00:00|2026-01-01 00:00:00|1\n"
                 "skill|s2||2026-01-02 00:00:00|2026-01-02 00:00:00|1\n"
                 "workflow|s1|01|2026-01-03 00:00:00|2026-01-03 00:00:00|1\n");
    assert_query(path,
                 "SELECT resource_id, length(data), archived_at, version_hash, tag FROM resource_audit ORDER BY id",
                 "a/b|1|2026-01-06 00:00:00||\n"
                 "s1|1|2026-01-07 00:00:00||\n"
                 "s1|18|2026-01-09 00:00:00|abc|v1\n"
                 "s1|1|2026-01-08 00:00:00||\n");
    assert_query(path, "SELECT version FROM schema_version ORDER BY 1", "1\n2\n");
    assert_query(path, "SELECT value FROM meta WHERE name = 'revision'", "1\n");
    assert_query(path, "PRAGMA integrity_check", "ok\n");
}

static void only_ids_of_the_whole_form_are_audit(void **state)
{
    const char *path = file_in(*state, "store.sqlite");

    make_database(path,
                  STIGMER_SCHEMA_1 "INSERT INTO resources (kind, id, data) VALUES ('skill', 'skill_audit/x', x'01'),"
                                   " ('skill', 'skill_audit//5', x'01'), ('skill', 'skill_audit/x/12a', x'01'),"
                                   " ('skill', 'skill_audit/x/', x'01'), ('skill', 'workflow_audit/x/1', x'01'),"
                                   " ('skill', 'skill_audit/9', x'01'), ('skill', 'my_skill_audit/x/9', x'01'),"
                                   " ('workflow', 'workflow_audit/w/7', " MESSAGE_BOTH ");");
    upgrade(path);
    assert_query(path, "SELECT id FROM resources ORDER BY id",
                 "my_skill_audit/x/9\nskill_audit//5\nskill_audit/9\nskill_audit/x\nskill_audit/x/\nskill_audit/x/12a\n"
                 "workflow_audit/x/1\n");
    assert_query(path, "SELECT kind, resource_id, version_hash, tag FROM resource_audit", "workflow|w||\n");
}

static void empty_hashes_and_tags_are_read_from_the_message(void **state)
{
    const char *path = file_in(*state, "store.sqlite");

    make_database(path, STIGMER_SCHEMA_2
                  "INSERT INTO resource_audit (id, kind, resource_id, data, version_hash, tag) VALUES"
                  " (7, 'skill', 'a', " MESSAGE_BOTH ", '', ''), (3, 'skill', 'a', " MESSAGE_BOTH ", 'own', NULL),"
                  " (9, 'skill', 'b', " MESSAGE_NO_STATUS ", NULL, ''), (11, 'skill', 'b', " MESSAGE_UNREADABLE
                  ", '', ''),"
                  " (12, 'agent', 'c', " MESSAGE_BOTH ", '', ''), (13, 'skill', 'd', x'', '', 't');");
    upgrade(path);
    assert_query(path, "SELECT id, kind, resource_id, version_hash, tag, revision FROM resource_audit ORDER BY id",
                 "3|skill|a|own|v1|1\n"
                 "7|skill|a|abc|v1|1\n"
                 "9|skill|b|NULL|v1|1\n"
                 "11|skill|b|||1\n"
                 "12|agent|c|||1\n"
                 "13|skill|d||t|1\n");
}

static void later_schemas_keep_their_number_and_other_tables(void **state)
{
    const char *path = file_in(*state, "store.sqlite");

    make_database(path, STIGMER_SCHEMA_2
                  "INSERT INTO schema_version (version) VALUES (3), (4), (5), (6);"
                  "CREATE TABLE bootstrap_state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
                  "CREATE INDEX bootstrap_value ON bootstrap_state (value);"
                  "INSERT INTO bootstrap_state VALUES ('a', 'b');"
                  "CREATE VIEW names AS SELECT id FROM resources;"
                  "INSERT INTO resources (kind, id, data) VALUES ('skill', 's', x'01');"
                  "INSERT INTO resource_audit (kind, resource_id, data) VALUES ('skill', 's', x'02');");
    upgrade(path);
    assert_query(path, "SELECT version FROM schema_version ORDER BY 1", "1\n2\n3\n4\n5\n6\n");
    assert_query(path, "SELECT key, value FROM bootstrap_state INDEXED BY bootstrap_value WHERE value = 'b'", "a|b\n");
    assert_query(path, "SELECT id FROM names", "s\n");
}

static void a_file_from_before_versions_gets_them(void **state)
{
    const char *path = file_in(*state, "store.sqlite");

    make_database(path, STIGMER_RESOURCES "INSERT INTO resources (kind, id, data) VALUES"
                                          " ('skill', 's', x'01'), ('skill', 'skill_audit/s/1', x'02');");
    upgrade(path);
    assert_query(path, "SELECT version FROM schema_version ORDER BY 1", "1\n2\n");
    assert_query(path, "SELECT count(*) FROM resources UNION ALL SELECT count(*) FROM resource_audit", "1\n1\n");
}

static void what_it_was_is_kept_beside_it(void **state)
{
    struct folder *folder = *state;
    char path[128];
    struct stat entry;

    snprintf(path, sizeof path, "%s", file_in(folder, "store.sqlite"));
    write_whole(file_in(folder, "store.sqlite.stigmer-v1.backup"), "mine", 4);
    write_whole(file_in(folder, "store.sqlite.stigmer-backup-unfinished"), "killed", 6);
    make_database(path, STIGMER_SCHEMA_1
                  "INSERT INTO resources (kind, id, data) VALUES ('skill', 'skill_audit/s/1', x'02');");
    upgrade(path);
    assert_query(file_in(folder, "store.sqlite.stigmer-v1.backup-2"), "SELECT id, hex(data) FROM resources",
                 "skill_audit/s/1|02\n");
    assert_int_equal(stat(folder->name, &entry), 0);
    assert_int_equal(entry.st_mode & 0777, 0600);
    assert_int_equal(file_inspect(folder->name, NULL), FILE_STIGMER);
    size_t size;
    char *bytes = read_whole(file_in(folder, "store.sqlite.stigmer-v1.backup"), &size);
    assert_int_equal(size, 4);
    free(bytes);
    assert_int_equal(count_entries(folder->path), 3);
}

static void upgrading_again_changes_nothing(void **state)
{
    struct folder *folder = *state;
    const char *path = file_in(folder, "store.sqlite");
    size_t before, after;

    make_database(path, STIGMER_SCHEMA_2);
    upgrade(path);
    char *first = read_whole(path, &before);
    upgrade(path);
    char *second = read_whole(path, &after);
    assert_int_equal(before, after);
    assert_memory_equal(first, second, before);
    assert_int_equal(count_entries(folder->path), 2);
    free(first);
    free(second);
}

static void an_idle_program_beside_it_is_seen(void **state)
{
    struct folder *folder = *state;
    const char *path = file_in(folder, "store.sqlite");
    struct failure failure;

    make_database(path, STIGMER_SCHEMA_1);
    sqlite3 *other = open_database(path);
    run_sql(other, "PRAGMA journal_mode = WAL; SELECT count(*) FROM resources;");
    assert_int_equal(upgrade_run(path, NULL, &failure), STATUS_BUSY);
    assert_non_null(strstr(failure.message, "another program"));
    run_sql(other, "INSERT INTO resources (kind, id, data) VALUES ('skill', 'still mine', x'01');");
    sqlite3_close(other);
    assert_int_equal(count_entries(folder->path), 1);
    upgrade(path);
    assert_query(path, "SELECT id FROM resources", "still mine\n");
}

static void what_cannot_be_upgraded_stays_as_it_was(void **state)
{
    const char *path = file_in(*state, "store.sqlite");
    struct failure failure;

    make_database(path, "PRAGMA journal_mode = WAL; CREATE TABLE schema_version (version INTEGER PRIMARY KEY,"
                        " applied_at TEXT NOT NULL); INSERT INTO schema_version VALUES (1, 'then');" STIGMER_RESOURCES
                        "INSERT INTO resources (kind, id, data) VALUES ('skill', 'skill_audit/s/1', x'02');");
    assert_int_not_equal(upgrade_run(path, NULL, &failure), STATUS_OK);
    assert_int_equal(file_inspect(path, NULL), FILE_STIGMER);
    assert_query(path, "SELECT id FROM resources", "skill_audit/s/1\n");
}

static void a_foreign_file_is_not_touched(void **state)
{
    struct folder *folder = *state;
    const char *path = file_in(folder, "store.sqlite");
    struct failure failure;

    make_database(path, "CREATE TABLE resources (kind, id, data, updated_at, more)");
    assert_int_equal(upgrade_run(path, NULL, &failure), STATUS_UNSUPPORTED);
    assert_query(path, "SELECT count(*) FROM sqlite_schema", "1\n");
    assert_int_equal(count_entries(folder->path), 1);
}

static void copy_whole(struct folder *folder, const char *from, const char *to)
{
    size_t size;
    char *bytes = read_whole(file_in(folder, from), &size);

    assert_true(size > 0);
    write_whole(file_in(folder, to), bytes, size);
    free(bytes);
}

/* As a killed Stigmer leaves it: its last commits stand in the -wal alone. */
static void commits_in_a_left_over_wal_come_along(void **state)
{
    struct folder *folder = *state;
    sqlite3 *killed = open_database(file_in(folder, "live.sqlite"));

    run_sql(killed, "PRAGMA wal_autocheckpoint = 0;" STIGMER_SCHEMA_1);
    run_sql(killed,
            "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO resources (kind, id, data) VALUES ('skill', 'last', x'01')");
    copy_whole(folder, "live.sqlite", "store.sqlite");
    copy_whole(folder, "live.sqlite-wal", "store.sqlite-wal");
    sqlite3_close(killed);
    upgrade(file_in(folder, "store.sqlite"));
    assert_query(folder->name, "SELECT id FROM resources", "last\n");
    assert_query(file_in(folder, "store.sqlite.stigmer-v1.backup"), "SELECT id FROM resources", "last\n");
}

/* The limit stands in for a full disk: the backup copy still fits, the new tables do not. */
static int upgrade_with_little_room(const char *path, rlim_t bytes)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        const struct rlimit limit = {bytes, bytes};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(upgrade_run(path, NULL, NULL));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_full_disk_leaves_it_as_it_was(void **state)
{
    struct folder *folder = *state;
    const char *path = file_in(folder, "store.sqlite");
    struct stat entry;

    make_database(path, STIGMER_SCHEMA_1 "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)"
                                         " INSERT INTO resources (kind, id, data)"
                                         " SELECT 'skill', 'skill_audit/s/' || i, randomblob(20000) FROM n");
    assert_int_equal(stat(path, &entry), 0);
    assert_int_equal(upgrade_with_little_room(path, (rlim_t)entry.st_size / 4), STATUS_STORAGE_FULL);
    assert_int_equal(count_entries(folder->path), 1);
    assert_int_equal(upgrade_with_little_room(path, (rlim_t)entry.st_size + 8192), STATUS_STORAGE_FULL);
    assert_int_equal(file_inspect(path, NULL), FILE_STIGMER);
    assert_query(path, "SELECT count(*) FROM resources", "200\n");
    upgrade(path);
    assert_query(path, "SELECT count(*) FROM resource_audit", "200\n");
}

/* The statements of Stigmer's own store, word for word in what matters: their columns and their order. */
static void one_can_go_back_and_forth(void **state)
{
    const char *path = file_in(*state, "store.sqlite");

    make_database(path, STIGMER_SCHEMA_1
                  "INSERT INTO resources (kind, id, data) VALUES ('skill', 's', x'01');"
                  "INSERT INTO resources VALUES ('skill', 'skill_audit/s/1', x'02', '2026-01-01 00:00:00');");
    upgrade(path);
    make_database(path, "INSERT OR REPLACE INTO resources (kind, id, data, updated_at)"
                        " VALUES ('skill', 's', x'05', datetime('now'));"
                        "INSERT OR REPLACE INTO resources (kind, id, data, updated_at)"
                        " VALUES ('skill', 'new', x'06', datetime('now'));"
                        "INSERT INTO resource_audit (kind, resource_id, data, version_hash, tag)"
                        " VALUES ('skill', 's', x'07', 'h', 't');"
                        "DELETE FROM resources WHERE kind = 'skill' AND id GLOB 'skill_audit/*';");
    assert_query(path, "SELECT hex(data) FROM resources WHERE kind = 'skill' AND id = 's'", "05\n");
    assert_query(path,
                 "SELECT hex(data) FROM resource_audit WHERE kind = 'skill' AND resource_id = 's'"
                 " ORDER BY archived_at DESC, id DESC",
                 "07\n02\n");
    assert_query(path,
                 "SELECT hex(data) FROM resource_audit WHERE kind = 'skill' AND resource_id = 's' AND"
                 " version_hash = 'h' ORDER BY archived_at DESC LIMIT 1",
                 "07\n");
    assert_int_equal(file_inspect(path, NULL), FILE_OURS);
}

/* ---- the real ones, where they are at hand ---- */

static char *upgraded_dump(struct folder *folder, const char *data, const char *name)
{
    char from[512];
    size_t size;

    snprintf(from, sizeof from, "%s/%s", data, name);
    char *bytes = read_whole(from, &size);
    const char *path = file_in(folder, name);
    write_whole(path, bytes, size);
    free(bytes);
    upgrade(path);
    assert_query(path, "SELECT count(*), sum(kind = 'skill') FROM resources", "260|260\n");
    assert_query(path, "SELECT count(*), sum(version_hash <> ''), sum(tag <> '') FROM resource_audit", "364|364|364\n");
    sqlite3 *db = open_database(path);
    char *dump = query_text(db, "SELECT id, updated_at, hex(data) FROM resources ORDER BY kind, id");
    char *audit = query_text(db, "SELECT resource_id, archived_at, version_hash, tag, hex(data) FROM resource_audit"
                                 " ORDER BY kind, resource_id, id DESC");
    char *both = sqlite3_mprintf("%s\n%s", dump, audit);
    sqlite3_free(dump);
    sqlite3_free(audit);
    sqlite3_close(db);
    return both;
}

static void both_real_layouts_give_the_same(void **state)
{
    const char *data = getenv("STIGSTORE_TEST_DATA");

    if (!data)
        skip();
    char *first = upgraded_dump(*state, data, "stigmer-v1.sqlite");
    char *second = upgraded_dump(*state, data, "stigmer-v2.sqlite");
    assert_true(strcmp(first, second) == 0);
    sqlite3_free(first);
    sqlite3_free(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(schema_1_keeps_every_row_in_its_place),
        TEST(only_ids_of_the_whole_form_are_audit),
        TEST(empty_hashes_and_tags_are_read_from_the_message),
        TEST(later_schemas_keep_their_number_and_other_tables),
        TEST(a_file_from_before_versions_gets_them),
        TEST(what_it_was_is_kept_beside_it),
        TEST(upgrading_again_changes_nothing),
        TEST(an_idle_program_beside_it_is_seen),
        TEST(what_cannot_be_upgraded_stays_as_it_was),
        TEST(a_foreign_file_is_not_touched),
        TEST(commits_in_a_left_over_wal_come_along),
        TEST(a_full_disk_leaves_it_as_it_was),
        TEST(one_can_go_back_and_forth),
        TEST(both_real_layouts_give_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
