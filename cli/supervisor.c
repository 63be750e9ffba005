/* supervisor.c - the loop around supervise_state: signals, pipes and time in, processes out. */
#include "cli/supervisor.h"
#include "actor/actor.h"
#include "actor/health.h"
#include "cli/supervise_children.h"
#include "cli/supervise_state.h"
#include "proto/clock.h"
#include "storage/file.h"
#include "storage/lock.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a service that was killed leaves running ends within moments. */
enum { PREDECESSOR_MS = 3000, PREDECESSOR_SOCKET_MS = 500, PREDECESSOR_LOOK_MS = 20 };

struct supervisor {
    const struct supervisor_options *options;
    struct supervise state;
    struct supervise_process processes[SUPERVISE_CHILDREN_MOST];
    struct lock *lock;
    struct health *health;
    int64_t health_ns; /* when the next report is due */
    int signal_fd, ready_fd;
    sigset_t old_mask;
};

/* ---- systemd ---- */

/* A datagram to $NOTIFY_SOCKET; '@' begins an abstract name. */
static void notify(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!name || (name[0] != '/' && name[0] != '@') || strlen(name) >= sizeof address.sun_path)
        return;
    size_t length = strlen(name);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address, size);
    close(fd);
}

/* ---- reports ---- */

static const char *state_name(const struct supervise *state)
{
    return state->stopping ? "draining" : state->service_was_ready ? "ready" : "starting";
}

static void report(struct supervisor *self)
{
    uint64_t restarts = 0;
    unsigned readers_ready = 0;
    const struct supervise *state = &self->state;
    for (size_t i = 0; i < state->count; i++) {
        const struct supervise_child *child = &state->children[i];
        restarts += child->starts > 1 ? child->starts - 1 : 0;
        readers_ready += child->role == SUPERVISE_READER && child->phase == SUPERVISE_READY;
    }
    health_begin(self->health, state_name(state));
    health_text(self->health, "endpoint", self->options->endpoint);
    health_text(self->health, "database", self->options->database_path);
    health_number(self->health, "broker_pid", self->processes[0].pid);
    health_number(self->health, "writer_pid", self->processes[1].pid);
    health_number(self->health, "readers", (double)(state->count - 2));
    health_number(self->health, "readers_ready", readers_ready);
    health_number(self->health, "restarts", (double)restarts);
    health_end(self->health);
    self->health_ns = clock_deadline_ns(HEALTH_PERIOD_MS);
}

static void log_end(const struct supervisor *self, size_t index, struct supervise_end end)
{
    const struct supervise_child *child = &self->state.children[index];
    const char *name = process_name(child->role);
    long pid = (long)self->processes[index].pid;
    const struct log_sink *log = &self->options->log;
    bool was_ready = child->phase == SUPERVISE_READY;
    if (self->state.stopping && end.exited && end.code == 0)
        return;
    if (end.exited)
        log_line(log, LOG_LEVEL_WARNING, "%s[%ld] ended with exit code %d%s", name, pid, end.code,
                 was_ready ? "" : " before it was ready");
    else
        log_line(log, LOG_LEVEL_WARNING, "%s[%ld] was killed by signal %d%s", name, pid, end.code,
                 was_ready ? "" : " before it was ready");
}

/* ---- events ---- */

static void hear_ready(struct supervisor *self, size_t index)
{
    if (!process_heard_ready(&self->processes[index]))
        return;
    bool service_is_ready = supervise_said_ready(&self->state, index);
    report(self);
    if (!service_is_ready)
        return;
    if (self->options->ready)
        self->options->ready(self->options->ready_context);
    actor_ready(&self->ready_fd);
    notify("READY=1");
}

static void child_ended(struct supervisor *self, size_t index, int status)
{
    struct supervise_process *process = &self->processes[index];
    struct supervise_end end = {.exited = WIFEXITED(status),
                                .code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status)};
    hear_ready(self, index);
    log_end(self, index, end);
    health_remove_left(self->options->endpoint, process->pid);
    process_forget(process);
    bool was_stopping = self->state.stopping;
    supervise_ended(&self->state, index, end, clock_boot_ns());
    if (self->state.stopping && !was_stopping)
        log_line(&self->options->log, LOG_LEVEL_ERROR, "%s cannot serve; stopping",
                 process_name(self->state.children[index].role));
    report(self);
}

