/*
 * table.h - what a store must hold, as a small table, and the bytes that stand for its numbers.
 *
 * Owns: nothing.  Thread: one.
 */
#ifndef TESTS_FAULT_ERRORS_TABLE_H
#define TESTS_FAULT_ERRORS_TABLE_H
#include "client/stigstore.h"

#include <stdbool.h>

enum { TABLE_KINDS = 2, TABLE_IDS = 6, TABLE_RECORDS = 6, TABLE_LARGE = 30000 };

struct table {
    struct table_row {
        unsigned data; /* a number; 0: no resource */
        unsigned record_count;
        unsigned records[TABLE_RECORDS]; /* in the order of insertion */
    } rows[TABLE_KINDS][TABLE_IDS];
};

stigstore_bytes table_kind(unsigned kind);
stigstore_bytes table_id(unsigned id);
/* The bytes of this number, in one of a few static buffers; those of multiples of ten are TABLE_LARGE. */
stigstore_bytes table_data(unsigned number);
/* Of which number these are the bytes; 0: of none. */
unsigned table_number(stigstore_bytes data);

/* Adds what an item of a list, or of a scan of audit records, tells. False: there is no such thing. */
bool table_take(struct table *table, const stigstore_item *item, bool is_record);
/* Reads all there is: OK, or the status of the call that failed. */
int table_read(struct table *table, stigstore *store);
bool table_equal(const struct table *a, const struct table *b);
/* Where they differ, in a static line. */
const char *table_difference(const struct table *expected, const struct table *found);
#endif
