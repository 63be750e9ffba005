/*
 * kinds.c - malformed, oversized, slow, half and foreign messages.
 */
#include "tests/hostile/kinds.h"

#include "proto/arena.h"
#include "proto/body.h"
#include "proto/clock.h"
#include "proto/envelope.h"
#include "tests/system/zmtp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE_BYTES = 1024 * 1024, ENDLESS_BUFFER_BYTES = 64 * 1024, PATIENCE_MS = 500 };

/* ---- connections ---- */

void peer_start(struct peer *peer, const char *endpoint, uint64_t seed)
{
    *peer = (struct peer){.endpoint = endpoint, .dice = {seed}};
    for (int i = 0; i < PEER_CONNECTIONS; i++)
        peer->fds[i] = -1;
}

static void hang_up(struct peer *peer, int i)
{
    if (peer->fds[i] >= 0)
        close(peer->fds[i]);
    peer->fds[i] = -1;
    peer->slow_at[i] = 0;
}

void peer_stop(struct peer *peer)
{
    for (int i = 0; i < PEER_CONNECTIONS; i++)
        hang_up(peer, i);
}

/* A broker that does not read must not hold the attack up, either. */
static int be_impatient(int fd)
{
    const struct timeval patience = {.tv_usec = PATIENCE_MS * 1000};
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    return fd;
}

static int connection(struct peer *peer, int i)
{
    if (peer->fds[i] < 0) {
        peer->fds[i] = be_impatient(zmtp_connect(peer->endpoint));
        peer->sent++;
    }
    return peer->fds[i];
}

static void forget_answers(int fd)
{
    char answers[65536];
    while (fd >= 0 && recv(fd, answers, sizeof answers, MSG_DONTWAIT) > 0) {
    }
}

static int any(struct peer *peer)
{
    return (int)dice_roll(&peer->dice, PEER_CONNECTIONS);
}

/* ---- messages ---- */

static void send_frames(struct peer *peer, int i, const struct span *frames, size_t count)
{
    int fd = connection(peer, i);
    bool sent = fd >= 0;
    forget_answers(fd);
    for (size_t at = 0; sent && at < count; at++)
        sent = zmtp_send(fd, frames[at].size ? frames[at].data : "", frames[at].size, at + 1 < count);
    peer->sent += sent;
    if (!sent)
        hang_up(peer, i);
}

static void send_message(struct peer *peer, int i, const struct envelope *envelope, struct span body)
{
    uint8_t head[ENVELOPE_BYTES];
    envelope_encode(envelope, head);
    const struct span frames[] = {{head, sizeof head}, body};
    send_frames(peer, i, frames, 2);
}

static struct envelope envelope_of(struct peer *peer, uint8_t type)
{
    struct envelope envelope = envelope_make(type, clock_deadline_ns(1000 + dice_roll(&peer->dice, 4000)));
    envelope.first = 1 + dice_roll(&peer->dice, 100);
    envelope.count = 1;
    return envelope;
}

static void fill(struct peer *peer, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)dice_next(&peer->dice);
}

/* ---- the kinds ---- */

