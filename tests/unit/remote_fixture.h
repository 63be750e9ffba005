/*
 * remote_fixture.h - a lane through a broker that the test plays itself, on a ROUTER in its own thread.
 */
#ifndef TESTS_REMOTE_FIXTURE_H
#define TESTS_REMOTE_FIXTURE_H
#include "client/lane.h"
#include "proto/clock.h"
#include "proto/envelope.h"
#include "proto/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { PATIENCE_S = 10, ROUND_MS = 5, QUIET_ROUNDS = 10, PEER_BYTES = 64 };

struct user {
    struct call call; /* first */
    pthread_cond_t *cond;
    int pieces, ends, status;
    uint64_t revision;
};

struct incoming {
    struct envelope envelope;
    struct request_batch batch;
    size_t body_bytes;
    bool probe;
};

struct fixture {
    char folder[64], endpoint[128];
    void *context, *router;
    uint8_t peer[PEER_BYTES];
    size_t peer_bytes;
    struct hello hello;
    struct arena *arena;
    pthread_mutex_t mutex;
    struct lane *lane;
    int hellos;
    struct user users[64];
    size_t submitted;
};

/* ---- the broker ---- */

void broker_start(struct fixture *f);
void broker_stop(struct fixture *f);
/* One message, when there is one. */
bool broker_takes(struct fixture *f, struct incoming *in);
void broker_sends(struct fixture *f, struct envelope *envelope, struct span body);
void broker_greets(struct fixture *f, bool welcome);
/* A reply for each request: the status, and revisions that go up from `revision`. */
void broker_answers(struct fixture *f, const struct incoming *in, int status, uint64_t revision);
void broker_sends_piece(struct fixture *f, uint64_t first, uint32_t piece, bool last);

/* ---- the client ---- */

void fixture_settle(struct call *call, const struct reply *reply, bool last);
void open_lane(struct fixture *f, const char *server_key, const char *key_file);
/* The probe comes, the broker says WELCOME, the client has taken it. */
void connect_lane(struct fixture *f);
struct user *submit_call(struct fixture *f, const struct call *call);
struct user *submit(struct fixture *f, uint32_t operation, uint32_t flags);
void lead(struct fixture *f);
/* Leads until the broker has a message. */
struct incoming expect(struct fixture *f);
struct incoming expect_type(struct fixture *f, uint8_t type);
void expect_nothing(struct fixture *f);
void lead_until_ended(struct fixture *f, const struct user *user);

int setup(void **state);
int setup_connected(void **state);
int teardown(void **state);

#define ALONE(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define CONNECTED(name) cmocka_unit_test_setup_teardown(name, setup_connected, teardown)
#endif
