/*
 * broker_model.c - the shell around the route, its peers' accounts, and the judge.
 */
#include "tests/fuzz/broker_model.h"

#include "broker/route_state.h"
#include "proto/limits.h"

struct model model;
static struct action handed_out[MODEL_HANDED_OUT]; /* the last requests that workers were given */

static const struct route_limits limits = {
    .max_data_bytes = 5000,
    .max_message_bytes = MODEL_MESSAGE_BYTES,
    .uncredited_bytes = 1000,
    .client_request_bytes = 4000,
    .request_bytes = 10000,
    .client_reply_bytes = 4000,
    .reply_bytes = 9000,
    .group_bytes = 3000,
    .group_requests = 4,
    .client_messages = 8,
    .messages = 20,
    .clients = MODEL_CLIENTS,
    .workers = MODEL_WORKERS,
};

/* ---- bodies ---- */

static void *body_new(uint64_t bytes)
{
    uint64_t *body = bytes ? malloc(sizeof *body) : NULL;
    if (body) {
        *body = bytes;
        model.bodies++;
    }
    return body;
}

static void body_free(void *body)
{
    if (body) {
        REQUIRE(model.bodies > 0);
        model.bodies--;
        free(body);
    }
}

/* ---- what comes out ---- */

static void owe(const struct action *action)
{
    REQUIRE(model.owed_count < MODEL_OWED);
    model.owed[model.owed_count].slot = action->slot;
    model.owed[model.owed_count].generation = action->generation;
    model.owed[model.owed_count++].bytes = action->bytes;
    model.owed_bytes += action->bytes;
}

static void count_answer(struct model_client *client, const struct envelope *envelope)
{
    bool last = envelope->type == MESSAGE_REPLY || (envelope->flags & ENVELOPE_LAST);
    uint32_t *asked = envelope->flags & ENVELOPE_WRITE ? client->writes : client->reads;
    REQUIRE(envelope->type == MESSAGE_REPLY || envelope->type == MESSAGE_STREAM);
    REQUIRE(envelope->first < MODEL_NUMBERS && asked[envelope->first] > 0);
    asked[envelope->first] -= last;
}

static void take_answer(const struct action *action)
{
    struct model_client *client = &model.clients[action->slot];
    REQUIRE(action->slot < MODEL_CLIENTS);
    REQUIRE(!action->body || *(uint64_t *)action->body == action->bytes);
    REQUIRE(action->envelope.life == MODEL_LIFE && action->envelope.ticket == 0);
    if (client->open && client->generation == action->generation && action->envelope.type != MESSAGE_CREDIT)
        count_answer(client, &action->envelope);
    if (action->envelope.type == MESSAGE_CREDIT)
        REQUIRE(action->envelope.bytes <= limits.max_message_bytes);
    REQUIRE(!model.forged || !action->body);
    body_free(action->body);
    owe(action);
}

static void take_forwarded(const struct action *action)
{
    REQUIRE(action->slot < MODEL_WORKERS);
    REQUIRE(!action->body || *(uint64_t *)action->body == action->bytes);
    uint8_t type = action->envelope.type;
    REQUIRE(type == MESSAGE_READ || type == MESSAGE_WRITE || type == MESSAGE_CONTROL || type == MESSAGE_CREDIT ||
            type == MESSAGE_CANCEL || type == MESSAGE_DRAIN);
    if (type == MESSAGE_DRAIN)
        return;
    REQUIRE(action->envelope.role != ROLE_NONE && action->envelope.ticket != 0);
    if (type == MESSAGE_CREDIT || type == MESSAGE_CANCEL)
        return;
    REQUIRE(action->envelope.attempt > 0 && action->envelope.deadline_ns > model.now_ns);
    const struct worker *worker = &model.route->workers[action->slot];
    if (worker->open) /* it may have gone since the route decided */
        REQUIRE(worker->state.role == (type == MESSAGE_READ ? ROLE_READER : ROLE_WRITER));
    handed_out[model.handed_out_count++ % MODEL_HANDED_OUT] = *action;
}

