/*
 * writer_actor.c - the program stigstore-writer, towards a broker that this test plays.
 */
#include "tests/support/cmocka_all.h"

#include "actor/actor.h"
#include "actor_stage.h"
#include "proto/clock.h"
#include "storage/file.h"
#include "storage/lock.h"
#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BODY_BYTES_MOST = 1 << 20, ARGUMENTS_MOST = 12 };

struct scene {
    struct stage stage;
    char database[128];
    pid_t writer;
    struct worker_state state; /* as READY told it; its spans are gone */
    uint8_t *body;             /* of the message received last */
    size_t size;
    struct envelope envelope;
    const struct reply *replies;
    size_t count;
    uint64_t ticket;
};

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    stage_open(&scene->stage);
    snprintf(scene->database, sizeof scene->database, "%s/store.sqlite", scene->stage.folder);
    scene->body = malloc(BODY_BYTES_MOST);
    *state = scene;
    return 0;
}

static void kill_writer(struct scene *scene)
{
    kill(scene->writer, SIGKILL);
    assert_int_equal(process_wait(scene->writer, 10), 128 + SIGKILL);
    scene->writer = 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    if (scene->writer > 0)
        kill_writer(scene);
    stage_close(&scene->stage);
    free(scene->body);
    free(scene);
    return 0;
}

/* ---- the broker's part ---- */

/* The next message that is no heartbeat. */
static void receive(struct scene *scene)
{
    scene->replies = NULL;
    scene->count = 0;
    do {
        scene->size = BODY_BYTES_MOST;
        assert_true(stage_receives(&scene->stage, &scene->envelope, scene->body, &scene->size));
    } while (scene->envelope.type == MESSAGE_HEARTBEAT);
    if (scene->envelope.type == MESSAGE_REPLY && scene->size)
        assert_int_equal(
            body_decode_replies(scene->body, scene->size, scene->stage.arena, &scene->replies, &scene->count),
            STATUS_OK);
}

static void welcome(struct scene *scene)
{
    const struct hello hello = {.life = scene->stage.life};
    struct envelope envelope;
    size_t size = 0;

    assert_false(stage_receives(&scene->stage, &envelope, NULL, &size)); /* the probe */
    stage_says_hello(&scene->stage, ENVELOPE_WELCOME, &hello);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_READY);
    assert_int_equal(worker_state_decode(scene->body, scene->size, &scene->state), STATUS_OK);
}

static pid_t start(struct scene *scene, int ready_fd, const char *option)
{
    char fd[16];
    const char *arguments[ARGUMENTS_MOST] = {"stigstore-writer", "--db", scene->database, "--endpoint",
                                             scene->stage.endpoint};
    size_t count = 5;

    snprintf(fd, sizeof fd, "%d", ready_fd);
    if (ready_fd >= 0) {
        arguments[count++] = "--ready-fd";
        arguments[count++] = fd;
    }
    arguments[count] = option;
    return process_start(arguments, -1, -2, ready_fd);
}

static void start_writer(struct scene *scene)
{
    scene->writer = start(scene, -1, NULL);
    welcome(scene);
}

static struct request save_request(const char *id)
{
    return (struct request){.operation = OPERATION_SAVE,
                            .kind = span_text("Skill"),
                            .id = span_text(id),
                            .data = span_text("data"),
                            .deadline_ns = clock_deadline_ns(10000)};
}

static void send_writes(struct scene *scene, uint64_t first, const struct request *requests, size_t count)
{
    struct envelope envelope = stage_envelope(&scene->stage, MESSAGE_WRITE, ++scene->ticket);
    struct session_header session = {.id = "a session", .counter = scene->state.session_counter, .floor = 1};
    size_t size;
    void *body;

    memcpy(session.incarnation, scene->state.incarnation, sizeof session.incarnation);
    envelope.first = first;
    envelope.count = (uint32_t)count;
    size = body_requests_size(&session, requests, count, envelope.deadline_ns);
    body = arena_alloc(scene->stage.arena, size);
    body_encode_requests(&session, requests, count, envelope.deadline_ns, body);
    stage_sends(&scene->stage, &envelope, (struct span){body, size});
}

