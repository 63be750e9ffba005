/*
 * cursor.c - a list on one snapshot, item by item: from the file itself, or in pieces from a service.
 *
 * A cursor keeps its handle's memory, not its files: once the handle closes, all it says is CLOSED.
 */
#include "client/core.h"
#include "client/pool.h"

#include <stdio.h>
#include <stdlib.h>

struct stigstore_cursor {
    struct op op; /* first; of a list from a service */
    struct stigstore *store;
    struct stigstore_cursor *next, *previous; /* the handle's */
    unsigned generation;
    struct request *request; /* on the heap, with its bytes */
    uint32_t timeout_ms;

    struct pool_stream *stream; /* of a list from the file */
    bool through_broker;        /* `op` was begun */
    bool op_ended;
    struct result_box *pieces_first, *pieces_last; /* came in, behind `piece` */
    pthread_cond_t came;
    struct waiter waiter;

    struct result_box *piece; /* whose items are being handed out */
    size_t place;
    bool last;  /* no piece follows `piece` */
    int status; /* once not OK it stays */
    size_t last_id_bytes;
    char last_id[LIMIT_ID_BYTES]; /* handed out from the pieces before */
    char message[LIMIT_ID_BYTES + 512];
};

static int end(struct stigstore_cursor *cursor, int status, const char *message)
{
    size_t length = strnlen(message, sizeof(cursor->message) - 1);

    cursor->status = status;
    memcpy(cursor->message, message, length);
    cursor->message[length] = '\0';
    return status;
}

/* A list that ended early says where, so that one can go on behind it. */
static int end_early(struct stigstore_cursor *cursor, int status, const char *message)
{
    char text[sizeof(cursor->message)];

    snprintf(text, sizeof(text), "%s%s%.*s", message[0] ? message : status_text(status),
             cursor->last_id_bytes ? "; the last one was " : "", (int)cursor->last_id_bytes, cursor->last_id);
    return end(cursor, status, text);
}

/* Before `piece` goes. */
static void note_last_id(struct stigstore_cursor *cursor)
{
    const stigstore_item *item;
    stigstore_bytes id;

    if (!cursor->piece || !cursor->place)
        return;
    item = &cursor->piece->open.items[cursor->place - 1];
    id = item->id.size ? item->id : item->kind;
    cursor->last_id_bytes = id.size < sizeof(cursor->last_id) ? id.size : sizeof(cursor->last_id);
    memcpy(cursor->last_id, id.data, cursor->last_id_bytes);
}

/* How a list ended when there was nothing wrong. */
static int ended_status(int status)
{
    return status == STATUS_OK ? STATUS_END : status;
}

/* ---- pieces of a service; mutex held ---- */

static void settle_cursor(struct call *call, const struct reply *reply, bool last)
{
    struct stigstore_cursor *cursor = (struct stigstore_cursor *)call;
    struct result_box *box = result_new();

    if (box)
        result_copy(box, reply, false);
    if (!box) {
        end(cursor, STATUS_NO_MEMORY, status_text(STATUS_NO_MEMORY));
    } else {
        box->credit_bytes = call->piece_bytes;
        *(cursor->pieces_last ? &cursor->pieces_last->next : &cursor->pieces_first) = box;
        cursor->pieces_last = box;
    }
    if (last) {
        cursor->op.settled = cursor->op_ended = true;
        op_finish(&cursor->op);
    }
    driver_quit(cursor->op.driver, &cursor->waiter);
    pthread_cond_signal(&cursor->came);
}

static void wait_for_piece(struct stigstore_cursor *cursor)
{
    struct op *op = &cursor->op;
    struct driver *driver = op->driver;

    while (!cursor->pieces_first && !cursor->op_ended && cursor->status == STATUS_OK) {
        bool closing = store_is_closing(cursor->store);
        if ((closing || clock_boot_ns() >= op->deadline_ns) &&
            op_give_up(op, closing ? STATUS_CLOSED : STATUS_DEADLINE_EXCEEDED))
            break;
        int64_t until_ns = op_wait_until(op);
        if (!driver->led) {
            driver_lead(driver, until_ns, -1);
            continue;
        }
        driver_join(driver, &cursor->waiter);
        cond_wait_until(&cursor->came, &cursor->store->hub->mutex, until_ns);
        driver_quit(driver, &cursor->waiter);
    }
    driver_pass(driver);
}

