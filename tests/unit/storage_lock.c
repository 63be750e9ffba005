/* storage_lock.c - ownership of a database: between processes, within one, across fork, and what the file may say. */
#include "storage/lock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64], path[128], lock_path[160];
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    snprintf(place->folder, sizeof(place->folder), "/tmp/stigstore-test-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof(place->path), "%s/db", place->folder);
    snprintf(place->lock_path, sizeof(place->lock_path), "%s.lock", place->path);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", place->folder);
    int status = system(command);
    free(place);
    return status;
}

static struct lock *open_lock(const char *path)
{
    struct lock *lock = NULL;
    struct failure failure = {0};
    assert_int_equal(lock_open(path, true, &lock, &failure), STATUS_OK);
    assert_non_null(lock);
    return lock;
}

/* What a fresh process gets for the byte: the status of lock_take as its exit code. */
static int try_elsewhere(const char *path, enum lock_byte byte)
{
    pid_t child = fork();
    if (child == 0) {
        struct lock *lock;
        int status = lock_open(path, true, &lock, NULL);
        _exit(status == STATUS_OK ? lock_take(lock, byte, NULL) : 100 + status);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* A child that holds the byte until it is killed; it describes itself when `mode` says so. */
static pid_t hold_elsewhere(const char *path, enum lock_byte byte, enum lock_mode mode)
{
    int ready[2];
    char told;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct lock *lock;
        struct lock_holder self;
        if (lock_open(path, true, &lock, NULL) != STATUS_OK || lock_take(lock, byte, NULL) != STATUS_OK)
            _exit(1);
        lock_holder_self(&self, mode, "ipc:///run/store/broker.sock");
        if (mode != LOCK_NOBODY && lock_describe(lock, &self, NULL) != STATUS_OK)
            _exit(1);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &told, 1), 1);
    close(ready[0]);
    return child;
}