static void act(void)
{
    struct action action;
    while (route_next_action(model.route, &action)) {
        struct model_client *client = &model.clients[action.slot % MODEL_CLIENTS];
        switch (action.type) {
        case ACTION_TO_CLIENT:
            take_answer(&action);
            break;
        case ACTION_TO_WORKER:
            take_forwarded(&action);
            break;
        case ACTION_HELLO_CLIENT:
            owe(&action);
            break;
        case ACTION_HELLO_WORKER:
            REQUIRE(action.slot < MODEL_WORKERS);
            break;
        case ACTION_STATUS:
            route_answer_status(model.route, action.slot, action.generation, action.envelope.first, STATUS_OK,
                                body_new(200), 200);
            break;
        case ACTION_CUT_CLIENT:
            client->cut = client->cut || client->generation == action.generation;
            break;
        case ACTION_RELEASE:
            body_free(action.body);
            break;
        case ACTION_FINISHED:
            REQUIRE(!model.finished);
            model.finished = true;
            break;
        }
    }
    for (uint32_t slot = 0; slot < MODEL_CLIENTS; slot++)
        if (model.clients[slot].open && model.clients[slot].cut)
            model_client_gone(slot);
}

/* ---- clients ---- */

void model_client_open(uint32_t slot)
{
    if (model.clients[slot].open)
        return;
    model.clients[slot] = (struct model_client){.open = true};
    model.clients[slot].generation = route_client_open(model.route, slot, model.now_ns);
    act();
}

void model_client_gone(uint32_t slot)
{
    model.clients[slot].open = false;
    route_client_gone(model.route, slot, model.now_ns);
    act();
}

static bool is_request(const struct route_message *message)
{
    uint8_t type = message->envelope.type;
    return message->role != ROLE_NONE && (type == MESSAGE_READ || type == MESSAGE_WRITE || type == MESSAGE_CONTROL);
}

void model_client_message(uint32_t slot, struct route_message *message)
{
    struct model_client *client = &model.clients[slot];
    if (!client->open)
        return;
    if (!is_request(message) && message->envelope.type != MESSAGE_CREDIT && message->envelope.type != MESSAGE_CANCEL)
        message->envelope.first += MODEL_JUNK;
    else if (message->role == ROLE_NONE)
        message->envelope.first += MODEL_JUNK;
    uint64_t first = message->envelope.first;
    if (first >= MODEL_JUNK || is_request(message))
        (message->envelope.type == MESSAGE_WRITE ? client->writes : client->reads)[first]++;
    message->body = body_new(message->bytes);
    route_client_message(model.route, slot, message, model.now_ns);
    act();
}

/* ---- workers ---- */

void model_worker_open(uint32_t slot)
{
    if (model.workers[slot].open)
        return;
    model.workers[slot].open = true;
    route_worker_open(model.route, slot, model.now_ns);
    act();
}

void model_worker_gone(uint32_t slot)
{
    model.workers[slot].open = false;
    route_worker_gone(model.route, slot, model.now_ns);
    act();
}

void model_worker_state(uint32_t slot, bool ready, const struct worker_state *state)
{
    if (!model.workers[slot].open)
        return;
    route_worker_state(model.route, slot, ready, state, model.now_ns);
    act();
}

static bool was_given(uint32_t slot, const struct envelope *envelope)
{
    size_t kept = model.handed_out_count < MODEL_HANDED_OUT ? model.handed_out_count : MODEL_HANDED_OUT;
    for (size_t i = 0; i < kept; i++) {
        const struct action *given = &handed_out[i];
        if (given->slot == slot && given->envelope.ticket == envelope->ticket &&
            given->envelope.attempt == envelope->attempt && envelope->life == MODEL_LIFE)
            return true;
    }
    return false;
}

void model_worker_message(uint32_t slot, const struct envelope *envelope, uint64_t bytes)
{
    if (!model.workers[slot].open)
        return;
    model.forged = !was_given(slot, envelope);
    route_worker_message(model.route, slot, envelope, body_new(bytes), bytes, model.now_ns);
    act();
    model.forged = false;
}

const struct action *model_handed_out(size_t back)
{
    static const struct action nothing;
    size_t kept = model.handed_out_count < MODEL_HANDED_OUT ? model.handed_out_count : MODEL_HANDED_OUT;
    return kept ? &handed_out[(model.handed_out_count - 1 - back % kept) % MODEL_HANDED_OUT] : &nothing;
}

/* ---- both ---- */

void model_probe(uint32_t who)
{
    uint32_t slot = who % MODEL_CLIENTS;
    if (who < MODEL_CLIENTS && model.clients[slot].open)
        route_client_probe(model.route, slot);
    else if (who >= MODEL_CLIENTS && model.workers[slot].open)
        route_worker_probe(model.route, slot);
    act();
}

