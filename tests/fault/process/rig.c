/*
 * rig.c - the processes of a fault test.
 */
#include "tests/fault/process/rig.h"

#include "tests/fault/process/deeds.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/system/scene.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HANDLES_A_CLIENT = 1000000,
    INTRUDER_HANDLES = 100000000,
    START_TRIES = 400,
    PROGRESS_TIMEOUT_S = 60,
    END_TIMEOUT_S = 90,
};

static const struct rig_client clients[RIG_CLIENTS + 1] = {{.style = "sync", .lane = ""},
                                                           {.style = "sync", .lane = "?reads=broker"},
                                                           {.style = "queue", .lane = ""},
                                                           {.style = "impatient", .lane = "?reads=broker"},
                                                           {.style = "erase", .lane = ""}};

/* ---- the service ---- */

void rig_start_service(struct rig *rig)
{
    char program[256];
    snprintf(program, sizeof(program), "%s/stigstore", rig->options.programs);
    const char *arguments[] = {program, "serve", "--db", rig->service.database, "--endpoint", rig->service.endpoint,
                               NULL};
    bool is_ready = false;
    for (unsigned i = 0; !is_ready && i < START_TRIES; i++) {
        pid_t pid = scene_start(arguments, -2, &is_ready);
        rig->service.pid = pid;
        if (!is_ready)
            process_join(pid);
    }
    if (!is_ready)
        fail_msg("the service does not start");
    if (rig->life_count == RIG_LIVES_MOST)
        fail_msg("too many lives of one service");
    rig->lives[rig->life_count].from_ns = journal_now_ns();
    rig->lives[rig->life_count++].to_ns = 0;
}

static void end_life(struct rig *rig)
{
    rig->lives[rig->life_count - 1].to_ns = journal_now_ns();
}

void rig_kill_service(struct rig *rig)
{
    pid_t pids[RIG_ACTORS_MOST];
    end_life(rig);
    rig->writer_deaths++;
    rig->reader_deaths += (unsigned)process_children(rig->service.pid, "stigstore-reader", pids, RIG_ACTORS_MOST);
    kill(rig->service.pid, SIGKILL);
    process_join(rig->service.pid);
    rig->service.pid = 0;
}

bool rig_kill_actor(struct rig *rig, const char *program)
{
    pid_t pids[RIG_ACTORS_MOST];
    size_t count = process_children(rig->service.pid, program, pids, RIG_ACTORS_MOST);
    for (size_t i = 0; i < count && i < RIG_ACTORS_MOST; i++)
        kill(pids[i], SIGKILL);
    if (strcmp(program, "stigstore-writer") == 0)
        rig->writer_deaths++; /* also when it was just being restarted: it ends early then */
    else if (strcmp(program, "stigstore-reader") == 0)
        rig->reader_deaths += (unsigned)count;
    return count > 0;
}

/* ---- clients ---- */

void rig_start_client(struct rig *rig, unsigned index)
{
    struct rig_client *client = &rig->clients[index];
    char url[200], handle[24], predecessor[24], seed[24], deadline[16], slot[8];
    snprintf(predecessor, sizeof(predecessor), "%" PRIu64, client->handle);
    client->handle = client->handle ? client->handle + 1 : (index + 1) * (uint64_t)HANDLES_A_CLIENT;
    snprintf(url, sizeof(url), "%s%s", rig->service.endpoint, client->lane);
    snprintf(handle, sizeof(handle), "%" PRIu64, client->handle);
    snprintf(seed, sizeof(seed), "%" PRIu64, dice_next(&rig->dice));
    snprintf(deadline, sizeof(deadline), "%" PRIu32, rig->options.deadline_ms);
    snprintf(slot, sizeof(slot), "%u", index);
    if (index == RIG_CLIENTS)
        predecessor[0] = '0';
    const char *arguments[] = {FAULT_BIN_DIR "/fault_client",
                               url,
                               rig->journals,
                               handle,
                               predecessor,
                               client->style,
                               seed,
                               deadline,
                               rig->progress_path,
                               slot,
                               NULL};
    client->pid = process_start(arguments, -1, -1, -1);
}

