/*
 * resources.c - the verbs on resources: put, get, stat, list, count, delete.
 */
#include "cli/cli.h"
#include "cli/decode.h"
#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEY_IF_ABSENT = 1,
    KEY_IF_EXISTS,
    KEY_IF_REVISION,
    KEY_IDEMPOTENCY,
    KEY_PREFIX,
    KEY_KEYS,
    KEY_LIMIT,
    KEY_AFTER,
    KEY_ALL,
    KEY_DATA,
    KEY_DECODE
};

/* Every verb's arguments and options in one struct; each verb takes those it knows. */
struct input {
    const char *arguments[3];
    int count, least, most;
    uint32_t condition;
    uint64_t if_revision;
    const char *idempotency_key, *prefix, *after, *output, *decode_type, *import_folder;
    uint64_t limit;
    bool keys, all, data;
};

static void take_number(struct argp_state *state, const char *option, const char *argument, uint64_t most,
                        uint64_t *number)
{
    if (!cli_number(argument, most, number) || *number == 0)
        argp_error(state, "--%s takes a whole number from 1 to %" PRIu64 ", not '%s'", option, most, argument);
}

static void take_condition(struct argp_state *state, struct input *input, uint32_t condition)
{
    if (input->condition != STIGSTORE_ALWAYS)
        argp_error(state, "only one of --if-absent, --if-exists and --if-revision");
    input->condition = condition;
}

