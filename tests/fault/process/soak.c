/*
 * soak.c - fault_soak: mixed load with random faults for a long time; memory, descriptors and the WAL stay flat.
 *
 *     fault_soak [--minutes N] [--seed S] [--leak memory|descriptors|wal]
 *
 * Everything is sampled twice a second. Whoever lives long enough must not grow from the second quarter of its life to
 * the last one, and nothing may ever pass its bound. In each quarter of the run another actor is the one that is killed,
 * so that the others get old; any of them may be stopped for a moment. --leak: a client leaks, or somebody holds a
 * snapshot, and the test passes only when it notices.
 */
#include "tests/fault/dice.h"
#include "tests/fault/process/history.h"
#include "tests/fault/process/series.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/process.h"
#include "tests/support/service.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { CLIENTS = 3, SAMPLE_MS = 500, CHILDREN_MOST = 8, END_TIMEOUT_S = 120, STOPPED_MS = 400 };
#define MIB (1024.0 * 1024.0)

static const char *const programs[] = {"stigstore-writer", "stigstore-broker", "stigstore-reader"};
enum { PROGRAMS = sizeof(programs) / sizeof(*programs) };

/* What each may take at most. The broker's own bounds allow it 48 MiB in flight. */
static const struct {
    const char *role;
    double resident_mib, descriptors;
} bounds[] = {{"stigstore-writer", 64, 64},
              {"stigstore-broker", 96, 96},
              {"stigstore-reader", 64, 64},
              {"supervisor", 16, 32},
              {"client", 64, 64}};
static const double most_wal_mib = 24, most_growth_mib = 3, most_growth_descriptors = 3;

struct soak {
    double minutes;
    uint64_t seed;
    const char *leak;
    struct dice dice;
    struct service service;
    pid_t clients[CLIENTS];
    pid_t stopped; /* 0: none */
    int64_t begin_ns, end_ns, fault_ns, resume_ns;
    struct all_series resident, descriptors, wal;
    unsigned kills, stops;
    struct complaints complaints;
};

/* ---- load ---- */

static void start_clients(struct soak *soak)
{
    static const char *const lanes[CLIENTS] = {"", "?reads=broker", ""};
    for (unsigned i = 0; i < CLIENTS; i++) {
        char url[200], name[16], seed[24];
        snprintf(url, sizeof(url), "%s%s", soak->service.endpoint, lanes[i]);
        snprintf(name, sizeof(name), "soak-%u", i);
        snprintf(seed, sizeof(seed), "%" PRIu64, dice_next(&soak->dice));
        const char *arguments[] = {FAULT_BIN_DIR "/fault_soak_client", url, name, seed,
                                   i == 0 ? soak->leak : NULL,         NULL};
        soak->clients[i] = process_start(arguments, -1, -1, -1);
    }
}

static void stop_clients(struct soak *soak)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        kill(soak->clients[i], SIGTERM);
    for (unsigned i = 0; i < CLIENTS; i++) {
        int code = process_wait(soak->clients[i], END_TIMEOUT_S);
        if (code != 0)
            complain(&soak->complaints, COMPLAINT_SERVICE, "client %u ended with %d", i, code);
    }
}

/* ---- faults ---- */

static void resume(struct soak *soak)
{
    if (soak->stopped)
        kill(soak->stopped, SIGCONT);
    soak->stopped = 0;
}

static void stop_one(struct soak *soak, const char *program, int64_t now_ns)
{
    pid_t pids[CHILDREN_MOST];
    if (process_children(soak->service.pid, program, pids, CHILDREN_MOST) == 0)
        return;
    soak->stopped = pids[0];
    soak->resume_ns = now_ns + (int64_t)dice_roll(&soak->dice, STOPPED_MS) * 1000000;
    soak->stops++;
    kill(soak->stopped, SIGSTOP);
}

static void kill_one(struct soak *soak, int64_t now_ns)
{
    int64_t quarter = (now_ns - soak->begin_ns) * 4 / (soak->end_ns - soak->begin_ns);
    pid_t pids[CHILDREN_MOST];
    const char *program = programs[quarter % PROGRAMS];
    if (process_children(soak->service.pid, program, pids, CHILDREN_MOST) == 0)
        return;
    kill(pids[0], SIGKILL);
    soak->kills++;
}

static void make_faults(struct soak *soak, int64_t now_ns)
{
    if (soak->stopped && now_ns >= soak->resume_ns)
        resume(soak);
    if (now_ns < soak->fault_ns || soak->stopped)
        return;
    soak->fault_ns = now_ns + 500000000 + (int64_t)dice_roll(&soak->dice, 5000) * 1000000;
    if (dice_roll(&soak->dice, 2))
        stop_one(soak, programs[dice_roll(&soak->dice, PROGRAMS)], now_ns);
    else
        kill_one(soak, now_ns);
}

/* ---- sampling ---- */

static void sample_process(struct soak *soak, const char *role, pid_t pid)
{
    series_add(&soak->resident, role, pid, process_resident_bytes(pid) / MIB);
    series_add(&soak->descriptors, role, pid, process_descriptors(pid));
}

static void sample(struct soak *soak)
{
    struct stat wal;
    char path[160];
    sample_process(soak, "supervisor", soak->service.pid);
    for (unsigned i = 0; i < CLIENTS; i++)
        sample_process(soak, "client", soak->clients[i]);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        pid_t pids[CHILDREN_MOST];
        size_t count = process_children(soak->service.pid, programs[i], pids, CHILDREN_MOST);
        for (size_t p = 0; p < count && p < CHILDREN_MOST; p++)
            sample_process(soak, programs[i], pids[p]);
    }
    snprintf(path, sizeof(path), "%s-wal", soak->service.database);
    series_add(&soak->wal, "wal", 0, stat(path, &wal) == 0 ? (double)wal.st_size / MIB : 0);
}