static const struct reply *await_reply(struct scene *scene, uint64_t first)
{
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_REPLY);
    assert_int_equal(scene->envelope.status, STATUS_OK);
    assert_int_equal(scene->envelope.first, first);
    assert_int_equal(scene->envelope.life, scene->stage.life);
    return scene->replies;
}

static const struct reply *write_one(struct scene *scene, uint64_t number, const char *id)
{
    struct request request = save_request(id);

    send_writes(scene, number, &request, 1);
    return await_reply(scene, number);
}

static void tell(void *context, bool is_notice, const char *line)
{
    (void)context;
    (void)is_notice;
    print_message("%s\n", line);
}

/* ---- the tests ---- */

static void test_says_who_it_is(void **state)
{
    struct scene *scene = *state;
    char line[16] = "";
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    scene->writer = start(scene, ends[1], NULL);
    close(ends[1]);
    welcome(scene);
    assert_int_equal(read(ends[0], line, sizeof line), 6);
    assert_string_equal(line, "READY\n");
    assert_int_equal(read(ends[0], line, sizeof line), 0);
    close(ends[0]);
    assert_int_equal(scene->state.role, ROLE_WRITER);
    assert_int_equal(scene->state.pid, scene->writer);
    assert_true(scene->state.epoch > 0);
    assert_true(span_equal(scene->state.path, span_text(scene->database)));
    assert_true(scene->state.status.size > 2);
}

static void test_answers_again_after_its_death(void **state)
{
    struct scene *scene = *state;
    struct request requests[] = {save_request("a"), save_request("b"), save_request("")};
    uint64_t epoch, revision;

    start_writer(scene);
    epoch = scene->state.epoch;
    send_writes(scene, 1, requests, 3);
    await_reply(scene, 1);
    assert_int_equal(scene->count, 3);
    assert_true(scene->envelope.flags & ENVELOPE_WRITE);
    assert_int_equal(scene->replies[1].status, STATUS_OK);
    assert_int_equal(scene->replies[2].status, STATUS_INVALID_ARGUMENT);
    revision = scene->replies[1].revision;
    kill_writer(scene);
    start_writer(scene);
    assert_true(scene->state.epoch > epoch);
    assert_int_equal(scene->state.revision, revision);
    assert_int_equal(write_one(scene, 2, "b")->revision, revision);
    assert_int_equal(write_one(scene, 4, "c")->revision, revision + 1);
    assert_int_equal(write_one(scene, 6, "e")->status, STATUS_OUT_OF_ORDER);
    assert_int_equal(scene->replies[0].number, 5);
}

static void expect_refusal(struct scene *scene, uint8_t type, struct span body, int status)
{
    stage_asks(&scene->stage, type, ++scene->ticket, body);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_REPLY);
    assert_int_equal(scene->envelope.status, status);
    assert_int_equal(scene->envelope.ticket, scene->ticket);
    assert_int_equal(scene->size, 0);
}

static void test_refuses_what_is_no_batch(void **state)
{
    struct scene *scene = *state;
    struct request request = save_request("a");
    size_t size = body_requests_size(NULL, &request, 1, 0);
    void *body = arena_alloc(scene->stage.arena, size);

    start_writer(scene);
    body_encode_requests(NULL, &request, 1, 0, body);
    expect_refusal(scene, MESSAGE_WRITE, (struct span){body, size}, STATUS_INVALID_ARGUMENT); /* of no session */
    expect_refusal(scene, MESSAGE_WRITE, span_text("\xff\xff\xff"), STATUS_INVALID_ARGUMENT);
    expect_refusal(scene, MESSAGE_WRITE, span_text(""), STATUS_INVALID_ARGUMENT);
    expect_refusal(scene, MESSAGE_READ, span_text(""), STATUS_UNSUPPORTED);
    assert_int_equal(write_one(scene, 1, "a")->status, STATUS_OK);
}

