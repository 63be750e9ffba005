/*
 * log.c - notices of the library go to the log hook of the handle whose call runs on this thread.
 */
#include "client/log.h"

#include <stddef.h>

static _Thread_local struct log_sink current;

static void write_to_caller(void *context, int level, const char *line)
{
    (void)context;
    if (current.write)
        current.write(current.context, level, line);
}

const struct log_sink caller_log = {write_to_caller, NULL};

struct log_sink log_enter(struct log_sink sink)
{
    struct log_sink before = current;
    current = sink;
    return before;
}

void log_leave(struct log_sink before)
{
    current = before;
}
