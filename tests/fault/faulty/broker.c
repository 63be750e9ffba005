/*
 * broker.c - a broker with a fault that tests must catch, linked from the real one's objects.
 *
 * $STIGSTORE_FAULT says which: no-bounds (keeps whatever comes), no-share (one client may have all there is: in flight,
 * and of a worker), no-room (large bodies may take all that may be in flight), dear-refusals (each takes a while),
 * no-reserve (no descriptor left to turn connections away with), leaks-descriptors (one for each client that goes).
 */
#include "broker/admission.h"
#include "broker/peers.h"
#include "broker/route_state.h"
#include "tests/fault/wrap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { REFUSAL_NS = 400000, TAKEN_MOST = 2048 };

struct route_limits faulty_limits(uint64_t max_data_bytes) INSTEAD_OF(route_limits_default);
struct route_limits real_limits(uint64_t max_data_bytes) REAL(route_limits_default);
void faulty_refuse(struct route *route, struct client *client, const struct refused *refused, int32_t status)
    INSTEAD_OF(route_refuse);
void real_refuse(struct route *route, struct client *client, const struct refused *refused, int32_t status)
    REAL(route_refuse);
bool faulty_admission(uint32_t clients_most) INSTEAD_OF(admission_start);
bool real_admission(uint32_t clients_most) REAL(admission_start);
void faulty_close(struct peers *peers, struct peer *peer) INSTEAD_OF(peers_close);
void real_close(struct peers *peers, struct peer *peer) REAL(peers_close);

static bool is_fault(const char *name)
{
    static const char *fault;
    if (!fault)
        fault = getenv("STIGSTORE_FAULT") ? getenv("STIGSTORE_FAULT") : "";
    return strcmp(fault, name) == 0;
}

struct route_limits faulty_limits(uint64_t max_data_bytes)
{
    struct route_limits limits = real_limits(max_data_bytes);
    const uint64_t much = UINT64_C(1) << 30;
    if (is_fault("no-bounds")) {
        limits.client_request_bytes = limits.request_bytes = limits.credited_bytes = much;
        limits.client_reply_bytes = limits.reply_bytes = much;
        limits.client_messages = limits.messages = 1u << 19;
    }
    if (is_fault("no-share")) {
        limits.client_request_bytes = limits.request_bytes;
        limits.client_messages = limits.messages;
        limits.client_group_requests = limits.group_requests = 64 * limits.group_requests;
    }
    if (is_fault("no-room"))
        limits.credited_bytes = limits.request_bytes;
    return limits;
}

void faulty_refuse(struct route *route, struct client *client, const struct refused *refused, int32_t status)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (is_fault("dear-refusals") &&
           (now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < REFUSAL_NS);
    real_refuse(route, client, refused, status);
}

/* While all descriptors are taken it cannot open its reserve; and does not mind. */
bool faulty_admission(uint32_t clients_most)
{
    struct rlimit limit;
    int taken[TAKEN_MOST], count = 0;
    if (!is_fault("no-reserve"))
        return real_admission(clients_most);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < TAKEN_MOST ? limit.rlim_max : TAKEN_MOST;
    limit.rlim_max = limit.rlim_cur;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (count < TAKEN_MOST && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    real_admission(clients_most);
    while (count > 0)
        close(taken[--count]);
    return true;
}

void faulty_close(struct peers *peers, struct peer *peer)
{
    if (is_fault("leaks-descriptors"))
        open("/dev/null", O_RDONLY | O_CLOEXEC);
    real_close(peers, peer);
}
