/*
 * record.c - the bodies of a fixed layout: hello, worker_state, control.
 */
#include "proto/body.h"
#include "proto/limits.h"
#include "proto/little_endian.h"

/* PROTOCOL.md prints these tables. */
enum {
    HELLO_LIFE = 0,
    HELLO_MAX_MESSAGE = 8,
    HELLO_MAX_DATA = 16,
    HELLO_IN_FLIGHT = 24,
    HELLO_UNCREDITED = 32,
    HELLO_SNAPSHOT = 40,
    HELLO_PID = 44,
    HELLO_EPOCH = 48,
    HELLO_COUNTER = 56,
    HELLO_BOOT_ID = 64,
    HELLO_DEVICE = 80,
    HELLO_INODE = 88,
    HELLO_INCARNATION = 96,
    HELLO_REVISION = 112,
    HELLO_PATH_BYTES = 120,
    HELLO_PATH = 128,
};
enum {
    STATE_ROLE = 0,
    STATE_PID = 4,
    STATE_LIFE = 8,
    STATE_EPOCH = 16,
    STATE_MAX_DATA = 24,
    STATE_COUNTER = 32,
    STATE_SNAPSHOT = 40,
    STATE_BOOT_ID = 48,
    STATE_DEVICE = 64,
    STATE_INODE = 72,
    STATE_INCARNATION = 80,
    STATE_REVISION = 96,
    STATE_PATH_BYTES = 104,
    STATE_STATUS_BYTES = 108,
    STATE_TEXTS = 112,
};
enum { CONTROL_VERB = 0, CONTROL_ARGUMENT_BYTES = 4, CONTROL_ARGUMENT = 8 };

static void put_bytes(uint8_t *out, struct span bytes)
{
    if (bytes.size)
        memcpy(out, bytes.data, bytes.size);
}

struct span hello_encode(const struct hello *hello, struct arena *arena)
{
    size_t size = HELLO_PATH + hello->path.size;
    uint8_t *out = hello->path.size <= LIMIT_PATH_BYTES ? arena_calloc(arena, 1, size) : NULL;

    if (!out)
        return (struct span){NULL, 0};
    put_u64(out + HELLO_LIFE, hello->life);
    put_u64(out + HELLO_MAX_MESSAGE, hello->max_message_bytes);
    put_u64(out + HELLO_MAX_DATA, hello->max_data_bytes);
    put_u64(out + HELLO_IN_FLIGHT, hello->client_in_flight_bytes);
    put_u64(out + HELLO_UNCREDITED, hello->uncredited_bytes);
    put_u32(out + HELLO_SNAPSHOT, hello->snapshot_ms);
    put_u32(out + HELLO_PID, hello->pid);
    put_u64(out + HELLO_EPOCH, hello->writer_epoch);
    put_u64(out + HELLO_COUNTER, hello->session_counter);
    memcpy(out + HELLO_BOOT_ID, hello->boot_id, sizeof hello->boot_id);
    put_u64(out + HELLO_DEVICE, hello->device);
    put_u64(out + HELLO_INODE, hello->inode);
    memcpy(out + HELLO_INCARNATION, hello->incarnation, INCARNATION_BYTES);
    put_u64(out + HELLO_REVISION, hello->revision);
    put_u32(out + HELLO_PATH_BYTES, (uint32_t)hello->path.size);
    put_bytes(out + HELLO_PATH, hello->path);
    return (struct span){out, size};
}

int hello_decode(const void *bytes, size_t size, struct hello *out)
{
    const uint8_t *in = bytes;

    *out = (struct hello){0};
    if (size < HELLO_PATH || get_u32(in + HELLO_PATH_BYTES) > LIMIT_PATH_BYTES ||
        size - HELLO_PATH != get_u32(in + HELLO_PATH_BYTES))
        return STATUS_INVALID_ARGUMENT;
    out->life = get_u64(in + HELLO_LIFE);
    out->max_message_bytes = get_u64(in + HELLO_MAX_MESSAGE);
    out->max_data_bytes = get_u64(in + HELLO_MAX_DATA);
    out->client_in_flight_bytes = get_u64(in + HELLO_IN_FLIGHT);
    out->uncredited_bytes = get_u64(in + HELLO_UNCREDITED);
    out->snapshot_ms = get_u32(in + HELLO_SNAPSHOT);
    out->pid = get_u32(in + HELLO_PID);
    out->writer_epoch = get_u64(in + HELLO_EPOCH);
    out->session_counter = get_u64(in + HELLO_COUNTER);
    memcpy(out->boot_id, in + HELLO_BOOT_ID, sizeof out->boot_id);
    out->device = get_u64(in + HELLO_DEVICE);
    out->inode = get_u64(in + HELLO_INODE);
    memcpy(out->incarnation, in + HELLO_INCARNATION, INCARNATION_BYTES);
    out->revision = get_u64(in + HELLO_REVISION);
    out->path = (struct span){in + HELLO_PATH, size - HELLO_PATH};
    return STATUS_OK;
}

