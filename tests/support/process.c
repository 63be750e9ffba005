/*
 * process.c - processes of a test.
 */
#include "tests/support/process.h"

#include "tests/support/cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *program_path(const char *name)
{
    char *path = NULL;
    if (strchr(name, '/'))
        return strdup(name);
    return asprintf(&path, "%s/%s", STIGSTORE_BIN_DIR, name) > 0 ? path : NULL;
}

static void redirect(int from, int to, int flags)
{
    int fd = from >= 0 ? from : open("/dev/null", flags);
    if (fd != to)
        dup2(fd, to);
}

static void become(const char *path, const char *const *arguments, int in, int out, int errors, int keep_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    redirect(in, STDIN_FILENO, O_RDONLY);
    if (out != -1)
        redirect(out, STDOUT_FILENO, O_WRONLY);
    if (errors >= 0 || out == -2)
        redirect(errors, STDERR_FILENO, O_WRONLY);
    if (keep_fd >= 0)
        fcntl(keep_fd, F_SETFD, 0);
    execv(path, (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static pid_t start(const char *const *arguments, int in, int out, int errors, int keep_fd)
{
    char *path = program_path(arguments[0]);
    assert_non_null(path);
    pid_t pid = fork();
    if (pid == 0)
        become(path, arguments, in, out, errors, keep_fd);
    assert_true(pid > 0);
    free(path);
    return pid;
}

pid_t process_start(const char *const *arguments, int in, int out, int keep_fd)
{
    return start(arguments, in, out, -1, keep_fd);
}

int process_wait(pid_t pid, int timeout_s)
{
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(pid_fd >= 0);
    struct pollfd poll_fd = {.fd = pid_fd, .events = POLLIN};
    int ready = poll(&poll_fd, 1, timeout_s * 1000);
    close(pid_fd);
    int status = 0;
    if (ready <= 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_join(pid_t pid)
{
    int code = process_wait(pid, 60);
    if (code < 0) {
        kill(pid, SIGABRT);
        process_wait(pid, 10);
        fail_msg("process %ld did not end", (long)pid);
    }
    return code;
}

struct reading {
    int fd;
    char *text;
    size_t size;
};

static void read_some(struct reading *reading)
{
    char *larger = realloc(reading->text, reading->size + 65536 + 1);
    assert_non_null(larger);
    reading->text = larger;
    ssize_t got = read(reading->fd, larger + reading->size, 65536);
    if (got <= 0) {
        close(reading->fd);
        reading->fd = -1;
    } else {
        reading->size += (size_t)got;
    }
    reading->text[reading->size] = '\0';
}

/* Feeds `input` and gathers both outputs until all three pipes are closed. */
static void exchange(int in, struct reading *out, struct reading *errors, const char *input, size_t left)
{
    signal(SIGPIPE, SIG_IGN);
    while (in >= 0 || out->fd >= 0 || errors->fd >= 0) {
        if (in >= 0 && left == 0) {
            close(in);
            in = -1;
        }
        struct pollfd fds[3] = {{in, POLLOUT, 0}, {out->fd, POLLIN, 0}, {errors->fd, POLLIN, 0}};
        if (poll(fds, 3, 60000) <= 0)
            break;
        if (fds[0].revents) {
            ssize_t wrote = write(in, input, left < 65536 ? left : 65536);
            input += wrote > 0 ? wrote : 0;
            left = wrote > 0 ? left - (size_t)wrote : 0;
        }
        if (fds[1].revents)
            read_some(out);
        if (fds[2].revents)
            read_some(errors);
    }
}

struct output process_run(const char *const *arguments, const void *input, size_t input_size)
{
    int in[2], out[2], errors[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    pid_t pid = start(arguments, in[0], out[1], errors[1], -1);
    close(in[0]);
    close(out[1]);
    close(errors[1]);
    struct reading text = {.fd = out[0], .text = calloc(1, 1)}, messages = {.fd = errors[0], .text = calloc(1, 1)};
    exchange(in[1], &text, &messages, input, input_size);
    return (struct output){.code = process_join(pid), .text = text.text, .size = text.size, .errors = messages.text};
}

void output_free(struct output *output)
{
    free(output->text);
    free(output->errors);
    *output = (struct output){0};
}

/* True when /proc/PID belongs to a living child of `parent` that runs `program`. */
static bool is_child(const char *pid, pid_t parent, const char *program)
{
    char path[300], line[512] = "", link[512] = "";
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(line, sizeof(line), file))
        line[0] = '\0';
    if (file)
        fclose(file);
    const char *behind = strrchr(line, ')');
    char state = 0;
    long of = 0;
    if (!behind || sscanf(behind + 1, " %c %ld", &state, &of) != 2 || of != parent || state == 'Z')
        return false;
    snprintf(path, sizeof(path), "/proc/%s/exe", pid);
    ssize_t size = readlink(path, link, sizeof(link) - 1);
    const char *name = size > 0 ? strrchr(link, '/') : NULL;
    return name && strcmp(name + 1, program) == 0;
}

size_t process_children(pid_t parent, const char *program, pid_t *pids, size_t most)
{
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_child(entry->d_name, parent, program)) {
            if (count < most)
                pids[count] = (pid_t)strtol(entry->d_name, NULL, 10);
            count++;
        }
    }
    closedir(proc);
    return count;
}

void wait_until(bool (*reached)(void *context), void *context, int timeout_s, const char *what)
{
    for (int left_ms = timeout_s * 1000; !reached(context); left_ms -= 5) {
        if (left_ms <= 0)
            fail_msg("did not come: %s", what);
        poll(NULL, 0, 5);
    }
}
