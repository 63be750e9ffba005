/*
 * deeds.h - the mutations of a fault test as requests, so that the file itself tells which of them were applied.
 *
 * An audit record of kind "log" stands for each mutation that is not a plain save or delete: its resource is the handle,
 * its tag the number. What a resource holds names the mutation too.
 */
#ifndef TESTS_FAULT_PROCESS_DEEDS_H
#define TESTS_FAULT_PROCESS_DEEDS_H
#include "stigstore.h"
#include "tests/fault/process/journal.h"

enum { DEED_COUNTERS = 4, DEED_SLOTS = 6, DEED_CHUNKS = 51, DEED_CHUNK_ROWS = 1023, DEED_DATA_MOST = 6000 };

struct deed_name { /* what the id, tag and data of a mutation are made of */
    enum deed deed;
    uint64_t handle, number;
    uint32_t slot;
    uint64_t value;       /* COUNT_UP: what the counter becomes */
    uint64_t if_revision; /* COUNT_UP: 0 when it was absent */
};

/* A request with all that it points to; large, so not for the stack. */
struct deed_request {
    stigstore_request request;
    stigstore_request parts[DEED_CHUNK_ROWS + 1];
    char ids[DEED_CHUNK_ROWS + 1][40];
    char log_id[24], tag[24], key[48];
    char data[DEED_DATA_MOST];
};

void deed_fill(struct deed_request *out, const struct deed_name *name);
/* Of DEED_PUT and DEED_TRIO: the data is whole, and names handle and number. */
bool deed_read(const void *data, size_t size, uint64_t *handle, uint64_t *number);
void deed_slot_id(uint64_t handle, uint32_t slot, char out[40]);
void deed_counter_id(uint32_t counter, char out[40]);
#endif
