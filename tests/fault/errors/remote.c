/*
 * remote.c - the stories through the broker of a service, whose client has no memory: only allocations fail.
 *
 * Control wrong-status: an answer that there was no memory to decode is called damaged.
 */
#include "tests/fault/errors/errors.h"

#include "proto/body.h"
#include "proto/status.h"
#include "tests/fault/wrap.h"
#include "tests/support/service.h"

#include <stdio.h>
#include <stdlib.h>

int control_decode_replies(const void *bytes, size_t size, struct arena *arena, const struct reply **replies,
                           size_t *count) INSTEAD_OF(body_decode_replies);
int real_decode_replies(const void *bytes, size_t size, struct arena *arena, const struct reply **replies,
                        size_t *count) REAL(body_decode_replies);

static struct service service;

int control_decode_replies(const void *bytes, size_t size, struct arena *arena, const struct reply **replies,
                           size_t *count)
{
    int status = real_decode_replies(bytes, size, arena, replies, count);

    return status == STATUS_NO_MEMORY && errors_is_control("wrong-status") ? STATUS_CORRUPT : status;
}

static void stop(void)
{
    service_free(&service);
}

/* An empty store. */
static void begin(void)
{
    if (service.folder)
        stop();
    else
        atexit(stop);
    service = service_start(NULL, NULL);
    errors.is_remote = true;
    snprintf(errors.path, sizeof errors.path, "%s?reads=broker", service.endpoint);
}

const struct story_book story_books[] = {{remote_stories, begin, true}, {NULL, NULL, false}};
