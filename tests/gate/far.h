/*
 * far.h - raw peers, over tcp with a client's key or with none: whether they are let in, and what they write.
 */
#ifndef TESTS_GATE_FAR_H
#define TESTS_GATE_FAR_H
#include "proto/body.h"
#include "tests/gate/gate.h"

struct far {
    void *context, *socket;
    struct hello hello;
    struct session_header session; /* of its own; floor 1 */
    struct arena *arena;
};

/* Whether the handshake of a peer with that client's key (NULL: with none) succeeds, as libzmq tells it.
 * `server_key`: the one it expects. */
bool far_is_let_in(const struct gate *gate, const char *name, const char *server_key);

/* Comes in and waits for a writer. */
void far_open(struct far *far, const struct gate *gate, const char *name);
/* The same on this host in two steps: connected, whether or not the broker has noticed, then greeted by it. */
void far_connect_here(struct far *far, const struct gate *gate);
void far_greet(struct far *far);
void far_close(struct far *far);
struct request far_save(const char *id, const char *data);
/* Sends the request under that number of the far's session; the reply. */
struct reply far_write(struct far *far, uint64_t number, const struct request *request);
#endif
