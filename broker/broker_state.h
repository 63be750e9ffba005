/*
 * broker_state.h - what the files of the shell share.
 */
#ifndef BROKER_BROKER_STATE_H
#define BROKER_BROKER_STATE_H
#include "actor/health.h"
#include "broker/broker.h"
#include "broker/door.h"
#include "broker/peers.h"
#include "broker/remote.h"
#include "broker/route.h"

enum { SLOW_RETRY_MS = 10, RECEIVE_BATCH = 256 };

struct broker {
    struct broker_options options;
    void *context;
    struct door local, workers, far; /* far: from other hosts */
    struct remote remote;
    char listening[256]; /* where `far` is bound; "": nowhere */
    struct peers *client_peers, *worker_peers;
    struct parcel_pool *pool;
    struct route *route;
    struct route_limits limits;
    struct arena *arena;
    struct health *health;
    uint64_t life;
    int64_t started_ns, health_ns;
    struct link slow; /* peers with answers that libzmq did not take */
    int64_t slow_ns;  /* when they are tried again */
    bool stopping, finished;
    uint64_t strays; /* messages whose connection had gone, or found no slot */
};

/* broker_in.c */
/* Takes what has arrived, up to a batch; true when there may be more. */
bool broker_receive_clients(struct broker *broker, struct door *door);
bool broker_receive_workers(struct broker *broker);
/* Takes the monitors' events. */
void broker_take_events(struct broker *broker, struct door *door);

/* broker_out.c */
/* Carries out what the route has decided. */
void broker_act(struct broker *broker);
/* Tries again to send what libzmq did not take. */
void broker_retry_slow(struct broker *broker);
/* Gives the route back what libzmq has let go of. */
void broker_take_returned(struct broker *broker);
void broker_drop(struct broker *broker, struct parcel *parcel);
/* Ends what is left of a peer whose connection has gone. */
void broker_client_gone(struct broker *broker, struct peer *peer);
void broker_worker_gone(struct broker *broker, struct peer *peer);

/* broker_status.c */
/* One JSON object in malloc'ed memory; NULL when memory is short. */
char *broker_status_json(struct broker *broker);
void broker_report_health(struct broker *broker);
#endif
