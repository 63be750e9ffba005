/*
 * health_collect.c - reads the health files of a service, and clears away those of the dead.
 *
 * The files are another process' word: sizes and shapes are checked, what is none of ours is left out.
 */
#include "actor/actor.h"
#include "actor/health.h"
#include "proto/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPORT_BYTES_MOST = 64 * 1024, REPORTS_MOST = 1024, LEFT_MS = 60000 };

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0;
}

/* The file as a JSON object with the members that every report has; NULL for anything else. */
static json_t *read_report(int folder_fd, const char *name, char *buffer)
{
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    struct stat info;
    json_t *report = NULL;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= REPORT_BYTES_MOST) {
        ssize_t size = read(fd, buffer, REPORT_BYTES_MOST);
        report = size > 0 ? json_loadb(buffer, (size_t)size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    }
    close(fd);
    if (json_is_string(json_object_get(report, "actor")) && json_is_string(json_object_get(report, "state")) &&
        json_is_integer(json_object_get(report, "pid")) && json_is_integer(json_object_get(report, "time_ms")))
        return report;
    json_decref(report);
    return NULL;
}

/* Calls `visit` with each report in the folder of `endpoint`. */
static void each_report(const char *endpoint,
                        void (*visit)(void *context, int folder_fd, const char *name, json_t *report), void *context)
{
    char folder[PATH_MAX];
    char *buffer = malloc(REPORT_BYTES_MOST);
    DIR *directory =
        endpoint_folder(endpoint, "/health", folder, sizeof folder, NULL) == STATUS_OK ? opendir(folder) : NULL;
    const struct dirent *entry;
    for (int seen = 0; buffer && directory && seen < REPORTS_MOST && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, ".json"))
            continue;
        seen++;
        json_t *report = read_report(dirfd(directory), entry->d_name, buffer);
        if (report)
            visit(context, dirfd(directory), entry->d_name, report);
        json_decref(report);
    }
    if (directory)
        closedir(directory);
    free(buffer);
}

struct collection {
    json_t *actors;
    int64_t now_ms;
    bool broker, writer, stale;
};

static void collect_one(void *context, int folder_fd, const char *name, json_t *report)
{
    (void)folder_fd;
    (void)name;
    struct collection *collection = context;
    int64_t time_ms = json_integer_value(json_object_get(report, "time_ms"));
    bool sane = time_ms > 0 && time_ms < INT64_MAX / 2;
    int64_t age_ms = sane ? collection->now_ms - time_ms : INT64_MAX;
    bool fresh = age_ms <= HEALTH_STALE_MS && age_ms >= -HEALTH_STALE_MS; /* from the future: the clock was set back */
    const char *actor = json_string_value(json_object_get(report, "actor"));
    collection->broker |= fresh && strcmp(actor, "broker") == 0;
    collection->writer |= fresh && strcmp(actor, "writer") == 0;
    collection->stale |= !fresh;
    json_object_set_new(report, "age_ms", json_integer(age_ms));
    json_object_set_new(report, "fresh", json_boolean(fresh));
    if (!fresh)
        json_object_set_new(report, "state", json_string("unknown"));
    json_array_append(collection->actors, report);
}

char *health_collect(const char *endpoint, bool *all_fresh)
{
    struct collection collection = {.actors = json_array(), .now_ms = clock_wall_ms()};
    each_report(endpoint, collect_one, &collection);
    *all_fresh = collection.broker && collection.writer && !collection.stale;
    json_t *whole = json_pack("{s:o}", "actors", collection.actors);
    char *text = json_dumps(whole, JSON_COMPACT);
    json_decref(whole);
    return text;
}

struct removal {
    pid_t pid;
    const char *actor; /* with `pid`: only files of this role; NULL: of any */
    int64_t now_ms;
    bool whole_host;
    char host[65];
};

static bool is_left(const struct removal *removal, int folder_fd, const char *name, const json_t *report)
{
    const char *host = json_string_value(json_object_get(report, "host"));
    json_int_t pid = json_integer_value(json_object_get(report, "pid"));
    bool here = host && strcmp(host, removal->host) == 0;
    const char *actor = json_string_value(json_object_get(report, "actor"));
    if (removal->whole_host)
        return here;
    bool role = !removal->actor || (actor && strcmp(actor, removal->actor) == 0);
    if (removal->pid != 0)
        return here && pid == removal->pid && role;
    if (here && pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return true;
    struct stat info;
    return fstatat(folder_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           removal->now_ms - (int64_t)info.st_mtime * 1000 > LEFT_MS;
}

static void remove_one(void *context, int folder_fd, const char *name, json_t *report)
{
    if (!is_left(context, folder_fd, name, report))
        return;
    char other[NAME_MAX + 2];
    unlinkat(folder_fd, name, 0);
    snprintf(other, sizeof other, "%.*s.prom", (int)(strlen(name) - strlen(".json")), name);
    unlinkat(folder_fd, other, 0);
}

static void remove_left(const char *endpoint, struct removal removal)
{
    removal.now_ms = clock_wall_ms();
    gethostname(removal.host, sizeof removal.host - 1);
    each_report(endpoint, remove_one, &removal);
}

void health_remove_left(const char *endpoint, pid_t pid)
{
    remove_left(endpoint, (struct removal){.pid = pid});
}

void health_remove_here(const char *endpoint)
{
    remove_left(endpoint, (struct removal){.whole_host = true});
}

void health_remove_former(const char *endpoint, const char *actor)
{
    remove_left(endpoint, (struct removal){.pid = getpid(), .actor = actor});
}
