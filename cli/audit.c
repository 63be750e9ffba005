/*
 * audit.c - the verbs on archived versions: audit save, get, list, delete.
 */
#include "cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_HASH = 1, KEY_TAG, KEY_REQUIRE, KEY_LIMIT, KEY_DATA, KEY_IDEMPOTENCY };

struct input {
    const char *arguments[3];
    int count, least, most;
    const char *hash, *tag, *idempotency_key;
    uint64_t limit;
    bool require_resource, data;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    switch (key) {
    case KEY_HASH:
        input->hash = argument;
        return 0;
    case KEY_TAG:
        input->tag = argument;
        return 0;
    case KEY_REQUIRE:
        input->require_resource = true;
        return 0;
    case KEY_DATA:
        input->data = true;
        return 0;
    case KEY_IDEMPOTENCY:
        input->idempotency_key = argument;
        return 0;
    case KEY_LIMIT:
        if (!cli_number(argument, UINT32_MAX, &input->limit) || input->limit == 0)
            argp_error(state, "--limit takes a whole number from 1 to %" PRIu32 ", not '%s'", UINT32_MAX, argument);
        return 0;
    case ARGP_KEY_ARG:
        if (input->count == input->most) {
            argp_error(state, "too many arguments: '%s'", argument);
            return EINVAL;
        }
        input->arguments[input->count++] = argument;
        return 0;
    case ARGP_KEY_END:
        if (input->count < input->least)
            argp_error(state, "too few arguments");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static stigstore_request request_of(uint32_t operation, const struct input *input)
{
    return (stigstore_request){.struct_size = sizeof(stigstore_request),
                               .operation = operation,
                               .kind = stigstore_text(input->arguments[0]),
                               .id = stigstore_text(input->arguments[1]),
                               .hash = stigstore_text(input->hash),
                               .tag = stigstore_text(input->tag),
                               .idempotency_key = stigstore_text(input->idempotency_key)};
}

#define OPTION_IDEMPOTENCY                                                                                         \
    {                                                                                                              \
        "idempotency-key", KEY_IDEMPOTENCY, "K", 0, "a name for this request: a retry under it is applied once", 0 \
    }

static int save(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"hash", KEY_HASH, "H", 0, "the version's hash", 0},
        {"tag", KEY_TAG, "T", 0, "the version's tag", 0},
        {"require-resource", KEY_REQUIRE, NULL, 0, "only when the resource exists", 0},
        OPTION_IDEMPOTENCY,
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {.options = options,
                                     .parser = parse,
                                     .args_doc = "KIND ID [FILE|-]",
                                     .doc = "Archives FILE (or standard input) as a version and prints the revision."};
    struct input input = {.least = 2, .most = 3};
    cli_parse(&argp, argc, argv, &input);
    if (!input.hash) {
        cli_error("audit save needs --hash");
        return CLI_USAGE;
    }
    stigstore_request request = request_of(STIGSTORE_AUDIT_SAVE, &input);
    request.flags = input.require_resource ? STIGSTORE_REQUIRE_RESOURCE : 0;
    int code = cli_read_file(input.arguments[2], &request.data);
    if (code != CLI_OK)
        return code;
    stigstore *store = cli_open(CLI_WRITES, 0);
    stigstore_result *result = NULL;
    code = cli_call(store, CLI_WRITES, &request, &result);
    if (code == CLI_OK)
        printf("%" PRIu64 "\n", result->revision);
    stigstore_result_free(&result);
    stigstore_free(&store);
    free((void *)(uintptr_t)request.data.data);
    return code;
}

static int get(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"hash", KEY_HASH, "H", 0, "the version with this hash", 0},
        {"tag", KEY_TAG, "T", 0, "the newest version with this tag", 0},
        {"data", KEY_DATA, NULL, 0, "with --json: the data too, in base64", 0},
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "KIND ID", .doc = "Prints an archived version's bytes."};
    struct input input = {.least = 2, .most = 2};
    cli_parse(&argp, argc, argv, &input);
    if (!input.hash == !input.tag) {
        cli_error("audit get takes one of --hash and --tag");
        return CLI_USAGE;
    }
    stigstore_request request = request_of(input.hash ? STIGSTORE_AUDIT_BY_HASH : STIGSTORE_AUDIT_BY_TAG, &input);
    stigstore *store = cli_open(CLI_READS, 0);
    stigstore_result *result = NULL;
    int code = cli_call(store, CLI_READS, &request, &result);
    if (code == CLI_OK) {
        bool done = cli_common.json ? cli_print_json(&result->items[0], true, input.data)
                                    : cli_write_all(stdout, result->items[0].data);
        code = done ? CLI_OK : CLI_FAILED;
    }
    stigstore_result_free(&result);
    stigstore_free(&store);
    return code;
}

