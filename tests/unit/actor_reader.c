/* actor_reader.c - the program stigstore-reader, between a broker and a writer that this test plays. */
#include "actor/actor.h"
#include "actor_stage.h"
#include "proto/clock.h"
#include "proto/limits.h"
#include "storage/file.h"
#include "storage/storage.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

enum { BODY_BYTES_MOST = 20 << 20 };

struct scene {
    struct stage stage;
    char database[128];
    struct storage *writer;
    pid_t reader;
    int ready_fd;
    uint8_t *body; /* of the message received last */
    size_t size;
    struct envelope envelope;
    const struct reply *replies;
    size_t count;
    uint64_t ticket;
};

/* ---- the writer's part ---- */

static void open_writer(struct scene *scene)
{
    struct failure failure = {0};
    const struct storage_options options = {.path = scene->database, .access = STORAGE_FOR_WRITING, .create = true};
    if (storage_open_sqlite(&options, &scene->writer, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
}

static void save(struct scene *scene, unsigned from, unsigned count, size_t data_bytes)
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

static void say_hello(struct scene *scene, uint16_t flags, uint64_t writer_epoch)
{
    struct hello hello = {.life = scene->stage.life, .writer_epoch = writer_epoch, .path = span_text(scene->database)};
    memcpy(hello.incarnation, scene->writer->identity.incarnation, sizeof hello.incarnation);
    stage_says_hello(&scene->stage, flags, &hello);
}

/* The next message that is no heartbeat. */
static void receive(struct scene *scene)
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

static void ask(struct scene *scene, const struct envelope *envelope, const struct request *requests, size_t count)
{
    size_t size = body_requests_size(NULL, requests, count, envelope->deadline_ns);
    void *body = arena_alloc(scene->stage.arena, size);
    body_encode_requests(NULL, requests, count, envelope->deadline_ns, body);
    stage_sends(&scene->stage, envelope, (struct span){body, size});
}

static struct envelope envelope_of(struct scene *scene, uint8_t type)
{
    return stage_envelope(&scene->stage, type, ++scene->ticket);
}

static struct request get(const char *id)
{
    return (struct request){.operation = OPERATION_GET,
                            .kind = span_text("k"),
                            .id = span_text(id),
                            .deadline_ns = clock_deadline_ns(5000)};
}

static const struct reply *ask_one(struct scene *scene, struct request request)
{
    struct envelope envelope = envelope_of(scene, MESSAGE_READ);
    ask(scene, &envelope, &request, 1);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_REPLY);
    assert_int_equal(scene->envelope.ticket, scene->ticket);
    return scene->count ? &scene->replies[0] : NULL;
}

static uint64_t open_list(struct scene *scene, uint64_t credit_bytes)
{
    struct envelope envelope = envelope_of(scene, MESSAGE_READ);
    struct request list = {.operation = OPERATION_LIST, .kind = span_text("k"), .deadline_ns = envelope.deadline_ns};
    envelope.flags = ENVELOPE_STREAM;
    envelope.bytes = credit_bytes;
    ask(scene, &envelope, &list, 1);
    return envelope.ticket;
}

static void tell(struct scene *scene, uint8_t type, uint64_t ticket, uint64_t bytes)
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
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_READY);
    assert_int_equal(worker_state_decode(scene->body, scene->size, &state), STATUS_OK);
    assert_int_equal(state.role, ROLE_READER);
    assert_int_equal(state.pid, scene->reader);
    assert_int_equal(state.epoch, 1);
    assert_memory_equal(state.incarnation, scene->writer->identity.incarnation, sizeof state.incarnation);
    assert_int_equal(read(scene->ready_fd, text, sizeof text), 6);
    close(scene->ready_fd);
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    stage_open(&scene->stage);
    scene->body = malloc(BODY_BYTES_MOST);
    snprintf(scene->database, sizeof scene->database, "%s/db", scene->stage.folder);
    open_writer(scene);
    save(scene, 0, 3, 100);
    start_reader(scene);
    say_hello(scene, ENVELOPE_WELCOME, 1);
    expect_attached(scene);
    *state = scene;
    return 0;
}

