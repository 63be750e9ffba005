/*
 * hostile.c - a real service under a steady load of good clients, and peers that mean it ill: the good ones see no error
 * and answers about as soon as before.
 *
 *     hostile --rounds 9                     each kind of hostility (kinds.c), in quiet and hostile phases by turns
 *     hostile --endless 5                    messages without an end: the broker's memory bound ends it, no call fails
 *     hostile --programs DIR --expect WHAT   another service, with a fault: it is found, or this fails
 *
 * For each kind the medians over the rounds of the phases' 99th percentiles are compared: the hostile one is at most
 * RATIO times the quiet one, or below FLOOR_US, where the machine's own noise is larger than the ratio.  A kind that is
 * over is measured again, ATTEMPTS times in all: a busy machine is not a slow broker.
 */
#include "tests/hostile/good.h"
#include "tests/hostile/kinds.h"
#include "tests/system/scene.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ATTACKERS = 2,
    STEP_US = 2000,
    RATIO = 3,
    FLOOR_US = 10000,
    ATTEMPTS = 3,
    ROUNDS_MOST = 99,
    SAMPLES_LEAST = 200,
    SENT_LEAST = 10,
    PHASE_MOST_MS = 30000,
    SETTLE_US = 50000,
    LOOK_US = 5000,
    ACTORS_MOST = 8,
    ENDLESS_MOST_S = 60,
};
#define ENDLESS_BYTES (UINT64_C(768) << 20)

static struct options {
    uint64_t seed, rounds, phase_ms, endless;
    const char *only, *programs, *expect;
} options = {.seed = 1, .rounds = 3, .phase_ms = 300, .programs = STIGSTORE_BIN_DIR};

static struct service service;
static struct good *good;

