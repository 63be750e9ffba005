/*
 * main.c - stigstore-reader: answers the broker's reads from a read-only connection.
 *
 * It attaches to the database when the broker's HELLO says that a writer is ready, and anew when the file was replaced.
 * Thread: one.
 */
#include "actor/actor.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "reader/batches.h"
#include "reader/streams.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    IDLE_MS = 10,          /* without work, then a kept snapshot is let go: sooner than a checkpoint gives up */
    ATTACH_AGAIN_MS = 200, /* after a failed attempt */
    END_MS = 2000,         /* for open lists, once asked to end */
    SEND_MARK = 8,         /* answers may be large */
};
/* For point reads. What is mapped stays when somebody commits, the cache does not; a disk that fails under it ends this
 * process, which is started again. */
#define CACHE_BYTES  (16 * MIB)
#define MAPPED_BYTES (64 * MIB)

struct settings {
    const char *path, *endpoint;
    uint64_t max_data_bytes, snapshot_seconds, supervisor_pid;
    int ready_fd;
};

struct reader_actor {
    const struct settings *settings;
    struct worker *worker;
    struct health *health;
    struct batches *batches;
    struct streams *streams;
    struct reader *reader; /* NULL: not attached */
    uint64_t life, epoch, connection, attaches;
    bool must_look; /* the store that HELLO names may be another than ours */
    bool was_ready, complained;
    int64_t attach_ns, work_ns, health_ns, end_ns; /* end_ns 0: not asked to end */
    int signal_fd, ready_fd;
};

/* ---- the command line ---- */

static _Noreturn void usage(const char *wrong)
{
    fprintf(stderr,
            "stigstore-reader: %s\n"
            "usage: stigstore-reader --db PATH --endpoint ipc://PATH [--max-data-bytes N] [--snapshot-seconds N]\n",
            wrong);
    exit(ACTOR_EXIT_USAGE);
}

static void parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    if (!actor_parse_number(text, least, most, number))
        usage("a number is missing or out of bounds");
}

