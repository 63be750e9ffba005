/* service_none.c - what the embedded library has in place of service.c: it never speaks to a service. */
#include "client/service.h"

bool service_is_supported(void)
{
    return false;
}

int service_attach(struct stigstore *store, const struct service_options *options, struct failure *failure)
{
    (void)store;
    return failure_set(failure, STATUS_UNSUPPORTED, "%s: the embedded library opens files only", options->endpoint);
}

int service_wait(struct stigstore *store, uint32_t timeout_ms, struct failure *failure)
{
    (void)store;
    (void)timeout_ms;
    return failure_set(failure, STATUS_UNSUPPORTED, "the embedded library opens files only");
}

struct span service_lane_status(struct stigstore *store, struct arena *arena)
{
    (void)store;
    (void)arena;
    return span_text("{}");
}
