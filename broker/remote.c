/*
 * remote.c - CURVE and ZAP.
 */
#include "broker/remote.h"

#include <errno.h>

enum {
    ZAP_ENFORCE_DOMAIN = 93, /* ZMQ_ZAP_ENFORCE_DOMAIN, not in every header; without it a missing handler admits all */
    HANDSHAKE_MS = 5000,
    KEEPALIVE_IDLE_S = 30,
    RETRANSMIT_MS = 30000,
    ZAP_FRAMES = 7, /* version, request id, domain, address, identity, mechanism, key */
};

static const char domain[] = "stigstore";

int remote_open(void *context, const char *keys_folder, struct remote *remote, struct failure *failure)
{
    int status = keys_new(keys_folder, &remote->keys, failure);
    if (status != STATUS_OK)
        return status;
    int linger = 0;
    remote->zap = zmq_socket(context, ZMQ_REP);
    if (!remote->zap || zmq_setsockopt(remote->zap, ZMQ_LINGER, &linger, sizeof linger) != 0 ||
        zmq_bind(remote->zap, "inproc://zeromq.zap.01") != 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot answer for keys: %s", zmq_strerror(errno));
    return STATUS_OK;
}

void remote_close(struct remote *remote)
{
    if (remote->zap)
        zmq_close(remote->zap);
    remote->zap = NULL;
    keys_free(&remote->keys);
}

static bool set_int(void *socket, int option, int value)
{
    int got = -1;
    size_t size = sizeof got;
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0 &&
           zmq_getsockopt(socket, option, &got, &size) == 0 && got == value;
}

bool remote_secure(void *socket, void *context)
{
    struct remote *remote = context;
    const char *secret = keys_secret(remote->keys);
    return remote->zap && set_int(socket, ZMQ_CURVE_SERVER, 1) &&
           zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, KEY_TEXT_BYTES + 1) == 0 &&
           zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, sizeof domain - 1) == 0 &&
           set_int(socket, ZAP_ENFORCE_DOMAIN, 1) && set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE, 1) && set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) &&
           set_int(socket, ZMQ_TCP_MAXRT, RETRANSMIT_MS);
}

/* ---- ZAP ---- */

struct frames {
    zmq_msg_t frame[ZAP_FRAMES];
    size_t count; /* as they came; those past the last are not kept */
};

static bool receive_request(void *zap, struct frames *request)
{
    request->count = 0;
    for (size_t i = 0; i < ZAP_FRAMES; i++)
        zmq_msg_init(&request->frame[i]);
    for (bool more = true; more;) {
        zmq_msg_t extra;
        zmq_msg_init(&extra);
        zmq_msg_t *frame = request->count < ZAP_FRAMES ? &request->frame[request->count] : &extra;
        bool got = zmq_msg_recv(frame, zap, ZMQ_DONTWAIT) >= 0;
        request->count += got;
        more = got && zmq_msg_more(frame);
        zmq_msg_close(&extra);
    }
    return request->count > 0;
}

static bool frame_is(zmq_msg_t *frame, const char *text)
{
    return zmq_msg_size(frame) == strlen(text) && memcmp(zmq_msg_data(frame), text, strlen(text)) == 0;
}

/* The key in Z85, which becomes the User-Id of its messages; false when it may not come in. */
static bool judge(const struct remote *remote, struct frames *request, char user[KEY_TEXT_BYTES + 1])
{
    uint8_t principal[PRINCIPAL_BYTES];
    zmq_msg_t *frame = request->frame;
    if (request->count != ZAP_FRAMES || !frame_is(&frame[0], "1.0") || !frame_is(&frame[2], domain) ||
        !frame_is(&frame[5], "CURVE") || zmq_msg_size(&frame[6]) != PRINCIPAL_BYTES)
        return false;
    return zmq_z85_encode(user, zmq_msg_data(&frame[6]), PRINCIPAL_BYTES) &&
           keys_role(remote->keys, user, principal) != ROLE_NONE;
}

static void send_verdict(void *zap, struct frames *request, bool admitted, const char *user)
{
    const char *code = admitted ? "200" : "400", *text = admitted ? "OK" : "unknown key";
    zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
    zmq_msg_send(&request->frame[1], zap, ZMQ_SNDMORE);
    zmq_send(zap, code, 3, ZMQ_SNDMORE);
    zmq_send(zap, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(zap, user, admitted ? KEY_TEXT_BYTES : 0, ZMQ_SNDMORE);
    zmq_send(zap, "", 0, 0);
}

void remote_answer(struct remote *remote)
{
    struct frames request;
    bool any = true;
    keys_take_changes(remote->keys);
    while (any) {
        any = receive_request(remote->zap, &request);
        if (any) {
            char user[KEY_TEXT_BYTES + 1] = "";
            bool admitted = judge(remote, &request, user);
            remote->admitted += admitted;
            remote->refused += !admitted;
            send_verdict(remote->zap, &request, admitted, user);
        }
        for (size_t i = 0; i < ZAP_FRAMES; i++)
            zmq_msg_close(&request.frame[i]);
    }
}

uint8_t remote_identify(struct remote *remote, zmq_msg_t *frame, uint8_t principal[PRINCIPAL_BYTES])
{
    keys_take_changes(remote->keys); /* whoever took a key back before this message was sent may count on it */
    return keys_role(remote->keys, zmq_msg_gets(frame, "User-Id"), principal);
}