static int wait_for_reader(struct scene *scene)
{
    int status;
    assert_int_equal(waitpid(scene->reader, &status, 0), scene->reader);
    scene->reader = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int teardown(void **state)
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

/* ---- tests ---- */

static void answers_a_batch_in_order(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = envelope_of(scene, MESSAGE_READ);
    const struct request requests[] = {get("000001"), get("missing"), get(""), get("000002")};
    ask(scene, &envelope, requests, 4);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_REPLY);
    assert_int_equal(scene->envelope.status, STATUS_OK);
    assert_int_equal(scene->envelope.first, envelope.first);
    assert_int_equal(scene->envelope.attempt, envelope.attempt);
    assert_int_equal(scene->envelope.flags & ENVELOPE_WRITE, 0);
    assert_int_equal(scene->count, 4);
    assert_int_equal(scene->replies[0].status, STATUS_OK);
    assert_int_equal(scene->replies[0].items[0].data.size, 100);
    assert_int_equal(scene->replies[1].status, STATUS_NOT_FOUND);
    assert_int_equal(scene->replies[2].status, STATUS_INVALID_ARGUMENT);
    assert_int_equal(scene->replies[3].status, STATUS_OK);
}

static void sees_what_was_committed_before_it_was_asked(void **state)
{
    struct scene *scene = *state;
    for (unsigned i = 10; i < 30; i++) {
        char id[16];
        snprintf(id, sizeof id, "%06u", i);
        assert_int_equal(ask_one(scene, get(id))->status, STATUS_NOT_FOUND);
        save(scene, i, 1, 10);
        assert_int_equal(ask_one(scene, get(id))->status, STATUS_OK);
    }
}

static void each_message_has_its_reply(void **state)
{
    enum { MESSAGES = 300 };
    struct scene *scene = *state;
    uint64_t first = scene->ticket + 1;
    static bool seen[MESSAGES];
    memset(seen, 0, sizeof seen);
    const struct request request = get("000000");
    for (int i = 0, answered = 0; answered < MESSAGES; answered++) {
        for (; i < MESSAGES && i < answered + 5; i++) {
            struct envelope envelope = envelope_of(scene, MESSAGE_READ);
            ask(scene, &envelope, &request, 1);
        }
        receive(scene);
        assert_false(seen[scene->envelope.ticket - first]);
        seen[scene->envelope.ticket - first] = true;
        assert_int_equal(scene->replies[0].status, STATUS_OK);
    }
}

static void large_answers_are_cut_by_their_own_message_alone(void **state)
{
    enum { ROUNDS = 10, SMALL = 5 };
    struct scene *scene = *state;
    save(scene, 100, 6, 4000000);
    const struct request large[] = {get("000100"), get("000101"), get("000102"),
                                    get("000103"), get("000104"), get("000105")};
    const struct request small = get("000001");
    for (int round = 0; round < ROUNDS; round++) {
        kill(scene->reader, SIGSTOP); /* so that it finds several at once */
        struct envelope envelope = envelope_of(scene, MESSAGE_READ);
        uint64_t ticket = envelope.ticket;
        ask(scene, &envelope, large, 6);
        for (int i = 0; i < SMALL; i++) {
            envelope = envelope_of(scene, MESSAGE_READ);
            ask(scene, &envelope, &small, 1);
        }
        kill(scene->reader, SIGCONT);
        for (int i = 0; i <= SMALL; i++) {
            receive(scene);
            bool is_large = scene->envelope.ticket == ticket;
            assert_int_equal(scene->count, is_large ? 6 : 1);
            assert_int_equal(scene->replies[0].status, STATUS_OK);
            if (is_large)
                assert_int_equal(scene->replies[5].status, STATUS_NOT_READ);
            arena_reset(scene->stage.arena);
        }
    }
}

