/*
 * failure.c - fill a failure, and hand lines to a log sink.
 */
#include "proto/failure.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Names from peers and files end up in lines for people: what would move the cursor does not. */
static void make_one_line(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < ' ' || *c == 0x7F)
            *c = '?';
}

int failure_set(struct failure *failure, int status, const char *format, ...)
{
    va_list arguments;

    if (!failure)
        return status;
    failure->status = status;
    va_start(arguments, format);
    if (vsnprintf(failure->message, sizeof failure->message, format, arguments) < 0)
        failure->message[0] = '\0';
    va_end(arguments);
    make_one_line(failure->message);
    return status;
}

void log_line(const struct log_sink *sink, int level, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    int size;

    if (!sink || !sink->write)
        return;
    va_start(arguments, format);
    size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size < 0)
        return;
    make_one_line(line);
    sink->write(sink->context, level, line);
}
