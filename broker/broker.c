/*
 * broker.c - the broker's life: bind, serve, drain, end.
 */
#include "actor/actor.h"
#include "actor/socket_wait.h"
#include "broker/admission.h"
#include "broker/broker_state.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum {
    /* Read ahead for each connection; a larger mark costs memory for each, a smaller one throughput. */
    CLIENT_RECEIVE_MARK = 8,
    /* Answers are bounded in bytes by the route; the mark only bounds bursts of small ones. */
    CLIENT_SEND_MARK = 256,
    WORKER_RECEIVE_MARK = 64,
    WORKER_SEND_MARK = 0,   /* the route bounds what a worker holds */
    ZERO_COPY_RECEIVE = 10, /* ZMQ_ZERO_COPY_RECV */
};

/* With it a short body that waits would hold the whole read buffer that it came in. */
static bool turn_zero_copy_off(void *context)
{
    return zmq_ctx_set(context, ZERO_COPY_RECEIVE, 0) == 0 && zmq_ctx_get(context, ZERO_COPY_RECEIVE) == 0;
}

static int make_parts(struct broker *broker, struct failure *failure)
{
    int64_t now_ns = clock_boot_ns();
    random_bytes(&broker->life, sizeof broker->life);
    broker->started_ns = now_ns;
    broker->limits = route_limits_default(broker->options.max_data_bytes);
    broker->context = zmq_ctx_new();
    broker->pool = parcel_pool_new();
    broker->route = route_new(&broker->limits, broker->life, now_ns);
    broker->client_peers = peers_new(broker->limits.clients);
    broker->worker_peers = peers_new(broker->limits.workers);
    broker->arena = arena_new(0);
    if (!broker->context || !broker->pool || !broker->route || !broker->client_peers || !broker->worker_peers ||
        !broker->arena || !turn_zero_copy_off(broker->context) || !admission_start(broker->limits.clients))
        return failure_set(failure, STATUS_NO_MEMORY, "not enough memory or descriptors for the broker");
    return STATUS_OK;
}

static int bind_local(struct broker *broker, const char *endpoint, struct door *door, const char *name, int send_mark,
                      int receive_mark, struct failure *failure)
{
    struct door_options options = {
        .name = name,
        .message_bytes = broker->limits.max_message_bytes,
        .send_mark = send_mark,
        .receive_mark = receive_mark,
    };
    return door_open(broker->context, endpoint, &options, door, failure);
}

static int bind_doors(struct broker *broker, struct failure *failure)
{
    char workers[sizeof "ipc://" + LIMIT_IPC_PATH_BYTES + 1];
    const char *endpoint = broker->options.endpoint;
    int status = endpoint_of_workers(endpoint, workers, sizeof workers, failure);
    if (status == STATUS_OK)
        status = endpoint_check_bind(endpoint, failure);
    if (status == STATUS_OK) {
        status =
            bind_local(broker, workers, &broker->workers, "workers", WORKER_SEND_MARK, WORKER_RECEIVE_MARK, failure);
    }
    if (status == STATUS_OK) {
        status =
            bind_local(broker, endpoint, &broker->local, "clients", CLIENT_SEND_MARK, CLIENT_RECEIVE_MARK, failure);
    }
    if (status == STATUS_OK)
        status = health_new(endpoint, "broker", broker->life, &broker->health, failure);
    return status;
}

/* A ROUTER of its own: keys and domain would hold for the local clients too. */
static int bind_far(struct broker *broker, struct failure *failure)
{
    static const char scheme[] = "tcp://";
    const char *listen = broker->options.listen;
    if (strncmp(listen, scheme, sizeof scheme - 1) != 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "not tcp://HOST:PORT: %s", listen);
    int status = remote_open(broker->context, broker->options.keys, &broker->remote, failure);
    struct door_options options = {
        .name = "far",
        .message_bytes = broker->limits.max_message_bytes,
        .send_mark = CLIENT_SEND_MARK,
        .receive_mark = CLIENT_RECEIVE_MARK,
        .secure = remote_secure,
        .secure_context = &broker->remote,
    };
    broker->far.remote = true;
    if (status == STATUS_OK)
        status = door_open(broker->context, listen, &options, &broker->far, failure);
    if (status == STATUS_OK && door_endpoint(&broker->far, broker->listening, sizeof broker->listening))
        actor_log(LOG_LEVEL_NOTICE, "listening on %s", broker->listening);
    return status;
}

int broker_new(const struct broker_options *options, struct broker **out, struct failure *failure)
{
    *out = NULL;
    if (!options->listen != !options->keys) {
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "--listen and --keys go together: %s is alone",
                           options->listen ? options->listen : options->keys);
    }
    struct broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return failure_set(failure, STATUS_NO_MEMORY, "not enough memory for the broker");
    broker->options = *options;
    list_init(&broker->slow);
    int status = make_parts(broker, failure);
    if (status == STATUS_OK)
        status = bind_doors(broker, failure);
    if (status == STATUS_OK && options->listen)
        status = bind_far(broker, failure);
    if (status != STATUS_OK)
        broker_free(&broker);
    *out = broker;
    return status;
}

/* The context ends when what was sent has left, or has lingered long enough; then nothing is lent any more. */
void broker_free(struct broker **pointer)
{
    struct broker *broker = *pointer;
    if (!broker)
        return;
    door_close(&broker->local);
    door_close(&broker->workers);
    door_close(&broker->far);
    remote_close(&broker->remote);
    if (broker->context)
        zmq_ctx_term(broker->context);
    health_free(&broker->health);
    arena_free(&broker->arena);
    route_free(&broker->route);
    peers_free(&broker->client_peers);
    peers_free(&broker->worker_peers);
    parcel_pool_free(&broker->pool);
    free(broker);
    *pointer = NULL;
}

