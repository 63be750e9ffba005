/*
 * serve.c - `stigstore serve`: settings from flags, environment and file, then the supervisor.
 */
#include "actor/actor.h"
#include "cli/cli.h"
#include "cli/serve_config.h"
#include "cli/supervisor.h"
#include "client/locate.h"
#include "proto/limits.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_SETTING = 0x200, KEY_CONFIG = 0x300, KEY_PRINT, KEY_READY_FD };

static const struct argp_option options[] = {
#define SERVE_SETTING_OPTION(field, name, standard, argument, help) \
    {name, KEY_SETTING + SERVE_##field, argument, 0, help, 0},
    SERVE_SETTINGS(SERVE_SETTING_OPTION)
#undef SERVE_SETTING_OPTION
        {"config", KEY_CONFIG, "FILE", 0, "read settings from there, as name = value; flags and environment come first",
         0},
    {"print-config", KEY_PRINT, NULL, 0, "print the settings as such a file, and end", 0},
    {"ready-fd", KEY_READY_FD, "N", OPTION_HIDDEN, "write READY to that descriptor when the service is", 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

struct input {
    struct serve_config flags; /* the last of two equal flags counts */
    const char *file;
    bool print;
    uint64_t ready_fd;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct input *input = state->input;
    if (key >= KEY_SETTING && key < KEY_SETTING + SERVE_SETTING_COUNT) {
        free(input->flags.values[key - KEY_SETTING]);
        input->flags.values[key - KEY_SETTING] = strdup(argument);
        return input->flags.values[key - KEY_SETTING] ? 0 : ENOMEM;
    }
    switch (key) {
    case KEY_CONFIG:
        input->file = argument;
        return 0;
    case KEY_PRINT:
        input->print = true;
        return 0;
    case KEY_READY_FD:
        if (!cli_number(argument, INT_MAX, &input->ready_fd))
            argp_error(state, "--ready-fd takes a descriptor");
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "too many arguments: '%s'", argument);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_line(void *context, int level, const char *line)
{
    (void)context;
    if (level <= LOG_LEVEL_NOTICE)
        cli_error("%s", line);
}

/* The folder this program was started from: its actors lie beside it. */
static const char *own_folder(char *out, size_t out_bytes)
{
    ssize_t size = readlink("/proc/self/exe", out, out_bytes - 1);
    if (size <= 0)
        return NULL;
    out[size] = '\0';
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
    return out;
}

static int gather(struct serve_config *config, const char *file, struct failure *failure)
{
    int status = serve_config_environment(config, failure);
    if (status == STATUS_OK && file)
        status = serve_config_file(config, file, failure);
    return status == STATUS_OK ? serve_config_defaults(config) : status;
}

struct numbers {
    uint64_t readers, max_data_bytes, snapshot_seconds;
};

static int judge(const struct serve_config *config, struct numbers *numbers, struct failure *failure)
{
    const char *durability = config->values[SERVE_durability];
    if (strcmp(durability, "full") != 0 && strcmp(durability, "normal") != 0)
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "durability is full or normal, not '%s'", durability);
    if (!*config->values[SERVE_listen] != !*config->values[SERVE_keys])
        return failure_set(failure, STATUS_INVALID_ARGUMENT, "--listen and --keys go together");
    int status = serve_config_number(config, SERVE_readers, 1, SUPERVISOR_READERS_MOST, &numbers->readers, failure);
    if (status == STATUS_OK) {
        status = serve_config_number(config, SERVE_max_data_bytes, 1, LIMIT_DATA_BYTES_MOST, &numbers->max_data_bytes,
                                     failure);
    }
    if (status == STATUS_OK)
        status = serve_config_number(config, SERVE_snapshot_seconds, 1, 86400, &numbers->snapshot_seconds, failure);
    return status;
}

/* The database and the endpoint, named or the defaults. */
static int locate(struct serve_config *config, struct failure *failure)
{
    char **database = &config->values[SERVE_db], **endpoint = &config->values[SERVE_endpoint];
    char found[LIMIT_IPC_PATH_BYTES + 64], notice[256];
    if (!**database) {
        free(*database);
        *database = locate_default_database(notice, sizeof(notice), failure);
        if (!*database)
            return failure->status;
        if (*notice)
            cli_error("%s", notice);
    }
    if (!**endpoint) {
        int status = locate_endpoint(*database, found, sizeof(found), failure);
        if (status != STATUS_OK)
            return status;
        free(*endpoint);
        *endpoint = strdup(found);
    }
    return *endpoint ? STATUS_OK : failure_set(failure, STATUS_NO_MEMORY, "out of memory");
}

struct greeting {
    const struct serve_config *config;
    const char *program;   /* as a person would type it */
    bool is_default_store; /* which the command line finds by itself */
};

static void greet(void *context)
{
    const struct greeting *greeting = context;
    const char *endpoint = greeting->config->values[SERVE_endpoint], *program = greeting->program;
    const char *option = greeting->is_default_store ? "" : " --store ";
    const char *store = greeting->is_default_store ? "" : endpoint;
    printf("stigstore %s serves %s\nlistening on %s\n\ntry, in another terminal:\n"
           "  echo hello | %s put note first%s%s\n"
           "  %s get note first%s%s\n"
           "  %s status%s%s\n",
           stigstore_version(), greeting->config->values[SERVE_db], endpoint, program, option, store, program, option,
           store, program, option, store);
    (void)fflush(stdout);
}

static int run(const struct serve_config *config, const struct numbers *numbers, bool is_default_store, int ready_fd)
{
    char folder[PATH_MAX], program[PATH_MAX + 16] = "stigstore";
    const char *own = own_folder(folder, sizeof(folder));
    if (own)
        snprintf(program, sizeof(program), "%s/stigstore", own);
    struct failure refusal = {0};
    struct greeting greeting = {config, program, is_default_store};
    struct supervisor_options supervisor = {
        .database_path = config->values[SERVE_db],
        .endpoint = config->values[SERVE_endpoint],
        .listen = config->values[SERVE_listen],
        .keys = config->values[SERVE_keys],
        .readers = (unsigned)numbers->readers,
        .durability_normal = strcmp(config->values[SERVE_durability], "normal") == 0,
        .max_data_bytes = numbers->max_data_bytes,
        .snapshot_seconds = (uint32_t)numbers->snapshot_seconds,
        .program_dir = own,
        .ready_fd = ready_fd,
        .ready = greet,
        .ready_context = &greeting,
        .refusal = &refusal,
        .log = {print_line, NULL},
    };
    actor_set_name("stigstore serve");
    int ended = supervisor_run(&supervisor);
    if (refusal.status != STATUS_OK)
        return cli_report_status(CLI_READS, refusal.status, 0, refusal.message);
    return ended == ACTOR_EXIT_OK ? CLI_OK : CLI_FAILED;
}

int cli_serve(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Runs broker, writer and readers in the foreground until SIGTERM or Ctrl-C. Every setting can also "
               "stand in "
               "the environment (STIGSTORE_MAX_DATA_BYTES) or in a file (max-data-bytes = N)."};
    struct input input = {.ready_fd = UINT64_MAX};
    cli_parse_plain(&argp, argc, argv, &input);

    struct failure failure = {0};
    struct numbers numbers = {0};
    struct serve_config *config = &input.flags;
    int status = gather(config, input.file, &failure);
    if (status == STATUS_OK && input.print) {
        serve_config_print(config, stdout);
        serve_config_clear(config);
        return cli_finish(CLI_OK);
    }
    status = status == STATUS_OK ? judge(config, &numbers, &failure) : status;
    bool is_default_store = status == STATUS_OK && !*config->values[SERVE_db] && !*config->values[SERVE_endpoint];
    status = status == STATUS_OK ? locate(config, &failure) : status;
    int code = cli_report_status(CLI_READS, status, 0, failure.message);
    if (code == CLI_OK)
        code = run(config, &numbers, is_default_store, input.ready_fd == UINT64_MAX ? -1 : (int)input.ready_fd);
    serve_config_clear(config);
    return code;
}
