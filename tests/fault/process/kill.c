/*
 * kill.c - fault_kill: kills what belongs to a service at random moments under load, and holds the file against what
 * was acknowledged.
 *
 *     fault_kill [--cycles N] [--seed S] [--fault NAME --expect COMPLAINT]
 *
 * A store lives for an era of cycles. A cycle: one or more kills at random moments, until all clients have answers
 * again, then the file is judged while the load goes on. An era ends with the death of all processes at once; what they
 * leave is judged as a copy that plain sqlite3 recovers, then under a new service that is stopped in order.
 *
 * --fault: the service's programs are those with built-in faults (tests/fault/faulty), and the test passes only when it
 * finds the complaint.
 */
#include "tests/fault/process/rig.h"

#include "tests/support/cmocka_all.h"
#include "tests/support/process.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    ERA_CYCLES = 20,
    PROGRESS_CYCLES = 500, /* a long run says how far it is: whole eras */
    DEADLINE_MS = 30000,
    FAULTY_DEADLINE_MS = 8000,
    MOMENT_MS = 120,
    AGAIN_MS = 40,
    ERASE_WAIT_MS = 400,
    STEPS_MS = 60,     /* about as long as all steps take */
    IN_A_MESSAGE = 48, /* what a client has under way at most */
};

enum victim { WRITER, BROKER, READER, CLIENT, WRITER_AND_BROKER, WRITER_AND_CLIENT, ACTORS, SUPERVISOR, EVERYTHING };
static const char *const victim_names[] = {"writer",        "broker", "reader",     "client",    "writer+broker",
                                           "writer+client", "actors", "supervisor", "everything"};
/* How often each is drawn: all of them within any sixteen cycles. */
static const enum victim bag_of_victims[] = {WRITER,
                                             WRITER,
                                             WRITER,
                                             BROKER,
                                             BROKER,
                                             READER,
                                             CLIENT,
                                             CLIENT,
                                             CLIENT,
                                             WRITER_AND_BROKER,
                                             ACTORS,
                                             ACTORS,
                                             WRITER_AND_CLIENT,
                                             SUPERVISOR,
                                             SUPERVISOR,
                                             EVERYTHING};
enum { BAG = sizeof(bag_of_victims) / sizeof(*bag_of_victims) };

struct test {
    unsigned cycles;
    uint64_t seed;
    const char *fault;
    uint32_t expected;
    struct dice dice;
    enum victim bag[BAG];
    size_t bag_left;
    unsigned kills[BAG];
    struct complaints complaints;
    struct judged_figures figures;
    struct rig rig;
};

/* ---- killing ---- */

static enum victim draw_victim(struct test *test)
{
    if (test->bag_left == 0) {
        memcpy(test->bag, bag_of_victims, sizeof(test->bag));
        test->bag_left = BAG;
    }
    size_t index = dice_roll(&test->dice, (uint32_t)test->bag_left);
    enum victim victim = test->bag[index];
    test->bag[index] = test->bag[--test->bag_left];
    return victim;
}

static void wait_a_moment(struct test *test, unsigned most_ms)
{
    poll(NULL, 0, (int)dice_roll(&test->dice, most_ms));
}

static void kill_actors(struct test *test)
{
    static const char *const programs[] = {"stigstore-broker", "stigstore-writer", "stigstore-reader"};
    for (unsigned i = 0, first = dice_roll(&test->dice, 3); i < 3; i++)
        rig_kill_actor(&test->rig, programs[(first + i) % 3]);
}

static void kill_client(struct test *test)
{
    unsigned index = dice_roll(&test->dice, RIG_CLIENTS);
    rig_kill_client(&test->rig, index);
    rig_start_client(&test->rig, index);
}

static void kill_everything(struct test *test)
{
    bool clients_first = dice_roll(&test->dice, 2);
    if (!clients_first)
        rig_kill_service(&test->rig);
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        rig_kill_client(&test->rig, i);
    if (clients_first)
        rig_kill_service(&test->rig);
    rig_start_service(&test->rig);
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        rig_start_client(&test->rig, i);
}

static void kill_victim(struct test *test, enum victim victim)
{
    struct rig *rig = &test->rig;
    test->kills[victim]++;
    if (victim == WRITER || victim == WRITER_AND_BROKER || victim == WRITER_AND_CLIENT)
        rig_kill_actor(rig, "stigstore-writer");
    if (victim == BROKER || victim == WRITER_AND_BROKER)
        rig_kill_actor(rig, "stigstore-broker");
    if (victim == READER)
        rig_kill_actor(rig, "stigstore-reader");
    if (victim == CLIENT || victim == WRITER_AND_CLIENT)
        kill_client(test);
    if (victim == ACTORS)
        kill_actors(test);
    if (victim == EVERYTHING)
        kill_everything(test);
    if (victim == SUPERVISOR) {
        rig_kill_service(rig);
        rig_start_service(rig);
    }
}

