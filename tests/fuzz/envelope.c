/*
 * envelope.c - fuzz target: an envelope, and behind it the body of a fixed layout that its type has.
 *
 * What decodes encodes to the same bytes, those that are said to be zero apart.
 */
#include "proto/envelope.h"
#include "proto/body.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/fuzz/fuzz.h"

enum { ZERO_FROM = 89, ZERO_TO = 96, HELLO_ZERO = 124, STATE_ZERO = 44 };

/* The same bytes, those from `zero` on apart, four of which are said to be zero and may come as something else. */
static void require_same(struct span encoded, const uint8_t *bytes, size_t size, size_t zero)
{
    const uint8_t *ours = encoded.data;
    REQUIRE(ours && encoded.size == size);
    REQUIRE(memcmp(ours, bytes, zero) == 0 && memcmp(ours + zero + 4, bytes + zero + 4, size - zero - 4) == 0);
}

static void hello_body(const uint8_t *bytes, size_t size, struct arena *arena)
{
    struct hello hello;
    if (hello_decode(bytes, size, &hello) == STATUS_OK)
        require_same(hello_encode(&hello, arena), bytes, size, HELLO_ZERO);
}

static void control_body(const uint8_t *bytes, size_t size, struct arena *arena)
{
    struct control control;
    if (control_decode(bytes, size, &control) == STATUS_OK)
        REQUIRE(span_equal(control_encode(&control, arena), (struct span){bytes, size}));
}

/* The encoder takes a shorter status than the decoder. */
static void state_body(const uint8_t *bytes, size_t size, struct arena *arena)
{
    struct worker_state state;
    if (worker_state_decode(bytes, size, &state) != STATUS_OK)
        return;
    REQUIRE(state.role == ROLE_READER || state.role == ROLE_WRITER);
    if (state.status.size > LIMIT_UNCREDITED_BYTES)
        return;
    uint8_t *clean = arena_alloc(arena, size);
    REQUIRE(clean);
    memcpy(clean, bytes, size);
    memset(clean + 1, 0, 3); /* behind the role */
    require_same(worker_state_encode(&state, arena), clean, size, STATE_ZERO);
}

static void fixed_body(uint8_t type, const uint8_t *bytes, size_t size)
{
    struct arena *arena = arena_new(0);
    REQUIRE(arena);
    if (type == MESSAGE_HELLO)
        hello_body(bytes, size, arena);
    else if (type == MESSAGE_CONTROL)
        control_body(bytes, size, arena);
    else if (type == MESSAGE_READY || type == MESSAGE_HEARTBEAT)
        state_body(bytes, size, arena);
    arena_free(&arena);
}

static void whole_envelope(const uint8_t *bytes, const struct envelope *envelope)
{
    uint8_t expected[ENVELOPE_BYTES], encoded[ENVELOPE_BYTES];
    memcpy(expected, bytes, sizeof expected);
    memset(expected + ZERO_FROM, 0, ZERO_TO - ZERO_FROM);
    envelope_encode(envelope, encoded);
    REQUIRE(memcmp(encoded, expected, sizeof encoded) == 0);
    REQUIRE(envelope->version == ENVELOPE_VERSION);
    REQUIRE(strcmp(message_type_name(envelope->type), "UNKNOWN") != 0);
    int64_t deadline_ns = envelope_deadline_ns(envelope);
    REQUIRE(deadline_ns <= clock_boot_ns() + LIMIT_DEADLINE_S * NS_PER_S);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope envelope;
    size_t head = size < ENVELOPE_BYTES ? size : ENVELOPE_BYTES;
    uint8_t *exact = malloc(head ? head : 1); /* so that reading behind it is seen */
    REQUIRE(exact);
    if (head)
        memcpy(exact, data, head);
    int status = envelope_decode(exact, head, &envelope);
    REQUIRE(status == STATUS_OK || status == STATUS_INVALID_ARGUMENT || status == STATUS_UNSUPPORTED);
    REQUIRE(message_type_name(envelope.type));
    if (status == STATUS_OK) {
        whole_envelope(exact, &envelope);
        fixed_body(envelope.type, data + head, size - head);
    }
    free(exact);
    return 0;
}
