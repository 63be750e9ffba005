/*
 * failure.h - why something could not be done: a status and one line for people.
 */
#ifndef PROTO_FAILURE_H
#define PROTO_FAILURE_H
#include "proto/status.h"

struct failure {
    int status;
    char message[512];
};

/* Fills both and returns `status`, so that a function can end with it. `failure` may be NULL. */
int failure_set(struct failure *failure, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Where the library's notices go: the caller's hook, or an actor's log. `line` has no newline. */
enum log_level { LOG_LEVEL_ERROR = 1, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_DEBUG };
struct log_sink {
    void (*write)(void *context, int level, const char *line); /* NULL: nowhere */
    void *context;
};
void log_line(const struct log_sink *sink, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
