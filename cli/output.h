/*
 * output.h - the FILE that a verb writes: whole at its path or not there at all.
 *
 * A regular file is written beside its path and renamed; what is no file (a device, a pipe) is written as it is.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H
#include <stdbool.h>
#include <stdio.h>

struct cli_output {
    FILE *stream;
    const char *path;    /* borrowed */
    char *target, *part; /* NULL: written as it is */
};

/* False: an error was printed. */
bool cli_output_open(struct cli_output *output, const char *path);
/* Puts the file in place if `code` is CLI_OK, else removes what was written; gives the exit code. */
int cli_output_close(struct cli_output *output, int code);
#endif
