/*
 * linear_record.c - linear_record: histories of concurrent calls under faults, for a checker of linearizability.
 *
 *     linear_record [--histories N] [--seed S] [--lanes local|broker|mixed|embedded] [--programs FOLDER]
 *
 * Lanes: reads by the clients themselves, through the broker, or both mixed; embedded: all in one process, which nobody
 * kills. One line a call on standard output: history, client, operation, key, value, if_revision, call and return in ns,
 * outcome, value got, revision, count. Outcomes: ok, conflict, absent, unknown (it may have been applied, at any time).
 * Calls that surely had no effect have no line. Each history has keys of its own and values that occur once.
 */
#include "stigstore.h"
#include "tests/fault/dice.h"
#include "tests/fault/process/journal.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/service.h"
#include "tests/system/scene.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIENTS = 5, KEYS = 3, CALLS_LEAST = 8, CALLS_MOST = 22, DEADLINE_MS = 20000, HASTY_MS = 12 };

enum operation { GET, PUT, SWAP, CREATE, REMOVE, OPERATIONS };
static const char *const operation_names[OPERATIONS] = {"get", "put", "swap", "create", "delete"};

struct call_record {
    enum operation operation;
    unsigned key;
    uint64_t value, if_revision; /* what was asked */
    int64_t call_ns, return_ns;
    const char *outcome; /* NULL: it had no effect */
    uint64_t got, revision, count;
};

struct client {
    stigstore *store;
    unsigned index;
    uint64_t history;
    struct dice dice;
    uint64_t seen[KEYS]; /* revision of each key when it was read last */
    struct call_record calls[CALLS_MOST];
    size_t call_count;
    stigstore_result *result;
    pthread_t thread;
};

struct recorder {
    uint64_t seed, histories;
    const char *lanes, *programs;
    struct dice dice;
    struct service service;
    struct client clients[CLIENTS];
    atomic_uint running;
    unsigned kills;
};
static struct recorder recorder = {.histories = 30, .lanes = "mixed", .programs = STIGSTORE_BIN_DIR};

static bool is_lanes(const char *lanes)
{
    return strcmp(recorder.lanes, lanes) == 0;
}

/* ---- one call ---- */

static stigstore_request make_request(const struct client *client, const struct call_record *call, char id[48],
                                      char data[24])
{
    static const struct {
        uint32_t operation, condition;
    } rows[OPERATIONS] = {[GET] = {STIGSTORE_GET, STIGSTORE_ALWAYS},
                          [PUT] = {STIGSTORE_SAVE, STIGSTORE_ALWAYS},
                          [SWAP] = {STIGSTORE_SAVE, STIGSTORE_IF_REVISION},
                          [CREATE] = {STIGSTORE_SAVE, STIGSTORE_IF_ABSENT},
                          [REMOVE] = {STIGSTORE_DELETE, STIGSTORE_ALWAYS}};
    snprintf(id, 48, "%" PRIu64 "/%u", client->history, call->key);
    int size = snprintf(data, 24, "%" PRIu64, call->value);
    stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = stigstore_text("register"), .id = stigstore_text(id)};
    request.operation = rows[call->operation].operation;
    request.condition = rows[call->operation].condition;
    request.if_revision = call->if_revision;
    if (request.operation == STIGSTORE_SAVE)
        request.data = (stigstore_bytes){data, (size_t)size};
    return request;
}

static const char *outcome_of(const struct call_record *call, const stigstore_result *result)
{
    if (result->status == STIGSTORE_OK)
        return "ok";
    if (result->status == STIGSTORE_NOT_FOUND)
        return "absent";
    if (result->status == STIGSTORE_CONFLICT)
        return "conflict";
    bool is_without_effect = call->operation == GET || (result->flags & STIGSTORE_NOT_APPLIED) ||
                             stigstore_status_applied(result->status) == STIGSTORE_APPLIED_NO;
    return is_without_effect ? NULL : "unknown";
}

static void take_result(struct client *client, struct call_record *call)
{
    const stigstore_result *result = client->result;
    call->outcome = outcome_of(call, result);
    call->revision = result->revision;
    call->count = result->count;
    if (call->operation == GET && result->status == STIGSTORE_OK) {
        char text[24] = "";
        memcpy(text, result->items[0].data.data, result->items[0].data.size < 23 ? result->items[0].data.size : 23);
        call->got = strtoull(text, NULL, 10);
        call->revision = result->items[0].revision;
        client->seen[call->key] = call->revision;
    }
}

/* A compare-and-set names a revision that it has read. */
static enum operation draw_operation(struct client *client, unsigned key)
{
    static const enum operation operations[] = {GET, GET, GET, GET, GET, PUT, PUT, SWAP, SWAP, CREATE, REMOVE};
    enum operation operation = operations[dice_roll(&client->dice, sizeof(operations) / sizeof(*operations))];
    return operation == SWAP && client->seen[key] == 0 ? GET : operation;
}

static void call_once(struct client *client)
{
    char id[48], data[24];
    struct call_record *call = &client->calls[client->call_count];
    *call = (struct call_record){.key = dice_roll(&client->dice, KEYS)};
    call->operation = draw_operation(client, call->key);
    call->value =
        call->operation == GET || call->operation == REMOVE ? 0 : client->index * 100 + client->call_count + 1;
    call->if_revision = call->operation == SWAP ? client->seen[call->key] : 0;
    stigstore_request request = make_request(client, call, id, data);
    if (dice_roll(&client->dice, 8) == 0)
        request.timeout_ms = 1 + dice_roll(&client->dice, HASTY_MS);
    call->call_ns = journal_now_ns();
    stigstore_call(client->store, &request, &client->result);
    call->return_ns = journal_now_ns();
    take_result(client, call);
    client->call_count++;
}

