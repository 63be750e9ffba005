/*
 * zmtp.c - greeting, READY and frames of ZMTP 3.0.
 */
#include "tests/system/zmtp.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING_BYTES = 64, PATIENCE_S = 10, FLAG_MORE = 1, FLAG_LONG = 2, FLAG_COMMAND = 4 };

static bool send_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        at += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool receive_all(int fd, void *bytes, size_t size)
{
    return recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static bool shake_hands(int fd, const void *id, size_t id_bytes)
{
    static const uint8_t greeting[GREETING_BYTES] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    static const char ready[] = "\x05READY\x0bSocket-Type\0\0\0\x06"
                                "DEALER";
    static const char identity[] = "\x08Identity\0\0"; /* two of four bytes of the length */
    uint8_t theirs[GREETING_BYTES], head[2], command[255];
    const uint8_t name_bytes = sizeof(identity) - 1, size[2] = {(uint8_t)(id_bytes >> 8), (uint8_t)id_bytes};
    const uint8_t own_head[2] = {FLAG_COMMAND,
                                 (uint8_t)(sizeof(ready) - 1 + (id_bytes ? name_bytes + 2 + id_bytes : 0))};
    return send_all(fd, greeting, sizeof(greeting)) && receive_all(fd, theirs, sizeof(theirs)) &&
           send_all(fd, own_head, sizeof(own_head)) && send_all(fd, ready, sizeof(ready) - 1) &&
           (id_bytes == 0 ||
            (send_all(fd, identity, name_bytes) && send_all(fd, size, 2) && send_all(fd, id, id_bytes))) &&
           receive_all(fd, head, sizeof(head)) && receive_all(fd, command, head[1]);
}

int zmtp_open(const char *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, endpoint + strlen("ipc://"), sizeof(address.sun_path) - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

int zmtp_connect_as(const char *endpoint, const void *id, size_t id_bytes)
{
    int fd = zmtp_open(endpoint);
    if (fd < 0 || shake_hands(fd, id, id_bytes))
        return fd;
    close(fd);
    return -1;
}

int zmtp_connect(const char *endpoint)
{
    return zmtp_connect_as(endpoint, NULL, 0);
}

bool zmtp_send(int fd, const void *bytes, size_t size, bool more)
{
    uint8_t head[9] = {(uint8_t)(FLAG_LONG | (more ? FLAG_MORE : 0))};
    for (unsigned i = 0; i < 8; i++)
        head[8 - i] = (uint8_t)((uint64_t)size >> (8 * i));
    return send_all(fd, head, sizeof(head)) && send_all(fd, bytes, size);
}
