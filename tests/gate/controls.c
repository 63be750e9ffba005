/*
 * controls.c - a broker with one part broken: it does not listen at all, or the tests of this folder would see it.
 */
#include "tests/gate/crush.h"
#include "tests/gate/far.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LOCKED_OUT_MS = 2000 };

static struct gate gate;

static void break_part(const char *part)
{
    setenv("LD_PRELOAD", BROKEN_LIBRARY, 1);
    setenv("STIGSTORE_BROKEN", part, 1);
}

static void mend(void)
{
    unsetenv("LD_PRELOAD");
    unsetenv("STIGSTORE_BROKEN");
}

static int set_up(void **state)
{
    (void)state;
    gate_prepare(&gate);
    gate_keygen(&gate, "alice");
    gate_authorize(&gate, "alice", "writer");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mend();
    gate_free(&gate);
    return 0;
}

static void start_with_broken(const char *part)
{
    break_part(part);
    gate_start(&gate);
    mend();
}

/* A broker alone on the gate's port; false: it ended and never was ready. */
static bool broker_listens(void)
{
    char *endpoint = folder_path(gate.folder, "b.sock"), *url = NULL;
    bool is_ready = false;
    assert_true(asprintf(&url, "ipc://%s", endpoint) > 0);
    const char *const arguments[] = {"stigstore-broker", "--endpoint", url,       "--listen",
                                     gate.url,           "--keys",     gate.keys, NULL};
    pid_t pid = scene_start(arguments, -2, &is_ready);
    if (is_ready)
        kill(pid, SIGKILL);
    int code = process_join(pid);
    assert_true(is_ready || code == 11 || code == 12);
    free(url);
    free(endpoint);
    return is_ready;
}

static void without_a_working_handler_it_does_not_listen(void **state)
{
    (void)state;
    static const char *const parts[] = {"handler", "enforce", "forgotten"};
    assert_true(broker_listens());
    for (size_t i = 0; i < 3; i++) {
        break_part(parts[i]);
        assert_false(broker_listens());
        mend();
    }
    break_part("admit"); /* what breaks nothing at the start is no reason */
    assert_true(broker_listens());
}

static void a_handler_that_admits_all_is_seen(void **state)
{
    (void)state;
    gate_keygen(&gate, "stranger");
    start_with_broken("admit");
    assert_true(far_is_let_in(&gate, "stranger", gate.server_key));
    /* A message of its is refused all the same: that is looked up anew. */
    stigstore *store = NULL;
    assert_status(PERMISSION_DENIED, gate_enter(&gate, "stranger", 20000, &store));
}

static void a_broker_that_hears_of_no_change_is_seen(void **state)
{
    (void)state;
    start_with_broken("deaf");
    stigstore *store = gate_entered(&gate, "alice");
    gate_revoke(&gate, "alice");
    scene_must_save(store, "a", "revoked");
    stigstore_free(&store);
}

static void a_broker_that_displaces_nobody_is_seen(void **state)
{
    (void)state;
    static struct crush crush;
    if (!crush_is_possible())
        skip();
    start_with_broken("sticky");
    crush_begin(&crush, &gate);
    stigstore *store = NULL;
    assert_status(UNAVAILABLE, gate_enter(&gate, "alice", LOCKED_OUT_MS, &store));
    crush_end(&crush);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_working_handler_it_does_not_listen),
        TEST(a_handler_that_admits_all_is_seen),
        TEST(a_broker_that_hears_of_no_change_is_seen),
        TEST(a_broker_that_displaces_nobody_is_seen),
    };
    return cmocka_run_group_tests_name("controls", tests, NULL, NULL);
}