static void end_child(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void bytes_are_apart(void **state)
{
    struct place *place = *state;
    struct lock *lock = open_lock(place->path);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(try_elsewhere(place->path, LOCK_OWNER), STATUS_BUSY);
    assert_int_equal(try_elsewhere(place->path, LOCK_WRITER), STATUS_OK);
    lock_release(lock, LOCK_OWNER);
    assert_int_equal(try_elsewhere(place->path, LOCK_OWNER), STATUS_OK);
    lock_free(&lock);
    assert_null(lock);
    lock_free(&lock);
}

static void two_in_one_process_exclude_each_other(void **state)
{
    struct place *place = *state;
    struct lock *first = open_lock(place->path), *second = open_lock(place->path);
    struct lock_holder holder;
    assert_int_equal(lock_take(first, LOCK_WRITER, NULL), STATUS_OK);
    assert_int_equal(lock_take(second, LOCK_WRITER, &holder), STATUS_BUSY);
    assert_int_equal(holder.pid, getpid());
    assert_true(lock_is_held(second, LOCK_WRITER, NULL));
    assert_false(lock_is_held(first, LOCK_WRITER, NULL));
    lock_release(second, LOCK_WRITER);
    assert_int_equal(lock_take(second, LOCK_WRITER, NULL), STATUS_BUSY);
    lock_free(&first);
    assert_int_equal(lock_take(second, LOCK_WRITER, NULL), STATUS_OK);
    lock_free(&second);
}

static void closing_one_keeps_the_others_locks(void **state)
{
    struct place *place = *state;
    struct lock *first = open_lock(place->path), *second = open_lock(place->path), *asking = NULL;
    assert_int_equal(lock_take(first, LOCK_OWNER, NULL), STATUS_OK);
    lock_free(&second);
    assert_int_equal(lock_open(place->path, false, &asking, NULL), STATUS_OK);
    assert_true(lock_is_held(asking, LOCK_OWNER, NULL));
    lock_free(&asking);
    assert_int_equal(try_elsewhere(place->path, LOCK_OWNER), STATUS_BUSY);
    lock_free(&first);
    assert_int_equal(try_elsewhere(place->path, LOCK_OWNER), STATUS_OK);
}

static void the_kernel_lets_go_for_the_killed(void **state)
{
    struct place *place = *state;
    pid_t child = hold_elsewhere(place->path, LOCK_OWNER, LOCK_SERVICE);
    struct lock *lock = open_lock(place->path);
    struct lock_holder holder;
    assert_int_equal(lock_take(lock, LOCK_OWNER, &holder), STATUS_BUSY);
    assert_int_equal(holder.pid, child);
    assert_int_equal(holder.mode, LOCK_SERVICE);
    assert_string_equal(holder.endpoint, "ipc:///run/store/broker.sock");
    assert_false(holder.stopped_cleanly);
    end_child(child);
    assert_false(lock_is_held(lock, LOCK_OWNER, &holder));
    assert_int_equal(holder.pid, child);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    lock_free(&lock);
}

static void an_older_owners_text_is_not_the_holders(void **state)
{
    struct place *place = *state;
    end_child(hold_elsewhere(place->path, LOCK_OWNER, LOCK_STANDALONE));
    pid_t child = hold_elsewhere(place->path, LOCK_OWNER, LOCK_NOBODY);
    struct lock *lock = open_lock(place->path);
    struct lock_holder holder;
    assert_true(lock_is_held(lock, LOCK_OWNER, &holder));
    assert_int_equal(holder.pid, child);
    assert_int_equal(holder.mode, LOCK_NOBODY);
    assert_string_equal(holder.endpoint, "");
    end_child(child);
    lock_free(&lock);
}

static void a_child_holds_nothing(void **state)
{
    struct place *place = *state;
    struct lock *lock = open_lock(place->path);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    pid_t child = fork();
    if (child == 0) {
        struct lock *other;
        if (lock_take(lock, LOCK_OWNER, NULL) != STATUS_FORKED || lock_take(lock, LOCK_WRITER, NULL) != STATUS_FORKED)
            _exit(1);
        if (!lock_is_held(lock, LOCK_OWNER, NULL))
            _exit(2);
        if (lock_open(place->path, false, &other, NULL) != STATUS_OK)
            _exit(3);
        if (lock_take(other, LOCK_OWNER, NULL) != STATUS_BUSY || lock_take(other, LOCK_WRITER, NULL) != STATUS_OK)
            _exit(4);
        lock_release(lock, LOCK_OWNER);
        lock_free(&lock);
        lock_free(&other);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(try_elsewhere(place->path, LOCK_OWNER), STATUS_BUSY);
    lock_free(&lock);
}

static void every_name_of_a_database_is_one_lock(void **state)
{
    struct place *place = *state;
    char link_path[160], dotted[160];
    snprintf(link_path, sizeof(link_path), "%s/link", place->folder);
    snprintf(dotted, sizeof(dotted), "%s/./../%s/db", place->folder, strrchr(place->folder, '/') + 1);
    assert_int_equal(symlink(place->path, link_path), 0);
    struct lock *lock = NULL;
    assert_int_equal(lock_open(link_path, true, &lock, NULL), STATUS_NOT_FOUND);
    close(open(place->path, O_CREAT | O_WRONLY, 0600));
    lock = open_lock(place->path);
    struct lock *linked = open_lock(link_path), *other = open_lock(dotted);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(lock_take(linked, LOCK_OWNER, NULL), STATUS_BUSY);
    assert_int_equal(lock_take(other, LOCK_OWNER, NULL), STATUS_BUSY);
    lock_free(&linked);
    lock_free(&other);
    lock_free(&lock);
}

static void description_comes_back_whole(void **state)
{
    struct place *place = *state;
    struct lock *lock = open_lock(place->path), *other = open_lock(place->path);
    struct lock_holder self, seen;
    char endpoint[sizeof(self.endpoint)];
    memset(endpoint, 'e', sizeof(endpoint));
    endpoint[sizeof(endpoint) - 1] = '\0';
    lock_holder_self(&self, LOCK_STANDALONE, endpoint);
    assert_int_equal(self.pid, getpid());
    memset(self.host, 'h', sizeof(self.host) - 1);
    self.stopped_cleanly = true;
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(lock_describe(lock, &self, NULL), STATUS_OK);
    assert_true(lock_is_held(other, LOCK_OWNER, &seen));
    assert_int_equal(seen.mode, LOCK_STANDALONE);
    assert_int_equal(seen.pid, self.pid);
    assert_int_equal(seen.pid_namespace, self.pid_namespace);
    assert_string_equal(seen.host, self.host);
    assert_string_equal(seen.endpoint, endpoint);
    assert_memory_equal(seen.boot_id, self.boot_id, sizeof(self.boot_id));
    assert_true(seen.stopped_cleanly);
    lock_holder_self(&self, LOCK_EMBEDDED, NULL);
    assert_int_equal(lock_describe(lock, &self, NULL), STATUS_OK);
    assert_true(lock_is_held(other, LOCK_OWNER, &seen));
    assert_string_equal(seen.endpoint, "");
    lock_holder_self(&self, LOCK_SERVICE, "ipc://a\nmode embedded");
    assert_int_equal(lock_describe(lock, &self, NULL), STATUS_INVALID_ARGUMENT);
    lock_free(&lock);
    lock_free(&other);
}

/* Each byte of a good text changed, and each cut: the text is the same or disbelieved, never another. */
static void a_damaged_text_is_not_believed(void **state)
{
    struct place *place = *state;
    struct lock *lock = open_lock(place->path), *other = open_lock(place->path);
    struct lock_holder self, seen;
    char text[2048];
    lock_holder_self(&self, LOCK_SERVICE, "ipc://somewhere");
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(lock_describe(lock, &self, NULL), STATUS_OK);
    lock_release(lock, LOCK_OWNER);
    /* Opening and closing is harmless now: no byte is held. */
    int fd = open(place->lock_path, O_RDWR | O_CLOEXEC);
    ssize_t size = read(fd, text, sizeof(text));
    assert_true(size > 64);
    for (ssize_t at = 0; at < size; at++) {
        char changed = (char)(text[at] ^ 0x15);
        assert_int_equal(pwrite(fd, &changed, 1, at), 1);
        assert_false(lock_is_held(other, LOCK_OWNER, &seen));
        assert_true(seen.mode == LOCK_NOBODY ||
                    (seen.pid == self.pid && strcmp(seen.endpoint, "ipc://somewhere") == 0));
        assert_int_equal(pwrite(fd, text + at, 1, at), 1);
    }
    for (ssize_t cut = size; cut-- > 0;) {
        assert_int_equal(ftruncate(fd, cut), 0);
        assert_false(lock_is_held(other, LOCK_OWNER, &seen));
        assert_true(seen.mode == LOCK_NOBODY || strcmp(seen.endpoint, "ipc://somewhere") == 0);
    }
    close(fd);
    lock_free(&lock);
    lock_free(&other);
}

static void a_replaced_lock_file_is_noticed(void **state)
{
    struct place *place = *state;
    struct lock *lock = open_lock(place->path);
    assert_int_equal(unlink(place->lock_path), 0);
    pid_t child = hold_elsewhere(place->path, LOCK_OWNER, LOCK_SERVICE);
    assert_true(lock_is_held(lock, LOCK_OWNER, NULL));
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_BUSY);
    end_child(child);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(try_elsewhere(place->path, LOCK_OWNER), STATUS_BUSY);
    lock_free(&lock);
}

static void opening(void **state)
{
    struct place *place = *state;
    struct lock *lock = NULL;
    struct failure failure = {0};
    struct stat file;
    char deep[192];
    assert_int_equal(lock_open(place->path, false, &lock, &failure), STATUS_NOT_FOUND);
    assert_null(lock);
    assert_non_null(strstr(failure.message, place->path));
    snprintf(deep, sizeof(deep), "%s/a/b/db", place->folder);
    assert_int_equal(lock_open(deep, false, &lock, &failure), STATUS_NOT_FOUND);
    lock = open_lock(deep);
    lock_free(&lock);
    snprintf(deep, sizeof(deep), "%s/a/b", place->folder);
    assert_int_equal(stat(deep, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0700);
    snprintf(deep, sizeof(deep), "%s/a/b/db.lock", place->folder);
    assert_int_equal(stat(deep, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(mkfifo(place->lock_path, 0600), 0);
    assert_int_equal(lock_open(place->path, true, &lock, &failure), STATUS_IO_ERROR);
}

/* As nobody, who may look but not write. */
static int look_as_nobody(const struct place *place)
{
    struct lock *lock = NULL;
    char fresh[160];
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
        return 77;
    snprintf(fresh, sizeof(fresh), "%s/other", place->folder);
    if (lock_open(fresh, true, &lock, NULL) != STATUS_READ_ONLY)
        return 1;
    if (lock_open(place->path, true, &lock, NULL) != STATUS_READ_ONLY)
        return 2;
    if (lock_open(place->path, false, &lock, NULL) != STATUS_OK)
        return 3;
    if (!lock_is_held(lock, LOCK_OWNER, NULL) || lock_is_held(lock, LOCK_WRITER, NULL))
        return 4;
    if (lock_take(lock, LOCK_WRITER, NULL) != STATUS_READ_ONLY)
        return 5;
    lock_free(&lock);
    return 0;
}

static void where_nothing_may_be_written(void **state)
{
    struct place *place = *state;
    struct lock *lock = open_lock(place->path);
    assert_int_equal(lock_take(lock, LOCK_OWNER, NULL), STATUS_OK);
    assert_int_equal(chmod(place->lock_path, 0444), 0);
    assert_int_equal(chmod(place->folder, 0555), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(look_as_nobody(place));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(place->folder, 0755), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    lock_free(&lock);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(bytes_are_apart),
        IN_A_FOLDER(two_in_one_process_exclude_each_other),
        IN_A_FOLDER(closing_one_keeps_the_others_locks),
        IN_A_FOLDER(the_kernel_lets_go_for_the_killed),
        IN_A_FOLDER(an_older_owners_text_is_not_the_holders),
        IN_A_FOLDER(a_child_holds_nothing),
        IN_A_FOLDER(every_name_of_a_database_is_one_lock),
        IN_A_FOLDER(description_comes_back_whole),
        IN_A_FOLDER(a_damaged_text_is_not_believed),
        IN_A_FOLDER(a_replaced_lock_file_is_noticed),
        IN_A_FOLDER(opening),
        IN_A_FOLDER(where_nothing_may_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
