/*
 * remote_session_model.c - a client's session against a writer over a network that loses, delays and repeats.
 *
 * Random histories: connections break, brokers and writers die with work in hand, copies of long ago arrive late and in
 * any order, sessions are evicted, stores are restored, callers give up.  Whatever happens: a mutation is applied at
 * most once, in the order submitted; a call ends once; what it was told is true.
 */
#include "client/remote_session.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/unit/remote_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CALLS = 400, MESSAGE_REQUESTS = 8, QUEUE = 4096, HISTORIES = 400 };

enum told { TOLD_NOTHING, TOLD_APPLIED, TOLD_NOT_APPLIED, TOLD_MAYBE };

struct user {
    struct call call; /* first */
    struct world *world;
    bool ended;
    enum told told;
    bool applied;      /* in the present store */
    bool ever_applied; /* also in one that was replaced since */
};

struct message {
    struct session_header header;
    uint64_t first;
    size_t count;
    struct {
        uint32_t operation;
        uint64_t user;
    } requests[MESSAGE_REQUESTS];
    uint32_t attempt;
    uint64_t connection; /* its answer goes nowhere when that has ended */
};
struct answer {
    struct envelope envelope;
    struct reply replies[MESSAGE_REQUESTS];
};

struct world {
    const struct judge_ops *ops;
    struct judge *judge;
    struct remote_session *session;
    struct hello hello;
    struct user users[CALLS];
    size_t submitted;
    uint64_t last_applied; /* index + 1 of the user */
    uint64_t connection;
    struct message pipe[QUEUE], writer[QUEUE], strays[QUEUE];
    size_t pipe_count, writer_count, stray_count;
    struct answer answers[QUEUE];
    size_t answer_count;
    int64_t now_ns;
    unsigned seed;
    bool calm; /* no more faults */
    size_t lost, went_back, settled_ok, gave_up;
};

static unsigned roll(struct world *world, unsigned sides)
{
    world->seed = world->seed * 1103515245u + 12345u;
    return (world->seed >> 12) % sides;
}

static bool chance(struct world *world, unsigned in)
{
    return !world->calm && roll(world, in) == 0;
}

/* ---- the client ---- */

static void end_user(struct user *user, enum told told)
{
    assert_false(user->ended);
    user->ended = true;
    user->told = told;
}

static void settle(struct call *call, const struct reply *reply, bool last)
{
    struct user *user = (struct user *)call;
    uint64_t index = (uint64_t)(user - user->world->users);

    assert_true(last);
    assert_true(reply->status < 128);
    switch (reply->status) {
    case STATUS_OK:
        assert_true(user->ever_applied);
        assert_int_equal(reply->revision, index + 1); /* its own outcome, not another's */
        user->world->settled_ok++;
        end_user(user, TOLD_APPLIED);
        return;
    case STATUS_OUTCOME_LOST:
        user->world->lost++;
        end_user(user, TOLD_MAYBE);
        return;
    case STATUS_WENT_BACK:
        user->world->went_back++;
        break;
    }
    if (status_was_applied(reply->status) == STATUS_APPLIED_NO || reply->flags & REPLY_NOT_APPLIED)
        end_user(user, TOLD_NOT_APPLIED);
    else
        end_user(user, TOLD_MAYBE);
}

static void submit(struct world *world)
{
    struct user *user = &world->users[world->submitted];

    if (world->submitted == CALLS)
        return;
    user->world = world;
    user->call.settle = settle;
    user->call.request = (struct request){.operation = OPERATION_SAVE,
                                          .if_revision = world->submitted,
                                          .deadline_ns = INT64_MAX,
                                          .flags = roll(world, 8) == 0 ? REQUEST_NO_WAIT : 0};
    world->submitted++;
    remote_session_submit(world->session, &user->call);
}

static void give_up(struct world *world)
{
    struct user *user = world->submitted ? &world->users[roll(world, (unsigned)world->submitted)] : NULL;

    if (!user || user->ended)
        return;
    world->gave_up++;
    end_user(user, remote_session_abandon(world->session, &user->call) ? TOLD_NOT_APPLIED : TOLD_MAYBE);
}

static void send_message(struct world *world)
{
    struct request requests[MESSAGE_REQUESTS];
    struct remote_batch batch;
    struct message message = {.attempt = 1, .connection = world->connection};
    size_t count =
        remote_session_gather(world->session, world->now_ns, 1 + roll(world, MESSAGE_REQUESTS), 1000, requests, &batch);

    if (count == 0 || chance(world, 8)) /* the socket took it not */
        return;
    assert_true(batch.first >= batch.header.floor && batch.first + count - batch.header.floor <= LIMIT_SESSION_WINDOW);
    message.header = batch.header;
    message.first = batch.first;
    message.count = count;
    for (size_t i = 0; i < count; i++) {
        message.requests[i].operation = requests[i].operation;
        message.requests[i].user = requests[i].if_revision;
    }
    remote_session_sent(world->session, &batch, 100);
    assert_true(world->pipe_count < QUEUE);
    world->pipe[world->pipe_count++] = message;
}

/* ---- the network and the broker ---- */

