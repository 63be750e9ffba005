/*
 * body.h - bodies of the wire as bytes and as plain requests, replies and fixed records.
 *
 * Batches are protobuf (stigstore.proto); the bodies that the broker itself reads are fixed layouts, all here.
 * Decoding bounds size, count and depth before it reserves memory, and never trusts a peer.
 */
#ifndef PROTO_BODY_H
#define PROTO_BODY_H
#include "proto/arena.h"
#include "proto/request.h"

enum { SESSION_ID_BYTES = 16, INCARNATION_BYTES = 16 };

struct session_header {
    uint8_t id[SESSION_ID_BYTES];
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t counter;
    uint64_t floor;
};

/* Bytes that body_encode_requests would write. `base_deadline_ns` is the envelope's. */
size_t body_requests_size(const struct session_header *session, const struct request *requests, size_t count,
                          int64_t base_deadline_ns);
/* Writes exactly that many bytes to `out`. `session` NULL: a batch of reads. */
void body_encode_requests(const struct session_header *session, const struct request *requests, size_t count,
                          int64_t base_deadline_ns, void *out);

struct request_batch {
    bool has_session;
    struct session_header session;
    const struct request *requests;
    size_t count;
};
/* Spans point into `arena`, not into `bytes`. INVALID_ARGUMENT when it cannot be decoded, is empty, has more than
 * LIMIT_BATCH_REQUESTS requests, LIMIT_PARTS parts of one or LIMIT_BATCH_PARTS of all, or parts inside parts;
 * NO_MEMORY. Deadlines are held to LIMIT_DEADLINE_S from now; parts get their request's. Contents are judged by
 * request_check. */
int body_decode_requests(const void *bytes, size_t size, int64_t base_deadline_ns, struct arena *arena,
                         struct request_batch *out);

size_t body_replies_size(const struct reply *replies, size_t count);
void body_encode_replies(const struct reply *replies, size_t count, void *out);
/* As above; CORRUPT when it cannot be decoded or has more than LIMIT_REPLY_ITEMS items. An item's empty data decodes to
 * a non-NULL pointer of size 0. */
int body_decode_replies(const void *bytes, size_t size, struct arena *arena, const struct reply **replies,
                        size_t *count);

/* What the broker tells clients and workers: its limits, and the store as the writer announced it. */
struct hello {
    uint64_t life;
    uint64_t max_message_bytes, max_data_bytes;
    uint64_t client_in_flight_bytes; /* of all bodies that one client may have unanswered */
    uint64_t uncredited_bytes;       /* a larger body is sent on credit only */
    uint32_t snapshot_ms;
    uint32_t pid;
    uint64_t writer_epoch; /* 0: no writer is ready, and what follows is empty */
    uint64_t session_counter;
    uint8_t boot_id[16];
    uint64_t device, inode;
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t revision; /* as of the writer's last heartbeat */
    struct span path;  /* of the database file on the writer's host */
};
/* What a worker tells the broker, READY and HEARTBEAT alike. */
struct worker_state {
    uint8_t role;  /* ROLE_READER or ROLE_WRITER */
    uint64_t life; /* random, new in each process */
    uint32_t pid;
    uint64_t epoch; /* of the writer; a reader says the one it attached to */
    uint64_t max_data_bytes;
    uint32_t snapshot_ms;
    uint64_t session_counter;
    uint8_t boot_id[16];
    uint64_t device, inode;
    uint8_t incarnation[INCARNATION_BYTES];
    uint64_t revision;
    struct span path;
    struct span status; /* one JSON object, for `status`; may be empty */
};
enum control_verb { CONTROL_STATUS = 1, CONTROL_BACKUP = 2 };
struct control {
    uint32_t verb;
    struct span argument; /* BACKUP: absolute path */
};
/* Encoders return the size written into `arena`-allocated bytes (data NULL: no memory); decoders borrow from `bytes`,
 * and give INVALID_ARGUMENT for what is short, long or inconsistent. */
struct span hello_encode(const struct hello *hello, struct arena *arena);
int hello_decode(const void *bytes, size_t size, struct hello *out);
struct span worker_state_encode(const struct worker_state *state, struct arena *arena);
int worker_state_decode(const void *bytes, size_t size, struct worker_state *out);
struct span control_encode(const struct control *control, struct arena *arena);
int control_decode(const void *bytes, size_t size, struct control *out);
#endif
