/*
 * world.h - one store as its owner process drives it, with handles that resend, beside a table of what it must hold.
 *
 * The functions of storage/ and writer/ are those that the actors call.  Between writer and storage each transaction
 * is followed, so that the table knows what would be there if the one under way were committed.
 *
 * Owns: the connection, the lock, the handles.  Thread: one.
 * Invariant: `states` are the store after each group that was committed since it was last surely on the disk.
 */
#ifndef TESTS_FAULT_POWER_WORLD_H
#define TESTS_FAULT_POWER_WORLD_H
#include "storage/lock.h"
#include "tests/fault/power/script.h"
#include "tests/fault/power/state.h"
#include "writer/writer.h"

enum { WORLD_HANDLES = 3, WORLD_WINDOW = 48, WORLD_STATES = 512, WORLD_GROUP = 64 };

/* What a test of the tests leaves out. */
enum misdeed {
    CONTROL_NONE,
    CONTROL_SYNC_OFF,    /* PRAGMA synchronous = OFF */
    CONTROL_EARLY,       /* acknowledges before the commit */
    CONTROL_READY_EARLY, /* READY before what recovery found is synced */
    CONTROL_LYING_SYNC,  /* the disk says that it has synced, and has not */
    CONTROL_TRUSTS_WAL,  /* who opens takes for synced what is found of the WAL */
    CONTROLS
};
extern const char *const control_names[CONTROLS];

struct slot {
    struct spec spec;
    bool is_known;     /* `outcome` was answered, and must be again */
    bool is_in_flight; /* `outcome` is what it is if the last transaction was committed */
    struct reply outcome;
    const struct request *request; /* of the message under way */
};

struct handle {
    uint8_t id[SESSION_ID_BYTES], incarnation[INCARNATION_BYTES];
    uint64_t counter, floor, next; /* numbers from floor up to next were sent */
    struct slot slots[WORLD_WINDOW];
};

struct world {
    char *path;
    struct random random;
    bool durability_normal;
    enum misdeed control;
    uint32_t seeds; /* of data, used so far */
    struct arena *arena;

    struct lock *lock;
    struct writer *writer;
    struct storage *storage;
    struct handle handles[WORLD_HANDLES];

    struct state states[WORLD_STATES];
    size_t state_count;
    struct state pending; /* with the transaction that is open */
    bool is_in_doubt;     /* it may have been committed */
    struct {
        const struct request *request;
        struct reply reply;
    } group[WORLD_GROUP];
    size_t group_count;
    uint64_t issued; /* highest revision that was answered */
    uint64_t epoch;  /* highest that was READY */
    bool was_ready;  /* with this incarnation */
    uint8_t incarnation[INCARNATION_BYTES];

    struct storage_backup *backup;
    char *backup_path;
    unsigned backups;
    bool has_backup; /* it was reported done, with `backed_up` in it */
    struct state backed_up;

    /* What came about, for the summary. */
    unsigned long groups, commits, opens, unknown, replays, refused, lost;
};

/* Says what is wrong and ends the program: with success if a control was to be caught. */
void world_wrong(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
/* More of the last words: which seed, which moment. */
extern void (*world_tell)(void);

void world_new(struct world *world, const char *path, uint64_t seed);
void world_free(struct world *world);
/* Another file, of which nothing is known but that it holds `state`. */
void world_forget(struct world *world, const char *path, const struct state *state);

/* Opens as a starting owner does. Not OK: nothing is open. The state is not looked at yet. */
int world_open(struct world *world, struct failure *failure);
/* In order. */
void world_close(struct world *world);
/* As a process that is killed: nothing more reaches the disk. */
void world_drop(struct world *world);

/* After an open: the store holds one of the states it may hold, and is whole; handles learn what became of theirs.
 * `was_cut`: the power was off. `restored`: what a restore has put there if the incarnation is another; NULL: none. */
void world_check(struct world *world, bool was_cut, const struct state *restored);
/* Every handle asks for all its outcomes again. OK, or STORAGE_UNKNOWN. */
int world_check_replays(struct world *world);
/* A file that is a store, whole, and holds this. */
void world_check_file(struct world *world, const char *path, const struct state *state);

/* OK, or STORAGE_UNKNOWN: the writer must be dropped. */
int world_run_group(struct world *world);
/* A checkpoint between groups, of the kinds that a longer WAL would bring. */
int world_checkpoint(struct world *world);
/* A few pages of a backup. */
int world_step_backup(struct world *world);
void world_drop_backup(struct world *world);

static inline const struct state *world_state(const struct world *world)
{
    return &world->states[world->state_count - 1];
}
#endif