static void take_out(struct message *queue, size_t *count, size_t at, struct message *out)
{
    *out = queue[at];
    (*count)--;
    memmove(&queue[at], &queue[at + 1], (*count - at) * sizeof *queue);
}

static void answer(struct world *world, const struct message *message, int status, const struct reply *replies)
{
    struct answer *to = &world->answers[world->answer_count];

    if (message->connection != world->connection)
        return;
    assert_true(world->answer_count < QUEUE);
    world->answer_count++;
    *to = (struct answer){.envelope = {.type = MESSAGE_REPLY,
                                       .flags = ENVELOPE_WRITE,
                                       .first = message->first,
                                       .count = status ? 0 : (uint32_t)message->count,
                                       .attempt = message->attempt,
                                       .status = status}};
    if (replies)
        memcpy(to->replies, replies, message->count * sizeof *replies);
}

static void broker_takes(struct world *world)
{
    struct message message;

    if (!world->pipe_count)
        return;
    take_out(world->pipe, &world->pipe_count, 0, &message);
    if (chance(world, 10)) {
        answer(world, &message, roll(world, 2) ? STATUS_OVERLOADED : STATUS_UNAVAILABLE, NULL);
        return;
    }
    world->writer[world->writer_count++] = message;
    assert_true(world->writer_count < QUEUE);
}

static void deliver_answer(struct world *world)
{
    struct answer next;

    if (!world->answer_count)
        return;
    next = world->answers[0];
    memmove(world->answers, world->answers + 1, --world->answer_count * sizeof next);
    if (remote_session_reply(world->session, &next.envelope, next.envelope.status ? NULL : next.replies,
                             next.envelope.count, world->now_ns) == REMOTE_NEWS_OTHER_STORE)
        remote_session_other_store(world->session, roll(world, 2));
}

static void welcome(struct world *world)
{
    remote_session_hello(world->session, &world->hello, true, world->now_ns);
}

static void keep_stray(struct world *world, const struct message *message)
{
    if (world->stray_count < QUEUE)
        world->strays[world->stray_count++] = *message;
}

/* The connection ends: of what was in the pipe some is lost, some arrives at any time; answers go nowhere. */
static void break_connection(struct world *world)
{
    for (size_t i = 0; i < world->pipe_count; i++)
        if (roll(world, 2))
            keep_stray(world, &world->pipe[i]);
    world->pipe_count = world->answer_count = 0;
    world->connection++;
    welcome(world);
}

/* A broker dies: what it had may have been with the writer, or is gone. */
static void kill_broker(struct world *world)
{
    for (size_t i = 0; i < world->writer_count; i++)
        if (roll(world, 2))
            keep_stray(world, &world->writer[i]);
    world->writer_count = 0;
    break_connection(world);
}

/* ---- the writer ---- */

static struct reply apply(struct world *world, const struct message *message, size_t i)
{
    uint64_t index = message->requests[i].user;
    struct reply reply = {.status = STATUS_OK, .revision = index + 1};

    if (message->requests[i].operation == OPERATION_SKIP) {
        reply = (struct reply){.status = STATUS_CANCELLED, .flags = REPLY_NOT_APPLIED};
    } else {
        struct user *user = &world->users[index];
        assert_true(index + 1 > world->last_applied); /* once, in order, never after a later one */
        assert_false(user->told == TOLD_NOT_APPLIED);
        assert_false(user->applied);
        user->applied = user->ever_applied = true;
        world->last_applied = index + 1;
    }
    world->ops->settle(world->judge, reply.status, reply.revision, reply.flags);
    return reply;
}

static struct reply judge_one(struct world *world, const struct message *message, size_t i)
{
    static const int passing[] = {STATUS_STORAGE_FULL, STATUS_OVERLOADED, STATUS_DEADLINE_EXCEEDED, STATUS_NO_MEMORY};
    struct judgement judgement = world->ops->decide(world->judge, &message->header, message->first + i);

    switch (judgement.verdict) {
    case VERDICT_APPLY:
        if (chance(world, 20))
            return (struct reply){.status = passing[roll(world, 4)]};
        return apply(world, message, i);
    case VERDICT_SETTLED:
        return (struct reply){.status = judgement.status, .revision = judgement.revision, .flags = judgement.flags};
    default:
        return (struct reply){.status = judgement.status, .number = judgement.number};
    }
}

static void writer_takes(struct world *world, struct message *message)
{
    struct reply replies[MESSAGE_REQUESTS];

    for (size_t i = 0; i < message->count; i++)
        replies[i] = judge_one(world, message, i);
    world->ops->commit(world->judge);
    if (chance(world, 15)) { /* it died before it answered; the broker sends it to the next one */
        message->attempt++;
        memmove(&world->writer[1], world->writer, world->writer_count++ * sizeof *message);
        world->writer[0] = *message;
        return;
    }
    answer(world, message, STATUS_OK, replies);
}