static void refuses_what_it_cannot_read_or_may_not_answer(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = envelope_of(scene, MESSAGE_READ);
    stage_sends(&scene->stage, &envelope, span_text("\xff\xff\xff"));
    receive(scene);
    assert_int_equal(scene->envelope.status, STATUS_INVALID_ARGUMENT);
    assert_int_equal(scene->size, 0);
    envelope = envelope_of(scene, MESSAGE_READ);
    stage_sends(&scene->stage, &envelope, (struct span){0});
    receive(scene);
    assert_int_equal(scene->envelope.status, STATUS_INVALID_ARGUMENT);
    envelope = envelope_of(scene, MESSAGE_READ);
    envelope.role = ROLE_NONE;
    const struct request request = get("000001");
    ask(scene, &envelope, &request, 1);
    receive(scene);
    assert_int_equal(scene->envelope.status, STATUS_PERMISSION_DENIED);
    envelope = envelope_of(scene, MESSAGE_WRITE);
    ask(scene, &envelope, &request, 1);
    receive(scene);
    assert_int_equal(scene->envelope.status, STATUS_UNSUPPORTED);
    struct request write = get("000001");
    write.operation = OPERATION_SAVE;
    assert_int_equal(ask_one(scene, write)->status, STATUS_INVALID_ARGUMENT);
    assert_int_equal(ask_one(scene, request)->status, STATUS_OK);
}

static void an_expired_request_is_not_run(void **state)
{
    struct scene *scene = *state;
    struct request late = get("000001");
    late.deadline_ns = clock_boot_ns() - NS_PER_S;
    struct envelope envelope = envelope_of(scene, MESSAGE_READ);
    const struct request requests[] = {late, get("000001")};
    ask(scene, &envelope, requests, 2);
    receive(scene);
    assert_int_equal(scene->replies[0].status, STATUS_DEADLINE_EXCEEDED);
    assert_int_equal(scene->replies[1].status, STATUS_OK);
}

/* Takes pieces until the last and gives their bytes back as credit. */
static size_t drain_list(struct scene *scene, uint64_t ticket, uint32_t piece)
{
    size_t items = 0;
    for (;;) {
        receive(scene);
        assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
        assert_int_equal(scene->envelope.ticket, ticket);
        assert_int_equal(scene->envelope.piece, piece++);
        assert_int_equal(scene->envelope.status, STATUS_OK);
        assert_true(scene->size < LIMIT_PIECE_BYTES + 10000);
        items += scene->replies[0].item_count;
        if (scene->envelope.flags & ENVELOPE_LAST)
            return items;
        tell(scene, MESSAGE_CREDIT, ticket, scene->size);
    }
}

static void streams_a_list_of_one_snapshot(void **state)
{
    struct scene *scene = *state;
    save(scene, 1000, 2000, 1000);
    uint64_t ticket = open_list(scene, 1000);
    receive(scene);
    assert_int_equal(scene->envelope.piece, 0);
    size_t items = scene->replies[0].item_count;
    assert_true(items >= 1 && items <= 10); /* what the credit allows */
    save(scene, 5000, 100, 10);             /* not seen any more */
    tell(scene, MESSAGE_CREDIT, ticket, LIMIT_STREAM_BYTES);
    items += drain_list(scene, ticket, 1);
    assert_int_equal(items, 2003);
    assert_int_equal(scene->replies[0].status, STATUS_OK);
}

static void a_list_without_credit_does_not_hold_up_reads(void **state)
{
    struct scene *scene = *state;
    save(scene, 1000, 1000, 1000);
    uint64_t ticket = open_list(scene, 1);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(ask_one(scene, get("000001"))->status, STATUS_OK); /* and no second piece came */
    tell(scene, MESSAGE_CANCEL, ticket, 0);
    assert_int_equal(ask_one(scene, get("000001"))->status, STATUS_OK);
}

static void a_list_that_is_not_taken_expires(void **state)
{
    struct scene *scene = *state;
    save(scene, 1000, 1000, 1000);
    uint64_t ticket = open_list(scene, 1);
    receive(scene);
    receive(scene); /* a second later */
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene->envelope.ticket, ticket);
    assert_int_equal(scene->envelope.piece, 1);
    assert_true(scene->envelope.flags & ENVELOPE_LAST);
    int status = scene->envelope.status ? scene->envelope.status : scene->replies[0].status;
    assert_int_equal(status, STATUS_SNAPSHOT_EXPIRED);
}

static void too_many_lists_are_refused(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < LIMIT_STREAMS; i++)
        open_list(scene, 0);
    uint64_t ticket = open_list(scene, 1000000);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene->envelope.ticket, ticket);
    assert_int_equal(scene->envelope.status, STATUS_OVERLOADED);
    assert_true(scene->envelope.flags & ENVELOPE_LAST);
    tell(scene, MESSAGE_CANCEL, ticket - 1, 0);
    ticket = open_list(scene, LIMIT_STREAM_BYTES);
    assert_int_equal(drain_list(scene, ticket, 0), 3);
}

