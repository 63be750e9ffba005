/*
 * storage_file_crash.c - restore and upgrade in a process that dies, once before each of its acts on the disk.
 *
 * SQLite's acts are counted by a file system over its own, ours by functions in the place of the C library's.
 */
#include "storage_file_support.h"

#include "storage/file.h"
#include "storage/upgrade.h"
#include "tests/unit/storage_write_fault.h"

#include <fcntl.h>
#include <sys/wait.h>

int rename(const char *from, const char *to)
{
    fault_act();
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
    fault_act();
    return unlinkat(AT_FDCWD, path, 0);
}

int fsync(int fd)
{
    fault_act();
    return fdatasync(fd);
}

enum { LIVED = 7 };

/* Runs it in a process that dies instead of its act of this number. True: it has fewer, and came to its end. */
static bool run_until_death(int (*run)(struct folder *), struct folder *folder, int acts)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        fault = (struct fault){.dies = true, .acts_before = acts};
        _exit(run(folder) == STATUS_OK ? LIVED : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == LIVED);
    return WEXITSTATUS(status) == LIVED;
}

/* `judge` each file of the folder. */
static void for_each_file(struct folder *folder, void (*judge)(const char *path))
{
    DIR *directory = opendir(folder->path);
    char path[512];

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        snprintf(path, sizeof path, "%s/%s", folder->path, entry->d_name);
        if (entry->d_name[0] != '.')
            judge(path);
    }
    closedir(directory);
}

static void remove_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void copy_file(struct folder *folder, const char *from, const char *to)
{
    size_t size;
    char *bytes = read_whole(file_in(folder, from), &size);

    assert_true(size > 0);
    write_whole(file_in(folder, to), bytes, size);
    free(bytes);
}

/* store.sqlite, as a killed process leaves it: what `last` did stands in the -wal alone. */
static void make_crashed(struct folder *folder, const char *sql, const char *last)
{
    sqlite3 *killed = open_database(file_in(folder, "live.sqlite"));

    run_sql(killed, "PRAGMA wal_autocheckpoint = 0");
    run_sql(killed, sql);
    run_sql(killed, "PRAGMA wal_checkpoint(TRUNCATE)");
    run_sql(killed, last);
    copy_file(folder, "live.sqlite", "store.sqlite");
    copy_file(folder, "live.sqlite-wal", "store.sqlite-wal");
    sqlite3_close(killed);
    remove_file(file_in(folder, "live.sqlite"));
}

static bool holds(const char *path, const char *sql, const char *text)
{
    sqlite3 *db = open_database(path);
    char *found = query_text(db, sql);
    bool is_equal = strcmp(found, text) == 0;

    sqlite3_free(found);
    sqlite3_close(db);
    return is_equal;
}

/* ---- restore ---- */

static const char all_data[] = "SELECT hex(data) FROM resources";
static const char old_data[] = "77\n77\n";
static const char new_data[] = "55\n55\n";

static int restore(struct folder *folder)
{
    char copy[128];

    snprintf(copy, sizeof copy, "%s", file_in(folder, "copy.sqlite"));
    return file_restore(copy, file_in(folder, "store.sqlite"), NULL);
}

static void make_store_and_copy(struct folder *folder)
{
    make_ours(file_in(folder, "copy.sqlite"), SCHEMA_VERSION);
    make_database(folder->name, "UPDATE resources SET data = x'55'");
    make_ours(file_in(folder, "live.sqlite"), SCHEMA_VERSION);
    make_crashed(folder, "", "UPDATE resources SET data = x'77'");
}

