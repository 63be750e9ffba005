/*
 * broker_sim.h - a route without sockets: events by one call each, its actions kept apart for clients and workers.
 */
#ifndef TESTS_UNIT_BROKER_SIM_H
#define TESTS_UNIT_BROKER_SIM_H
#include "broker/route.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/support/cmocka_all.h"

enum { SIM_ACTIONS = 8192, SIM_CLIENTS = 8 };

struct sim {
    struct route *route;
    int64_t now_ns;
    bool keeps_answers; /* libzmq holds them: no release yet */
    struct action to_clients[SIM_ACTIONS], to_workers[SIM_ACTIONS];
    size_t client_head, client_count, worker_head, worker_count;
    size_t bodies; /* that the route has */
    uint32_t hellos, cuts;
    bool finished;
    bool is_open[SIM_CLIENTS];
};

void sim_start(struct sim *sim, const struct route_limits *limits);
/* All clients go; then the route must have let go of everything. */
void sim_end(struct sim *sim);
/* Takes what the route has decided. */
void sim_take(struct sim *sim);
void sim_pass(struct sim *sim, int64_t ms);

void sim_client(struct sim *sim, uint32_t slot);
void sim_client_gone(struct sim *sim, uint32_t slot);
void sim_worker(struct sim *sim, uint32_t slot, uint8_t role, uint64_t life, uint64_t epoch);
void sim_beat(struct sim *sim, uint32_t slot, uint8_t role, uint64_t life, uint64_t epoch);
void sim_worker_gone(struct sim *sim, uint32_t slot);

/* A message of one request with 5 s to go. */
struct route_message sim_message(const struct sim *sim, uint8_t type, uint64_t first);
/* With a body of `bytes`. */
void sim_send(struct sim *sim, uint32_t slot, struct route_message message, uint64_t bytes);
void sim_read(struct sim *sim, uint32_t slot, uint64_t first);
void sim_write(struct sim *sim, uint32_t slot, uint64_t first);
void sim_credit(struct sim *sim, uint32_t slot, uint64_t first, uint64_t bytes, uint16_t flags);

/* The worker of `to` answers it with `bytes`. */
void sim_reply(struct sim *sim, const struct action *to, int32_t status, uint64_t bytes);
void sim_piece(struct sim *sim, const struct action *to, uint32_t piece, bool last, uint64_t bytes);

/* The next message to any worker; fails the test when there is none. */
struct action sim_forwarded(struct sim *sim);
/* The next message to any client. */
struct action sim_answer(struct sim *sim);
bool sim_has_forwarded(const struct sim *sim);
bool sim_has_answer(const struct sim *sim);

/* It goes to that worker, and is that number. */
struct action sim_forwarded_to(struct sim *sim, uint32_t worker, uint64_t first);
#define assert_answered(sim, client, number, with)              \
    do {                                                        \
        struct action answer_action = sim_answer(sim);          \
        assert_int_equal(answer_action.slot, client);           \
        assert_int_equal(answer_action.envelope.first, number); \
        assert_int_equal(answer_action.envelope.status, with);  \
    } while (0)
#define assert_quiet(sim)                     \
    do {                                      \
        assert_false(sim_has_answer(sim));    \
        assert_false(sim_has_forwarded(sim)); \
    } while (0)
#endif
