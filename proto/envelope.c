/*
 * envelope.c - the 128 bytes before every body, encoded and decoded by offset.
 */
#include "proto/envelope.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "proto/little_endian.h"

#include <string.h>

/* PROTOCOL.md prints this table; 89..95 are zero. */
enum offset {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_TYPE = 5,
    AT_FLAGS = 6,
    AT_LIFE = 8,
    AT_TICKET = 16,
    AT_FIRST = 24,
    AT_COUNT = 32,
    AT_ATTEMPT = 36,
    AT_DEADLINE = 40,
    AT_BOOT_ID = 48,
    AT_TIMEOUT = 64,
    AT_STATUS = 68,
    AT_RETRY_AFTER = 72,
    AT_PIECE = 76,
    AT_BYTES = 80,
    AT_ROLE = 88,
    AT_PRINCIPAL = 96,
};

static const uint8_t magic[4] = {'S', 'T', 'I', 'G'};

_Static_assert(AT_PRINCIPAL + PRINCIPAL_BYTES == ENVELOPE_BYTES, "the principal ends the envelope");
_Static_assert((int)BOOT_ID_SIZE == (int)BOOT_ID_BYTES, "one boot id");

void envelope_encode(const struct envelope *envelope, uint8_t out[ENVELOPE_BYTES])
{
    memset(out, 0, ENVELOPE_BYTES);
    memcpy(out + AT_MAGIC, magic, sizeof magic);
    out[AT_VERSION] = envelope->version;
    out[AT_TYPE] = envelope->type;
    put_u16(out + AT_FLAGS, envelope->flags);
    put_u64(out + AT_LIFE, envelope->life);
    put_u64(out + AT_TICKET, envelope->ticket);
    put_u64(out + AT_FIRST, envelope->first);
    put_u32(out + AT_COUNT, envelope->count);
    put_u32(out + AT_ATTEMPT, envelope->attempt);
    put_u64(out + AT_DEADLINE, (uint64_t)envelope->deadline_ns);
    memcpy(out + AT_BOOT_ID, envelope->boot_id, BOOT_ID_SIZE);
    put_u32(out + AT_TIMEOUT, envelope->timeout_ms);
    put_u32(out + AT_STATUS, (uint32_t)envelope->status);
    put_u32(out + AT_RETRY_AFTER, envelope->retry_after_ms);
    put_u32(out + AT_PIECE, envelope->piece);
    put_u64(out + AT_BYTES, envelope->bytes);
    out[AT_ROLE] = envelope->role;
    memcpy(out + AT_PRINCIPAL, envelope->principal, PRINCIPAL_BYTES);
}

static void decode_rest(const uint8_t *in, struct envelope *out)
{
    out->flags = get_u16(in + AT_FLAGS);
    out->life = get_u64(in + AT_LIFE);
    out->ticket = get_u64(in + AT_TICKET);
    out->count = get_u32(in + AT_COUNT);
    out->attempt = get_u32(in + AT_ATTEMPT);
    out->deadline_ns = (int64_t)get_u64(in + AT_DEADLINE);
    memcpy(out->boot_id, in + AT_BOOT_ID, BOOT_ID_SIZE);
    out->timeout_ms = get_u32(in + AT_TIMEOUT);
    out->status = (int32_t)get_u32(in + AT_STATUS);
    out->retry_after_ms = get_u32(in + AT_RETRY_AFTER);
    out->piece = get_u32(in + AT_PIECE);
    out->bytes = get_u64(in + AT_BYTES);
    out->role = in[AT_ROLE];
    memcpy(out->principal, in + AT_PRINCIPAL, PRINCIPAL_BYTES);
}

int envelope_decode(const void *bytes, size_t size, struct envelope *out)
{
    const uint8_t *in = bytes;

    *out = (struct envelope){0};
    if (size != ENVELOPE_BYTES || memcmp(in, magic, sizeof magic) != 0)
        return STATUS_INVALID_ARGUMENT;
    out->version = in[AT_VERSION];
    out->type = in[AT_TYPE];
    out->first = get_u64(in + AT_FIRST);
    if (out->version != ENVELOPE_VERSION)
        return STATUS_UNSUPPORTED;
    decode_rest(in, out);
    if (out->type == 0 || out->type >= MESSAGE_TYPE_END)
        return STATUS_INVALID_ARGUMENT;
    return STATUS_OK;
}

/* An unreadable boot id (zero) is nobody's: two hosts may both have none. */
static bool is_this_boot(const uint8_t id[BOOT_ID_SIZE])
{
    static const uint8_t none[BOOT_ID_SIZE];
    return memcmp(id, clock_boot_id(), BOOT_ID_SIZE) == 0 && memcmp(id, none, BOOT_ID_SIZE) != 0;
}

int64_t envelope_deadline_ns(const struct envelope *envelope)
{
    int64_t now = clock_boot_ns();
    int64_t most = now + LIMIT_DEADLINE_S * NS_PER_S;
    int64_t deadline = envelope->deadline_ns;

    if (!is_this_boot(envelope->boot_id))
        deadline = now + (int64_t)envelope->timeout_ms * NS_PER_MS;
    return deadline < most ? deadline : most;
}

struct envelope envelope_make(uint8_t type, int64_t deadline_ns)
{
    struct envelope envelope = {.version = ENVELOPE_VERSION, .type = type, .deadline_ns = deadline_ns};
    int64_t now = clock_boot_ns();

    memcpy(envelope.boot_id, clock_boot_id(), BOOT_ID_SIZE);
    if (deadline_ns > now) {
        int64_t left_ms = (deadline_ns - now - 1) / NS_PER_MS + 1;
        envelope.timeout_ms = left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX;
    }
    return envelope;
}

const char *message_type_name(uint8_t type)
{
    static const char *const names[MESSAGE_TYPE_END] = {
        [MESSAGE_HELLO] = "HELLO",         [MESSAGE_READ] = "READ",     [MESSAGE_WRITE] = "WRITE",
        [MESSAGE_CONTROL] = "CONTROL",     [MESSAGE_REPLY] = "REPLY",   [MESSAGE_STREAM] = "STREAM",
        [MESSAGE_CREDIT] = "CREDIT",       [MESSAGE_CANCEL] = "CANCEL", [MESSAGE_READY] = "READY",
        [MESSAGE_HEARTBEAT] = "HEARTBEAT", [MESSAGE_DRAIN] = "DRAIN",   [MESSAGE_GOODBYE] = "GOODBYE",
    };
    return type < MESSAGE_TYPE_END && names[type] ? names[type] : "UNKNOWN";
}
