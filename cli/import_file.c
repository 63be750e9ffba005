/*
 * import_file.c - an export file into a store, in transactions, again after a break.
 */
#include "cli/import_file.h"

#include "cli/cli.h"
#include "cli/import_history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_PARTS = 256 };
#define BATCH_BYTES ((size_t)1024 * 1024)

/* Records gathered for one transaction; the parts borrow from them. */
struct batch {
    stigstore_request parts[BATCH_PARTS];
    transfer_record *records[BATCH_PARTS];
    size_t count, bytes;
};

struct import {
    stigstore *store;
    FILE *in;
    const char *file;
    bool replace;
    struct import_history *history;
    struct progress *progress;
    struct import_counts counts;
    struct batch batch;
};

static stigstore_bytes bytes_of(ProtobufCBinaryData binary)
{
    return (stigstore_bytes){binary.data, binary.len};
}

static void clear_batch(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        transfer_free(&batch->records[i]);
    batch->count = 0;
    batch->bytes = 0;
}

static int flush_batch(struct import *import)
{
    struct batch *batch = &import->batch;
    if (batch->count == 0)
        return CLI_OK;
    stigstore_request request = {STIGSTORE_REQUEST(TRANSACT), .parts = batch->parts, .part_count = batch->count};
    stigstore_result *result = NULL;
    int code = cli_call(import->store, CLI_WRITES, &request, &result);
    stigstore_result_free(&result);
    clear_batch(batch);
    return code;
}

/* Takes the record over. */
static int add_part(struct import *import, const stigstore_request *part, transfer_record **record)
{
    struct batch *batch = &import->batch;
    int code = CLI_OK;
    if (batch->count == BATCH_PARTS || (batch->count > 0 && batch->bytes + part->data.size > BATCH_BYTES))
        code = flush_batch(import);
    if (code == CLI_OK) {
        batch->parts[batch->count] = *part;
        batch->records[batch->count++] = *record;
        batch->bytes += part->data.size;
        *record = NULL;
    }
    return code;
}

/* What to do with a resource: save it, or leave it because it is there already, or say that another one is. */
static int judge_resource(struct import *import, const Stigstore__Transfer__V1__Resource *resource, bool *save)
{
    stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = bytes_of(resource->kind),
                                 .id = bytes_of(resource->id)};
    stigstore_result *stored = NULL;
    int status = stigstore_call(import->store, &request, &stored);
    int code = CLI_OK;
    *save = true;
    if (status == STIGSTORE_OK) {
        const stigstore_item *item = &stored->items[0];
        bool equal = item->data.size == resource->data.len && item->updated_ms == resource->updated_ms &&
                     (item->data.size == 0 || memcmp(item->data.data, resource->data.data, item->data.size) == 0);
        *save = !equal;
        if (!equal && !import->replace) {
            cli_error("CONFLICT: %.*s %.*s is there with other content; --replace saves over it",
                      (int)resource->kind.len, (const char *)resource->kind.data, (int)resource->id.len,
                      (const char *)resource->id.data);
            code = CLI_CONFLICT;
        }
    } else if (status != STIGSTORE_NOT_FOUND) {
        code = cli_report_status(CLI_READS, status, 0, stored ? stored->message : NULL);
    }
    stigstore_result_free(&stored);
    return code;
}

static int take_resource(struct import *import, transfer_record **record)
{
    const Stigstore__Transfer__V1__Resource *resource = (*record)->resource;
    bool save = false;
    int code = judge_resource(import, resource, &save);
    import->counts.resources++;
    if (code != CLI_OK || !save) {
        import->counts.present += code == CLI_OK;
        return code;
    }
    stigstore_request part = {STIGSTORE_REQUEST(SAVE),
                              .kind = bytes_of(resource->kind),
                              .id = bytes_of(resource->id),
                              .data = bytes_of(resource->data),
                              .condition = import->replace ? STIGSTORE_ALWAYS : STIGSTORE_IF_ABSENT,
                              .created_ms = resource->created_ms,
                              .updated_ms = resource->updated_ms};
    return add_part(import, &part, record);
}

