/*
 * decode.c - finds the .proto files below a folder and runs protoc --decode on a message.
 */
#include "cli/decode.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST_FILES = 1024 };

struct arguments {
    char *list[MOST_FILES + 4];
    int count;
};

static bool add_argument(struct arguments *arguments, char *text)
{
    if (!text || arguments->count >= MOST_FILES + 3) {
        free(text);
        return false;
    }
    arguments->list[arguments->count++] = text;
    return true;
}

static void free_arguments(struct arguments *arguments)
{
    while (arguments->count > 0)
        free(arguments->list[--arguments->count]);
}

static bool is_proto(const FTSENT *entry)
{
    const char *dot = strrchr(entry->fts_name, '.');
    return entry->fts_info == FTS_F && dot && strcmp(dot, ".proto") == 0;
}

/* Every .proto below the folder: protoc wants to be told the files, not only the folder. */
static bool add_files(struct arguments *arguments, const char *folder)
{
    char *const roots[] = {(char *)(uintptr_t)folder, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    bool done = tree != NULL;
    bool found = false;
    for (FTSENT *entry; done && (entry = fts_read(tree));) {
        if (is_proto(entry)) {
            done = add_argument(arguments, strdup(entry->fts_path));
            found = true;
        }
    }
    if (tree)
        fts_close(tree);
    if (!found)
        cli_error("no .proto file below %s", folder);
    return done && found;
}

static bool write_fully(int fd, stigstore_bytes bytes)
{
    const char *at = bytes.data;
    size_t left = bytes.size;
    while (left > 0) {
        ssize_t wrote = write(fd, at, left);
        if (wrote < 0 && errno != EINTR)
            return false;
        at += wrote > 0 ? wrote : 0;
        left -= wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

static int run_protoc(char *const *arguments, stigstore_bytes message)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        cli_error("cannot make a pipe: %s", strerror(errno));
        return CLI_FAILED;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[0], STDIN_FILENO);
    pid_t pid = 0;
    int error = posix_spawnp(&pid, "protoc", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[0]);
    if (error) {
        close(pipe_fds[1]);
        cli_error("cannot run protoc: %s; install the package protobuf-compiler", strerror(error));
        return CLI_FAILED;
    }
    /* protoc may end before it has read everything; its exit status tells. */
    signal(SIGPIPE, SIG_IGN);
    write_fully(pipe_fds[1], message);
    close(pipe_fds[1]);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CLI_OK : CLI_FAILED;
}

int decode_print(const char *type, const char *folder, stigstore_bytes message)
{
    folder = folder ? folder : ".";
    struct arguments arguments = {.count = 0};
    char *decode = NULL, *path = NULL;
    if (asprintf(&decode, "--decode=%s", type) < 0)
        decode = NULL;
    if (asprintf(&path, "--proto_path=%s", folder) < 0)
        path = NULL;
    bool ready = add_argument(&arguments, strdup("protoc"));
    ready = add_argument(&arguments, decode) && ready;
    ready = add_argument(&arguments, path) && ready;
    ready = ready && add_files(&arguments, folder);
    arguments.list[arguments.count] = NULL;
    int code = ready ? run_protoc(arguments.list, message) : CLI_FAILED;
    free_arguments(&arguments);
    return code;
}
