/*
 * remote_fixture.c - the broker that a test plays, and the lane that it drives.
 */
#include "tests/unit/remote_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

/* ---- the broker ---- */

void broker_start(struct fixture *f)
{
    f->router = zmq_socket(f->context, ZMQ_ROUTER);
    assert_non_null(f->router);
    assert_int_equal(zmq_bind(f->router, f->endpoint), 0);
}

void broker_stop(struct fixture *f)
{
    int linger = 0;

    zmq_setsockopt(f->router, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(f->router);
    f->router = NULL;
}

/* One message, when there is one. */
bool broker_takes(struct fixture *f, struct incoming *in)
{
    zmq_msg_t frames[3];
    int count = 0;
    bool got;

    for (int i = 0; i < 3; i++)
        zmq_msg_init(&frames[i]);
    got = zmq_msg_recv(&frames[0], f->router, ZMQ_DONTWAIT) >= 0;
    for (count = got; got && zmq_msg_more(&frames[count - 1]); count++) {
        assert_true(count < 3);
        assert_true(zmq_msg_recv(&frames[count], f->router, 0) >= 0);
    }
    if (got) {
        *in = (struct incoming){.probe = count == 2};
        f->peer_bytes = zmq_msg_size(&frames[0]);
        memcpy(f->peer, zmq_msg_data(&frames[0]), f->peer_bytes);
    }
    if (count == 3) {
        assert_int_equal(envelope_decode(zmq_msg_data(&frames[1]), zmq_msg_size(&frames[1]), &in->envelope), STATUS_OK);
        in->body_bytes = zmq_msg_size(&frames[2]);
        if (in->envelope.type == MESSAGE_READ || in->envelope.type == MESSAGE_WRITE)
            assert_int_equal(body_decode_requests(zmq_msg_data(&frames[2]), in->body_bytes, in->envelope.deadline_ns,
                                                  f->arena, &in->batch),
                             STATUS_OK);
    }
    for (int i = 0; i < 3; i++)
        zmq_msg_close(&frames[i]);
    return got;
}

void broker_sends(struct fixture *f, struct envelope *envelope, struct span body)
{
    uint8_t bytes[ENVELOPE_BYTES];

    envelope->version = ENVELOPE_VERSION;
    envelope->life = f->hello.life;
    envelope_encode(envelope, bytes);
    assert_true(zmq_send(f->router, f->peer, f->peer_bytes, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(f->router, bytes, sizeof bytes, ZMQ_SNDMORE) >= 0);
    assert_true(zmq_send(f->router, body.size ? body.data : "", body.size, 0) >= 0);
}

void broker_greets(struct fixture *f, bool welcome)
{
    struct envelope envelope = {.type = MESSAGE_HELLO, .flags = welcome ? ENVELOPE_WELCOME : 0};

    broker_sends(f, &envelope, hello_encode(&f->hello, f->arena));
}

void broker_answers(struct fixture *f, const struct incoming *in, int status, uint64_t revision)
{
    struct envelope envelope = {.type = MESSAGE_REPLY,
                                .flags = in->envelope.type == MESSAGE_WRITE ? ENVELOPE_WRITE : 0,
                                .first = in->envelope.first,
                                .count = in->envelope.count};
    struct reply *replies = arena_calloc(f->arena, in->envelope.count, sizeof *replies);
    size_t size;
    void *body;

    for (uint32_t i = 0; i < in->envelope.count; i++)
        replies[i] = (struct reply){.status = status, .revision = revision + i};
    size = body_replies_size(replies, in->envelope.count);
    body = arena_alloc(f->arena, size);
    body_encode_replies(replies, in->envelope.count, body);
    broker_sends(f, &envelope, (struct span){body, size});
}

void broker_sends_piece(struct fixture *f, uint64_t first, uint32_t piece, bool last)
{
    struct envelope envelope = {
        .type = MESSAGE_STREAM, .flags = last ? ENVELOPE_LAST : 0, .first = first, .piece = piece, .count = 1};
    const struct reply reply = {.status = STATUS_OK, .revision = 100};
    uint8_t body[256];
    size_t size = body_replies_size(&reply, 1);

    assert_true(size <= sizeof body);
    body_encode_replies(&reply, 1, body);
    broker_sends(f, &envelope, (struct span){body, size});
}

/* ---- the client ---- */

void fixture_settle(struct call *call, const struct reply *reply, bool last)
{
    struct user *user = (struct user *)call;

    assert_int_equal(user->ends, 0);
    user->status = reply->status;
    user->revision = reply->revision;
    user->pieces += !last;
    user->ends += last;
    if (last && user->cond)
        pthread_cond_broadcast(user->cond);
}

static void hear(void *context, const struct hello *hello)
{
    struct fixture *f = context;

    assert_int_equal(hello->life, f->hello.life);
    f->hellos++;
}

struct user *submit_call(struct fixture *f, const struct call *call)
{
    struct user *user = &f->users[f->submitted++];

    user->call = *call;
    user->call.settle = fixture_settle;
    user->call.request.deadline_ns = clock_boot_ns() + 60 * NS_PER_S;
    f->lane->ops->submit(f->lane, &user->call);
    return user;
}

struct user *submit(struct fixture *f, uint32_t operation, uint32_t flags)
{
    return submit_call(f, &(struct call){.request = {.operation = operation,
                                                     .flags = flags,
                                                     .kind = span_text("k"),
                                                     .id = span_text("i"),
                                                     .data = span_text(operation == OPERATION_SAVE ? "data" : NULL)}});
}

void lead(struct fixture *f)
{
    f->lane->ops->lead(f->lane, clock_deadline_ns(ROUND_MS), -1);
}

/* Leads until the broker has a message. */
struct incoming expect(struct fixture *f)
{
    int64_t until_ns = clock_boot_ns() + PATIENCE_S * NS_PER_S;
    struct incoming in;

    while (!broker_takes(f, &in)) {
        assert_true(clock_boot_ns() < until_ns);
        lead(f);
    }
    return in;
}

struct incoming expect_type(struct fixture *f, uint8_t type)
{
    struct incoming in = expect(f);

    assert_false(in.probe);
    assert_int_equal(in.envelope.type, type);
    return in;
}

void expect_nothing(struct fixture *f)
{
    struct incoming in;

    for (int i = 0; i < QUIET_ROUNDS; i++) {
        lead(f);
        assert_false(broker_takes(f, &in));
    }
}

void lead_until_ended(struct fixture *f, const struct user *user)
{
    int64_t until_ns = clock_boot_ns() + PATIENCE_S * NS_PER_S;

    while (!user->ends) {
        assert_true(clock_boot_ns() < until_ns);
        lead(f);
    }
}

void open_lane(struct fixture *f, const char *server_key, const char *key_file)
{
    const struct remote_options options = {.endpoint = f->endpoint,
                                           .server_key = server_key,
                                           .key_file = key_file,
                                           .mutex = &f->mutex,
                                           .hello = hear,
                                           .context = f};
    struct failure failure = {0};

    assert_int_equal(remote_new(&options, &f->lane, &failure), STATUS_OK);
}

/* The probe comes, the broker says WELCOME, the client has taken it. */
void connect_lane(struct fixture *f)
{
    int before = f->hellos;

    assert_true(expect(f).probe);
    f->hello.life++;
    broker_greets(f, true);
    while (f->hellos == before)
        lead(f);
}

int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    strcpy(f->folder, "/tmp/remote-lane-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->endpoint, sizeof f->endpoint, "ipc://%s/b", f->folder);
    f->context = zmq_ctx_new();
    f->arena = arena_new(0);
    assert_true(f->context && f->arena);
    pthread_mutex_init(&f->mutex, NULL);
    pthread_mutex_lock(&f->mutex);
    f->hello = (struct hello){.life = 1,
                              .max_message_bytes = LIMIT_MESSAGE_BYTES,
                              .client_in_flight_bytes = LIMIT_CLIENT_IN_FLIGHT_BYTES,
                              .uncredited_bytes = LIMIT_UNCREDITED_BYTES,
                              .writer_epoch = 1,
                              .session_counter = 3,
                              .incarnation = {9},
                              .revision = 1};
    *state = f;
    return 0;
}

int setup_connected(void **state)
{
    setup(state);
    broker_start(*state);
    open_lane(*state, NULL, NULL);
    connect_lane(*state);
    return 0;
}

int teardown(void **state)
{
    struct fixture *f = *state;
    char path[128];

    if (f->lane)
        f->lane->ops->free(f->lane);
    if (f->router)
        broker_stop(f);
    zmq_ctx_term(f->context);
    arena_free(&f->arena);
    pthread_mutex_unlock(&f->mutex);
    pthread_mutex_destroy(&f->mutex);
    snprintf(path, sizeof path, "%s/b", f->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/key", f->folder);
    unlink(path);
    rmdir(f->folder);
    free(f);
    return 0;
}