static void test_finishes_when_drained(void **state)
{
    struct scene *scene = *state;
    struct request request = save_request("a");
    struct envelope drain = envelope_make(MESSAGE_DRAIN, clock_deadline_ns(5000));
    struct failure failure;

    start_writer(scene);
    for (uint64_t n = 1; n <= 5; n++)
        send_writes(scene, n, &request, 1);
    stage_sends(&scene->stage, &drain, (struct span){"", 0});
    for (uint64_t n = 1; n <= 5; n++)
        assert_int_equal(await_reply(scene, n)->status, STATUS_OK);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_GOODBYE);
    assert_int_equal(process_join(scene->writer), ACTOR_EXIT_OK);
    scene->writer = 0;
    assert_int_equal(file_verify(scene->database, tell, NULL, &failure), STATUS_OK);
}

static void test_ends_in_order_by_a_signal(void **state)
{
    struct scene *scene = *state;
    struct lock_holder holder = {0};
    struct failure failure;
    struct lock *lock;

    start_writer(scene);
    assert_int_equal(lock_open(scene->database, false, &lock, &failure), STATUS_OK);
    assert_true(lock_is_held(lock, LOCK_OWNER, &holder));
    assert_true(lock_is_held(lock, LOCK_WRITER, &holder));
    assert_int_equal(holder.mode, LOCK_STANDALONE);
    assert_string_equal(holder.endpoint, scene->stage.endpoint);
    assert_false(holder.stopped_cleanly);
    kill(scene->writer, SIGTERM);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_GOODBYE);
    assert_int_equal(process_join(scene->writer), ACTOR_EXIT_OK);
    scene->writer = 0;
    assert_false(lock_is_held(lock, LOCK_WRITER, &holder));
    assert_true(holder.stopped_cleanly);
    lock_free(&lock);
}

static void ask_backup(struct scene *scene, const char *path)
{
    const struct control control = {.verb = CONTROL_BACKUP, .argument = span_text(path)};

    stage_asks(&scene->stage, MESSAGE_CONTROL, ++scene->ticket, control_encode(&control, scene->stage.arena));
}

static void expect_no_control(struct scene *scene, struct envelope envelope, struct span body, int status)
{
    stage_sends(&scene->stage, &envelope, body);
    assert_int_equal(await_reply(scene, envelope.first)->status, status);
}

static void test_backups_are_for_administrators(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = stage_envelope(&scene->stage, MESSAGE_CONTROL, ++scene->ticket);
    char path[160];
    snprintf(path, sizeof path, "%s/copy.sqlite", scene->stage.folder);
    const struct control backup = {.verb = CONTROL_BACKUP, .argument = span_text(path)};
    const struct control other = {.verb = CONTROL_STATUS};

    start_writer(scene);
    expect_no_control(scene, envelope, span_text("\xff"), STATUS_INVALID_ARGUMENT);
    expect_no_control(scene, envelope, control_encode(&other, scene->stage.arena), STATUS_UNSUPPORTED);
    envelope.role = ROLE_WRITER;
    expect_no_control(scene, envelope, control_encode(&backup, scene->stage.arena), STATUS_PERMISSION_DENIED);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(write_one(scene, 1, "a")->status, STATUS_OK);
}

static void test_makes_a_backup(void **state)
{
    struct scene *scene = *state;
    struct failure failure;
    char path[160];

    start_writer(scene);
    for (uint64_t n = 1; n <= 20; n++)
        write_one(scene, n, "a");
    snprintf(path, sizeof path, "%s/copy.sqlite", scene->stage.folder);
    ask_backup(scene, path);
    assert_int_equal(await_reply(scene, scene->ticket + 100)->status, STATUS_OK);
    assert_false(scene->envelope.flags & ENVELOPE_WRITE);
    assert_int_equal(scene->replies[0].revision, 20);
    assert_int_equal(file_verify(path, tell, NULL, &failure), STATUS_OK);
    ask_backup(scene, "copy.sqlite");
    assert_int_equal(await_reply(scene, scene->ticket + 100)->status, STATUS_INVALID_ARGUMENT);
    ask_backup(scene, path);
    assert_int_not_equal(await_reply(scene, scene->ticket + 100)->status, STATUS_OK);
}