/* ---- the loop ---- */

enum poll_item {
    ITEM_WORKERS,
    ITEM_CLIENTS,
    ITEM_WORKER_EVENTS,
    ITEM_CLIENT_EVENTS,
    ITEM_SIGNAL,
    ITEM_RETURNS,
    ITEMS_LOCAL,
    ITEM_FAR = ITEMS_LOCAL,
    ITEM_FAR_EVENTS,
    ITEM_ZAP,
    ITEM_KEYS,
    ITEMS_MOST
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int poll_timeout_ms(const struct broker *broker, int64_t now_ns)
{
    int64_t until_ns = earlier(route_next_ns(broker->route, now_ns), broker->health_ns);
    if (!list_empty(&broker->slow))
        until_ns = earlier(until_ns, broker->slow_ns);
    return clock_ms_until(until_ns, INT_MAX);
}

static void wait_for_something(struct broker *broker, struct socket_wait *items, bool more)
{
    int timeout_ms = 0;
    if (!more) {
        timeout_ms = poll_timeout_ms(broker, clock_boot_ns());
        if (route_wants_releases(broker->route) || !list_empty(&broker->slow))
            parcel_pool_arm(broker->pool);
    }
    socket_wait(items, broker->options.listen ? ITEMS_MOST : ITEMS_LOCAL, timeout_ms);
}

static void take_signal(struct broker *broker)
{
    if (actor_signal(broker->options.signal_fd) == 0)
        return;
    if (broker->stopping) {
        broker->finished = true; /* asked twice */
        return;
    }
    broker->stopping = true;
    actor_log(LOG_LEVEL_NOTICE, "draining");
    route_drain(broker->route, clock_boot_ns());
    broker_act(broker);
}

/* Keys before messages: a key that was taken back counts at once. */
static bool take_from_far(struct broker *broker, const struct socket_wait *items)
{
    bool more = false;
    if (items[ITEM_KEYS].ready)
        keys_refresh(broker->remote.keys);
    if (items[ITEM_ZAP].ready)
        remote_answer(&broker->remote);
    if (items[ITEM_FAR].ready)
        more = broker_receive_clients(broker, &broker->far);
    if (items[ITEM_FAR_EVENTS].ready)
        broker_take_events(broker, &broker->far);
    return more;
}

static bool take_what_came(struct broker *broker, const struct socket_wait *items)
{
    bool more = false;
    if (items[ITEM_RETURNS].ready) {
        parcel_pool_clear(broker->pool);
        broker_retry_slow(broker);
    }
    if (items[ITEM_SIGNAL].ready)
        take_signal(broker);
    if (items[ITEM_WORKERS].ready)
        more |= broker_receive_workers(broker);
    if (items[ITEM_CLIENTS].ready)
        more |= broker_receive_clients(broker, &broker->local);
    if (items[ITEM_WORKER_EVENTS].ready)
        broker_take_events(broker, &broker->workers);
    if (items[ITEM_CLIENT_EVENTS].ready)
        broker_take_events(broker, &broker->local);
    if (broker->options.listen)
        more |= take_from_far(broker, items);
    broker_act(broker);
    return more;
}

static void take_time(struct broker *broker)
{
    int64_t now_ns = clock_boot_ns();
    if (!list_empty(&broker->slow) && now_ns >= broker->slow_ns)
        broker_retry_slow(broker);
    route_tick(broker->route, now_ns);
    broker_act(broker);
    if (now_ns >= broker->health_ns) {
        broker_report_health(broker);
        if (broker->options.listen)
            keys_refresh(broker->remote.keys);
        broker->health_ns = now_ns + HEALTH_PERIOD_MS * NS_PER_MS;
    }
}

static void fill_items(struct broker *broker, struct socket_wait items[ITEMS_MOST])
{
    struct door *workers = &broker->workers, *local = &broker->local, *far = &broker->far;
    items[ITEM_WORKERS] = socket_wait_of(workers->socket, &workers->socket_drained);
    items[ITEM_CLIENTS] = socket_wait_of(local->socket, &local->socket_drained);
    items[ITEM_WORKER_EVENTS] = socket_wait_of(workers->monitor, &workers->monitor_drained);
    items[ITEM_CLIENT_EVENTS] = socket_wait_of(local->monitor, &local->monitor_drained);
    items[ITEM_SIGNAL] = (struct socket_wait){.fd = broker->options.signal_fd};
    items[ITEM_RETURNS] = (struct socket_wait){.fd = parcel_pool_fd(broker->pool)};
    items[ITEM_FAR] = socket_wait_of(far->socket, &far->socket_drained);
    items[ITEM_FAR_EVENTS] = socket_wait_of(far->monitor, &far->monitor_drained);
    items[ITEM_ZAP] = socket_wait_of(broker->remote.zap, NULL);
    items[ITEM_KEYS] = (struct socket_wait){.fd = broker->remote.keys ? keys_fd(broker->remote.keys) : -1};
}

void broker_run(struct broker *broker)
{
    struct socket_wait items[ITEMS_MOST];
    fill_items(broker, items);
    actor_ready(&broker->options.ready_fd);
    for (bool more = false; !broker->finished;) {
        take_time(broker);
        wait_for_something(broker, items, more);
        broker_take_returned(broker);
        more = take_what_came(broker, items);
    }
}