static error_t take_argument(struct argp_state *state, struct input *input, const char *argument)
{
    if (input->count == input->most) {
        argp_error(state, "too many arguments: '%s'", argument);
        return EINVAL;
    }
    input->arguments[input->count++] = argument;
    return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    switch (key) {
    case KEY_IF_ABSENT:
        take_condition(state, input, STIGSTORE_IF_ABSENT);
        return 0;
    case KEY_IF_EXISTS:
        take_condition(state, input, STIGSTORE_IF_EXISTS);
        return 0;
    case KEY_IF_REVISION:
        take_condition(state, input, STIGSTORE_IF_REVISION);
        take_number(state, "if-revision", argument, UINT64_MAX, &input->if_revision);
        return 0;
    case KEY_IDEMPOTENCY:
        input->idempotency_key = argument;
        return 0;
    case KEY_PREFIX:
        input->prefix = argument;
        return 0;
    case KEY_AFTER:
        input->after = argument;
        return 0;
    case KEY_LIMIT:
        take_number(state, "limit", argument, UINT32_MAX, &input->limit);
        return 0;
    case KEY_KEYS:
        input->keys = true;
        return 0;
    case KEY_ALL:
        input->all = true;
        return 0;
    case KEY_DATA:
        input->data = true;
        return 0;
    case KEY_DECODE:
        input->decode_type = argument;
        return 0;
    case 'I':
        input->import_folder = argument;
        return 0;
    case 'o':
        input->output = argument;
        return 0;
    case ARGP_KEY_ARG:
        return take_argument(state, input, argument);
    case ARGP_KEY_END:
        if (input->count < input->least)
            argp_error(state, "too few arguments");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

#define OPTION_IDEMPOTENCY                                                                                         \
    {                                                                                                              \
        "idempotency-key", KEY_IDEMPOTENCY, "K", 0, "a name for this request: a retry under it is applied once", 0 \
    }
#define OPTION_DATA                                                                     \
    {                                                                                   \
        "data", KEY_DATA, NULL, 0, "with --json: the data too, in base64 (\"data\")", 0 \
    }

static stigstore_request request_of(uint32_t operation, const struct input *input)
{
    return (stigstore_request){.struct_size = sizeof(stigstore_request),
                               .operation = operation,
                               .condition = input->condition,
                               .if_revision = input->if_revision,
                               .kind = stigstore_text(input->arguments[0]),
                               .id = stigstore_text(input->arguments[1]),
                               .idempotency_key = stigstore_text(input->idempotency_key)};
}

/* One request on a store of its own; *result stays the caller's. */
static int call_once(enum cli_access access, const stigstore_request *request, stigstore_result **result)
{
    stigstore *store = cli_open(access, 0);
    int code = cli_call(store, access, request, result);
    stigstore_free(&store);
    return code;
}

int cli_put(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"if-absent", KEY_IF_ABSENT, NULL, 0, "only when there is no such resource", 0},
        {"if-exists", KEY_IF_EXISTS, NULL, 0, "only when there is one", 0},
        {"if-revision", KEY_IF_REVISION, "N", 0, "only when its revision is N", 0},
        OPTION_IDEMPOTENCY,
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {.options = options,
                                     .parser = parse,
                                     .args_doc = "KIND ID [FILE|-]",
                                     .doc =
                                         "Saves FILE (or standard input) under KIND and ID and prints the revision."};
    struct input input = {.least = 2, .most = 3};
    cli_parse(&argp, argc, argv, &input);

    stigstore_request request = request_of(STIGSTORE_SAVE, &input);
    int code = cli_read_file(input.arguments[2], &request.data);
    if (code != CLI_OK)
        return code;
    stigstore_result *result = NULL;
    code = call_once(CLI_WRITES, &request, &result);
    if (code == CLI_OK)
        printf("%" PRIu64 "\n", result->revision);
    stigstore_result_free(&result);
    free((void *)(uintptr_t)request.data.data);
    return cli_finish(code);
}

static int print_resource(const stigstore_item *item, const struct input *input)
{
    if (input->decode_type)
        return decode_print(input->decode_type, input->import_folder, item->data);
    bool done = cli_common.json ? cli_print_json(item, false, input->data) : cli_write_all(stdout, item->data);
    return done ? CLI_OK : CLI_FAILED;
}

/* All that would go to standard output, protoc's text too, goes into the file instead. */
static int print_into(const stigstore_item *item, const struct input *input)
{
    struct cli_output output;
    if (!cli_output_open(&output, input->output))
        return CLI_FAILED;
    int code = CLI_FAILED;
    if (dup2(fileno(output.stream), STDOUT_FILENO) >= 0)
        code = cli_finish(print_resource(item, input));
    else
        cli_error("cannot write %s: %s", input->output, strerror(errno));
    return cli_output_close(&output, code);
}

int cli_get(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"output", 'o', "FILE", 0, "write there instead of standard output", 0},
        {"decode", KEY_DECODE, "TYPE", 0, "show the message as text through protoc", 0},
        {"proto-path", 'I', "DIR", 0, "where the .proto files of TYPE lie", 0},
        OPTION_DATA,
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {.options = options,
                                     .parser = parse,
                                     .args_doc = "KIND ID",
                                     .doc = "Prints a resource's bytes as they were saved."};
    struct input input = {.least = 2, .most = 2};
    cli_parse(&argp, argc, argv, &input);

    stigstore_request request = request_of(STIGSTORE_GET, &input);
    stigstore_result *result = NULL;
    int code = call_once(CLI_READS, &request, &result);
    if (code == CLI_OK) {
        code = input.output ? print_into(&result->items[0], &input)
                            : cli_finish(print_resource(&result->items[0], &input));
    }
    stigstore_result_free(&result);
    return code;
}

static bool print_row(const stigstore_item *item, bool keys_only)
{
    if (!cli_write_all(stdout, item->id))
        return false;
    if (keys_only)
        return cli_wrote(putchar('\n') != EOF);
    char updated[32];
    cli_time(item->updated_ms, updated);
    return cli_wrote(printf("\t%" PRIu64 "\t%s\t%" PRIu64 "\n", item->revision, updated, item->data_bytes) > 0);
}

int cli_stat(int argc, char **argv)
{
    static const struct argp argp = {.parser = parse,
                                     .args_doc = "KIND ID",
                                     .doc =
                                         "Prints id, revision, updated_at and bytes of a resource, separated by tabs."};
    struct input input = {.least = 2, .most = 2};
    cli_parse(&argp, argc, argv, &input);

    stigstore_request request = request_of(STIGSTORE_STAT, &input);
    stigstore_result *result = NULL;
    int code = call_once(CLI_READS, &request, &result);
    if (code == CLI_OK) {
        bool done =
            cli_common.json ? cli_print_json(&result->items[0], false, false) : print_row(&result->items[0], false);
        code = done ? CLI_OK : CLI_FAILED;
    }
    stigstore_result_free(&result);
    return cli_finish(code);
}

