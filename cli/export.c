/*
 * export.c - `stigstore export`: every resource and version of some kinds, or of all, into one file.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/transfer.h"

#include <errno.h>
#include <string.h>

struct export
{
    stigstore *store;
    FILE *out;
    const char *file;
    struct progress progress;
    uint64_t resources, versions;
};

struct input {
    const char *file;
    char **kinds;
    int kind_count;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (!input->file) {
            input->file = argument;
            return 0;
        }
        input->kinds = state->argv + state->next - 1;
        input->kind_count = state->argc - state->next + 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "FILE is missing; - is standard output");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static ProtobufCBinaryData binary(stigstore_bytes bytes)
{
    return (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)(uintptr_t)bytes.data};
}

static int write_record(struct export *export, const transfer_record *record)
{
    if (!transfer_write(export->out, record)) {
        if (export->out == stdout)
            cli_wrote(false); /* told at the end */
        else
            cli_error("cannot write %s: %s", export->file, strerror(errno));
        return CLI_FAILED;
    }
    progress_update(&export->progress, 0, export->resources + export->versions);
    return CLI_OK;
}

static int write_resource(void *context, const stigstore_item *item)
{
    struct export *export = context;
    Stigstore__Transfer__V1__Resource resource = STIGSTORE__TRANSFER__V1__RESOURCE__INIT;
    resource.kind = binary(item->kind);
    resource.id = binary(item->id);
    resource.data = binary(item->data);
    resource.created_ms = item->created_ms;
    resource.updated_ms = item->updated_ms;
    resource.revision = item->revision;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_RESOURCE;
    record.resource = &resource;
    export->resources++;
    return write_record(export, &record);
}

static int write_version(void *context, const stigstore_item *item)
{
    struct export *export = context;
    Stigstore__Transfer__V1__Version version = STIGSTORE__TRANSFER__V1__VERSION__INIT;
    version.kind = binary(item->kind);
    version.resource_id = binary(item->id);
    version.data = binary(item->data);
    version.hash = binary(item->hash);
    version.tag = binary(item->tag);
    version.archived_ms = item->updated_ms;
    version.revision = item->revision;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_VERSION;
    record.version = &version;
    export->versions++;
    return write_record(export, &record);
}

static int write_header(struct export *export)
{
    Stigstore__Transfer__V1__Header header = STIGSTORE__TRANSFER__V1__HEADER__INIT;
    header.format = (char *)(uintptr_t)TRANSFER_FORMAT;
    header.version = TRANSFER_VERSION;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_HEADER;
    record.header = &header;
    return write_record(export, &record);
}

static int write_end(struct export *export)
{
    Stigstore__Transfer__V1__End end = STIGSTORE__TRANSFER__V1__END__INIT;
    end.resources = export->resources;
    end.versions = export->versions;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_END;
    record.end = &end;
    return write_record(export, &record);
}

static int write_kind(struct export *export, stigstore_bytes kind)
{
    stigstore_request resources = {STIGSTORE_REQUEST(LIST), .kind = kind};
    stigstore_request versions = {STIGSTORE_REQUEST(AUDIT_SCAN), .kind = kind};
    int code = cli_each(export->store, &resources, write_resource, export);
    return code ? code : cli_each(export->store, &versions, write_version, export);
}

static int write_all_kinds(struct export *export)
{
    stigstore_request request = {.struct_size = sizeof(request), .operation = STIGSTORE_KINDS};
    stigstore_result *kinds = NULL;
    int code = cli_call(export->store, CLI_READS, &request, &kinds);
    for (size_t i = 0; code == CLI_OK && i < kinds->item_count; i++)
        code = write_kind(export, kinds->items[i].kind);
    stigstore_result_free(&kinds);
    return code;
}

/* A kind that is named twice is written once, or no import would take the file. */
static bool was_named(const struct input *input, int at)
{
    for (int i = 0; i < at; i++)
        if (strcmp(input->kinds[i], input->kinds[at]) == 0)
            return true;
    return false;
}

static int write_everything(struct export *export, const struct input *input)
{
    int code = write_header(export);
    if (code == CLI_OK && input->kind_count == 0)
        code = write_all_kinds(export);
    for (int i = 0; code == CLI_OK && i < input->kind_count; i++)
        code = was_named(input, i) ? CLI_OK : write_kind(export, stigstore_text(input->kinds[i]));
    return code ? code : write_end(export);
}

int cli_export(int argc, char **argv)
{
    static const struct argp argp = {.parser = parse,
                                     .args_doc = "FILE|- [KIND...]",
                                     .doc =
                                         "Writes resources and archived versions, of all kinds or of those named, to a "
                                         "file that `stigstore import` reads."};
    struct input input = {0};
    cli_parse(&argp, argc, argv, &input);
    struct export export = {
        .store = cli_open(CLI_READS, 0), .file = input.file, .progress = progress_start("export", 0)};
    int code;
    if (strcmp(input.file, "-") == 0) {
        export.out = stdout;
        code = write_everything(&export, &input);
    } else {
        struct cli_output output;
        code = cli_output_open(&output, input.file) ? CLI_OK : CLI_FAILED;
        if (code == CLI_OK) {
            export.out = output.stream;
            code = cli_output_close(&output, write_everything(&export, &input));
        }
    }
    progress_end(&export.progress);
    stigstore_free(&export.store);
    return cli_finish(code);
}
