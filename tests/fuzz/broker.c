/*
 * broker.c - fuzz target: the broker's route under any sequence of messages, forged answers, ends, and time.
 *
 * After each event its bounds hold and its accounts add up; each request of a client that stays is answered once; every
 * body is given back once.  At the end, with all workers gone and time over, nothing is held.
 */
#include "tests/fuzz/broker_model.h"

enum { STEPS_MOST = 400, CLIENT_NUMBERS = 16, WAIT_MOST_MS = 8192 };

/* ---- clients ---- */

static const uint8_t client_types[] = {MESSAGE_READ,    MESSAGE_WRITE,  MESSAGE_READ,    MESSAGE_WRITE,
                                       MESSAGE_CONTROL, MESSAGE_CREDIT, MESSAGE_CREDIT,  MESSAGE_CANCEL,
                                       MESSAGE_CANCEL,  MESSAGE_HELLO,  MESSAGE_GOODBYE, MESSAGE_REPLY,
                                       MESSAGE_STREAM,  MESSAGE_READY,  MESSAGE_DRAIN,   MESSAGE_TYPE_END};

static void say(struct feed *feed)
{
    uint8_t head = feed_byte(feed), more = feed_byte(feed);
    uint32_t slot = head % MODEL_CLIENTS;
    struct route_message message = {
        .envelope = {.version = ENVELOPE_VERSION,
                     .type = client_types[(head >> 2) % sizeof client_types],
                     .flags = (uint16_t)(head & 0x80 ? 0 : more & 7),
                     .first = more % CLIENT_NUMBERS,
                     .count = head & 0x40 ? (uint32_t)feed_number(feed, 2) : 1},
        .role = more & 0x80 ? more % 5 : ROLE_WRITER + (more & 1),
        .remote = more & 0x20,
    };
    message.envelope.bytes = more & 0x10 ? feed_number(feed, 8) : feed_number(feed, 2);
    message.bytes = more & 0x40 ? feed_number(feed, 2) % (MODEL_MESSAGE_BYTES + 1000) : 100;
    message.verb = message.envelope.type == MESSAGE_CONTROL ? more % 4 : 0;
    message.deadline_ns = model.now_ns + ((int64_t)feed_number(feed, 2) % WAIT_MOST_MS - 64) * NS_PER_MS;
    model_client_message(slot, &message);
}

static void come_or_go(uint32_t slot)
{
    if (model.clients[slot].open)
        model_client_gone(slot);
    else
        model_client_open(slot);
}

/* ---- workers ---- */

static struct envelope forged(struct feed *feed)
{
    return (struct envelope){.type = feed_byte(feed) % (MESSAGE_TYPE_END + 2),
                             .flags = (uint16_t)feed_number(feed, 1),
                             .life = MODEL_LIFE,
                             .ticket = feed_number(feed, 4),
                             .attempt = feed_byte(feed) % 4,
                             .count = (uint32_t)feed_number(feed, 4),
                             .status = (int32_t)feed_number(feed, 4)};
}

/* To something that was handed out at some time, perhaps long ago, to whomever, with something twisted. */
static struct envelope twisted(struct feed *feed, uint32_t *slot)
{
    const struct action *action = model_handed_out(feed_byte(feed));
    uint8_t how = feed_byte(feed);
    struct envelope envelope = action->envelope;
    if ((how & 3) != 3)
        *slot = action->slot;
    envelope.type = (envelope.flags & ENVELOPE_STREAM) && !(how & 4) ? MESSAGE_STREAM : MESSAGE_REPLY;
    envelope.flags = (uint16_t)(how >> 3 & 3);
    envelope.status = how & 0x80 ? (int32_t)feed_number(feed, 4) : STATUS_OK;
    envelope.attempt += (how & 0x60) == 0x20;
    envelope.life += (how & 0x60) == 0x40;
    envelope.piece = how & 0x10 ? (uint32_t)feed_number(feed, 4) : 0;
    return envelope;
}

static void answer(struct feed *feed, bool from_nothing)
{
    uint32_t slot = feed_byte(feed) % MODEL_WORKERS;
    struct envelope envelope = from_nothing ? forged(feed) : twisted(feed, &slot);
    model_worker_message(slot, &envelope, feed_number(feed, 2) % (MODEL_MESSAGE_BYTES + 1000));
}

static void report(struct feed *feed)
{
    static const char path[] = "/some/where/a.sqlite";
    uint8_t head = feed_byte(feed);
    struct worker_state state = {.role = head & 0x80 ? head % 7 : ROLE_READER + (head >> 2) % 2,
                                 .life = feed_byte(feed) % 8,
                                 .epoch = feed_byte(feed) % 8,
                                 .max_data_bytes = feed_number(feed, 2),
                                 .path = {path, feed_byte(feed) % sizeof path},
                                 .status = {path, 5}};
    model_worker_state(head % MODEL_WORKERS, head & 0x40, &state);
}

static void hire_or_lose(uint32_t slot)
{
    if (model.workers[slot].open)
        model_worker_gone(slot);
    else
        model_worker_open(slot);
}

/* ---- all ---- */

static void step(struct feed *feed)
{
    uint8_t what = feed_byte(feed);
    switch (what % 16) {
    case 0:
        come_or_go((what >> 4) % MODEL_CLIENTS);
        break;
    case 1:
        hire_or_lose((what >> 4) % MODEL_WORKERS);
        break;
    case 2:
        report(feed);
        break;
    case 3:
        model_pass((int64_t)feed_number(feed, 2) % 3000);
        break;
    case 4:
        model_take_answers(what >> 4);
        break;
    case 5:
        answer(feed, true);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        answer(feed, false);
        break;
    case 10:
        model_probe(what >> 4);
        break;
    case 11:
        if (what == 0xfb)
            model_drain();
        else
            model_malformed(what >> 4);
        break;
    default:
        say(feed);
    }
    model_judge();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed feed = {data, size};
    model_start();
    for (unsigned i = 0; i < STEPS_MOST && feed.left > 0; i++)
        step(&feed);
    model_end();
    return 0;
}
