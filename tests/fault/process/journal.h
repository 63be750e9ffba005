/*
 * journal.h - what a client process submitted and what it was told, in a form that survives its kill -9.
 *
 * One file a process, appended to by write() alone: only processes die here, so nothing needs a sync. A mutation is
 * noted before it is submitted and its result before anybody acts on it.
 *
 * Owns: the descriptor.  Thread: one.
 * Invariant: what was acknowledged to a process but is not in its journal, nobody has seen.
 */
#ifndef TESTS_FAULT_PROCESS_JOURNAL_H
#define TESTS_FAULT_PROCESS_JOURNAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a mutation is. Those up to DEED_TRIO leave an audit record in the file that names them. */
enum deed {
    DEED_MARK = 1, /* an audit record */
    DEED_KEYED,    /* the same with an idempotency key; whoever comes after the process tries it again */
    DEED_COUNT_UP, /* compare-and-set of a counter that all share, and an audit record */
    DEED_TRIO,     /* three resources and an audit record, all or none */
    DEED_RETRY,    /* DEED_KEYED of a process that was killed */
    DEED_PUT,      /* one of its handle's resources */
    DEED_REMOVE,   /* the same, deleted */
    DEED_FILL,     /* a chunk of many small resources, for the ranged delete */
    DEED_ERASE,    /* the ranged delete, in steps */
};

enum journal_event {
    EVENT_SUBMIT = 1,
    EVENT_RESULT,
    EVENT_COMPLAINT, /* something that must not happen, seen by the process itself */
    EVENT_READ_DIED, /* a read was alone on two readers that died */
    EVENT_INSIDE,    /* it has the database for itself since now ... */
    EVENT_OUTSIDE,   /* ... and until now */
};

struct journal_record {
    uint32_t event, deed;
    uint64_t handle, number;        /* which mutation: the handle's, from 1 */
    uint64_t origin, origin_number; /* DEED_RETRY: whose it was */
    uint64_t revision, count;       /* of the result */
    int32_t status;
    uint32_t flags;
    uint32_t slot;      /* which counter, resource or chunk */
    uint32_t complaint; /* enum complaint */
    int64_t time_ns;    /* CLOCK_MONOTONIC */
    char text[64];
};

/* What must not happen. */
enum complaint {
    COMPLAINT_LOST = 1,   /* acknowledged and not there */
    COMPLAINT_TWICE,      /* applied twice */
    COMPLAINT_PART,       /* applied in part */
    COMPLAINT_ORDER,      /* one handle's mutations out of their order */
    COMPLAINT_REVISION,   /* a gap, a repeat, or another one than acknowledged */
    COMPLAINT_REFUSED,    /* said to be not applied, and there; or there, and never submitted */
    COMPLAINT_UNANSWERED, /* no outcome within a deadline that outlasts every restart */
    COMPLAINT_STATUS,     /* a status that the call cannot have */
    COMPLAINT_STALE,      /* a read older than what was acknowledged before it */
    COMPLAINT_INTRUDER,   /* somebody else had the database while its service lived */
    COMPLAINT_FILE,       /* verify, or plain sqlite3, finds fault */
    COMPLAINT_SERVICE,    /* it does not come back */
    COMPLAINT_LEAK,       /* memory, descriptors or the WAL grow */
    COMPLAINTS,
};

struct journal {
    int fd;
    uint64_t handle;
};

/* Makes the file of `handle` in `folder`, or goes on with it; ends the process when it cannot. */
struct journal journal_open(const char *folder, uint64_t handle);
void journal_close(struct journal *journal);
/* Fills handle and time in, and appends. */
void journal_note(const struct journal *journal, struct journal_record record);
void journal_complain(const struct journal *journal, uint32_t complaint, uint64_t number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* All whole records of one file; the caller frees them. None when there is no file. */
struct journal_record *journal_read(const char *folder, uint64_t handle, size_t *count);
/* The handles that have a journal in `folder`, in ascending order; the caller frees them. */
uint64_t *journal_handles(const char *folder, size_t *count);

const char *complaint_name(uint32_t complaint);
/* 0: there is none of this name. */
uint32_t complaint_of_name(const char *name);

int64_t journal_now_ns(void);
#endif