static void test_one_writer_at_a_time(void **state)
{
    struct scene *scene = *state;

    start_writer(scene);
    assert_int_equal(process_join(start(scene, -1, NULL)), ACTOR_EXIT_REFUSED);
    assert_int_equal(write_one(scene, 1, "a")->status, STATUS_OK);
}

/* Standalone actors elsewhere were killed: their claim stands until somebody says otherwise. */
static void test_takes_over_only_when_told(void **state)
{
    struct scene *scene = *state;

    start_writer(scene);
    kill_writer(scene);
    strcat(scene->stage.endpoint, "2");
    assert_int_equal(process_join(start(scene, -1, NULL)), ACTOR_EXIT_REFUSED);
    scene->stage.endpoint[strlen(scene->stage.endpoint) - 1] = '\0';
    start_writer(scene);
}

static void test_ends_when_its_file_is_moved_away(void **state)
{
    struct scene *scene = *state;
    struct request request = save_request("a");
    char path[160];

    start_writer(scene);
    write_one(scene, 1, "a");
    snprintf(path, sizeof path, "%s.away", scene->database);
    assert_int_equal(rename(scene->database, path), 0);
    send_writes(scene, 2, &request, 1);
    assert_int_equal(process_join(scene->writer), ACTOR_EXIT_FAILED); /* without an answer */
    scene->writer = 0;
}

static void test_leaves_a_foreign_file_alone(void **state)
{
    static const char text[] = "this is no database, but somebody's letter";
    struct scene *scene = *state;
    char found[sizeof text] = "";
    FILE *file = fopen(scene->database, "w");

    fputs(text, file);
    fclose(file);
    assert_int_equal(process_join(start(scene, -1, NULL)), ACTOR_EXIT_REFUSED);
    file = fopen(scene->database, "r");
    assert_int_equal(fread(found, 1, sizeof found, file), sizeof text - 1);
    fclose(file);
    assert_string_equal(found, text);
}

static void test_says_what_it_takes(void **state)
{
    struct scene *scene = *state;
    const char *const help[] = {"stigstore-writer", "--help", NULL};
    const char *const version[] = {"stigstore-writer", "--version", NULL};
    const char *const nothing[] = {"stigstore-writer", NULL};
    struct output output = process_run(help, NULL, 0);

    assert_int_equal(output.code, 0);
    assert_non_null(strstr(output.text, "--take-over"));
    output_free(&output);
    output = process_run(version, NULL, 0);
    assert_int_equal(output.code, 0);
    assert_non_null(strstr(output.text, "stigstore-writer "));
    output_free(&output);
    output = process_run(nothing, NULL, 0);
    assert_int_equal(output.code, ACTOR_EXIT_USAGE);
    output_free(&output);
    assert_int_equal(process_join(start(scene, -1, "--durability=perhaps")), ACTOR_EXIT_USAGE);
    assert_int_equal(process_join(start(scene, -1, "--max-data-bytes=0")), ACTOR_EXIT_USAGE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_says_who_it_is),
        TEST(test_answers_again_after_its_death),
        TEST(test_refuses_what_is_no_batch),
        TEST(test_finishes_when_drained),
        TEST(test_ends_in_order_by_a_signal),
        TEST(test_backups_are_for_administrators),
        TEST(test_makes_a_backup),
        TEST(test_one_writer_at_a_time),
        TEST(test_takes_over_only_when_told),
        TEST(test_ends_when_its_file_is_moved_away),
        TEST(test_leaves_a_foreign_file_alone),
        TEST(test_says_what_it_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
