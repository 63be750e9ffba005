/*
 * remote_session_fixture.h - a session with its calls, and the messages that go there and back.
 *
 * Owns: the session, the calls.  Thread: one.
 */
#ifndef TESTS_UNIT_REMOTE_SESSION_FIXTURE_H
#define TESTS_UNIT_REMOTE_SESSION_FIXTURE_H
#include "client/remote_session.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/support/cmocka_all.h"

enum { CALLS = 5000, MOST = 256 };

struct user {
    struct call call; /* first */
    int ends;
    int status;
    uint32_t flags;
};

struct fixture {
    struct remote_session *session;
    struct hello hello;
    struct user users[CALLS];
    size_t submitted;
    struct request requests[MOST];
    struct remote_batch batch;
    int64_t now_ns;
};

int session_setup(void **state);
int session_teardown(void **state);
struct user *session_submit_with(struct fixture *f, uint32_t flags, int64_t deadline_ns);
struct user *session_submit(struct fixture *f);
size_t session_gather(struct fixture *f);
size_t session_send_batch(struct fixture *f);
enum remote_news session_answer_batch(struct fixture *f, const struct remote_batch *batch, const struct reply *replies);
/* The broker's own answer, after it gave the message to `attempts` writers. */
void session_refuse_after(struct fixture *f, const struct remote_batch *batch, int status, uint32_t attempts);
void session_refuse_batch(struct fixture *f, const struct remote_batch *batch, int status, uint32_t retry_after_ms);
void session_welcome(struct fixture *f);

#define TEST(name) cmocka_unit_test_setup_teardown(name, session_setup, session_teardown)
#endif
