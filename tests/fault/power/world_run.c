/*
 * world_run.c - handles that send, resend and hold the store to what it answered.
 */
#include "tests/fault/disk/disk.h"
#include "tests/fault/power/world_internal.h"
#include "writer/internal.h"

#include <assert.h>

enum { MESSAGES_MOST = WORLD_HANDLES + 1, NEW_MOST = 5, TURNS_MOST = 400, STEP_ROWS = 5 };

static struct slot *slot_of(struct handle *handle, uint64_t number)
{
    return &handle->slots[number % WORLD_WINDOW];
}

static void start_handle(struct world *world, struct handle *handle)
{
    struct storage_counters counters;

    world->storage->ops->counters(world->storage, &counters);
    *handle = (struct handle){.counter = counters.session_counter, .floor = 1, .next = 1};
    for (size_t i = 0; i < sizeof handle->id; i++)
        handle->id[i] = (uint8_t)random_draw(&world->random, 256);
    memcpy(handle->incarnation, world->storage->identity.incarnation, sizeof handle->incarnation);
}

static uint64_t first_unknown(struct handle *handle)
{
    uint64_t number = handle->floor;

    while (number < handle->next && slot_of(handle, number)->is_known)
        number++;
    return number;
}

/* ---- messages ---- */

static struct write_message *new_message(struct world *world, size_t count)
{
    struct write_message *message = arena_calloc(world->arena, 1, sizeof *message);

    assert(message);
    message->requests = arena_calloc(world->arena, count, sizeof *message->requests);
    message->replies = arena_calloc(world->arena, count, sizeof *message->replies);
    assert(message->requests && message->replies);
    message->count = count;
    message->arena = world->arena;
    message->role = ROLE_ADMIN;
    return message;
}

static struct write_message *message_of(struct world *world, struct handle *handle, uint64_t first)
{
    struct write_message *message = new_message(world, (size_t)(handle->next - first));
    struct request *requests = (struct request *)message->requests;

    message->has_session = true;
    memcpy(message->session.id, handle->id, sizeof handle->id);
    memcpy(message->session.incarnation, handle->incarnation, sizeof handle->incarnation);
    message->session.counter = handle->counter;
    message->session.floor = handle->floor;
    message->first = first;
    message->context = handle;
    for (size_t i = 0; i < message->count; i++) {
        struct slot *slot = slot_of(handle, first + i);
        requests[i] = script_request(&slot->spec, world->arena);
        slot->request = &requests[i];
    }
    return message;
}

/* What is not settled yet, or once in a while all that is still wanted, and something new. */
static struct write_message *draw_message(struct world *world, struct handle *handle)
{
    uint64_t count = 1 + random_draw(&world->random, NEW_MOST);

    if (handle->next == 0)
        start_handle(world, handle);
    if (handle->next - handle->floor + count > WORLD_WINDOW / 2)
        handle->floor = first_unknown(handle);
    for (; count && handle->next - handle->floor < WORLD_WINDOW; count--, handle->next++)
        *slot_of(handle, handle->next) = (struct slot){.spec = script_draw(&world->random, world->seeds += 8)};
    return message_of(world, handle, random_draw(&world->random, 4) ? first_unknown(handle) : handle->floor);
}

/* Of a handle without a session. */
static struct write_message *draw_stream(struct world *world)
{
    struct write_message *message = new_message(world, 1);
    struct spec spec = script_draw(&world->random, world->seeds += 8);

    if (spec.operation == OPERATION_SKIP)
        spec = script_save(0, 0, spec.seed, 10);
    *(struct request *)message->requests = script_request(&spec, world->arena);
    message->stream = 1;
    return message;
}

/* ---- replies ---- */

static bool is_same(const struct reply *a, const struct reply *b)
{
    return a->status == b->status && a->revision == b->revision && a->count == b->count &&
           a->failed_part == b->failed_part;
}

static void take_reply(struct world *world, struct handle *handle, uint64_t number, const struct reply *reply)
{
    struct slot *slot = slot_of(handle, number);

    if (slot->is_known) {
        world->replays++;
        if (!is_same(&slot->outcome, reply))
            world_wrong(world, "number %llu was answered %s, revision %llu, and is now answered %s, revision %llu",
                        (unsigned long long)number, status_name(slot->outcome.status),
                        (unsigned long long)slot->outcome.revision, status_name(reply->status),
                        (unsigned long long)reply->revision);
        return;
    }
    if (!status_is_deterministic(reply->status)) {
        world->refused++;
        if (status_was_applied(reply->status) == STATUS_APPLIED_MAYBE && !(reply->flags & REPLY_NOT_APPLIED))
            world_wrong(world, "number %llu ends with %s, which leaves open what became of it",
                        (unsigned long long)number, status_name(reply->status));
        return;
    }
    slot->is_known = true;
    slot->outcome = (struct reply){
        .status = reply->status, .revision = reply->revision, .count = reply->count, .failed_part = reply->failed_part};
}

