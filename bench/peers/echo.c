/*
 * echo.c - ZeroMQ alone: messages of two frames to a router and back, over ipc, by processes of their own.
 *
 *     echo round    client -> ROUTER -> worker -> ROUTER -> client; with --hops 1 the ROUTER answers by itself
 *
 * --synced 1: the worker writes a page into a file and syncs it before it answers, which is the least that a store behind a
 * router can do for a durable write.
 */
#include "bench/peers/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { HEAD_BYTES = 128, WAIT_MS = 10000, PAGE = 4096, FILE_PAGES = 1024 };

static void *make_socket(void *context, int type, const char *endpoint, bool binds)
{
    void *socket = zmq_socket(context, type);
    int none = 0, wait_ms = WAIT_MS;
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof(none));
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof(wait_ms));
    if ((binds ? zmq_bind(socket, endpoint) : zmq_connect(socket, endpoint)) != 0) {
        fprintf(stderr, "%s: %s\n", endpoint, zmq_strerror(errno));
        exit(1);
    }
    return socket;
}

/* Hands one whole message on; false: there is none. */
static bool pass(void *from, void *to)
{
    zmq_msg_t frame;
    int more = 1;
    for (bool first = true; more; first = false) {
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, from, first ? ZMQ_DONTWAIT : 0) < 0) {
            zmq_msg_close(&frame);
            return !first;
        }
        more = zmq_msg_more(&frame);
        if (zmq_msg_send(&frame, to, more ? ZMQ_SNDMORE : 0) < 0) {
            zmq_msg_close(&frame);
            return false;
        }
    }
    return true;
}

static void write_page(int file, off_t index)
{
    uint8_t page[PAGE];
    memset(page, (int)index, sizeof(page));
    if (pwrite(file, page, sizeof(page), index * PAGE) != PAGE) {
        perror("write");
        _exit(1);
    }
}

static int open_pages(const char *path)
{
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    for (off_t i = 0; file >= 0 && i < FILE_PAGES; i++)
        write_page(file, i);
    if (file >= 0)
        (void)fsync(file); /* from now on its length does not change: the cheapest of syncs */
    return file;
}

static void answer_for_ever(void *socket, const char *synced_path)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    int file = open_pages(synced_path);
    for (off_t count = 0; zmq_poll(&item, 1, -1) >= 0; count++) {
        if (file >= 0) {
            write_page(file, count % FILE_PAGES);
            (void)fdatasync(file);
        }
        while (pass(socket, socket)) {
        }
    }
}

static void route_for_ever(void *clients, void *workers)
{
    zmq_pollitem_t items[] = {{.socket = clients, .events = ZMQ_POLLIN}, {.socket = workers, .events = ZMQ_POLLIN}};
    while (zmq_poll(items, 2, -1) >= 0) {
        for (int i = 0; i < 2; i++) {
            while (pass(items[i].socket, items[1 - i].socket)) {
            }
        }
    }
}

/* A ROUTER or its worker, until the client that started it ends it. */
static pid_t start(void (*body)(const char *const *endpoints), const char *const *endpoints)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body(endpoints);
        _exit(0);
    }
    return pid;
}

static void be_answering_router(const char *const *endpoints)
{
    answer_for_ever(make_socket(zmq_ctx_new(), ZMQ_ROUTER, endpoints[0], true), endpoints[2]);
}

/* The workers' side is a DEALER: with one worker it routes as well as a ROUTER, without knowing its name. */
static void be_router(const char *const *endpoints)
{
    void *context = zmq_ctx_new();
    void *workers = make_socket(context, ZMQ_DEALER, endpoints[1], true);
    route_for_ever(make_socket(context, ZMQ_ROUTER, endpoints[0], true), workers);
}

static void be_worker(const char *const *endpoints)
{
    answer_for_ever(make_socket(zmq_ctx_new(), ZMQ_DEALER, endpoints[1], false), endpoints[2]);
}

/* ---- the client ---- */

static void send_one(void *socket, const uint8_t *body, size_t bytes)
{
    uint8_t head[HEAD_BYTES] = {0};
    int64_t now_ns = peer_now_ns();
    memcpy(head, &now_ns, sizeof(now_ns));
    zmq_send(socket, head, sizeof(head), ZMQ_SNDMORE);
    zmq_send(socket, body, bytes, 0);
}

static bool receive_one(struct peer *peer, void *socket, int flags)
{
    zmq_msg_t head, body;
    int64_t begin_ns = 0;
    zmq_msg_init(&head);
    zmq_msg_init(&body);
    bool got = zmq_msg_recv(&head, socket, flags) == HEAD_BYTES && zmq_msg_recv(&body, socket, 0) >= 0;
    if (got) {
        memcpy(&begin_ns, zmq_msg_data(&head), sizeof(begin_ns));
        peer_record(peer, begin_ns, 1, 0);
    }
    zmq_msg_close(&head);
    zmq_msg_close(&body);
    return got;
}

/* Takes what has arrived and sends as many again. */
static void drive(struct peer *peer, void *socket, const uint8_t *body)
{
    unsigned free_places = peer->in_flight, under_way = 0;
    for (peer_begin(peer); !peer_is_over(peer);) {
        for (; free_places; free_places--, under_way++)
            send_one(socket, body, peer->value_bytes);
        bool waits = true;
        while (under_way && receive_one(peer, socket, waits ? 0 : ZMQ_DONTWAIT)) {
            waits = false;
            under_way--;
            free_places++;
        }
        if (waits)
            peer_fail(peer, "nothing came back");
    }
}

int main(int argc, char **argv)
{
    static struct peer peer;
    char *endpoints[2] = {NULL, NULL};
    pid_t others[2] = {0, 0};
    peer_parse(&peer, argc, argv, "round");
    for (int i = 0; i < 2; i++) {
        char *path = peer_path(&peer, i ? "workers" : "clients");
        if (asprintf(&endpoints[i], "ipc://%s", path) < 0)
            peer_fail(&peer, "no memory");
        free(path);
    }
    char *file = peer.synced ? peer_path(&peer, "pages") : NULL;
    const char *const names[] = {endpoints[0], endpoints[1], file};
    others[0] = start(peer.hops == 1 ? be_answering_router : be_router, names);
    others[1] = peer.hops == 1 ? 0 : start(be_worker, names);
    uint8_t *body = malloc(peer.value_bytes);
    void *context = zmq_ctx_new();
    void *socket = make_socket(context, ZMQ_DEALER, endpoints[0], false);
    peer_noise(peer.seed, body, peer.value_bytes);
    send_one(socket, body, peer.value_bytes); /* the way there and back is open */
    if (!receive_one(&peer, socket, 0))
        peer_fail(&peer, "nothing came back");
    peer.operations = 0;
    peer.latency = (struct histogram){0};
    drive(&peer, socket, body);
    peer_end(&peer);
    for (int i = 0; i < 2; i++) {
        if (others[i] > 0) {
            kill(others[i], SIGKILL);
            waitpid(others[i], NULL, 0);
        }
        free(endpoints[i]);
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    free(file);
    free(body);
    return 0;
}
