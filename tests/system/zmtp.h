/*
 * zmtp.h - a peer that speaks ZMTP 3.0 over a bare socket, so that it may also misbehave.
 */
#ifndef TESTS_SYSTEM_ZMTP_H
#define TESTS_SYSTEM_ZMTP_H
#include <stdbool.h>
#include <stddef.h>

/* Connects to "ipc://PATH" and shakes hands as a DEALER; -1: it was not let in. */
int zmtp_connect(const char *endpoint);
/* One frame; false when the connection has gone. */
bool zmtp_send(int fd, const void *bytes, size_t size, bool more);
#endif
