/*
 * import.c - fuzz target: an export file on its way into a store, which here is a list in memory.
 *
 * A file that was taken whole is in the store, record by record; a second run of any file that was not refused by the
 * store finds everything there and changes nothing.
 */
#include "cli/cli.h"
#include "cli/import_file.h"
#include "cli/transfer.h"
#include "tests/fuzz/fuzz.h"

/* ---- a store in memory, instead of the library ---- */

enum { ROWS_MOST = 4096 };

struct row {
    bool version;
    char *bytes; /* kind, id, data, hash, tag, one behind the other */
    stigstore_item item;
};
static struct row rows[ROWS_MOST];
static size_t row_count, mutations;

static bool same(stigstore_bytes a, stigstore_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static stigstore_bytes keep(char **at, stigstore_bytes bytes)
{
    stigstore_bytes kept = {*at, bytes.size};
    if (bytes.size)
        memcpy(*at, bytes.data, bytes.size);
    *at += bytes.size;
    return kept;
}

static void fill(struct row *row, const stigstore_request *part)
{
    size_t size = part->kind.size + part->id.size + part->data.size + part->hash.size + part->tag.size;
    free(row->bytes);
    char *at = row->bytes = malloc(size + 1);
    REQUIRE(at);
    row->version = part->operation == STIGSTORE_AUDIT_SAVE;
    row->item = (stigstore_item){.created_ms = part->created_ms, .updated_ms = part->updated_ms};
    row->item.kind = keep(&at, part->kind);
    row->item.id = keep(&at, part->id);
    row->item.data = keep(&at, part->data);
    row->item.hash = keep(&at, part->hash);
    row->item.tag = keep(&at, part->tag);
    row->item.data_bytes = part->data.size;
    mutations++;
}

static struct row *find(const stigstore_request *request)
{
    for (size_t i = 0; i < row_count; i++)
        if (!rows[i].version && same(rows[i].item.kind, request->kind) && same(rows[i].item.id, request->id))
            return &rows[i];
    return NULL;
}

static int transact(const stigstore_request *request)
{
    for (size_t i = 0; i < request->part_count; i++) {
        const stigstore_request *part = &request->parts[i];
        bool again = false; /* by another part before it */
        for (size_t k = 0; k < i; k++)
            again |= request->parts[k].operation == STIGSTORE_SAVE && same(request->parts[k].kind, part->kind) &&
                     same(request->parts[k].id, part->id);
        if (part->operation == STIGSTORE_SAVE && part->condition == STIGSTORE_IF_ABSENT && (again || find(part)))
            return STIGSTORE_CONFLICT;
    }
    for (size_t i = 0; i < request->part_count; i++) {
        const stigstore_request *part = &request->parts[i];
        REQUIRE(part->operation == STIGSTORE_SAVE || part->operation == STIGSTORE_AUDIT_SAVE);
        struct row *row = part->operation == STIGSTORE_SAVE ? find(part) : NULL;
        REQUIRE(row || row_count < ROWS_MOST);
        fill(row ? row : &rows[row_count++], part);
    }
    return STIGSTORE_OK;
}

static int answer(stigstore_result **result, int status, stigstore_item *items, size_t count)
{
    *result = calloc(1, sizeof **result);
    REQUIRE(*result);
    **result = (stigstore_result){.status = status, .message = "", .items = items, .item_count = count};
    return status;
}

int stigstore_call(stigstore *store, const stigstore_request *request, stigstore_result **result)
{
    (void)store;
    if (request->operation == STIGSTORE_TRANSACT)
        return answer(result, transact(request), NULL, 0);
    stigstore_item *items = calloc(row_count + 1, sizeof *items);
    size_t count = 0;
    REQUIRE(items);
    if (request->operation == STIGSTORE_GET) {
        const struct row *row = find(request);
        if (row)
            items[count++] = row->item;
        return answer(result, row ? STIGSTORE_OK : STIGSTORE_NOT_FOUND, items, count);
    }
    REQUIRE(request->operation == STIGSTORE_AUDIT_HISTORY);
    for (size_t i = row_count; i-- > 0;)
        if (rows[i].version && same(rows[i].item.kind, request->kind) && same(rows[i].item.id, request->id))
            items[count++] = rows[i].item;
    return answer(result, STIGSTORE_OK, items, count);
}

void stigstore_result_free(stigstore_result **result)
{
    if (*result)
        free((void *)(uintptr_t)(*result)->items);
    free(*result);
    *result = NULL;
}

/* ---- the rest of the command line ---- */

void cli_error(const char *format, ...)
{
    REQUIRE(format);
}

int cli_report_status(enum cli_access access, int status, uint32_t flags, const char *message)
{
    (void)access, (void)flags, (void)message;
    return status == STIGSTORE_OK ? CLI_OK : status == STIGSTORE_CONFLICT ? CLI_CONFLICT : CLI_FAILED;
}

int cli_call(stigstore *store, enum cli_access access, const stigstore_request *request, stigstore_result **result)
{
    return cli_report_status(access, stigstore_call(store, request, result), 0, NULL);
}

/* ---- what must hold ---- */

static FILE *open_bytes(const uint8_t *data, size_t size)
{
    FILE *in = fmemopen((void *)(uintptr_t)data, size, "r");
    REQUIRE(in);
    return in;
}

static stigstore_bytes bytes_of(ProtobufCBinaryData binary)
{
    return (stigstore_bytes){binary.data, binary.len};
}

static bool is_stored(const transfer_record *record)
{
    bool version = record->record_case == STIGSTORE__TRANSFER__V1__RECORD__RECORD_VERSION;
    if (!version && record->record_case != STIGSTORE__TRANSFER__V1__RECORD__RECORD_RESOURCE)
        return true;
    ProtobufCBinaryData id = version ? record->version->resource_id : record->resource->id,
                        data = version ? record->version->data : record->resource->data,
                        kind = version ? record->version->kind : record->resource->kind;
    int64_t time_ms = version ? record->version->archived_ms : record->resource->updated_ms;
    for (size_t i = 0; i < row_count; i++) {
        const stigstore_item *item = &rows[i].item;
        if (rows[i].version == version && same(item->kind, bytes_of(kind)) && same(item->id, bytes_of(id)) &&
            same(item->data, bytes_of(data)) && item->updated_ms == time_ms &&
            (!version ||
             (same(item->hash, bytes_of(record->version->hash)) && same(item->tag, bytes_of(record->version->tag)))))
            return true;
    }
    return false;
}

static void require_whole(const uint8_t *data, size_t size)
{
    FILE *in = open_bytes(data, size);
    transfer_record *record = NULL;
    bool ended = false;
    while (!ended && transfer_read(in, &record) == TRANSFER_RECORD) {
        REQUIRE(is_stored(record));
        ended = record->record_case == STIGSTORE__TRANSFER__V1__RECORD__RECORD_END;
        transfer_free(&record);
    }
    REQUIRE(ended);
    fclose(in);
}

static int run(const uint8_t *data, size_t size, bool replace, struct import_counts *counts)
{
    FILE *in = open_bytes(data, size);
    struct progress progress = {.what = "import"};
    mutations = 0;
    *counts = (struct import_counts){0};
    int code = import_file(NULL, in, "file", replace, &progress, counts);
    fclose(in);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct import_counts first, second;
    if (size < 2)
        return 0;
    bool replace = data[0] & 1;
    data++, size--;
    int code = run(data, size, replace, &first);
    REQUIRE(code == CLI_OK || code == CLI_USAGE || code == CLI_CONFLICT || code == CLI_FAILED);
    if (code == CLI_OK && !replace)
        require_whole(data, size);
    if ((code == CLI_OK || code == CLI_USAGE) && !replace) {
        REQUIRE(run(data, size, false, &second) == code);
        REQUIRE(mutations == 0 && second.present == second.resources + second.versions);
        REQUIRE(second.resources == first.resources && second.versions == first.versions);
    }
    while (row_count > 0) {
        free(rows[--row_count].bytes);
        rows[row_count] = (struct row){.bytes = NULL};
    }
    return 0;
}
