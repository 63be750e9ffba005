/*
 * update.c - read, ask the caller, save if nothing changed since, and again.
 *
 * The key is looked up before the callback is asked: a retry of what was applied returns that result.
 */
#include "client/core.h"

struct update {
    struct stigstore *store;
    struct request save; /* as the caller gave it, with the deadline of the whole */
    uint32_t timeout_ms;
    stigstore_change *change;
    void *context;
    struct result_box *box;     /* the caller's */
    struct result_box *current; /* what was read */
};

/* True: the update ends with what is in the box. */
static bool was_applied(struct update *update)
{
    struct request lookup = {
        .operation = OPERATION_KEY_LOOKUP,
        .flags = REQUEST_OF_UPDATE | (update->save.flags & REQUEST_NO_WAIT),
        .kind = update->save.kind,
        .id = update->save.id,
        .idempotency_key = update->save.idempotency_key,
        .idempotency_fingerprint = update->save.idempotency_fingerprint,
        .deadline_ns = update->save.deadline_ns,
    };
    int status;

    if (update->save.idempotency_key.size == 0)
        return false;
    status = store_run(update->store, &lookup, update->timeout_ms, update->box);
    if (status == STATUS_OK)
        update->box->open.flags |= REPLY_REPLAYED;
    if (status == STATUS_NOT_FOUND)
        result_reset(update->box);
    return status != STATUS_NOT_FOUND;
}

static int end(struct update *update, int status, uint64_t revision)
{
    result_set(update->box, status, NULL);
    update->box->open.revision = revision;
    return status;
}

/* NULL: absent. False: the read failed, and the box says how. */
static bool read_current(struct update *update, const stigstore_item **item)
{
    const struct request get = {.operation = OPERATION_GET,
                                .flags = update->save.flags & REQUEST_NO_WAIT,
                                .kind = update->save.kind,
                                .id = update->save.id,
                                .deadline_ns = update->save.deadline_ns};
    int status;

    result_reset(update->current);
    status = store_run(update->store, &get, update->timeout_ms, update->current);
    *item = status == STATUS_OK && update->current->open.item_count ? update->current->open.items : NULL;
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        return true;
    result_set(update->box, status, "%s", update->current->open.message);
    update->box->open.retry_after_ms = update->current->open.retry_after_ms;
    update->box->open.flags |= REPLY_NOT_APPLIED;
    return false;
}

static bool condition_holds(const struct update *update, const stigstore_item *item)
{
    switch (update->save.condition) {
    case CONDITION_IF_ABSENT:
        return !item;
    case CONDITION_IF_EXISTS:
        return item;
    case CONDITION_IF_REVISION:
        return item && item->revision == update->save.if_revision;
    default:
        return true;
    }
}

/* The mutation that was decided on, bound to what was read. */
static struct request bind(const struct update *update, const stigstore_item *item, stigstore_decision decision,
                           stigstore_bytes data)
{
    struct request request = update->save;

    request.operation = decision == STIGSTORE_UPDATE_DELETE ? OPERATION_DELETE : OPERATION_SAVE;
    request.flags |= REQUEST_OF_UPDATE;
    request.condition = item ? CONDITION_IF_REVISION : CONDITION_IF_ABSENT;
    request.if_revision = item ? item->revision : 0;
    request.data = (struct span){data.data, data.size};
    if (decision == STIGSTORE_UPDATE_DELETE) {
        request.data = (struct span){NULL, 0};
        request.created_ms = request.updated_ms = 0;
    }
    return request;
}

/* One round; true: it is to be tried again, for somebody was faster. */
static bool try_once(struct update *update)
{
    const stigstore_item *item;
    stigstore_bytes data = {NULL, 0};
    stigstore_decision decision;
    struct request request;
    uint64_t revision;

    if (!read_current(update, &item))
        return false;
    revision = item ? item->revision : 0;
    if (!condition_holds(update, item)) {
        end(update, STATUS_CONFLICT, revision);
        return false;
    }
    decision = update->change(update->context, item, &data);
    if (decision == STIGSTORE_UPDATE_ABORT || decision == STIGSTORE_UPDATE_KEEP ||
        (decision == STIGSTORE_UPDATE_DELETE && !item)) {
        end(update, decision == STIGSTORE_UPDATE_ABORT ? STATUS_ABORTED : STATUS_OK, revision);
        return false;
    }
    if (decision != STIGSTORE_UPDATE_SAVE && decision != STIGSTORE_UPDATE_DELETE) {
        result_set(update->box, STATUS_INVALID_ARGUMENT, "the callback decided what there is not");
        return false;
    }
    request = bind(update, item, decision, data);
    result_reset(update->box);
    return store_run(update->store, &request, update->timeout_ms, update->box) == STATUS_CONFLICT;
}

static void run(struct update *update)
{
    if (was_applied(update))
        return;
    while (try_once(update)) {
        if (store_is_closing(update->store)) {
            end(update, STATUS_CLOSED, 0);
            update->box->open.flags |= REPLY_NOT_APPLIED;
            break;
        }
        if (clock_boot_ns() >= update->save.deadline_ns) {
            result_set(update->box, STATUS_DEADLINE_EXCEEDED, "others changed the resource faster than this update");
            update->box->open.flags |= REPLY_NOT_APPLIED;
            break;
        }
        result_reset(update->box);
    }
}

static int check(const struct update *update, const char **why)
{
    if (update->save.operation != OPERATION_SAVE || !update->change) {
        *why = "an update takes a SAVE and a callback";
        return STATUS_INVALID_ARGUMENT;
    }
    if (update->save.data.size) {
        *why = "an update's data comes from its callback";
        return STATUS_INVALID_ARGUMENT;
    }
    return request_check(&update->save, 0, why);
}

static void enter_and_run(stigstore *store, const stigstore_request *save, struct update *update)
{
    struct request_in in;
    struct entry entry;
    const char *why = NULL;
    int status = store_enter(store, &entry);

    if (status != STATUS_OK) {
        result_set(update->box, status, NULL);
        return;
    }
    status = request_in_read(save, store->timeout_ms, &in, &why);
    update->store = store;
    update->save = in.request;
    update->timeout_ms = in.timeout_ms;
    if (status == STATUS_OK)
        status = check(update, &why);
    if (status == STATUS_OK)
        run(update);
    else
        result_set(update->box, status, "%s", why);
    request_in_free(&in);
    store_leave(store, &entry);
}

int stigstore_update(stigstore *store, const stigstore_request *save, stigstore_change *change, void *context,
                     stigstore_result **result)
{
    struct update update = {.change = change, .context = context};
    int status;

    update.box = result_begin(result);
    update.current = result_new();
    if (!update.box || !update.current) {
        if (update.box && !result)
            result_free(&update.box);
        result_free(&update.current);
        return STATUS_NO_MEMORY;
    }
    enter_and_run(store, save, &update);
    status = result_end(update.box, result);
    result_free(&update.current);
    return status;
}