void model_malformed(uint32_t who)
{
    uint32_t slot = who % MODEL_CLIENTS;
    if (who < MODEL_CLIENTS && model.clients[slot].open) {
        model.clients[slot].reads[MODEL_JUNK]++;
        route_client_malformed(model.route, slot, STATUS_INVALID_ARGUMENT, MODEL_JUNK);
    } else if (who >= MODEL_CLIENTS && model.workers[slot].open) {
        route_worker_malformed(model.route, slot);
    }
    act();
}

void model_take_answers(size_t count)
{
    count = count < model.owed_count ? count : model.owed_count;
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = model.owed[0].slot, generation = model.owed[0].generation;
        uint64_t bytes = model.owed[0].bytes;
        model.owed_count--;
        model.owed_bytes -= bytes;
        memmove(&model.owed[0], &model.owed[1], model.owed_count * sizeof model.owed[0]);
        route_released(model.route, slot, generation, bytes, model.now_ns);
        act();
    }
}

void model_pass(int64_t ms)
{
    model.now_ns += ms * NS_PER_MS;
    route_tick(model.route, model.now_ns);
    act();
    REQUIRE(route_next_ns(model.route, model.now_ns) > model.now_ns); /* else the shell would spin */
}

void model_drain(void)
{
    route_drain(model.route, model.now_ns);
    act();
}

/* ---- the judge ---- */

static void judge_client(const struct client *client, uint64_t *request_bytes, uint64_t *granted_bytes)
{
    uint64_t own = client->request_bytes + client->granted;
    REQUIRE(own <= limits.client_request_bytes || own <= limits.max_message_bytes);
    REQUIRE(client->messages <= limits.client_messages);
    REQUIRE(client->owed <= 2 * limits.client_messages);
    *request_bytes += client->request_bytes;
    *granted_bytes += client->granted;
}

static void judge_worker(const struct worker *worker)
{
    REQUIRE(worker->streams <= LIMIT_STREAMS + 1);
    REQUIRE(worker->outstanding < limits.group_requests + LIMIT_BATCH_REQUESTS);
    REQUIRE(worker->bytes < limits.group_bytes + limits.max_message_bytes);
    REQUIRE(!worker->alone || worker->messages + worker->streams > 0);
}

void model_judge(void)
{
    const struct route *route = model.route;
    uint64_t request_bytes = 0, granted_bytes = 0;
    for (uint32_t slot = 0; slot < MODEL_CLIENTS; slot++) {
        REQUIRE(route->clients[slot].open == model.clients[slot].open);
        if (route->clients[slot].open)
            judge_client(&route->clients[slot], &request_bytes, &granted_bytes);
    }
    for (uint32_t slot = 0; slot < MODEL_WORKERS; slot++)
        if (route->workers[slot].open)
            judge_worker(&route->workers[slot]);
    REQUIRE(route->request_bytes == request_bytes && route->granted_bytes == granted_bytes);
    REQUIRE(request_bytes + granted_bytes <= limits.request_bytes);
    REQUIRE(route->ticket_count <= limits.messages);
    REQUIRE(route->owed == model.owed_count && route->reply_bytes == model.owed_bytes);
}

/* ---- begin and end ---- */

void model_start(void)
{
    memset(&model, 0, sizeof model);
    model.now_ns = 1000 * NS_PER_S;
    model.route = route_new(&limits, MODEL_LIFE, model.now_ns);
    REQUIRE(model.route);
    model_client_open(0);
    model_worker_open(0);
    struct worker_state writer = {.role = ROLE_WRITER, .life = 1, .epoch = 1};
    model_worker_state(0, true, &writer);
}

static void require_answered(const struct model_client *client)
{
    for (unsigned number = 0; number < MODEL_JUNK; number++)
        REQUIRE(client->reads[number] == 0 && client->writes[number] == 0);
}

void model_end(void)
{
    for (uint32_t slot = 0; slot < MODEL_WORKERS; slot++)
        if (model.workers[slot].open)
            model_worker_gone(slot);
    for (unsigned i = 0; i < 4; i++) { /* past every deadline */
        model_pass(9000);
        model_judge();
    }
    for (uint32_t slot = 0; slot < MODEL_CLIENTS; slot++) {
        if (model.clients[slot].open) {
            require_answered(&model.clients[slot]);
            model_client_gone(slot);
        }
    }
    model_take_answers(model.owed_count);
    model_judge();
    REQUIRE(model.bodies == 0 && model.route->ticket_count == 0 && model.route->reserved_bytes == 0);
    REQUIRE(model.route->queued[LANE_READ] == 0 && model.route->queued[LANE_WRITE] == 0);
    route_free(&model.route);
}
