/*
 * broker_model.h - a route with a shell that keeps the contract of route.h, and a judge over both.
 *
 * The shell does what broker_in.c and broker_out.c do; peers do what they like.  Events to a slot that is closed are
 * nobody's and left out.
 */
#ifndef TESTS_FUZZ_BROKER_MODEL_H
#define TESTS_FUZZ_BROKER_MODEL_H
#include "broker/route.h"
#include "proto/clock.h"
#include "tests/fuzz/fuzz.h"

enum {
    MODEL_CLIENTS = 4,
    MODEL_WORKERS = 4,
    MODEL_NUMBERS = 64, /* a client's: those from 32 on are answers to what is no request */
    MODEL_JUNK = 32,
    MODEL_OWED = 512,
    MODEL_HANDED_OUT = 4096,
    MODEL_MESSAGE_BYTES = 6000,
    MODEL_LIFE = 77,
};

struct model_client {
    bool open, cut;
    uint32_t generation;
    uint32_t reads[MODEL_NUMBERS], writes[MODEL_NUMBERS]; /* asked and not answered */
};

struct model {
    struct route *route;
    int64_t now_ns;
    struct model_client clients[MODEL_CLIENTS];
    struct {
        bool open;
    } workers[MODEL_WORKERS];
    struct {
        uint32_t slot, generation;
        uint64_t bytes;
    } owed[MODEL_OWED]; /* answers that peers have not taken yet */
    size_t owed_count;
    uint64_t owed_bytes;
    size_t handed_out_count;
    size_t bodies; /* that the route has */
    bool finished;
    bool forged; /* the message that is being dealt with answers nothing that its sender was given */
};
extern struct model model;

void model_start(void);
/* All workers go, time passes: everything is answered; then the clients go: nothing is held. */
void model_end(void);
/* What must hold after every event. */
void model_judge(void);

void model_client_open(uint32_t slot);
void model_client_gone(uint32_t slot);
/* With a body of message->bytes. */
void model_client_message(uint32_t slot, struct route_message *message);
/* Of a client, or from 4 on of a worker. */
void model_probe(uint32_t who);
void model_malformed(uint32_t who);

void model_worker_open(uint32_t slot);
void model_worker_gone(uint32_t slot);
void model_worker_state(uint32_t slot, bool ready, const struct worker_state *state);
void model_worker_message(uint32_t slot, const struct envelope *envelope, uint64_t bytes);
/* The last `back` but one of the requests that workers were given; an empty one when there were none. */
const struct action *model_handed_out(size_t back);

/* Peers take so many of the oldest answers. */
void model_take_answers(size_t count);
void model_pass(int64_t ms);
void model_drain(void);
#endif
