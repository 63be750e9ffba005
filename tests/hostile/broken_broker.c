/*
 * broken_broker.c - a broker with a fault, which the environment names: what the test beside it must find.
 */
#include "broker/route.h"
#include "proto/clock.h"
#include "tests/fault/wrap.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

void real_route_client_malformed(struct route *route, uint32_t slot, int32_t status, uint64_t first)
    REAL(route_client_malformed);
void other_route_client_malformed(struct route *route, uint32_t slot, int32_t status, uint64_t first)
    INSTEAD_OF(route_client_malformed);
int real_envelope_decode(const void *bytes, size_t size, struct envelope *out) REAL(envelope_decode);
int other_envelope_decode(const void *bytes, size_t size, struct envelope *out) INSTEAD_OF(envelope_decode);

enum { STALL_MS = 120, CALM_MS = 300 };

static int64_t now_ms(void)
{
    return clock_boot_ns() / NS_PER_MS;
}

static bool has(const char *fault)
{
    const char *named = getenv("STIGSTORE_FAULT");
    return named && strcmp(named, fault) == 0;
}

/* "stall": it thinks long about what is no message, now and then. */
void other_route_client_malformed(struct route *route, uint32_t slot, int32_t status, uint64_t first)
{
    static int64_t calm_until_ms;
    const struct timespec stall = {.tv_nsec = STALL_MS * NS_PER_MS};
    if (has("stall") && now_ms() >= calm_until_ms) {
        nanosleep(&stall, NULL);
        calm_until_ms = now_ms() + CALM_MS;
    }
    real_route_client_malformed(route, slot, status, first);
}

/* "assert": it expects well-formed messages, if not at once. "confuse": what is no envelope spoils the next one. */
int other_envelope_decode(const void *bytes, size_t size, struct envelope *out)
{
    static bool confused;
    static int64_t first_ms;
    int status = real_envelope_decode(bytes, size, out);
    if (status != STATUS_OK && has("assert")) {
        first_ms = first_ms ? first_ms : now_ms();
        if (now_ms() > first_ms + CALM_MS)
            abort();
    }
    if (status == STATUS_OK && confused) {
        confused = false;
        return STATUS_INVALID_ARGUMENT;
    }
    confused = status != STATUS_OK && has("confuse");
    return status;
}