static struct settings parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"db", required_argument, NULL, 'd'},
        {"endpoint", required_argument, NULL, 'e'},
        {"max-data-bytes", required_argument, NULL, 'm'},
        {"snapshot-seconds", required_argument, NULL, 's'},
        {"supervised", required_argument, NULL, 'p'},
        {"ready-fd", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    struct settings settings = {.ready_fd = -1};
    uint64_t fd;
    for (int letter; (letter = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (letter) {
        case 'd':
            settings.path = optarg;
            break;
        case 'e':
            settings.endpoint = optarg;
            break;
        case 'm':
            parse_number(optarg, 1, LIMIT_DATA_BYTES_MOST, &settings.max_data_bytes);
            break;
        case 's':
            parse_number(optarg, 1, 86400, &settings.snapshot_seconds);
            break;
        case 'p':
            parse_number(optarg, 1, INT32_MAX, &settings.supervisor_pid);
            break;
        case 'r':
            parse_number(optarg, 0, INT32_MAX, &fd);
            settings.ready_fd = (int)fd;
            break;
        default:
            usage("unknown option");
        }
    }
    if (optind != argc || !settings.path || !settings.endpoint)
        usage("--db and --endpoint are needed, and nothing else");
    return settings;
}

/* ---- attaching ---- */

static void tell_state(struct reader_actor *self)
{
    const struct storage_identity *identity = reader_identity(self->reader);
    struct worker_state state = {
        .role = ROLE_READER,
        .life = self->life,
        .pid = (uint32_t)getpid(),
        .epoch = self->epoch,
        .max_data_bytes = self->settings->max_data_bytes ? self->settings->max_data_bytes : LIMIT_DATA_BYTES,
        .snapshot_ms =
            self->settings->snapshot_seconds ? (uint32_t)self->settings->snapshot_seconds * 1000 : LIMIT_SNAPSHOT_MS,
        .device = identity->device,
        .inode = identity->inode,
        .path = span_text(self->settings->path),
        .status = span_text(health_json(self->health)),
    };
    memcpy(state.boot_id, identity->boot_id, sizeof state.boot_id);
    memcpy(state.incarnation, identity->incarnation, sizeof state.incarnation);
    worker_set_state(self->worker, &state);
}

static void report(struct reader_actor *self)
{
    struct batches_counters *reads = batches_counters(self->batches);
    const struct streams_counters *lists = streams_counters(self->streams);
    health_begin(self->health, self->end_ns ? "draining" : self->reader ? "ready" : "starting");
    health_text(self->health, "path", self->settings->path);
    health_number(self->health, "messages", (double)reads->messages);
    health_number(self->health, "requests", (double)reads->requests);
    health_number(self->health, "refused", (double)reads->refused);
    health_number(self->health, "attaches", (double)self->attaches);
    health_number(self->health, "bad_messages", (double)worker_bad_messages(self->worker));
    health_number(self->health, "backlog_bytes", (double)worker_backlog_bytes(self->worker));
    health_number(self->health, "streams_open", (double)streams_count(self->streams));
    health_number(self->health, "streams_opened", (double)lists->opened);
    health_number(self->health, "streams_refused", (double)lists->refused);
    health_number(self->health, "streams_cancelled", (double)lists->cancelled);
    health_number(self->health, "streams_expired", (double)lists->expired);
    health_number(self->health, "stream_pieces", (double)lists->pieces);
    latency_report(&reads->latency, self->health);
    health_end(self->health);
    self->health_ns = clock_deadline_ns(HEALTH_PERIOD_MS);
    if (self->reader)
        tell_state(self);
}

static void detach(struct reader_actor *self)
{
    streams_end_all(self->streams, self->worker, STATUS_SNAPSHOT_EXPIRED);
    reader_free(&self->reader);
    self->attach_ns = 0;
}

static bool is_store_of(const struct reader_actor *self, const struct hello *hello)
{
    return memcmp(reader_identity(self->reader)->incarnation, hello->incarnation, INCARNATION_BYTES) == 0;
}

static int attach_failed(struct reader_actor *self, int status, const char *message)
{
    if (!self->complained)
        actor_log(LOG_LEVEL_WARNING, "%s", message);
    self->complained = true;
    self->attach_ns = clock_deadline_ns(ATTACH_AGAIN_MS);
    return status;
}

static int attach(struct reader_actor *self, const struct hello *hello)
{
    struct failure failure = {0};
    const struct reader_options options = {
        .path = self->settings->path,
        .keep_snapshots = true,
        .cache_bytes = CACHE_BYTES,
        .mapped_bytes = MAPPED_BYTES,
        .max_data_bytes = self->settings->max_data_bytes,
        .snapshot_ms = (uint32_t)self->settings->snapshot_seconds * 1000,
        .log = actor_log_sink,
    };
    int status = reader_new(&options, &self->reader, &failure);
    if (status != STATUS_OK)
        return attach_failed(self, status, failure.message);
    if (!is_store_of(self, hello)) {
        reader_free(&self->reader);
        return attach_failed(self, STATUS_UNAVAILABLE, "the writer serves another store than this path leads to");
    }
    self->epoch = hello->writer_epoch;
    self->complained = false;
    self->attaches++;
    report(self);
    actor_ready(&self->ready_fd);
    self->was_ready = true;
    return STATUS_OK;
}

/* It would be the same after a restart. */
static bool is_hopeless(int status)
{
    return status == STATUS_UNSUPPORTED || status == STATUS_CORRUPT || status == STATUS_PERMISSION_DENIED;
}

/* Follows the writer: attaches when it is ready, lets go of a file that is no longer its store. */
static int follow(struct reader_actor *self)
{
    const struct hello *hello = worker_hello(self->worker);
    if (self->reader && !reader_is_current(self->reader))
        detach(self);
    if (!hello || hello->writer_epoch == 0)
        return STATUS_OK;
    if (self->reader && hello->writer_epoch != self->epoch) {
        if (!is_store_of(self, hello)) {
            detach(self);
        } else {
            self->epoch = hello->writer_epoch;
            tell_state(self);
        }
    }
    if (self->reader || clock_boot_ns() < self->attach_ns)
        return STATUS_OK;
    int status = attach(self, hello);
    return is_hopeless(status) && !self->was_ready ? status : STATUS_OK;
}

/* ---- work ---- */

static void take(struct reader_actor *self, struct worker_message *message)
{
    const struct envelope *envelope = &message->envelope;
    switch (envelope->type) {
    case MESSAGE_READ:
        if (envelope->flags & ENVELOPE_STREAM)
            break;
        batches_add(self->batches, self->worker, message);
        return;
    case MESSAGE_CREDIT:
        streams_credit(self->streams, envelope->ticket, envelope->bytes);
        break;
    case MESSAGE_CANCEL:
        streams_cancel(self->streams, envelope->ticket);
        break;
    default:
        worker_reply(self->worker, message, STATUS_UNSUPPORTED, NULL, 0, 0);
    }
    if (envelope->type == MESSAGE_READ)
        streams_open(self->streams, self->worker, self->reader, message);
    worker_message_free(message);
}

/* Takes what has arrived, waiting for the first message only. */
static int take_arrived(struct reader_actor *self, int64_t until_ns)
{
    struct worker_message message;
    int status = worker_next(self->worker, until_ns, self->signal_fd, &message);
    while (status == STATUS_OK) {
        self->work_ns = clock_boot_ns();
        take(self, &message);
        if (batches_are_full(self->batches))
            break;
        status = worker_next(self->worker, 0, -1, &message);
    }
    return status;
}

/* What an earlier connection asked for, the broker has given to others by now. */
static void notice_connection(struct reader_actor *self)
{
    if (self->connection == worker_connection(self->worker))
        return;
    self->connection = worker_connection(self->worker);
    streams_end_all(self->streams, self->worker, STATUS_OK);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t due_ns(const struct reader_actor *self)
{
    int64_t due = earlier(self->health_ns, streams_due_ns(self->streams, self->worker));
    if (self->reader && reader_holds_snapshot(self->reader))
        due = earlier(due, self->work_ns + IDLE_MS * NS_PER_MS);
    const struct hello *hello = worker_hello(self->worker);
    if (!self->reader && hello && hello->writer_epoch)
        due = earlier(due, self->attach_ns);
    return self->end_ns ? earlier(due, self->end_ns) : due;
}

static void housekeep(struct reader_actor *self)
{
    int64_t now_ns = clock_boot_ns();
    if (self->reader && reader_holds_snapshot(self->reader) && now_ns >= self->work_ns + IDLE_MS * NS_PER_MS)
        reader_release(self->reader);
    if (now_ns >= self->health_ns)
        report(self);
}

static void begin_end(struct reader_actor *self)
{
    if (self->end_ns)
        return;
    self->end_ns = clock_deadline_ns(END_MS);
    report(self);
}

/* Asked to end: when nothing has arrived and no list is open, or the time for it is up. */
static bool may_end(const struct reader_actor *self, int taken)
{
    if (!self->end_ns)
        return false;
    return clock_boot_ns() >= self->end_ns || (taken != STATUS_OK && streams_count(self->streams) == 0);
}

static int run(struct reader_actor *self)
{
    for (;;) {
        bool ends_soon = self->end_ns && streams_count(self->streams) == 0;
        int taken = take_arrived(self, ends_soon ? 0 : due_ns(self));
        notice_connection(self);
        if (taken == STATUS_CLOSED || actor_signal(self->signal_fd))
            begin_end(self);
        if (follow(self) != STATUS_OK)
            return ACTOR_EXIT_REFUSED;
        batches_answer(self->batches, self->worker, self->reader);
        streams_serve(self->streams, self->worker);
        housekeep(self);
        if (may_end(self, taken))
            break;
    }
    streams_end_all(self->streams, self->worker, STATUS_SNAPSHOT_EXPIRED);
    worker_goodbye(self->worker);
    return ACTOR_EXIT_OK;
}

/* ---- start and end ---- */

/* Large sorts go beside the database, not to a /tmp in memory. */
static void set_temporary_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    setenv("SQLITE_TMPDIR", folder[0] ? folder : "/", 1);
}

static int prepare(struct reader_actor *self, struct failure *failure)
{
    uint64_t data_bytes = self->settings->max_data_bytes;
    size_t answer_bytes = data_bytes + MIB > LIMIT_MESSAGE_BYTES ? data_bytes + MIB : LIMIT_MESSAGE_BYTES;
    random_bytes(&self->life, sizeof self->life);
    self->batches = batches_new(answer_bytes);
    self->streams = streams_new((uint32_t)self->settings->snapshot_seconds * 1000);
    if (!self->batches || !self->streams)
        return failure_set(failure, STATUS_NO_MEMORY, "no memory to begin with");
    int status = health_new(self->settings->endpoint, "reader", self->life, &self->health, failure);
    if (status == STATUS_OK)
        status = worker_new(self->settings->endpoint, SEND_MARK, &self->worker, failure);
    return status;
}

int main(int argc, char **argv)
{
    struct settings settings = parse(argc, argv);
    struct failure failure = {0};
    struct reader_actor self = {.settings = &settings, .ready_fd = settings.ready_fd};
    self.signal_fd = actor_start("stigstore-reader", (long)settings.supervisor_pid);
    storage_own_process();
    set_temporary_folder(settings.path);
    int code = ACTOR_EXIT_REFUSED;
    if (prepare(&self, &failure) == STATUS_OK) {
        report(&self);
        code = run(&self);
    } else {
        actor_log(LOG_LEVEL_ERROR, "%s", failure.message);
    }
    streams_free(&self.streams);
    reader_free(&self.reader);
    batches_free(&self.batches);
    worker_free(&self.worker);
    health_free(&self.health);
    return code;
}