static void a_killed_restore_leaves_the_old_store_or_the_new_one(void **state)
{
    struct folder *folder = *state;
    unsigned kept_old = 0;
    bool lived = false;

    for (int acts = 0; !lived; acts++) {
        assert_true(acts < 1000);
        make_store_and_copy(folder);
        lived = run_until_death(restore, folder, acts);
        const char *store = file_in(folder, "store.sqlite");
        bool is_old = holds(store, all_data, old_data);
        if (is_old == holds(store, all_data, new_data))
            fail_msg("killed at act %d: neither the old store nor the new one", acts);
        assert_query(store, "PRAGMA integrity_check", "ok\n");
        kept_old += is_old;

        assert_int_equal(restore(folder), STATUS_OK);
        assert_query(file_in(folder, "store.sqlite"), all_data, new_data);
        assert_int_equal(count_entries(folder->path), 3); /* both, and the lock */
        for_each_file(folder, remove_file);
    }
    assert_true(kept_old > 10);
}

/* A reader's snapshot may need what only the -wal holds. */
static void a_store_that_is_being_read_is_not_replaced_before_it_is_whole(void **state)
{
    struct folder *folder = *state;

    make_store_and_copy(folder);
    sqlite3 *reader = open_database(file_in(folder, "store.sqlite"));
    run_sql(reader, "BEGIN; SELECT * FROM resources");
    make_database(file_in(folder, "store.sqlite"), "PRAGMA wal_autocheckpoint = 0; UPDATE resources SET data = x'66'");
    assert_int_equal(restore(folder), STATUS_BUSY);
    assert_query(file_in(folder, "store.sqlite"), all_data, "66\n66\n");
    run_sql(reader, "COMMIT");
    assert_int_equal(restore(folder), STATUS_OK);
    sqlite3_close(reader);
    assert_query(file_in(folder, "store.sqlite"), all_data, new_data);
}

/* ---- upgrade ---- */

static const char ids[] = "SELECT id FROM resources ORDER BY id";
static const char stigmer_ids[] = "last\ns\nskill_audit/s/1\nskill_audit/s/2\n";
static const char our_ids[] = "last\ns\n";

static int upgrade(struct folder *folder)
{
    return upgrade_run(file_in(folder, "store.sqlite"), NULL, NULL);
}

static void judge_leftover(const char *path)
{
    assert_null(strstr(path, "unfinished"));
    if (strstr(path, ".backup"))
        assert_query(path, ids, stigmer_ids);
}

static void a_killed_upgrade_leaves_the_old_file_or_the_new_one(void **state)
{
    struct folder *folder = *state;
    unsigned kept_old = 0, became_new = 0;
    bool lived = false;

    for (int acts = 0; !lived; acts++) {
        assert_true(acts < 1000);
        make_crashed(folder,
                     STIGMER_SCHEMA_1 "INSERT INTO resources (kind, id, data) VALUES ('skill', 's', x'01'),"
                                      " ('skill', 'skill_audit/s/1', x'02'), ('skill', 'skill_audit/s/2', x'03')",
                     "INSERT INTO resources (kind, id, data) VALUES ('skill', 'last', randomblob(9000))");
        lived = run_until_death(upgrade, folder, acts);
        const char *store = file_in(folder, "store.sqlite");
        enum file_kind kind = file_inspect(store, NULL);
        assert_true(kind == FILE_STIGMER || kind == FILE_OURS);
        assert_query(store, ids, kind == FILE_OURS ? our_ids : stigmer_ids);
        kept_old += kind == FILE_STIGMER;
        became_new += kind == FILE_OURS;

        assert_int_equal(upgrade(folder), STATUS_OK);
        store = file_in(folder, "store.sqlite");
        assert_query(store, ids, our_ids);
        assert_query(store, "SELECT resource_id, hex(data) FROM resource_audit ORDER BY id", "s|02\ns|03\n");
        assert_query(store, "PRAGMA integrity_check", "ok\n");
        assert_true(count_entries(folder->path) >= 2); /* with a copy of what it was */
        for_each_file(folder, judge_leftover);
        for_each_file(folder, remove_file);
    }
    assert_true(kept_old > 10 && became_new > 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_restore_leaves_the_old_store_or_the_new_one),
        TEST(a_store_that_is_being_read_is_not_replaced_before_it_is_whole),
        TEST(a_killed_upgrade_leaves_the_old_file_or_the_new_one),
    };
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
