/*
 * remote.h - the door for clients of other hosts: CURVE, with our own answers to ZAP.
 *
 * libzmq asks inproc://zeromq.zap.01 about each handshake and admits everybody when nobody answers there: the handler
 * is bound before the door, and the door is made to need one.
 *
 * Owns: the keys, the handler's socket.  Thread: one.
 * Invariant: no tcp port is bound unless the handler is.
 */
#ifndef BROKER_REMOTE_H
#define BROKER_REMOTE_H
#include "broker/door.h"
#include "broker/keys.h"

struct remote {
    struct keys *keys;
    void *zap;
    uint64_t admitted, refused; /* handshakes */
};

/* Loads the keys and binds the handler. */
int remote_open(void *context, const char *keys_folder, struct remote *remote, struct failure *failure);
void remote_close(struct remote *remote);
/* For door_options.secure: `remote` is the context. Only when all is as it must be: true. */
bool remote_secure(void *socket, void *remote);
/* Answers the handshakes that wait. */
void remote_answer(struct remote *remote);
/* Who sent the frame, by the folder as it is now: the role, ROLE_NONE for nobody. */
uint8_t remote_identify(struct remote *remote, zmq_msg_t *frame, uint8_t principal[PRINCIPAL_BYTES]);
#endif
