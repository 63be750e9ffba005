/*
 * writer_session_model.c - random clients, a network that loses, repeats and reorders, a writer that fails and
 * restarts from its log: every number is applied at most once and in order, and answers tell what happened.
 */
#include "tests/support/cmocka_all.h"
#include "writer/session_log.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t store[INCARNATION_BYTES] = "store";
static const uint8_t boot[16] = "this boot";

enum {
    CLIENTS = 6,
    IN_FLIGHT = 5,    /* numbers a client has open */
    NUMBERS = 100000, /* a client sends at most */
    FLYING = 64,      /* messages in the network */
    ROWS = 100000,
    EVENTS = 60000,
    MANY_SESSIONS = 100,
    FEW_SESSIONS = 4, /* fewer than clients: they evict each other */
};

enum fate { OPEN, GIVEN_UP, ANSWERED };

struct client {
    unsigned id; /* of its session: new after each eviction */
    uint64_t counter;
    uint64_t floor, next; /* numbers [floor, next) are open, answered or given up */
    enum fate fate[NUMBERS];
    uint64_t applied[NUMBERS]; /* by the store: the revision, and how often */
    unsigned applied_times[NUMBERS];
    uint64_t last_applied;
};

struct message {
    bool is_reply, skips;
    unsigned client, id;
    uint64_t counter, floor, number;
    int status;
    uint64_t answer, revision;
};

struct staged {
    unsigned client;
    uint64_t number;
};

struct world {
    uint32_t random;
    struct client clients[CLIENTS];
    unsigned next_id;
    struct message flying[FLYING];
    size_t flying_count;
    struct session_table *table;
    struct session_log *log;
    uint64_t counter, revision; /* as committed */
    struct span rows[ROWS];
    size_t row_count, dropped;
    uint32_t session_limit;
    int64_t now_ms;
    /* the present group */
    struct staged staged[FLYING];
    size_t staged_count;
    struct message replies[FLYING];
    size_t reply_count;
    size_t answers, replays, out_of_order, below_floor, unknown, restarts; /* what the run has met */
};

static uint32_t draw(struct world *w, uint32_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 17;
    w->random ^= w->random << 5;
    return w->random % below;
}

static struct message take(struct world *w, size_t index)
{
    struct message message = w->flying[index];

    w->flying[index] = w->flying[--w->flying_count];
    return message;
}

static void send(struct world *w, struct message message)
{
    if (w->flying_count == FLYING)
        take(w, draw(w, FLYING)); /* lost */
    w->flying[w->flying_count++] = message;
}

/* ---- the writer ---- */

static void start_writer(struct world *w)
{
    struct session_limits limits = {.sessions = w->session_limit, .idle_ms = 86400000, .outcomes = 100000};

    session_table_free(&w->table);
    session_log_free(&w->log);
    w->table = session_table_new(&limits, store, w->counter);
    w->log = session_log_new(boot);
    for (size_t i = w->dropped; i < w->row_count; i++)
        assert_int_equal(session_log_replay(w->log, w->table, i + 1, w->rows[i], w->now_ms), STATUS_OK);
    assert_true(session_log_finish(w->log, w->table));
    w->restarts++;
}

static void answer(struct world *w, const struct message *message, int status, uint64_t number, uint64_t revision)
{
    struct message reply = *message;

    reply.is_reply = true;
    reply.status = status;
    reply.answer = number;
    reply.revision = revision;
    w->replies[w->reply_count++] = reply;
}

static void settle(struct world *w, const struct message *message, struct session *session)
{
    struct session_outcome outcome = {.status = STATUS_OK};

    if (message->skips)
        outcome.status = STATUS_CANCELLED;
    else
        outcome.revision = w->revision + w->staged_count + 1;
    assert_int_equal(session_settle(session, &outcome), STATUS_OK);
    if (!message->skips)
        w->staged[w->staged_count++] = (struct staged){message->client, message->number};
    answer(w, message, outcome.status, 0, outcome.revision);
}

