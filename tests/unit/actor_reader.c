/* actor_reader.c - stigstore-reader: batches, its end, and whom it follows. */
#include "actor/actor.h"
#include "actor_scene.h"
#include "proto/clock.h"
#include "storage/file.h"

#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void answers_a_batch_in_order(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    const struct request requests[] = {scene_get("000001"), scene_get("missing"), scene_get(""), scene_get("000002")};
    scene_asks(scene, &envelope, requests, 4);
    scene_receives(scene);
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
        assert_int_equal(scene_asks_one(scene, scene_get(id))->status, STATUS_NOT_FOUND);
        scene_save(scene, i, 1, 10);
        assert_int_equal(scene_asks_one(scene, scene_get(id))->status, STATUS_OK);
    }
}

static void each_message_has_its_reply(void **state)
{
    enum { MESSAGES = 300 };
    struct scene *scene = *state;
    uint64_t first = scene->ticket + 1;
    static bool seen[MESSAGES];
    memset(seen, 0, sizeof seen);
    const struct request request = scene_get("000000");
    for (int i = 0, answered = 0; answered < MESSAGES; answered++) {
        for (; i < MESSAGES && i < answered + 5; i++) {
            struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
            scene_asks(scene, &envelope, &request, 1);
        }
        scene_receives(scene);
        assert_false(seen[scene->envelope.ticket - first]);
        seen[scene->envelope.ticket - first] = true;
        assert_int_equal(scene->replies[0].status, STATUS_OK);
    }
}

static void large_answers_are_cut_by_their_own_message_alone(void **state)
{
    enum { ROUNDS = 10, SMALL = 5 };
    struct scene *scene = *state;
    scene_save(scene, 100, 6, 4000000);
    const struct request large[] = {scene_get("000100"), scene_get("000101"), scene_get("000102"),
                                    scene_get("000103"), scene_get("000104"), scene_get("000105")};
    const struct request small = scene_get("000001");
    for (int round = 0; round < ROUNDS; round++) {
        kill(scene->reader, SIGSTOP); /* so that it finds several at once */
        struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
        uint64_t ticket = envelope.ticket;
        scene_asks(scene, &envelope, large, 6);
        for (int i = 0; i < SMALL; i++) {
            envelope = scene_envelope(scene, MESSAGE_READ);
            scene_asks(scene, &envelope, &small, 1);
        }
        kill(scene->reader, SIGCONT);
        for (int i = 0; i <= SMALL; i++) {
            scene_receives(scene);
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
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    stage_sends(&scene->stage, &envelope, span_text("\xff\xff\xff"));
    scene_receives(scene);
    assert_int_equal(scene->envelope.status, STATUS_INVALID_ARGUMENT);
    assert_int_equal(scene->size, 0);
    envelope = scene_envelope(scene, MESSAGE_READ);
    stage_sends(&scene->stage, &envelope, (struct span){0});
    scene_receives(scene);
    assert_int_equal(scene->envelope.status, STATUS_INVALID_ARGUMENT);
    envelope = scene_envelope(scene, MESSAGE_READ);
    envelope.role = ROLE_NONE;
    const struct request request = scene_get("000001");
    scene_asks(scene, &envelope, &request, 1);
    scene_receives(scene);
    assert_int_equal(scene->envelope.status, STATUS_PERMISSION_DENIED);
    envelope = scene_envelope(scene, MESSAGE_WRITE);
    scene_asks(scene, &envelope, &request, 1);
    scene_receives(scene);
    assert_int_equal(scene->envelope.status, STATUS_UNSUPPORTED);
    struct request write = scene_get("000001");
    write.operation = OPERATION_SAVE;
    assert_int_equal(scene_asks_one(scene, write)->status, STATUS_INVALID_ARGUMENT);
    assert_int_equal(scene_asks_one(scene, request)->status, STATUS_OK);
}

static void an_expired_request_is_not_run(void **state)
{
    struct scene *scene = *state;
    struct request late = scene_get("000001");
    late.deadline_ns = clock_boot_ns() - NS_PER_S;
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    const struct request requests[] = {late, scene_get("000001")};
    scene_asks(scene, &envelope, requests, 2);
    scene_receives(scene);
    assert_int_equal(scene->replies[0].status, STATUS_DEADLINE_EXCEEDED);
    assert_int_equal(scene->replies[1].status, STATUS_OK);
}

static void a_drain_ends_it(void **state)
{
    struct scene *scene = *state;
    struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
    const struct request request = scene_get("000001");
    scene_asks(scene, &envelope, &request, 1);
    scene_tells(scene, MESSAGE_DRAIN, 0, 0);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_REPLY);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_GOODBYE);
    assert_int_equal(scene_waits_for_reader(scene), ACTOR_EXIT_OK);
}

static void a_signal_ends_it_and_its_lists(void **state)
{
    struct scene *scene = *state;
    scene_opens_list(scene, 0);
    assert_int_equal(scene_asks_one(scene, scene_get("000001"))->status, STATUS_OK);
    kill(scene->reader, SIGTERM);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_STREAM);
    assert_true(scene->envelope.flags & ENVELOPE_LAST);
    scene_receives(scene);
    assert_int_equal(scene->envelope.type, MESSAGE_GOODBYE);
    assert_int_equal(scene_waits_for_reader(scene), ACTOR_EXIT_OK);
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
    assert_int_equal(scene_asks_one(scene, scene_get("000001"))->status, STATUS_OK);
    scene_save(scene, 2000, 100, 1000);
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
    scene_opens_writer(scene);
    scene_save(scene, 7, 1, 10);
    storage_close(&scene->writer);
    assert_int_equal(file_restore(scene->database, place, &failure), STATUS_OK);
    strcpy(scene->database, place);
    scene_opens_writer(scene);
    scene_says_hello(scene, 0, 2);
    int status;
    do { /* until the reader has let go of the old file and knows the new one */
        struct envelope envelope = scene_envelope(scene, MESSAGE_READ);
        const struct request request = scene_get("000007");
        scene_asks(scene, &envelope, &request, 1);
        scene_receives(scene);
        status = scene->count ? scene->replies[0].status : scene->envelope.status;
    } while (status == STATUS_UNAVAILABLE || status == STATUS_NOT_FOUND);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(scene_asks_one(scene, scene_get("000001"))->status, STATUS_NOT_FOUND);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)

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
        STAGED(a_drain_ends_it),
        STAGED(a_signal_ends_it_and_its_lists),
        STAGED(lets_go_of_its_snapshot_when_idle),
        STAGED(follows_a_file_that_was_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
