/*
 * lockout.c - peers without a key take all places: those with one, and those on this host, come in and stay all the same.
 */
#include "tests/gate/crush.h"

/* Less than the time after which libzmq itself ends a handshake. */
enum { IN_TIME_MS = 3000, FEW = 40 };

static void who_has_a_key_finds_a_place(void **state)
{
    (void)state;
    static struct crush crush;
    struct gate gate;
    if (!crush_is_possible())
        skip();
    gate_open(&gate);
    stigstore *before = gate_entered(&gate, "owner"), *far[FEW] = {NULL};
    int64_t began_ms = scene_now_ms();
    crush_begin(&crush, &gate);
    long displaced = gate_number(&gate, "connections_displaced"); /* asked for on this host */
    scene_must_save(before, "a", "connected before");
    for (size_t i = 0; i < FEW; i++)
        assert_status(OK, gate_enter(&gate, "owner", IN_TIME_MS, &far[i]));
    scene_must_save(far[0], "a", "from afar");
    displaced = gate_number(&gate, "connections_displaced") - displaced;
    assert_true(displaced >= FEW || scene_now_ms() - began_ms > IN_TIME_MS); /* each needed a place */
    scene_must_save(before, "a", "still connected");
    for (size_t i = 0; i < FEW; i++) {
        scene_must_hold(far[i], "a", "still connected"); /* who has spoken keeps the place */
        stigstore_free(&far[i]);
    }
    crush_end(&crush);
    stigstore_free(&before);
    gate_free(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_a_key_finds_a_place),
    };
    return cmocka_run_group_tests_name("lockout", tests, NULL, NULL);
}
