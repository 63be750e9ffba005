/*
 * remote_reads_state.h - what is asked and not answered, for the files that make it up.
 *
 * A call waits in a list, or belongs to one flight (a message that was sent), which its lane_data names.
 */
#ifndef CLIENT_REMOTE_READS_STATE_H
#define CLIENT_REMOTE_READS_STATE_H
#include "client/call_list.h"
#include "client/remote_reads.h"

struct read_flight {
    struct read_flight *next, *previous;
    uint64_t number;
    bool stream, control;
    bool backup;
    bool cancelled;       /* the stream's call is gone; CANCEL is due */
    uint32_t pieces;      /* that came in */
    uint64_t more_credit; /* due to be sent */
    uint64_t seen;        /* the highest revision that the handle had seen when it asked */
    size_t bytes;         /* of the body; 0 once the reader has answered */
    size_t count;
    struct call *calls[REMOTE_READS_BATCH]; /* NULL: abandoned */
};

struct remote_reads {
    struct call_list waiting;
    struct read_flight *first, *last; /* by number */
    struct read_flight *spare;        /* gathered, not sent yet */
    size_t batches;                   /* flights that are no streams */
    size_t notices;                   /* flights with credit or a CANCEL due, at most: looked for when not 0 */
    uint64_t number;
    uint64_t revision;
    int64_t retry_at_ns;
    struct remote_reads_counters counters;
};

/* Takes it off the list; it is the caller's then. */
void remote_reads_unlink(struct remote_reads *reads, struct read_flight *flight);
#endif
