/*
 * url.h - what a caller named to be opened: a path or a service's endpoint.
 *
 * Thread: any.
 */
#ifndef CLIENT_URL_H
#define CLIENT_URL_H
#include "proto/failure.h"

enum url_kind { URL_PATH, URL_IPC, URL_TCP };

struct url {
    enum url_kind kind;
    char *target; /* a path as given, or "ipc://P", "tcp://H:P" without a query; from malloc */
    bool reads_through_broker;
};

/* PATH, sqlite:PATH, ipc://PATH[?reads=broker], tcp://HOST:PORT. INVALID_ARGUMENT, UNSUPPORTED (another scheme),
 * NO_MEMORY. */
int url_parse(const char *text, struct url *url, struct failure *failure);
void url_free(struct url *url);
#endif
