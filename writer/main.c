/*
 * main.c - stigstore-writer: owns the database for writing and applies what the broker brings.
 */
#include "actor/actor.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "storage/lock.h"
#include "writer/service.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOCK_WAIT_MS = 3000, LOCK_AGAIN_MS = 20 };

struct settings {
    const char *path, *endpoint;
    uint64_t max_data_bytes, snapshot_seconds, supervisor_pid;
    int ready_fd;
    bool durability_normal, take_over;
};

/* ---- the command line ---- */

enum { KEY_DURABILITY = 256, KEY_MAX_DATA, KEY_SNAPSHOT, KEY_TAKE_OVER, KEY_SUPERVISED, KEY_READY };

static const struct argp_option options[] = {
    {.name = "db", .key = 'd', .arg = "PATH", .doc = "The database file"},
    {.name = "endpoint", .key = 'e', .arg = "ipc://PATH", .doc = "Where the broker serves clients"},
    {.name = "durability",
     .key = KEY_DURABILITY,
     .arg = "full|normal",
     .doc = "normal: a commit survives any process's death, but not a power cut"},
    {.name = "max-data-bytes", .key = KEY_MAX_DATA, .arg = "N", .doc = "Largest data of a resource (4 MiB)"},
    {.name = "snapshot-seconds", .key = KEY_SNAPSHOT, .arg = "N", .doc = "What readers keep lists for (30)"},
    {.name = "take-over", .key = KEY_TAKE_OVER, .doc = "Serve a database that others served and did not stop cleanly"},
    {.name = "supervised", .key = KEY_SUPERVISED, .arg = "PID", .doc = "End with this parent, which owns the database"},
    {.name = "ready-fd", .key = KEY_READY, .arg = "N", .doc = "Write READY there once it serves"},
    {0},
};

static void parse_number(struct argp_state *state, const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    if (!actor_parse_number(text, least, most, number))
        argp_error(state, "%s is no number from %llu to %llu", text, (unsigned long long)least,
                   (unsigned long long)most);
}

static void parse_durability(struct argp_state *state, const char *text, struct settings *settings)
{
    settings->durability_normal = strcmp(text, "normal") == 0;
    if (!settings->durability_normal && strcmp(text, "full") != 0)
        argp_error(state, "--durability is full or normal");
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    uint64_t number = 0;

    switch (key) {
    case 'd':
        settings->path = text;
        break;
    case 'e':
        settings->endpoint = text;
        break;
    case KEY_DURABILITY:
        parse_durability(state, text, settings);
        break;
    case KEY_MAX_DATA:
        parse_number(state, text, 1, LIMIT_DATA_BYTES_MOST, &settings->max_data_bytes);
        break;
    case KEY_SNAPSHOT:
        parse_number(state, text, 1, 86400, &settings->snapshot_seconds);
        break;
    case KEY_TAKE_OVER:
        settings->take_over = true;
        break;
    case KEY_SUPERVISED:
        parse_number(state, text, 1, INT32_MAX, &settings->supervisor_pid);
        break;
    case KEY_READY:
        parse_number(state, text, 0, INT32_MAX, &number);
        settings->ready_fd = (int)number;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "what is %s?", text);
        break;
    case ARGP_KEY_END:
        if (!settings->path || !settings->endpoint)
            argp_error(state, "--db and --endpoint are needed");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static struct settings parse(int argc, char **argv)
{
    static const struct argp argp = {.options = options,
                                     .parser = parse_option,
                                     .doc = "Applies mutations to one stigstore database, for the broker at an "
                                            "endpoint."};
    struct settings settings = {
        .ready_fd = -1, .max_data_bytes = LIMIT_DATA_BYTES, .snapshot_seconds = LIMIT_SNAPSHOT_MS / 1000};

    argp_program_version = "stigstore-writer " STIGSTORE_VERSION;
    argp_err_exit_status = ACTOR_EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &settings);
    return settings;
}

/* ---- owning the database ---- */

static int say_taken(const struct lock_holder *holder, int status, struct failure *failure)
{
    if (status != STATUS_BUSY)
        return failure_set(failure, status, "the lock beside the database: %s", status_text(status));
    return failure_set(failure, status, "process %lld on %s has the database", (long long)holder->pid,
                       holder->host[0] ? holder->host : "this host");
}

/* A predecessor may still be dying. */
static int take_byte(struct lock *lock, enum lock_byte byte, struct failure *failure)
{
    int64_t until_ns = clock_deadline_ns(LOCK_WAIT_MS);
    struct lock_holder holder = {.mode = LOCK_NOBODY};
    int status;

    while ((status = lock_take(lock, byte, &holder)) == STATUS_BUSY && clock_boot_ns() < until_ns)
        nanosleep(&(struct timespec){.tv_nsec = LOCK_AGAIN_MS * NS_PER_MS}, NULL);
    return status == STATUS_OK ? status : say_taken(&holder, status, failure);
}

