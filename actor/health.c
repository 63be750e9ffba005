/*
 * health.c - writes an actor's two health files.
 */
#include "actor/health.h"
#include "actor/actor.h"
#include "proto/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct health {
    char folder[PATH_MAX - 160]; /* room for names in it */
    char name[96];               /* "reader-123" */
    char actor[32];
    char host[65];
    uint64_t life;
    json_t *report; /* being made; NULL: memory was short */
    char *text;     /* the last one */
    bool complained;
};

static void path_of(const struct health *health, const char *prefix, const char *suffix, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s%s%s", health->folder, prefix, health->name, suffix);
}

/* Two containers may number their processes alike: a file that another host keeps fresh is not ours to replace. */
static void choose_name(struct health *health)
{
    char path[PATH_MAX];
    struct stat info;
    snprintf(health->name, sizeof health->name, "%s-%ld", health->actor, (long)getpid());
    path_of(health, "", ".json", path);
    if (lstat(path, &info) != 0)
        return;
    json_t *found = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    const char *host = json_string_value(json_object_get(found, "host"));
    int64_t age_ms = clock_wall_ms() - (int64_t)info.st_mtime * 1000;
    if (host && strcmp(host, health->host) != 0 && age_ms < INT64_C(2) * HEALTH_STALE_MS)
        snprintf(health->name, sizeof health->name, "%s-%ld-%08" PRIx32, health->actor, (long)getpid(),
                 (uint32_t)health->life);
    json_decref(found);
}

int health_new(const char *endpoint, const char *actor, uint64_t life, struct health **health, struct failure *failure)
{
    *health = NULL;
    struct health *self = calloc(1, sizeof *self);
    if (!self)
        return failure_set(failure, STATUS_NO_MEMORY, "no memory for health files");
    int status = endpoint_folder(endpoint, "/health", self->folder, sizeof self->folder, failure);
    if (status == STATUS_OK)
        status = endpoint_make_folder(self->folder, failure);
    if (status != STATUS_OK) {
        free(self);
        return status;
    }
    snprintf(self->actor, sizeof self->actor, "%s", actor);
    gethostname(self->host, sizeof self->host - 1);
    self->life = life;
    health_remove_left(endpoint, 0);
    health_remove_former(endpoint, actor);
    choose_name(self);
    *health = self;
    return STATUS_OK;
}

void health_free(struct health **health)
{
    struct health *self = *health;
    if (!self)
        return;
    char path[PATH_MAX];
    path_of(self, "", ".json", path);
    unlink(path);
    path_of(self, "", ".prom", path);
    unlink(path);
    json_decref(self->report);
    free(self->text);
    free(self);
    *health = NULL;
}

void health_begin(struct health *health, const char *state)
{
    char life[17];
    snprintf(life, sizeof life, "%016" PRIx64, health->life);
    json_decref(health->report);
    health->report =
        json_pack("{s:s, s:I, s:s, s:s, s:s, s:I}", "actor", health->actor, "pid", (json_int_t)getpid(), "host",
                  health->host, "life", life, "state", state, "time_ms", (json_int_t)clock_wall_ms());
}

void health_number(struct health *health, const char *name, double value)
{
    if (!isfinite(value))
        return;
    bool whole = fabs(value) < 9e15 && value == floor(value);
    json_object_set_new(health->report, name, whole ? json_integer((json_int_t)value) : json_real(value));
}

void health_text(struct health *health, const char *name, const char *value)
{
    json_t *text = json_string(value);
    json_object_set_new(health->report, name, text ? text : json_string("(not UTF-8)"));
}

static bool write_file(const struct health *health, const char *suffix, const char *text, size_t size)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    path_of(health, "", suffix, path);
    path_of(health, ".", suffix, fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool written = write(fd, text, size) == (ssize_t)size;
    int reason = written ? 0 : errno;
    close(fd);
    if (written && rename(fresh, path) == 0)
        return true;
    reason = reason ? reason : errno;
    unlink(fresh);
    errno = reason;
    return false;
}

static char *prometheus_text(const struct health *health, size_t *size)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, size);
    if (!stream)
        return NULL;
    const char *name;
    json_t *value;
    fprintf(stream, "# TYPE stigstore_%s_up gauge\nstigstore_%s_up{pid=\"%ld\"} 1\n", health->actor, health->actor,
            (long)getpid());
    json_object_foreach(health->report, name, value)
    {
        if (!json_is_number(value) || strcmp(name, "pid") == 0)
            continue;
        fprintf(stream, "# TYPE stigstore_%s_%s gauge\nstigstore_%s_%s{pid=\"%ld\"} %.17g\n", health->actor, name,
                health->actor, name, (long)getpid(), json_number_value(value));
    }
    if (fclose(stream) == 0)
        return text;
    free(text);
    return NULL;
}

void health_end(struct health *health)
{
    char *text = health->report ? json_dumps(health->report, JSON_COMPACT) : NULL;
    size_t size = 0;
    char *prometheus = text ? prometheus_text(health, &size) : NULL;
    bool written = prometheus != NULL && write_file(health, ".json", text, strlen(text)) &&
                   write_file(health, ".prom", prometheus, size);
    if (!written && !health->complained)
        actor_log(LOG_LEVEL_WARNING, "cannot write health files in %s: %s", health->folder, strerror(errno));
    health->complained = !written;
    if (text) {
        free(health->text);
        health->text = text;
    }
    free(prometheus);
}

const char *health_json(const struct health *health)
{
    return health->text ? health->text : "{}";
}