static void only_a_list_streams(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = envelope_of(scene, MESSAGE_READ);
    const struct request requests[] = {get("000001")};
    envelope.flags = ENVELOPE_STREAM;
    ask(scene, &envelope, requests, 1);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_int_equal(scene->envelope.flags, ENVELOPE_LAST);
    assert_int_equal(scene->envelope.status, STATUS_INVALID_ARGUMENT);
}

static void a_drain_ends_it(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = envelope_of(scene, MESSAGE_READ);
    const struct request request = get("000001");
    ask(scene, &envelope, &request, 1);
    tell(scene, MESSAGE_DRAIN, 0, 0);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_REPLY);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_GOODBYE);
    assert_int_equal(wait_for_reader(scene), ACTOR_EXIT_OK);
}

static void a_signal_ends_it_and_its_lists(void **state)
{
    struct scene *scene = *state;
    open_list(scene, 0);
    assert_int_equal(ask_one(scene, get("000001"))->status, STATUS_OK);
    kill(scene->reader, SIGTERM);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_true(scene->envelope.flags & ENVELOPE_LAST);
    receive(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_GOODBYE);
    assert_int_equal(wait_for_reader(scene), ACTOR_EXIT_OK);
}

/* In a process of its own: whether the WAL can begin anew, which a kept snapshot would prevent for ever. */
static int restart_wal(const char *path)
{
    sqlite3 *db;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL);
    int64_t until_ns = clock_deadline_ns(STAGE_PATIENCE_MS);
    if (rc == SQLITE_OK) /* opens the WAL */
        rc = sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    while (rc == SQLITE_OK || (rc == SQLITE_BUSY && clock_boot_ns() < until_ns)) {
        rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        if (rc == SQLITE_OK)
            break;
        poll(NULL, 0, 5);
    }
    sqlite3_close(db);
    return rc;
}

static void lets_go_of_its_snapshot_when_idle(void **state)
{
    struct scene *scene = *state;
    int status;
    assert_int_equal(ask_one(scene, get("000001"))->status, STATUS_OK);
    save(scene, 2000, 100, 1000);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "actor_reader", scene->database, NULL);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void follows_a_file_that_was_replaced(void **state)
{
    struct scene *scene = *state;
    char place[128];
    struct failure failure;
    strcpy(place, scene->database);
    storage_close(&scene->writer);
    snprintf(scene->database, sizeof scene->database, "%s/other", scene->stage.folder);
    open_writer(scene);
    save(scene, 7, 1, 10);
    storage_close(&scene->writer);
    assert_int_equal(file_restore(scene->database, place, &failure), STATUS_OK);
    strcpy(scene->database, place);
    open_writer(scene);
    say_hello(scene, 0, 2);
    int status;
    do { /* until the reader has let go of the old file and knows the new one */
        struct envelope envelope = envelope_of(scene, MESSAGE_READ);
        const struct request request = get("000007");
        ask(scene, &envelope, &request, 1);
        receive(scene);
        status = scene->count ? scene->replies[0].status : scene->envelope.status;
    } while (status == STATUS_UNAVAILABLE || status == STATUS_NOT_FOUND);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(ask_one(scene, get("000001"))->status, STATUS_NOT_FOUND);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    if (argc == 2)
        return restart_wal(argv[1]);
    const struct CMUnitTest tests[] = {
        STAGED(answers_a_batch_in_order),
        STAGED(sees_what_was_committed_before_it_was_asked),
        STAGED(each_message_has_its_reply),
        STAGED(large_answers_are_cut_by_their_own_message_alone),
        STAGED(refuses_what_it_cannot_read_or_may_not_answer),
        STAGED(an_expired_request_is_not_run),
        STAGED(streams_a_list_of_one_snapshot),
        STAGED(a_list_without_credit_does_not_hold_up_reads),
        STAGED(a_list_that_is_not_taken_expires),
        STAGED(too_many_lists_are_refused),
        STAGED(only_a_list_streams),
        STAGED(a_drain_ends_it),
        STAGED(a_signal_ends_it_and_its_lists),
        STAGED(lets_go_of_its_snapshot_when_idle),
        STAGED(follows_a_file_that_was_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
