/*
 * world.h - a whole service in one thread: clients, broker, writer and readers, joined by a simulated network and clock.
 *
 * The deciding parts are the real ones: broker/route*.c, client/remote_session*.c and remote_reads*.c, the writer library with
 * its sessions and their log.  What lies around them (sockets, processes, the database) is played here, and everything
 * that happens is drawn from one seed.
 *
 * Invariants judged at each event: see judge.c.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H
#include "broker/route.h"
#include "client/remote_reads.h"
#include "client/remote_session.h"
#include "client/remote_store.h"
#include "writer/session.h"
#include "writer/writer.h"

enum {
    HANDLES = 6,
    READERS = 2,
    WORKERS = READERS + 1, /* the last one is the writer */
    WRITER = READERS,
    CLIENT_SLOTS = 24,
    WORKER_SLOTS = 16,
    WIRES = 96,
    WIRE_PACKETS = 256,
    BATCH = 8, /* requests of one message at most */
    OPEN_CALLS = 24,
    CALLS = 1 << 15,
    LINEAGES = 4096,
    WAITING = 64, /* requests of one connection that the broker has not answered */
    PENDING = 16, /* messages that a writer has in hand */
    LISTS = 16,   /* open lists of one reader */
    EVICTED = 1 << 14,
};

/* ---- planted faults, one at a time ---- */

/* X(name, what is broken) */
#define CONTROLS(X)                                                            \
    X(NONE, "nothing")                                                         \
    X(FLOOR, "the writer applies numbers below the floor")                     \
    X(ORDER, "the writer applies numbers before those that are missing")       \
    X(REPLAY, "the writer applies settled numbers again")                      \
    X(EVICTED, "the writer applies numbers of sessions that it has forgotten") \
    X(LOG, "a new writer does not read the session log")                       \
    X(UNSYNCED, "the writer answers before the commit is durable")             \
    X(DROPPED, "the broker loses an answer now and then")                      \
    X(REPEATED, "the broker answers a request a second time now and then")     \
    X(STALE, "readers answer from an old snapshot")                            \
    X(EPOCHS, "all writers announce the same epoch")                           \
    X(SURE, "the client takes what was given up for surely not applied")       \
    X(BOUNDS, "the broker takes twice the bytes that it should")               \
    X(LATE, "the broker does not look at its clock")                           \
    X(PIECES, "the network loses a piece of a list now and then")

enum planted {
#define CONTROL_ENUM(name, text) CONTROL_##name,
    CONTROLS(CONTROL_ENUM)
#undef CONTROL_ENUM
        CONTROL_COUNT
};

/* ---- what callers want ---- */

enum told { TOLD_NOTHING, TOLD_APPLIED, TOLD_NOT_APPLIED, TOLD_MAYBE };

/* One life of one handle: its mutations must land in order, whatever sessions carry them. */
struct lineage {
    uint64_t submitted, last_applied;
};

struct sim_call {
    struct call call; /* first */
    char id;          /* the request's id: where it lies says whose it is */
    bool ended, applied, conflicts, fair;
    enum told told;
    uint32_t place; /* among the open ones of its handle */
    struct lineage *lineage;
    uint64_t index;    /* of a mutation, from 1 */
    uint64_t bytes;    /* of its data */
    uint64_t revision; /* that it got */
    uint64_t seen;     /* the highest revision that anybody had been told when it was asked */
    uint64_t weather;
    int64_t deadline_ns;
    uint64_t pieces, snapshot; /* of a list */
    struct sim_handle *handle;
};

/* ---- the network ---- */

/* What a message carries beside its envelope; `bytes` is what it counts for. */
struct body {
    struct body *next; /* free */
    uint32_t references;
    uint64_t bytes;
    uint32_t count;
    uint32_t from_wire; /* serial of the wire that it came by */
    uint32_t out_wire;  /* of the one to the worker that has it; 0: none */
    struct session_header session;
    struct {
        struct sim_call *call;
        uint32_t operation;
        int64_t deadline_ns;
    } requests[BATCH];
    struct reply replies[BATCH];
};

