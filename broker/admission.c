/*
 * admission.c - accept4() with a reserve.
 */
#include "broker/admission.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { OTHER_DESCRIPTORS = 256 };

static atomic_int reserve_fd = -1;
static atomic_uint clients_in;
static atomic_ullong turned_away;
static uint32_t clients_limit;

bool admission_start(uint32_t clients_most)
{
    struct rlimit limit;
    clients_limit = clients_most;
    rlim_t wanted = clients_most + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    atomic_store(&reserve_fd, open("/dev/null", O_RDONLY | O_CLOEXEC));
    return atomic_load(&reserve_fd) >= 0;
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

static int turn_away_with_reserve(int listener)
{
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
    if (fd < 0 || is_of_workers(listener))
        return fd;
    if (atomic_fetch_add(&clients_in, 1) >= clients_limit) {
        admission_leave();
        return turn_away(fd);
    }
    return fd;
}
