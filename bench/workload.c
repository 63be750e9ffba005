/*
 * workload.c - the table of loads.
 */
#include "bench/workload.h"

#include "bench/bench.h"

#include <string.h>

enum { KEYS = 200000, VALUE_BYTES = 256, KIB = 1024 };

#define PERCENT(action, share) [ACTION_##action] = (share)
#define DEFAULTS               .loads = true, .keys = KEYS, .value_bytes = VALUE_BYTES

const struct workload workload_load = {.name = "load", .percent = {PERCENT(PUT, 100)}};
const struct workload workload_put = {.name = "put", .percent = {PERCENT(PUT, 100)}, DEFAULTS};

static const struct workload workloads[] = {
    {"put", "saves over random keys", {PERCENT(PUT, 100)}, DEFAULTS},
    {"get", "reads of random keys", {PERCENT(GET, 100)}, DEFAULTS},
    {"ycsb-a", "half reads, half saves, zipfian", {PERCENT(GET, 50), PERCENT(PUT, 50)}, CHOICE_ZIPFIAN, DEFAULTS},
    {"ycsb-b", "95 % reads, 5 % saves, zipfian", {PERCENT(GET, 95), PERCENT(PUT, 5)}, CHOICE_ZIPFIAN, DEFAULTS},
    {"ycsb-c", "reads, zipfian", {PERCENT(GET, 100)}, CHOICE_ZIPFIAN, DEFAULTS},
    {"ycsb-d",
     "95 % reads of the latest, 5 % new keys",
     {PERCENT(GET, 95), PERCENT(INSERT, 5)},
     CHOICE_LATEST,
     DEFAULTS},
    {"ycsb-e",
     "95 % scans of 1 to 100 rows, 5 % new keys",
     {PERCENT(SCAN, 95), PERCENT(INSERT, 5)},
     CHOICE_ZIPFIAN,
     DEFAULTS},
    {"ycsb-f",
     "half reads, half read-change-save, zipfian",
     {PERCENT(GET, 50), PERCENT(CHANGE, 50)},
     CHOICE_ZIPFIAN,
     DEFAULTS},
    {"list", "lists of all keys, as streams", {PERCENT(LIST, 100)}, .loads = true, .keys = 10000, .value_bytes = KIB},
    {"delete-prefix",
     "saves of others while all keys go by one delete",
     {PERCENT(PUT, 100)},
     .deletes = true,
     DEFAULTS},
    {"audit",
     "half archived versions, half reads of them by hash and tag",
     {PERCENT(AUDIT_SAVE, 50), PERCENT(AUDIT_BY_HASH, 25), PERCENT(AUDIT_BY_TAG, 25)},
     .archives = true,
     .keys = 10000,
     .value_bytes = VALUE_BYTES},
    {"status-storm",
     "documents that grow to 200 KiB by read, merge, compare-and-set",
     {PERCENT(CHANGE, 100)},
     .loads = true,
     .documents = true,
     .keys = 64,
     .value_bytes = (size_t)200 * KIB},
};

enum { WORKLOADS = sizeof(workloads) / sizeof(*workloads) };

const struct workload *workload_find(const char *name)
{
    for (size_t i = 0; i < WORKLOADS; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

const struct bench_about *bench_workloads(void)
{
    static struct bench_about about[WORKLOADS + 1];
    for (size_t i = 0; i < WORKLOADS; i++)
        about[i] = (struct bench_about){workloads[i].name, workloads[i].summary};
    return about;
}
