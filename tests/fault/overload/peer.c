/*
 * peer.c - frames of ZMTP 3.0 over a socket that never blocks.
 */
#include "tests/fault/overload/peer.h"

#include "proto/clock.h"
#include "tests/system/zmtp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FLAG_MORE = 1, FLAG_LONG = 2, FLAG_COMMAND = 4, READ_BYTES = 256 * 1024, HEAD_BYTES = 9, PEERS_MOST = 2048 };

/* ---- lines of bytes ---- */

static uint8_t *line_room(struct bytes_line *line, size_t size)
{
    if (line->from == line->to)
        line->from = line->to = 0;
    if (line->to + size > line->room) {
        memmove(line->data, line->data + line->from, line->to - line->from);
        line->to -= line->from;
        line->from = 0;
    }
    if (line->to + size > line->room) {
        size_t room = 2 * line->room > line->to + size ? 2 * line->room : line->to + size;
        line->data = realloc(line->data, room);
        if (!line->data)
            abort();
        line->room = room;
    }
    return line->data + line->to;
}

static void line_free(struct bytes_line *line)
{
    free(line->data);
    *line = (struct bytes_line){0};
}

/* ---- the connection ---- */

bool peer_open(struct peer_link *peer, const char *endpoint)
{
    *peer = (struct peer_link){.fd = zmtp_connect(endpoint), .next_write = 1, .next_read = 1};
    if (peer->fd < 0)
        return false;
    random_bytes(peer->session.id, sizeof(peer->session.id));
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    memcpy(line_room(&peer->out, 2), "\0\0", 2); /* the probe: an empty frame */
    peer->out.to += 2;
    peer_flush(peer);
    return true;
}

