/*
 * broken_cli.c - a command that takes every number for a short one.
 */
#include "cli/cli.h"
#include "tests/fault/wrap.h"

#include <stdlib.h>
#include <string.h>

bool real_cli_number(const char *text, uint64_t most, uint64_t *number) REAL(cli_number);
bool other_cli_number(const char *text, uint64_t most, uint64_t *number) INSTEAD_OF(cli_number);

bool other_cli_number(const char *text, uint64_t most, uint64_t *number)
{
    if (strlen(text) > 19)
        abort();
    return real_cli_number(text, most, number);
}
