/*
 * reader.c - a reader's process: batches on one snapshot, lists on one of their own, in pieces, on credit.
 */
#include "tests/sim/world.h"

void reader_stop(struct sim_worker *worker)
{
    for (size_t i = 0; i < LISTS; i++)
        if (worker->lists[i].open)
            packet_free(worker->lists[i].packet);
    memset(worker->lists, 0, sizeof worker->lists);
}

bool reader_is_idle(const struct sim_worker *worker)
{
    for (size_t i = 0; i < LISTS; i++)
        if (worker->lists[i].open)
            return false;
    return true;
}

static uint64_t snapshot(void)
{
    uint64_t behind = world.control == CONTROL_STALE ? roll(4) : 0;

    return world.store.revision > behind ? world.store.revision - behind : 0;
}

static void refuse(struct sim_worker *worker, struct packet *packet, uint8_t type, int32_t status)
{
    worker_answer(worker, &packet->envelope, type, type == MESSAGE_STREAM ? ENVELOPE_LAST : 0, 0, status, NULL);
    packet_free(packet);
}

/* A batch; sometimes there is room in the answer for the first of it alone. */
static void answer_batch(struct sim_worker *worker, struct packet *packet)
{
    struct body *body = body_new();
    uint64_t revision = snapshot();
    uint32_t full = trouble(20) ? 1 : BATCH;

    body->count = packet->body->count;
    for (uint32_t i = 0; i < body->count; i++) {
        body->replies[i] = (struct reply){.status = STATUS_OK, .revision = revision};
        if (packet->body->requests[i].deadline_ns <= world.now_ns)
            body->replies[i] = (struct reply){.status = STATUS_DEADLINE_EXCEEDED};
        if (i >= full)
            body->replies[i] = (struct reply){.status = STATUS_NOT_READ};
    }
    body->bytes = 1 + roll(300) * body->count;
    worker_answer(worker, &packet->envelope, MESSAGE_REPLY, 0, 0, STATUS_OK, body);
    packet_free(packet);
}

static void open_list(struct sim_worker *worker, struct packet *packet)
{
    struct sim_list *list = worker->lists;

    while (list < worker->lists + LISTS && list->open)
        list++;
    if (list == worker->lists + LISTS) {
        refuse(worker, packet, MESSAGE_STREAM, STATUS_OVERLOADED);
        return;
    }
    *list = (struct sim_list){.open = true,
                              .packet = packet,
                              .credit = packet->envelope.bytes,
                              .snapshot = snapshot(),
                              .left = (uint32_t)roll(6)};
}

static struct sim_list *find_list(struct sim_worker *worker, uint64_t ticket)
{
    for (size_t i = 0; i < LISTS; i++)
        if (worker->lists[i].open && worker->lists[i].packet->envelope.ticket == ticket)
            return &worker->lists[i];
    return NULL;
}

static void send_piece(struct sim_worker *worker, struct sim_list *list, bool last, int32_t status)
{
    struct body *body = status == STATUS_OK ? body_new() : NULL;

    if (body) {
        body->count = 1;
        body->replies[0] = (struct reply){.status = STATUS_OK, .revision = list->snapshot};
        body->bytes = 1 + roll(800);
        list->credit -= body->bytes < list->credit ? body->bytes : list->credit;
    }
    worker_answer(worker, &list->packet->envelope, MESSAGE_STREAM, last ? ENVELOPE_LAST : 0, list->pieces++, status,
                  body);
    if (!last)
        return;
    packet_free(list->packet);
    list->open = false;
}

void reader_take(struct sim_worker *worker, struct packet *packet)
{
    struct sim_list *list = find_list(worker, packet->envelope.ticket);

    switch (packet->envelope.type) {
    case MESSAGE_READ:
        if (packet->envelope.flags & ENVELOPE_STREAM)
            open_list(worker, packet);
        else
            answer_batch(worker, packet);
        return;
    case MESSAGE_CREDIT:
        if (list)
            list->credit += packet->envelope.bytes;
        break;
    case MESSAGE_CANCEL:
        if (list)
            send_piece(worker, list, true, STATUS_CANCELLED);
        break;
    default:
        break;
    }
    packet_free(packet);
}

void reader_work(struct sim_worker *worker)
{
    struct sim_list *list = &worker->lists[roll(LISTS)];

    if (!list->open || list->credit == 0)
        return;
    world.counters.events++;
    if (trouble(100))
        send_piece(worker, list, true, STATUS_SNAPSHOT_EXPIRED);
    else if (list->left == 0)
        send_piece(worker, list, true, STATUS_OK);
    else
        send_piece(worker, list, false, STATUS_OK), list->left--;
}
