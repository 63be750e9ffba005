/* actor_scene.c - starts a reader and plays the others. */
#include "actor_scene.h"
#include "proto/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { BODY_BYTES_MOST = 20 << 20 };

/* ---- the writer's part ---- */

void scene_opens_writer(struct scene *scene)
{
    struct failure failure = {0};
    const struct storage_options options = {.path = scene->database, .access = STORAGE_FOR_WRITING, .create = true};
    if (storage_open_sqlite(&options, &scene->writer, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
}

void scene_save(struct scene *scene, unsigned from, unsigned count, size_t data_bytes)
{
    const struct storage_ops *ops = scene->writer->ops;
    const struct storage_session_record no_record = {0};
    static const uint8_t principal[PRINCIPAL_BYTES];
    const struct storage_caller caller = {.principal = principal, .role = ROLE_ADMIN};
    uint64_t sequence;
    char *data = calloc(1, data_bytes + 1);
    assert_int_equal(ops->begin(scene->writer, clock_wall_ms()), STATUS_OK);
    for (unsigned i = from; i < from + count; i++) {
        char id[16];
        struct reply reply;
        snprintf(id, sizeof id, "%06u", i);
        const struct request request = {.operation = OPERATION_SAVE,
                                        .kind = span_text("k"),
                                        .id = span_text(id),
                                        .data = {data, data_bytes},
                                        .deadline_ns = INT64_MAX};
        assert_int_equal(ops->apply(scene->writer, &caller, &request, &reply, scene->stage.arena), STATUS_OK);
        assert_int_equal(reply.status, STATUS_OK);
    }
    assert_int_equal(ops->commit(scene->writer, &no_record, &sequence), STATUS_OK);
    free(data);
}

/* ---- the broker's part ---- */

void scene_says_hello(struct scene *scene, uint16_t flags, uint64_t writer_epoch)
{
    struct hello hello = {.life = scene->stage.life, .writer_epoch = writer_epoch, .path = span_text(scene->database)};
    memcpy(hello.incarnation, scene->writer->identity.incarnation, sizeof hello.incarnation);
    stage_says_hello(&scene->stage, flags, &hello);
}

void scene_receives(struct scene *scene)
{
    int heartbeats = 0;
    do {
        scene->size = BODY_BYTES_MOST;
        assert_true(stage_receives(&scene->stage, &scene->envelope, scene->body, &scene->size));
        assert_true(heartbeats++ < STAGE_PATIENCE_MS / 1000);
    } while (scene->envelope.type == MESSAGE_HEARTBEAT);
    scene->replies = NULL;
    scene->count = 0;
    if (scene->size > 0 && scene->envelope.type != MESSAGE_READY)
        assert_int_equal(
            body_decode_replies(scene->body, scene->size, scene->stage.arena, &scene->replies, &scene->count),
            STATUS_OK);
}

void scene_asks(struct scene *scene, const struct envelope *envelope, const struct request *requests, size_t count)
{
    size_t size = body_requests_size(NULL, requests, count, envelope->deadline_ns);
    void *body = arena_alloc(scene->stage.arena, size);
    body_encode_requests(NULL, requests, count, envelope->deadline_ns, body);
    stage_sends(&scene->stage, envelope, (struct span){body, size});
}

struct envelope scene_envelope(struct scene *scene, uint8_t type)
{
    return stage_envelope(&scene->stage, type, ++scene->ticket);
}

struct request scene_get(const char *id)
{
    return (struct request){.operation = OPERATION_GET,
                            .kind = span_text("k"),
                            .id = span_text(id),
                            .deadline_ns = clock_deadline_ns(5000)};
}

const struct reply *scene_asks_one(struct scene *scene, struct request request)
{
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    scene_asks(scene, &envelope, &request, 1);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_REPLY);
    assert_int_equal(scene->envelope.ticket, scene->ticket);
    return scene->count ? &scene->replies[0] : NULL;
}

uint64_t scene_opens_list(struct scene *scene, uint64_t credit_bytes)
{
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    struct request list = {.operation = OPERATION_LIST, .kind = span_text("k"), .deadline_ns = envelope.deadline_ns};
    envelope.flags = ENVELOPE_STREAM;
    envelope.bytes = credit_bytes;
    scene_asks(scene, &envelope, &list, 1);
    return envelope.ticket;
}

void scene_tells(struct scene *scene, uint8_t type, uint64_t ticket, uint64_t bytes)
{
    struct envelope envelope = stage_envelope(&scene->stage, type, ticket);
    envelope.bytes = bytes;
    stage_sends(&scene->stage, &envelope, (struct span){0});
}

/* ---- the scene ---- */

static void start_reader(struct scene *scene)
{
    int ends[2];
    char fd[16], supervisor[16];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(fd, sizeof fd, "%d", ends[1]);
    snprintf(supervisor, sizeof supervisor, "%d", getpid());
    scene->reader = fork();
    if (scene->reader == 0) {
        fcntl(ends[1], F_SETFD, 0);
        execl(STIGSTORE_BIN_DIR "/stigstore-reader", "stigstore-reader", "--db", scene->database, "--endpoint",
              scene->stage.endpoint, "--supervised", supervisor, "--ready-fd", fd, "--snapshot-seconds", "1", NULL);
        _exit(99);
    }
    close(ends[1]);
    scene->ready_fd = ends[0];
    scene->size = 0;
    assert_false(stage_receives(&scene->stage, &scene->envelope, NULL, &scene->size));
}

static void expect_attached(struct scene *scene)
{
    char text[8];
    struct worker_state state;
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_READY);
    assert_int_equal(worker_state_decode(scene->body, scene->size, &state), STATUS_OK);
    assert_int_equal(state.role, ROLE_READER);
    assert_int_equal(state.pid, scene->reader);
    assert_int_equal(state.epoch, 1);
    assert_memory_equal(state.incarnation, scene->writer->identity.incarnation, sizeof state.incarnation);
    assert_int_equal(read(scene->ready_fd, text, sizeof text), 6);
    close(scene->ready_fd);
}

int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    stage_open(&scene->stage);
    scene->body = malloc(BODY_BYTES_MOST);
    snprintf(scene->database, sizeof scene->database, "%s/db", scene->stage.folder);
    scene_opens_writer(scene);
    scene_save(scene, 0, 3, 100);
    start_reader(scene);
    scene_says_hello(scene, ENVELOPE_WELCOME, 1);
    expect_attached(scene);
    *state = scene;
    return 0;
}

int scene_waits_for_reader(struct scene *scene)
{
    int status;
    assert_int_equal(waitpid(scene->reader, &status, 0), scene->reader);
    scene->reader = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int scene_teardown(void **state)
{
    struct scene *scene = *state;
    if (scene->reader > 0) {
        kill(scene->reader, SIGKILL);
        waitpid(scene->reader, NULL, 0);
    }
    storage_close(&scene->writer);
    stage_close(&scene->stage);
    free(scene->body);
    free(scene);
    return 0;
}
