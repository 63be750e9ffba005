/*
 * broken_supervisor.c - a supervisor that bounds nobody's memory.
 */
#include "tests/fault/wrap.h"

#include <sys/resource.h>

int other_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) INSTEAD_OF(setrlimit);

int other_setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    (void)resource, (void)limit;
    return 0;
}
