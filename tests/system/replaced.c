/*
 * replaced.c - another database under open handles: by restore, by mv, by an older copy; each handle is told once.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALLS = 12 };

/* Local reads, reads through the broker, and one that never read. */
struct handles {
    stigstore *local, *through, *writing;
};

static struct handles open_handles(const struct service *service)
{
    return (struct handles){.local = load_open(service->url, 20000),
                            .through = load_open(scene_through_broker(service), 20000),
                            .writing = load_open(service->url, 20000)};
}

static void free_handles(struct handles *handles)
{
    stigstore_free(&handles->local);
    stigstore_free(&handles->through);
    stigstore_free(&handles->writing);
}

/* WENT_BACK from the first call, then `data` from all others. */
static void is_told_once(stigstore *store, const char *data)
{
    char text[64];
    assert_status(WENT_BACK, scene_get(store, "a", text));
    for (unsigned i = 0; i < CALLS; i++)
        scene_must_hold(store, "a", data);
}

static void reads_are_told_once(stigstore *store, const char *data)
{
    is_told_once(store, data);
    scene_must_save(store, "mine", "x"); /* the same handle writes without another word of it */
    scene_must_hold(store, "mine", "x");
}

/* A write that was sent before the news came may have been applied to the store before: its outcome is lost, and then
 * the news is told. */
static void writes_are_told_once(stigstore *store)
{
    int status = scene_save(store, "told", "x");
    if (status != STIGSTORE_WENT_BACK) {
        assert_status(OUTCOME_LOST, status);
        assert_status(WENT_BACK, scene_save(store, "told", "x"));
    }
    for (unsigned i = 0; i < CALLS; i++)
        scene_must_save(store, "later", "x");
}

static void each_is_told_once(struct handles *handles, const char *data)
{
    reads_are_told_once(handles->local, data);
    reads_are_told_once(handles->through, data);
    writes_are_told_once(handles->writing);
}

static void warm_up(struct handles *handles, const char *data)
{
    scene_must_save(handles->writing, "a", data);
    scene_must_hold(handles->local, "a", data);
    scene_must_hold(handles->through, "a", data);
    scene_must_save(handles->local, "mine", "x");
    scene_must_save(handles->through, "mine", "x");
}

static void a_restore_is_told_once_to_each_handle(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    struct handles handles = open_handles(&service);
    char *copy = folder_path(service.folder, "copy.sqlite");
    warm_up(&handles, "before");
    assert_status(OK, stigstore_backup(handles.writing, copy, NULL));
    warm_up(&handles, "after");

    const char *restore[] = {"restore", copy, "--store", service.database, NULL};
    struct output output = scene_run(4, restore, NULL, 0); /* somebody owns it */
    char pid[32];
    snprintf(pid, sizeof(pid), "%ld", (long)service.pid);
    assert_non_null(strstr(output.errors, pid));
    output_free(&output);
    scene_must_hold(handles.local, "a", "after");

    assert_int_equal(service_stop(&service), 0);
    scene_expect(0, "", restore, NULL);
    service_restart(&service);
    each_is_told_once(&handles, "before");
    free_handles(&handles);
    assert_int_equal(service_stop(&service), 0);
    const char *verify[] = {"verify", "--store", service.database, NULL};
    scene_expect(0, "", verify, NULL);
    free(copy);
    service_free(&service);
}

static void run_shell(const char *script, const char *first, const char *second)
{
    const char *arguments[] = {"/bin/sh", "-ec", script, "sh", first, second, NULL};
    struct output output = process_run(arguments, NULL, 0);
    if (output.code != 0)
        fail_msg("%s: %s", script, output.errors);
    output_free(&output);
}

static const char *const move_files = "for s in '' -wal -shm; do [ ! -e \"$1$s\" ] || mv \"$1$s\" \"$2$s\"; done";
static const char *const copy_files = "for s in '' -wal; do [ ! -e \"$1$s\" ] || cp \"$1$s\" \"$2$s\"; done";