struct packet {
    struct packet *next;
    struct envelope envelope;
    struct body *body;
    bool probe;
    struct hello hello;
    struct worker_state state;
    bool counted; /* an answer whose memory the broker waits for */
    uint32_t slot, generation;
    uint64_t bytes;
};

struct queue {
    struct packet *head, *tail;
    size_t count;
};

struct waiting {
    uint64_t first;
    bool write;
    int64_t deadline_ns, back_ns; /* back_ns: the worker that had it was seen to be gone; 0: not */
    struct body *body;            /* NULL: the broker has let go of it, so its answer is next */
};

/* One connection.  Messages keep their order within it, whatever happens on others. */
struct wire {
    bool used, to_worker;
    uint32_t serial;
    uint32_t owner; /* handle or worker */
    bool owner_gone;
    bool opened; /* the broker has heard of it */
    uint32_t slot, generation;
    uint64_t life, epoch; /* of the worker */
    struct queue up, down;
    int64_t stalled_ns;
    struct waiting waiting[WAITING];
    size_t waiting_count;
};

/* ---- who acts ---- */

struct sim_broker {
    struct route *route; /* NULL: it is down */
    uint64_t life, best_epoch;
    bool draining, finished;
    int64_t start_ns, suspended_ns, tick_ns, judged_ns;
    uint32_t clients[CLIENT_SLOTS], workers[WORKER_SLOTS]; /* wires by slot, +1; 0: none */
    int64_t bodies;                                        /* that the route holds */
};

struct sim_handle {
    struct remote_session *session;
    struct remote_reads *reads;
    struct remote_store store;
    uint64_t seen_at_hello; /* the highest revision that it had seen when a writer was last announced */
    struct wire *wire;
    bool welcomed, hasty;
    struct hello hello;
    struct {
        bool asked;
        uint64_t number, asked_bytes, bytes;
        int64_t retry_at_ns;
    } grant;
    struct lineage *lineage;
    struct sim_call *open[OPEN_CALLS];
    size_t open_count;
    int64_t suspended_ns, earliest_ns;
};

struct pending {
    struct write_message message;
    struct request requests[BATCH];
    struct reply replies[BATCH];
    struct packet *packet;
};

struct sim_list {
    bool open;
    struct packet *packet; /* what asked for it */
    uint64_t credit, snapshot;
    uint32_t pieces, left;
};

struct sim_worker {
    bool alive, welcomed, saw_writer, leaving;
    uint64_t life, epoch;
    struct wire *wire;
    struct queue late; /* taken from a connection that ended since, */
    int64_t late_ns;   /* and read then */
    int64_t start_ns, suspended_ns, beat_ns;
    /* the writer's */
    struct writer *writer;
    struct storage *storage; /* the writer's own */
    struct pending pending[PENDING];
    size_t pending_count;
    /* a reader's */
    struct sim_list lists[LISTS];
};

/* ---- the database ---- */

struct sim_store {
    uint64_t epoch, revision, session_counter;
    struct span *rows; /* of the session log */
    uint64_t first_row;
    size_t row_count, row_room;
    struct sim_call *last_group[PENDING * BATCH]; /* what the last commit applied */
    size_t last_count;
    uint64_t last_revision;
    bool last_has_row;
    uint64_t evicted[EVICTED]; /* ids of sessions that went, as a hash table */
};

struct sim_counters {
    uint64_t events, histories, faults;
    uint64_t done, conflicts, given_up, refused, lost, not_applied, maybe, reads, pieces, lists_done;
    uint64_t resent, skips, out_of_order, evicted, replayed, below_floor;
    uint64_t redispatched, expired, overloaded, unavailable, dropped_late, cut, worker_deaths, grants;
    uint64_t broker_deaths, writer_deaths, reader_deaths, client_deaths, breaks, suspensions, drains, closes, fair,
        false_alarms;
};

