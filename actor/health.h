/*
 * health.h - each actor's state as two small files, JSON and Prometheus text, replaced atomically.
 *
 * They lie in health/ beside the client socket as ROLE-PID.json and ROLE-PID.prom (ROLE-PID-LIFE when another container
 * has that name already). Older than 5 s is `unknown`.
 * Owns: its two files, removed by health_free.  Thread: one.
 */
#ifndef ACTOR_HEALTH_H
#define ACTOR_HEALTH_H
#include "proto/failure.h"

#include <stdint.h>
#include <sys/types.h>

struct health;

enum { HEALTH_PERIOD_MS = 2000, HEALTH_STALE_MS = 5000 };

/* `endpoint` is the client endpoint; `actor` "broker", "writer", "reader", "supervisor". */
int health_new(const char *endpoint, const char *actor, uint64_t life, struct health **health, struct failure *failure);
void health_free(struct health **health);

/* One report: begin, fields, end. Names are snake_case; numbers become gauges stigstore_<actor>_<name>. */
void health_begin(struct health *health, const char *state); /* "starting", "ready", "draining" */
void health_number(struct health *health, const char *name, double value);
void health_text(struct health *health, const char *name, const char *value); /* JSON only */
void health_end(struct health *health); /* writes both files; an error is logged once */
/* The report of the last health_end as one JSON object; valid until the next. */
const char *health_json(const struct health *health);

/* Removes what processes left behind that could not do it themselves: all files of process `pid`; 0: all files of dead
 * processes of this host, and those that nobody has written for a minute. */
void health_remove_left(const char *endpoint, pid_t pid);
/* Removes those of all processes of this host; one that lives writes again within a second. */
void health_remove_here(const char *endpoint);
/* Removes what the process left that had our pid and our role before us: in a container all are number 1. */
void health_remove_former(const char *endpoint, const char *actor);

/* Reads every *.json in the folder of `endpoint`: one JSON object {"actors":[...]} with "age_ms" and "fresh" in each;
 * the caller frees it. *all_fresh: there is at least a broker and a writer, and none is stale. Never trusts the files. */
char *health_collect(const char *endpoint, bool *all_fresh);
#endif
