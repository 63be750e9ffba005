/*
 * inbox.c - decodes what arrives, keeps it in order, encodes what is answered; entries are used again.
 */
#include "writer/inbox.h"
#include "actor/actor.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <stdlib.h>

enum { MESSAGES_MOST = 2 * LIMIT_GROUP_REQUESTS, SPARE_MOST = 64 };
#define BYTES_MOST (2 * LIMIT_GROUP_BYTES)

struct entry {
    struct write_message message; /* first */
    struct worker_message wire;   /* once decoded, the envelope alone */
    struct arena *arena;
    size_t bytes;
    int64_t arrived_ns;
};

struct inbox {
    struct write_message *messages[MESSAGES_MOST]; /* each is the first member of its entry */
    size_t count, bytes;
    struct entry *spare[SPARE_MOST];
    size_t spare_count;
    struct inbox_counters counters;
};

static struct entry *entry_of(struct write_message *message)
{
    return (struct entry *)message;
}

static void free_entry(struct entry *entry)
{
    worker_message_free(&entry->wire);
    arena_free(&entry->arena);
    free(entry);
}

static struct entry *take_entry(struct inbox *inbox)
{
    struct entry *entry;

    if (inbox->spare_count)
        return inbox->spare[--inbox->spare_count];
    entry = calloc(1, sizeof *entry);
    if (entry)
        entry->arena = arena_new(0);
    if (!entry || entry->arena)
        return entry;
    free(entry);
    return NULL;
}

static void give_entry(struct inbox *inbox, struct entry *entry)
{
    worker_message_free(&entry->wire);
    arena_reset(entry->arena);
    if (inbox->spare_count < SPARE_MOST)
        inbox->spare[inbox->spare_count++] = entry;
    else
        free_entry(entry);
}

struct inbox *inbox_new(void)
{
    return calloc(1, sizeof(struct inbox));
}

void inbox_free(struct inbox **inbox)
{
    if (!inbox || !*inbox)
        return;
    for (size_t i = 0; i < (*inbox)->count; i++)
        free_entry(entry_of((*inbox)->messages[i]));
    for (size_t i = 0; i < (*inbox)->spare_count; i++)
        free_entry((*inbox)->spare[i]);
    free(*inbox);
    *inbox = NULL;
}

/* Only runs of a session's mutations are taken: without a session nothing tells a copy from a new request. */
static int decode(struct entry *entry)
{
    const struct envelope *envelope = &entry->wire.envelope;
    struct write_message *message = &entry->message;
    struct request_batch batch;
    int status = body_decode_requests(entry->wire.body.data, entry->wire.body.size, entry->wire.deadline_ns,
                                      entry->arena, &batch);

    if (status != STATUS_OK)
        return status;
    if (!batch.has_session || batch.count == 0)
        return STATUS_INVALID_ARGUMENT;
    *message = (struct write_message){.requests = batch.requests,
                                      .count = batch.count,
                                      .replies = arena_calloc(entry->arena, batch.count, sizeof *message->replies),
                                      .arena = entry->arena,
                                      .has_session = true,
                                      .session = batch.session,
                                      .first = envelope->first,
                                      .role = envelope->role};
    memcpy(message->principal, envelope->principal, sizeof message->principal);
    return message->replies ? STATUS_OK : STATUS_NO_MEMORY;
}

/* The requests have been copied: the body would only stand in memory twice. What they take now counts: a body of many
 * small parts is small. */
static void free_body(struct entry *entry)
{
    const struct envelope envelope = entry->wire.envelope;

    entry->bytes = arena_bytes(entry->arena);
    worker_message_free(&entry->wire);
    entry->wire.envelope = envelope;
}

void inbox_add(struct inbox *inbox, struct worker *worker, struct worker_message *wire)
{
    struct entry *entry = take_entry(inbox);
    int status = STATUS_NO_MEMORY;

    inbox->counters.messages++;
    if (entry) {
        entry->wire = *wire;
        entry->arrived_ns = clock_boot_ns();
        status = decode(entry);
    }
    if (status == STATUS_OK) {
        free_body(entry);
        inbox->bytes += entry->bytes;
        inbox->messages[inbox->count++] = &entry->message;
        return;
    }
    inbox->counters.refused++;
    worker_reply(worker, wire, status, NULL, 0, 0);
    if (entry)
        give_entry(inbox, entry);
    else
        worker_message_free(wire);
}

bool inbox_is_full(const struct inbox *inbox)
{
    return inbox->count == MESSAGES_MOST || inbox->bytes >= BYTES_MOST;
}

size_t inbox_count(const struct inbox *inbox)
{
    return inbox->count;
}

struct write_message *const *inbox_messages(const struct inbox *inbox)
{
    return inbox->messages;
}

struct inbox_counters *inbox_counters(struct inbox *inbox)
{
    return &inbox->counters;
}

void inbox_reply(struct worker *worker, const struct worker_message *wire, const struct reply *replies, size_t count)
{
    size_t size = body_replies_size(replies, count);
    void *body = malloc(size ? size : 1);

    if (!body) { /* it is committed: only the next writer can still tell */
        actor_log(LOG_LEVEL_ERROR, "no memory for a reply");
        exit(ACTOR_EXIT_FAILED);
    }
    body_encode_replies(replies, count, body);
    worker_reply(worker, wire, STATUS_OK, body, size, (uint32_t)count);
}

void inbox_answer(struct inbox *inbox, struct worker *worker)
{
    int64_t now_ns = clock_boot_ns();
    size_t left = 0;

    for (size_t i = 0; i < inbox->count; i++) {
        struct write_message *message = inbox->messages[i];
        struct entry *entry = entry_of(message);
        if (message->settled < message->count) {
            inbox->messages[left++] = message;
            continue;
        }
        inbox_reply(worker, &entry->wire, message->replies, message->count);
        latency_add(&inbox->counters.latency, now_ns - entry->arrived_ns);
        inbox->bytes -= entry->bytes;
        give_entry(inbox, entry);
    }
    inbox->count = left;
}
