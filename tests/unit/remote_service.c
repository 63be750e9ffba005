/*
 * remote_service.c - the lane with the real broker, writer and reader, which are killed while it works.
 *
 * Every mutation is a save that must find nothing: were one applied twice, its answer would be CONFLICT.
 */
#include "client/lane.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { CALLS = 3000, IN_FLIGHT = 200, LARGE_BYTES = 300 * 1024, PATIENCE_S = 60, KILL_EACH = 400, READY_MS = 20000 };

enum fate { PENDING, DONE, GIVEN_UP, NEVER_SENT };

struct user {
    struct call call; /* first */
    struct fixture *fixture;
    char id[16];
    enum fate fate;
    int status;
    uint64_t revision;
};

struct fixture {
    char *folder;
    char endpoint[160], database[160];
    pid_t broker, writer, reader;
    pthread_mutex_t mutex;
    struct lane *lane;
    struct user users[CALLS];
    size_t submitted, pending;
    char *large;
    bool found[CALLS];
    size_t found_count, pieces;
    bool list_ended;
    int list_status;
};

/* ---- the actors ---- */

static pid_t start(struct fixture *f, const char *program)
{
    char number[16], line[16];
    int ends[2];
    struct pollfd ready;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    snprintf(number, sizeof number, "%d", ends[1]);
    const char *arguments[] = {program, "--endpoint", f->endpoint, "--ready-fd", number, "--db", f->database, NULL};
    if (strcmp(program, "stigstore-broker") == 0)
        arguments[5] = NULL;
    pid = process_start(arguments, -1, -1, ends[1]);
    close(ends[1]);
    ready = (struct pollfd){.fd = ends[0], .events = POLLIN};
    assert_int_equal(poll(&ready, 1, READY_MS), 1);
    assert_true(read(ends[0], line, sizeof line) > 0);
    close(ends[0]);
    return pid;
}

static void end(pid_t *pid, int how)
{
    if (*pid)
        kill(*pid, how);
    if (*pid)
        process_join(*pid);
    *pid = 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->folder = folder_new();
    snprintf(f->endpoint, sizeof f->endpoint, "ipc://%s/b", f->folder);
    snprintf(f->database, sizeof f->database, "%s/db", f->folder);
    f->large = calloc(1, LARGE_BYTES);
    assert_non_null(f->large);
    pthread_mutex_init(&f->mutex, NULL);
    pthread_mutex_lock(&f->mutex);
    f->broker = start(f, "stigstore-broker");
    f->writer = start(f, "stigstore-writer");
    f->reader = start(f, "stigstore-reader");
    const struct remote_options options = {.endpoint = f->endpoint, .mutex = &f->mutex};
    struct failure failure;
    assert_int_equal(remote_new(&options, &f->lane, &failure), STATUS_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->lane->ops->free(f->lane);
    end(&f->reader, SIGTERM);
    end(&f->writer, SIGTERM);
    end(&f->broker, SIGTERM);
    pthread_mutex_unlock(&f->mutex);
    pthread_mutex_destroy(&f->mutex);
    folder_remove(&f->folder);
    free(f->large);
    free(f);
    return 0;
}

/* ---- calls ---- */

static void settle(struct call *call, const struct reply *reply, bool last)
{
    struct user *user = (struct user *)call;

    assert_true(last && user->fate == PENDING);
    user->fate = DONE;
    user->status = reply->status;
    user->revision = reply->revision;
    user->fixture->pending--;
}

static void submit_save(struct fixture *f)
{
    size_t index = f->submitted++;
    struct user *user = &f->users[index];

    snprintf(user->id, sizeof user->id, "%06zu", index);
    user->fixture = f;
    user->call.settle = settle;
    user->call.request = (struct request){.operation = OPERATION_SAVE,
                                          .condition = CONDITION_IF_ABSENT,
                                          .kind = span_text("k"),
                                          .id = span_text(user->id),
                                          .data = {f->large, index % 100 == 0 ? LARGE_BYTES : 20},
                                          .deadline_ns = clock_boot_ns() + PATIENCE_S * NS_PER_S};
    f->pending++;
    f->lane->ops->submit(f->lane, &user->call);
}

static void give_up(struct fixture *f, size_t index)
{
    struct user *user = &f->users[index];

    if (user->fate != PENDING)
        return;
    user->fate = f->lane->ops->abandon(f->lane, &user->call) ? NEVER_SENT : GIVEN_UP;
    f->pending--;
}

static void lead(struct fixture *f)
{
    f->lane->ops->lead(f->lane, clock_deadline_ns(100), -1);
}

static void settle_list(struct call *call, const struct reply *reply, bool last)
{
    struct fixture *f = ((struct user *)call)->fixture;

    for (size_t i = 0; i < reply->item_count; i++) {
        char id[16] = {0};
        size_t index;
        memcpy(id, reply->items[i].id.data, 6);
        index = strtoul(id, NULL, 10);
        assert_true(index < CALLS && !f->found[index]);
        f->found[index] = true;
        f->found_count++;
    }
    f->pieces++;
    f->list_ended = last;
    f->list_status = reply->status;
    if (!last)
        f->lane->ops->credit(f->lane, call, LIMIT_PIECE_BYTES);
}

/* All that is there, as a streamed list with little credit. */
static void read_all(struct fixture *f)
{
    struct user list = {.fixture = f};
    int64_t until_ns = clock_boot_ns() + PATIENCE_S * NS_PER_S;

    list.call.settle = settle_list;
    list.call.streamed = true;
    list.call.credit_bytes = LIMIT_PIECE_BYTES;
    list.call.request = (struct request){.operation = OPERATION_LIST, .kind = span_text("k"), .deadline_ns = until_ns};
    f->lane->ops->submit(f->lane, &list.call);
    while (!f->list_ended) {
        assert_true(clock_boot_ns() < until_ns);
        lead(f);
    }
    assert_int_equal(f->list_status, STATUS_OK);
}

static void kill_somebody(struct fixture *f, size_t round)
{
    if (round % 2) {
        end(&f->broker, SIGKILL);
        f->broker = start(f, "stigstore-broker");
    } else {
        end(&f->writer, SIGKILL);
        f->writer = start(f, "stigstore-writer");
    }
}

static void each_is_applied_once_in_order_whoever_dies(void **state)
{
    struct fixture *f = *state;
    int64_t until_ns = clock_boot_ns() + PATIENCE_S * NS_PER_S;
    uint64_t revision = 0;

    while (f->submitted < CALLS || f->pending) {
        assert_true(clock_boot_ns() < until_ns);
        while (f->submitted < CALLS && f->pending < IN_FLIGHT) {
            submit_save(f);
            if (f->submitted % 50 == 0)
                give_up(f, f->submitted - 20);
            if (f->submitted % KILL_EACH == 0)
                kill_somebody(f, f->submitted / KILL_EACH);
        }
        lead(f);
    }
    read_all(f);
    assert_true(f->pieces > 2);
    for (size_t i = 0; i < CALLS; i++) {
        const struct user *user = &f->users[i];
        if (user->fate == DONE) {
            assert_int_equal(user->status, STATUS_OK);
            assert_true(user->revision > revision);
            revision = user->revision;
        }
        assert_false(user->fate == DONE && !f->found[i]);
        assert_false(user->fate == NEVER_SENT && f->found[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_is_applied_once_in_order_whoever_dies, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
