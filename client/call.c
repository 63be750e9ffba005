/*
 * call.c - one request as a call that waits: checked, and run on whichever lane it belongs to.
 */
#include "client/core.h"
#include "client/pool.h"

enum { OWNER_RETRY_MS = 20 };

struct driver *store_route(struct stigstore *store, uint32_t operation)
{
    if (operation_is_write(operation))
        return store->writes;
    return store->remote;
}

bool store_reads_itself(const struct stigstore *store)
{
    return store->pool && !(store->remote && atomic_load(&store->ask_broker));
}

/* Time for the owner of the file to come up; false: there is none left. */
static bool wait_for_owner(struct stigstore *store, const struct request *request)
{
    int64_t until_ns = clock_deadline_ns(OWNER_RETRY_MS);

    if ((request->flags & REQUEST_NO_WAIT) || until_ns > request->deadline_ns)
        return false;
    pthread_mutex_lock(&store->hub->mutex);
    if (!store_is_closing(store))
        store_wait_rare(store, until_ns);
    pthread_mutex_unlock(&store->hub->mutex);
    return !store_is_closing(store);
}

static size_t most_bytes(const struct stigstore *store, const struct request *request)
{
    return operation_is_list(request->operation) ? SIZE_MAX / 2
                                                 : request_message_bytes((size_t)atomic_load(&store->max_data_bytes));
}

/* Reads on this thread. False: it has to go through the broker, and the box is as it was. */
static bool read_here(struct stigstore *store, const struct request *request, struct result_box *box)
{
    struct failure failure = {.status = STATUS_OK};
    struct reply reply = {.status = STATUS_OK};
    struct arena *arena = result_arena(box);
    int status;

    if (!arena) {
        result_set(box, STATUS_NO_MEMORY, NULL);
        return true;
    }
    do
        status = pool_answer(store->pool, request, 1, &reply, arena, most_bytes(store, request), &failure);
    while (status == STATUS_UNAVAILABLE && !store->remote && wait_for_owner(store, request));
    if (status == STATUS_OK)
        result_adopt(box, &reply);
    else if (store->remote)
        return false;
    else
        result_set_failure(box, &failure);
    return true;
}

int store_run(struct stigstore *store, const struct request *request, uint32_t timeout_ms, struct result_box *box)
{
    const char *why = NULL;
    bool is_write = operation_is_write(request->operation);
    struct driver *driver;
    int status = request_check(request, (size_t)atomic_load(&store->max_data_bytes), &why);

    if (status != STATUS_OK)
        return result_set(box, status, why && why[0] ? "%s" : NULL, why);
    if (!is_write && store_reads_itself(store) && read_here(store, request, box))
        return box->open.status;
    driver = store_route(store, request->operation);
    if (!driver)
        return result_set(box, STATUS_READ_ONLY, "the store was opened for reading");
    return op_run(store, driver, request, 0, timeout_ms, box);
}

/* ---- the public calls ---- */

static int run_public(stigstore *store, const stigstore_request *request, struct result_box *box)
{
    struct request_in in;
    const char *why;
    int status = request_in_read(request, store->timeout_ms, &in, &why);

    if (status == STATUS_OK)
        store_run(store, &in.request, in.timeout_ms, box);
    else
        result_set(box, status, "%s", why);
    request_in_free(&in);
    return box->open.status;
}

int stigstore_call(stigstore *store, const stigstore_request *request, stigstore_result **result)
{
    struct result_box *box = result_begin(result);
    struct entry entry;
    int status;

    if (!box)
        return STATUS_NO_MEMORY;
    status = store_enter(store, &entry);
    if (status == STATUS_OK) {
        run_public(store, request, box);
        store_leave(store, &entry);
    } else {
        result_set(box, status, NULL);
    }
    return result_end(box, result);
}
