/* service.c - a handle's part that speaks to a service: its remote lane, and local reads of the service's file. */
#include "client/service.h"
#include "client/local_read.h"

#include <stdlib.h>

bool service_is_supported(void)
{
    return true;
}

/* ---- what the service says of itself; mutex held ---- */

static void note_path(struct stigstore *store, const struct hello *hello)
{
    if (!store->path && memcmp(hello->boot_id, clock_boot_id(), BOOT_ID_BYTES) == 0)
        store->path = span_string(hello->path);
}

/* Another file, or the same restored: the next read goes the way on which that is told. */
static void note_incarnation(struct stigstore *store, const struct hello *hello)
{
    static const uint8_t none[INCARNATION_BYTES];

    if (memcmp(store->incarnation, none, sizeof(none)) != 0 &&
        memcmp(store->incarnation, hello->incarnation, sizeof(none)) != 0)
        atomic_store(&store->ask_broker, true);
    memcpy(store->incarnation, hello->incarnation, sizeof(store->incarnation));
}

static void expect_file(struct stigstore *store, const struct hello *hello)
{
    struct storage_identity identity = {.device = hello->device, .inode = hello->inode};
    char *path = span_string(hello->path);

    memcpy(identity.boot_id, hello->boot_id, sizeof(identity.boot_id));
    memcpy(identity.incarnation, hello->incarnation, sizeof(identity.incarnation));
    if (!path || memcmp(identity.boot_id, clock_boot_id(), BOOT_ID_BYTES) != 0 ||
        pool_expect(store->pool, path, &identity) != STATUS_OK)
        pool_expect(store->pool, NULL, NULL);
    free(path);
}

static void take_hello(void *context, const struct hello *hello)
{
    struct stigstore *store = context;

    if (hello->max_data_bytes && hello->max_data_bytes <= LIMIT_DATA_BYTES_MOST)
        atomic_store(&store->max_data_bytes, hello->max_data_bytes);
    if (hello->writer_epoch == 0)
        return;
    note_path(store, hello);
    note_incarnation(store, hello);
    if (store->pool)
        expect_file(store, hello);
}

static void take_notice(void *context, int level, const char *line)
{
    (void)context;
    caller_log.write(caller_log.context, level, line);
}

/* ---- attaching ---- */

/* A queued read that the file could not answer goes to the service. */
static bool read_elsewhere(void *context, struct call *call)
{
    struct op *op = (struct op *)call;
    struct driver *remote = context;

    op->driver = remote;
    remote->lane->ops->submit(remote->lane, call);
    if (remote->led)
        remote->lane->ops->interrupt(remote->lane);
    return true;
}

static int add_local_reads(struct stigstore *store, const struct service_options *options, struct failure *failure)
{
    const struct pool_options pool_options = {.keep_snapshots = options->keep_snapshots,
                                              .helper = options->keep_snapshots,
                                              .max_data_bytes = LIMIT_DATA_BYTES_MOST,
                                              .snapshot_ms = options->snapshot_ms,
                                              .cache_bytes = options->cache_bytes};
    struct local_reads_options reads_options = {.mutex = &store->hub->mutex,
                                                .max_data_bytes = &store->max_data_bytes,
                                                .piece_bytes = LIMIT_PIECE_BYTES,
                                                .elsewhere = read_elsewhere,
                                                .context = &store->remote_driver};

    store->pool = pool_new(&pool_options);
    reads_options.pool = store->pool;
    if (store->pool)
        store->local_driver.lane = local_reads_new(&reads_options);
    if (!store->local_driver.lane)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    store->reads = &store->local_driver;
    return STATUS_OK;
}

int service_attach(struct stigstore *store, const struct service_options *options, struct failure *failure)
{
    struct remote_options remote_options = {.endpoint = options->endpoint,
                                            .server_key = options->server_key,
                                            .key_file = options->key_file,
                                            .hello = take_hello,
                                            .notice = take_notice,
                                            .context = store};
    int status;

    if (!store->hub)
        store->hub = hub_new();
    if (!store->hub)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    remote_options.mutex = &store->hub->mutex;
    status = remote_new(&remote_options, &store->remote_driver.lane, failure);
    if (status != STATUS_OK)
        return status;
    store->remote_driver.is_remote = true;
    store->remote = &store->remote_driver;
    if (!(store->flags & STIGSTORE_OPEN_READ_ONLY))
        store->writes = store->remote;
    return options->reads_local ? add_local_reads(store, options, failure) : STATUS_OK;
}

/* A service that answers `status` is there, whatever it answers but that we may not come in. */
int service_wait(struct stigstore *store, uint32_t timeout_ms, struct failure *failure)
{
    const struct request request = {.deadline_ns = clock_deadline_ns(timeout_ms)};
    struct result_box *box = result_new();
    int status;

    if (!box)
        return failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
    status = op_run(store, store->remote, &request, CONTROL_STATUS, timeout_ms, box);
    if (status == STATUS_UNAVAILABLE || status == STATUS_DEADLINE_EXCEEDED || status == STATUS_OVERLOADED)
        status = failure_set(failure, STATUS_UNAVAILABLE, "no service answers at %s", store->url);
    else if (status == STATUS_PERMISSION_DENIED || status == STATUS_UNSUPPORTED || status == STATUS_NO_MEMORY)
        failure_set(failure, status, "%s", box->open.message);
    else
        status = STATUS_OK;
    result_free(&box);
    return status;
}

struct span service_lane_status(struct stigstore *store, struct arena *arena)
{
    return store->remote ? remote_status(store->remote->lane, arena) : span_text("{}");
}
