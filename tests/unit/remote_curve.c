/*
 * remote_curve.c - a lane with keys: a refused one ends calls and is tried again later.
 */
#include "tests/unit/remote_fixture.h"

#include <stdio.h>
#include <zmq.h>

struct zap {
    void *socket;
    const char *code;
};

/* Answers one request of libzmq's for leave, when there is one. */
static void zap_answers(struct zap *zap)
{
    char id[256], frame[256];
    int more = 1, frames = 0, got;
    size_t size = sizeof more, id_bytes = 0;

    if ((got = zmq_recv(zap->socket, frame, sizeof frame, ZMQ_DONTWAIT)) < 0)
        return;
    for (frames = 1; zmq_getsockopt(zap->socket, ZMQ_RCVMORE, &more, &size) == 0 && more; frames++) {
        got = zmq_recv(zap->socket, frame, sizeof frame, 0);
        if (frames == 1) {
            id_bytes = (size_t)got;
            memcpy(id, frame, id_bytes);
        }
    }
    zmq_send(zap->socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(zap->socket, id, id_bytes, ZMQ_SNDMORE);
    zmq_send(zap->socket, zap->code, 3, ZMQ_SNDMORE);
    zmq_send(zap->socket, "", 0, ZMQ_SNDMORE);
    zmq_send(zap->socket, "user", 4, ZMQ_SNDMORE);
    zmq_send(zap->socket, "", 0, 0);
}

static void write_key_file(const char *path, const char *public_key, const char *secret_key)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fprintf(file, "metadata\n    name = \"a\"\ncurve\n    public-key = \"%s\"\n    secret-key = \"%s\"\n", public_key,
            secret_key);
    fclose(file);
}

static void start_with_keys(struct fixture *f, struct zap *zap)
{
    char server_public[41], server_secret[41], public_key[41], secret_key[41], path[128];
    int on = 1;
    size_t size = sizeof f->endpoint;

    assert_int_equal(zmq_curve_keypair(server_public, server_secret), 0);
    assert_int_equal(zmq_curve_keypair(public_key, secret_key), 0);
    snprintf(path, sizeof path, "%s/key", f->folder);
    write_key_file(path, public_key, secret_key);
    zap->socket = zmq_socket(f->context, ZMQ_REP);
    assert_int_equal(zmq_bind(zap->socket, "inproc://zeromq.zap.01"), 0);
    f->router = zmq_socket(f->context, ZMQ_ROUTER);
    zmq_setsockopt(f->router, ZMQ_CURVE_SERVER, &on, sizeof on);
    zmq_setsockopt(f->router, ZMQ_CURVE_SECRETKEY, server_secret, sizeof server_secret);
    zmq_setsockopt(f->router, ZMQ_ZAP_DOMAIN, "d", 1);
    assert_int_equal(zmq_bind(f->router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(f->router, ZMQ_LAST_ENDPOINT, f->endpoint, &size), 0);
    open_lane(f, server_public, path);
}

static void a_refused_key_ends_calls_and_is_tried_again(void **state)
{
    struct fixture *f = *state;
    struct zap zap = {.code = "400"};
    int64_t until_ns = clock_boot_ns() + PATIENCE_S * NS_PER_S;
    struct incoming in;

    start_with_keys(f, &zap);
    struct user *user = submit(f, OPERATION_SAVE, 0);
    while (!user->ends && clock_boot_ns() < until_ns) {
        zap_answers(&zap);
        lead(f);
    }
    assert_true(user->ends == 1 && user->status == STATUS_PERMISSION_DENIED);
    user = submit(f, OPERATION_GET, 0);
    assert_true(user->ends == 1 && user->status == STATUS_PERMISSION_DENIED);
    zap.code = "200"; /* the key is known now */
    while (!broker_takes(f, &in)) {
        assert_true(clock_boot_ns() < until_ns);
        zap_answers(&zap);
        lead(f);
    }
    assert_true(in.probe);
    zmq_close(zap.socket);
}

static void keys_are_checked(void **state)
{
    struct fixture *f = *state;
    struct remote_options options = {.endpoint = f->endpoint, .mutex = &f->mutex, .server_key = "short"};
    struct failure failure = {0};

    assert_int_equal(remote_new(&options, &f->lane, &failure), STATUS_INVALID_ARGUMENT);
    options.server_key = "0123456789012345678901234567890123456789";
    assert_int_equal(remote_new(&options, &f->lane, &failure), STATUS_INVALID_ARGUMENT);
    options.key_file = "/nonexistent";
    assert_int_equal(remote_new(&options, &f->lane, &failure), STATUS_INVALID_ARGUMENT);
    assert_null(f->lane);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(a_refused_key_ends_calls_and_is_tried_again),
        ALONE(keys_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
