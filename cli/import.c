/*
 * import.c - `stigstore import`: the verb's line, its file, and what it says at the end.
 */
#include "cli/cli.h"
#include "cli/import_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_REPLACE = 1 };

struct input {
    const char *file;
    bool replace;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    switch (key) {
    case KEY_REPLACE:
        input->replace = true;
        return 0;
    case ARGP_KEY_ARG:
        if (input->file)
            argp_error(state, "too many arguments: '%s'", argument);
        input->file = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "FILE is missing; - is standard input");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static uint64_t file_bytes(FILE *file)
{
    struct stat stat;
    return fstat(fileno(file), &stat) == 0 && S_ISREG(stat.st_mode) ? (uint64_t)stat.st_size : 0;
}

int cli_import(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"replace", KEY_REPLACE, NULL, 0, "save over resources that are there with other content", 0},
        {NULL, 0, NULL, 0, NULL, 0},
    };
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "FILE|-",
        .doc =
            "Loads resources and archived versions that `stigstore export` wrote, with their times and order. Can be "
            "run again after a break: what is there already is passed over."};
    struct input input = {0};
    cli_parse(&argp, argc, argv, &input);
    bool is_stdin = strcmp(input.file, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(input.file, "re");
    if (!in) {
        cli_error("cannot read %s: %s", input.file, strerror(errno));
        return CLI_FAILED;
    }
    stigstore *store = cli_open(CLI_WRITES, 0);
    struct progress progress = progress_start("import", file_bytes(in));
    struct import_counts counts = {0};
    int code = import_file(store, in, input.file, input.replace, &progress, &counts);
    progress_end(&progress);
    if (code == CLI_OK) {
        printf("%" PRIu64 " resources, %" PRIu64 " versions; %" PRIu64 " were there already\n", counts.resources,
               counts.versions, counts.present);
    }
    stigstore_free(&store);
    if (!is_stdin)
        (void)fclose(in);
    return cli_finish(code);
}
