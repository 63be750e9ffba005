/*
 * admission.c - accept4() with a reserve.
 */
#include "broker/admission.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { OTHER_DESCRIPTORS = 256 };

static atomic_int reserve_fd = -1;
static atomic_uint clients_in;
static atomic_ullong turned_away, displaced;
static uint32_t clients_limit;

/* By descriptor: the how-manieth connection it is when it came over tcp and has said nothing, else 0. One that ended is
 * left as it is: accept4() says when the descriptor is used again, and any other use of it is no socket. */
static atomic_ullong *silent;
static size_t silent_room;
static uint64_t arrivals;

bool admission_start(uint32_t clients_most)
{
    struct rlimit limit;
    clients_limit = clients_most;
    silent_room = clients_most + OTHER_DESCRIPTORS;
    silent = calloc(silent_room, sizeof *silent);
    rlim_t wanted = clients_most + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    atomic_store(&reserve_fd, open("/dev/null", O_RDONLY | O_CLOEXEC));
    return atomic_load(&reserve_fd) >= 0 && silent;
}

static bool has_place(int fd)
{
    return fd >= 0 && (size_t)fd < silent_room;
}

void admission_heard(int fd)
{
    if (has_place(fd))
        atomic_store(&silent[fd], 0);
}

void admission_leave(void)
{
    unsigned in = atomic_load(&clients_in);
    while (in > 0 && !atomic_compare_exchange_weak(&clients_in, &in, in - 1)) {
    }
}

uint64_t admission_refused(void)
{
    return atomic_load(&turned_away);
}

uint64_t admission_displaced(void)
{
    return atomic_load(&displaced);
}

static bool is_far(int listener)
{
    int family = AF_UNIX;
    socklen_t size = sizeof family;
    return getsockopt(listener, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 && family != AF_UNIX;
}

static bool is_of_workers(int listener)
{
    static const char suffix[] = ".workers";
    struct sockaddr_un address = {0};
    socklen_t size = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &size) != 0 || address.sun_family != AF_UNIX)
        return false;
    size_t length = strnlen(address.sun_path, sizeof address.sun_path);
    return length >= sizeof suffix - 1 &&
           memcmp(address.sun_path + length - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0;
}

static int system_accept(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
    return (int)syscall(SYS_accept4, listener, address, size, flags);
}

/* ECONNABORTED is what libzmq takes for "this one went away". */
static int turn_away(int fd)
{
    if (fd >= 0) {
        close(fd);
        atomic_fetch_add(&turned_away, 1);
    }
    errno = ECONNABORTED;
    return -1;
}

static void note_arrival(int fd, bool far)
{
    if (has_place(fd))
        atomic_store(&silent[fd], far ? ++arrivals : 0);
}

static int longest_silent(unsigned long long *since)
{
    int found = -1;
    for (size_t fd = 0; fd < silent_room; fd++) {
        unsigned long long arrival = atomic_load(&silent[fd]);
        if (arrival && (found < 0 || arrival < *since)) {
            found = (int)fd;
            *since = arrival;
        }
    }
    return found;
}

/* libzmq finds it at its end and closes it. False: there is none. */
static bool displace_one(void)
{
    unsigned long long since = 0;
    for (int fd; (fd = longest_silent(&since)) >= 0;) {
        bool is_silent = atomic_compare_exchange_strong(&silent[fd], &since, 0);
        if (is_silent && shutdown(fd, SHUT_RDWR) == 0) {
            atomic_fetch_add(&displaced, 1);
            return true;
        }
    }
    return false;
}

static int turn_away_with_reserve(int listener)
{
    displace_one();
    int reserve = atomic_exchange(&reserve_fd, -1);
    if (reserve >= 0)
        close(reserve);
    int fd = system_accept(listener, NULL, NULL, SOCK_CLOEXEC);
    turn_away(fd);
    atomic_store(&reserve_fd, open("/dev/null", O_RDONLY | O_CLOEXEC));
    errno = ECONNABORTED;
    return -1;
}

/* glibc declares accept4 with a union that ISO C does not have: the same function under another name. */
__attribute__((visibility("default"))) int admission_accept(int listener, struct sockaddr *address, socklen_t *size,
                                                            int flags) __asm__("accept4");

int admission_accept(int listener, struct sockaddr *address, socklen_t *size, int flags)
{
    int fd = system_accept(listener, address, size, flags);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
        return turn_away_with_reserve(listener);
    if (fd < 0)
        return fd;
    note_arrival(fd, false);
    if (is_of_workers(listener))
        return fd;
    if (atomic_fetch_add(&clients_in, 1) >= clients_limit && !displace_one()) {
        admission_leave();
        return turn_away(fd);
    }
    note_arrival(fd, is_far(listener));
    return fd;
}