static void handle(struct world *w, const struct message *message)
{
    struct session_key key = {.principal = {1}};
    struct session_header header = {.floor = message->floor, .counter = message->counter};
    struct session_decision decision;

    memcpy(key.id, &message->id, sizeof message->id);
    memcpy(header.incarnation, store, sizeof store);
    decision = session_decide(w->table, &key, &header, message->number, w->now_ms + 1000, w->now_ms);
    if (decision.verdict == SESSION_REFUSED)
        answer(w, message, decision.status, decision.number, 0);
    else if (decision.verdict == SESSION_SETTLED)
        answer(w, message, decision.outcome.status, 0, decision.outcome.revision), w->replays++;
    else if (draw(w, 8) == 0)
        answer(w, message, STATUS_OVERLOADED, 0, 0); /* in passing: it is not settled */
    else
        settle(w, message, decision.session);
}

static void make_durable(struct world *w, const struct storage_session_record *record)
{
    for (size_t i = 0; i < w->staged_count; i++) {
        struct client *client = &w->clients[w->staged[i].client];
        uint64_t number = w->staged[i].number;
        assert_true(number > client->last_applied); /* in order, so at most once */
        client->last_applied = number;
        client->applied[number] = ++w->revision;
        client->applied_times[number]++;
    }
    if (record->bytes.size) {
        void *copy = malloc(record->bytes.size);
        assert_true(w->row_count < ROWS);
        memcpy(copy, record->bytes.data, record->bytes.size);
        w->rows[w->row_count++] = (struct span){copy, record->bytes.size};
    }
    while (w->dropped < record->drop_through && draw(w, 4)) /* in steps, at its leisure */
        free((void *)w->rows[w->dropped++].data);
    w->counter = record->session_counter;
}

static void finish_group(struct world *w)
{
    struct storage_session_record record;
    uint32_t luck = draw(w, 20);

    session_seal(w->table, w->now_ms);
    assert_int_equal(session_log_encode(w->log, w->table, w->now_ms, &record), STATUS_OK);
    if (luck == 0) { /* refused: it is all as before, and nothing is answered */
        session_abort(w->table);
        return;
    }
    if (luck != 1) /* 1: killed before the commit, 2: behind it */
        make_durable(w, &record);
    if (luck <= 2) {
        start_writer(w);
        return;
    }
    if (record.bytes.size)
        session_log_committed(w->log, w->table, w->row_count);
    session_commit(w->table);
    for (size_t i = 0; i < w->reply_count; i++)
        send(w, w->replies[i]);
}

static void run_group(struct world *w)
{
    size_t most = 1 + draw(w, 12);

    w->staged_count = w->reply_count = 0;
    for (size_t tries = 0; tries < 2 * most && w->flying_count && w->reply_count < most; tries++) {
        size_t index = draw(w, (uint32_t)w->flying_count);
        struct message message;
        if (w->flying[index].is_reply)
            continue;
        message = take(w, index);
        handle(w, &message);
    }
    finish_group(w);
}

/* ---- the clients ---- */

static void begin_session(struct world *w, struct client *client)
{
    memset(client, 0, sizeof *client);
    client->id = ++w->next_id;
    client->counter = w->counter;
    client->floor = client->next = 1;
}

static void raise_floor(struct client *client)
{
    while (client->floor < client->next && client->fate[client->floor] != OPEN)
        client->floor++;
}

static void send_number(struct world *w, unsigned index, uint64_t number)
{
    struct client *client = &w->clients[index];

    send(w, (struct message){.client = index,
                             .id = client->id,
                             .counter = client->counter,
                             .floor = client->floor,
                             .number = number,
                             .skips = client->fate[number] == GIVEN_UP});
}

