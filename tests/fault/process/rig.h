/*
 * rig.h - a service, clients that put load on it, and intruders, as processes that a fault test kills and starts again.
 *
 * Owns: the processes, their folder.  Thread: the main one, since the processes die with it.
 * Invariant: the service counts as living only from its READY to the moment before it is killed.
 */
#ifndef TESTS_FAULT_PROCESS_RIG_H
#define TESTS_FAULT_PROCESS_RIG_H
#include "tests/fault/dice.h"
#include "tests/fault/process/judge.h"
#include "tests/support/service.h"

#include <stdatomic.h>

enum { RIG_CLIENTS = 4, RIG_INTRUDERS = 2, RIG_LIVES_MOST = 4096, RIG_ACTORS_MOST = 16 };

struct rig_options {
    uint64_t seed;
    uint32_t deadline_ms; /* of clients' patient calls */
    const char *programs; /* folder of the service's programs */
    bool has_intruders, is_erasing;
};

struct rig_client {
    const char *style, *lane; /* the lane: what stands behind the endpoint */
    pid_t pid;
    uint64_t handle; /* the present one; 0: none yet */
};

struct rig {
    struct rig_options options;
    struct dice dice;
    struct service service;
    char *journals, *progress_path;             /* in the service's folder */
    struct rig_client clients[RIG_CLIENTS + 1]; /* the last one erases */
    pid_t intruders[RIG_INTRUDERS];
    _Atomic uint64_t *progress; /* acknowledged mutations of each client */
    struct {
        int64_t from_ns, to_ns; /* to_ns 0: it lives */
    } lives[RIG_LIVES_MOST];
    size_t life_count;
    unsigned writer_deaths, reader_deaths;
    uint64_t erase_from; /* the progress that the one that erases began with */
    struct complaints *complaints;
};

/* A fresh folder with a service in it, its clients and intruders. */
void rig_start(struct rig *rig, const struct rig_options *options, uint64_t seed, struct complaints *complaints);
/* Ends what still runs, removes the folder. */
void rig_free(struct rig *rig);

void rig_start_service(struct rig *rig); /* tries until nobody else has the database */
void rig_kill_service(struct rig *rig);  /* the supervisor; the others die with it */
/* Kills all that run `program`; false: none did just then. */
bool rig_kill_actor(struct rig *rig, const char *program);
void rig_kill_client(struct rig *rig, unsigned index);
void rig_start_client(struct rig *rig, unsigned index); /* under a new handle, the old one's successor */
/* Starts the one that erases again when it has ended. */
void rig_erase_again(struct rig *rig);
/* Its delete is under way: what it filled has been acknowledged, the delete has not. */
bool rig_is_erasing(const struct rig *rig);
/* SIGTERM, waits: all they had under way has its result. */
void rig_stop_clients(struct rig *rig);
void rig_stop_intruders(struct rig *rig);

/* Until every client has `more` further mutations acknowledged than `before` had. */
void rig_wait_for_progress(struct rig *rig, const uint64_t before[RIG_CLIENTS], uint64_t more);
void rig_read_progress(const struct rig *rig, uint64_t progress[RIG_CLIENTS]);

/* Holds the database (NULL: the service's) against the journals, and everybody's time inside against the service's. */
void rig_judge(struct rig *rig, const char *database, struct judged_figures *figures);
/* `stigstore verify`, and plain sqlite3's integrity_check; `may_write`: of a copy, which sqlite3 may recover. */
void rig_verify(struct rig *rig, const char *database, bool may_write);
/* A copy of the database and its -wal, made while nobody has them open; the caller frees the path. */
char *rig_copy(struct rig *rig);
#endif