static void writer_works(struct world *world)
{
    struct message message;

    if (world->stray_count && roll(world, 3) == 0) {
        take_out(world->strays, &world->stray_count, roll(world, (unsigned)world->stray_count), &message);
        if (chance(world, 3))
            keep_stray(world, &message); /* and once more */
        writer_takes(world, &message);
    } else if (world->writer_count) {
        take_out(world->writer, &world->writer_count, 0, &message);
        writer_takes(world, &message);
    }
}

static void evict(struct world *world)
{
    world->hello.session_counter = world->ops->evict(world->judge);
    if (roll(world, 2))
        remote_session_hello(world->session, &world->hello, false, world->now_ns);
}

/* The store is replaced by a copy of some time ago. */
static void restore(struct world *world)
{
    uint64_t kept = world->last_applied ? roll(world, (unsigned)world->last_applied + 1) : 0;

    world->hello.incarnation[0]++;
    world->ops->free(world->judge);
    world->judge = world->ops->create(world->hello.incarnation, world->hello.session_counter);
    world->last_applied = 0;
    for (size_t i = 0; i < world->submitted; i++) {
        struct user *user = &world->users[i];
        user->applied = user->applied && i < kept;
        if (user->applied)
            world->last_applied = i + 1;
    }
    if (roll(world, 2)) { /* else the writer's refusal tells first */
        remote_session_hello(world->session, &world->hello, false, world->now_ns);
        remote_session_other_store(world->session, roll(world, 2));
    } else {
        world->hello.writer_epoch++;
    }
}

/* ---- histories ---- */

static struct world *world_new(const struct judge_ops *ops, unsigned seed)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    world->ops = ops;
    world->seed = seed;
    world->now_ns = NS_PER_S;
    world->hello = (struct hello){.writer_epoch = 1, .session_counter = 7, .incarnation = {1}};
    world->judge = ops->create(world->hello.incarnation, world->hello.session_counter);
    world->session = remote_session_new();
    assert_non_null(world->session);
    welcome(world);
    return world;
}

static void world_free(struct world *world)
{
    remote_session_free(&world->session);
    world->ops->free(world->judge);
    free(world);
}

static void fault(struct world *world, bool evictions, bool restores)
{
    if (chance(world, 40))
        break_connection(world);
    if (chance(world, 60))
        kill_broker(world);
    if (evictions && chance(world, 200))
        evict(world);
    if (restores && chance(world, 400))
        restore(world);
}

static void step(struct world *world)
{
    world->now_ns += roll(world, 5) * NS_PER_MS;
    switch (roll(world, 8)) {
    case 0:
        submit(world);
        break;
    case 1:
        if (chance(world, 4))
            give_up(world);
        break;
    case 2:
    case 3:
        send_message(world);
        break;
    case 4:
        broker_takes(world);
        break;
    case 5:
    case 6:
        writer_works(world);
        break;
    default:
        deliver_answer(world);
    }
}

static bool all_ended(const struct world *world)
{
    for (size_t i = 0; i < world->submitted; i++)
        if (!world->users[i].ended)
            return false;
    return true;
}

/* No more faults: everything comes to an end soon. */
static void settle_down(struct world *world)
{
    world->calm = true;
    remote_session_hello(world->session, &world->hello, false, world->now_ns);
    for (unsigned i = 0; i < 200000 && !(world->submitted == CALLS && all_ended(world)); i++)
        step(world);
    assert_int_equal(world->submitted, CALLS);
    assert_true(all_ended(world));
    while (world->stray_count || world->writer_count || world->pipe_count) {
        broker_takes(world);
        writer_works(world);
    }
}

static void check_truth(const struct world *world)
{
    for (size_t i = 0; i < world->submitted; i++)
        assert_false(world->users[i].told == TOLD_NOT_APPLIED && world->users[i].applied);
}

static void run_histories(const struct judge_ops *ops, bool evictions, bool restores)
{
    size_t lost = 0, went_back = 0, settled_ok = 0;

    for (unsigned history = 0; history < HISTORIES; history++) {
        struct world *world = world_new(ops, history * 7919u + 1);
        for (unsigned i = 0; i < 4000; i++) {
            step(world);
            fault(world, evictions, restores);
        }
        settle_down(world);
        check_truth(world);
        lost += world->lost;
        went_back += world->went_back;
        settled_ok += world->settled_ok;
        world_free(world);
    }
    print_message("%zu done, %zu lost, %zu told that the store went back\n", settled_ok, lost, went_back);
    assert_true(settled_ok > (size_t)HISTORIES * CALLS / 4);
    if (!evictions && !restores)
        assert_int_equal(lost, 0);
}

static void losses_and_deaths_by_the_rules(void **state)
{
    (void)state;
    run_histories(&judge_of_rules, false, false);
}

static void evictions_and_restores_by_the_rules(void **state)
{
    (void)state;
    run_histories(&judge_of_rules, true, false);
    run_histories(&judge_of_rules, true, true);
}

static void all_of_it_with_the_writers_table(void **state)
{
    (void)state;
    run_histories(&judge_of_writer, false, false);
    run_histories(&judge_of_writer, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_deaths_by_the_rules),
        cmocka_unit_test(evictions_and_restores_by_the_rules),
        cmocka_unit_test(all_of_it_with_the_writers_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