static bool is_fault(const struct test *test, const char *name)
{
    return test->fault && strcmp(test->fault, name) == 0;
}

/* What the faults need: replies that are lost are seen where nothing else delays them. */
static enum victim victim_of_fault(struct test *test)
{
    if (is_fault(test, "lost-reply"))
        return READER;
    return dice_roll(&test->dice, 2) ? BROKER : WRITER;
}

/* A writer that dies before it was ready is started again only after a while. */
static void keep_writer_away(struct test *test)
{
    for (unsigned kills = 0, tries = 0; kills < 3 && tries < 1000; tries++) {
        kills += rig_kill_actor(&test->rig, "stigstore-writer");
        poll(NULL, 0, 1);
    }
}

/* True when the ranged delete has begun and not ended. */
static bool wait_for_delete(struct test *test)
{
    for (unsigned i = 0; i < ERASE_WAIT_MS && !rig_is_erasing(&test->rig); i++)
        poll(NULL, 0, 1);
    return rig_is_erasing(&test->rig);
}

static void look(struct test *test)
{
    struct judged_figures figures = {0};
    rig_judge(&test->rig, NULL, &figures);
    test->figures.midway += figures.midway;
}

/* What a dead writer leaves between two steps, before the next one is there. */
static void kill_between_steps(struct test *test)
{
    bool is_under_way = wait_for_delete(test);
    wait_a_moment(test, STEPS_MS);
    if (!is_under_way)
        return;
    kill_victim(test, WRITER);
    look(test);
}

static void run_cycle(struct test *test, unsigned cycle)
{
    uint64_t progress[RIG_CLIENTS];
    enum victim victim = test->fault ? victim_of_fault(test) : draw_victim(test);
    if (!test->fault && dice_roll(&test->dice, 3) == 0)
        kill_between_steps(test);
    wait_a_moment(test, MOMENT_MS);
    kill_victim(test, victim);
    if (is_fault(test, "no-owner"))
        keep_writer_away(test);
    if (!test->fault && dice_roll(&test->dice, 3) == 0) { /* into the restart */
        wait_a_moment(test, AGAIN_MS);
        kill_victim(test, dice_roll(&test->dice, 2) ? WRITER : BROKER);
    }
    rig_read_progress(&test->rig, progress);
    rig_wait_for_progress(&test->rig, progress, 4);
    look(test);
    if (!test->fault) {
        rig_verify(&test->rig, NULL, false);
        rig_erase_again(&test->rig);
    }
    if (test->complaints.count && !test->fault)
        fprintf(stderr, "in cycle %u, %s killed\n", cycle, victim_names[victim]);
}

/* ---- the end of an era ---- */

/* They are not our children, but a descriptor of a process tells its end. */
static size_t watch_actors(const struct test *test, int fds[RIG_ACTORS_MOST])
{
    static const char *const programs[] = {"stigstore-broker", "stigstore-writer", "stigstore-reader"};
    size_t count = 0;
    for (unsigned i = 0; i < 3; i++) {
        pid_t pids[RIG_ACTORS_MOST];
        size_t found = process_children(test->rig.service.pid, programs[i], pids, RIG_ACTORS_MOST);
        for (size_t p = 0; p < found && count < RIG_ACTORS_MOST; p++) {
            int fd = (int)syscall(SYS_pidfd_open, pids[p], 0);
            if (fd >= 0)
                fds[count++] = fd;
        }
    }
    return count;
}

static void wait_for_end(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct pollfd item = {.fd = fds[i], .events = POLLIN};
        if (poll(&item, 1, 30000) != 1)
            fail_msg("an actor outlives its supervisor");
        close(fds[i]);
    }
}

static void end_in_ruins(struct test *test)
{
    int fds[RIG_ACTORS_MOST];
    struct rig *rig = &test->rig;
    rig_stop_intruders(rig);
    size_t count = watch_actors(test, fds);
    wait_a_moment(test, MOMENT_MS);
    rig_kill_service(rig);
    for (unsigned i = 0; i <= RIG_CLIENTS; i++)
        if (rig->clients[i].pid)
            rig_kill_client(rig, i);
    wait_for_end(fds, count);
    char *copy = rig_copy(rig);
    rig_verify(rig, copy, true);
    rig_judge(rig, copy, &(struct judged_figures){0});
    free(copy);
}

/* Every two deaths of workers may end one message: of a handle's writes it may hold all, of its reads, which come one by
 * one, it holds one. */
static void bound_died(struct test *test, const struct judged_figures *before)
{
    const struct rig *rig = &test->rig;
    uint64_t writes = test->figures.writes_died - before->writes_died;
    uint64_t reads = test->figures.reads_died - before->reads_died;
    if (writes > (uint64_t)(rig->writer_deaths / 2) * IN_A_MESSAGE)
        complain(&test->complaints, COMPLAINT_STATUS, "%" PRIu64 " writes died with %u writers", writes,
                 rig->writer_deaths);
    if (reads > rig->reader_deaths / 2)
        complain(&test->complaints, COMPLAINT_STATUS, "%" PRIu64 " reads died with %u readers", reads,
                 rig->reader_deaths);
}