/* As process 1 of a container we also reap what others left behind. */
static void reap(struct supervisor *self)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < self->state.count; i++)
            if (self->processes[i].pid == pid) {
                child_ended(self, i, status);
                break;
            }
}

static void begin_stop(struct supervisor *self)
{
    if (!self->state.stopping)
        notify("STOPPING=1");
    supervise_stop(&self->state, ACTOR_EXIT_OK, clock_boot_ns());
    report(self);
}

static void take_signals(struct supervisor *self)
{
    for (int number; (number = actor_signal(self->signal_fd)) != 0;)
        if (number == SIGTERM || number == SIGINT)
            begin_stop(self);
    reap(self);
}

static void start_child(struct supervisor *self, size_t index)
{
    enum supervise_role role = self->state.children[index].role;
    int error = process_start(&self->processes[index], role, self->options, &self->old_mask);
    if (error == 0)
        return;
    log_line(&self->options->log, LOG_LEVEL_ERROR, "cannot start %s: %s", process_name(role), strerror(error));
    supervise_ended(&self->state, index, (struct supervise_end){true, ACTOR_EXIT_FAILED}, clock_boot_ns());
}

static void carry_out(struct supervisor *self)
{
    size_t index;
    enum supervise_order order;
    while ((order = supervise_next(&self->state, clock_boot_ns(), &index)) != SUPERVISE_NOTHING)
        if (order == SUPERVISE_START)
            start_child(self, index);
        else
            kill(self->processes[index].pid, order == SUPERVISE_TERMINATE ? SIGTERM : SIGKILL);
}

static void wait_for_events(struct supervisor *self)
{
    struct pollfd items[SUPERVISE_CHILDREN_MOST + 1] = {{.fd = self->signal_fd, .events = POLLIN}};
    for (size_t i = 0; i < self->state.count; i++)
        items[i + 1] = (struct pollfd){.fd = self->processes[i].ready_fd, .events = POLLIN};
    int64_t until_ns = supervise_wait_until(&self->state);
    until_ns = until_ns < self->health_ns ? until_ns : self->health_ns;
    poll(items, self->state.count + 1, clock_ms_until(until_ns, INT_MAX));
    for (size_t i = 0; i < self->state.count; i++)
        if (items[i + 1].revents)
            hear_ready(self, i);
    take_signals(self);
}

static void serve(struct supervisor *self)
{
    supervise_init(&self->state, self->options->readers, clock_boot_ns());
    for (size_t i = 0; i < self->state.count; i++)
        self->processes[i].ready_fd = -1;
    report(self);
    carry_out(self);
    while (!supervise_is_done(&self->state)) {
        wait_for_events(self);
        carry_out(self);
        if (clock_boot_ns() >= self->health_ns)
            report(self);
    }
}

/* ---- start and end ---- */

static int catch_signals(struct supervisor *self, struct failure *failure)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &set, &self->old_mask) != 0)
        return failure_set(failure, STATUS_IO_ERROR, "cannot block signals: %s", strerror(errno));
    self->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (self->signal_fd < 0)
        return failure_set(failure, STATUS_IO_ERROR, "no descriptor for signals: %s", strerror(errno));
    return STATUS_OK;
}

/* A file that is not ours is refused before a lock file is put beside it. */
static int inspect_database(const char *path, struct failure *failure)
{
    struct failure why = {.status = STATUS_UNSUPPORTED};
    char lock[PATH_MAX + sizeof ".lock"];
    snprintf(lock, sizeof lock, "%s.lock", path);
    if (access(lock, F_OK) == 0)
        return STATUS_OK;
    switch (file_inspect(path, &why)) {
    case FILE_NEWER:
    case FILE_FOREIGN:
    case FILE_BADGER:
    case FILE_DAMAGED:
        *failure = why;
        return failure->status;
    default:
        return STATUS_OK; /* what cannot be read is named by the writer */
    }
}