static void *run_client(void *context)
{
    struct client *client = context;
    uint32_t count = CALLS_LEAST + dice_roll(&client->dice, CALLS_MOST - CALLS_LEAST);
    for (uint32_t i = 0; i < count; i++) {
        call_once(client);
        if (dice_roll(&client->dice, 4) == 0)
            poll(NULL, 0, (int)dice_roll(&client->dice, 4));
    }
    atomic_fetch_sub(&recorder.running, 1);
    return NULL;
}

/* ---- one history ---- */

static void write_history(void)
{
    for (unsigned c = 0; c < CLIENTS; c++) {
        const struct client *client = &recorder.clients[c];
        for (size_t i = 0; i < client->call_count; i++) {
            const struct call_record *call = &client->calls[i];
            if (call->outcome)
                printf("%" PRIu64 " %u %s %u %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %s %" PRIu64 " %" PRIu64
                       " %" PRIu64 "\n",
                       client->history, c, operation_names[call->operation], call->key, call->value, call->if_revision,
                       call->call_ns, call->return_ns, call->outcome, call->got, call->revision, call->count);
        }
    }
}

static void kill_one(void)
{
    static const char *const programs[] = {"stigstore-writer", "stigstore-writer", "stigstore-broker",
                                           "stigstore-reader"};
    pid_t pids[8];
    const char *program = programs[dice_roll(&recorder.dice, sizeof(programs) / sizeof(*programs))];
    if (process_children(recorder.service.pid, program, pids, 8) == 0)
        return;
    kill(pids[0], SIGKILL);
    recorder.kills++;
}

/* Two of three histories see a death, at a moment while all clients are at it. */
static void record_history(uint64_t history)
{
    bool has_death = !is_lanes("embedded") && dice_roll(&recorder.dice, 3) != 0;
    int64_t death_ns = journal_now_ns() + (int64_t)dice_roll(&recorder.dice, 25) * 1000000;
    atomic_store(&recorder.running, CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &recorder.clients[i];
        client->history = history;
        client->call_count = 0;
        memset(client->seen, 0, sizeof(client->seen));
        client->dice.state = dice_next(&recorder.dice);
        assert_int_equal(pthread_create(&client->thread, NULL, run_client, client), 0);
    }
    while (atomic_load(&recorder.running) > 0) {
        if (has_death && journal_now_ns() >= death_ns) {
            kill_one();
            has_death = false;
        }
        poll(NULL, 0, 1);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(recorder.clients[i].thread, NULL);
    write_history();
}

/* ---- service and handles ---- */

static void start_service(void)
{
    struct service *service = &recorder.service;
    char program[256];
    bool is_ready;
    *service = (struct service){.folder = folder_new(), .owns_folder = true};
    snprintf(service->database, sizeof(service->database), "%s/store.sqlite", service->folder);
    snprintf(service->endpoint, sizeof(service->endpoint), "ipc://%s/run/broker.sock", service->folder);
    if (is_lanes("embedded"))
        return;
    snprintf(program, sizeof(program), "%s/stigstore", recorder.programs);
    const char *arguments[] = {program, "serve", "--db", service->database, "--endpoint", service->endpoint, NULL};
    service->pid = scene_start(arguments, -2, &is_ready);
    assert_true(is_ready);
}

static void open_client(unsigned index)
{
    const stigstore_options options = {
        .struct_size = sizeof(options), .timeout_ms = DEADLINE_MS, .open_timeout_ms = DEADLINE_MS};
    bool is_local = is_lanes("local") || (is_lanes("mixed") && index % 2);
    char url[200];
    if (is_lanes("embedded"))
        snprintf(url, sizeof(url), "%s", recorder.service.database);
    else
        snprintf(url, sizeof(url), "%s%s", recorder.service.endpoint, is_local ? "" : "?reads=broker");
    recorder.clients[index].index = index + 1;
    assert_int_equal(stigstore_open(url, &options, &recorder.clients[index].store, NULL), STIGSTORE_OK);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {{"histories", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"lanes", required_argument, NULL, 'l'},
                                            {"programs", required_argument, NULL, 'p'},
                                            {0}};
    for (int key; (key = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (key == 'n')
            recorder.histories = strtoull(optarg, NULL, 10);
        else if (key == 's')
            recorder.seed = strtoull(optarg, NULL, 0);
        else if (key == 'l')
            recorder.lanes = optarg;
        else if (key == 'p')
            recorder.programs = optarg;
        else
            exit(2);
}

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    recorder.seed = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    parse(argc, argv);
    recorder.dice.state = recorder.seed;
    start_service();
    for (unsigned i = 0; i < CLIENTS; i++)
        open_client(i);
    for (uint64_t history = 1; history <= recorder.histories; history++)
        record_history(history);
    for (unsigned i = 0; i < CLIENTS; i++) {
        stigstore_result_free(&recorder.clients[i].result);
        stigstore_free(&recorder.clients[i].store);
    }
    service_free(&recorder.service);
    fprintf(stderr, "recorded %" PRIu64 " histories, lanes %s, seed %" PRIu64 ", %u deaths\n", recorder.histories,
            recorder.lanes, recorder.seed, recorder.kills);
    return 0;
}
