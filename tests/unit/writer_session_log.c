/*
 * writer_session_log.c - what a row of the session log says is what is there after a restart; damage is noticed.
 */
#include "tests/support/cmocka_all.h"
#include "writer/session_log.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t store[INCARNATION_BYTES] = "store";
static const uint8_t boot[16] = "this boot";
enum { NOW = 50000000, MOST_ROWS = 8192 };

/* Rows as the storage keeps them. */
struct fixture {
    struct session_table *table;
    struct session_log *log;
    struct span rows[MOST_ROWS]; /* row n has sequence n + 1 */
    size_t count, dropped;
    size_t bytes;
};

static struct session_table *new_table(uint64_t counter)
{
    struct session_limits limits = {.sessions = LIMIT_SESSIONS, .idle_ms = 86400000, .outcomes = 100000};
    struct session_table *table = session_table_new(&limits, store, counter);

    assert_non_null(table);
    return table;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->table = new_table(1);
    f->log = session_log_new(boot);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    session_table_free(&f->table);
    session_log_free(&f->log);
    for (size_t i = 0; i < f->count; i++)
        free((void *)f->rows[i].data);
    free(f);
    return 0;
}

static struct session_decision decide(struct fixture *f, unsigned session, uint64_t floor, uint64_t number,
                                      int64_t now_ms)
{
    struct session_header header = {.floor = floor, .counter = f->table->counter};
    struct session_key key = {.principal = {(uint8_t)(session % 2)}};

    memcpy(key.id, &session, sizeof session);
    memcpy(header.incarnation, store, sizeof store);
    return session_decide(f->table, &key, &header, number, now_ms + 5000, now_ms);
}

static void settle(struct session_decision decision, struct session_outcome outcome)
{
    assert_int_equal(decision.verdict, SESSION_APPLY);
    assert_int_equal(session_settle(decision.session, &outcome), STATUS_OK);
}

static size_t commit(struct fixture *f, int64_t now_ms)
{
    struct storage_session_record record;
    uint8_t *copy;

    session_seal(f->table, now_ms);
    assert_int_equal(session_log_encode(f->log, f->table, now_ms, &record), STATUS_OK);
    if (record.bytes.size) {
        assert_true(f->count < MOST_ROWS);
        copy = malloc(record.bytes.size);
        memcpy(copy, record.bytes.data, record.bytes.size);
        f->rows[f->count++] = (struct span){copy, record.bytes.size};
        f->bytes += record.bytes.size;
        session_log_committed(f->log, f->table, f->count);
    }
    if (record.drop_through > f->dropped)
        f->dropped = record.drop_through;
    session_commit(f->table);
    return record.bytes.size;
}

/* A new writer reads what is there, `kept_longer` of the rows that might be gone too. */
static bool restart(struct fixture *f, const uint8_t boot_id[16], size_t kept_longer, int64_t now_ms)
{
    uint64_t counter = f->table->counter;
    size_t first = f->dropped > kept_longer ? f->dropped - kept_longer : 0;

    session_table_free(&f->table);
    session_log_free(&f->log);
    f->table = new_table(counter);
    f->log = session_log_new(boot_id);
    for (size_t i = first; i < f->count; i++)
        assert_int_equal(session_log_replay(f->log, f->table, i + 1, f->rows[i], now_ms), STATUS_OK);
    return session_log_finish(f->log, f->table);
}

static void assert_outcome(struct session_decision decision, struct session_outcome outcome)
{
    assert_int_equal(decision.verdict, SESSION_SETTLED);
    assert_int_equal(decision.outcome.status, outcome.status);
    assert_int_equal(decision.outcome.flags, outcome.flags);
    assert_int_equal(decision.outcome.failed_part, outcome.failed_part);
    assert_int_equal(decision.outcome.revision, outcome.revision);
    assert_int_equal(decision.outcome.count, outcome.count);
}

