/*
 * request_in.h - public requests, of any struct_size, as the library's own.
 */
#ifndef CLIENT_REQUEST_IN_H
#define CLIENT_REQUEST_IN_H
#include "client/stigstore.h"
#include "proto/request.h"

struct request_in {
    struct request request; /* its spans are the caller's */
    uint32_t timeout_ms;    /* never 0 */
    struct request *parts;  /* on the heap */
};

/* OK; INVALID_ARGUMENT, UNSUPPORTED (a field of a later version is used) or NO_MEMORY with *why, a static line.
 * The deadline counts from now. */
int request_in_read(const stigstore_request *from, uint32_t default_timeout_ms, struct request_in *in,
                    const char **why);
void request_in_free(struct request_in *in);

/* A copy of `from` and of all that it points to: the latter in `memory`, which has request_copy_bytes bytes and is
 * aligned for any type. */
size_t request_copy_bytes(const struct request *request);
void request_copy(struct request *to, const struct request *from, void *memory);

/* The part of a caller's struct that this library knows, the rest zero: INVALID_ARGUMENT when struct_size is too small
 * to be true, UNSUPPORTED when what lies behind `known_bytes` is not all zero. */
int struct_read(const void *from, uint32_t struct_size, size_t least_bytes, void *to, size_t known_bytes);
#endif
