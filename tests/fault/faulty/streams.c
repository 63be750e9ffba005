/*
 * streams.c - with $STIGSTORE_FAULT endless-snapshots a reader's lists keep their snapshots for an hour.
 */
#include "reader/streams.h"
#include "tests/fault/wrap.h"

#include <stdlib.h>
#include <string.h>

struct streams *faulty_streams_new(uint32_t snapshot_ms) INSTEAD_OF(streams_new);
struct streams *real_streams_new(uint32_t snapshot_ms) REAL(streams_new);

struct streams *faulty_streams_new(uint32_t snapshot_ms)
{
    const char *fault = getenv("STIGSTORE_FAULT");
    return real_streams_new(fault && strcmp(fault, "endless-snapshots") == 0 ? 3600000 : snapshot_ms);
}
