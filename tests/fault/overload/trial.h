/*
 * trial.h - one situation that a service is put into, what was found wrong with it, and what its processes take.
 *
 * Each finding is of a class ("memory", "answers", ...). A trial with a fault built in passes only when something of the
 * class that it exists for is found.
 *
 * Owns: the service.  Thread: the main one, since the processes die with it.
 */
#ifndef TESTS_FAULT_OVERLOAD_TRIAL_H
#define TESTS_FAULT_OVERLOAD_TRIAL_H
#include "stigstore.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/process.h"
#include "tests/support/service.h"

struct trial {
    double seconds;     /* how long what may take long goes on */
    const char *fault;  /* built into the service's programs; NULL: none */
    const char *expect; /* the class that must be found then */
    unsigned sync_ms;   /* the writer's disk takes so long for each sync; 0: as long as it takes */
    struct service service;
    unsigned findings, expected; /* of any class; of that class */
};

/* The folder of the service's programs. */
const char *trial_programs(const struct trial *trial);
/* Starts a service with further options of `serve`; `descriptors` not 0: so many for each of its processes. */
void trial_serve(struct trial *trial, const char *const *more, unsigned descriptors);
/* Stops it, which must go in order, and removes its folder. */
void trial_end(struct trial *trial);
/* Notes a finding of this class unless `is_good`; returns that. */
bool trial_check(struct trial *trial, bool is_good, const char *class, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Saves the values that floods read, and others. */
void trial_fill(struct trial *trial, size_t value_bytes);
/* The endpoint, reads through the broker. */
const char *trial_through(const struct trial *trial);
/* A put and a get through the broker; class "life". */
void trial_check_serves(struct trial *trial, const char *when);
/* The most that broker, writer and readers ever had resident: class "memory". */
void trial_check_memory(struct trial *trial);
long trial_wal_kib(const struct trial *trial);
/* Waits until the WAL, with writes going on, is shorter than `most_kib`; class "wal". */
void trial_check_wal_shrinks(struct trial *trial, long most_kib);

long process_peak_kib(pid_t pid);
/* Seconds of processor that it took so far. */
double process_processor_s(pid_t pid);
#endif