static void garbage_greeting(struct peer *peer)
{
    uint8_t bytes[200];
    fill(peer, bytes, sizeof bytes);
    if (dice_roll(&peer->dice, 2))
        memcpy(bytes, "\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16); /* it begins well */
    int fd = be_impatient(zmtp_open(peer->endpoint));
    ssize_t sent = fd < 0 ? 0 : send(fd, bytes, 1 + dice_roll(&peer->dice, sizeof bytes), MSG_NOSIGNAL);
    peer->sent += sent > 0;
    if (fd >= 0)
        close(fd);
}

static void malformed_envelope(struct peer *peer)
{
    uint8_t head[ENVELOPE_BYTES + 1];
    struct envelope envelope = envelope_of(peer, MESSAGE_READ);
    envelope_encode(&envelope, head);
    size_t size = dice_roll(&peer->dice, 3) ? dice_roll(&peer->dice, sizeof head + 1) : ENVELOPE_BYTES;
    if (dice_roll(&peer->dice, 2))
        fill(peer, head, sizeof head);
    else
        head[dice_roll(&peer->dice, 8)] ^= (uint8_t)(1 + dice_roll(&peer->dice, 255));
    const struct span frames[] = {{head, size}, span_text("body")};
    send_frames(peer, any(peer), frames, 2);
}

static void wrong_frames(struct peer *peer)
{
    static const size_t counts[] = {1, 3, 4, 60};
    struct span frames[60];
    uint8_t head[ENVELOPE_BYTES];
    struct envelope envelope = envelope_of(peer, MESSAGE_WRITE);
    envelope_encode(&envelope, head);
    for (size_t i = 0; i < 60; i++)
        frames[i] = dice_roll(&peer->dice, 2) ? span_text("frame") : span_text("");
    frames[0] = (struct span){head, sizeof head};
    send_frames(peer, any(peer), frames, counts[dice_roll(&peer->dice, 4)]);
}

static void unknown_types(struct peer *peer)
{
    static const uint8_t types[] = {0, MESSAGE_READY, MESSAGE_HEARTBEAT, MESSAGE_DRAIN, MESSAGE_TYPE_END, 200};
    struct envelope envelope = envelope_of(peer, types[dice_roll(&peer->dice, sizeof types)]);
    if (dice_roll(&peer->dice, 2))
        envelope = envelope_of(peer, MESSAGE_READ);
    envelope.version = (uint8_t)dice_roll(&peer->dice, 4);
    send_message(peer, any(peer), &envelope, span_text("body"));
}

static void undecodable_bodies(struct peer *peer)
{
    uint8_t body[500];
    struct envelope envelope = envelope_of(peer, dice_roll(&peer->dice, 2) ? MESSAGE_READ : MESSAGE_WRITE);
    envelope.count = dice_roll(&peer->dice, 8) ? 1 : (uint32_t)dice_next(&peer->dice);
    fill(peer, body, sizeof body);
    send_message(peer, any(peer), &envelope, (struct span){body, dice_roll(&peer->dice, sizeof body)});
}

/* A frame's header alone, which says more than the broker ever takes. */
static void oversized(struct peer *peer)
{
    uint8_t head[64] = {2, 0, 0, 0, (uint8_t)dice_roll(&peer->dice, 4), 0xff, 0xff, 0xff, 0xff};
    int i = any(peer), fd = connection(peer, i);
    peer->sent += fd >= 0 && send(fd, head, sizeof head, MSG_NOSIGNAL) > 0;
    hang_up(peer, i);
}

static void uncredited(struct peer *peer)
{
    static const uint8_t large[LARGE_BYTES];
    struct envelope envelope = envelope_of(peer, dice_roll(&peer->dice, 2) ? MESSAGE_READ : MESSAGE_WRITE);
    if (peer->steps % 32 == 0) /* the bytes alone are work: what is measured is what the broker makes of them */
        send_message(peer, any(peer), &envelope, (struct span){large, sizeof large});
}

/* A good message, one byte a step on each connection; the connection is kept. */
static void slow(struct peer *peer)
{
    struct envelope envelope = envelope_of(peer, MESSAGE_HELLO);
    if (peer->slow_bytes == 0) {
        peer->slow[0] = 1; /* more to come */
        peer->slow[1] = ENVELOPE_BYTES;
        envelope_encode(&envelope, peer->slow + 2);
        peer->slow_bytes = ENVELOPE_BYTES + 4; /* and an empty frame behind it */
    }
    for (int i = 0; i < PEER_CONNECTIONS; i++) {
        int fd = connection(peer, i);
        if (fd < 0 || send(fd, peer->slow + peer->slow_at[i], 1, MSG_NOSIGNAL) != 1) {
            hang_up(peer, i);
            continue;
        }
        peer->sent++;
        peer->slow_at[i] = (peer->slow_at[i] + 1) % peer->slow_bytes;
        forget_answers(fd);
    }
}

static void half(struct peer *peer)
{
    uint8_t head[ENVELOPE_BYTES];
    struct envelope envelope = envelope_of(peer, MESSAGE_WRITE);
    int i = any(peer), fd = connection(peer, i);
    envelope_encode(&envelope, head);
    if (fd >= 0 && zmtp_send(fd, head, sizeof head, true)) {
        static const uint8_t begun[] = {2, 0, 0, 0, 0, 0, 0, 16, 0, 'h', 'a', 'l', 'f'};
        peer->sent += send(fd, begun, sizeof begun, MSG_NOSIGNAL) > 0;
    }
    hang_up(peer, i);
}

/* Ids like those that the broker's socket gives out, ids of the neighbours, long ones. */
static void foreign_ids(struct peer *peer)
{
    uint8_t id[200] = {0};
    size_t size = 5;
    switch (dice_roll(&peer->dice, 3)) {
    case 0:
        fill(peer, id + 1, 4);
        break;
    case 1:
        memcpy(id, "twins", 5);
        id[4] = (uint8_t)dice_roll(&peer->dice, 2);
        break;
    default:
        size = sizeof id;
        fill(peer, id, size);
    }
    int i = any(peer);
    hang_up(peer, i);
    peer->fds[i] = be_impatient(zmtp_connect_as(peer->endpoint, id, size));
    struct envelope envelope = envelope_of(peer, MESSAGE_HELLO);
    if (peer->fds[i] >= 0)
        send_message(peer, i, &envelope, span_text(""));
}

static void hellos(struct peer *peer)
{
    struct envelope envelope = envelope_of(peer, MESSAGE_HELLO);
    const struct span probe = {NULL, 0};
    for (int n = 0; n < 8; n++)
        if (dice_roll(&peer->dice, 2))
            send_message(peer, any(peer), &envelope, probe);
        else
            send_frames(peer, any(peer), &probe, 1);
}

static void credit_and_cancel(struct peer *peer)
{
    struct envelope envelope = envelope_of(peer, dice_roll(&peer->dice, 2) ? MESSAGE_CREDIT : MESSAGE_CANCEL);
    envelope.flags = (uint16_t)dice_roll(&peer->dice, 16);
    envelope.bytes = dice_next(&peer->dice) >> dice_roll(&peer->dice, 64);
    send_message(peer, any(peer), &envelope, span_text(""));
}

static struct envelope forged_reply(struct peer *peer)
{
    struct envelope envelope = envelope_of(peer, dice_roll(&peer->dice, 2) ? MESSAGE_REPLY : MESSAGE_STREAM);
    envelope.ticket = (uint64_t)dice_roll(&peer->dice, 4096) << 20 | dice_roll(&peer->dice, 64);
    envelope.life = dice_next(&peer->dice);
    envelope.attempt = 1;
    return envelope;
}

static void foreign_tickets(struct peer *peer)
{
    struct envelope envelope = forged_reply(peer);
    send_message(peer, any(peer), &envelope, span_text("an answer"));
}

/* By the door that only workers should find. */
static void false_workers(struct peer *peer)
{
    char workers[200];
    struct envelope envelope = forged_reply(peer);
    int i = any(peer);
    snprintf(workers, sizeof workers, "%s.workers", peer->endpoint);
    if (peer->fds[i] < 0)
        peer->fds[i] = be_impatient(zmtp_connect(workers));
    if (peer->fds[i] >= 0)
        send_message(peer, i, &envelope, span_text("an answer"));
}

/* Good reads whose answers nobody takes. */
static void deaf(struct peer *peer)
{
    uint8_t head[ENVELOPE_BYTES], body[128];
    struct envelope envelope = envelope_of(peer, MESSAGE_READ);
    const struct request get = {.operation = OPERATION_GET,
                                .kind = span_text("k"),
                                .id = span_text("good-0"),
                                .deadline_ns = envelope.deadline_ns};
    int i = any(peer), fd = connection(peer, i);
    size_t size = body_requests_size(NULL, &get, 1, envelope.deadline_ns);
    body_encode_requests(NULL, &get, 1, envelope.deadline_ns, body);
    envelope_encode(&envelope, head);
    if (fd >= 0 && zmtp_send(fd, head, sizeof head, true) && zmtp_send(fd, body, size, false))
        peer->sent++;
    else
        hang_up(peer, i);
}

const struct kind kinds[] = {
    {"greeting", "no ZMTP, or half of it", garbage_greeting},
    {"envelope", "what is no envelope", malformed_envelope},
    {"frames", "one, three, four, sixty frames", wrong_frames},
    {"types", "unknown types and versions", unknown_types},
    {"bodies", "bodies that are no batch", undecodable_bodies},
    {"oversized", "a frame that is larger than any may be", oversized},
    {"uncredited", "large bodies without credit", uncredited},
    {"slow", "a byte now and then", slow},
    {"half", "half a message, then gone", half},
    {"ids", "routing ids of others", foreign_ids},
    {"hello", "floods of HELLO", hellos},
    {"credit", "credit and cancels for what is not theirs", credit_and_cancel},
    {"tickets", "answers with foreign tickets", foreign_tickets},
    {"workers", "the same by the workers' door", false_workers},
    {"deaf", "requests whose answers are not read", deaf},
    {NULL, NULL, NULL},
};

/* Whole frames, each with more to come, as many as fit into `size`; how many bytes they are. */
static size_t endless_frames(uint8_t *bytes, size_t size, bool small)
{
    static const uint8_t large[] = {3, 0, 0, 0, 0, 0, 0, 0xff, 0}, tiny[] = {1, 5, 'j', 'u', 'n', 'k', '!'};
    size_t at = 0, frame = small ? sizeof tiny : sizeof large + 0xff00;
    for (; at + frame <= size; at += frame)
        memcpy(bytes + at, small ? tiny : large, small ? sizeof tiny : sizeof large);
    return at;
}

uint64_t peer_send_without_end(const char *endpoint, uint64_t bytes, bool small)
{
    static uint8_t frames[ENDLESS_BUFFER_BYTES];
    size_t size = endless_frames(frames, sizeof frames, small), at = 0;
    int fd = zmtp_connect(endpoint);
    uint64_t sent = 0;
    ssize_t some = 0;
    while (fd >= 0 && sent < bytes && (some = send(fd, frames + at, size - at, MSG_NOSIGNAL)) > 0) {
        at = (at + (size_t)some) % size;
        sent += (uint64_t)some;
    }
    if (fd >= 0)
        close(fd);
    return sent;
}
