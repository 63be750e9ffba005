/*
 * watch.c - /proc of a few processes.
 */
#include "bench/watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_file(pid_t pid, const char *name, char *text, size_t room)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, room - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static uint64_t status_kib(pid_t pid, const char *field)
{
    char text[4096];
    const char *at = read_file(pid, "status", text, sizeof(text)) ? strstr(text, field) : NULL;
    return at ? strtoull(at + strlen(field), NULL, 10) : 0;
}

/* Fields of stat behind the name: state, parent, ... utime and stime are the 12th and 13th of them. */
static bool read_stat(pid_t pid, int *parent, double *cpu_s)
{
    char text[1024];
    unsigned long user = 0, system = 0;
    const char *at = read_file(pid, "stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;
    if (!at || sscanf(at + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", parent, &user, &system) != 3)
        return false;
    *cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static bool add(struct watch_process *process, pid_t pid, const char *name)
{
    char path[64];
    int parent = 0;
    *process = (struct watch_process){.pid = pid};
    snprintf(process->name, sizeof(process->name), "%s", name);
    snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        /* 5: the peak of resident memory begins anew (proc(5)). Where that is refused the peak is the process's. */
        if (write(fd, "5", 1) != 1)
            process->peak_kib = 0;
        close(fd);
    }
    process->begin_kib = status_kib(pid, "VmRSS:");
    return read_stat(pid, &parent, &process->cpu_s);
}

/* "stigstore-writer", of which the kernel keeps 15 characters. */
static const char *actor_name(const char *comm)
{
    static const char *const names[] = {"broker", "writer", "reader"};
    const char prefix[] = "stigstore-";
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strncmp(comm, prefix, sizeof(prefix) - 1) == 0 && strncmp(comm + sizeof(prefix) - 1, names[i], 5) == 0)
            return names[i];
    return NULL;
}

static size_t add_actors(pid_t service, struct watch_process *processes, size_t room)
{
    DIR *folder = opendir("/proc");
    size_t count = 0;
    for (struct dirent *entry; folder && count < room && (entry = readdir(folder));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        char comm[64];
        int parent = 0;
        double cpu_s = 0;
        if (pid <= 0 || !read_stat(pid, &parent, &cpu_s) || parent != service ||
            !read_file(pid, "comm", comm, sizeof(comm)))
            continue;
        const char *name = actor_name(comm);
        count += name && add(&processes[count], pid, name);
    }
    if (folder)
        closedir(folder);
    return count;
}

size_t watch_begin(pid_t service, struct watch_process processes[WATCH_MOST])
{
    size_t count = add(&processes[0], getpid(), "bench");
    return service > 0 ? count + add_actors(service, processes + count, WATCH_MOST - count) : count;
}

void watch_end(struct watch_process *processes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int parent = 0;
        double cpu_s = 0;
        processes[i].peak_kib = status_kib(processes[i].pid, "VmHWM:");
        processes[i].cpu_s = read_stat(processes[i].pid, &parent, &cpu_s) ? cpu_s - processes[i].cpu_s : 0;
    }
}
