/*
 * main.c - the stigstore command: finds the verb and runs it.
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

const struct cli_verb cli_verbs[] = {
    {"serve", "run the service in the foreground", cli_serve},
    {"put", "save a resource", cli_put},
    {"get", "print a resource's bytes", cli_get},
    {"stat", "print a resource's metadata", cli_stat},
    {"list", "list the resources of a kind", cli_list},
    {"count", "count the resources of a kind", cli_count},
    {"delete", "delete one resource, a prefix or a kind", cli_delete},
    {"audit", "save, get, list or delete archived versions", cli_audit},
    {"import", "load resources and versions from a file", cli_import},
    {"export", "write resources and versions to a file", cli_export},
    {"backup", "copy the store while it is in use", cli_backup},
    {"restore", "put a backup in place of the store", cli_restore},
    {"verify", "check the database file", cli_verify},
    {"status", "show the service's actors and counters", cli_status},
    {"keygen", "make a pair of keys for tcp", cli_keygen},
    {"authorize", "let a key in, as reader, writer or admin", cli_authorize},
    {"revoke", "let a key in no more", cli_revoke},
    {"bench", "load a store and measure it", cli_bench},
    {"demo", "a tour on a temporary store", cli_demo},
    {"version", "print the version", cli_version},
    {NULL, NULL, NULL},
};

static const char *const main_name = "stigstore";

static char *help_text(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC)
        return (char *)(uintptr_t)text;
    char *out = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&out, &size);
    if (!memory)
        return NULL;
    fputs("Verbs (`stigstore VERB --help` says more):\n", memory);
    for (const struct cli_verb *verb = cli_verbs; verb->name; verb++)
        fprintf(memory, "  %-9s %s\n", verb->name, verb->summary);
    fputs("\nExit codes: 0 done; 1 not found; 2 usage; 3 conflict; 4 try again later;\n"
          "5 failed; 6 not known whether it was applied\n(retry with the same idempotency key).",
          memory);
    return fclose(memory) ? NULL : out;
}

static const struct cli_verb *find_verb(const char *name)
{
    for (const struct cli_verb *verb = cli_verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .args_doc = "VERB [ARGUMENT...]", .doc = "A resource store for one host.\v", .help_filter = help_text};
    argv[0] = (char *)(uintptr_t)main_name;
    int verb_at = cli_parse_verb(&argp, argc, argv);

    const struct cli_verb *verb = find_verb(argv[verb_at]);
    if (!verb) {
        cli_error("no verb '%s'; `stigstore --help` lists them", argv[verb_at]);
        return CLI_USAGE;
    }
    char name[64];
    snprintf(name, sizeof(name), "stigstore %s", verb->name);
    argv[verb_at] = name;
    return verb->run(argc - verb_at, argv + verb_at);
}

int cli_version(int argc, char **argv)
{
    static const struct argp argp = {.doc = "Prints the version."};
    cli_parse_plain(&argp, argc, argv, NULL);
    printf("%s\n", stigstore_version());
    return cli_finish(CLI_OK);
}
