/*
 * deeds.c - mutations that name themselves in the file.
 */
#include "tests/fault/process/deeds.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TRIO = 3, HEAD_BYTES = 48 };

void deed_slot_id(uint64_t handle, uint32_t slot, char out[40])
{
    snprintf(out, 40, "%" PRIu64 "/%" PRIu32, handle, slot);
}

void deed_counter_id(uint32_t counter, char out[40])
{
    snprintf(out, 40, "counter-%" PRIu32, counter);
}

/* ---- data that shows when a part of it is missing ---- */

static size_t data_bytes(uint64_t handle, uint64_t number)
{
    uint64_t mixed = (handle * 7919 + number) * UINT64_C(0x9e3779b97f4a7c15);
    return HEAD_BYTES + (mixed >> 40) % (mixed % 8 ? 400 : DEED_DATA_MOST - HEAD_BYTES);
}

static size_t write_data(char *out, uint64_t handle, uint64_t number)
{
    size_t size = data_bytes(handle, number);
    int head = snprintf(out, HEAD_BYTES, "%" PRIu64 " %" PRIu64 " ", handle, number);
    for (size_t i = (size_t)head; i < size; i++)
        out[i] = (char)('a' + (number + i) % 26);
    return size;
}

bool deed_read(const void *data, size_t size, uint64_t *handle, uint64_t *number)
{
    char head[HEAD_BYTES + 1] = "", whole[DEED_DATA_MOST];
    memcpy(head, data, size < HEAD_BYTES ? size : HEAD_BYTES);
    if (sscanf(head, "%" SCNu64 " %" SCNu64 " ", handle, number) != 2)
        return false;
    return write_data(whole, *handle, *number) == size && memcmp(whole, data, size) == 0;
}

/* ---- requests ---- */

static stigstore_request audit(struct deed_request *out, const struct deed_name *name, const char *kind)
{
    snprintf(out->log_id, sizeof(out->log_id), "%" PRIu64, name->handle);
    snprintf(out->tag, sizeof(out->tag), "%" PRIu64, name->number);
    return (stigstore_request){STIGSTORE_REQUEST(AUDIT_SAVE), .kind = stigstore_text(kind),
                               .id = stigstore_text(out->log_id), .tag = stigstore_text(out->tag),
                               .data = stigstore_text(out->tag)};
}

static void transact(struct deed_request *out, size_t count)
{
    out->request = (stigstore_request){STIGSTORE_REQUEST(TRANSACT), .parts = out->parts, .part_count = count};
}

static void fill_count_up(struct deed_request *out, const struct deed_name *name)
{
    int size = snprintf(out->data, sizeof(out->data), "%" PRIu64, name->value);
    deed_counter_id(name->slot, out->ids[0]);
    out->parts[0] = (stigstore_request){
        STIGSTORE_REQUEST(SAVE),           .kind = stigstore_text("counter"),
        .id = stigstore_text(out->ids[0]), .condition = name->if_revision ? STIGSTORE_IF_REVISION : STIGSTORE_IF_ABSENT,
        .if_revision = name->if_revision,  .data = {out->data, (size_t)size}};
    out->parts[1] = audit(out, name, "log");
    out->parts[1].hash = stigstore_text(out->ids[0]);
    transact(out, 2);
}

static void fill_trio(struct deed_request *out, const struct deed_name *name)
{
    size_t size = write_data(out->data, name->handle, name->number);
    for (unsigned i = 0; i < TRIO; i++) {
        snprintf(out->ids[i], sizeof(out->ids[i]), "%" PRIu64 "/%c", name->handle, 'a' + (int)i);
        out->parts[i] = (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("trio"),
                                            .id = stigstore_text(out->ids[i]), .data = {out->data, size}};
    }
    out->parts[TRIO] = audit(out, name, "log");
    out->parts[TRIO].hash = stigstore_text("trio");
    transact(out, TRIO + 1);
}

/* The first row of each chunk has an audit record, which must go with it. */
static void fill_chunk(struct deed_request *out, const struct deed_name *name)
{
    for (unsigned i = 0; i < DEED_CHUNK_ROWS; i++) {
        snprintf(out->ids[i], sizeof(out->ids[i]), "%" PRIu64 "/%06u", name->handle, name->slot * DEED_CHUNK_ROWS + i);
        out->parts[i] = (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("bulk"),
                                            .id = stigstore_text(out->ids[i]), .data = stigstore_text("x")};
    }
    out->parts[DEED_CHUNK_ROWS] = audit(out, name, "bulk");
    out->parts[DEED_CHUNK_ROWS].id = stigstore_text(out->ids[0]);
    transact(out, DEED_CHUNK_ROWS + 1);
}

static void fill_erase(struct deed_request *out, const struct deed_name *name)
{
    snprintf(out->ids[0], sizeof(out->ids[0]), "%" PRIu64 "/", name->handle);
    out->request = (stigstore_request){STIGSTORE_REQUEST(DELETE_PREFIX), .kind = stigstore_text("bulk"),
                                       .id = stigstore_text(out->ids[0])};
}

static void fill_slot(struct deed_request *out, const struct deed_name *name)
{
    deed_slot_id(name->handle, name->slot, out->ids[0]);
    out->request =
        (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("own"), .id = stigstore_text(out->ids[0])};
    if (name->deed == DEED_REMOVE)
        out->request.operation = STIGSTORE_DELETE;
    else
        out->request.data = (stigstore_bytes){out->data, write_data(out->data, name->handle, name->number)};
}

void deed_fill(struct deed_request *out, const struct deed_name *name)
{
    switch (name->deed) {
    case DEED_COUNT_UP:
        fill_count_up(out, name);
        break;
    case DEED_TRIO:
        fill_trio(out, name);
        break;
    case DEED_PUT:
    case DEED_REMOVE:
        fill_slot(out, name);
        break;
    case DEED_FILL:
        fill_chunk(out, name);
        break;
    case DEED_ERASE:
        fill_erase(out, name);
        break;
    case DEED_KEYED:
    case DEED_RETRY:
        out->request = audit(out, name, "log");
        snprintf(out->key, sizeof(out->key), "fault/%" PRIu64 "/%" PRIu64, name->handle, name->number);
        out->request.idempotency_key = stigstore_text(out->key);
        break;
    case DEED_MARK:
        out->request = audit(out, name, "log");
        break;
    }
}
