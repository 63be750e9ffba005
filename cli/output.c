/*
 * output.c - the FILE that a verb writes: whole at its path or not there at all.
 */
#include "cli/output.h"

#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Through a symbolic link: what it points to is replaced, not the link. */
static FILE *open_part(struct cli_output *output, const char *path, const struct stat *there)
{
    output->target = there ? realpath(path, NULL) : strdup(path);
    if (!output->target || asprintf(&output->part, "%s.part-%ld", output->target, (long)getpid()) < 0) {
        output->part = NULL;
        return NULL;
    }
    FILE *stream = fopen(output->part, "wxe");
    if (stream && there)
        fchmod(fileno(stream), there->st_mode & 0777);
    return stream;
}

static void clear(struct cli_output *output)
{
    free(output->target);
    free(output->part);
    *output = (struct cli_output){.stream = NULL};
}

bool cli_output_open(struct cli_output *output, const char *path)
{
    struct stat info;
    bool is_there = stat(path, &info) == 0;
    *output = (struct cli_output){.path = path};
    if (is_there && !S_ISREG(info.st_mode))
        output->stream = fopen(path, "we");
    else
        output->stream = open_part(output, path, is_there ? &info : NULL);
    if (!output->stream) {
        cli_error("cannot write %s: %s", path, strerror(errno));
        clear(output);
        return false;
    }
    return true;
}

static bool finish(struct cli_output *output, bool keep)
{
    bool synced = fflush(output->stream) == 0 && (!output->part || !keep || fsync(fileno(output->stream)) == 0);
    int reason = errno;
    bool closed = fclose(output->stream) == 0;
    if (!synced)
        errno = reason;
    bool done = synced && closed;
    return done && output->part && keep ? rename(output->part, output->target) == 0 : done;
}

int cli_output_close(struct cli_output *output, int code)
{
    bool done = finish(output, code == CLI_OK);
    if (!done && code == CLI_OK) {
        cli_error("cannot write %s: %s", output->path, strerror(errno));
        code = CLI_FAILED;
    }
    if (code != CLI_OK && output->part)
        unlink(output->part);
    clear(output);
    return code;
}
