/*
 * errors.c - every call on files and every allocation of short stories fails in turn, once, and from then on.
 *
 *     errors [--story NAME] [--kind NAME] [--every N] [--n N] [--control NAME] [--verbose]
 *
 * Each story is told once to count what it does, then once for each call of each kind, each error that it can meet, and
 * both modes.  --every takes each N-th alone.  With --control something is wrong on purpose: the program then succeeds
 * when that is found.
 */
#include "tests/fault/errors/errors.h"
#include "proto/clock.h"
#include "proto/status.h"
#include "storage/file.h"
#include "tests/fault/disk/place.h"
#include "tests/fault/errors/memory.h"
#include "tests/fault/wrap.h"

#include <errno.h>
#include <getopt.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct errors errors;
const char *errors_control;
static int64_t skipped_ns; /* time that has gone by */

static struct {
    const char *story, *kind;
    long every, only;
    bool is_verbose;
    unsigned long told, met;
    void (*begin)(void);
    bool is_patient;
} run = {.every = 1, .only = -1};

static const char *kind_name(int kind)
{
    return kind == ERROR_MEMORY ? "memory" : call_names[kind];
}

/* ---- the fault ---- */

static void set_failing(bool fails)
{
    calls.fails = fails && errors.kind < CALLS;
    memory.fails = fails && errors.kind == ERROR_MEMORY;
    memory.counts = errors.depth > 0;
}

void errors_enter(void)
{
    if (errors.depth++ == 0)
        set_failing(!errors.counting && !errors.healed);
}

void errors_leave(void)
{
    if (--errors.depth == 0)
        set_failing(false);
}

bool errors_met(void)
{
    return errors.kind == ERROR_MEMORY ? memory.has_failed : calls.has_failed;
}

void errors_heal(void)
{
    errors.healed = true;
}

/* ---- time ---- */

int64_t errors_boot_ns(void) INSTEAD_OF(clock_boot_ns);
int64_t real_boot_ns(void) REAL(clock_boot_ns);
int64_t errors_deadline_ns(uint32_t timeout_ms) INSTEAD_OF(clock_deadline_ns);
int64_t real_deadline_ns(uint32_t timeout_ms) REAL(clock_deadline_ns);

int64_t errors_boot_ns(void)
{
    return real_boot_ns() + skipped_ns;
}

int64_t errors_deadline_ns(uint32_t timeout_ms)
{
    int64_t deadline_ns = real_deadline_ns(timeout_ms);

    return deadline_ns == INT64_MAX ? deadline_ns : deadline_ns + skipped_ns;
}

void errors_pass_second(void)
{
    skipped_ns += NS_PER_S + NS_PER_MS;
}

/* ---- findings ---- */

bool errors_is_control(const char *name)
{
    return errors_control && strcmp(errors_control, name) == 0;
}

void errors_wrong(const char *format, ...)
{
    va_list arguments;

    errors.depth = 0;
    set_failing(false);
    va_start(arguments, format);
    fputs(errors_control ? "caught: " : "WRONG: ", stderr);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nin --story %s --kind %s --n %ld (%s, %s), at %s\n", errors.story, kind_name(errors.kind),
            errors.n, errors.error ? strerrorname_np(errors.error) : "none", errors.stays ? "stays" : "once",
            errors.act ? errors.act : "the end");
    if (run.is_verbose)
        fprintf(stderr, "the files are left in %s\n", place_root());
    else
        place_remove();
    va_end(arguments);
    fflush(NULL);
    _exit(errors_control ? 0 : 1);
}

