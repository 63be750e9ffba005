/* url.c - what a caller named to be opened. */
#include "client/url.h"
#include "proto/limits.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* "name://": a path may hold a colon, but hardly this. */
static bool has_scheme(const char *text)
{
    const char *at = text;

    while (isalnum((unsigned char)*at) || *at == '+' || *at == '-' || *at == '.')
        at++;
    return at > text && begins_with(at, "://");
}

static int take_target(struct url *url, const char *from, size_t length, struct failure *failure)
{
    url->target = strndup(from, length);
    return url->target ? STATUS_OK : failure_set(failure, STATUS_NO_MEMORY, "%s", status_text(STATUS_NO_MEMORY));
}

static int parse_path(const char *path, struct url *url, struct failure *failure)
{
    if (!path[0])
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "the path is empty");
    url->kind = URL_PATH;
    return take_target(url, path, strlen(path), failure);
}

static int parse_query(const char *query, struct url *url, struct failure *failure)
{
    if (!query || !query[1])
        return STATUS_OK;
    if (strcmp(query, "?reads=broker") == 0)
        url->reads_through_broker = true;
    else if (strcmp(query, "?reads=local") != 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "`%s` in a URL: only reads=broker is known", query + 1);
    return STATUS_OK;
}

static int parse_ipc(const char *text, struct url *url, struct failure *failure)
{
    const char *query = strchr(text, '?');
    size_t length = query ? (size_t)(query - text) : strlen(text);
    size_t path_bytes = length - strlen("ipc://");
    int status = parse_query(query, url, failure);

    if (status != STATUS_OK)
        return status;
    if (path_bytes == 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "ipc:// needs the path of a socket");
    if (path_bytes > LIMIT_IPC_PATH_BYTES)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "the socket's path is longer than %d bytes",
                           LIMIT_IPC_PATH_BYTES);
    url->kind = URL_IPC;
    return take_target(url, text, length, failure);
}

static int parse_tcp(const char *text, struct url *url, struct failure *failure)
{
    const char *query = strchr(text, '?');
    size_t length = query ? (size_t)(query - text) : strlen(text);
    const char *port = memrchr(text, ':', length);
    int status = parse_query(query, url, failure);

    if (status != STATUS_OK)
        return status;
    if (port < text + strlen("tcp://") + 1 || !isdigit((unsigned char)port[1]))
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "tcp:// needs HOST:PORT");
    url->kind = URL_TCP;
    url->reads_through_broker = true;
    return take_target(url, text, length, failure);
}

int url_parse(const char *text, struct url *url, struct failure *failure)
{
    *url = (struct url){.target = NULL};
    if (begins_with(text, "ipc://"))
        return parse_ipc(text, url, failure);
    if (begins_with(text, "tcp://"))
        return parse_tcp(text, url, failure);
    if (begins_with(text, "sqlite:"))
        return parse_path(text + strlen("sqlite:"), url, failure);
    if (has_scheme(text))
        return failure_set(failure, STATUS_UNSUPPORTED,
                           "%s: a store is a PATH, sqlite:PATH, ipc://PATH or tcp://HOST:PORT", text);
    return parse_path(text, url, failure);
}

void url_free(struct url *url)
{
    free(url->target);
    url->target = NULL;
}
