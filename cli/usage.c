/*
 * usage.c - reads a verb's line with argp; what is wrong with it is told in one line.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* argp and getopt say what is wrong on a first line; the pointer to --help on the next ones is shortened to fit. */
static ssize_t write_first_line(void *program, const char *text, size_t size)
{
    const char *end = memchr(text, '\n', size);
    int length = (int)(end ? end - text : (ptrdiff_t)size);
    dprintf(STDERR_FILENO, "%.*s; `%s --help` says more\n", length, text, (const char *)program);
    return (ssize_t)size;
}

/* Both print to `stderr` and then exit, which flushes what stands in for it. */
static void parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
    static char buffer[16 * 1024];
    const cookie_io_functions_t functions = {.write = write_first_line};
    FILE *const real = stderr;
    argp_err_exit_status = CLI_USAGE;
    /* argp prints usage errors under the invocation's name: "stigstore put". */
    program_invocation_name = argv[0];
    program_invocation_short_name = argv[0];
    FILE *one_line = fopencookie(argv[0], "w", functions);
    if (one_line) {
        setvbuf(one_line, buffer, _IOFBF, sizeof(buffer));
        stderr = one_line;
    }
    error_t error = argp_parse(argp, argc, argv, flags, NULL, input);
    stderr = real;
    if (one_line)
        (void)fclose(one_line);
    if (error) {
        cli_error("cannot read the command line: %s", strerror(error));
        exit(CLI_FAILED);
    }
}

void cli_parse_plain(const struct argp *argp, int argc, char **argv, void *input)
{
    parse(argp, argc, argv, 0, input);
}

static void parse_with_common(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
    struct argp own = *argp;
    own.args_doc = NULL;
    own.doc = NULL;
    own.help_filter = NULL;
    /* Without a parser of its own, `both` hands its input to its first child. */
    const struct argp_child children[] = {
        {&own, 0, NULL, 0},
        {&cli_common_argp, 0, "Options of every verb that opens a store:", 1},
        {NULL, 0, NULL, 0},
    };
    const struct argp both = {NULL, NULL, argp->args_doc, argp->doc, children, argp->help_filter, NULL};
    parse(&both, argc, argv, flags, input);
}

void cli_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    parse_with_common(argp, argc, argv, 0, input);
}

static error_t take_verb(int key, char *argument, struct argp_state *state)
{
    int *verb_at = state->input;
    (void)argument;
    switch (key) {
    case ARGP_KEY_ARG:
        *verb_at = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "the verb is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cli_parse_verb(const struct argp *argp, int argc, char **argv)
{
    struct argp with_verb = *argp;
    int verb_at = 0;
    with_verb.parser = take_verb;
    parse_with_common(&with_verb, argc, argv, ARGP_IN_ORDER, &verb_at);
    return verb_at;
}
