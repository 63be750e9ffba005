/*
 * lines.c - command lines that nobody would write: each ends with an exit code of the command's own, and what is wrong
 * with it is told in one line.
 *
 *     lines --seed N --runs N [--programs DIR] [--expect-crash]
 */
#include "tests/fault/dice.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"

#include <argp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MOST = 6, LONG_BYTES = 5000, CODE_MOST = 6, USAGE = 2 };

static struct options {
    uint64_t seed, runs;
    const char *programs;
    bool expect_crash;
} options = {.seed = 1, .runs = 300, .programs = STIGSTORE_BIN_DIR};

/* Not those that stay (serve, demo, bench). */
static const char *const verbs[] = {"put",       "get",    "stat",    "list",     "count",  "delete",
                                    "audit",     "audit",  "import",  "export",   "backup", "verify",
                                    "restore",   "status", "keygen",  "revoke",   "list",   "put",
                                    "authorize", "audit",  "version", "nonsense", ""};
static char long_word[LONG_BYTES + 1];
static const char *const takers[] = {"--limit", "--if-revision", "--timeout",    "--tag",
                                     "--hash",  "--prefix",      "--after",      "--store",
                                     "--role",  "--name",        "--server-key", "--idempotency-key"};
static const char *const values[] = {"0",
                                     "7",
                                     "18446744073709551615",
                                     "18446744073709551616",
                                     "99999999999999999999999",
                                     "-1",
                                     "",
                                     "nan",
                                     "1e-3",
                                     "0x1",
                                     "a",
                                     "\xff",
                                     "\xc3\xa9",
                                     "%n%s%s",
                                     "s.sqlite",
                                     "-",
                                     "../up",
                                     "what://ever",
                                     "missing/x",
                                     long_word};
static const char *const words[] = {
    "skill",
    "a",
    "save",
    "get",
    "list",
    "delete",
    "b/c",
    "",
    "-",
    "--",
    "--json",
    "--keys",
    "--all",
    "--data",
    "--limit=",
    "--if-absent",
    "--if-exists",
    "--require-resource",
    "--replace",
    "--take-over",
    "--no-such-thing",
    "--li",
    "-x",
    "--usage",
    "--help",
    "in",
    "s.sqlite",
    ".hidden",
};

static const char *pick(struct dice *dice, const char *const *from, size_t count)
{
    return from[dice_roll(dice, (uint32_t)count)];
}

static size_t lines_of(const char *text)
{
    size_t count = 0;
    for (; (text = strchr(text, '\n')); text++)
        count++;
    return count;
}

static void show(const char *const *line, const struct output *output)
{
    printf("exit %d:", output->code);
    for (size_t i = 1; line[i]; i++)
        printf(" '%.60s'", line[i]);
    printf("\n%.500s", output->errors);
}

/* False: it crashed, or said too much or nothing. */
static bool try_line(struct dice *dice, const char *program)
{
    const char *line[WORDS_MOST + 4] = {program, pick(dice, verbs, sizeof verbs / sizeof verbs[0])};
    size_t end = 2 + dice_roll(dice, WORDS_MOST);
    for (size_t at = 2; at < end; at++) {
        if (dice_roll(dice, 2)) {
            line[at] = pick(dice, words, sizeof words / sizeof words[0]);
            continue;
        }
        line[at++] = pick(dice, takers, sizeof takers / sizeof takers[0]);
        line[at] = pick(dice, values, sizeof values / sizeof values[0]);
    }
    struct output output = process_run(line, "some data", 9);
    bool fine = output.code <= CODE_MOST && (output.code != USAGE || lines_of(output.errors) == 1);
    if (!fine)
        show(line, &output);
    output_free(&output);
    return fine;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    (void)state;
    switch (key) {
    case 's':
        options.seed = strtoull(text, NULL, 10);
        return 0;
    case 'r':
        options.runs = strtoull(text, NULL, 10);
        return 0;
    case 'p':
        options.programs = text;
        return 0;
    case 'x':
        options.expect_crash = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int count, char **arguments)
{
    static const struct argp_option all[] = {
        {"seed", 's', "N", 0, "what lines are drawn from (1)", 0},
        {"runs", 'r', "N", 0, "how many lines (300)", 0},
        {"programs", 'p', "DIR", 0, "where the command is", 0},
        {"expect-crash", 'x', NULL, 0, "fail unless a line breaks it", 0},
        {0},
    };
    static const struct argp argp = {.options = all, .parser = parse, .doc = "Command lines that nobody would write."};
    argp_parse(&argp, count, arguments, 0, NULL, NULL);
    printf("--seed %" PRIu64 "\n", options.seed);
    struct dice dice = {options.seed};
    char *named = folder_path(options.programs, "stigstore"), *program = realpath(named, NULL);
    assert_true(program && access(program, X_OK) == 0);
    char *folder = folder_new(), *store = folder_path(folder, "s.sqlite");
    bool fine = true;
    memset(long_word, 'w', LONG_BYTES);
    setenv("STIGSTORE_URL", store, 1);
    setenv("HOME", folder, 1);
    assert_int_equal(chdir(folder), 0); /* some verbs write files */
    for (uint64_t i = 0; fine && i < options.runs; i++)
        fine = try_line(&dice, program);
    printf(fine ? "%" PRIu64 " lines, nothing found\n" : "found within %" PRIu64 " lines\n", options.runs);
    assert_int_equal(chdir("/"), 0);
    free(store);
    free(program);
    free(named);
    folder_remove(&folder);
    return fine == options.expect_crash;
}