static void take_replies(struct world *world, const struct write_message *message, size_t from)
{
    for (size_t i = from; i < message->settled; i++) {
        const struct reply *reply = &message->replies[i];
        if (message->context)
            take_reply(world, message->context, message->first + i, reply);
        if (reply->status == STATUS_OK && reply->revision > world->issued)
            world->issued = reply->revision;
    }
}

/* ---- running ---- */

static int run_all(struct world *world, struct write_message **messages, size_t count)
{
    size_t done = 0;

    for (unsigned turn = 0; done < count; turn++) {
        size_t settled[MESSAGES_MOST];
        if (turn == TURNS_MOST)
            world_wrong(world, "the writer does not come to an end");
        for (size_t i = 0; i < count; i++)
            settled[i] = messages[i]->settled;
        world->writer->delete_limit = STEP_ROWS; /* so that ranged deletes go in steps */
        if (writer_run(world->writer, messages, count) == STORAGE_UNKNOWN || disk.is_off) {
            world->unknown++;
            return STORAGE_UNKNOWN;
        }
        world->groups++;
        done = 0;
        for (size_t i = 0; i < count; i++) {
            take_replies(world, messages[i], settled[i]);
            done += messages[i]->settled == messages[i]->count;
        }
    }
    return STATUS_OK;
}

/* What the group under way had got, should it turn out to be committed. */
static void note_in_flight(struct world *world)
{
    for (unsigned h = 0; h < WORLD_HANDLES; h++)
        for (unsigned s = 0; s < WORLD_WINDOW; s++) {
            struct slot *slot = &world->handles[h].slots[s];
            for (size_t i = 0; slot->request && i < world->group_count; i++)
                if (world->group[i].request == slot->request && !slot->is_known &&
                    status_is_deterministic(world->group[i].reply.status)) {
                    slot->is_in_flight = true;
                    slot->outcome = world->group[i].reply;
                }
            slot->request = NULL;
        }
}

static int run_messages(struct world *world, struct write_message **messages, size_t count)
{
    int status = run_all(world, messages, count);

    if (status != STATUS_OK && world->is_in_doubt)
        note_in_flight(world);
    for (unsigned h = 0; h < WORLD_HANDLES; h++)
        for (unsigned s = 0; s < WORLD_WINDOW; s++)
            world->handles[h].slots[s].request = NULL;
    world->group_count = 0;
    arena_reset(world->arena);
    return status;
}

int world_run_group(struct world *world)
{
    struct write_message *messages[MESSAGES_MOST];
    size_t count = 0;

    for (unsigned i = 0; i < WORLD_HANDLES; i++)
        if (random_draw(&world->random, 2))
            messages[count++] = draw_message(world, &world->handles[i]);
    if (count == 0 || random_draw(&world->random, 4) == 0)
        messages[count++] = draw_stream(world);
    return run_messages(world, messages, count);
}

int world_check_replays(struct world *world)
{
    struct write_message *messages[MESSAGES_MOST];
    size_t count = 0;

    for (unsigned i = 0; i < WORLD_HANDLES; i++)
        if (world->handles[i].next > world->handles[i].floor)
            messages[count++] = message_of(world, &world->handles[i], world->handles[i].floor);
    return run_messages(world, messages, count);
}

/* ---- after an end ---- */

void handles_learn(struct world *world, bool was_committed)
{
    for (unsigned h = 0; h < WORLD_HANDLES; h++)
        for (unsigned s = 0; s < WORLD_WINDOW; s++) {
            struct slot *slot = &world->handles[h].slots[s];
            if (!slot->is_in_flight)
                continue;
            slot->is_in_flight = false;
            slot->is_known = was_committed;
        }
}

void handles_lose(struct world *world, uint64_t revision)
{
    for (unsigned h = 0; h < WORLD_HANDLES; h++)
        for (uint64_t n = world->handles[h].floor; n < world->handles[h].next; n++) {
            struct slot *slot = slot_of(&world->handles[h], n);
            if (slot->is_known && slot->outcome.status == STATUS_OK && slot->outcome.revision &&
                slot->outcome.revision <= revision)
                continue;
            world->lost += slot->is_known;
            slot->is_known = false;
        }
}

void handles_renew(struct world *world)
{
    for (unsigned i = 0; i < WORLD_HANDLES; i++)
        world->handles[i].next = world->handles[i].floor = 0;
}
