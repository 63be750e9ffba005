/*
 * proto_request_support.h - requests that are as small as they may be, and their judgement.
 */
#ifndef TESTS_PROTO_REQUEST_SUPPORT_H
#define TESTS_PROTO_REQUEST_SUPPORT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/limits.h"
#include "proto/request.h"

#include <stdlib.h>

static const struct request one_get = {.operation = OPERATION_GET, .kind = {"k", 1}, .id = {"i", 1}};

/* The least that each operation needs. */
static inline struct request make(uint32_t operation)
{
    static const struct request get = {.operation = OPERATION_GET, .kind = {"k", 1}, .id = {"i", 1}};
    static const struct request save = {.operation = OPERATION_SAVE, .kind = {"k", 1}, .id = {"i", 1}};
    struct request request = {.operation = operation};

    switch (operation) {
    case OPERATION_GET_MANY:
    case OPERATION_TRANSACT:
        request.parts = operation == OPERATION_TRANSACT ? &save : &get;
        request.part_count = 1;
        break;
    case OPERATION_KEY_LOOKUP:
        request.idempotency_key = span_text("key");
        break;
    case OPERATION_KINDS:
    case OPERATION_SKIP:
    case OPERATION_CLOSE_SESSION:
        break;
    default:
        request.kind = span_text("k");
        if (operation != OPERATION_DELETE_KIND && operation != OPERATION_AUDIT_SCAN)
            request.id = span_text("i");
    }
    return request;
}

static inline int check(const struct request *request)
{
    const char *why = NULL;
    int status = request_check(request, 0, &why);

    assert_non_null(why);
    assert_true((status == STATUS_OK) == (why[0] == '\0'));
    return status;
}

static inline void accept(const struct request *request)
{
    const char *why;
    if (request_check(request, 0, &why) != STATUS_OK)
        fail_msg("%s: %s", operation_name(request->operation), why);
}

static inline void refuse(const struct request *request)
{
    assert_int_equal(check(request), STATUS_INVALID_ARGUMENT);
}
#endif
