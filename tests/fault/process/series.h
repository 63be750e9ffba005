/*
 * series.h - samples of one quantity over the life of a process, and whether they are flat.
 *
 * Owns: the samples.  Thread: one.
 */
#ifndef TESTS_FAULT_PROCESS_SERIES_H
#define TESTS_FAULT_PROCESS_SERIES_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct series {
    const char *role; /* of the process; static */
    pid_t pid;        /* 0: not of a process */
    double *values;
    size_t count;
};
struct all_series {
    struct series *series;
    size_t count;
};

void series_add(struct all_series *all, const char *role, pid_t pid, double value);
void series_free(struct all_series *all);

/* How much it rises from the second quarter of its samples to the last one, by their means; 0 when they are too few. */
double series_growth(const struct series *series);
double series_most(const struct series *series);

/* Resident bytes and open descriptors of a process; negative when it has gone. */
double process_resident_bytes(pid_t pid);
double process_descriptors(pid_t pid);
#endif