static void end(struct peer_link *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

void peer_close(struct peer_link *peer)
{
    end(peer);
    line_free(&peer->out);
    line_free(&peer->in);
}

size_t peer_flush(struct peer_link *peer)
{
    while (peer->fd >= 0 && peer->out.from < peer->out.to) {
        ssize_t sent = send(peer->fd, peer->out.data + peer->out.from, peer->out.to - peer->out.from, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0 && errno != EINTR)
            end(peer);
        peer->out.from += sent > 0 ? (size_t)sent : 0;
    }
    return peer->out.to - peer->out.from;
}

/* ---- out ---- */

static void put_frame(struct peer_link *peer, size_t size, bool more, uint8_t **body)
{
    uint8_t *head = line_room(&peer->out, HEAD_BYTES + size);
    head[0] = (uint8_t)(FLAG_LONG | (more ? FLAG_MORE : 0));
    for (unsigned i = 0; i < 8; i++)
        head[8 - i] = (uint8_t)((uint64_t)size >> (8 * i));
    *body = head + HEAD_BYTES;
    peer->out.to += HEAD_BYTES + size;
}

void peer_send(struct peer_link *peer, const struct envelope *envelope, const void *body, size_t size)
{
    uint8_t *to;
    put_frame(peer, ENVELOPE_BYTES, true, &to);
    envelope_encode(envelope, to);
    put_frame(peer, size, false, &to);
    if (size > 0)
        memcpy(to, body, size);
    peer_flush(peer);
}

uint64_t peer_send_encoded(struct peer_link *peer, uint8_t type, const void *requests, size_t size, size_t count,
                           int64_t deadline_ns)
{
    bool is_write = type == MESSAGE_WRITE;
    uint64_t *next = is_write ? &peer->next_write : &peer->next_read;
    struct envelope envelope = envelope_make(type, deadline_ns);
    uint8_t *to;
    envelope.first = *next;
    envelope.count = (uint32_t)count;
    if (is_write && peer->session.floor == 0) { /* it is born with its first number */
        memcpy(peer->session.incarnation, peer->hello.incarnation, sizeof(peer->session.incarnation));
        peer->session.counter = peer->hello.session_counter;
    }
    peer->session.floor = is_write ? *next : peer->session.floor;
    size_t session_bytes = is_write ? body_requests_size(&peer->session, NULL, 0, deadline_ns) : 0;
    put_frame(peer, ENVELOPE_BYTES, true, &to);
    envelope_encode(&envelope, to);
    put_frame(peer, session_bytes + size, false, &to);
    if (is_write)
        body_encode_requests(&peer->session, NULL, 0, deadline_ns, to);
    memcpy(to + session_bytes, requests, size);
    peer_flush(peer);
    *next += is_write ? count : 1;
    return envelope.first;
}

uint64_t peer_send_requests(struct peer_link *peer, uint8_t type, const struct request *requests, size_t count,
                            int64_t deadline_ns)
{
    size_t size = body_requests_size(NULL, requests, count, deadline_ns);
    uint8_t *body = malloc(size + 1);
    if (!body)
        abort();
    body_encode_requests(NULL, requests, count, deadline_ns, body);
    uint64_t first = peer_send_encoded(peer, type, body, size, count, deadline_ns);
    free(body);
    return first;
}

/* ---- in ---- */

/* One frame behind `at`; false: not all of it is there. */
static bool next_frame(const struct bytes_line *in, size_t *at, uint8_t *flags, const uint8_t **body, size_t *size)
{
    const uint8_t *head = in->data + *at;
    size_t left = in->to - *at;
    if (left < 2)
        return false;
    size_t head_bytes = head[0] & FLAG_LONG ? HEAD_BYTES : 2;
    if (left < head_bytes)
        return false;
    *size = head[1];
    if (head[0] & FLAG_LONG) {
        *size = 0;
        for (unsigned i = 0; i < 8; i++)
            *size = *size << 8 | head[1 + i];
    }
    if (left - head_bytes < *size)
        return false;
    *flags = head[0];
    *body = head + head_bytes;
    *at += head_bytes + *size;
    return true;
}

static bool take_message(struct peer_link *peer, struct peer_message *message)
{
    const uint8_t *envelope, *body;
    size_t envelope_size, at = peer->in.from;
    uint8_t flags;
    if (peer->in.from == peer->in.to)
        return false;
    if (!next_frame(&peer->in, &at, &flags, &envelope, &envelope_size) ||
        !next_frame(&peer->in, &at, &flags, &body, &message->size))
        return false;
    message->body = body;
    peer->in.from = at;
    if ((flags & FLAG_MORE) || envelope_decode(envelope, envelope_size, &message->envelope) != STATUS_OK)
        end(peer);
    return peer->fd >= 0;
}

static bool read_more(struct peer_link *peer)
{
    if (peer->fd < 0)
        return false;
    uint8_t *to = line_room(&peer->in, READ_BYTES);
    ssize_t got = recv(peer->fd, to, READ_BYTES, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        end(peer);
    peer->in.to += got > 0 ? (size_t)got : 0;
    return got > 0;
}

bool peer_receive(struct peer_link *peer, struct peer_message *message)
{
    while (!take_message(peer, message))
        if (!read_more(peer))
            return false;
    if (message->envelope.type == MESSAGE_HELLO &&
        hello_decode(message->body, message->size, &peer->hello) == STATUS_OK)
        peer->hello.path = (struct span){NULL, 0};
    return true;
}

/* ---- waiting ---- */

void peers_wait(struct peer_link *peers, size_t count, bool reads, int timeout_ms)
{
    static _Thread_local struct pollfd items[PEERS_MOST];
    for (size_t i = 0; i < count && i < PEERS_MOST; i++) {
        bool has_more = peers[i].out.from < peers[i].out.to;
        items[i] =
            (struct pollfd){.fd = peers[i].fd, .events = (short)((reads ? POLLIN : 0) | (has_more ? POLLOUT : 0))};
    }
    poll(items, count, timeout_ms);
    for (size_t i = 0; i < count && i < PEERS_MOST; i++)
        if (items[i].revents & POLLOUT)
            peer_flush(&peers[i]);
}

bool peer_wait_message(struct peer_link *peer, struct peer_message *message, int timeout_ms)
{
    int64_t until_ns = clock_deadline_ns((uint32_t)timeout_ms);
    for (;;) {
        while (peer_receive(peer, message))
            if (message->envelope.type != MESSAGE_HELLO)
                return true;
        int left_ms = clock_ms_until(until_ns, timeout_ms);
        if (peer->fd < 0 || left_ms <= 0)
            return false;
        peers_wait(peer, 1, true, left_ms);
    }
}

bool peer_wait_welcome(struct peer_link *peer, int timeout_ms)
{
    int64_t until_ns = clock_deadline_ns((uint32_t)timeout_ms);
    struct peer_message message;
    for (;;) {
        while (peer_receive(peer, &message)) {
        }
        int left_ms = clock_ms_until(until_ns, timeout_ms);
        if (peer->hello.life && peer->hello.writer_epoch)
            return true;
        if (peer->fd < 0 || left_ms <= 0)
            return false;
        peers_wait(peer, 1, true, left_ms);
    }
}
