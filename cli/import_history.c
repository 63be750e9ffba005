/*
 * import_history.c - matches a file's versions with those stored before, resource by resource, in order.
 */
#include "cli/import_history.h"

#include "proto/span.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* One resource's stored versions; the result lists them newest first, `left` counts those not yet matched. */
struct known {
    char *kind, *id;
    size_t kind_size, id_size;
    stigstore_result *stored;
    size_t left;
};

struct import_history {
    stigstore *store;
    void *tree; /* of struct known, by kind and id */
};

static int compare_known(const void *a, const void *b)
{
    const struct known *x = a, *y = b;
    int order = span_compare((struct span){x->kind, x->kind_size}, (struct span){y->kind, y->kind_size});
    return order ? order : span_compare((struct span){x->id, x->id_size}, (struct span){y->id, y->id_size});
}

struct import_history *import_history_new(stigstore *store)
{
    struct import_history *history = calloc(1, sizeof(*history));
    if (history)
        history->store = store;
    return history;
}

static void free_known(void *node)
{
    struct known *known = node;
    stigstore_result_free(&known->stored);
    free(known->kind);
    free(known->id);
    free(known);
}

void import_history_free(struct import_history **history)
{
    if (*history) {
        tdestroy((*history)->tree, free_known);
        free(*history);
        *history = NULL;
    }
}

static int load(struct import_history *history, struct known *known)
{
    stigstore_request request = {.struct_size = sizeof(request),
                                 .operation = STIGSTORE_AUDIT_HISTORY,
                                 .flags = STIGSTORE_KEYS_ONLY,
                                 .kind = {known->kind, known->kind_size},
                                 .id = {known->id, known->id_size}};
    int status = stigstore_call(history->store, &request, &known->stored);
    known->left = status == STIGSTORE_OK ? known->stored->item_count : 0;
    return status == STIGSTORE_NOT_FOUND ? STIGSTORE_OK : status;
}

static char *copy(ProtobufCBinaryData bytes)
{
    char *out = malloc(bytes.len + 1);
    if (out && bytes.len)
        memcpy(out, bytes.data, bytes.len);
    return out;
}

/* The resource's entry, asked from the store when it is met for the first time. */
static int find(struct import_history *history, const Stigstore__Transfer__V1__Version *version, struct known **out)
{
    struct known key = {.kind = (char *)version->kind.data,
                        .kind_size = version->kind.len,
                        .id = (char *)version->resource_id.data,
                        .id_size = version->resource_id.len};
    struct known **found = tfind(&key, &history->tree, compare_known);
    if (found) {
        *out = *found;
        return STIGSTORE_OK;
    }
    struct known *known = calloc(1, sizeof(*known));
    if (!known)
        return STIGSTORE_NO_MEMORY;
    *known = (struct known){.kind = copy(version->kind),
                            .kind_size = version->kind.len,
                            .id = copy(version->resource_id),
                            .id_size = version->resource_id.len};
    int status = known->kind && known->id ? load(history, known) : STIGSTORE_NO_MEMORY;
    if (status == STIGSTORE_OK && !tsearch(known, &history->tree, compare_known))
        status = STIGSTORE_NO_MEMORY;
    if (status != STIGSTORE_OK) {
        free_known(known);
        return status;
    }
    *out = known;
    return STIGSTORE_OK;
}

static bool equal_bytes(stigstore_bytes stored, ProtobufCBinaryData other)
{
    return span_equal((struct span){stored.data, stored.size}, (struct span){other.data, other.len});
}

static bool is_same(const stigstore_item *stored, const Stigstore__Transfer__V1__Version *version)
{
    return stored->updated_ms == version->archived_ms && stored->data_bytes == version->data.len &&
           equal_bytes(stored->hash, version->hash) && equal_bytes(stored->tag, version->tag);
}

int import_history_has(struct import_history *history, const Stigstore__Transfer__V1__Version *version, bool *present)
{
    struct known *known = NULL;
    int status = find(history, version, &known);
    *present = false;
    /* Oldest first, from behind the last one matched. */
    for (size_t left = status == STIGSTORE_OK ? known->left : 0; left > 0; left--) {
        if (is_same(&known->stored->items[left - 1], version)) {
            known->left = left - 1;
            *present = true;
            break;
        }
    }
    return status;
}
