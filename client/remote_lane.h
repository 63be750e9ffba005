/*
 * remote_lane.h - the lane through the broker, as its own files see it.
 *
 * remote.c leads, remote_socket.c connects, remote_send.c packs what waits, remote_receive.c takes answers.
 *
 * Owns: the libzmq context and its sockets, the eventfd, session and reads.
 * Thread: the handle's mutex guards all but `socket`, `monitor` and `arena`, which are the leader's, or with the mutex
 * held anybody's while nobody leads.
 * Invariant: poll and zmq_send never overlap; nothing is sent on a connection before the broker's WELCOME.
 */
#ifndef CLIENT_REMOTE_LANE_H
#define CLIENT_REMOTE_LANE_H
#include "client/lane.h"
#include "client/remote_reads.h"
#include "client/remote_session.h"
#include "client/remote_store.h"

#include <stdatomic.h>
#include <sys/types.h>

enum { REMOTE_BATCH_MOST = 256, REMOTE_KEY_CHARS = 40 };

struct remote_keys {
    bool used;
    char server[REMOTE_KEY_CHARS + 1], public[REMOTE_KEY_CHARS + 1], secret[REMOTE_KEY_CHARS + 1];
};

/* Leave to send one body that is larger than hello.uncredited_bytes. */
struct remote_grant {
    bool asked;
    uint64_t number;
    uint64_t asked_bytes;
    uint64_t bytes;      /* granted; 0: none */
    int64_t retry_at_ns; /* the broker takes none now: ask again then */
};

struct remote {
    struct lane lane; /* first */
    struct remote_options options;
    char *endpoint;
    struct remote_keys keys;
    pid_t pid;
    void *context, *socket, *monitor;
    int event_fd, epoll_fd;
    int socket_fd, monitor_fd; /* libzmq's, as epoll_fd has them; -1: none */
    bool drained;              /* nothing is in the socket that its descriptor does not tell of */
    atomic_bool blocked;       /* the leader is, or is about to be, in poll */
    bool leading;
    bool welcomed;
    bool idle;                /* nothing can be sent before something happens or retry_ns comes */
    bool want_output;         /* ... or the socket takes more */
    bool hasty;               /* some call did not want to wait: unsent ones may be among those that are queued */
    int64_t starved_until_ns; /* memory was short */
    int64_t pumped_ns;        /* when it was last looked what can be sent */
    bool refused;             /* the broker did not take our key */
    int64_t reopen_at_ns;     /* without a socket: when to make one */
    struct hello hello;
    struct span hello_bytes; /* from malloc; as it came */
    struct remote_session *session;
    struct remote_reads *reads;
    struct remote_store store;
    struct remote_grant grant;
    struct arena *arena;
    struct request requests[REMOTE_BATCH_MOST];
    struct {
        uint64_t sent_messages, received_messages, bad_messages, welcomes, refusals, went_back, grants;
    } counters;
};

/* ---- remote_socket.c ---- */
int remote_keys_read(struct remote_keys *keys, const char *server_key, const char *file, struct failure *failure);
int remote_socket_open(struct remote *remote, struct failure *failure);
void remote_socket_close(struct remote *remote, int linger_ms);
/* What the monitor says: true when the broker refused our key since it was asked last. */
bool remote_socket_was_refused(struct remote *remote);
bool remote_socket_has_input(struct remote *remote);
/* ZMQ_POLLIN, ZMQ_POLLOUT; asking takes in what the descriptor would have told. */
int remote_socket_events(struct remote *remote);

/* ---- remote_send.c; mutex held ---- */
void remote_pump(struct remote *remote, int64_t now_ns);
void remote_say_goodbye(struct remote *remote, int64_t now_ns);
/* When lead must be called at the latest to send again what was put off; INT64_MAX: an event comes first. */
int64_t remote_retry_ns(const struct remote *remote);

/* ---- remote_receive.c; mutex not held, the leader calls ---- */
/* Takes in up to `most` messages; true: there may be more. */
bool remote_receive(struct remote *remote, unsigned most);

/* Something happened that may let more be sent. */
static inline void remote_stir(struct remote *remote)
{
    remote->idle = false;
}
#endif