/* Mutex not held. */
static void take_piece_of_service(struct stigstore_cursor *cursor)
{
    struct op *op = &cursor->op;

    pthread_mutex_lock(&cursor->store->hub->mutex);
    if (cursor->piece && !cursor->op_ended) {
        op->driver->lane->ops->credit(op->driver->lane, &op->call, cursor->piece->credit_bytes);
        if (op->driver->led)
            op->driver->lane->ops->interrupt(op->driver->lane);
    }
    result_free(&cursor->piece);
    if (!op->settled)
        op->deadline_ns = clock_deadline_ns(cursor->timeout_ms);
    wait_for_piece(cursor);
    cursor->piece = cursor->pieces_first;
    if (cursor->piece) {
        cursor->pieces_first = cursor->piece->next;
        if (!cursor->pieces_first)
            cursor->pieces_last = NULL;
    }
    cursor->last = cursor->op_ended && !cursor->pieces_first;
    pthread_mutex_unlock(&cursor->store->hub->mutex);
}

/* ---- pieces of the file ---- */

static void take_piece_of_file(struct stigstore_cursor *cursor)
{
    struct reply piece = {.status = STATUS_OK};
    struct arena *arena;

    if (!cursor->piece)
        cursor->piece = result_new();
    arena = cursor->piece ? result_arena(cursor->piece) : NULL;
    if (!arena) {
        end(cursor, STATUS_NO_MEMORY, status_text(STATUS_NO_MEMORY));
        return;
    }
    result_reset(cursor->piece);
    pool_stream_next(cursor->stream, LIMIT_PIECE_BYTES, &piece, &cursor->last, arena);
    result_adopt(cursor->piece, &piece);
}

/* ---- both ---- */

/* The next piece into `piece`; OK, or the status in which the list ended. */
static int take_piece(struct stigstore_cursor *cursor)
{
    int status = ended_status(cursor->piece ? cursor->piece->open.status : STATUS_OK);

    note_last_id(cursor);
    if (cursor->last && status == STATUS_END)
        return end(cursor, status, "");
    if (cursor->last)
        return end_early(cursor, status, cursor->piece->open.message);
    if (cursor->through_broker)
        take_piece_of_service(cursor);
    else
        take_piece_of_file(cursor);
    cursor->place = 0;
    if (cursor->status != STATUS_OK)
        return cursor->status;
    if (!cursor->piece)
        return end(cursor, STATUS_INTERNAL, "a list ended without saying how");
    return STATUS_OK;
}

static int next_item(struct stigstore_cursor *cursor, const stigstore_item **item)
{
    while (cursor->status == STATUS_OK && (!cursor->piece || cursor->place == cursor->piece->open.item_count))
        take_piece(cursor);
    if (cursor->status != STATUS_OK)
        return cursor->status;
    *item = &cursor->piece->open.items[cursor->place++];
    return STATUS_OK;
}

int stigstore_cursor_next(stigstore_cursor *cursor, const stigstore_item **item)
{
    struct entry entry;
    int status;

    if (!cursor || !item)
        return STATUS_INVALID_ARGUMENT;
    *item = NULL;
    if (cursor->generation != fork_generation())
        return STATUS_FORKED;
    status = store_enter(cursor->store, &entry);
    if (status != STATUS_OK)
        return end(cursor, status, status_text(status));
    status = next_item(cursor, item);
    store_leave(cursor->store, &entry);
    return status;
}

const char *stigstore_cursor_message(const stigstore_cursor *cursor)
{
    if (!cursor)
        return status_text(STATUS_INVALID_ARGUMENT);
    return cursor->message[0] ? cursor->message : status_text(cursor->status);
}

/* ---- opening ---- */

static struct stigstore_cursor *new_cursor(struct stigstore *store, const struct request_in *in)
{
    struct stigstore_cursor *cursor = calloc(1, sizeof(*cursor));

    if (!cursor)
        return NULL;
    cursor->request = malloc(sizeof(struct request) + request_copy_bytes(&in->request));
    if (!cursor->request)
        goto fail;
    if (cond_init(&cursor->came) != STATUS_OK)
        goto fail_request;
    request_copy(cursor->request, &in->request, cursor->request + 1);
    cursor->store = store;
    cursor->generation = store->generation;
    cursor->timeout_ms = in->timeout_ms;
    cursor->waiter.cond = &cursor->came;
    pthread_mutex_lock(&store->hub->mutex);
    store_reference(store);
    cursor->next = store->cursors;
    if (cursor->next)
        cursor->next->previous = cursor;
    store->cursors = cursor;
    pthread_mutex_unlock(&store->hub->mutex);
    return cursor;
fail_request:
    free(cursor->request);
fail:
    free(cursor);
    return NULL;
}

static int open_through_broker(struct stigstore_cursor *cursor)
{
    struct stigstore *store = cursor->store;

    cursor->through_broker = true;
    cursor->op = (struct op){.call = {.request = *cursor->request,
                                      .streamed = true,
                                      .credit_bytes = LIST_CREDIT_BYTES,
                                      .settle = settle_cursor},
                             .store = store,
                             .deadline_ns = cursor->request->deadline_ns};
    pthread_mutex_lock(&store->hub->mutex);
    op_begin(&cursor->op, store->remote);
    pthread_mutex_unlock(&store->hub->mutex);
    return take_piece(cursor);
}

