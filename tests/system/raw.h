/*
 * raw.h - the broker's wire frame by frame, without the client library: raw clients and fake workers.
 */
#ifndef TESTS_SYSTEM_RAW_H
#define TESTS_SYSTEM_RAW_H
#include "proto/body.h"
#include "proto/clock.h"
#include "proto/envelope.h"
#include "proto/limits.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"

#include <sys/types.h>

enum { RAW_SOCKETS = 16 };

struct raw_broker {
    char *folder;
    char endpoint[160], workers[176];
    pid_t pid;
    void *context; /* of the test's own sockets */
    void *sockets[RAW_SOCKETS];
    const char *keys; /* not NULL: it listens on a port of this host with these */
};

/* Starts it in a new folder and waits until it serves. */
void raw_broker_start(struct raw_broker *broker);
/* The folder alone. */
void raw_broker_prepare(struct raw_broker *broker);
/* Starts it (again) where it was. */
void raw_broker_again(struct raw_broker *broker);
/* SIGTERM; its exit code. */
int raw_broker_stop(struct raw_broker *broker);
/* Closes the sockets that are left, too. */
void raw_broker_free(struct raw_broker *broker);

struct raw_message {
    struct envelope envelope;
    uint8_t *body;
    size_t size;
};
void raw_message_free(struct raw_message *message);

/* A DEALER that probes; waits for the WELCOME. */
void *raw_client(struct raw_broker *broker);
/* One that neither probes nor waits. */
void *raw_dealer(struct raw_broker *broker, const char *endpoint, bool probe);
/* Not connected yet. */
void *raw_dealer_unconnected(struct raw_broker *broker, bool probe);
/* WELCOME, then READY. */
void *raw_worker(struct raw_broker *broker, uint8_t role, uint64_t life, uint64_t epoch);
void raw_close(struct raw_broker *broker, void **socket);

/* An envelope with 10 s to go. */
struct envelope raw_envelope(uint8_t type, uint64_t first);
void raw_send(void *socket, const struct envelope *envelope, const void *body, size_t size);
/* Any frames. */
void raw_send_frames(void *socket, const struct span *frames, size_t count);
/* The next message, HELLOs that announce changes apart; fails the test after 10 s. */
struct raw_message raw_receive(void *socket);
/* The next message of any kind. */
struct raw_message raw_receive_any(void *socket);
/* True when nothing comes within `ms`. */
bool raw_is_quiet(void *socket, int ms);

/* The next message is of that type, number and status; its body goes. */
struct envelope raw_expect(void *socket, uint8_t type, uint64_t first, int32_t status);
/* A worker's answer to what it was given. */
void raw_reply(void *socket, const struct envelope *to, int32_t status, const void *body, size_t size);

/* CONTROL STATUS: the JSON, NUL-terminated, from malloc. */
char *raw_status(void *client);
/* The integer behind "name": in it; -1: not there. */
long raw_number(const char *json, const char *name);
#endif
