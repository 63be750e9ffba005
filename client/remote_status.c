/*
 * remote_status.c - the lane's state and counters as JSON.
 */
#include "client/remote_lane.h"

#include <stdlib.h>

/* The text as a JSON string's inside; what would need an escape becomes a question mark. */
static const char *plain(struct arena *arena, const char *text)
{
    struct span copy = arena_copy(arena, span_text(text));
    char *at = (char *)copy.data;

    for (size_t i = 0; at && i < copy.size; i++)
        if ((unsigned char)at[i] < 0x20 || at[i] == '"' || at[i] == '\\')
            at[i] = '?';
    return at ? at : "";
}

static const char *session_json(const struct remote *remote, struct arena *arena)
{
    struct remote_session_counters c;

    remote_session_counters(remote->session, &c);
    return arena_printf(arena,
                        "{\"sessions\":%llu,\"sent\":%llu,\"resent\":%llu,\"skips\":%llu,\"out_of_order\":%llu,"
                        "\"outcomes_lost\":%llu,\"unsettled\":%llu,\"waiting\":%llu,\"in_flight_messages\":%llu,"
                        "\"in_flight_bytes\":%llu,\"floor\":%llu,\"next\":%llu}",
                        (unsigned long long)c.sessions, (unsigned long long)c.sent, (unsigned long long)c.resent,
                        (unsigned long long)c.skips, (unsigned long long)c.out_of_order,
                        (unsigned long long)c.outcomes_lost, (unsigned long long)c.unsettled,
                        (unsigned long long)c.waiting, (unsigned long long)c.in_flight_messages,
                        (unsigned long long)c.in_flight_bytes, (unsigned long long)c.floor, (unsigned long long)c.next);
}

static const char *reads_json(const struct remote *remote, struct arena *arena)
{
    struct remote_reads_counters c;

    remote_reads_counters(remote->reads, &c);
    return arena_printf(arena,
                        "{\"sent\":%llu,\"resent\":%llu,\"pieces\":%llu,\"unmatched\":%llu,\"waiting\":%llu,"
                        "\"in_flight_messages\":%llu,\"in_flight_bytes\":%llu,\"streams\":%llu}",
                        (unsigned long long)c.sent, (unsigned long long)c.resent, (unsigned long long)c.pieces,
                        (unsigned long long)c.unmatched, (unsigned long long)c.waiting,
                        (unsigned long long)c.in_flight_messages, (unsigned long long)c.in_flight_bytes,
                        (unsigned long long)c.streams);
}

struct span remote_status(struct lane *lane, struct arena *arena)
{
    const struct remote *remote = (const struct remote *)lane;
    const char *json = arena_printf(
        arena,
        "{\"endpoint\":\"%s\",\"welcomed\":%s,\"writer_epoch\":%llu,\"revision\":%llu,\"welcomes\":%llu,"
        "\"sent_messages\":%llu,\"received_messages\":%llu,\"bad_messages\":%llu,\"refusals\":%llu,"
        "\"went_back\":%llu,\"large_bodies\":%llu,\"writes\":%s,\"reads\":%s}",
        plain(arena, remote->endpoint), remote->welcomed ? "true" : "false",
        (unsigned long long)remote->hello.writer_epoch, (unsigned long long)remote->store.revision,
        (unsigned long long)remote->counters.welcomes, (unsigned long long)remote->counters.sent_messages,
        (unsigned long long)remote->counters.received_messages, (unsigned long long)remote->counters.bad_messages,
        (unsigned long long)remote->counters.refusals, (unsigned long long)remote->counters.went_back,
        (unsigned long long)remote->counters.grants, session_json(remote, arena), reads_json(remote, arena));

    return span_text(json);
}
