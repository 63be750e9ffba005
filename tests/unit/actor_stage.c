/* actor_stage.c - the broker's part of the workers' wire. */
#include "actor_stage.h"
#include "proto/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

void stage_open_router(struct stage *stage)
{
    int patience = STAGE_PATIENCE_MS, mandatory = 1, linger = 0;
    stage->router = zmq_socket(stage->context, ZMQ_ROUTER);
    assert_non_null(stage->router);
    zmq_setsockopt(stage->router, ZMQ_RCVTIMEO, &patience, sizeof patience);
    zmq_setsockopt(stage->router, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory);
    zmq_setsockopt(stage->router, ZMQ_LINGER, &linger, sizeof linger);
    assert_int_equal(zmq_bind(stage->router, stage->workers), 0);
}

void stage_open(struct stage *stage)
{
    strcpy(stage->folder, "/tmp/stigstore-test-XXXXXX");
    assert_non_null(mkdtemp(stage->folder));
    snprintf(stage->endpoint, sizeof stage->endpoint, "ipc://%s/s", stage->folder);
    snprintf(stage->workers, sizeof stage->workers, "%s.workers", stage->endpoint);
    stage->life = 77;
    stage->arena = arena_new(0);
    stage->context = zmq_ctx_new();
    stage_open_router(stage);
}

void stage_close(struct stage *stage)
{
    char command[128];
    zmq_close(stage->router);
    zmq_ctx_term(stage->context);
    arena_free(&stage->arena);
    snprintf(command, sizeof command, "rm -rf '%s'", stage->folder);
    assert_int_equal(system(command), 0);
}

void stage_sends(struct stage *stage, const struct envelope *envelope, struct span body)
{
    uint8_t bytes[ENVELOPE_BYTES];
    envelope_encode(envelope, bytes);
    assert_int_equal(zmq_send(stage->router, stage->id, STAGE_ID_BYTES, ZMQ_SNDMORE), STAGE_ID_BYTES);
    assert_int_equal(zmq_send(stage->router, bytes, sizeof bytes, ZMQ_SNDMORE), sizeof bytes);
    assert_int_equal(zmq_send(stage->router, body.data, body.size, 0), (int)body.size);
}

bool stage_receives(struct stage *stage, struct envelope *envelope, void *body, size_t *size)
{
    uint8_t bytes[ENVELOPE_BYTES];
    int more;
    size_t more_size = sizeof more;
    assert_int_equal(zmq_recv(stage->router, stage->id, STAGE_ID_BYTES, 0), STAGE_ID_BYTES);
    int got = zmq_recv(stage->router, bytes, sizeof bytes, 0);
    zmq_getsockopt(stage->router, ZMQ_RCVMORE, &more, &more_size);
    if (!more) {
        assert_int_equal(got, 0);
        return false;
    }
    assert_int_equal(got, ENVELOPE_BYTES);
    assert_int_equal(envelope_decode(bytes, sizeof bytes, envelope), STATUS_OK);
    got = zmq_recv(stage->router, body, *size, 0);
    assert_true(got >= 0);
    *size = (size_t)got;
    zmq_getsockopt(stage->router, ZMQ_RCVMORE, &more, &more_size);
    assert_false(more);
    return true;
}

struct envelope stage_envelope(const struct stage *stage, uint8_t type, uint64_t ticket)
{
    struct envelope envelope = envelope_make(type, clock_deadline_ns(5000));
    envelope.life = stage->life;
    envelope.ticket = ticket;
    envelope.first = ticket + 100;
    envelope.attempt = 2;
    envelope.role = ROLE_ADMIN;
    return envelope;
}

void stage_asks(struct stage *stage, uint8_t type, uint64_t ticket, struct span body)
{
    struct envelope envelope = stage_envelope(stage, type, ticket);
    stage_sends(stage, &envelope, body);
}

void stage_says_hello(struct stage *stage, uint16_t flags, const struct hello *hello)
{
    struct envelope envelope = envelope_make(MESSAGE_HELLO, INT64_MAX);
    envelope.life = stage->life;
    envelope.flags = flags;
    stage_sends(stage, &envelope, hello_encode(hello, stage->arena));
}