void rig_kill_client(struct rig *rig, unsigned index)
{
    kill(rig->clients[index].pid, SIGKILL);
    process_join(rig->clients[index].pid);
    rig->clients[index].pid = 0;
}

void rig_erase_again(struct rig *rig)
{
    int code = process_wait(rig->clients[RIG_CLIENTS].pid, 0);
    if (code < 0)
        return;
    if (code > 0)
        complain(rig->complaints, COMPLAINT_SERVICE, "the one that erases ended with %d", code);
    rig->erase_from = atomic_load(&rig->progress[RIG_CLIENTS]);
    rig_start_client(rig, RIG_CLIENTS);
}

bool rig_is_erasing(const struct rig *rig)
{
    return atomic_load(&rig->progress[RIG_CLIENTS]) - rig->erase_from == DEED_CHUNKS;
}

void rig_stop_clients(struct rig *rig)
{
    for (unsigned i = 0; i <= RIG_CLIENTS; i++)
        if (rig->clients[i].pid)
            kill(rig->clients[i].pid, SIGTERM);
    for (unsigned i = 0; i <= RIG_CLIENTS; i++) {
        if (!rig->clients[i].pid)
            continue;
        int code = process_wait(rig->clients[i].pid, END_TIMEOUT_S);
        if (code != 0)
            complain(rig->complaints, COMPLAINT_SERVICE, "client %u ended with %d", i, code);
        if (code < 0)
            rig_kill_client(rig, i);
        rig->clients[i].pid = 0;
    }
}

void rig_read_progress(const struct rig *rig, uint64_t progress[RIG_CLIENTS])
{
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        progress[i] = atomic_load(&rig->progress[i]);
}

struct progress_wanted {
    const struct rig *rig;
    const uint64_t *before;
    uint64_t more;
};

static bool has_progress(void *context)
{
    const struct progress_wanted *wanted = context;
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        if (atomic_load(&wanted->rig->progress[i]) < wanted->before[i] + wanted->more)
            return false;
    return true;
}

void rig_wait_for_progress(struct rig *rig, const uint64_t before[RIG_CLIENTS], uint64_t more)
{
    struct progress_wanted wanted = {rig, before, more};
    for (int64_t end_ns = journal_now_ns() + PROGRESS_TIMEOUT_S * INT64_C(1000000000); !has_progress(&wanted);) {
        poll(NULL, 0, 2);
        if (journal_now_ns() < end_ns)
            continue;
        for (unsigned i = 0; i < RIG_CLIENTS; i++)
            complain(rig->complaints, COMPLAINT_SERVICE, "client %u: %" PRIu64 " acknowledged in %d s", i,
                     atomic_load(&rig->progress[i]) - before[i], (int)PROGRESS_TIMEOUT_S);
        return;
    }
}

/* ---- intruders ---- */

static void start_intruders(struct rig *rig)
{
    char first[2][24], own_endpoint[200];
    for (unsigned i = 0; i < 2; i++)
        snprintf(first[i], sizeof(first[i]), "%d", (int)INTRUDER_HANDLES * (int)(i + 1));
    snprintf(own_endpoint, sizeof(own_endpoint), "ipc://%s/other/broker.sock", rig->service.folder);
    const char *embedded[] = {
        FAULT_BIN_DIR "/fault_intruder", "embedded", rig->service.database, rig->journals, first[0], NULL};
    const char *serve[] = {FAULT_BIN_DIR "/fault_intruder",
                           "serve",
                           rig->service.database,
                           rig->journals,
                           first[1],
                           STIGSTORE_BIN_DIR "/stigstore",
                           dice_roll(&rig->dice, 2) ? own_endpoint : rig->service.endpoint,
                           NULL};
    rig->intruders[0] = process_start(embedded, -1, -1, -1);
    rig->intruders[1] = process_start(serve, -1, -1, -1);
}

void rig_stop_intruders(struct rig *rig)
{
    for (unsigned i = 0; i < RIG_INTRUDERS; i++) {
        if (!rig->intruders[i])
            continue;
        kill(rig->intruders[i], SIGTERM);
        process_join(rig->intruders[i]);
        rig->intruders[i] = 0;
    }
}

