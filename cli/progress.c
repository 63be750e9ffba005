/*
 * progress.c - the progress line of import, export and the like.
 */
#include "cli/progress.h"

#include "proto/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR_COLUMNS = 30, REDRAW_MS = 100 };

struct progress progress_start(const char *what, uint64_t total)
{
    return (struct progress){.what = what, .total = total, .on_terminal = isatty(STDERR_FILENO) == 1};
}

void progress_update(struct progress *progress, uint64_t done, uint64_t items)
{
    int64_t now = progress->on_terminal ? clock_boot_ns() : 0;
    if (!progress->on_terminal || now - progress->shown_ns < REDRAW_MS * NS_PER_MS)
        return;
    progress->shown_ns = now;
    if (progress->total == 0) {
        fprintf(stderr, "\r%s: %" PRIu64 " records", progress->what, items);
        return;
    }
    uint64_t part = done < progress->total ? done : progress->total;
    int filled = (int)(part * BAR_COLUMNS / progress->total);
    fprintf(stderr, "\r%s [%.*s%*s] %3d%% %" PRIu64 " records", progress->what, filled,
            "##############################", BAR_COLUMNS - filled, "", (int)(part * 100 / progress->total), items);
}

void progress_end(struct progress *progress)
{
    if (progress->on_terminal && progress->shown_ns)
        fputs("\r\033[K", stderr);
}
