/*
 * health.c - fuzz target: a health file that somebody left, beside those of actors that are well.
 *
 * Whatever lies there: what is collected is JSON, each report in it is judged, and the others' reports are in it.
 */
#include "actor/health.h"
#include "proto/clock.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], endpoint[96], strange[128];
static const char *const actors[] = {"broker", "writer"};

static void set_up(void)
{
    const char *place = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/XXXXXX", place ? place : "/tmp");
    REQUIRE(mkdtemp(folder));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/a.sock", folder);
    snprintf(strange, sizeof strange, "%s/health/strange-1.json", folder);
}

static void place(const uint8_t *data, size_t size)
{
    int fd = open(strange, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
}

static void judge_report(const json_t *report)
{
    const json_t *fresh = json_object_get(report, "fresh");
    REQUIRE(json_is_boolean(fresh) && json_is_integer(json_object_get(report, "age_ms")));
    REQUIRE(json_is_string(json_object_get(report, "actor")));
    double age_ms = (double)clock_wall_ms() - json_number_value(json_object_get(report, "time_ms"));
    if (json_is_true(fresh))
        REQUIRE(age_ms > -2 * HEALTH_STALE_MS && age_ms < 2 * HEALTH_STALE_MS);
    if (json_is_false(fresh))
        REQUIRE(strcmp(json_string_value(json_object_get(report, "state")), "unknown") == 0);
}

/* How many reports there are; the real ones are all there. */
static size_t judge(const char *text, bool all_fresh)
{
    json_t *whole = json_loads(text, 0, NULL), *reports = json_object_get(whole, "actors"), *report;
    size_t index, found[2] = {0, 0}, count = json_array_size(reports), stale = 0;
    REQUIRE(json_is_array(reports));
    json_array_foreach(reports, index, report)
    {
        judge_report(report);
        stale += json_is_false(json_object_get(report, "fresh"));
        for (size_t i = 0; i < 2; i++) {
            bool mine = json_number_value(json_object_get(report, "pid")) == getpid() &&
                        json_number_value(json_object_get(report, "mark")) == 4711;
            found[i] += mine && strcmp(json_string_value(json_object_get(report, "actor")), actors[i]) == 0;
        }
    }
    REQUIRE(found[0] >= 1 && found[1] >= 1 && count <= 3);
    REQUIRE(all_fresh == (stale == 0));
    json_decref(whole);
    return count;
}

/* Written anew at times, or they would be stale. */
static void report_well(struct health *health[2])
{
    for (size_t i = 0; i < 2; i++) {
        health_begin(health[i], "ready");
        health_number(health[i], "mark", 4711);
        health_end(health[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct health *health[2];
    static unsigned runs;
    if (!health[0]) {
        set_up();
        for (size_t i = 0; i < 2; i++)
            REQUIRE(health_new(endpoint, actors[i], i + 1, &health[i], NULL) == 0);
    }
    if (runs++ % 1000 == 0)
        report_well(health);
    bool all_fresh = false;
    place(data, size);
    char *text = health_collect(endpoint, &all_fresh);
    REQUIRE(text);
    judge(text, all_fresh);
    free(text);
    if (size % 8 != 0)
        return 0;
    health_remove_former(endpoint, "strange");
    health_remove_left(endpoint, 0);
    struct stat info;
    for (size_t i = 0; i < 2; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/health/%s-%ld.json", folder, actors[i], (long)getpid());
        REQUIRE(stat(path, &info) == 0); /* whatever the strange one said, those of the living stay */
    }
    return 0;
}
