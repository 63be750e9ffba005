/*
 * files.c - the verbs on the whole store: backup, restore, verify.
 */
#include "cli/cli.h"
#include "client/locate.h"
#include "storage/file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct input {
    const char *file;
};

static error_t parse_file(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (input->file)
            argp_error(state, "too many arguments: '%s'", argument);
        input->file = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "FILE is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The service wants an absolute path: its working directory is not ours. */
static char *absolute_path(const char *path)
{
    char *absolute = NULL;
    char folder[PATH_MAX];
    if (*path == '/')
        return strdup(path);
    if (!getcwd(folder, sizeof(folder)) || asprintf(&absolute, "%s/%s", folder, path) < 0)
        return NULL;
    return absolute;
}

int cli_backup(int argc, char **argv)
{
    static const struct argp argp = {.parser = parse_file,
                                     .args_doc = "FILE",
                                     .doc =
                                         "Copies the store into the new FILE while it is in use; the copy opens as a "
                                         "store. Prints the revision of the copy."};
    struct input input = {0};
    cli_parse(&argp, argc, argv, &input);
    char *path = absolute_path(input.file);
    if (!path) {
        cli_error("cannot tell the absolute path of %s: %s", input.file, strerror(errno));
        return CLI_FAILED;
    }
    stigstore *store = cli_open(CLI_WRITES, STIGSTORE_OPEN_MUST_EXIST);
    stigstore_result *result = NULL;
    int status = stigstore_backup(store, path, &result);
    int code = result ? cli_report(CLI_READS, result) : cli_report_status(CLI_READS, status, 0, NULL);
    if (code == CLI_OK && result)
        printf("%" PRIu64 "\n", result->revision);
    stigstore_result_free(&result);
    stigstore_free(&store);
    free(path);
    return cli_finish(code);
}

static char *default_path(void)
{
    struct failure failure = {0};
    char notice[512];
    char *path = locate_default_database(notice, sizeof(notice), &failure);
    if (!path)
        exit(cli_report_status(CLI_READS, failure.status, 0, failure.message));
    if (*notice)
        cli_error("%s", notice);
    return path;
}

/* The database file that the common options name; verify and restore act on files, never through a service. */
static char *database_path(void)
{
    const char *url = cli_common.store ? cli_common.store : getenv("STIGSTORE_URL");
    if (!url || (!cli_common.store && !*url))
        return default_path(); /* found without opening it: what is to be restored may be damaged, or gone */
    if (strncmp(url, "sqlite:", 7) == 0)
        url += 7;
    if (!strstr(url, "://"))
        return strdup(url);
    stigstore *store = cli_open(CLI_READS, 0);
    char *path = strdup(stigstore_path(store));
    stigstore_free(&store);
    return path;
}

int cli_restore(int argc, char **argv)
{
    static const struct argp argp = {
        .parser = parse_file,
        .args_doc = "FILE",
        .doc = "Puts the backup FILE in place of the store, while nobody owns it. Copying files by hand instead is how "
               "databases get corrupted: a copy laid over a crashed one replays the old log."};
    struct input input = {0};
    cli_parse(&argp, argc, argv, &input);
    char *path = database_path();
    if (!path || !*path) {
        cli_error("which store? name its file with --store");
        free(path);
        return CLI_USAGE;
    }
    struct failure failure = {0};
    int status = file_restore(input.file, path, &failure);
    int code = cli_report_status(CLI_READS, status, 0, failure.message);
    free(path);
    return cli_finish(code);
}

static void print_finding(void *context, bool is_notice, const char *line)
{
    (void)context;
    if (cli_common.json) {
        json_t *object = json_pack("{s:s,s:s}", "level", is_notice ? "notice" : "error", "text", line);
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
    } else {
        printf("%s: %s\n", is_notice ? "notice" : "error", line);
    }
}

int cli_verify(int argc, char **argv)
{
    static const struct argp argp = {
        .doc =
            "Checks the database: SQLite's own integrity check, and that every invariant of the schema holds. Prints "
            "one line a finding; rows of an old layout that were left as they are come as notices."};
    cli_parse(&argp, argc, argv, NULL);
    char *path = database_path();
    if (!path || !*path) {
        cli_error("verify needs the database file: name it with --store");
        free(path);
        return CLI_USAGE;
    }
    struct failure failure = {0};
    int status = file_verify(path, print_finding, NULL, &failure);
    int code = cli_report_status(CLI_READS, status, 0, failure.message);
    free(path);
    return cli_finish(code);
}
