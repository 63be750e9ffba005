/*
 * log.h - notices of the library go to the log hook of the handle whose call runs on this thread.
 *
 * A connection outlives the handle that opened it, so it cannot keep that handle's hook.
 * Thread: any.
 */
#ifndef CLIENT_LOG_H
#define CLIENT_LOG_H
#include "proto/failure.h"

extern const struct log_sink caller_log;

/* Makes `sink` this thread's; gives the one before, for log_leave. */
struct log_sink log_enter(struct log_sink sink);
void log_leave(struct log_sink before);
#endif