static void judge_intruders(struct rig *rig, const struct history *history)
{
    for (size_t i = 0; i < history->inside_count; i++) {
        for (size_t life = 0; life < rig->life_count; life++) {
            const struct inside *inside = &history->insides[i];
            int64_t end_ns = rig->lives[life].to_ns ? rig->lives[life].to_ns : INT64_MAX;
            if (inside->from_ns < end_ns && inside->to_ns > rig->lives[life].from_ns)
                complain(rig->complaints, COMPLAINT_INTRUDER, "%" PRIu64 " had the database in life %zu of the service",
                         inside->handle, life);
        }
    }
}

/* ---- judging ---- */

void rig_judge(struct rig *rig, const char *database, struct judged_figures *figures)
{
    struct history history;
    judge_file(database ? database : rig->service.database, rig->journals, &history, rig->complaints, figures);
    judge_intruders(rig, &history);
    history_free(&history);
}

static void expect(struct rig *rig, const char *const *arguments, const char *printed)
{
    struct output output = process_run(arguments, NULL, 0);
    if (output.code != 0 || (printed && strcmp(output.text, printed) != 0))
        complain(rig->complaints, COMPLAINT_FILE, "%s %s: exit %d, %s%s", arguments[0], arguments[1], output.code,
                 output.text, output.errors);
    output_free(&output);
}

void rig_verify(struct rig *rig, const char *database, bool may_write)
{
    const char *path = database ? database : rig->service.database;
    const char *verify[] = {"stigstore", "verify", "--store", path, NULL};
    const char *check[] = {"/usr/bin/env",   "sqlite3", may_write ? "-batch" : "-readonly", "-cmd",
                           ".timeout 20000", path,      "PRAGMA integrity_check",           NULL};
    expect(rig, check, "ok\n");
    expect(rig, verify, NULL);
}

char *rig_copy(struct rig *rig)
{
    char *copy = folder_path(rig->service.folder, "copy.sqlite"), to[160], from[160];
    const char *suffixes[] = {"", "-wal"};
    for (unsigned i = 0; i < 2; i++) {
        snprintf(from, sizeof(from), "%s%s", rig->service.database, suffixes[i]);
        snprintf(to, sizeof(to), "%s%s", copy, suffixes[i]);
        const char *arguments[] = {"/bin/cp", from, to, NULL};
        if (access(from, F_OK) == 0)
            expect(rig, arguments, NULL);
    }
    return copy;
}

/* ---- life ---- */

static void map_progress(struct rig *rig)
{
    int fd = open(rig->progress_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 4096) == 0);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(page != MAP_FAILED);
    rig->progress = page;
    close(fd);
}

void rig_start(struct rig *rig, const struct rig_options *options, uint64_t seed, struct complaints *complaints)
{
    *rig = (struct rig){.options = *options, .dice.state = seed, .complaints = complaints};
    rig->service = (struct service){.folder = folder_new(), .owns_folder = true};
    snprintf(rig->service.database, sizeof(rig->service.database), "%s/store.sqlite", rig->service.folder);
    snprintf(rig->service.endpoint, sizeof(rig->service.endpoint), "ipc://%s/run/broker.sock", rig->service.folder);
    rig->journals = folder_path(rig->service.folder, "journals");
    rig->progress_path = folder_path(rig->service.folder, "progress");
    assert_int_equal(mkdir(rig->journals, 0700), 0);
    memcpy(rig->clients, clients, sizeof(clients));
    map_progress(rig);
    rig_start_service(rig);
    for (unsigned i = 0; i < RIG_CLIENTS + (options->is_erasing ? 1 : 0); i++)
        rig_start_client(rig, i);
    if (options->has_intruders)
        start_intruders(rig);
}

void rig_free(struct rig *rig)
{
    for (unsigned i = 0; i <= RIG_CLIENTS; i++)
        if (rig->clients[i].pid)
            rig_kill_client(rig, i);
    rig_stop_intruders(rig);
    if (rig->service.pid)
        rig_kill_service(rig);
    munmap((void *)(uintptr_t)rig->progress, 4096);
    free(rig->journals);
    free(rig->progress_path);
    folder_remove(&rig->service.folder);
}