static void resend_from(struct world *w, unsigned index, uint64_t number)
{
    struct client *client = &w->clients[index];

    for (uint64_t n = number > client->floor ? number : client->floor; n < client->next; n++)
        send_number(w, index, n);
}

static void check_answer(struct client *client, const struct message *reply)
{
    bool applied = client->applied_times[reply->number] == 1;

    if (reply->status == STATUS_OK) {
        assert_true(applied);
        assert_int_equal(reply->revision, client->applied[reply->number]);
    } else {
        assert_false(applied); /* a number that was skipped */
    }
    if (client->fate[reply->number] == OPEN)
        client->fate[reply->number] = ANSWERED;
    raise_floor(client);
}

static void receive(struct world *w, const struct message *reply)
{
    struct client *client = &w->clients[reply->client];

    if (reply->id != client->id)
        return;
    switch (reply->status) {
    case STATUS_OK:
    case STATUS_CANCELLED:
        w->answers++;
        check_answer(client, reply);
        break;
    case STATUS_BELOW_FLOOR:
        w->below_floor++;
        assert_true(reply->number < client->floor);
        break;
    case STATUS_OUT_OF_ORDER:
        w->out_of_order++;
        resend_from(w, reply->client, reply->answer);
        break;
    case STATUS_UNKNOWN_SESSION:
        w->unknown++;
        begin_session(w, client);
        client->counter = reply->answer;
        break;
    default:
        assert_int_equal(reply->status, STATUS_OVERLOADED);
    }
}

static void act(struct world *w, unsigned index)
{
    struct client *client = &w->clients[index];
    uint32_t luck = draw(w, 10);

    if (luck < 5 && client->next < client->floor + IN_FLIGHT && client->next < NUMBERS - 1)
        send_number(w, index, client->next++);
    else if (luck < 7)
        resend_from(w, index, client->floor);
    else if (luck == 7 && client->floor < client->next) {
        uint64_t number = client->floor + draw(w, (uint32_t)(client->next - client->floor));
        if (client->fate[number] == OPEN)
            client->fate[number] = GIVEN_UP;
        raise_floor(client);
    }
}

static void step(struct world *w)
{
    uint32_t luck = draw(w, 10);

    w->now_ms += draw(w, 50);
    if (luck < 3)
        act(w, draw(w, CLIENTS));
    else if (luck < 5)
        run_group(w);
    else if (w->flying_count) {
        size_t index = draw(w, (uint32_t)w->flying_count);
        struct message message = w->flying[index];
        uint32_t fate = draw(w, 12);
        if (fate == 0) /* lost */
            take(w, index);
        else if (fate == 1) /* twice */
            send(w, message);
        else if (message.is_reply) {
            take(w, index);
            receive(w, &message);
        }
    }
}

static void simulate(uint32_t seed, uint32_t session_limit)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->random = seed;
    w->counter = 1;
    w->now_ms = 1000000;
    w->session_limit = session_limit;
    start_writer(w);
    for (unsigned i = 0; i < CLIENTS; i++)
        begin_session(w, &w->clients[i]);
    for (unsigned i = 0; i < EVENTS; i++)
        step(w);
    assert_true(w->answers > 1000 && w->replays > 100 && w->out_of_order > 100 && w->below_floor > 10);
    assert_true(w->restarts > 100 && w->dropped > 100);
    assert_true((w->unknown > 10) == (session_limit < CLIENTS));
    session_table_free(&w->table);
    session_log_free(&w->log);
    for (size_t i = w->dropped; i < w->row_count; i++)
        free((void *)w->rows[i].data);
    free(w);
}

static void test_every_number_at_most_once_in_order(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 8; seed++)
        simulate(seed * 2654435761u, MANY_SESSIONS);
}

static void test_evicted_sessions_never_come_back(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 8; seed++)
        simulate(seed * 40503u, FEW_SESSIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_at_most_once_in_order),
        cmocka_unit_test(test_evicted_sessions_never_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
