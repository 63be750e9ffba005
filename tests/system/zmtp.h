/*
 * zmtp.h - a peer that speaks ZMTP 3.0 over a bare socket, so that it may also misbehave.
 */
#ifndef TESTS_SYSTEM_ZMTP_H
#define TESTS_SYSTEM_ZMTP_H
#include <stdbool.h>
#include <stddef.h>

/* Connects to "ipc://PATH" and says nothing; -1: nobody listens. */
int zmtp_open(const char *endpoint);
/* Shakes hands as a DEALER, too; -1: it was not let in. */
int zmtp_connect(const char *endpoint);
/* The same by a routing id of its choice, of up to 200 bytes. */
int zmtp_connect_as(const char *endpoint, const void *id, size_t id_bytes);
/* One frame; false when the connection has gone. */
bool zmtp_send(int fd, const void *bytes, size_t size, bool more);
#endif
