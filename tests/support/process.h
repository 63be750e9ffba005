/*
 * process.h - start the real programs, wait for them without sleeping, find their children.
 */
#ifndef TESTS_SUPPORT_PROCESS_H
#define TESTS_SUPPORT_PROCESS_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Starts `arguments[0]` (a path, or a name in STIGSTORE_BIN_DIR); it dies with the test. `in`, `out`: descriptors for
 * standard input and output, -1: /dev/null and the test's own; -2 as `out`: standard error is thrown away too.
 * `keep_fd`: one more descriptor that it inherits, -1: none. */
pid_t process_start(const char *const *arguments, int in, int out, int keep_fd);
/* Waits up to `timeout_s`; the exit code, 128 + signal, or -1 when it still runs. */
int process_wait(pid_t pid, int timeout_s);
/* process_wait, and fails the test when it still runs. */
int process_join(pid_t pid);

/* Runs a program to its end with `input` on standard input (NULL: nothing). */
struct output {
    int code;
    char *text; /* standard output, NUL-terminated; the caller frees it */
    size_t size;
    char *errors; /* standard error */
};
struct output process_run(const char *const *arguments, const void *input, size_t input_size);
void output_free(struct output *output);

/* The children of `parent` whose program is `program`; how many there are in all, up to `most` into `pids`. */
size_t process_children(pid_t parent, const char *program, pid_t *pids, size_t most);
/* Waits until `reached(context)`, looking every few milliseconds, or fails the test after `timeout_s`. */
void wait_until(bool (*reached)(void *context), void *context, int timeout_s, const char *what);
#endif
