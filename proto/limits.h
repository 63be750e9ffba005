/*
 * limits.h - every bound of the store in one table; the defaults are the promise, a service may configure some.
 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

enum {
    LIMIT_KIND_BYTES = 128,        /* 1 to */
    LIMIT_ID_BYTES = 1024,         /* 1 to; prefix and `after`: 0 to, any bytes */
    LIMIT_HASH_BYTES = 128,        /* 0 to */
    LIMIT_TAG_BYTES = 256,         /* 0 to */
    LIMIT_KEY_BYTES = 256,         /* idempotency key: 1 to */
    LIMIT_FINGERPRINT_BYTES = 256, /* idempotency fingerprint: 0 to */
    LIMIT_PARTS = 1024,            /* of a TRANSACT or GET_MANY */
    LIMIT_BATCH_REQUESTS = 1024,   /* requests in one message */
    LIMIT_BATCH_PARTS = 65536,     /* parts of all requests of one message */
    LIMIT_REPLY_ITEMS = 262144,    /* items of all replies of one message; bounds on its bytes keep it far below */
    LIMIT_CONNECTIONS = 1024,      /* clients of one broker */
    LIMIT_GROUP_REQUESTS = 1024,   /* a commit group */
    LIMIT_GROUP_MS = 20,
    LIMIT_SESSIONS = 16384,
    LIMIT_SESSION_WINDOW = 4096,                      /* numbers above its floor */
    LIMIT_CLIENT_MESSAGES = 2 * LIMIT_SESSION_WINDOW, /* unanswered ones of a client */
    LIMIT_MESSAGES = 2 * LIMIT_CLIENT_MESSAGES,       /* of all: each takes 600 bytes beside its body */
    LIMIT_SESSION_IDLE_S = 86400,
    LIMIT_DEADLINE_S = 3600, /* on the wire, ahead of now */
    LIMIT_IDEMPOTENCY_KEYS = 1000000,
    LIMIT_IDEMPOTENCY_RETENTION_S = 7 * 86400, /* the default */
    LIMIT_IDEMPOTENCY_RETENTION_MOST_S = 3660 * 86400,
    LIMIT_SNAPSHOT_MS = 30000,
    LIMIT_DELETE_ONE_TRANSACTION = 50000, /* rows of a ranged delete; above it goes in steps of at most */
    LIMIT_DELETE_STEP = 10000,
    LIMIT_DELETE_STEP_FIRST = 500,
    LIMIT_DELETE_STEP_LEAST = 100,
    LIMIT_STREAMS = 64, /* open lists of one reader */
    LIMIT_IPC_PATH_BYTES = 107,
    LIMIT_PATH_BYTES = 4096, /* a path on the wire */
};

#define LIMIT_TIME_MS                INT64_C(253402300799999) /* the end of the year 9999, the last the file's times can say */
#define LIMIT_DATA_BYTES             (4 * MIB)                /* default of max_data_bytes */
#define LIMIT_DATA_BYTES_MOST        (64 * MIB)               /* what max_data_bytes may be set to */
#define LIMIT_MESSAGE_BYTES          (16 * MIB) /* one message or answer; raised to max_data_bytes + 1 MiB when that is more */
#define LIMIT_CLIENT_IN_FLIGHT_BYTES (8 * MIB)
#define LIMIT_IN_FLIGHT_BYTES        (24 * MIB) /* with 256 connections the broker then stays within 64 MiB */
#define LIMIT_UNCREDITED_ROOM_BYTES  (4 * MIB)  /* of what is in flight: kept from bodies on credit */
#define LIMIT_REPLY_BYTES            (16 * MIB) /* of all answers that were not taken yet */
#define LIMIT_GROUP_BYTES            (8 * MIB)
#define LIMIT_PIECE_BYTES            (384 * KIB) /* of a streamed list, or one resource */
#define LIMIT_STREAM_BYTES           (4 * MIB)   /* credit that a client has out for one stream */
#define LIMIT_UNCREDITED_BYTES       (64 * KIB)  /* a larger body is sent on credit only */
#endif
