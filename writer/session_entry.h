/*
 * session_entry.h - one session in a row of the log: as it is, what changed, or that it is gone.
 *
 *     head        byte: kind (2 bits), flags
 *     name        signed, from the name in the entry before
 *     WHOLE       id (16), principal (32, if flagged), age in s, floor
 *     CHANGE      how far the floor rose
 *     both        count of outcomes, runs of outcomes; if flagged: seconds to the last deadline of a closed session,
 *                 count and last id of a ranged delete in steps
 *
 * A run of outcomes: head byte, what it flags, and how many like it follow. Revisions count up by one unless told.
 */
#ifndef WRITER_SESSION_ENTRY_H
#define WRITER_SESSION_ENTRY_H
#include "writer/bytes.h"
#include "writer/session.h"

enum session_entry_kind { SESSION_ENTRY_CHANGE, SESSION_ENTRY_WHOLE, SESSION_ENTRY_GONE };

struct session_coder {
    struct bytes_writer *out;
    uint64_t serial, revision; /* of the entry, the outcome before */
    int64_t now_ms;
};
/* Puts the session as it will be once the group has committed. */
void session_entry_put(struct session_coder *coder, const struct session *session, enum session_entry_kind kind);

struct session_entry {
    enum session_entry_kind kind;
    uint64_t serial;
    struct session_key key;
    uint64_t age_s;
    uint64_t floor; /* CHANGE: how far it rose */
    struct outcomes outcomes;
    bool closed, step;
    uint64_t ahead_s;
    uint64_t step_count;
    struct span step_last;
};
struct session_decoder {
    struct bytes_reader in;
    uint64_t serial, revision;
};
/* The next entry; its memory is used again by the next call. OK, CORRUPT, NO_MEMORY. */
int session_entry_get(struct session_decoder *decoder, struct session_entry *entry);
#endif