static int own_database(struct supervisor *self, struct failure *failure)
{
    const char *path = self->options->database_path;
    struct lock_holder holder = {0};
    int status = lock_open(path, true, &self->lock, failure);
    if (status != STATUS_OK)
        return status;
    status = lock_take(self->lock, LOCK_OWNER, &holder);
    if (status == STATUS_BUSY)
        return failure_set(failure, status, "%s is owned by process %" PRId64 "%s%s", path, holder.pid,
                           holder.endpoint[0] ? ", which serves it at " : "", holder.endpoint);
    if (status != STATUS_OK)
        return failure_set(failure, status, "cannot lock %s: %s", path, status_text(status));
    return STATUS_OK;
}

/* The lock is ours, but processes of a service that was killed may not have gone yet; a writer may be in a sync. Who
 * listens for longer belongs to another service. */
static int wait_for_predecessor(struct supervisor *self, struct failure *failure)
{
    int64_t begin_ns = clock_boot_ns();
    for (;;) {
        struct lock_holder holder = {0};
        int64_t patience_ms = PREDECESSOR_SOCKET_MS;
        int status = endpoint_check_bind(self->options->endpoint, failure);
        if (status == STATUS_OK && lock_is_held(self->lock, LOCK_WRITER, &holder)) {
            status = failure_set(failure, STATUS_BUSY, "process %" PRId64 " still writes to %s", holder.pid,
                                 self->options->database_path);
            patience_ms = PREDECESSOR_MS;
        }
        if (status != STATUS_BUSY || clock_boot_ns() - begin_ns >= patience_ms * NS_PER_MS)
            return status;
        struct pollfd item = {.fd = self->signal_fd, .events = POLLIN};
        if (poll(&item, 1, PREDECESSOR_LOOK_MS) > 0)
            return status;
    }
}

static int describe(struct supervisor *self, bool stopped_cleanly, struct failure *failure)
{
    struct lock_holder holder;
    lock_holder_self(&holder, LOCK_SERVICE, self->options->endpoint);
    holder.stopped_cleanly = stopped_cleanly;
    return lock_describe(self->lock, &holder, failure);
}

static int prepare(struct supervisor *self, struct failure *failure)
{
    uint64_t life;
    random_bytes(&life, sizeof life);
    int status = catch_signals(self, failure);
    if (status == STATUS_OK)
        status = inspect_database(self->options->database_path, failure);
    if (status == STATUS_OK)
        status = own_database(self, failure);
    if (status == STATUS_OK)
        status = wait_for_predecessor(self, failure);
    if (status == STATUS_OK) {
        /* What those before us left: they have gone, though their numbers may be in use or not be waited for yet. */
        health_remove_here(self->options->endpoint);
        status = describe(self, false, failure);
    }
    if (status == STATUS_OK)
        status = health_new(self->options->endpoint, "supervisor", life, &self->health, failure);
    return status;
}

/* A broker that was killed leaves its sockets behind. If somebody listens by now, they are not ours. */
static void remove_sockets(const char *endpoint)
{
    if (endpoint_check_bind(endpoint, NULL) != STATUS_OK)
        return;
    static const char *const suffixes[] = {"", ".workers"};
    struct stat info;
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", endpoint + strlen("ipc://"), suffixes[i]);
        if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
            unlink(path);
    }
}

static void let_go(struct supervisor *self)
{
    struct failure failure;
    remove_sockets(self->options->endpoint);
    if (describe(self, true, &failure) != STATUS_OK)
        log_line(&self->options->log, LOG_LEVEL_WARNING, "%s", failure.message);
}

int supervisor_run(const struct supervisor_options *options)
{
    assert(options->readers >= 1 && options->readers <= SUPERVISOR_READERS_MOST);
    struct supervisor *self = calloc(1, sizeof *self);
    if (!self)
        return ACTOR_EXIT_FAILED;
    *self = (struct supervisor){.options = options, .signal_fd = -1, .ready_fd = options->ready_fd};
    umask(077);
    struct failure failure = {0};
    int code = ACTOR_EXIT_REFUSED;
    if (prepare(self, &failure) == STATUS_OK) {
        serve(self);
        let_go(self);
        code = self->state.exit_code;
    } else if (options->refusal) {
        *options->refusal = failure;
    } else {
        log_line(&options->log, LOG_LEVEL_ERROR, "%s", failure.message);
    }
    health_free(&self->health);
    lock_free(&self->lock);
    if (self->signal_fd >= 0)
        close(self->signal_fd);
    free(self);
    return code;
}
