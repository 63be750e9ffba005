/*
 * full.c - a service on a file system that is really full: reads go on, deletes are accepted, and it recovers by itself.
 *
 *     full PROGRAMS
 *
 * The file system is one in memory, in a mount namespace of the test's own; where that is not allowed the test is
 * skipped.  PROGRAMS: the folder with the service's programs.
 */
#include "tests/system/scene.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { DATA_BYTES = 20000, SAVES_BEFORE = 400, SAVES_MOST = 4000, SKIPPED = 77, PATIENCE_S = 60 };

static const char *programs;

struct place {
    char *folder;
    char database[128], url[160], through_broker[180], ballast[128];
    pid_t pid;
    stigstore *local, *broker; /* lanes for reading */
    unsigned saved;            /* ids 0 and up were acknowledged */
};

static char data[DATA_BYTES];

static stigstore_bytes id_of(unsigned number)
{
    static char id[16];

    snprintf(id, sizeof id, "%05u", number);
    return stigstore_text(id);
}

static int save(stigstore *store, unsigned number)
{
    const stigstore_bytes bytes = {data, sizeof data};

    memcpy(data, &number, sizeof number);
    return stigstore_save_resource(store, stigstore_text("k"), id_of(number), bytes, NULL);
}

static bool holds(stigstore *store, unsigned number)
{
    stigstore_result *result = NULL;
    int status = stigstore_get_resource(store, stigstore_text("k"), id_of(number), &result);
    bool is_there = status == STIGSTORE_OK && result->items[0].data.size == sizeof data &&
                    memcmp(result->items[0].data.data, &number, sizeof number) == 0;

    if (status != STIGSTORE_OK && status != STIGSTORE_NOT_FOUND)
        fail_msg("reading %u: %s", number, stigstore_status_name(status));
    stigstore_result_free(&result);
    return is_there;
}

static stigstore *open_store(const char *url)
{
    stigstore *store = NULL;

    assert_status(OK, stigstore_open(url, NULL, &store, NULL));
    return store;
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    place->folder = folder_new();
    assert_int_equal(mount("none", place->folder, "tmpfs", 0, "size=24m,mode=700"), 0);
    snprintf(place->database, sizeof place->database, "%s/store.sqlite", place->folder);
    snprintf(place->url, sizeof place->url, "ipc://%s/run/broker.sock", place->folder);
    snprintf(place->through_broker, sizeof place->through_broker, "%s?reads=broker", place->url);
    snprintf(place->ballast, sizeof place->ballast, "%s/ballast", place->folder);
    place->pid = scene_serve(programs, place->database, place->url);
    place->local = open_store(place->url);
    place->broker = open_store(place->through_broker);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    stigstore_free(&place->local);
    stigstore_free(&place->broker);
    if (place->pid) {
        kill(place->pid, SIGKILL);
        process_join(place->pid);
    }
    umount2(place->folder, MNT_DETACH);
    folder_remove(&place->folder);
    free(place);
    return 0;
}

/* ---- full ---- */

/* Something else takes all that is left. */
static void take_what_is_left(const struct place *place)
{
    static const char bytes[65536];
    int fd = open(place->ballast, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    for (size_t size = sizeof bytes; size; size /= 2)
        while (write(fd, bytes, size) > 0)
            continue;
    close(fd);
}

/* The reserve is the store's until it gives it up. */
static void fill(struct place *place)
{
    int status = STIGSTORE_OK;

    for (; status == STIGSTORE_OK; place->saved += status == STIGSTORE_OK) {
        assert_true(place->saved < SAVES_MOST);
        if (place->saved == SAVES_BEFORE)
            take_what_is_left(place);
        status = save(place->local, place->saved);
    }
    assert_true(place->saved >= SAVES_BEFORE);
    assert_status(STORAGE_FULL, status);
    assert_status(STORAGE_FULL, save(place->local, place->saved));
}

static void expect_all(const struct place *place, unsigned from)
{
    assert_int_equal(scene_count(place->broker, "k"), place->saved - from);
    for (unsigned i = from; i < place->saved; i += 1 + (place->saved - from) / 50) {
        assert_true(holds(place->local, i));
        assert_true(holds(place->broker, i));
    }
    assert_false(holds(place->local, place->saved));
}

static bool is_saved(void *context)
{
    struct place *place = context;
    int status = save(place->local, place->saved);

    if (status == STIGSTORE_OK)
        place->saved++;
    else
        assert_status(STORAGE_FULL, status);
    return status == STIGSTORE_OK;
}

static void delete (struct place *place, unsigned number)
{
    assert_status(OK, stigstore_delete_resource(place->local, stigstore_text("k"), id_of(number), NULL));
    assert_false(holds(place->local, number));
    assert_false(holds(place->broker, number));
}

/* In order, and the file is whole. */
static void stop(struct place *place)
{
    const char *verify[] = {"verify", NULL};

    kill(place->pid, SIGTERM);
    assert_int_equal(process_join(place->pid), 0);
    place->pid = 0;
    setenv("STIGSTORE_URL", place->database, 1);
    struct output output = scene_run(0, verify, NULL, 0);
    output_free(&output);
}

/* ---- tests ---- */

static void when_room_is_made_saves_are_taken_again(void **state)
{
    struct place *place = *state;

    fill(place);
    expect_all(place, 0);
    for (unsigned i = 0; i < 5; i++)
        delete (place, i);
    assert_int_equal(unlink(place->ballast), 0);
    wait_until(is_saved, place, PATIENCE_S, "a save");
    expect_all(place, 5);
    stop(place);
}

static void deletes_alone_make_room(void **state)
{
    struct place *place = *state;
    unsigned deleted;

    fill(place);
    deleted = place->saved * 3 / 4;
    for (unsigned i = 0; i < deleted; i++)
        delete (place, i);
    wait_until(is_saved, place, PATIENCE_S, "a save");
    expect_all(place, deleted);
    stop(place);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(when_room_is_made_saves_are_taken_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deletes_alone_make_room, set_up, tear_down),
    };

    if (argc != 2)
        return 2;
    programs = argv[1];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("skipped: no file system can be mounted here\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
