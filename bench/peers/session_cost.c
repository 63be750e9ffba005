/*
 * session_cost.c - the writer's own work a group with and without sessions: what it costs to apply each mutation once.
 *
 *     session_cost put --group N --sessions S    groups of N saves; S sessions with N / S saves each, 0: without
 *
 * It drives the writer's library in one process, so that nothing else dilutes the difference.
 */
#include "bench/draw.h"
#include "bench/peers/peer.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "writer/writer.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = LIMIT_GROUP_REQUESTS, ID_BYTES = 32 };

struct cost {
    struct peer peer;
    struct writer *writer;
    struct arena *arena;
    struct draw draw;
    struct write_message messages[MOST], *pending[MOST];
    struct request requests[MOST];
    struct reply replies[MOST];
    char ids[MOST][ID_BYTES];
    uint8_t *data;
    uint64_t sent; /* groups */
};

static void open_writer(struct cost *cost)
{
    char *path = peer_path(&cost->peer, "cost.sqlite");
    const struct storage_options options = {.path = path, .access = STORAGE_FOR_WRITING, .create = true};
    const struct writer_options writer_options = {0};
    struct storage *storage = NULL;
    struct failure failure = {0};
    if (storage_open_sqlite(&options, &storage, &failure) != STATUS_OK ||
        writer_new(&storage, &writer_options, &cost->writer, &failure) != STATUS_OK)
        peer_fail(&cost->peer, "%s", failure.message);
    free(path);
}

static struct session_header session_of(struct cost *cost, uint64_t index)
{
    struct session_header session = {.floor = 1};
    memcpy(session.id, &index, sizeof(index));
    session.id[SESSION_ID_BYTES - 1] = 1;
    struct storage *storage = writer_storage(cost->writer);
    memcpy(session.incarnation, storage->identity.incarnation, sizeof(session.incarnation));
    return session;
}

static void make_requests(struct cost *cost)
{
    int64_t deadline_ns = clock_deadline_ns(60000);
    for (unsigned i = 0; i < cost->peer.group; i++) {
        peer_id(draw_below(&cost->draw, cost->peer.keys), cost->ids[i]);
        cost->requests[i] = (struct request){.operation = OPERATION_SAVE,
                                             .kind = span_text("bench"),
                                             .id = span_text(cost->ids[i]),
                                             .data = {cost->data, cost->peer.value_bytes},
                                             .deadline_ns = deadline_ns};
    }
}

/* One message a session, or one of all; each takes its share of the requests. */
static unsigned make_messages(struct cost *cost)
{
    unsigned count = cost->peer.sessions ? cost->peer.sessions : 1, share = cost->peer.group / count;
    make_requests(cost);
    for (unsigned i = 0; i < count; i++) {
        struct write_message *message = &cost->messages[i];
        *message = (struct write_message){.requests = cost->requests + (size_t)i * share,
                                          .replies = cost->replies + (size_t)i * share,
                                          .count = share,
                                          .arena = cost->arena,
                                          .stream = 1,
                                          .role = ROLE_ADMIN};
        if (cost->peer.sessions) {
            message->has_session = true;
            message->session = session_of(cost, i);
            message->first = cost->sent * share + 1;
            message->session.floor = message->first;
        }
        cost->pending[i] = message;
    }
    cost->sent++;
    return count;
}

static void run_group(struct cost *cost)
{
    int status = STATUS_OK;
    unsigned count = make_messages(cost), first = 0;
    int64_t begin_ns = peer_now_ns();
    while (first < count && status == STATUS_OK) {
        status = writer_run(cost->writer, cost->pending + first, count - first);
        while (first < count && cost->pending[first]->settled == cost->pending[first]->count)
            first++;
    }
    for (unsigned i = 0; i < cost->peer.group; i++)
        if (status != STATUS_OK || cost->replies[i].status != STATUS_OK)
            peer_fail(&cost->peer, "a save was refused: %s", status_name(cost->replies[i].status));
    while (writer_idle(cost->writer, &status)) {
    }
    peer_record(&cost->peer, begin_ns, cost->peer.group, 0);
    arena_reset(cost->arena);
}

int main(int argc, char **argv)
{
    static struct cost cost;
    peer_parse(&cost.peer, argc, argv, "put");
    if (cost.peer.group > MOST || (cost.peer.sessions && cost.peer.group % cost.peer.sessions != 0))
        peer_fail(&cost.peer, "a group has at most %d saves, and each session an equal share", MOST);
    cost.draw = draw_seeded(cost.peer.seed, 2);
    cost.arena = arena_new(0);
    cost.data = malloc(cost.peer.value_bytes);
    if (!cost.arena || !cost.data)
        peer_fail(&cost.peer, "no memory");
    peer_noise(cost.peer.seed, cost.data, cost.peer.value_bytes);
    open_writer(&cost);
    for (peer_begin(&cost.peer); !peer_is_over(&cost.peer);)
        run_group(&cost);
    writer_free(&cost.writer);
    peer_end(&cost.peer);
    arena_free(&cost.arena);
    free(cost.data);
    return 0;
}
