/*
 * journal.c - journals of the processes of a fault test.
 */
#include "tests/fault/process/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const complaint_names[COMPLAINTS] = {"",         "lost",    "twice",      "part",   "order",
                                                        "revision", "refused", "unanswered", "status", "stale",
                                                        "intruder", "file",    "service",    "leak"};

const char *complaint_name(uint32_t complaint)
{
    return complaint < COMPLAINTS ? complaint_names[complaint] : "";
}

uint32_t complaint_of_name(const char *name)
{
    for (uint32_t i = 1; i < COMPLAINTS; i++)
        if (strcmp(name, complaint_names[i]) == 0)
            return i;
    return 0;
}

static void die(const char *what, const char *path)
{
    fprintf(stderr, "%s %s: ", what, path);
    perror(NULL);
    exit(1);
}

static void journal_path(const char *folder, uint64_t handle, char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "%s/journal-%" PRIu64, folder, handle);
}

int64_t journal_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct journal journal_open(const char *folder, uint64_t handle)
{
    char path[256];
    journal_path(folder, handle, path, sizeof(path));
    struct journal journal = {open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600), handle};
    if (journal.fd < 0)
        die("cannot open", path);
    return journal;
}

void journal_close(struct journal *journal)
{
    close(journal->fd);
    journal->fd = -1;
}

void journal_note(const struct journal *journal, struct journal_record record)
{
    record.handle = journal->handle;
    record.time_ns = journal_now_ns();
    if (write(journal->fd, &record, sizeof(record)) != (ssize_t)sizeof(record))
        die("cannot append to", "a journal");
}

void journal_complain(const struct journal *journal, uint32_t complaint, uint64_t number, const char *format, ...)
{
    struct journal_record record = {.event = EVENT_COMPLAINT, .complaint = complaint, .number = number};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(record.text, sizeof(record.text), format, arguments);
    va_end(arguments);
    journal_note(journal, record);
}

struct journal_record *journal_read(const char *folder, uint64_t handle, size_t *count)
{
    char path[256];
    struct stat info;
    *count = 0;
    journal_path(folder, handle, path, sizeof(path));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) /* its process was killed before it began */
        return NULL;
    if (fd < 0 || fstat(fd, &info) != 0)
        die("cannot read", path);
    size_t bytes = (size_t)info.st_size - (size_t)info.st_size % sizeof(struct journal_record);
    struct journal_record *records = malloc(bytes + 1);
    if (!records || pread(fd, records, bytes, 0) != (ssize_t)bytes)
        die("cannot read", path);
    close(fd);
    *count = bytes / sizeof(*records);
    return records;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

uint64_t *journal_handles(const char *folder, size_t *count)
{
    DIR *entries = opendir(folder);
    uint64_t *handles = NULL;
    *count = 0;
    if (!entries)
        die("cannot list", folder);
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (strncmp(entry->d_name, "journal-", 8) != 0)
            continue;
        handles = realloc(handles, (*count + 1) * sizeof(*handles));
        if (!handles)
            die("no memory for", folder);
        handles[(*count)++] = strtoull(entry->d_name + 8, NULL, 10);
    }
    closedir(entries);
    if (handles)
        qsort(handles, *count, sizeof(*handles), by_number);
    return handles;
}
