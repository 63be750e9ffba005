/* supervise_children.c - forks and execs the actors. */
#include "cli/supervise_children.h"
#include "actor/actor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The shadow memory of a sanitizer counts as data; such a build runs without the bound. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BOUND_MEMORY 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BOUND_MEMORY 0
#endif
#endif
#ifndef BOUND_MEMORY
#define BOUND_MEMORY 1
#endif

enum { ARGUMENTS_MOST = 20 };

struct command {
    char program[PATH_MAX + NAME_MAX];
    const char *arguments[ARGUMENTS_MOST]; /* ends with NULL */
    size_t count;
    char pid[24], ready_fd[16], max_data_bytes[24], snapshot_seconds[16];
};

const char *process_name(enum supervise_role role)
{
    static const char *const names[] = {"stigstore-broker", "stigstore-writer", "stigstore-reader"};
    return names[role];
}

static void add(struct command *command, const char *name, const char *value)
{
    command->arguments[command->count++] = name;
    command->arguments[command->count++] = value;
}

static void add_max_data_bytes(struct command *command, const struct supervisor_options *options)
{
    if (!options->max_data_bytes)
        return;
    snprintf(command->max_data_bytes, sizeof command->max_data_bytes, "%" PRIu64, options->max_data_bytes);
    add(command, "--max-data-bytes", command->max_data_bytes);
}

static void add_of_broker(struct command *command, const struct supervisor_options *options)
{
    add_max_data_bytes(command, options);
    if (!options->listen || options->listen[0] == '\0')
        return;
    add(command, "--listen", options->listen);
    if (options->keys && options->keys[0] != '\0')
        add(command, "--keys", options->keys);
}

static void add_of_worker(struct command *command, enum supervise_role role, const struct supervisor_options *options)
{
    add(command, "--db", options->database_path);
    if (role == SUPERVISE_WRITER)
        add(command, "--durability", options->durability_normal ? "normal" : "full");
    add_max_data_bytes(command, options);
    if (options->snapshot_seconds) {
        snprintf(command->snapshot_seconds, sizeof command->snapshot_seconds, "%" PRIu32, options->snapshot_seconds);
        add(command, "--snapshot-seconds", command->snapshot_seconds);
    }
}

static void make_command(struct command *command, enum supervise_role role, const struct supervisor_options *options,
                         int ready_fd)
{
    memset(command, 0, sizeof *command);
    snprintf(command->program, sizeof command->program, "%s/%s", options->program_dir ? options->program_dir : ".",
             process_name(role));
    if (!options->program_dir || access(command->program, X_OK) != 0)
        snprintf(command->program, sizeof command->program, "%s", process_name(role));
    snprintf(command->pid, sizeof command->pid, "%ld", (long)getpid());
    snprintf(command->ready_fd, sizeof command->ready_fd, "%d", ready_fd);
    command->arguments[command->count++] = process_name(role);
    add(command, "--endpoint", options->endpoint);
    add(command, "--supervised", command->pid);
    add(command, "--ready-fd", command->ready_fd);
    if (role == SUPERVISE_BROKER)
        add_of_broker(command, options);
    else
        add_of_worker(command, role, options);
}

static void bound_memory(const struct supervisor_options *options)
{
    uint64_t bytes = options->broker_memory_bytes ? options->broker_memory_bytes : SUPERVISOR_BROKER_MEMORY_BYTES;
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
    if (BOUND_MEMORY)
        setrlimit(RLIMIT_DATA, &limit);
}

static void read_nothing(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd > STDIN_FILENO)
        dup2(fd, STDIN_FILENO);
}

/* In the child; all descriptors but the standard ones and `ready_fd` close by themselves. */
static _Noreturn void become(const struct command *command, enum supervise_role role, int ready_fd, pid_t parent,
                             const struct supervisor_options *options, const sigset_t *mask)
{
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(ACTOR_EXIT_FAILED);
    fcntl(ready_fd, F_SETFD, 0);
    read_nothing();
    if (role == SUPERVISE_BROKER)
        bound_memory(options);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(command->program, (char *const *)(uintptr_t)command->arguments);
    actor_log(LOG_LEVEL_ERROR, "cannot start %s: %s", command->program, strerror(errno));
    _exit(ACTOR_EXIT_REFUSED);
}

int process_start(struct supervise_process *process, enum supervise_role role, const struct supervisor_options *options,
                  const sigset_t *mask)
{
    int ends[2];
    struct command command;
    *process = (struct supervise_process){.ready_fd = -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    make_command(&command, role, options, ends[1]);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(&command, role, ends[1], parent, options, mask);
    int error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return error;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    process->pid = pid;
    process->ready_fd = ends[0];
    return 0;
}

static void stop_listening(struct supervise_process *process)
{
    close(process->ready_fd);
    process->ready_fd = -1;
}

bool process_heard_ready(struct supervise_process *process)
{
    static const char line[] = "READY\n";
    if (process->ready_fd < 0)
        return false;
    ssize_t size =
        read(process->ready_fd, process->heard + process->heard_bytes, sizeof line - 1 - process->heard_bytes);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    process->heard_bytes += size > 0 ? (size_t)size : 0;
    bool whole = process->heard_bytes == sizeof line - 1;
    if (whole || size <= 0)
        stop_listening(process);
    return whole && memcmp(process->heard, line, sizeof line - 1) == 0;
}

void process_forget(struct supervise_process *process)
{
    if (process->ready_fd >= 0)
        stop_listening(process);
    *process = (struct supervise_process){.ready_fd = -1};
}
