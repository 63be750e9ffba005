/*
 * live.c - keys taken back and given again under handles that live on, with neither side started anew.
 */
#include "tests/gate/gate.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { ROUNDS = 10, THREADS = 4 };

static struct gate gate;

static int set_up(void **state)
{
    (void)state;
    gate_prepare(&gate);
    gate_keygen(&gate, "alice");
    gate_authorize(&gate, "alice", "writer");
    gate_start(&gate);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gate_free(&gate);
    return 0;
}

static uint64_t save(stigstore *store, const char *data)
{
    stigstore_result *result = NULL;
    assert_status(
        OK, stigstore_save_resource(store, stigstore_text("k"), stigstore_text("a"), stigstore_text(data), &result));
    uint64_t revision = result->revision;
    stigstore_result_free(&result);
    return revision;
}

/* The very next call meets what the verb did, whatever it is. */
static void the_next_message_meets_the_keys_as_they_are(void **state)
{
    (void)state;
    pid_t broker = service_actor(&gate.service, "stigstore-broker", 0);
    stigstore *store = gate_entered(&gate, "alice");
    char text[64];
    uint64_t revision = save(store, "0");
    for (unsigned round = 0; round < ROUNDS; round++) {
        gate_revoke(&gate, "alice");
        assert_status(PERMISSION_DENIED, scene_save(store, "a", "revoked"));
        assert_status(PERMISSION_DENIED, scene_get(store, "a", text));
        gate_authorize(&gate, "alice", "reader");
        assert_status(PERMISSION_DENIED, scene_save(store, "a", "reader's"));
        assert_status(OK, scene_get(store, "a", text));
        gate_authorize(&gate, "alice", "writer");
        assert_int_equal(save(store, "writer's"), ++revision); /* nothing else was applied */
        scene_must_hold(store, "a", "writer's");
    }
    assert_int_equal(service_actor(&gate.service, "stigstore-broker", 0), broker);
    stigstore_free(&store);
}

static bool is_taken(void *context)
{
    int status = scene_save(context, "a", "again");
    assert_true(status == STIGSTORE_OK || status == STIGSTORE_PERMISSION_DENIED);
    return status == STIGSTORE_OK;
}

/* The handle's connection is gone, and the handshake of the next one is refused. */
static void a_key_refused_at_the_door_comes_in_when_it_is_known_again(void **state)
{
    (void)state;
    stigstore *store = gate_entered(&gate, "alice");
    uint64_t revision = save(store, "before");
    gate_revoke(&gate, "alice");
    pid_t broker = service_actor(&gate.service, "stigstore-broker", 0);
    kill(broker, SIGKILL);
    service_actor(&gate.service, "stigstore-broker", broker);
    assert_status(PERMISSION_DENIED, scene_save(store, "a", "revoked"));
    gate_authorize(&gate, "alice", "writer");
    wait_until(is_taken, store, 20, "a handle whose key is known again");
    assert_int_equal(save(store, "after"), revision + 2);
    stigstore_free(&store);
}

/* ---- in the midst of calls ---- */

struct crowd {
    stigstore *store;
    atomic_bool stop;
    atomic_uint done, denied, others;
};

static void *write_on(void *context)
{
    struct crowd *crowd = context;
    while (!atomic_load(&crowd->stop)) {
        char id[32];
        snprintf(id, sizeof(id), "%u", atomic_load(&crowd->done) + atomic_load(&crowd->denied));
        stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("crowd"),
                                     .id = stigstore_text(id)};
        int status = stigstore_call(crowd->store, &request, NULL);
        if (status == STIGSTORE_OK)
            atomic_fetch_add(&crowd->done, 1);
        else if (status == STIGSTORE_PERMISSION_DENIED)
            atomic_fetch_add(&crowd->denied, 1);
        else
            atomic_fetch_add(&crowd->others, 1);
    }
    return NULL;
}

struct goal {
    atomic_uint *count;
    unsigned above;
};

static bool is_above(void *context)
{
    struct goal *goal = context;
    return atomic_load(goal->count) > goal->above;
}

static void wait_for_more(atomic_uint *count, const char *what)
{
    struct goal goal = {count, atomic_load(count) + 2 * THREADS};
    wait_until(is_above, &goal, 20, what);
}

/* Calls of one handle by several threads: each is done or was not applied, and none is stuck behind a refused one. */
static void calls_under_way_are_done_or_refused(void **state)
{
    (void)state;
    struct crowd crowd = {.store = gate_entered(&gate, "alice")};
    pthread_t threads[THREADS];
    uint64_t revision = save(crowd.store, "before");
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_on, &crowd), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        wait_for_more(&crowd.done, "calls that are done");
        gate_revoke(&gate, "alice");
        wait_for_more(&crowd.denied, "calls that are refused");
        gate_authorize(&gate, "alice", "writer");
    }
    wait_for_more(&crowd.done, "calls that are done again");
    atomic_store(&crowd.stop, true);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.others), 0);
    assert_int_equal(save(crowd.store, "after"), revision + atomic_load(&crowd.done) + 1);
    stigstore_free(&crowd.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_next_message_meets_the_keys_as_they_are),
        TEST(a_key_refused_at_the_door_comes_in_when_it_is_known_again),
        TEST(calls_under_way_are_done_or_refused),
    };
    return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
