/*
 * remote.c - the lane through the broker: one leader at a time drives a DEALER socket for all threads of a handle.
 *
 * Others queue their calls under the mutex and write the eventfd that stands in the leader's poll, only when the
 * leader is blocked.  In a forked child nothing of libzmq is touched.
 */
#include "client/remote_lane.h"
#include "client/remote_wire.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

enum { RECEIVE_MOST = 64, POLL_MOST_MS = 60000, REOPEN_MS = 1000, LINGER_MS = 500 };

static struct remote *remote_of(struct lane *lane)
{
    return (struct remote *)lane;
}

static void raise_event(struct remote *remote)
{
    uint64_t one = 1;
    ssize_t written = write(remote->event_fd, &one, sizeof one);

    (void)written; /* full: it is readable anyway */
}

/* The leader looks again at what there is to send. */
static void wake(struct remote *remote)
{
    remote_stir(remote);
    if (atomic_exchange(&remote->blocked, false))
        raise_event(remote);
}

static bool is_mutation(const struct call *call)
{
    return !call->control_verb && !call->streamed && operation_is_write(call->request.operation);
}

static void end_call(struct call *call, int status)
{
    struct reply reply = {.status = status, .flags = REPLY_NOT_APPLIED};

    call->settle(call, &reply, true);
}

static void lane_submit(struct lane *lane, struct call *call)
{
    struct remote *remote = remote_of(lane);

    if (!remote->socket && remote->refused && remote->reopen_at_ns > clock_boot_ns()) {
        end_call(call, STATUS_PERMISSION_DENIED);
        return;
    }
    if (remote->store.tell && !call->control_verb) {
        remote->store.tell = false;
        end_call(call, STATUS_WENT_BACK);
        return;
    }
    remote->hasty |= (call->request.flags & REQUEST_NO_WAIT) != 0;
    if (is_mutation(call))
        remote_session_submit(remote->session, call);
    else
        remote_reads_submit(remote->reads, call);
    wake(remote);
}

static bool lane_abandon(struct lane *lane, struct call *call)
{
    struct remote *remote = remote_of(lane);
    bool sure =
        is_mutation(call) ? remote_session_abandon(remote->session, call) : remote_reads_abandon(remote->reads, call);

    wake(remote); /* what waited behind it may go */
    return sure;
}

static void lane_credit(struct lane *lane, struct call *call, uint64_t bytes)
{
    remote_reads_credit(remote_of(lane)->reads, call, bytes);
    wake(remote_of(lane));
}

static void lane_interrupt(struct lane *lane)
{
    if (atomic_exchange(&remote_of(lane)->blocked, false))
        raise_event(remote_of(lane));
}

/* ---- leading ---- */

/* The broker does not know our key: what was never sent ends; a new socket tries again later. */
static void be_refused(struct remote *remote)
{
    remote->counters.refusals++;
    remote_socket_close(remote, 0);
    remote->refused = true;
    remote->reopen_at_ns = clock_boot_ns() + REOPEN_MS * NS_PER_MS;
    remote_reads_welcome(remote->reads);
    remote_session_refuse_unsent(remote->session, STATUS_PERMISSION_DENIED, false);
    remote_reads_refuse_unsent(remote->reads, STATUS_PERMISSION_DENIED, false);
}

static void reopen(struct remote *remote, int64_t now_ns)
{
    struct failure failure;

    if (remote->socket || remote->reopen_at_ns > now_ns)
        return;
    remote->refused = false;
    if (remote_socket_open(remote, &failure) == STATUS_OK)
        return;
    remote->reopen_at_ns = now_ns + REOPEN_MS * NS_PER_MS;
    if (remote->options.notice)
        remote->options.notice(remote->options.context, LOG_LEVEL_WARNING, failure.message);
}

static int64_t due_ns(const struct remote *remote)
{
    return remote->socket ? remote_retry_ns(remote) : remote->reopen_at_ns;
}

/* Blocks, without the mutex, until something comes; true: the socket may have something. As long as that was read to its
 * end its descriptor tells of what comes; zmq_poll would ask the socket before and after it blocks. */
static bool wait_for_events(struct remote *remote, int64_t until_ns, int wake_fd, bool want_output)
{
    struct pollfd items[] = {{.fd = remote->event_fd, .events = POLLIN},
                             {.fd = remote->socket_fd, .events = POLLIN},
                             {.fd = remote->monitor_fd, .events = POLLIN},
                             {.fd = wake_fd, .events = POLLIN}};
    int wanted = ZMQ_POLLIN | (want_output ? ZMQ_POLLOUT : 0);
    bool is_ready = (want_output || !remote->drained) && remote_socket_events(remote) & wanted;
    uint64_t count;

    if (poll(items, sizeof items / sizeof *items, is_ready ? 0 : clock_ms_until(until_ns, POLL_MOST_MS)) <= 0)
        memset(items, 0, sizeof items);
    atomic_store(&remote->blocked, false);
    if (items[0].revents && read(remote->event_fd, &count, sizeof count) < 0)
        assert(errno == EAGAIN || errno == EINTR);
    return is_ready || items[1].revents;
}

/* Without the mutex. */
static void receive(struct remote *remote)
{
    if (remote_receive(remote, RECEIVE_MOST))
        raise_event(remote);
}

/* What came while nobody was inside is read before anything is sent: else a mutation could go out on a new connection
 * ahead of the news that the store is another one, and its outcome be in doubt. True: there was some, look again. */
