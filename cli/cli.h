/*
 * cli.h - what the verbs of the stigstore command share: common options, opening a store, errors and exit codes.
 *
 * Thread: the main one.
 * Invariant: data on standard output is never mixed with anything else; errors are one line on standard error.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H
#include "stigstore.h"

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_NOT_FOUND = 1,
    CLI_USAGE = 2,
    CLI_CONFLICT = 3,
    CLI_LATER = 4,
    CLI_FAILED = 5,
    CLI_OUTCOME_UNKNOWN = 6,
};

/* The options that every verb which opens a store takes. */
struct cli_common {
    const char *store;
    const char *server_key, *key_file;
    uint32_t timeout_ms; /* 0: the library's default */
    bool json;
    bool take_over;
};
extern struct cli_common cli_common;
extern const struct argp cli_common_argp;

/* How a verb opens its store. */
enum cli_access { CLI_READS, CLI_WRITES };

struct cli_verb {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is "stigstore NAME"; gives an exit code */
};
extern const struct cli_verb cli_verbs[]; /* ends with a NULL name */

/* Parses a verb's line with `argp`, to which the common options are added; exits on usage errors and --help. */
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);
/* The same for verbs that open no store. */
void cli_parse_plain(const struct argp *argp, int argc, char **argv, void *input);
/* The same for a line that names a verb behind its options; gives its place in `argv`. `argp` has no parser. */
int cli_parse_verb(const struct argp *argp, int argc, char **argv);

/* Opens the store that the common options name; on failure says why and exits. `flags`: stigstore options.flags. */
stigstore *cli_open(enum cli_access access, uint32_t flags);
/* The same, but gives the exit code. */
int cli_try_open(enum cli_access access, uint32_t flags, stigstore **store);

/* One line on standard error, "stigstore: ...". */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says what was wrong and what to do, and gives the exit code for the status; silent for OK and END. */
int cli_report(enum cli_access access, const stigstore_result *result);
/* The same for a status without a result. */
int cli_report_status(enum cli_access access, int status, uint32_t flags, const char *message);
/* Calls, prints a failure, gives the exit code; *result is the caller's to free. */
int cli_call(stigstore *store, enum cli_access access, const stigstore_request *request, stigstore_result **result);

/* Streams a list and hands each item to `take`, whose code other than CLI_OK ends it; reports how the list ended. */
int cli_each(stigstore *store, const stigstore_request *list, int (*take)(void *context, const stigstore_item *item),
             void *context);

/* A whole file, or standard input for NULL and "-", in malloc'ed bytes; gives the exit code, the error is printed. */
int cli_read_file(const char *path, stigstore_bytes *data);
bool cli_write_all(FILE *out, stigstore_bytes bytes);
/* Remembers why standard output failed, for cli_finish; returns `done`. */
bool cli_wrote(bool done);
/* Flushes standard output; an exit code. */
int cli_finish(int code);

/* "2026-01-20T02:05:22.000Z" */
void cli_time(int64_t ms, char out[32]);
/* Decimal without sign or rest; false when it is not. */
bool cli_number(const char *text, uint64_t most, uint64_t *number);
/* Above 0 and at most `most`; false when it is not. */
bool cli_real(const char *text, double most, double *number);
/* One item as a JSON object on a line of its own; the data in base64 when `with_data`. */
bool cli_print_json(const stigstore_item *item, bool is_audit, bool with_data);

int cli_put(int argc, char **argv);
int cli_get(int argc, char **argv);
int cli_stat(int argc, char **argv);
int cli_list(int argc, char **argv);
int cli_count(int argc, char **argv);
int cli_delete(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_import(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_backup(int argc, char **argv);
int cli_restore(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_keygen(int argc, char **argv);
int cli_authorize(int argc, char **argv);
int cli_revoke(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_version(int argc, char **argv);
#endif