static const struct session_outcome samples[] = {
    {.status = STATUS_OK, .revision = 1000},
    {.status = STATUS_OK, .revision = 1001},
    {.status = STATUS_OK, .revision = 1002, .count = 1},
    {.status = STATUS_CONFLICT, .revision = 3, .failed_part = 1023},
    {.status = STATUS_CONFLICT, .revision = 0},
    {.status = STATUS_CONFLICT, .revision = 0},
    {.status = STATUS_INVALID_ARGUMENT},
    {.status = STATUS_CANCELLED, .flags = 4},
    {.status = STATUS_DEADLINE_EXCEEDED, .count = UINT64_MAX, .revision = UINT64_MAX},
    {.status = STATUS_OK, .revision = 1, .flags = UINT16_MAX, .failed_part = UINT32_MAX},
    {.status = STATUS_OK, .revision = 2},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

/* Number 2 is applied, and in the same group the floor rises past it and past one that never came. */
static void test_what_the_floor_passed_in_its_own_group_stays_settled(void **state)
{
    struct fixture *f = *state;

    settle(decide(f, 1, 1, 1, NOW), samples[0]);
    commit(f, NOW);
    settle(decide(f, 1, 1, 2, NOW), samples[1]);
    assert_int_equal(decide(f, 1, 4, 5, NOW).status, STATUS_OUT_OF_ORDER);
    assert_true(commit(f, NOW) > 0);
    assert_true(restart(f, boot, 0, NOW));
    assert_int_equal(decide(f, 1, 1, 2, NOW).status, STATUS_BELOW_FLOOR);
    settle(decide(f, 1, 4, 4, NOW), samples[2]);
}

static void test_a_new_session_stays_although_its_floor_passed_all_it_settled(void **state)
{
    struct fixture *f = *state;

    settle(decide(f, 1, 1, 1, NOW), samples[0]);
    assert_int_equal(decide(f, 1, 3, 4, NOW).status, STATUS_OUT_OF_ORDER);
    assert_true(commit(f, NOW) > 0);
    assert_int_equal(decide(f, 1, 1, 1, NOW).status, STATUS_BELOW_FLOOR);
    session_abort(f->table);
    assert_true(restart(f, boot, 0, NOW));
    assert_int_equal(decide(f, 1, 1, 1, NOW).status, STATUS_BELOW_FLOOR);
}

static void test_outcomes_come_back(void **state)
{
    struct fixture *f = *state;

    for (unsigned s = 0; s < 3; s++)
        for (uint64_t n = 0; n < SAMPLES; n++) {
            settle(decide(f, s, 1, n + 1, NOW), samples[n]);
            if (s == 2) /* one told in changes, two told whole */
                commit(f, NOW);
        }
    assert_true(restart(f, boot, 0, NOW));
    for (unsigned s = 0; s < 3; s++) {
        for (uint64_t n = 0; n < SAMPLES; n++)
            assert_outcome(decide(f, s, 1, n + 1, NOW), samples[n]);
        assert_int_equal(decide(f, s, 1, SAMPLES + 1, NOW).verdict, SESSION_APPLY);
    }
}

static void test_floor_comes_back(void **state)
{
    struct fixture *f = *state;

    settle(decide(f, 1, 1, 1, NOW), samples[0]);
    commit(f, NOW);
    decide(f, 1, 5, 7, NOW); /* refused: nothing is recorded, and the next row tells it */
    assert_int_equal(commit(f, NOW), 0);
    settle(decide(f, 1, 6, 6, NOW), samples[1]);
    settle(decide(f, 1, 6, 7, NOW), samples[3]);
    commit(f, NOW);
    assert_true(restart(f, boot, 0, NOW));
    assert_int_equal(decide(f, 1, 1, 5, NOW).status, STATUS_BELOW_FLOOR);
    assert_outcome(decide(f, 1, 1, 6, NOW), samples[1]);
    assert_outcome(decide(f, 1, 1, 7, NOW), samples[3]);
    assert_int_equal(decide(f, 1, 1, 8, NOW).verdict, SESSION_APPLY);
}

static void test_steps_come_back(void **state)
{
    struct fixture *f = *state;
    struct session_decision decision;

    settle(decide(f, 1, 1, 1, NOW), samples[0]);
    commit(f, NOW);
    assert_int_equal(session_progress(decide(f, 1, 1, 2, NOW).session, 20000, span_text("last")), STATUS_OK);
    commit(f, NOW);
    assert_true(restart(f, boot, 0, NOW));
    decision = decide(f, 1, 1, 2, NOW);
    assert_int_equal(decision.verdict, SESSION_APPLY);
    assert_int_equal(decision.session->staged.step.count, 20000);
    assert_int_equal(decision.session->staged.step.last_bytes, 4);
    assert_memory_equal(decision.session->staged.step.last, "last", 4);
    settle(decision, samples[2]);
    commit(f, NOW);
    assert_true(restart(f, boot, 0, NOW));
    assert_outcome(decide(f, 1, 1, 2, NOW), samples[2]);
    assert_false(decide(f, 1, 1, 3, NOW).session->staged.step.active);
}

static void close_one(struct fixture *f)
{
    struct session_decision decision = decide(f, 1, 1, 1, NOW);

    settle(decision, samples[0]);
    session_close(decision.session);
    commit(f, NOW);
}

static void test_tombstones_come_back_until_their_deadline(void **state)
{
    struct fixture *f = *state;

    close_one(f);
    assert_true(restart(f, boot, 0, NOW));
    assert_int_equal(decide(f, 1, 1, 2, NOW).status, STATUS_BELOW_FLOOR);
    commit(f, NOW + 4000);
    assert_int_equal(f->table->count, 1);
    commit(f, NOW + 7000);
    assert_int_equal(f->table->count, 0);
    assert_true(restart(f, boot, 0, NOW + 7000));
    assert_int_equal(f->table->count, 0);
}

static void test_clocks_of_another_boot_say_nothing(void **state)
{
    static const uint8_t other[16] = "another boot";
    struct fixture *f = *state;

    close_one(f);
    settle(decide(f, 2, 1, 1, NOW), samples[1]);
    settle(decide(f, 3, 1, 1, NOW), samples[1]);
    commit(f, NOW);
    assert_true(restart(f, other, 0, 10000)); /* ten seconds after the boot */
    assert_int_equal(decide(f, 1, 1, 2, 10000).status, STATUS_BELOW_FLOOR);
    assert_outcome(decide(f, 2, 1, 1, 10000), samples[1]);
    commit(f, 10000);
    commit(f, (LIMIT_DEADLINE_S + 20) * 1000);
    assert_int_equal(f->table->count, 2);
    commit(f, 86400000 + 5000); /* the third one was last used before this boot */
    assert_int_equal(f->table->count, 1);
    commit(f, 86400000 + 20000);
    assert_int_equal(f->table->count, 0);
    assert_int_equal(f->table->counter, 3);
}

static void test_evicted_ones_stay_away(void **state)
{
    struct fixture *f = *state;

    settle(decide(f, 1, 1, 1, NOW), samples[0]);
    commit(f, NOW);
    settle(decide(f, 2, 1, 1, NOW + 86400001), samples[0]);
    commit(f, NOW + 86400001);
    assert_true(restart(f, boot, 0, NOW + 86400001));
    assert_int_equal(f->table->count, 1);
    assert_int_equal(f->table->counter, 2);
}

/* A request a group by many handles in turn: what is idle is carried along, and old rows can be dropped. */
static void test_rows_can_be_dropped(void **state)
{
    enum { HANDLES = 64, GROUPS = 4000 };
    struct fixture *f = *state;

    settle(decide(f, 1000, 1, 1, NOW), samples[9]); /* never again used */
    for (unsigned g = 0; g < GROUPS; g++) {
        uint64_t number = g / HANDLES + 1;
        struct session_outcome outcome = {.status = STATUS_OK, .revision = g + 1};
        settle(decide(f, g % HANDLES, number > 2 ? number - 2 : 1, number, NOW + g), outcome);
        commit(f, NOW + g);
    }
    assert_true(f->dropped > GROUPS - 2 * SESSION_LOG_KEEP_ROWS);
    for (size_t kept = 0; kept < 3000; kept += 999) {
        assert_true(restart(f, boot, kept, NOW + GROUPS));
        assert_int_equal(f->table->count, HANDLES + 1);
        assert_outcome(decide(f, 1000, 1, 1, NOW + GROUPS), samples[9]);
        for (unsigned g = GROUPS - HANDLES; g < GROUPS; g++)
            assert_outcome(decide(f, g % HANDLES, 1, g / HANDLES + 1, NOW + GROUPS),
                           (struct session_outcome){.status = STATUS_OK, .revision = g + 1});
        session_abort(f->table);
    }
}

static void test_a_row_is_small(void **state)
{
    enum { HANDLES = 64, ROUNDS = 1000 };
    struct fixture *f = *state;
    uint64_t revision = 1000000;

    for (uint64_t n = 1; n <= ROUNDS; n++) {
        for (unsigned s = 0; s < HANDLES; s++)
            settle(decide(f, s, n > 1 ? n - 1 : 1, n, NOW), (struct session_outcome){.revision = revision++});
        commit(f, NOW);
    }
    assert_true(f->bytes / (HANDLES * ROUNDS) <= 11);
}

static void test_damage_is_noticed(void **state)
{
    struct fixture *f = *state;
    size_t noticed = 0;

    for (uint64_t n = 0; n < SAMPLES; n++)
        settle(decide(f, 3, 1, n + 1, NOW), samples[n]);
    commit(f, NOW);
    assert_int_equal(session_progress(decide(f, 3, 1, SAMPLES + 1, NOW).session, 5, span_text("abc")), STATUS_OK);
    settle(decide(f, 4, 1, 1, NOW), samples[0]);
    commit(f, NOW);
    for (size_t r = 0; r < f->count; r++) {
        size_t whole = f->rows[r].size;
        for (size_t size = 0; size < whole; size++) { /* cut anywhere */
            f->rows[r].size = size;
            noticed += !restart(f, boot, 0, NOW);
        }
        f->rows[r].size = whole;
        for (size_t bit = 0; bit < whole * 8; bit++) { /* any bit: noticed or another meaning, never worse */
            ((uint8_t *)f->rows[r].data)[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (!restart(f, boot, 0, NOW))
                assert_int_equal(f->table->count, 0);
            ((uint8_t *)f->rows[r].data)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    assert_true(noticed > 20);
    assert_true(restart(f, boot, 0, NOW));
    assert_int_equal(session_log_last(f->log), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_the_floor_passed_in_its_own_group_stays_settled),
        TEST(test_a_new_session_stays_although_its_floor_passed_all_it_settled),
        TEST(test_outcomes_come_back),
        TEST(test_floor_comes_back),
        TEST(test_steps_come_back),
        TEST(test_tombstones_come_back_until_their_deadline),
        TEST(test_clocks_of_another_boot_say_nothing),
        TEST(test_evicted_ones_stay_away),
        TEST(test_rows_can_be_dropped),
        TEST(test_a_row_is_small),
        TEST(test_damage_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
