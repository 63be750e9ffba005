/*
 * timetext.h - times as the file holds them, `YYYY-MM-DD HH:MM:SS.mmm` in UTC, from and to Unix milliseconds.
 */
#ifndef STORAGE_TIMETEXT_H
#define STORAGE_TIMETEXT_H
#include "proto/span.h"

#include <stdint.h>

enum { TIMETEXT_BYTES = 23 };

/* Writes 23 characters and a NUL; years outside 0..9999 are clamped. */
void timetext_format(int64_t wall_ms, char out[TIMETEXT_BYTES + 1]);
/* Reads that, also without a fraction, with a `T`, and with `Z` or an offset behind it; 0 for anything else. */
int64_t timetext_parse(struct span text);
#endif
