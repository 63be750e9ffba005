/*
 * crush.c - connections that say nothing.
 */
#include "tests/gate/crush.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OTHER_DESCRIPTORS = 1000 };

bool crush_is_possible(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < CRUSH_PEERS + OTHER_DESCRIPTORS)
        return false;
    limit.rlim_cur = CRUSH_PEERS + OTHER_DESCRIPTORS;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int crush_connect(const struct gate *gate)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons((uint16_t)strtoul(strrchr(gate->url, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void crush_begin(struct crush *crush, const struct gate *gate)
{
    for (size_t i = 0; i < CRUSH_PEERS; i++)
        crush->fds[i] = crush_connect(gate);
}

void crush_end(struct crush *crush)
{
    for (size_t i = 0; i < CRUSH_PEERS; i++)
        close(crush->fds[i]);
}