/* ---- judging ---- */

static void judge_series(struct soak *soak, const struct series *series, const char *unit, double most,
                         double most_growth)
{
    if (series_most(series) > most)
        complain(&soak->complaints, COMPLAINT_LEAK, "%s[%ld] had %.1f %s", series->role, (long)series->pid,
                 series_most(series), unit);
    if (series_growth(series) > most_growth)
        complain(&soak->complaints, COMPLAINT_LEAK, "%s[%ld] grew by %.1f %s in %zu samples", series->role,
                 (long)series->pid, series_growth(series), unit, series->count);
}

static void judge(struct soak *soak)
{
    for (size_t b = 0; b < sizeof(bounds) / sizeof(*bounds); b++) {
        for (size_t i = 0; i < soak->resident.count; i++)
            if (strcmp(soak->resident.series[i].role, bounds[b].role) == 0)
                judge_series(soak, &soak->resident.series[i], "MiB", bounds[b].resident_mib, most_growth_mib);
        for (size_t i = 0; i < soak->descriptors.count; i++)
            if (strcmp(soak->descriptors.series[i].role, bounds[b].role) == 0)
                judge_series(soak, &soak->descriptors.series[i], "descriptors", bounds[b].descriptors,
                             most_growth_descriptors);
    }
    judge_series(soak, &soak->wal.series[0], "MiB", most_wal_mib, most_growth_mib);
}

static void report_role(const struct all_series *all, const char *role, const char *unit)
{
    double most = 0, growth = 0;
    size_t lives = 0, longest = 0;
    for (size_t i = 0; i < all->count; i++) {
        const struct series *series = &all->series[i];
        if (strcmp(series->role, role) != 0)
            continue;
        lives++;
        longest = series->count > longest ? series->count : longest;
        most = series_most(series) > most ? series_most(series) : most;
        growth = series_growth(series) > growth ? series_growth(series) : growth;
    }
    printf("%-16s %3zu lives, longest %4zu s: at most %6.1f %s, grew by at most %.1f\n", role, lives,
           longest * SAMPLE_MS / 1000, most, unit, growth);
}

static void report(const struct soak *soak)
{
    printf("%u kills, %u times stopped for a moment\n", soak->kills, soak->stops);
    for (size_t b = 0; b < sizeof(bounds) / sizeof(*bounds); b++) {
        report_role(&soak->resident, bounds[b].role, "MiB");
        report_role(&soak->descriptors, bounds[b].role, "descriptors");
    }
    report_role(&soak->wal, "wal", "MiB");
}

/* ---- the run ---- */

static sqlite3 *hold_snapshot(const char *database)
{
    sqlite3 *db = NULL;
    bool is_held = sqlite3_open_v2(database, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
                   sqlite3_exec(db, "BEGIN; SELECT count(*) FROM resources", NULL, NULL, NULL) == SQLITE_OK;
    assert_true(is_held);
    return db;
}

static void run(struct soak *soak)
{
    soak->service = service_start(NULL, NULL);
    sqlite3 *holder = strcmp(soak->leak, "wal") == 0 ? hold_snapshot(soak->service.database) : NULL;
    start_clients(soak);
    soak->begin_ns = soak->fault_ns = journal_now_ns();
    soak->end_ns = soak->begin_ns + (int64_t)(soak->minutes * 60e9);
    int64_t sample_ns = soak->begin_ns;
    for (int64_t now_ns; (now_ns = journal_now_ns()) < soak->end_ns;) {
        make_faults(soak, now_ns);
        if (now_ns >= sample_ns) {
            sample(soak);
            sample_ns += SAMPLE_MS * INT64_C(1000000);
        }
        poll(NULL, 0, 20);
    }
    resume(soak);
    stop_clients(soak);
    sqlite3_close(holder);
    if (service_stop(&soak->service) != 0)
        complain(&soak->complaints, COMPLAINT_SERVICE, "it does not stop in order");
    judge(soak);
    service_free(&soak->service);
}

static void parse(struct soak *soak, int argc, char **argv)
{
    static const struct option options[] = {{"minutes", required_argument, NULL, 'm'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"leak", required_argument, NULL, 'l'},
                                            {0}};
    for (int key; (key = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (key == 'm')
            soak->minutes = strtod(optarg, NULL);
        else if (key == 's')
            soak->seed = strtoull(optarg, NULL, 0);
        else if (key == 'l')
            soak->leak = optarg;
        if (key == '?' || soak->minutes <= 0) {
            fprintf(stderr, "usage: fault_soak [--minutes N] [--seed S] [--leak memory|descriptors|wal]\n");
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    static struct soak soak = {.minutes = 1, .leak = ""};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    soak.seed = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    parse(&soak, argc, argv);
    soak.dice.state = soak.seed;
    soak.complaints.is_quiet = *soak.leak;
    printf("seed %" PRIu64 ", %.2f minutes\n", soak.seed, soak.minutes);
    fflush(stdout);
    run(&soak);
    report(&soak);
    bool is_caught = soak.complaints.of_kind[COMPLAINT_LEAK] > 0;
    bool is_passed = *soak.leak ? is_caught && soak.complaints.count == soak.complaints.of_kind[COMPLAINT_LEAK]
                                : soak.complaints.count == 0;
    printf("%s\n", *soak.leak ? is_passed ? "caught" : "NOT CAUGHT" : is_passed ? "passed" : "FAILED");
    series_free(&soak.resident);
    series_free(&soak.descriptors);
    series_free(&soak.wal);
    return is_passed ? 0 : 1;
}