static bool catch_up(struct remote *remote)
{
    bool in_flight = remote_session_in_flight_bytes(remote->session) || remote_reads_in_flight_bytes(remote->reads);

    if (in_flight || !remote_socket_has_input(remote))
        return false;
    lane_unlock(&remote->lane);
    receive(remote);
    pthread_mutex_lock(remote->lane.mutex);
    return true;
}

static void lane_lead(struct lane *lane, int64_t until_ns, int wake_fd)
{
    struct remote *remote = remote_of(lane);
    int64_t now_ns = clock_boot_ns(), due;
    bool refused, want_output, has_input;

    assert(!remote->leading && remote->pid == getpid());
    remote->leading = true;
    reopen(remote, now_ns);
    if (catch_up(remote)) {
        remote->leading = false;
        return;
    }
    remote_pump(remote, now_ns);
    want_output = remote->want_output && remote->welcomed;
    due = remote->idle ? due_ns(remote) : 0;
    until_ns = until_ns < due ? until_ns : due;
    atomic_store(&remote->blocked, true);
    lane_unlock(lane);
    has_input = wait_for_events(remote, until_ns, wake_fd, want_output);
    refused = remote_socket_was_refused(remote);
    if (has_input)
        receive(remote);
    pthread_mutex_lock(lane->mutex);
    if (want_output)
        remote_stir(remote);
    if (refused)
        be_refused(remote);
    remote->leading = false;
}

static bool lane_has_work(struct lane *lane)
{
    struct remote *remote = remote_of(lane);

    if (remote->leading)
        return false;
    /* The socket is asked last: that takes system calls, and callers ask after each submission. */
    if ((remote->welcomed && !remote->idle) || due_ns(remote) <= clock_boot_ns())
        return true;
    if (!remote_socket_has_input(remote))
        return false;
    raise_event(remote); /* asking has swallowed libzmq's own signal */
    return true;
}

static int64_t lane_due_ns(struct lane *lane)
{
    return due_ns(remote_of(lane));
}

static int lane_descriptor(struct lane *lane)
{
    return remote_of(lane)->epoll_fd;
}

/* ---- life ---- */

static void free_parts(struct remote *remote)
{
    if (remote->epoll_fd >= 0)
        close(remote->epoll_fd);
    if (remote->event_fd >= 0)
        close(remote->event_fd);
    remote_session_free(&remote->session);
    remote_reads_free(&remote->reads);
    arena_free(&remote->arena);
    explicit_bzero(&remote->keys, sizeof remote->keys);
    free((void *)remote->hello_bytes.data);
    free(remote->endpoint);
    free(remote);
}

static void lane_free(struct lane *lane)
{
    struct remote *remote = remote_of(lane);

    if (remote->pid == getpid()) {
        if (remote->welcomed)
            remote_say_goodbye(remote, clock_boot_ns());
        remote_socket_close(remote, remote->welcomed ? LINGER_MS : 0);
        while (zmq_ctx_term(remote->context) != 0 && errno == EINTR)
            ;
    }
    free_parts(remote);
}

static const struct lane_ops remote_ops = {
    .submit = lane_submit,
    .abandon = lane_abandon,
    .credit = lane_credit,
    .lead = lane_lead,
    .interrupt = lane_interrupt,
    .has_work = lane_has_work,
    .due_ns = lane_due_ns,
    .descriptor = lane_descriptor,
    .free = lane_free,
};

static struct remote *make_parts(const struct remote_options *options)
{
    struct remote *remote = calloc(1, sizeof *remote);
    struct epoll_event event = {.events = EPOLLIN};

    if (!remote)
        return NULL;
    remote->lane = (struct lane){.ops = &remote_ops, .mutex = options->mutex};
    remote->options = *options;
    remote->pid = getpid();
    remote->socket_fd = remote->monitor_fd = -1;
    remote->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    remote->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    remote->endpoint = strdup(options->endpoint);
    remote->arena = arena_new(0);
    remote->session = remote_session_new();
    remote->reads = remote_reads_new();
    if (remote->event_fd >= 0 && remote->epoll_fd >= 0 && remote->endpoint && remote->arena && remote->session &&
        remote->reads && epoll_ctl(remote->epoll_fd, EPOLL_CTL_ADD, remote->event_fd, &event) == 0)
        return remote;
    free_parts(remote);
    return NULL;
}

int remote_new(const struct remote_options *options, struct lane **lane, struct failure *failure)
{
    struct remote *remote = make_parts(options);
    int status = STATUS_OK;

    *lane = NULL;
    if (!remote)
        return failure_set(failure, STATUS_NO_MEMORY, "no memory or no free file descriptor");
    if (options->server_key)
        status = remote_keys_read(&remote->keys, options->server_key, options->key_file, failure);
    if (status != STATUS_OK)
        goto parts;
    remote->options.endpoint = remote->options.server_key = remote->options.key_file = NULL; /* the caller's */
    remote->context = zmq_ctx_new();
    if (!remote->context) {
        status = failure_set(failure, STATUS_NO_MEMORY, "no memory for a context");
        goto parts;
    }
    status = remote_socket_open(remote, failure);
    if (status != STATUS_OK)
        goto context;
    *lane = &remote->lane;
    return STATUS_OK;
context:
    zmq_ctx_term(remote->context);
parts:
    free_parts(remote);
    return status;
}