/* Standalone actors own the database even while none of theirs runs, until they were stopped in order. */
static int judge_owner(struct lock *lock, const struct settings *settings, struct failure *failure)
{
    struct lock_holder holder = {.mode = LOCK_NOBODY};

    lock_is_held(lock, LOCK_OWNER, &holder);
    if (settings->take_over || holder.mode != LOCK_STANDALONE || holder.stopped_cleanly ||
        memcmp(holder.boot_id, clock_boot_id(), sizeof holder.boot_id) != 0 ||
        strcmp(holder.endpoint, settings->endpoint) == 0)
        return STATUS_OK;
    return failure_set(failure, STATUS_UNAVAILABLE,
                       "actors at %s serve this database and were not stopped cleanly; --take-over ends their claim",
                       holder.endpoint);
}

static int own(struct lock *lock, const struct settings *settings, struct failure *failure)
{
    struct lock_holder self;
    int status;

    if (settings->supervisor_pid)
        return take_byte(lock, LOCK_WRITER, failure);
    status = take_byte(lock, LOCK_OWNER, failure);
    if (status == STATUS_OK)
        status = judge_owner(lock, settings, failure);
    if (status == STATUS_OK)
        status = take_byte(lock, LOCK_WRITER, failure);
    if (status != STATUS_OK)
        return status;
    lock_holder_self(&self, LOCK_STANDALONE, settings->endpoint);
    return lock_describe(lock, &self, failure);
}

static void say_stopped(struct lock *lock, const struct settings *settings)
{
    struct lock_holder self;
    struct failure failure;

    if (settings->supervisor_pid)
        return;
    lock_holder_self(&self, LOCK_STANDALONE, settings->endpoint);
    self.stopped_cleanly = true;
    if (lock_describe(lock, &self, &failure) != STATUS_OK)
        actor_log(LOG_LEVEL_WARNING, "%s", failure.message);
}

/* ---- serving ---- */

static int open_writer(const struct settings *settings, struct writer **writer, struct failure *failure)
{
    const struct storage_options storage_options = {.path = settings->path,
                                                    .access = STORAGE_FOR_WRITING,
                                                    .create = true,
                                                    .durability_normal = settings->durability_normal,
                                                    .max_data_bytes = settings->max_data_bytes,
                                                    .log = actor_log_sink};
    const struct writer_options writer_options = {.max_data_bytes = settings->max_data_bytes, .log = actor_log_sink};
    struct storage *storage = NULL;
    int status = storage_open_sqlite(&storage_options, &storage, failure);

    if (status == STATUS_OK)
        status = writer_new(&storage, &writer_options, writer, failure);
    /* The lock is ours, so what is busy is some other program's transaction, and that passes. */
    return status == STATUS_BUSY ? STATUS_IO_ERROR : status;
}

/* The exit code that says whether another attempt may fare better. */
static int give_up(int status, const struct failure *failure)
{
    actor_log(LOG_LEVEL_ERROR, "%s", failure->message);
    switch (status) {
    case STORAGE_UNKNOWN:
    case STATUS_IO_ERROR:
    case STATUS_NO_MEMORY:
    case STATUS_STORAGE_FULL:
        return ACTOR_EXIT_FAILED;
    default:
        return ACTOR_EXIT_REFUSED;
    }
}

static int serve(const struct settings *settings, struct writer *writer, int signal_fd)
{
    const struct service_options service = {.endpoint = settings->endpoint,
                                            .max_data_bytes = settings->max_data_bytes,
                                            .snapshot_ms = (uint32_t)settings->snapshot_seconds * 1000,
                                            .signal_fd = signal_fd,
                                            .ready_fd = settings->ready_fd};
    struct failure failure = {.status = STATUS_OK};

    switch (service_run(&service, writer, &failure)) {
    case SERVICE_ASKED:
        return ACTOR_EXIT_OK;
    case SERVICE_MOVED:
        actor_log(LOG_LEVEL_ERROR, "%s is no longer the file that was opened", settings->path);
        return ACTOR_EXIT_FAILED;
    case SERVICE_UNKNOWN:
        actor_log(LOG_LEVEL_ERROR, "whether the last commit is on disk is not known: nothing of it is answered");
        return ACTOR_EXIT_FAILED;
    default:
        return give_up(failure.status, &failure);
    }
}

static int run(const struct settings *settings, int signal_fd)
{
    struct failure failure = {.status = STATUS_OK};
    struct writer *writer = NULL;
    struct lock *lock = NULL;
    int status = lock_open(settings->path, true, &lock, &failure);
    int code;

    if (status == STATUS_OK)
        status = own(lock, settings, &failure);
    if (status == STATUS_OK)
        status = open_writer(settings, &writer, &failure);
    code = status == STATUS_OK ? serve(settings, writer, signal_fd) : give_up(status, &failure);
    if (writer && writer_end(writer) == STORAGE_UNKNOWN)
        code = ACTOR_EXIT_FAILED;
    writer_free(&writer);
    if (code == ACTOR_EXIT_OK)
        say_stopped(lock, settings);
    lock_free(&lock);
    return code;
}

/* Large sorts go beside the database, not to a /tmp in memory. */
static void set_temporary_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    setenv("SQLITE_TMPDIR", folder[0] ? folder : "/", 1);
}

int main(int argc, char **argv)
{
    struct settings settings = parse(argc, argv);
    int signal_fd = actor_start("stigstore-writer", (long)settings.supervisor_pid);

    storage_own_process();
    if (storage_sqlite_warning())
        actor_log(LOG_LEVEL_WARNING, "%s", storage_sqlite_warning());
    set_temporary_folder(settings.path);
    return run(&settings, signal_fd);
}
