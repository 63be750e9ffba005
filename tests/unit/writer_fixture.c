/*
 * writer_fixture.c - the real engine behind a table of functions that fail on demand.
 */
#include "tests/unit/writer_fixture.h"
#include "tests/support/folder.h"

#include <stdlib.h>
#include <string.h>

struct faults faults;
static const struct storage_ops *real;
static struct storage_ops faulty;

static int begin(struct storage *storage, int64_t now_ms)
{
    faults.begins++;
    return real->begin(storage, now_ms);
}

static void pass(int64_t ns)
{
    for (int64_t until_ns = clock_boot_ns() + ns; clock_boot_ns() < until_ns;)
        continue;
}

static int apply(struct storage *storage, const struct storage_caller *caller, const struct request *request,
                 struct reply *reply, struct arena *arena)
{
    if (faults.poison_id && span_equal(request->id, span_text(faults.poison_id))) {
        *reply = (struct reply){.status = faults.poison_status};
        if (faults.poison_is_answer)
            return STATUS_OK;
        real->rollback(storage);
        return faults.poison_status;
    }
    pass(faults.apply_ns);
    return real->apply(storage, caller, request, reply, arena);
}

static int delete_rows(struct storage *storage, const struct storage_caller *caller, const struct request *request,
                       struct span after, uint64_t before, uint64_t most, struct reply *reply, struct span *last,
                       bool *more, struct arena *arena)
{
    if (++faults.steps == faults.jump_at_step) {
        ((struct request *)request)->deadline_ns = 1;
        real->rollback(storage);
        return STATUS_DEADLINE_EXCEEDED;
    }
    if (faults.rows_at_most && most > faults.rows_at_most) {
        real->rollback(storage);
        return STATUS_STORAGE_FULL;
    }
    pass(faults.step_ns);
    int status = real->delete_rows(storage, caller, request, after, before, most, reply, last, more, arena);
    faults.rows += status == STATUS_OK ? reply->count : 0;
    return status;
}

static int commit(struct storage *storage, const struct storage_session_record *record, uint64_t *sequence)
{
    faults.commits++;
    if (faults.commits_failing > 0) {
        faults.commits_failing--;
        real->rollback(storage);
        return faults.commit_status;
    }
    return real->commit(storage, record, sequence);
}

void fixture_open(struct fixture *fixture)
{
    const struct storage_options options = {
        .path = fixture->path, .access = STORAGE_FOR_WRITING, .create = true, .durability_normal = true};
    struct storage *storage = NULL;
    struct failure failure = {.status = STATUS_OK};

    if (storage_open_sqlite(&options, &storage, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
    real = storage->ops;
    faulty = *real;
    faulty.begin = begin;
    faulty.apply = apply;
    faulty.delete_rows = delete_rows;
    faulty.commit = commit;
    storage->ops = &faulty;
    if (writer_new(&storage, &fixture->options, &fixture->writer, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
    assert_null(storage);
}

void fixture_restart(struct fixture *fixture)
{
    writer_free(&fixture->writer);
    fixture_open(fixture);
}

int fixture_set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    faults = (struct faults){0};
    fixture->folder = folder_new();
    fixture->path = folder_path(fixture->folder, "store.sqlite");
    fixture->arena = arena_new(0);
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;

    writer_free(&fixture->writer);
    arena_free(&fixture->arena);
    folder_remove(&fixture->folder);
    free(fixture->path);
    free(fixture);
    return 0;
}

static struct request request_of(uint32_t operation, const char *id)
{
    return (struct request){.operation = operation,
                            .kind = span_text("Skill"),
                            .id = span_text(id),
                            .deadline_ns = clock_deadline_ns(600000)};
}

struct request save_request(const char *id)
{
    struct request request = request_of(OPERATION_SAVE, id);

    request.data = span_text("data");
    return request;
}

struct request delete_request(const char *id)
{
    return request_of(OPERATION_DELETE, id);
}

struct request delete_prefix_request(const char *prefix)
{
    return request_of(OPERATION_DELETE_PREFIX, prefix);
}

struct request wire_request(uint32_t operation)
{
    return (struct request){.operation = operation, .deadline_ns = clock_deadline_ns(600000)};
}

static struct write_message *new_message(struct fixture *fixture, const struct request *requests, size_t count)
{
    struct write_message *message = arena_calloc(fixture->arena, 1, sizeof *message);
    struct request *copies = arena_calloc(fixture->arena, count, sizeof *copies);

    memcpy(copies, requests, count * sizeof *copies);
    message->requests = copies;
    message->count = count;
    message->replies = arena_calloc(fixture->arena, count, sizeof *message->replies);
    message->arena = fixture->arena;
    message->role = ROLE_ADMIN;
    return message;
}

struct write_message *session_message(struct fixture *fixture, const char *id, uint64_t floor, uint64_t first,
                                      const struct request *requests, size_t count)
{
    struct write_message *message = new_message(fixture, requests, count);
    struct storage_counters counters = storage_counters_of(fixture);

    message->has_session = true;
    memcpy(message->session.id, id, strlen(id));
    memcpy(message->session.incarnation, writer_storage(fixture->writer)->identity.incarnation, INCARNATION_BYTES);
    message->session.counter = counters.session_counter;
    message->session.floor = floor;
    message->first = first;
    return message;
}

struct write_message *stream_message(struct fixture *fixture, uint64_t stream, struct request request)
{
    struct write_message *message = new_message(fixture, &request, 1);

    message->stream = stream;
    return message;
}

void run_all(struct fixture *fixture, struct write_message **messages, size_t count)
{
    for (int turn = 0;; turn++) {
        size_t done = 0;
        assert_true(turn < 10000);
        assert_int_equal(writer_run(fixture->writer, messages, count), STATUS_OK);
        for (size_t i = 0; i < count; i++)
            done += messages[i]->settled == messages[i]->count;
        if (done == count)
            return;
    }
}

void run_one(struct fixture *fixture, struct write_message *message)
{
    run_all(fixture, &message, 1);
}

struct reply run_request(struct fixture *fixture, const char *id, uint64_t floor, uint64_t number,
                         struct request request)
{
    struct write_message *message = session_message(fixture, id, floor, number, &request, 1);

    run_one(fixture, message);
    return message->replies[0];
}

void fill_rows(struct fixture *fixture, const char *prefix, unsigned count)
{
    enum { AT_ONCE = 1000 };
    struct request requests[AT_ONCE];

    for (unsigned done = 0; done < count;) {
        size_t some = 0;
        for (; some < AT_ONCE && done < count; some++, done++)
            requests[some] = save_request(arena_printf(fixture->arena, "%s%06u", prefix, done));
        run_one(fixture, new_message(fixture, requests, some));
    }
    arena_reset(fixture->arena);
}

uint64_t count_rows(struct fixture *fixture, const char *prefix)
{
    struct storage *storage = writer_storage(fixture->writer);
    struct request request = request_of(OPERATION_COUNT, prefix);
    struct reply reply = {0};

    assert_int_equal(storage->ops->answer(storage, &request, 1, &reply, fixture->arena, MIB), STATUS_OK);
    return reply.count;
}

struct storage_counters storage_counters_of(struct fixture *fixture)
{
    struct storage *storage = writer_storage(fixture->writer);
    struct storage_counters counters;

    storage->ops->counters(storage, &counters);
    return counters;
}
