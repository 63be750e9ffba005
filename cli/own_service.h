/*
 * own_service.h - a temporary folder with a store in it, and a service of its own when one is wanted.
 *
 * Owns: the folder and the process; both go with own_service_stop.  Thread: the main one.
 */
#ifndef CLI_OWN_SERVICE_H
#define CLI_OWN_SERVICE_H
#include <stdbool.h>
#include <sys/types.h>

struct own_service {
    char folder[64], database[96], endpoint[96]; /* endpoint: ipc://... */
    pid_t pid;                                   /* 0: not started */
};

/* Makes the folder, in $TMPDIR or /tmp, and chooses the names; says why it could not. */
bool own_service_prepare(struct own_service *service, const char *name);
/* Starts `stigstore serve` with further options (NULL: none, else NULL-terminated) and waits until it is ready. */
bool own_service_start(struct own_service *service, const char *const *more);
/* Ends the service and removes the folder with all that is in it. False: it did not end in order. */
bool own_service_stop(struct own_service *service);
#endif