static int print_item(void *context, const stigstore_item *item)
{
    const struct input *input = context;
    bool done = cli_common.json ? cli_print_json(item, false, input->data) : print_row(item, input->keys);
    return done ? CLI_OK : CLI_FAILED;
}

int cli_list(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"prefix", KEY_PREFIX, "P", 0, "only ids that begin with P", 0},
        {"keys", KEY_KEYS, NULL, 0, "the ids alone", 0},
        {"limit", KEY_LIMIT, "N", 0, "at most N", 0},
        {"after", KEY_AFTER, "ID", 0, "start behind ID", 0},
        OPTION_DATA,
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "KIND",
        .doc = "Lists the resources of a kind by id: id, revision, updated_at, bytes, separated by tabs."};
    struct input input = {.least = 1, .most = 1};
    cli_parse(&argp, argc, argv, &input);

    stigstore_request request = request_of(STIGSTORE_LIST, &input);
    request.id = stigstore_text(input.prefix);
    request.after = stigstore_text(input.after);
    request.limit = (uint32_t)input.limit;
    request.flags = input.data && cli_common.json ? 0 : STIGSTORE_KEYS_ONLY;
    stigstore *store = cli_open(CLI_READS, 0);
    int code = cli_each(store, &request, print_item, &input);
    stigstore_free(&store);
    return cli_finish(code);
}

int cli_count(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"prefix", KEY_PREFIX, "P", 0, "only ids that begin with P", 0},
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "KIND", .doc = "Prints how many resources of KIND there are."};
    struct input input = {.least = 1, .most = 1};
    cli_parse(&argp, argc, argv, &input);

    stigstore_request request = request_of(STIGSTORE_COUNT, &input);
    request.id = stigstore_text(input.prefix);
    stigstore_result *result = NULL;
    int code = call_once(CLI_READS, &request, &result);
    if (code == CLI_OK)
        printf("%" PRIu64 "\n", result->count);
    stigstore_result_free(&result);
    return cli_finish(code);
}

/* Which delete the line asks for; 0: none of the three. */
static uint32_t delete_operation(const struct input *input)
{
    int ways = (input->arguments[1] != NULL) + (input->prefix != NULL) + input->all;
    if (ways != 1 || (input->condition != STIGSTORE_ALWAYS && !input->arguments[1]))
        return 0;
    return input->all ? STIGSTORE_DELETE_KIND : input->prefix ? STIGSTORE_DELETE_PREFIX : STIGSTORE_DELETE;
}

int cli_delete(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"if-revision", KEY_IF_REVISION, "N", 0, "only when its revision is N", 0},
        {"prefix", KEY_PREFIX, "P", 0, "all whose id begins with P", 0},
        {"all", KEY_ALL, NULL, 0, "all of the kind", 0},
        OPTION_IDEMPOTENCY,
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "KIND ID\nKIND --prefix P\nKIND --all",
        .doc = "Deletes resources with their archived versions and prints how many resources went."};
    struct input input = {.least = 1, .most = 2};
    cli_parse(&argp, argc, argv, &input);
    uint32_t operation = delete_operation(&input);
    if (!operation) {
        cli_error("delete takes KIND and one of ID, --prefix P and --all; --if-revision goes with ID");
        return CLI_USAGE;
    }
    stigstore_request request = request_of(operation, &input);
    if (input.prefix)
        request.id = stigstore_text(input.prefix);
    stigstore_result *result = NULL;
    int code = call_once(CLI_WRITES, &request, &result);
    if (code == CLI_OK || (result && result->count))
        printf("%" PRIu64 "\n", result->count);
    stigstore_result_free(&result);
    return cli_finish(code);
}