static void end_in_order(struct test *test)
{
    struct rig *rig = &test->rig;
    rig_start_service(rig);
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        rig_start_client(rig, i);
    uint64_t none[RIG_CLIENTS];
    rig_read_progress(rig, none);
    rig_wait_for_progress(rig, none, 4);
    rig_stop_clients(rig);
    if (service_stop(&rig->service) != 0)
        complain(&test->complaints, COMPLAINT_SERVICE, "it does not stop in order");
    struct judged_figures before = test->figures;
    rig_judge(rig, NULL, &test->figures);
    rig_verify(rig, NULL, true);
    bound_died(test, &before);
}

/* A fault may show in other ways first. */
static bool is_over(const struct test *test)
{
    return (test->fault ? test->complaints.of_kind[test->expected] : test->complaints.count) > 0;
}

static void run_era(struct test *test, unsigned from)
{
    unsigned to = from + ERA_CYCLES < test->cycles ? from + ERA_CYCLES : test->cycles;
    const struct rig_options options = {.deadline_ms = test->fault ? FAULTY_DEADLINE_MS : DEADLINE_MS,
                                        .programs = test->fault ? FAULT_BIN_DIR "/faulty" : STIGSTORE_BIN_DIR,
                                        .has_intruders = !test->fault || is_fault(test, "no-owner"),
                                        .is_erasing = !test->fault};
    uint64_t seed = dice_next(&test->dice);
    rig_start(&test->rig, &options, seed, &test->complaints);
    for (unsigned cycle = from; cycle < to && !is_over(test); cycle++)
        run_cycle(test, cycle);
    if (!test->fault && !test->complaints.count)
        end_in_ruins(test);
    if (!test->fault && !test->complaints.count)
        end_in_order(test);
    rig_free(&test->rig);
}

/* ---- the command line ---- */

static _Noreturn void show_usage(void)
{
    fprintf(stderr, "usage: fault_kill [--cycles N] [--seed S] [--fault NAME --expect COMPLAINT]\n");
    exit(2);
}

static void parse(struct test *test, int argc, char **argv)
{
    static const struct option options[] = {{"cycles", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"fault", required_argument, NULL, 'f'},
                                            {"expect", required_argument, NULL, 'e'},
                                            {0}};
    for (int key; (key = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (key == 'c')
            test->cycles = (unsigned)strtoul(optarg, NULL, 10);
        else if (key == 's')
            test->seed = strtoull(optarg, NULL, 0);
        else if (key == 'f')
            test->fault = optarg;
        else if (key == 'e')
            test->expected = complaint_of_name(optarg);
        else
            show_usage();
    if (optind < argc || test->cycles == 0 || !test->fault != !test->expected)
        show_usage();
}

static void report(const struct test *test)
{
    printf("kills:");
    for (unsigned i = 0; i < sizeof(victim_names) / sizeof(*victim_names); i++)
        printf(" %s %u", victim_names[i], test->kills[i]);
    printf("\n%" PRIu64 " acknowledged mutations and %" PRIu64 " of unknown outcome found, %" PRIu64
           " retried by a successor; %" PRIu64 " looks fell between the steps of a delete\n",
           test->figures.sure, test->figures.unknown_found, test->figures.retried, test->figures.midway);
    printf("%" PRIu64 " writes and %" PRIu64 " reads were alone on two workers that died\n", test->figures.writes_died,
           test->figures.reads_died);
    printf("others had the database %" PRIu64 " times, always while no service lived\n%s\n", test->figures.insides,
           test->complaints.count ? "FAILED" : "passed");
}

static int report_control(const struct test *test)
{
    bool is_caught = test->complaints.of_kind[test->expected] > 0;
    printf("%s: %s\n", complaint_name(test->expected), is_caught ? "caught" : "NOT CAUGHT");
    return is_caught ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct test test = {.cycles = 60};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    test.seed = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    parse(&test, argc, argv);
    test.dice.state = test.seed;
    test.complaints.is_quiet = test.fault != NULL;
    if (test.fault)
        setenv("STIGSTORE_FAULT", test.fault, 1);
    printf("seed %" PRIu64 ", %u cycles%s%s\n", test.seed, test.cycles, test.fault ? ", fault " : "",
           test.fault ? test.fault : "");
    fflush(stdout);
    for (unsigned from = 0; from < test.cycles && !is_over(&test); from += ERA_CYCLES) {
        if (from > 0 && from % PROGRESS_CYCLES == 0)
            fprintf(stderr, "%u cycles\n", from);
        run_era(&test, from);
    }
    if (test.fault)
        return report_control(&test);
    report(&test);
    return test.complaints.count ? 1 : 0;
}
