/* request_in.c - public requests, of any struct_size, as the library's own. */
#include "client/request_in.h"
#include "proto/clock.h"
#include "proto/limits.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { STRUCT_MOST_BYTES = 4096 };

int struct_read(const void *from, uint32_t struct_size, size_t least_bytes, void *to, size_t known_bytes)
{
    const unsigned char *bytes = from;

    if (struct_size < least_bytes || struct_size > STRUCT_MOST_BYTES)
        return STATUS_INVALID_ARGUMENT;
    for (size_t i = known_bytes; i < struct_size; i++)
        if (bytes[i])
            return STATUS_UNSUPPORTED;
    memset(to, 0, known_bytes);
    memcpy(to, from, struct_size < known_bytes ? struct_size : known_bytes);
    return STATUS_OK;
}

static int read_struct(const stigstore_request *from, stigstore_request *to, const char **why)
{
    uint32_t struct_size;
    int status;

    memcpy(&struct_size, from, sizeof(struct_size));
    status = struct_read(from, struct_size, offsetof(stigstore_request, kind), to, sizeof(*to));
    if (status == STATUS_INVALID_ARGUMENT)
        *why = "struct_size is not set: begin a request with STIGSTORE_REQUEST";
    if (status == STATUS_UNSUPPORTED)
        *why = "the request uses a field that this version of the library does not know";
    return status;
}

static struct span from_bytes(stigstore_bytes bytes)
{
    return (struct span){bytes.data, bytes.size};
}

static void convert(const stigstore_request *from, struct request *to)
{
    *to = (struct request){
        .operation = from->operation,
        .condition = from->condition,
        .flags = from->flags,
        .limit = from->limit,
        .kind = from_bytes(from->kind),
        .id = from_bytes(from->id),
        .data = from_bytes(from->data),
        .hash = from_bytes(from->hash),
        .tag = from_bytes(from->tag),
        .after = from_bytes(from->after),
        .idempotency_key = from_bytes(from->idempotency_key),
        .idempotency_fingerprint = from_bytes(from->idempotency_fingerprint),
        .if_revision = from->if_revision,
        .created_ms = from->created_ms,
        .updated_ms = from->updated_ms,
        .idempotency_retention_s = from->idempotency_retention_s,
        .deadline_ns = INT64_MAX,
    };
}

static int check_public(const stigstore_request *request, const char **why)
{
    if (operation_is_wire(request->operation)) {
        *why = "unknown operation";
        return STATUS_INVALID_ARGUMENT;
    }
    if (request->flags & ~(uint32_t)REQUEST_FLAGS_PUBLIC) {
        *why = "unknown flag";
        return STATUS_INVALID_ARGUMENT;
    }
    return STATUS_OK;
}

static int read_part(const stigstore_request *from, struct request *to, const char **why)
{
    stigstore_request part;
    int status = read_struct(from, &part, why);

    if (status == STATUS_OK)
        status = check_public(&part, why);
    if (status == STATUS_OK && part.part_count) {
        *why = "a part has parts";
        status = STATUS_INVALID_ARGUMENT;
    }
    if (status == STATUS_OK)
        convert(&part, to);
    return status;
}

/* Parts lie as far apart as the caller's struct is long. */
static int read_parts(const stigstore_request *whole, struct request_in *in, const char **why)
{
    const unsigned char *at = (const unsigned char *)whole->parts;
    uint32_t stride;
    int status = STATUS_OK;

    *why = "there are parts without bytes, or more than 1024";
    if (!at || whole->part_count > LIMIT_PARTS)
        return STATUS_INVALID_ARGUMENT;
    in->parts = calloc(whole->part_count, sizeof(*in->parts));
    *why = status_text(STATUS_NO_MEMORY);
    if (!in->parts)
        return STATUS_NO_MEMORY;
    memcpy(&stride, at, sizeof(stride));
    for (size_t i = 0; i < whole->part_count && status == STATUS_OK; i++, at += stride) {
        uint32_t size;
        memcpy(&size, at, sizeof(size));
        *why = "the parts differ in struct_size";
        status = size == stride ? read_part((const stigstore_request *)(const void *)at, &in->parts[i], why)
                                : STATUS_INVALID_ARGUMENT;
    }
    in->request.parts = in->parts;
    in->request.part_count = whole->part_count;
    return status;
}

int request_in_read(const stigstore_request *from, uint32_t default_timeout_ms, struct request_in *in, const char **why)
{
    stigstore_request whole;
    int status;

    *in = (struct request_in){.parts = NULL};
    *why = "there is no request";
    if (!from)
        return STATUS_INVALID_ARGUMENT;
    status = read_struct(from, &whole, why);
    if (status == STATUS_OK)
        status = check_public(&whole, why);
    if (status != STATUS_OK)
        return status;
    convert(&whole, &in->request);
    in->timeout_ms = whole.timeout_ms ? whole.timeout_ms : default_timeout_ms;
    in->request.deadline_ns = clock_deadline_ns(in->timeout_ms);
    if (whole.part_count)
        status = read_parts(&whole, in, why);
    return status;
}

void request_in_free(struct request_in *in)
{
    free(in->parts);
    in->parts = NULL;
}

/* ---- copies for calls that outlive their caller's memory ---- */

size_t request_copy_bytes(const struct request *request)
{
    return request->part_count * sizeof(*request) + request_bytes(request);
}

static struct span put(struct span from, unsigned char **at)
{
    struct span to = {from.data ? *at : NULL, from.size};

    if (from.data)
        memcpy(*at, from.data, from.size);
    *at += from.size;
    return to;
}

static void copy_one(struct request *to, const struct request *from, unsigned char **at)
{
    *to = *from;
    to->kind = put(from->kind, at);
    to->id = put(from->id, at);
    to->data = put(from->data, at);
    to->hash = put(from->hash, at);
    to->tag = put(from->tag, at);
    to->after = put(from->after, at);
    to->idempotency_key = put(from->idempotency_key, at);
    to->idempotency_fingerprint = put(from->idempotency_fingerprint, at);
}

void request_copy(struct request *to, const struct request *from, void *memory)
{
    struct request *parts = memory;
    unsigned char *at = (unsigned char *)(parts + from->part_count);

    copy_one(to, from, &at);
    for (size_t i = 0; i < from->part_count; i++)
        copy_one(&parts[i], &from->parts[i], &at);
    to->parts = from->part_count ? parts : NULL;
}