static int print_version(void *context, const stigstore_item *item)
{
    const struct input *input = context;
    char archived[32];
    bool done;
    if (cli_common.json) {
        done = cli_print_json(item, true, input->data);
    } else {
        cli_time(item->updated_ms, archived);
        done = cli_write_all(stdout, item->hash) && cli_wrote(putchar('\t') != EOF) &&
               cli_write_all(stdout, item->tag) &&
               cli_wrote(printf("\t%s\t%" PRIu64 "\n", archived, item->data_bytes) > 0);
    }
    return done ? CLI_OK : CLI_FAILED;
}

static int list(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"limit", KEY_LIMIT, "N", 0, "at most N", 0},
        {"data", KEY_DATA, NULL, 0, "with --json: the data too, in base64", 0},
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "KIND ID",
        .doc = "Lists archived versions, newest first: hash, tag, archived_at, bytes, separated by tabs."};
    struct input input = {.least = 2, .most = 2};
    cli_parse(&argp, argc, argv, &input);

    stigstore_request request = request_of(STIGSTORE_AUDIT_HISTORY, &input);
    request.limit = (uint32_t)input.limit;
    request.flags = input.data && cli_common.json ? 0 : STIGSTORE_KEYS_ONLY;
    stigstore *store = cli_open(CLI_READS, 0);
    int code = cli_each(store, &request, print_version, &input);
    stigstore_free(&store);
    return code;
}

static int delete (int argc, char **argv)
{
    static const struct argp_option options[] = {OPTION_IDEMPOTENCY, {NULL, 0, NULL, 0, NULL, 0}};
    static const struct argp argp = {.options = options,
                                     .parser = parse,
                                     .args_doc = "KIND ID",
                                     .doc = "Deletes a resource's archived versions and prints how many went."};
    struct input input = {.least = 2, .most = 2};
    cli_parse(&argp, argc, argv, &input);

    stigstore_request request = request_of(STIGSTORE_AUDIT_DELETE, &input);
    stigstore *store = cli_open(CLI_WRITES, 0);
    stigstore_result *result = NULL;
    int code = cli_call(store, CLI_WRITES, &request, &result);
    if (code == CLI_OK)
        printf("%" PRIu64 "\n", result->count);
    stigstore_result_free(&result);
    stigstore_free(&store);
    return code;
}

static const struct cli_verb verbs[] = {
    {"save", "archive a version", save},
    {"get", "print a version by hash or tag", get},
    {"list", "list versions, newest first", list},
    {"delete", "delete all versions of a resource", delete},
    {NULL, NULL, NULL},
};

int cli_audit(int argc, char **argv)
{
    static const struct argp argp = {
        .args_doc = "save|get|list|delete KIND ID [ARGUMENT...]",
        .doc = "Archived versions of resources. `stigstore audit save --help` and so on say more.",
    };
    int verb_at = cli_parse_verb(&argp, argc, argv);
    for (const struct cli_verb *verb = verbs; verb->name; verb++) {
        if (strcmp(argv[verb_at], verb->name) == 0) {
            char name[64];
            snprintf(name, sizeof(name), "stigstore audit %s", verb->name);
            argv[verb_at] = name;
            return cli_finish(verb->run(argc - verb_at, argv + verb_at));
        }
    }
    cli_error("audit takes one of save, get, list and delete, not '%s'", argv[verb_at]);
    return CLI_USAGE;
}
