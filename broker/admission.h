/*
 * admission.h - connections let in: at most so many clients, and none that the process has no descriptor for.
 *
 * libzmq ends the process when accept() on an ipc listener says EMFILE. This defines accept4() in the program, which
 * libzmq then calls: it gives up a reserve descriptor to take and close what cannot be served.
 *
 * Owns: the reserve descriptor.  Thread: accept4 on I/O threads, the rest on the main one.
 */
#ifndef BROKER_ADMISSION_H
#define BROKER_ADMISSION_H
#include <stdbool.h>
#include <stdint.h>

/* Before the first bind. Raises the limit on descriptors as far as it may, for `clients_most` connections. */
bool admission_start(uint32_t clients_most);
/* A client's connection has ended. */
void admission_leave(void);
/* Connections turned away. */
uint64_t admission_refused(void);
#endif
