/*
 * service.h - `stigstore serve` in a folder of its own, started by its ready handshake.
 */
#ifndef TESTS_SUPPORT_SERVICE_H
#define TESTS_SUPPORT_SERVICE_H
#include <stdbool.h>
#include <sys/types.h>

struct service {
    char *folder;
    bool owns_folder;
    char database[128];
    char endpoint[128]; /* ipc://... */
    char url[160];      /* the same, or with ?reads=broker appended by the test */
    pid_t pid;
};

/* `folder` NULL: a new one. `more`: further options of serve, NULL-terminated, or NULL. Returns when it is ready. */
struct service service_start(const char *folder, const char *const *more);
/* Starts it anew on the same folder. */
void service_restart(struct service *service);
/* SIGTERM, waits; the exit code. */
int service_stop(struct service *service);
/* Stops it if it runs and removes the folder. */
void service_free(struct service *service);

/* The pid of its only (or first) child that runs `program`, waiting until there is one other than `not_this`. */
pid_t service_actor(const struct service *service, const char *program, pid_t not_this);
#endif
