/*
 * watch.h - memory and processor time of this process and of a service's actors while a load runs.
 */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WATCH_MOST = 16, WATCH_NAME_BYTES = 16 };

struct watch_process {
    pid_t pid;
    char name[WATCH_NAME_BYTES];  /* "bench", "broker", "writer", "reader" */
    uint64_t begin_kib, peak_kib; /* resident, at the begin and at most since */
    double cpu_s;                 /* user and system since the begin */
};

/* This process and the children of `service` (0: none); how many. Their peaks begin anew. */
size_t watch_begin(pid_t service, struct watch_process processes[WATCH_MOST]);
void watch_end(struct watch_process *processes, size_t count);
#endif
