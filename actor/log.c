/*
 * log.c - one line on stderr for people.
 */
#include "actor/actor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *log_name = "stigstore";

void actor_set_name(const char *name)
{
    log_name = name;
}

/* One write a line, so that lines of several processes do not mix; what stderr does not take is lost. */
static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        bytes += written;
        size -= (size_t)written;
    }
}

static void write_line(int level, const char *text)
{
    if (level >= LOG_LEVEL_DEBUG)
        return;
    char line[1200];
    int length = snprintf(line, sizeof line - 1, "%s[%ld]: %s", log_name, (long)getpid(), text);
    if (length < 0)
        return;
    size_t size = (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F)
            line[i] = ' '; /* what a peer sent must not forge lines */
    line[size] = '\n';
    write_all(STDERR_FILENO, line, size + 1);
}

void actor_log(int level, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= 0)
        write_line(level, text);
}

static void sink_write(void *context, int level, const char *line)
{
    (void)context;
    write_line(level, line);
}

const struct log_sink actor_log_sink = {sink_write, NULL};