static void wait_us(uint64_t us)
{
    const struct timespec time = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* ---- what is wrong ---- */

/* "errors", "slow", "ended", "unbounded", "idle". */
static _Noreturn void complain(const char *what, const char *of, const char *detail)
{
    bool expected = options.expect && strcmp(options.expect, what) == 0;
    printf("%s: %s: %s (--seed %" PRIu64 ")%s\n", what, of, detail, options.seed, expected ? ", as it should be" : "");
    fflush(stdout);
    kill(service.pid, SIGKILL); /* with calls under way, whose outcome nobody waits for */
    process_join(service.pid);
    service.pid = 0;
    service_free(&service);
    _Exit(expected ? 0 : 1);
}

/* After a moment. */
static void judge_errors(const char *of, uint64_t wait_for_us)
{
    wait_us(wait_for_us);
    const char *last;
    char detail[100];
    uint64_t failed = good_failed(good, &last);
    if (failed == 0)
        return;
    snprintf(detail, sizeof detail, "%" PRIu64 " good calls failed, the last with %s", failed, last);
    complain("errors", of, detail);
}

/* ---- the service ---- */

static void start_service(void)
{
    char program[4096];
    bool is_ready = false;
    service = (struct service){.folder = folder_new(), .owns_folder = true};
    snprintf(program, sizeof program, "%s/stigstore", options.programs);
    snprintf(service.database, sizeof service.database, "%s/store.sqlite", service.folder);
    snprintf(service.endpoint, sizeof service.endpoint, "ipc://%s/run/broker.sock", service.folder);
    snprintf(service.url, sizeof service.url, "%s?reads=broker", service.endpoint);
    const char *const arguments[] = {program, "serve", "--db", service.database, "--endpoint", service.endpoint, NULL};
    service.pid = scene_start(arguments, -2, &is_ready);
    assert_true(is_ready);
}

struct actors {
    pid_t pids[ACTORS_MOST];
    size_t count;
};

static struct actors actors_now(void)
{
    static const char *const programs[] = {"stigstore-broker", "stigstore-writer", "stigstore-reader"};
    struct actors actors = {.count = 0};
    for (size_t i = 0; i < 3; i++)
        actors.count +=
            process_children(service.pid, programs[i], actors.pids + actors.count, ACTORS_MOST - actors.count);
    return actors;
}

static void judge_actors(const struct actors *before, const char *of)
{
    struct actors now = actors_now();
    if (now.count != before->count || memcmp(now.pids, before->pids, now.count * sizeof now.pids[0]) != 0)
        complain("ended", of, "a process of the service was started anew");
}

/* ---- phases ---- */

static atomic_bool attack_is_over;

struct attacker {
    pthread_t thread;
    const struct kind *kind;
    struct peer peer;
};

static void *attack(void *context)
{
    struct attacker *attacker = context;
    while (!atomic_load(&attack_is_over)) {
        attacker->kind->step(&attacker->peer);
        attacker->peer.steps++;
        wait_us(STEP_US);
    }
    peer_stop(&attacker->peer);
    return NULL;
}

/* The 99th percentile of the good ones' calls meanwhile, in us. */
static uint64_t phase(const char *of)
{
    wait_us(SETTLE_US);
    int64_t from_ms = scene_now_ms(), until_ms = from_ms + (int64_t)options.phase_ms;
    good_forget(good);
    while (scene_now_ms() < until_ms || (good_count(good) < SAMPLES_LEAST && scene_now_ms() < from_ms + PHASE_MOST_MS))
        judge_errors(of, LOOK_US);
    return good_p99_us(good);
}

static uint64_t hostile_phase(const struct kind *kind, uint64_t round)
{
    struct attacker attackers[ATTACKERS];
    uint64_t sent = 0;
    atomic_store(&attack_is_over, false);
    for (unsigned i = 0; i < ATTACKERS; i++) {
        attackers[i].kind = kind;
        peer_start(&attackers[i].peer, service.endpoint, options.seed * 1000 + round * ATTACKERS + i);
        assert_int_equal(pthread_create(&attackers[i].thread, NULL, attack, &attackers[i]), 0);
    }
    uint64_t p99_us = phase(kind->name);
    atomic_store(&attack_is_over, true);
    for (unsigned i = 0; i < ATTACKERS; i++) {
        pthread_join(attackers[i].thread, NULL);
        sent += attackers[i].peer.sent;
    }
    if (sent < SENT_LEAST)
        complain("idle", kind->name, "next to nothing was sent");
    return p99_us;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t median(uint64_t *numbers, size_t count)
{
    qsort(numbers, count, sizeof numbers[0], compare);
    return numbers[count / 2];
}

/* False: it was slower than it may be. */
static bool measure(const struct kind *kind, char detail[100])
{
    uint64_t quiet[ROUNDS_MOST], hostile[ROUNDS_MOST];
    for (uint64_t round = 0; round < options.rounds; round++) {
        quiet[round] = phase(kind->name);
        hostile[round] = hostile_phase(kind, round);
    }
    uint64_t before_us = median(quiet, options.rounds), after_us = median(hostile, options.rounds);
    snprintf(detail, 100, "p99 %" PRIu64 " us quiet, %" PRIu64 " us hostile", before_us, after_us);
    return after_us <= FLOOR_US || after_us <= RATIO * before_us;
}

static void try_kind(const struct kind *kind)
{
    char detail[100];
    struct actors before = actors_now();
    for (int attempt = 1;; attempt++) {
        bool fine = measure(kind, detail);
        judge_actors(&before, kind->name);
        printf("%-10s %s%s\n", kind->name, detail, fine ? "" : "  (over)");
        if (fine)
            return;
        if (attempt == ATTEMPTS)
            complain("slow", kind->name, detail);
    }
}

static uint64_t counter(const char *json, const char *name)
{
    char key[40];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* What was sent has come to the broker, which knows it for what it is. */
static void judge_counters(void)
{
    static const char *const names[] = {"malformed", "uncredited", "received"};
    stigstore *store = NULL;
    char *json = NULL;
    assert_int_equal(stigstore_open(service.url, NULL, &store, NULL), STIGSTORE_OK);
    assert_int_equal(stigstore_status_json(store, &json), STIGSTORE_OK);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint64_t count = counter(json, names[i]);
        printf("%-10s %" PRIu64 "\n", names[i], count);
        if (count < SENT_LEAST)
            complain("idle", names[i], "the broker has counted none");
    }
    stigstore_memory_free(json);
    stigstore_free(&store);
}

/* ---- a message without an end ---- */

static void try_endless(void)
{
    uint64_t restarts = 0;
    for (uint64_t time = 0; time < options.endless; time++) {
        pid_t broker = service_actor(&service, "stigstore-broker", 0);
        good_forget(good);
        bool small = time % 2;
        uint64_t most = small ? ENDLESS_BYTES / 8 : ENDLESS_BYTES;
        uint64_t sent = peer_send_without_end(service.endpoint, most, small);
        if (sent >= most)
            complain("unbounded", "endless", "the broker took all of it");
        int64_t until_ms = scene_now_ms() + ENDLESS_MOST_S * 1000;
        size_t seen = good_count(good);
        while (good_count(good) < seen + SAMPLES_LEAST && scene_now_ms() < until_ms)
            judge_errors("endless", LOOK_US);
        bool restarted = service_actor(&service, "stigstore-broker", 0) != broker;
        restarts += restarted;
        printf("%-10s ended after %" PRIu64 " MiB of %s frames, %s; the longest good call took %" PRIu64 " ms\n",
               "endless", sent >> 20, small ? "small" : "large",
               restarted ? "the broker was started anew" : "the peer was cut", good_longest_us(good) / 1000);
    }
    if (options.endless > 1 && restarts == 0)
        complain("idle", "endless", "the broker was never started anew");
}

/* ---- the line ---- */

static error_t parse(int key, char *text, struct argp_state *state)
{
    switch (key) {
    case 's':
        options.seed = strtoull(text, NULL, 10);
        return 0;
    case 'r':
        options.rounds = strtoull(text, NULL, 10);
        if (options.rounds < 1 || options.rounds > ROUNDS_MOST)
            argp_error(state, "--rounds takes 1 to %d", ROUNDS_MOST);
        return 0;
    case 'm':
        options.phase_ms = strtoull(text, NULL, 10);
        return 0;
    case 'k':
        options.only = text;
        return 0;
    case 'e':
        options.endless = strtoull(text, NULL, 10);
        return 0;
    case 'p':
        options.programs = text;
        return 0;
    case 'x':
        options.expect = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void read_line(int count, char **words)
{
    static const struct argp_option all[] = {
        {"seed", 's', "N", 0, "what peers draw from (1)", 0},
        {"rounds", 'r', "N", 0, "of one quiet and one hostile phase, for each kind (3)", 0},
        {"phase-ms", 'm', "MS", 0, "a phase's length (300)", 0},
        {"kind", 'k', "NAME", 0, "this kind alone", 0},
        {"endless", 'e', "N", 0, "instead of the kinds: so many messages without an end", 0},
        {"programs", 'p', "DIR", 0, "the service's programs", 0},
        {"expect", 'x', "WHAT", 0, "fail unless this is found: errors, slow, ended, unbounded", 0},
        {0},
    };
    static const struct argp argp = {.options = all, .parser = parse, .doc = "Good clients beside hostile peers."};
    argp_parse(&argp, count, words, 0, NULL, NULL);
}

int main(int count, char **words)
{
    signal(SIGPIPE, SIG_IGN);
    read_line(count, words);
    printf("--seed %" PRIu64 "\n", options.seed);
    setvbuf(stdout, NULL, _IOLBF, 0);
    start_service();
    good = good_start(service.url);
    phase("nothing yet"); /* what is cold becomes warm */
    if (options.endless)
        try_endless();
    for (const struct kind *kind = kinds; !options.endless && kind->name; kind++)
        if (!options.only || strcmp(options.only, kind->name) == 0)
            try_kind(kind);
    judge_errors("all", 0);
    if (!options.endless && !options.only)
        judge_counters();
    printf("%" PRIu64 " good calls, none failed\n", good_calls(good));
    good_stop(&good);
    assert_int_equal(service_stop(&service), 0);
    service_free(&service);
    if (options.expect)
        printf("FAILED: %s was not found\n", options.expect);
    return options.expect ? 1 : 0;
}
