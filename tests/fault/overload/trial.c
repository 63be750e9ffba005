/*
 * trial.c - the service of a trial, and the checks that several trials make.
 */
#include "tests/fault/overload/trial.h"

#include "proto/clock.h"
#include "tests/fault/overload/flood.h"
#include "tests/system/load.h"
#include "tests/system/scene.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHOWN_MOST = 20, PATIENT_MS = 60000, SHRINK_MS = 60000, SHRINK_FAULTY_MS = 8000, READERS_MOST = 16 };

/* The promise: at any load. */
static const struct {
    const char *program;
    long most_kib;
} bounds[] = {{"stigstore-broker", 64 * 1024}, {"stigstore-writer", 128 * 1024}, {"stigstore-reader", 96 * 1024}};

/* ---- findings ---- */

bool trial_check(struct trial *trial, bool is_good, const char *class, const char *format, ...)
{
    char line[300];
    va_list arguments;
    if (is_good)
        return true;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    trial->expected += trial->expect && strcmp(trial->expect, class) == 0;
    if (trial->findings++ < SHOWN_MOST)
        printf("%s: %s: %s\n", trial->fault ? "found" : "FAULT", class, line);
    fflush(stdout);
    return false;
}

/* ---- the service ---- */

const char *trial_programs(const struct trial *trial)
{
    return trial->fault || trial->sync_ms ? FAULT_BIN_DIR "/faulty" : STIGSTORE_BIN_DIR;
}

void trial_serve(struct trial *trial, const char *const *more, unsigned descriptors)
{
    char program[256], script[400];
    const char *arguments[32] = {"/bin/sh", "-c", script, "sh"};
    size_t count = 4;
    struct service *service = &trial->service;
    *service = (struct service){.folder = folder_new(), .owns_folder = true};
    snprintf(service->database, sizeof(service->database), "%s/store.sqlite", service->folder);
    snprintf(service->endpoint, sizeof(service->endpoint), "ipc://%s/run/broker.sock", service->folder);
    snprintf(service->url, sizeof(service->url), "%s", service->endpoint);
    snprintf(program, sizeof(program), "%s/stigstore", trial_programs(trial));
    snprintf(script, sizeof(script), "exec '%s' serve \"$@\"", program);
    if (descriptors)
        snprintf(script, sizeof(script), "ulimit -n %u; exec '%s' serve \"$@\"", descriptors, program);
    arguments[count++] = "--db";
    arguments[count++] = service->database;
    arguments[count++] = "--endpoint";
    arguments[count++] = service->endpoint;
    while (more && *more && count < 28)
        arguments[count++] = *more++;
    if (trial->fault)
        setenv("STIGSTORE_FAULT", trial->fault, 1);
    if (trial->sync_ms) {
        char ms[16];
        snprintf(ms, sizeof(ms), "%u", trial->sync_ms);
        setenv("STIGSTORE_SYNC_MS", ms, 1);
    }
    bool is_ready = false;
    service->pid = scene_start(arguments, -2, &is_ready);
    if (!is_ready)
        fail_msg("the service does not start");
}

void trial_end(struct trial *trial)
{
    int code = service_stop(&trial->service);
    trial_check(trial, code == 0, "life", "the service ended with %d", code);
    service_free(&trial->service);
}

const char *trial_through(const struct trial *trial)
{
    return scene_through_broker(&trial->service);
}

void trial_fill(struct trial *trial, size_t value_bytes)
{
    stigstore *store = load_open(trial_through(trial), PATIENT_MS);
    stigstore_request parts[FLOOD_IDS];
    char(*ids)[8] = calloc(FLOOD_IDS, sizeof(*ids));
    void *value = calloc(1, value_bytes + 1);
    assert_non_null(ids);
    assert_non_null(value);
    for (unsigned i = 0; i < FLOOD_IDS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%u", i);
        parts[i] = (stigstore_request){STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("load"),
                                       .id = stigstore_text(ids[i]), .data = {value, value_bytes}};
    }
    for (unsigned i = 0; i < FLOOD_IDS; i += 100) {
        stigstore_request all = {STIGSTORE_REQUEST(TRANSACT), .parts = parts + i, .part_count = 100};
        assert_int_equal(stigstore_call(store, &all, NULL), STIGSTORE_OK);
    }
    free(value);
    free(ids);
    stigstore_free(&store);
}

void trial_check_serves(struct trial *trial, const char *when)
{
    stigstore *store = load_open(trial_through(trial), PATIENT_MS);
    char text[64];
    int put = scene_save(store, "serves", when), got = scene_get(store, "serves", text);
    trial_check(trial, put == STIGSTORE_OK && got == STIGSTORE_OK && strcmp(text, when) == 0, "life",
                "%s: a put is %s, a get %s", when, stigstore_status_name(put), stigstore_status_name(got));
    stigstore_free(&store);
}

/* ---- what processes take ---- */

static long line_of_status(pid_t pid, const char *name)
{
    char path[64], line[256];
    long number = -1;
    snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtol(line + strlen(name), NULL, 10);
    if (file)
        fclose(file);
    return number;
}

long process_peak_kib(pid_t pid)
{
    return line_of_status(pid, "VmHWM:");
}

double process_processor_s(pid_t pid)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    if (file && !fgets(line, sizeof(line), file))
        line[0] = '\0';
    if (file)
        fclose(file);
    const char *behind = strrchr(line, ')');
    if (behind)
        sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

void trial_check_memory(struct trial *trial)
{
    for (size_t b = 0; b < sizeof(bounds) / sizeof(*bounds); b++) {
        pid_t pids[READERS_MOST];
        size_t count = process_children(trial->service.pid, bounds[b].program, pids, READERS_MOST);
        for (size_t i = 0; i < count && i < READERS_MOST; i++) {
            long peak_kib = process_peak_kib(pids[i]);
            printf("%s: %.1f MiB at most\n", bounds[b].program, (double)peak_kib / 1024);
            trial_check(trial, peak_kib <= bounds[b].most_kib, "memory", "%s had %ld KiB of %ld", bounds[b].program,
                        peak_kib, bounds[b].most_kib);
        }
    }
}

long trial_wal_kib(const struct trial *trial)
{
    char path[200];
    struct stat info;
    snprintf(path, sizeof(path), "%s-wal", trial->service.database);
    return stat(path, &info) == 0 ? (long)(info.st_size / 1024) : 0;
}

void trial_check_wal_shrinks(struct trial *trial, long most_kib)
{
    stigstore *store = load_open(trial_through(trial), PATIENT_MS);
    int64_t until_ns = clock_deadline_ns(trial->fault ? SHRINK_FAULTY_MS : SHRINK_MS);
    char *large = malloc(64 * 1024 + 1);
    assert_non_null(large);
    memset(large, 'x', 64 * 1024);
    large[64 * 1024] = '\0';
    while (trial_wal_kib(trial) >= most_kib && clock_boot_ns() < until_ns)
        assert_int_equal(scene_save(store, "shrink", large), STIGSTORE_OK);
    trial_check(trial, trial_wal_kib(trial) < most_kib, "wal", "it stays at %ld KiB", trial_wal_kib(trial));
    free(large);
    stigstore_free(&store);
}
