/*
 * broken.c - loaded before a broker's libraries: the part of the system that $STIGSTORE_BROKEN names does not work.
 *
 *   handler     ZAP's endpoint cannot be bound
 *   enforce     libzmq does not know the option by which a missing handler lets nobody in
 *   forgotten   libzmq takes that option and does not keep it
 *   admit       each key gets a 200 from the handler
 *   deaf        no change of the folder of keys is told
 *   sticky      connections cannot be ended
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <zmq.h>

enum { ZAP_ENFORCE_DOMAIN = 93 };

static bool broken(const char *part)
{
    const char *named = getenv("STIGSTORE_BROKEN");
    return named && strcmp(named, part) == 0;
}

/* ISO C has no way from an object's address to a function's. */
static void find(const char *name, void *function)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol)
        abort();
    memcpy(function, &symbol, sizeof(symbol));
}

int zmq_bind(void *socket, const char *address)
{
    int (*real)(void *, const char *);
    find("zmq_bind", &real);
    if (broken("handler") && strcmp(address, "inproc://zeromq.zap.01") == 0) {
        errno = EADDRINUSE;
        return -1;
    }
    return real(socket, address);
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t size)
{
    int (*real)(void *, int, const void *, size_t);
    find("zmq_setsockopt", &real);
    if (option == ZAP_ENFORCE_DOMAIN && broken("enforce")) {
        errno = EINVAL;
        return -1;
    }
    return option == ZAP_ENFORCE_DOMAIN && broken("forgotten") ? 0 : real(socket, option, value, size);
}

int zmq_send(void *socket, const void *bytes, size_t size, int flags)
{
    int (*real)(void *, const void *, size_t, int);
    find("zmq_send", &real);
    bool refuses = size == 3 && memcmp(bytes, "400", 3) == 0;
    return real(socket, refuses && broken("admit") ? "200" : bytes, size, flags);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    int (*real)(int, const char *, uint32_t);
    find("inotify_add_watch", &real);
    return broken("deaf") ? 1 : real(fd, path, mask);
}

int shutdown(int fd, int how)
{
    int (*real)(int, int);
    find("shutdown", &real);
    return broken("sticky") ? -1 : real(fd, how);
}
