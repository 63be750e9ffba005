/*
 * status.h - statuses as an enum and their columns as functions, both made from status_map.h.
 *
 * Owns: nothing.  Thread: any.
 */
#ifndef PROTO_STATUS_H
#define PROTO_STATUS_H
#include "proto/status_map.h"

#include <stdbool.h>

enum status {
#define STATUS_ENUM(name, number, applied, advice, text) STATUS_##name = (number),
    STIGSTORE_STATUS_MAP(STATUS_ENUM)
#undef STATUS_ENUM
#define STATUS_ENUM(name, number, text) STATUS_##name = (number),
        WIRE_STATUS_MAP(STATUS_ENUM)
#undef STATUS_ENUM
};

enum status_applied { STATUS_APPLIED_NO, STATUS_APPLIED_YES, STATUS_APPLIED_MAYBE };
enum status_advice { STATUS_ADVICE_NOTHING, STATUS_ADVICE_RESEND, STATUS_ADVICE_LATER, STATUS_ADVICE_READ_AGAIN };

/* "NOT_FOUND"; an unknown number is "UNKNOWN". */
const char *status_name(int status);
const char *status_text(int status);
enum status_applied status_was_applied(int status);
enum status_advice status_what_to_do(int status);
/* Of those that a caller may be told: not of the wire, and not unknown. */
bool status_is_public(int status);
/* True for outcomes that the same request would meet again, which a session therefore records: done, or refused by
 * its condition or its content.  False for what passes (overload, full disk, deadline, no service). */
bool status_is_deterministic(int status);
#endif
