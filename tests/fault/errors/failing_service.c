/*
 * failing_service.c - the n-th call on files fails in a service's writer or reader: it answers again when that is over.
 *
 *     failing_service PROGRAMS [forgets]
 *
 * PROGRAMS: a folder with a service whose actors have failing.c in them.  Each time the actor is killed and started with
 * another call to fail, requests are made, and then the fault goes.  forgets: it never goes, which the test must find.
 */
#include "tests/fault/disk/calls.h"
#include "tests/system/scene.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDS = 4, ROUND_MS = 400, TIMEOUT_MS = 200, PATIENCE_S = 60, FORGETTING_S = 5 };

static const char *programs;
static bool forgets;
static unsigned met, told;

struct place {
    char *folder, *spec, *met;
    char database[128], url[160], through_broker[180];
    pid_t pid;
    stigstore *store;
    unsigned number;
    unsigned acknowledged[IDS]; /* what each id holds at least */
};

/* INTERNAL: it was alone on two writers that died. */
static int save(struct place *place, unsigned id)
{
    char name[8], data[16];
    stigstore_request request = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("k"), .timeout_ms = TIMEOUT_MS};
    stigstore_result *result = NULL;
    int status;

    snprintf(name, sizeof name, "%u", id);
    snprintf(data, sizeof data, "%u", ++place->number);
    request.id = stigstore_text(name);
    request.data = stigstore_text(data);
    status = stigstore_call(place->store, &request, &result);
    if (status == STIGSTORE_OK)
        place->acknowledged[id] = place->number;
    else if (status != STIGSTORE_IO_ERROR && status != STIGSTORE_STORAGE_FULL && status != STIGSTORE_UNAVAILABLE &&
             status != STIGSTORE_DEADLINE_EXCEEDED && status != STIGSTORE_OVERLOADED && status != STIGSTORE_INTERNAL)
        fail_msg("a save is answered %s: %s", stigstore_status_name(status), result->message);
    stigstore_result_free(&result);
    return status;
}

/* What is read is what was acknowledged last, or what came later and has no outcome. */
static int check(struct place *place, unsigned id)
{
    stigstore_request request = {STIGSTORE_REQUEST(GET), .kind = stigstore_text("k"), .timeout_ms = TIMEOUT_MS};
    stigstore_result *result = NULL;
    char name[8], text[16] = "0";
    unsigned found;
    int status;

    snprintf(name, sizeof name, "%u", id);
    request.id = stigstore_text(name);
    status = stigstore_call(place->store, &request, &result);
    if (status == STIGSTORE_OK)
        snprintf(text, sizeof text, "%.*s", (int)result->items[0].data.size, (const char *)result->items[0].data.data);
    found = (unsigned)strtoul(text, NULL, 10);
    if (status == STIGSTORE_OK || status == STIGSTORE_NOT_FOUND) {
        if (found < place->acknowledged[id] || found > place->number)
            fail_msg("%u is read, and %u was acknowledged", found, place->acknowledged[id]);
    } else if (status != STIGSTORE_IO_ERROR && status != STIGSTORE_UNAVAILABLE &&
               status != STIGSTORE_DEADLINE_EXCEEDED && status != STIGSTORE_OVERLOADED &&
               status != STIGSTORE_INTERNAL) {
        fail_msg("a read is answered %s: %s", stigstore_status_name(status), result->message);
    }
    stigstore_result_free(&result);
    return status;
}

static void plan(const struct place *place, const char *program, enum call kind, int error, long n, bool stays)
{
    char line[320], partial[200];
    int fd;

    unlink(place->met);
    snprintf(partial, sizeof partial, "%s.partial", place->spec);
    snprintf(line, sizeof line, "%s %s %d %d %ld %d\n", program, place->folder, (int)kind, error, n, stays);
    fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line));
    close(fd);
    assert_int_equal(rename(partial, place->spec), 0);
}

static void kill_actor(const struct place *place, const char *program)
{
    pid_t pids[4];
    size_t count = process_children(place->pid, program, pids, 4);

    for (size_t i = 0; i < count && i < 4; i++)
        kill(pids[i], SIGKILL);
}

static bool is_served(struct place *place)
{
    if (process_wait(place->pid, 0) != -1)
        fail_msg("the service has ended");
    return save(place, 0) == STIGSTORE_OK && check(place, 0) == STIGSTORE_OK;
}

static void one_fault(struct place *place, const char *program, enum call kind, int error, long n, bool stays)
{
    int64_t until_ms = scene_now_ms() + ROUND_MS;

    plan(place, program, kind, error, n, stays);
    kill_actor(place, program);
    for (unsigned i = 0; i < 2 * IDS || (access(place->met, F_OK) != 0 && scene_now_ms() < until_ms); i++) {
        save(place, i % IDS);
        check(place, (i + 1) % IDS);
    }
    met += access(place->met, F_OK) == 0;
    told++;
    if (!forgets)
        unlink(place->spec);
    until_ms = scene_now_ms() + (forgets ? FORGETTING_S : PATIENCE_S) * 1000;
    while (!is_served(place))
        if (scene_now_ms() > until_ms)
            fail_msg("the fault is gone, and there is no service");
    for (unsigned id = 0; id < IDS; id++)
        check(place, id);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    place->folder = folder_new();
    place->spec = folder_path(place->folder, "failing");
    place->met = folder_path(place->folder, "failing.met");
    setenv("STIGSTORE_FAILING", place->spec, 1);
    snprintf(place->database, sizeof place->database, "%s/store.sqlite", place->folder);
    snprintf(place->url, sizeof place->url, "ipc://%s/run/broker.sock", place->folder);
    snprintf(place->through_broker, sizeof place->through_broker, "%s?reads=broker", place->url);
    place->pid = scene_serve(programs, place->database, place->url);
    assert_status(OK, stigstore_open(place->through_broker, NULL, &place->store, NULL));
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    stigstore_free(&place->store);
    kill(place->pid, forgets ? SIGKILL : SIGTERM);
    process_join(place->pid);
    free(place->spec);
    free(place->met);
    folder_remove(&place->folder);
    free(place);
    return 0;
}

static void fail_some(struct place *place, const char *program, enum call kind, int error, long most, long every)
{
    for (long n = 0; n < most; n += every)
        one_fault(place, program, kind, error, n, forgets || n / every % 2);
}

static void a_writer_serves_again(void **state)
{
    fail_some(*state, "stigstore-writer", CALL_WRITE, EIO, 40, 7);
    fail_some(*state, "stigstore-writer", CALL_WRITE, ENOSPC, 40, 9);
    fail_some(*state, "stigstore-writer", CALL_SYNC, EIO, 15, 3);
    fail_some(*state, "stigstore-writer", CALL_READ, EIO, 40, 7);
    fail_some(*state, "stigstore-writer", CALL_OPEN, EIO, 12, 2);
    fail_some(*state, "stigstore-writer", CALL_TRUNCATE, ENOSPC, 6, 2);
    printf("writer: %u of %u faults met\n", met, told);
    assert_true(met > told / 3);
}

static void a_reader_serves_again(void **state)
{
    met = told = 0;
    fail_some(*state, "stigstore-reader", CALL_READ, EIO, 24, 3);
    fail_some(*state, "stigstore-reader", CALL_OPEN, EIO, 6, 1);
    printf("reader: %u of %u faults met\n", met, told);
    assert_true(met > told / 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_writer_serves_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_serves_again, set_up, tear_down),
    };

    if (argc < 2)
        return 2;
    programs = argv[1];
    forgets = argc > 2 && strcmp(argv[2], "forgets") == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
