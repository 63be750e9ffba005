/*
 * envelope.h - the fixed 128 bytes before every body on the wire.
 *
 * Little-endian; layout in PROTOCOL.md.  Plain values; decoding never trusts a peer.
 */
#ifndef PROTO_ENVELOPE_H
#define PROTO_ENVELOPE_H
#include "proto/request.h"

enum { ENVELOPE_BYTES = 128, ENVELOPE_VERSION = 1, BOOT_ID_SIZE = 16 };

enum message_type {
    MESSAGE_HELLO =
        1, /* client or worker -> broker: here I am; broker -> both: limits and the store, again at a change */
    MESSAGE_READ,
    MESSAGE_WRITE,
    MESSAGE_CONTROL, /* a verb with a text argument: status, backup */
    MESSAGE_REPLY,
    MESSAGE_STREAM,    /* a piece of a list */
    MESSAGE_CREDIT,    /* `bytes` more may be sent: of a stream (client -> worker), of large bodies (both ways) */
    MESSAGE_CANCEL,    /* of the request or stream `first` */
    MESSAGE_READY,     /* worker -> broker */
    MESSAGE_HEARTBEAT, /* worker -> broker */
    MESSAGE_DRAIN,     /* broker -> worker: answer what you have, say GOODBYE and end */
    MESSAGE_GOODBYE,   /* worker or client -> broker: I am going */
    MESSAGE_TYPE_END
};

enum envelope_flag {
    ENVELOPE_STREAM = 1u << 0,  /* READ: one list, to be answered by STREAM pieces */
    ENVELOPE_LAST = 1u << 1,    /* STREAM: the last piece; its status is the stream's */
    ENVELOPE_WELCOME = 1u << 2, /* HELLO of the broker: answers the probe of a new connection */
    ENVELOPE_WRITE = 1u << 3,   /* REPLY: `first` is a WRITE number, not a READ or CONTROL number */
};

struct envelope {
    uint8_t version;
    uint8_t type;
    uint16_t flags;
    uint64_t life;       /* of the broker, as the sender knows it; 0: not yet */
    uint64_t ticket;     /* between broker and worker: stands for the client's request */
    uint64_t first;      /* number of the first request of the body; READ and WRITE count apart */
    uint32_t count;      /* requests or replies in the body */
    uint32_t attempt;    /* dispatches of this ticket, from 1 */
    int64_t deadline_ns; /* CLOCK_BOOTTIME of boot_id */
    uint8_t boot_id[BOOT_ID_SIZE];
    uint32_t timeout_ms; /* what was left when it was sent; counts where boot_id is another */
    int32_t status;      /* REPLY, STREAM: not OK speaks for the whole message, which then has no body */
    uint32_t retry_after_ms;
    uint32_t piece;                     /* STREAM: 0, 1, 2, ... */
    uint64_t bytes;                     /* CREDIT, and READ with STREAM: credit granted or asked for */
    uint8_t role;                       /* stamped by the broker */
    uint8_t principal[PRINCIPAL_BYTES]; /* stamped by the broker */
};

void envelope_encode(const struct envelope *envelope, uint8_t out[ENVELOPE_BYTES]);
/* OK; INVALID_ARGUMENT (size, magic, unknown type); UNSUPPORTED (another version: only version, type, first are filled). */
int envelope_decode(const void *bytes, size_t size, struct envelope *out);
/* The envelope's deadline on this boot's CLOCK_BOOTTIME: its own if the boot is the same, else now + timeout_ms;
 * never more than LIMIT_DEADLINE_S ahead. */
int64_t envelope_deadline_ns(const struct envelope *envelope);
/* An envelope of `type` with version, boot id, deadline and timeout_ms filled from `deadline_ns`, the rest zero. */
struct envelope envelope_make(uint8_t type, int64_t deadline_ns);
const char *message_type_name(uint8_t type);
#endif