static int open_list(struct stigstore_cursor *cursor, struct result_box *box)
{
    struct stigstore *store = cursor->store;
    struct failure failure = {.status = STATUS_UNAVAILABLE, .message = "the store cannot be read here"};
    int status = STATUS_UNAVAILABLE;

    if (store_reads_itself(store))
        status = pool_stream_open(store->pool, cursor->request, &cursor->stream, &failure);
    if (status == STATUS_OK)
        status = take_piece(cursor);
    else if (store->remote)
        status = open_through_broker(cursor);
    else
        return result_set_failure(box, &failure);
    if (cursor->piece && cursor->last && cursor->piece->open.item_count == 0 && cursor->piece->open.status != STATUS_OK)
        status = end(cursor, cursor->piece->open.status, cursor->piece->open.message);
    result_set(box, status, status == STATUS_OK ? NULL : "%s", stigstore_cursor_message(cursor));
    if (cursor->piece)
        box->open.revision = cursor->piece->open.revision;
    return status;
}

static int open_checked(stigstore *store, const stigstore_request *list, stigstore_cursor **out, struct result_box *box)
{
    struct stigstore_cursor *cursor = NULL;
    struct request_in in;
    const char *why = NULL;
    int status = request_in_read(list, store->timeout_ms, &in, &why);

    if (status == STATUS_OK)
        status = request_check(&in.request, 0, &why);
    if (status == STATUS_OK && !operation_is_list(in.request.operation)) {
        status = STATUS_INVALID_ARGUMENT;
        why = "a cursor takes a list";
    }
    if (status == STATUS_OK) {
        cursor = new_cursor(store, &in);
        status = cursor ? STATUS_OK : STATUS_NO_MEMORY;
        why = status_text(status);
    }
    if (status != STATUS_OK)
        result_set(box, status, "%s", why);
    else
        status = open_list(cursor, box);
    request_in_free(&in);
    if (status == STATUS_OK)
        *out = cursor;
    else
        stigstore_cursor_free(&cursor);
    return status;
}

int stigstore_cursor_open(stigstore *store, const stigstore_request *list, stigstore_cursor **cursor,
                          stigstore_result **result)
{
    struct result_box *box = result_begin(result);
    struct entry entry;
    int status;

    if (cursor)
        *cursor = NULL;
    if (!box)
        return STATUS_NO_MEMORY;
    status = cursor ? store_enter(store, &entry) : STATUS_INVALID_ARGUMENT;
    if (status == STATUS_OK) {
        open_checked(store, list, cursor, box);
        store_leave(store, &entry);
    } else {
        result_set(box, status, NULL);
    }
    return result_end(box, result);
}

/* ---- ending ---- */

/* Mutex held; no thread is in a call on it. */
static void let_go(struct stigstore_cursor *cursor)
{
    if (cursor->through_broker && !cursor->op_ended)
        op_end_now(&cursor->op, STATUS_CLOSED);
    if (cursor->stream)
        pool_stream_close(&cursor->stream);
}

void cursors_end(struct stigstore *store)
{
    for (struct stigstore_cursor *cursor = store->cursors; cursor; cursor = cursor->next)
        let_go(cursor);
}

static void free_pieces(struct stigstore_cursor *cursor)
{
    result_free(&cursor->piece);
    while (cursor->pieces_first) {
        struct result_box *box = cursor->pieces_first;
        cursor->pieces_first = box->next;
        result_free(&box);
    }
}

static void unlink_cursor(struct stigstore_cursor *cursor)
{
    *(cursor->previous ? &cursor->previous->next : &cursor->store->cursors) = cursor->next;
    if (cursor->next)
        cursor->next->previous = cursor->previous;
}

/* The count of threads inside keeps a closing handle from taking the stream away meanwhile. */
void stigstore_cursor_free(stigstore_cursor **cursor_pointer)
{
    struct stigstore_cursor *cursor;
    struct stigstore *store;
    struct entry entry;

    if (!cursor_pointer || !*cursor_pointer)
        return;
    cursor = *cursor_pointer;
    *cursor_pointer = NULL;
    store = cursor->store;
    if (store_enter_closing(store, &entry) != STATUS_OK)
        return; /* a child leaves its parent's */
    pthread_mutex_lock(&store->hub->mutex);
    let_go(cursor);
    unlink_cursor(cursor);
    free_pieces(cursor);
    pthread_cond_destroy(&cursor->came);
    free(cursor->request);
    free(cursor);
    pthread_mutex_unlock(&store->hub->mutex);
    store_leave(store, &entry);
    pthread_mutex_lock(&store->hub->mutex);
    store_dereference(store);
}
