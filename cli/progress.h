/*
 * progress.h - one line on a terminal that tells how far a long verb is; nothing when standard error is no terminal.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;
    uint64_t total; /* 0: not known */
    int64_t shown_ns;
    bool on_terminal;
};
struct progress progress_start(const char *what, uint64_t total);
/* Redraws at most ten times a second. */
void progress_update(struct progress *progress, uint64_t done, uint64_t items);
void progress_end(struct progress *progress);
#endif