static bool is_of_space(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

static bool is_clear(int status)
{
    switch (status) {
    case STATUS_NO_MEMORY:
        return errors.kind == ERROR_MEMORY || errors.error == ENOMEM;
    case STATUS_STORAGE_FULL:
        /* Of a rollback journal, which a new file and a copy have until they are in WAL mode, and of shared memory
         * SQLite tells no errno. And where the reserve cannot be made the file may not grow. */
        return is_of_space(errors.error) || errors.kind == CALL_OPEN || errors.kind == CALL_TRUNCATE ||
               (errors.kind == CALL_WRITE &&
                (strncmp(errors.act, "open", 4) == 0 || strcmp(errors.act, "backup") == 0));
    case STATUS_IO_ERROR:
        return true;
    default:
        return false;
    }
}

void errors_check_status(int status, const char *message)
{
    if (status >= 0 && status < (int)(sizeof errors.statuses / sizeof *errors.statuses))
        errors.statuses[status]++;
    if (!errors_met())
        errors_wrong("%s without a fault: %s", status_name(status), message);
    if (!is_clear(status))
        errors_wrong("the fault is answered %s: %s", status_name(status), message);
}

static void keep_first(void *context, bool is_notice, const char *line)
{
    char *first = context;

    if (!is_notice && !first[0])
        snprintf(first, 200, "%s", line);
}

void errors_verify(const char *path)
{
    char first[200] = "";
    struct failure failure = {0};
    int status = file_verify(path, keep_first, first, &failure);

    if (status != STATUS_OK)
        errors_wrong("%s: verify says %s: %s", path, status_name(status), first[0] ? first : failure.message);
}

/* ---- telling ---- */

static void tell(const struct story *story)
{
    long in_use;

    place_clear();
    if (mkdir(place_root(), 0700) != 0)
        abort();
    calls_watch(place_root(), false);
    if (errors.kind < CALLS)
        calls_fail((enum call)errors.kind, errors.error, errors.n, errors.stays);
    calls.fails = false;
    memory.has_failed = false;
    memory.before = errors.n;
    memory.stays = errors.stays;
    memory.met = 0;
    errors.healed = false;
    errors.act = NULL;
    snprintf(errors.path, sizeof errors.path, "%s/store.sqlite", place_root());
    if (run.begin)
        run.begin();
    in_use = memory_in_use();
    story->tell();
    if (errors.depth)
        abort();
    if (memory_in_use() != in_use && !errors.counting)
        errors_wrong("memory is left over: %ld, before it %ld", memory_in_use(), in_use);
    run.told++;
}

/* For every n until it is past the end. */
static void fail_each(const struct story *story, int kind, int error, bool stays)
{
    unsigned long before = run.met;

    errors.kind = kind;
    errors.error = error;
    errors.stays = stays;
    for (errors.n = run.only >= 0 ? run.only : 0;; errors.n += run.every) {
        tell(story);
        if (!errors_met())
            break;
        run.met++;
        if (run.only >= 0)
            break;
    }
    if (run.is_verbose)
        printf("%s, %s, %s, %s: %lu\n", story->name, kind_name(kind), strerrorname_np(error), stays ? "stays" : "once",
               run.met - before);
}

static void fail_kind(const struct story *story, int kind)
{
    static const int causes[ERROR_KINDS][4] = {
        [CALL_WRITE] = {EIO, ENOSPC, EDQUOT},
        [CALL_SYNC] = {EIO, ENOSPC},
        [CALL_READ] = {EIO},
        [CALL_OPEN] = {EIO, ENOSPC, EDQUOT},
        [CALL_TRUNCATE] = {EIO, ENOSPC, EDQUOT},
        [CALL_MAP] = {ENOMEM},
        [CALL_UNLINK] = {EIO},
        [CALL_RENAME] = {EIO, ENOSPC, EDQUOT},
        [ERROR_MEMORY] = {ENOMEM},
    };

    for (int i = 0; i < 4 && causes[kind][i]; i++)
        for (int stays = 0; stays < (run.is_patient ? 1 : 2); stays++)
            fail_each(story, kind, causes[kind][i], stays);
}

/* Nothing fails, twice: the first time things are set up that stay. */
static void count(const struct story *story)
{
    errors.counting = true;
    errors.kind = ERROR_MEMORY;
    tell(story);
    tell(story);
    errors.counting = false;
    printf("%-20s", story->name);
    for (int i = 0; i < CALLS; i++)
        printf(" %s %ld,", call_names[i], calls.met[i]);
    printf(" memory %lu\n", memory.met);
    fflush(stdout);
}

static void run_stories(const struct story_book *book)
{
    run.begin = book->begin;
    run.is_patient = book->is_patient;
    for (const struct story *story = book->stories; story->name; story++) {
        if (run.story && strcmp(run.story, story->name) != 0)
            continue;
        errors.story = story->name;
        count(story);
        for (int kind = 0; kind < ERROR_KINDS; kind++)
            if (!run.kind || strcmp(run.kind, kind_name(kind)) == 0)
                fail_kind(story, kind);
    }
}

static void report(void)
{
    printf("%lu times told, %lu faults met; answered:", run.told, run.met);
    for (size_t i = 0; i < sizeof errors.statuses / sizeof *errors.statuses; i++)
        if (errors.statuses[i])
            printf(" %s %lu", status_name((int)i), errors.statuses[i]);
    printf("\n");
}

static long number_of(const char *text, long least)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (*end || number < least) {
        fprintf(stderr, "%s: a number from %ld on\n", text, least);
        exit(2);
    }
    return number;
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {{"story", required_argument, NULL, 's'},
                                            {"kind", required_argument, NULL, 'k'},
                                            {"every", required_argument, NULL, 'e'},
                                            {"n", required_argument, NULL, 'n'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 's':
            run.story = optarg;
            break;
        case 'k':
            run.kind = optarg;
            break;
        case 'e':
            run.every = number_of(optarg, 1);
            break;
        case 'n':
            run.only = number_of(optarg, 0);
            break;
        case 'c':
            errors_control = optarg;
            break;
        case 'v':
            run.is_verbose = true;
            break;
        default:
            exit(2);
        }
}

static bool is_known(const char *control)
{
    static const char *const names[] = {"half-list", "wrong-status", "swallowed-write", "leak", "stuck"};
    bool known = false;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        known |= strcmp(names[i], control) == 0;
    return known;
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    if (errors_control && !is_known(errors_control)) {
        fprintf(stderr, "%s: no such control\n", errors_control);
        return 2;
    }
    memory_install();
    place_make();
    for (const struct story_book *book = story_books; book->stories; book++)
        run_stories(book);
    place_remove();
    report();
    if (errors_control)
        fprintf(stderr, "control %s was not caught\n", errors_control);
    return errors_control != NULL || (run.met == 0 && !run.kind);
}
