/*
 * admission.h - connections let in: at most so many clients, and none that the process has no descriptor for.
 *
 * libzmq ends the process when accept() on an ipc listener says EMFILE. This defines accept4() in the program, which
 * libzmq then calls: it gives up a reserve descriptor to take and close what cannot be served.
 *
 * Who has not shown a key yet must not keep out those with one, nor the clients of this host: when all places are
 * taken, the connection over tcp that has been silent for longest ends and its place goes to the one that comes.
 *
 * Owns: the reserve descriptor; when each silent connection came.  Thread: accept4 on the one I/O thread, which also
 * closes connections; the rest on the main one.
 */
#ifndef BROKER_ADMISSION_H
#define BROKER_ADMISSION_H
#include <stdbool.h>
#include <stdint.h>

/* Before the first bind. Raises the limit on descriptors as far as it may, for `clients_most` connections. */
bool admission_start(uint32_t clients_most);
/* A message came by the connection, so its key is known: it keeps its place. */
void admission_heard(int fd);
/* A client's connection has ended. */
void admission_leave(void);
/* Connections turned away; those that lost their place. */
uint64_t admission_refused(void);
uint64_t admission_displaced(void);
#endif
