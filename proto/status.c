/*
 * status.c - names, texts and columns of every status, made from the one table in status_map.h.
 */
#include "proto/status.h"

#include <stddef.h>

struct row {
    const char *name;
    const char *text;
    enum status_applied applied;
    enum status_advice advice;
};

enum { WIRE_BASE = 128 };

static const struct row public_rows[] = {
#define ROW(name, number, applied, advice, text) \
    [number] = {#name, text, STATUS_APPLIED_##applied, STATUS_ADVICE_##advice},
    STIGSTORE_STATUS_MAP(ROW)
#undef ROW
};

static const struct row wire_rows[] = {
#define ROW(name, number, text) [(number)-WIRE_BASE] = {#name, text, STATUS_APPLIED_NO, STATUS_ADVICE_LATER},
    WIRE_STATUS_MAP(ROW)
#undef ROW
};

static const struct row *find_row(int status)
{
    static const struct row unknown = {"UNKNOWN", "unknown status", STATUS_APPLIED_MAYBE, STATUS_ADVICE_READ_AGAIN};
    const struct row *row = NULL;

    if (status >= 0 && (size_t)status < sizeof public_rows / sizeof *public_rows)
        row = &public_rows[status];
    else if (status >= WIRE_BASE && (size_t)(status - WIRE_BASE) < sizeof wire_rows / sizeof *wire_rows)
        row = &wire_rows[status - WIRE_BASE];
    return row && row->name ? row : &unknown;
}

const char *status_name(int status)
{
    return find_row(status)->name;
}

const char *status_text(int status)
{
    return find_row(status)->text;
}

enum status_applied status_was_applied(int status)
{
    return find_row(status)->applied;
}

enum status_advice status_what_to_do(int status)
{
    return find_row(status)->advice;
}

bool status_is_public(int status)
{
    return status >= 0 && (size_t)status < sizeof public_rows / sizeof *public_rows && public_rows[status].name;
}

bool status_is_deterministic(int status)
{
    switch (status) {
    case STATUS_OK:
    case STATUS_NOT_FOUND:
    case STATUS_CONFLICT:
    case STATUS_INVALID_ARGUMENT:
    case STATUS_TOO_LARGE:
    case STATUS_CANCELLED: /* only a SKIP ends so at the writer, and a SKIP settles its number */
    case STATUS_READ_ONLY:
    case STATUS_PERMISSION_DENIED:
    case STATUS_IDEMPOTENCY_MISMATCH:
    case STATUS_UNSUPPORTED:
        return true;
    default:
        return false;
    }
}