struct world {
    uint64_t seed, random;
    enum planted control;
    int64_t now_ns;
    bool calm; /* no new faults */
    bool finishing;
    bool few_sessions;
    uint64_t weather;       /* raised by each fault */
    int64_t healthy_ns;     /* since then all is connected and at work; INT64_MAX: it is not */
    uint64_t told_revision; /* the highest that anybody was told */
    struct route_limits limits, judged_limits;
    uint32_t wire_serial;
    uint64_t life;
    struct wire wires[WIRES];
    uint32_t wire_order[WIRES]; /* those in use */
    size_t wire_count;
    struct sim_broker broker;
    struct sim_handle handles[HANDLES];
    struct sim_worker workers[WORKERS];
    struct sim_store store;
    struct arena *arena;
    struct lineage lineages[LINEAGES];
    size_t lineage_count;
    struct sim_call *calls;
    size_t call_count;
    struct session_key deciding;  /* the session that the writer last let apply something */
    struct session_table *astray; /* of the controls: sessions that the writer does not have */
    struct packet *free_packets;
    struct body *free_bodies;
    struct sim_counters counters;
};
extern struct world world;

/* ---- chance; clock.c ---- */
uint64_t roll(uint64_t sides);
/* One in so many, and never in calm weather. */
bool trouble(uint64_t in);

/* ---- network.c ---- */
struct body *body_new(void);
void body_drop(struct body *body);
struct packet *packet_new(uint8_t type);
void packet_free(struct packet *packet);
void queue_put(struct queue *queue, struct packet *packet);
struct packet *queue_take(struct queue *queue);
/* NULL: there are enough connections. */
struct wire *wire_open(bool to_worker, uint32_t owner);
/* The owner's end is no more; of what it sent a part still arrives. */
void wire_break(struct wire *wire);
/* The broker's end is no more. */
void wire_forget(struct wire *wire);
struct wire *wire_of_serial(uint32_t serial);

/* ---- broker.c ---- */
void broker_start(void);
void broker_kill(void);
void broker_turn(void);
void broker_drain(void);
/* The peer has taken the answer, or never will. */
void broker_released(const struct packet *packet);

/* ---- client.c, call.c ---- */
void handle_start(struct sim_handle *handle);
/* Its process dies. */
void handle_kill(struct sim_handle *handle);
/* Closes it in order. */
void handle_close(struct sim_handle *handle);
void handle_turn(struct sim_handle *handle);
void handle_lose_wire(struct sim_handle *handle);
void calls_submit(struct sim_handle *handle);
void calls_cancel(struct sim_handle *handle);
void calls_expire(struct sim_handle *handle);

/* ---- worker.c, writer.c, reader.c ---- */
void worker_turn(struct sim_worker *worker);
void worker_kill(struct sim_worker *worker);
void worker_lose_wire(struct sim_worker *worker);
/* Answers `to`; takes the body over. */
void worker_answer(struct sim_worker *worker, const struct envelope *to, uint8_t type, uint16_t flags, uint32_t piece,
                   int32_t status, struct body *body);
bool writer_start(struct sim_worker *worker);
void writer_stop(struct sim_worker *worker);
void writer_take(struct sim_worker *worker, struct packet *packet);
void writer_work(struct sim_worker *worker);
void reader_take(struct sim_worker *worker, struct packet *packet);
void reader_work(struct sim_worker *worker);
void reader_stop(struct sim_worker *worker);
bool reader_is_idle(const struct sim_worker *worker);

/* ---- store.c ---- */
struct storage *store_open(void);
void store_lose_last_group(void);
void store_clear(void);

/* ---- faults.c ---- */
void faults_maybe(void);
void faults_look_at_health(void);
/* Something went wrong: what is under way may fail for it. */
void faults_count(uint64_t *counter);

/* ---- judge.c ---- */
_Noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
void judge_settled(struct sim_call *call, const struct reply *reply);
void judge_given_up(struct sim_call *call, bool sure);
void judge_applied(struct sim_call *call, uint64_t revision);
void judge_evicted(const uint8_t *id);
void judge_asked(struct wire *wire, const struct envelope *envelope, struct body *body);
void judge_released(const struct body *body);
void judge_answered(struct wire *wire, const struct envelope *envelope);
void judge_dispatched(const struct wire *wire, const struct envelope *envelope, struct body *body);
void judge_time(void);
void judge_route(void);
void judge_writer(const struct sim_worker *worker);
#endif