static int take_version(struct import *import, transfer_record **record)
{
    const Stigstore__Transfer__V1__Version *version = (*record)->version;
    bool present = false;
    int status = import_history_has(import->history, version, &present);
    import->counts.versions++;
    if (status != STIGSTORE_OK || present) {
        import->counts.present += present;
        return cli_report_status(CLI_READS, status, 0, NULL);
    }
    stigstore_request part = {STIGSTORE_REQUEST(AUDIT_SAVE),        .kind = bytes_of(version->kind),
                              .id = bytes_of(version->resource_id), .data = bytes_of(version->data),
                              .hash = bytes_of(version->hash),      .tag = bytes_of(version->tag),
                              .updated_ms = version->archived_ms};
    return add_part(import, &part, record);
}

static int damaged(const struct import *import, const char *why)
{
    cli_error("INVALID_ARGUMENT: %s is no whole export file: %s; what came before that is saved", import->file, why);
    return CLI_USAGE;
}

static int check_header(const struct import *import, const transfer_record *record)
{
    if (record->record_case != STIGSTORE__TRANSFER__V1__RECORD__RECORD_HEADER ||
        strcmp(record->header->format, TRANSFER_FORMAT) != 0)
        return damaged(import, "it does not begin with a header");
    if (record->header->version != TRANSFER_VERSION) {
        cli_error("UNSUPPORTED: %s has format version %" PRIu32 ", this program reads %d", import->file,
                  record->header->version, TRANSFER_VERSION);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int take_end(struct import *import, const Stigstore__Transfer__V1__End *end)
{
    if (end->resources != import->counts.resources || end->versions != import->counts.versions)
        return damaged(import, "its end counts other records");
    return flush_batch(import);
}

/* One record behind the header; *ended when it was the last. */
static int take_record(struct import *import, transfer_record **record, bool *ended)
{
    switch ((*record)->record_case) {
    case STIGSTORE__TRANSFER__V1__RECORD__RECORD_RESOURCE:
        return take_resource(import, record);
    case STIGSTORE__TRANSFER__V1__RECORD__RECORD_VERSION:
        return take_version(import, record);
    case STIGSTORE__TRANSFER__V1__RECORD__RECORD_END:
        *ended = true;
        return take_end(import, (*record)->end);
    default:
        return damaged(import, "a record of an unknown kind");
    }
}

static int next_record(struct import *import, transfer_record **record)
{
    switch (transfer_read(import->in, record)) {
    case TRANSFER_RECORD:
        return CLI_OK;
    case TRANSFER_IO:
        cli_error("cannot read %s: %s", import->file, strerror(errno));
        return CLI_FAILED;
    case TRANSFER_EOF:
        return damaged(import, "it ends too early");
    default:
        return damaged(import, "a record is damaged");
    }
}

static int import_all(struct import *import)
{
    transfer_record *record = NULL;
    int code = next_record(import, &record);
    code = code ? code : check_header(import, record);
    transfer_free(&record);
    for (bool ended = false; code == CLI_OK && !ended;) {
        code = next_record(import, &record);
        code = code ? code : take_record(import, &record, &ended);
        transfer_free(&record);
        off_t at = ftello(import->in);
        progress_update(import->progress, at > 0 ? (uint64_t)at : 0,
                        import->counts.resources + import->counts.versions);
    }
    if (code != CLI_OK) {
        /* What was read whole before the damage is kept: a second run goes on from there. */
        int flushed = flush_batch(import);
        code = flushed ? flushed : code;
    }
    return code;
}

int import_file(stigstore *store, FILE *in, const char *name, bool replace, struct progress *progress,
                struct import_counts *counts)
{
    struct import *import = calloc(1, sizeof(*import));
    struct import_history *history = import ? import_history_new(store) : NULL;
    int code;
    if (history) {
        *import = (struct import){.store = store, .in = in, .file = name, .replace = replace};
        import->history = history;
        import->progress = progress;
        code = import_all(import);
        *counts = import->counts;
        clear_batch(&import->batch);
    } else {
        code = cli_report_status(CLI_WRITES, STIGSTORE_NO_MEMORY, 0, NULL);
    }
    import_history_free(&history);
    free(import);
    return code;
}
