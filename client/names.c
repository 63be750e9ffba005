/*
 * names.c - the store's operations by name, each a thin function over stigstore_call; statuses; version.
 */
#include "client/stigstore.h"
#include "proto/span.h"
#include "proto/status.h"

#include <stdlib.h>

int stigstore_save_resource(stigstore *store, stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data,
                            stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = kind, .id = id, .data = data},
                          result);
}

int stigstore_get_resource(stigstore *store, stigstore_bytes kind, stigstore_bytes id, stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(GET), .kind = kind, .id = id}, result);
}

int stigstore_list_resources(stigstore *store, stigstore_bytes kind, stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(LIST), .kind = kind}, result);
}

int stigstore_delete_resource(stigstore *store, stigstore_bytes kind, stigstore_bytes id, stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(DELETE), .kind = kind, .id = id}, result);
}

int stigstore_delete_resources_by_kind(stigstore *store, stigstore_bytes kind, stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(DELETE_KIND), .kind = kind}, result);
}

int stigstore_delete_resources_by_id_prefix(stigstore *store, stigstore_bytes kind, stigstore_bytes prefix,
                                            stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(DELETE_PREFIX), .kind = kind, .id = prefix},
                          result);
}

int stigstore_save_audit(stigstore *store, stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data,
                         stigstore_bytes hash, stigstore_bytes tag, stigstore_result **result)
{
    return stigstore_call(store,
                          &(stigstore_request){STIGSTORE_REQUEST(AUDIT_SAVE), .kind = kind, .id = id, .data = data,
                                               .hash = hash, .tag = tag},
                          result);
}

int stigstore_get_audit_by_hash(stigstore *store, stigstore_bytes kind, stigstore_bytes id, stigstore_bytes hash,
                                stigstore_result **result)
{
    return stigstore_call(
        store, &(stigstore_request){STIGSTORE_REQUEST(AUDIT_BY_HASH), .kind = kind, .id = id, .hash = hash}, result);
}

int stigstore_get_audit_by_tag(stigstore *store, stigstore_bytes kind, stigstore_bytes id, stigstore_bytes tag,
                               stigstore_result **result)
{
    return stigstore_call(
        store, &(stigstore_request){STIGSTORE_REQUEST(AUDIT_BY_TAG), .kind = kind, .id = id, .tag = tag}, result);
}

int stigstore_list_audit_history(stigstore *store, stigstore_bytes kind, stigstore_bytes id, stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(AUDIT_HISTORY), .kind = kind, .id = id},
                          result);
}

int stigstore_delete_audit_by_resource_id(stigstore *store, stigstore_bytes kind, stigstore_bytes id,
                                          stigstore_result **result)
{
    return stigstore_call(store, &(stigstore_request){STIGSTORE_REQUEST(AUDIT_DELETE), .kind = kind, .id = id}, result);
}

/* ---- statuses and small things ---- */

const char *stigstore_status_name(int status)
{
    return status >= STATUS_OK && status <= STATUS_INTERNAL ? status_name(status) : "UNKNOWN";
}

const char *stigstore_status_text(int status)
{
    return status_text(status);
}

stigstore_applied stigstore_status_applied(int status)
{
    return (stigstore_applied)status_was_applied(status);
}

stigstore_advice stigstore_status_advice(int status)
{
    return (stigstore_advice)status_what_to_do(status);
}

#define TEXT_OF(number)   #number
#define DIGITS_OF(number) TEXT_OF(number)

const char *stigstore_version(void)
{
    return DIGITS_OF(STIGSTORE_VERSION_MAJOR) "." DIGITS_OF(STIGSTORE_VERSION_MINOR) "." DIGITS_OF(
        STIGSTORE_VERSION_PATCH);
}

stigstore_bytes stigstore_text(const char *text)
{
    struct span span = span_text(text);
    return (stigstore_bytes){span.data, span.size};
}

void stigstore_memory_free(void *memory)
{
    free(memory);
}
