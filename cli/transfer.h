/*
 * transfer.h - records of an export file, read and written one at a time (transfer.proto).
 *
 * Thread: one.
 * Invariant: reading bounds a record's length before it takes memory for it.
 */
#ifndef CLI_TRANSFER_H
#define CLI_TRANSFER_H
#include "cli/transfer.pb-c.h"

#include <stdbool.h>
#include <stdio.h>

#define TRANSFER_FORMAT "stigstore-export"
enum { TRANSFER_VERSION = 1 };

typedef Stigstore__Transfer__V1__Record transfer_record;

/* False: `out` could not be written (errno) or memory is short. */
bool transfer_write(FILE *out, const transfer_record *record);

enum transfer_read { TRANSFER_RECORD, TRANSFER_EOF, TRANSFER_DAMAGED, TRANSFER_IO };
/* RECORD: *record is the caller's, to be freed by transfer_free. */
enum transfer_read transfer_read(FILE *in, transfer_record **record);
void transfer_free(transfer_record **record);
#endif
