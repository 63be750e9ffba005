/*
 * planted.c - one fault for each target's control, put in by the linker: the target must find it.
 */
#include "tests/fault/wrap.h"

#if defined(PLANTED_ENVELOPE)
#include "proto/envelope.h"

int real_envelope_decode(const void *bytes, size_t size, struct envelope *out) REAL(envelope_decode);
int other_envelope_decode(const void *bytes, size_t size, struct envelope *out) INSTEAD_OF(envelope_decode);

/* Loses the flags beside much credit. */
int other_envelope_decode(const void *bytes, size_t size, struct envelope *out)
{
    int status = real_envelope_decode(bytes, size, out);
    if (out->bytes > UINT64_C(1) << 40)
        out->flags = 0;
    return status;
}

#elif defined(PLANTED_BATCH)
#include "proto/limits.h"
#include "proto/request.h"

int real_request_check(const struct request *request, size_t max_data_bytes, const char **why) REAL(request_check);
int other_request_check(const struct request *request, size_t max_data_bytes, const char **why)
    INSTEAD_OF(request_check);

/* A kind that is too long is taken. */
int other_request_check(const struct request *request, size_t max_data_bytes, const char **why)
{
    int status = real_request_check(request, max_data_bytes, why);
    return request->kind.size > LIMIT_KIND_BYTES ? STATUS_OK : status;
}

#elif defined(PLANTED_BROKER)
#include "broker/route_state.h"

int real_credit_admit(struct route *route, struct client *client, uint64_t bytes) REAL(credit_admit);
int other_credit_admit(struct route *route, struct client *client, uint64_t bytes) INSTEAD_OF(credit_admit);

/* A large body needs no grant. */
int other_credit_admit(struct route *route, struct client *client, uint64_t bytes)
{
    int status = real_credit_admit(route, client, bytes);
    return bytes > route->limits.uncredited_bytes ? STATUS_OK : status;
}

#elif defined(PLANTED_IMPORT)
#include "cli/import_history.h"

int real_import_history_has(struct import_history *history, const Stigstore__Transfer__V1__Version *version,
                            bool *present) REAL(import_history_has);
int other_import_history_has(struct import_history *history, const Stigstore__Transfer__V1__Version *version,
                             bool *present) INSTEAD_OF(import_history_has);

/* A version without a hash is never recognised. */
int other_import_history_has(struct import_history *history, const Stigstore__Transfer__V1__Version *version,
                             bool *present)
{
    int status = real_import_history_has(history, version, present);
    *present = *present && version->hash.len > 0;
    return status;
}

#elif defined(PLANTED_HEALTH)
#include "proto/clock.h"

#include <jansson.h>

json_int_t real_json_integer_value(const json_t *json) REAL(json_integer_value);
json_int_t other_json_integer_value(const json_t *json) INSTEAD_OF(json_integer_value);

/* A time long ago is taken for now. */
json_int_t other_json_integer_value(const json_t *json)
{
    json_int_t value = real_json_integer_value(json);
    return value < INT64_C(1000000000000) ? clock_wall_ms() : value;
}

#elif defined(PLANTED_CLI)
#include "cli/cli.h"

bool real_cli_number(const char *text, uint64_t most, uint64_t *number) REAL(cli_number);
bool other_cli_number(const char *text, uint64_t most, uint64_t *number) INSTEAD_OF(cli_number);

/* One more than the most is let through. */
bool other_cli_number(const char *text, uint64_t most, uint64_t *number)
{
    return real_cli_number(text, most < UINT64_MAX ? most + 1 : most, number);
}
#endif
