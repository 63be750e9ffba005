/*
 * number.c - numbers on the command line and in settings.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>

bool cli_number(const char *text, uint64_t most, uint64_t *number)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *number = value;
    return errno == 0 && *end == '\0' && value <= most;
}

bool cli_real(const char *text, double most, double *number)
{
    char *end = NULL;
    *number = strtod(text, &end);
    return end != text && *end == '\0' && *number > 0 && *number <= most;
}
