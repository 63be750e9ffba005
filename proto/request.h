/*
 * request.h - requests and replies as storage, writer, reader and client pass them to each other.
 *
 * Plain values: every span is borrowed, from an arena or from a caller who waits.  The numbers are those of the public
 * header and of the wire.
 */
#ifndef PROTO_REQUEST_H
#define PROTO_REQUEST_H
#include "proto/span.h"
#include "proto/status.h"

#include <stdint.h>

enum operation {
    OPERATION_GET = 1,
    OPERATION_STAT,
    OPERATION_GET_MANY,
    OPERATION_LIST,
    OPERATION_COUNT,
    OPERATION_KINDS,
    OPERATION_AUDIT_SCAN,
    OPERATION_SAVE,
    OPERATION_DELETE,
    OPERATION_DELETE_PREFIX,
    OPERATION_DELETE_KIND,
    OPERATION_TRANSACT,
    OPERATION_CHECK, /* only inside TRANSACT */
    OPERATION_AUDIT_SAVE,
    OPERATION_AUDIT_BY_HASH,
    OPERATION_AUDIT_BY_TAG,
    OPERATION_AUDIT_HISTORY,
    OPERATION_AUDIT_DELETE,
    OPERATION_KEY_LOOKUP,
    /* Of the wire alone. */
    OPERATION_SKIP = 100,    /* settles its number as not applied, unless it has an outcome */
    OPERATION_CLOSE_SESSION, /* the last number of a session */
};

enum condition { CONDITION_ALWAYS, CONDITION_IF_ABSENT, CONDITION_IF_EXISTS, CONDITION_IF_REVISION };

enum request_flag {
    REQUEST_KEYS_ONLY = 1u << 0,
    REQUEST_REQUIRE_RESOURCE = 1u << 1,
    REQUEST_NO_WAIT = 1u << 2,
    REQUEST_ALL_OR_NOTHING = 1u << 3,
    REQUEST_FLAGS_PUBLIC = 0xF,
    REQUEST_OF_UPDATE =
        1u << 16, /* a save or delete made by `update`: its key counts as a save's, with nothing compared */
};

enum reply_flag {
    REPLY_REPLAYED = 1u << 0,
    REPLY_MORE = 1u << 1,
    REPLY_NOT_APPLIED = 1u << 2,
};

enum role { ROLE_NONE, ROLE_READER, ROLE_WRITER, ROLE_ADMIN };

#define PRINCIPAL_BYTES 32 /* a CURVE public key; zero for a peer on this host */

struct request {
    uint32_t operation;
    uint32_t condition;
    uint32_t flags;
    uint32_t limit;
    struct span kind;
    struct span id; /* LIST, COUNT, DELETE_PREFIX: the prefix */
    struct span data;
    struct span hash;
    struct span tag;
    struct span after;
    struct span idempotency_key;
    struct span idempotency_fingerprint;
    uint64_t if_revision;
    int64_t created_ms, updated_ms;   /* of an import; 0: now */
    uint64_t idempotency_retention_s; /* 0: the default */
    int64_t deadline_ns;              /* CLOCK_BOOTTIME; INT64_MAX: none */
    const struct request *parts;
    size_t part_count;
};

/* The same layout as stigstore_item, asserted in client/. */
struct item {
    struct span kind, id, data, hash, tag;
    uint64_t revision;
    int64_t created_ms, updated_ms;
    uint64_t data_bytes;
    int32_t status;
    uint32_t reserved;
};

struct reply {
    int32_t status;
    uint32_t flags;
    uint64_t revision;
    uint64_t count;
    uint64_t number; /* of the wire statuses: what to resend from, or the session counter */
    uint32_t retry_after_ms;
    uint32_t failed_part;
    struct span message; /* empty: the status' own text */
    const struct item *items;
    size_t item_count;
};

/* Goes to the writer: mutations, SKIP, CLOSE_SESSION, and KEY_LOOKUP, whose keys belong to the principal that asks. */
bool operation_is_write(uint32_t operation);
bool operation_is_wire(uint32_t operation); /* SKIP, CLOSE_SESSION: no caller may ask for them */
bool operation_is_ranged_delete(uint32_t operation);
bool operation_is_list(uint32_t operation);     /* LIST, AUDIT_HISTORY, KINDS, AUDIT_SCAN: many items, may stream */
const char *operation_name(uint32_t operation); /* "SAVE" */

/* Bytes that a request brings (kind, id, data, ..., parts included): what bounds on bytes count. */
size_t request_bytes(const struct request *request);
/* Well-formed UTF-8 without U+0000..U+001F and U+007F, as kinds, ids, hashes and tags are; empty is. */
bool request_text_is_valid(struct span text);
/* The largest body of a message or answer where data may have `max_data_bytes` (0: the default). */
size_t request_message_bytes(size_t max_data_bytes);

/*
 * Judges a request against every limit and rule of the API: lengths, UTF-8, control characters, what the operation
 * takes, conditions, parts, flags.  STATUS_OK, or INVALID_ARGUMENT or TOO_LARGE with one line in *why (static text).
 * `max_data_bytes` 0 is the default limit.  Checked at the API before anything is sent and again at the writer.  It
 * takes what the wire takes; the API itself keeps operation_is_wire and REQUEST_OF_UPDATE from callers.
 */
int request_check(const struct request *request, size_t max_data_bytes, const char **why);
#endif