struct span worker_state_encode(const struct worker_state *state, struct arena *arena)
{
    bool fits = state->path.size <= LIMIT_PATH_BYTES && state->status.size <= LIMIT_UNCREDITED_BYTES;
    size_t size = STATE_TEXTS + state->path.size + state->status.size;
    uint8_t *out = fits ? arena_calloc(arena, 1, size) : NULL;

    if (!out)
        return (struct span){NULL, 0};
    out[STATE_ROLE] = state->role;
    put_u32(out + STATE_PID, state->pid);
    put_u64(out + STATE_LIFE, state->life);
    put_u64(out + STATE_EPOCH, state->epoch);
    put_u64(out + STATE_MAX_DATA, state->max_data_bytes);
    put_u64(out + STATE_COUNTER, state->session_counter);
    put_u32(out + STATE_SNAPSHOT, state->snapshot_ms);
    memcpy(out + STATE_BOOT_ID, state->boot_id, sizeof state->boot_id);
    put_u64(out + STATE_DEVICE, state->device);
    put_u64(out + STATE_INODE, state->inode);
    memcpy(out + STATE_INCARNATION, state->incarnation, INCARNATION_BYTES);
    put_u64(out + STATE_REVISION, state->revision);
    put_u32(out + STATE_PATH_BYTES, (uint32_t)state->path.size);
    put_u32(out + STATE_STATUS_BYTES, (uint32_t)state->status.size);
    put_bytes(out + STATE_TEXTS, state->path);
    put_bytes(out + STATE_TEXTS + state->path.size, state->status);
    return (struct span){out, size};
}

int worker_state_decode(const void *bytes, size_t size, struct worker_state *out)
{
    const uint8_t *in = bytes;
    uint32_t path_bytes, status_bytes;

    *out = (struct worker_state){0};
    if (size < STATE_TEXTS)
        return STATUS_INVALID_ARGUMENT;
    path_bytes = get_u32(in + STATE_PATH_BYTES);
    status_bytes = get_u32(in + STATE_STATUS_BYTES);
    if (path_bytes > LIMIT_PATH_BYTES || size - STATE_TEXTS != (uint64_t)path_bytes + status_bytes)
        return STATUS_INVALID_ARGUMENT;
    if (in[STATE_ROLE] != ROLE_READER && in[STATE_ROLE] != ROLE_WRITER)
        return STATUS_INVALID_ARGUMENT;
    out->role = in[STATE_ROLE];
    out->pid = get_u32(in + STATE_PID);
    out->life = get_u64(in + STATE_LIFE);
    out->epoch = get_u64(in + STATE_EPOCH);
    out->max_data_bytes = get_u64(in + STATE_MAX_DATA);
    out->session_counter = get_u64(in + STATE_COUNTER);
    out->snapshot_ms = get_u32(in + STATE_SNAPSHOT);
    memcpy(out->boot_id, in + STATE_BOOT_ID, sizeof out->boot_id);
    out->device = get_u64(in + STATE_DEVICE);
    out->inode = get_u64(in + STATE_INODE);
    memcpy(out->incarnation, in + STATE_INCARNATION, INCARNATION_BYTES);
    out->revision = get_u64(in + STATE_REVISION);
    out->path = (struct span){in + STATE_TEXTS, path_bytes};
    out->status = (struct span){in + STATE_TEXTS + path_bytes, status_bytes};
    return STATUS_OK;
}

struct span control_encode(const struct control *control, struct arena *arena)
{
    size_t size = CONTROL_ARGUMENT + control->argument.size;
    uint8_t *out = control->argument.size <= LIMIT_PATH_BYTES ? arena_alloc(arena, size) : NULL;

    if (!out)
        return (struct span){NULL, 0};
    put_u32(out + CONTROL_VERB, control->verb);
    put_u32(out + CONTROL_ARGUMENT_BYTES, (uint32_t)control->argument.size);
    put_bytes(out + CONTROL_ARGUMENT, control->argument);
    return (struct span){out, size};
}

int control_decode(const void *bytes, size_t size, struct control *out)
{
    const uint8_t *in = bytes;

    *out = (struct control){0};
    if (size < CONTROL_ARGUMENT || get_u32(in + CONTROL_ARGUMENT_BYTES) > LIMIT_PATH_BYTES ||
        size - CONTROL_ARGUMENT != get_u32(in + CONTROL_ARGUMENT_BYTES))
        return STATUS_INVALID_ARGUMENT;
    out->verb = get_u32(in + CONTROL_VERB);
    out->argument = (struct span){in + CONTROL_ARGUMENT, size - CONTROL_ARGUMENT};
    return STATUS_OK;
}
