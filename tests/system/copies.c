/*
 * copies.c - backups under load: each copy is one revision, opens and verifies; embedded and through the service.
 */
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 4, COPIES = 3, FILLER = 200, FILLER_BYTES = 50000 };

struct pairs {
    const char *url;
    atomic_bool stop;
    atomic_uint_fast64_t saved;
    pthread_t threads[PAIRS];
    stigstore *stores[PAIRS];
    atomic_uint next;
};

/* Two ids far apart in the file, always with the same number, saved together. */
static int save_pair(stigstore *store, unsigned pair, uint64_t number)
{
    char first[16], last[16];
    snprintf(first, sizeof(first), "a%u", pair);
    snprintf(last, sizeof(last), "z%u", pair);
    stigstore_bytes data = {&number, sizeof(number)};
    stigstore_request parts[] = {
        {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("pair"), .id = stigstore_text(first), .data = data},
        {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("pair"), .id = stigstore_text(last), .data = data}};
    stigstore_request both = {STIGSTORE_REQUEST(TRANSACT), .parts = parts, .part_count = 2};
    return stigstore_call(store, &both, NULL);
}

static void *save_pairs(void *context)
{
    struct pairs *pairs = context;
    unsigned pair = atomic_fetch_add(&pairs->next, 1);
    for (uint64_t number = 1; !atomic_load(&pairs->stop); number++) {
        int status = save_pair(pairs->stores[pair], pair, number);
        if (status != STIGSTORE_OK)
            return (void *)(uintptr_t)stigstore_status_name(status);
        atomic_fetch_add(&pairs->saved, 1);
    }
    return NULL;
}

static bool has_saved(void *context)
{
    struct pairs *pairs = context;
    return atomic_load(&pairs->saved) > 200;
}

static uint64_t number_of(stigstore *store, const char *stem, unsigned pair)
{
    char id[16];
    uint64_t number = 0;
    stigstore_result *result = NULL;
    snprintf(id, sizeof(id), "%s%u", stem, pair);
    assert_status(OK, stigstore_get_resource(store, stigstore_text("pair"), stigstore_text(id), &result));
    memcpy(&number, result->items[0].data.data, sizeof(number));
    stigstore_result_free(&result);
    return number;
}

/* One revision: its pairs are equal, and as many changes were made as it says. */
static void check_copy(const char *copy, uint64_t revision)
{
    stigstore *store = load_open(copy, 20000);
    uint64_t changes = FILLER;
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        uint64_t number = number_of(store, "a", pair);
        assert_int_equal(number, number_of(store, "z", pair));
        changes += number;
    }
    assert_int_equal(store_revision(store), changes);
    assert_int_equal(revision, changes);
    assert_int_equal(scene_count(store, "filler"), FILLER);
    scene_must_save(store, "a", "it is a store of its own");
    stigstore_free(&store);
    const char *verify[] = {"verify", "--store", copy, NULL};
    scene_expect(0, "", verify, NULL);
}

static void fill(stigstore *store)
{
    char *data = calloc(1, FILLER_BYTES), id[16];
    assert_non_null(data);
    for (unsigned i = 0; i < FILLER; i++) { /* so that a copy takes many steps */
        snprintf(id, sizeof(id), "%05u", i);
        assert_status(OK, stigstore_save_resource(store, stigstore_text("filler"), stigstore_text(id),
                                                  (stigstore_bytes){data, FILLER_BYTES}, NULL));
    }
    free(data);
}

static void copy_under_load(const char *url, const char *folder)
{
    struct pairs pairs = {.url = url};
    stigstore *store = load_open(url, 20000);
    fill(store);
    for (unsigned i = 0; i < PAIRS; i++)
        pairs.stores[i] = load_open(url, 20000);
    for (unsigned i = 0; i < PAIRS; i++)
        assert_int_equal(pthread_create(&pairs.threads[i], NULL, save_pairs, &pairs), 0);
    wait_until(has_saved, &pairs, 30, "some pairs");
    uint64_t revisions[COPIES], saved = 0;
    for (unsigned i = 0; i < COPIES; i++) {
        char copy[200];
        stigstore_result *result = NULL;
        snprintf(copy, sizeof(copy), "%s/copy%u.sqlite", folder, i);
        saved = atomic_load(&pairs.saved);
        assert_status(OK, stigstore_backup(store, copy, &result));
        assert_true(atomic_load(&pairs.saved) > saved); /* others went on meanwhile */
        revisions[i] = result->revision;
        stigstore_result_free(&result);
    }
    atomic_store(&pairs.stop, true);
    for (unsigned i = 0; i < PAIRS; i++) {
        void *failure = NULL;
        pthread_join(pairs.threads[i], &failure);
        if (failure)
            fail_msg("a save: %s", (const char *)failure);
    }
    for (unsigned i = 0; i < PAIRS; i++)
        stigstore_free(&pairs.stores[i]);
    stigstore_free(&store);
    for (unsigned i = 0; i < COPIES; i++) {
        char copy[200];
        snprintf(copy, sizeof(copy), "%s/copy%u.sqlite", folder, i);
        check_copy(copy, revisions[i]);
    }
}

static void a_backup_through_the_service(void **state)
{
    (void)state;
    struct service service = service_start(NULL, NULL);
    copy_under_load(service.url, service.folder);
    service_free(&service);
}

static void a_backup_of_an_embedded_store(void **state)
{
    (void)state;
    char *folder = folder_new(), *database = folder_path(folder, "store.sqlite");
    copy_under_load(database, folder);
    free(database);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_through_the_service),
        cmocka_unit_test(a_backup_of_an_embedded_store),
    };
    return cmocka_run_group_tests_name("backups under load", tests, NULL, NULL);
}