/* Under the same incarnation, but from before: told to who has seen a higher revision. */
static void an_older_copy_by_hand_is_told_once(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    struct handles handles = open_handles(&service);
    char *copy = folder_path(service.folder, "copy.sqlite"), *away = folder_path(service.folder, "away.sqlite");
    warm_up(&handles, "before");
    assert_int_equal(service_stop(&service), 0);
    run_shell(copy_files, service.database, copy);
    service_restart(&service);
    warm_up(&handles, "after");
    warm_up(&handles, "after");
    assert_int_equal(service_stop(&service), 0);
    run_shell(move_files, service.database, away);
    run_shell(move_files, copy, service.database);
    service_restart(&service);
    is_told_once(handles.local, "before");
    is_told_once(handles.through, "before");
    scene_must_save(handles.local, "mine", "x");
    scene_must_save(handles.through, "mine", "x");
    free_handles(&handles);
    free(copy);
    free(away);
    service_free(&service);
}

static void make_other(const char *path, const char *data)
{
    stigstore *store = load_open(path, 20000);
    scene_must_save(store, "a", data);
    stigstore_free(&store);
}

/* The writer notices, is replaced, and nothing of what is answered is in the file that went. */
static void a_file_moved_away_from_under_a_service(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    struct handles handles = open_handles(&service);
    char *other = folder_path(service.folder, "other.sqlite"), *away = folder_path(service.folder, "away.sqlite");
    warm_up(&handles, "old");
    make_other(other, "new");
    run_shell(move_files, service.database, away);
    run_shell(move_files, other, service.database);
    writes_are_told_once(handles.writing);
    reads_are_told_once(handles.local, "new");
    reads_are_told_once(handles.through, "new");
    free_handles(&handles);
    assert_int_equal(service_stop(&service), 0);
    stigstore *present = load_open(service.database, 20000), *gone = load_open(away, 20000);
    char text[64];
    scene_must_hold(present, "later", "x");
    assert_status(NOT_FOUND, scene_get(gone, "later", text));
    scene_must_hold(gone, "a", "old");
    stigstore_free(&present);
    stigstore_free(&gone);
    free(other);
    free(away);
    service_free(&service);
}

/* Nobody writes: reads alone find out. */
static void a_file_moved_away_from_under_readers(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    struct handles handles = open_handles(&service);
    char *other = folder_path(service.folder, "other.sqlite"), *away = folder_path(service.folder, "away.sqlite");
    warm_up(&handles, "old");
    make_other(other, "new");
    run_shell(move_files, service.database, away);
    run_shell(move_files, other, service.database);
    reads_are_told_once(handles.local, "new");
    reads_are_told_once(handles.through, "new");
    free_handles(&handles);
    free(other);
    free(away);
    service_free(&service);
}

/* Embedded: nothing is answered OK that is only in the file that went. */
static void a_file_moved_away_from_under_its_owner(void **state)
{
    (void)state;
    char *folder = folder_new(), *path = folder_path(folder, "store.sqlite"), *away = folder_path(folder, "away"),
         *other = folder_path(folder, "other.sqlite");
    make_other(other, "new");
    stigstore *store = load_open(path, 20000);
    scene_must_save(store, "a", "old");
    scene_must_hold(store, "a", "old");
    run_shell(move_files, path, away);
    run_shell(move_files, other, path);
    int status = scene_save(store, "later", "x");
    assert_int_not_equal(status, STIGSTORE_OK);
    scene_must_save(store, "later", "x"); /* opened anew */
    scene_must_hold(store, "a", "new");
    scene_must_hold(store, "later", "x");
    stigstore_free(&store);
    store = load_open(away, 20000);
    char text[64];
    assert_status(NOT_FOUND, scene_get(store, "later", text));
    stigstore_free(&store);
    free(path);
    free(away);
    free(other);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restore_is_told_once_to_each_handle),
        cmocka_unit_test(an_older_copy_by_hand_is_told_once),
        cmocka_unit_test(a_file_moved_away_from_under_a_service),
        cmocka_unit_test(a_file_moved_away_from_under_readers),
        cmocka_unit_test(a_file_moved_away_from_under_its_owner),
    };
    return cmocka_run_group_tests_name("replaced files", tests, NULL, NULL);
}
