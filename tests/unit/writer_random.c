/*
 * writer_random.c - random messages of a few sessions over the real engine that fails and restarts: every number is
 * applied at most once and in order, and what was answered stays the answer.
 */
#include "tests/unit/writer_fixture.h"

#include <string.h>

enum { SESSIONS = 3, NUMBERS = 400, RUN_MOST = 8, AHEAD = 16, MESSAGES_MOST = 5, ROUNDS = 600 };

struct handle {
    char name[8];
    uint64_t floor;
    uint64_t revision[NUMBERS + AHEAD]; /* as answered; 0: not yet */
    unsigned answered[NUMBERS + AHEAD]; /* in which round */
    bool given_up[NUMBERS + AHEAD];
};

struct world {
    struct fixture *fixture;
    struct handle handles[SESSIONS];
    uint32_t random;
    unsigned round;
    size_t settled, failed, restarts;
};

static uint32_t draw(struct world *w, uint32_t below)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (w->random >> 8) % below;
}

static const char *id_of(struct world *w, const struct handle *handle, uint64_t number)
{
    return arena_printf(w->fixture->arena, "%s/%06u", handle->name, (unsigned)number);
}

/* A run from somewhere near the floor: new numbers, copies, or numbers that are too far ahead. */
static struct write_message *draw_message(struct world *w)
{
    struct handle *handle = &w->handles[draw(w, SESSIONS)];
    uint64_t first = handle->floor + draw(w, 4);
    size_t count = 1 + draw(w, RUN_MOST);
    struct request requests[RUN_MOST];
    struct write_message *message;

    if (draw(w, 2))
        first = handle->floor;
    for (size_t i = 0; i < count; i++)
        requests[i] =
            handle->given_up[first + i] ? wire_request(OPERATION_SKIP) : save_request(id_of(w, handle, first + i));
    message = session_message(w->fixture, handle->name, handle->floor, first, requests, count);
    message->context = handle;
    return message;
}

static void check_reply(struct world *w, struct handle *handle, uint64_t number, const struct reply *reply)
{
    if (reply->status == STATUS_OK) {
        w->settled++;
        assert_true(reply->revision > 0);
        if (handle->revision[number])
            assert_int_equal(reply->revision, handle->revision[number]);
        else
            handle->answered[number] = w->round;
        handle->revision[number] = reply->revision;
        return;
    }
    assert_true(reply->status == STATUS_OUT_OF_ORDER || reply->status == STATUS_CANCELLED ||
                reply->status == STATUS_STORAGE_FULL || reply->status == STATUS_NO_MEMORY);
    /* A copy may have failed just before another one of its round succeeded, but not after it was answered. */
    assert_true(handle->revision[number] == 0 || handle->answered[number] == w->round);
    if (reply->status == STATUS_CANCELLED)
        assert_true(handle->given_up[number]);
    w->failed += reply->status == STATUS_STORAGE_FULL || reply->status == STATUS_NO_MEMORY;
}

static void check_messages(struct world *w, struct write_message **messages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < messages[i]->settled; n++)
            check_reply(w, messages[i]->context, messages[i]->first + n, &messages[i]->replies[n]);
}

static void raise_floor(struct world *w, struct handle *handle)
{
    if (draw(w, 10) == 0)
        handle->given_up[handle->floor + draw(w, 3)] = true;
    while (handle->floor < NUMBERS - 1 &&
           (handle->revision[handle->floor] || (handle->given_up[handle->floor] && draw(w, 2))))
        handle->floor++;
}

static void run_round(struct world *w)
{
    struct write_message *messages[MESSAGES_MOST];
    size_t count = 1 + draw(w, MESSAGES_MOST);
    int status = STATUS_OK;

    faults.commits_failing = draw(w, 3) == 0 ? (int)draw(w, 8) : 0;
    faults.commit_status = draw(w, 4) ? STATUS_STORAGE_FULL : STORAGE_UNKNOWN;
    faults.poison_id = draw(w, 6) ? NULL : id_of(w, &w->handles[0], w->handles[0].floor + draw(w, 4));
    faults.poison_status = STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        messages[i] = draw_message(w);
    for (size_t turn = 0; turn < 1 + draw(w, 6) && status == STATUS_OK; turn++)
        status = writer_run(w->fixture->writer, messages, count);
    check_messages(w, messages, count);
    if (status == STORAGE_UNKNOWN || draw(w, 15) == 0) {
        fixture_restart(w->fixture);
        w->restarts++;
    }
    for (size_t i = 0; i < SESSIONS; i++)
        raise_floor(w, &w->handles[i]);
    arena_reset(w->fixture->arena);
}

/* What the store holds is what was answered, each written once, in the order of numbers. */
static void check_store(struct world *w, const struct handle *handle)
{
    struct storage *storage = writer_storage(w->fixture->writer);
    uint64_t last = 0;

    for (uint64_t number = 1; number <= handle->floor; number++) {
        struct request request = save_request(id_of(w, handle, number));
        struct reply reply = {0};
        request.operation = OPERATION_STAT;
        request.data = (struct span){0};
        assert_int_equal(storage->ops->answer(storage, &request, 1, &reply, w->fixture->arena, MIB), STATUS_OK);
        if (handle->revision[number])
            assert_int_equal(reply.items[0].revision, handle->revision[number]);
        if (reply.status != STATUS_OK || reply.item_count == 0)
            continue;
        assert_true(reply.items[0].revision > last);
        last = reply.items[0].revision;
    }
}

static void test_random_messages(void **state)
{
    static struct world w;

    for (uint32_t seed = 1; seed <= 4; seed++) {
        w = (struct world){.fixture = *state, .random = seed};
        for (unsigned i = 0; i < SESSIONS; i++) {
            snprintf(w.handles[i].name, sizeof w.handles[i].name, "h%u-%u", seed, i);
            w.handles[i].floor = 1;
        }
        for (w.round = 1; w.round <= ROUNDS; w.round++)
            run_round(&w);
        faults = (struct faults){0};
        for (unsigned i = 0; i < SESSIONS; i++)
            check_store(&w, &w.handles[i]);
        assert_true(w.settled > 500 && w.failed > 10 && w.restarts > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_messages, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
