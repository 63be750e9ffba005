/* reader_stream.c - lists in pieces: size, order, one snapshot, its end by time, and what a stream may hold. */
#include "proto/clock.h"
#include "proto/limits.h"
#include "reader/reader.h"
#include "tests/unit/storage_read_fixture.h"

#include <pthread.h>
#include <stdlib.h>

static struct reader *open_reader(const struct fixture *fixture, uint32_t snapshot_ms)
{
    struct reader *reader = NULL;
    struct failure failure = {0};
    struct reader_options options = {.path = fixture->path, .keep_snapshots = true, .snapshot_ms = snapshot_ms};
    if (reader_new(&options, &reader, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
    return reader;
}

static struct stream *open_stream(struct reader *reader, const struct request *list)
{
    struct stream *stream = NULL;
    struct failure failure = {0};
    if (stream_open(reader, list, &stream, &failure) != STATUS_OK)
        fail_msg("%s", failure.message);
    return stream;
}

/* Rows 000000, 000001, ... of `bytes` each. */
static void fill(struct fixture *fixture, unsigned rows, unsigned bytes)
{
    char sql[256];
    snprintf(sql, sizeof(sql),
             "INSERT INTO resources (kind, id, data) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
             " WHERE i < %u) SELECT 'k', printf('%%06d', i), zeroblob(%u) FROM n",
             rows - 1, bytes);
    fixture_run(fixture, sql);
}

static size_t piece_bytes(const struct reply *piece)
{
    size_t bytes = STORAGE_REPLY_BYTES;
    for (size_t i = 0; i < piece->item_count; i++)
        bytes += STORAGE_ITEM_BYTES + piece->items[i].kind.size + piece->items[i].id.size + piece->items[i].data.size;
    return bytes;
}

static void pieces_make_up_the_list(void **state)
{
    struct fixture *fixture = *state;
    struct reply piece;
    bool last = false;
    fill(fixture, 1000, 300);
    struct reader *reader = open_reader(fixture, 0);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    static const size_t sizes[] = {1, 500, 5000, 64 * 1024, 1 << 30};
    for (size_t i = 0; i < 5; i++) {
        unsigned row = 0;
        struct stream *stream = open_stream(reader, &list);
        do {
            stream_next(stream, sizes[i], &piece, &last, fixture->arena);
            assert_int_equal(piece.status, STATUS_OK);
            assert_true(last || piece.item_count > 0);
            assert_true(piece.item_count <= 1 || piece_bytes(&piece) <= sizes[i]);
            for (size_t j = 0; j < piece.item_count; j++, row++) {
                char id[16];
                snprintf(id, sizeof(id), "%06u", row);
                assert_span_equal(piece.items[j].id, span_text(id));
                assert_span_equal(piece.items[j].kind, span_text("k"));
                assert_int_equal(piece.items[j].data.size, 300);
                assert_int_equal(((const char *)piece.items[j].data.data)[299], 0);
            }
            arena_reset(fixture->arena);
        } while (!last);
        assert_int_equal(row, 1000);
        stream_next(stream, sizes[i], &piece, &last, fixture->arena);
        assert_true(last && piece.item_count == 0 && piece.status == STATUS_OK);
        stream_close(&stream);
        assert_null(stream);
    }
    reader_free(&reader);
}

static void a_large_resource_is_a_piece(void **state)
{
    struct fixture *fixture = *state;
    static const size_t sizes[] = {10, 1000000, 10, 10, 500000, 600000, 10};
    struct reply piece;
    bool last = false;
    char *data = calloc(1, 1000000);
    assert_non_null(data);
    for (size_t i = 0; i < 7; i++)
        fixture_put(fixture, "k", (struct span){&"abcdefg"[i], 1}, (struct span){data, sizes[i]});
    free(data);
    struct reader *reader = open_reader(fixture, 0);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    struct stream *stream = open_stream(reader, &list);
    size_t at = 0;
    while (!last) {
        stream_next(stream, LIMIT_PIECE_BYTES, &piece, &last, fixture->arena);
        assert_true(piece.item_count <= 1 || piece_bytes(&piece) <= LIMIT_PIECE_BYTES);
        for (size_t i = 0; i < piece.item_count; i++)
            assert_int_equal(piece.items[i].data.size, sizes[at++]);
        assert_true(arena_bytes(fixture->arena) < 1200000);
        arena_reset(fixture->arena);
    }
    assert_int_equal(at, 7);
    stream_close(&stream);
    reader_free(&reader);
}

static void memory_does_not_grow_with_the_list(void **state)
{
    struct fixture *fixture = *state;
    struct reply piece;
    bool last = false;
    fill(fixture, 100000, 100);
    struct reader *reader = open_reader(fixture, 0);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    list.flags = REQUEST_KEYS_ONLY;
    for (int i = 0; i < 2; i++, last = false, list.flags = 0) {
        size_t rows = 0;
        sqlite3_int64 most = 0;
        struct stream *stream = open_stream(reader, &list);
        sqlite3_int64 before = sqlite3_memory_used();
        while (!last) {
            stream_next(stream, LIMIT_PIECE_BYTES, &piece, &last, fixture->arena);
            rows += piece.item_count;
            assert_true(arena_bytes(fixture->arena) < 4 * LIMIT_PIECE_BYTES);
            if (sqlite3_memory_used() - before > most)
                most = sqlite3_memory_used() - before;
            arena_reset(fixture->arena);
        }
        assert_int_equal(rows, 100000);
        assert_true(most < (sqlite3_int64)(4 * MIB));
        stream_close(&stream);
    }
    reader_free(&reader);
}

static void point_reads_go_on_beside_a_stream(void **state)
{
    struct fixture *fixture = *state;
    struct reply piece, reply;
    bool last = false;
    fill(fixture, 100, 10);
    struct reader *reader = open_reader(fixture, 0);
    struct request list = fixture_request(OPERATION_LIST, "k", ""), get = fixture_request(OPERATION_GET, "k", "new");
    struct stream *stream = open_stream(reader, &list);
    fixture_put(fixture, "k", span_text("new"), span_text("new"));
    size_t rows = 0;
    while (!last) {
        reader_answer(reader, &get, 1, &reply, fixture->arena, 1 << 20);
        assert_int_equal(reply.status, STATUS_OK);
        assert_int_equal(reply.revision, 1);
        stream_next(stream, 1000, &piece, &last, fixture->arena);
        assert_int_equal(piece.revision, 0);
        rows += piece.item_count;
    }
    assert_int_equal(rows, 100);
    stream_close(&stream);
    reader_free(&reader);
}

static void a_snapshot_lives_so_long(void **state)
{
    struct fixture *fixture = *state;
    struct reply piece;
    bool last = false;
    fill(fixture, 100, 10);
    struct reader *reader = open_reader(fixture, 1);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    struct stream *stream = open_stream(reader, &list);
    int64_t until_ns = clock_deadline_ns(1);
    while (clock_boot_ns() <= until_ns)
        ;
    stream_next(stream, 1, &piece, &last, fixture->arena);
    assert_true(last);
    assert_int_equal(piece.status, STATUS_SNAPSHOT_EXPIRED);
    assert_int_equal(piece.item_count, 0);
    stream_close(&stream);
    reader_free(&reader);
}

static void forgotten_streams_let_go(void **state)
{
    struct fixture *fixture = *state;
    struct reply piece;
    bool last = false;
    fill(fixture, 100, 10);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    struct reader *reader = open_reader(fixture, 500);
    assert_int_equal(reader_expire_streams(reader), INT64_MAX);
    struct stream *stream = open_stream(reader, &list);
    stream_next(stream, 1, &piece, &last, fixture->arena);
    assert_false(last);
    fixture_put(fixture, "k", span_text("new"), span_text("new"));
    assert_int_equal(sqlite3_wal_checkpoint_v2(fixture->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_BUSY);
    int64_t due_ns = reader_expire_streams(reader);
    assert_true(due_ns < clock_deadline_ns(1000));
    while (clock_boot_ns() <= due_ns)
        ;
    assert_int_equal(reader_expire_streams(reader), INT64_MAX);
    assert_int_equal(sqlite3_wal_checkpoint_v2(fixture->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
    stream_next(stream, 1, &piece, &last, fixture->arena);
    assert_true(last);
    assert_int_equal(piece.status, STATUS_SNAPSHOT_EXPIRED);
    stream_close(&stream);
    reader_free(&reader);
}

static void an_ended_stream_lets_go_before_it_is_closed(void **state)
{
    struct fixture *fixture = *state;
    struct reply piece;
    bool last = false;
    fill(fixture, 10, 10);
    struct reader *reader = open_reader(fixture, 0);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    struct stream *stream = open_stream(reader, &list);
    stream_next(stream, 1 << 20, &piece, &last, fixture->arena);
    assert_true(last);
    assert_int_equal(piece.item_count, 10);
    assert_int_equal(sqlite3_wal_checkpoint_v2(fixture->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
    stream_close(&stream);
    reader_free(&reader);
}

static void streams_are_bounded_in_number(void **state)
{
    struct fixture *fixture = *state;
    struct stream *streams[LIMIT_STREAMS], *more = NULL;
    fill(fixture, 10, 10);
    struct reader *reader = open_reader(fixture, 0);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    for (size_t i = 0; i < LIMIT_STREAMS; i++)
        streams[i] = open_stream(reader, &list);
    assert_int_equal(stream_open(reader, &list, &more, NULL), STATUS_OVERLOADED);
    assert_null(more);
    stream_close(&streams[7]);
    streams[7] = open_stream(reader, &list);
    for (size_t i = 0; i < LIMIT_STREAMS; i++)
        stream_close(&streams[i]);
    reader_free(&reader);
}

static void only_lists_stream(void **state)
{
    struct fixture *fixture = *state;
    struct stream *stream = NULL;
    struct failure failure;
    struct reader *reader = open_reader(fixture, 0);
    struct request request = fixture_request(OPERATION_GET, "k", "a");
    assert_int_equal(stream_open(reader, &request, &stream, &failure), STATUS_INVALID_ARGUMENT);
    request = fixture_request(OPERATION_LIST, "", "");
    assert_int_equal(stream_open(reader, &request, &stream, &failure), STATUS_INVALID_ARGUMENT);
    request = fixture_request(OPERATION_LIST, "k", "");
    request.deadline_ns = clock_boot_ns() - 1;
    assert_int_equal(stream_open(reader, &request, &stream, &failure), STATUS_DEADLINE_EXCEEDED);
    request.deadline_ns = INT64_MAX;
    static const uint32_t lists[] = {OPERATION_KINDS, OPERATION_AUDIT_SCAN, OPERATION_AUDIT_HISTORY};
    for (size_t i = 0; i < 3; i++) {
        struct reply piece;
        bool last;
        request = fixture_request(lists[i], i ? "k" : "", i == 2 ? "a" : "");
        stream = open_stream(reader, &request);
        stream_next(stream, 1000, &piece, &last, fixture->arena);
        assert_true(last && piece.status == STATUS_OK && piece.item_count == 0);
        stream_close(&stream);
    }
    reader_free(&reader);
}

/* One thread streams again and again while another reads points and lets streams expire. */
struct beside {
    struct reader *reader;
    struct request list;
    size_t rows;
};

static void *stream_all(void *context)
{
    struct beside *beside = context;
    struct arena *arena = arena_new(0);
    for (int i = 0; arena && i < 20; i++) {
        struct stream *stream = NULL;
        struct reply piece;
        bool last = stream_open(beside->reader, &beside->list, &stream, NULL) != STATUS_OK;
        while (!last) {
            stream_next(stream, 2000, &piece, &last, arena);
            beside->rows += piece.item_count;
            arena_reset(arena);
        }
        stream_close(&stream);
    }
    arena_free(&arena);
    return NULL;
}

static void streams_on_other_threads(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[3];
    struct beside beside[3];
    struct reply reply;
    fill(fixture, 200, 50);
    struct reader *reader = open_reader(fixture, 0);
    struct request get = fixture_request(OPERATION_GET, "k", "000007");
    for (int i = 0; i < 3; i++) {
        beside[i] = (struct beside){reader, fixture_request(OPERATION_LIST, "k", ""), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, stream_all, &beside[i]), 0);
    }
    for (int i = 0; i < 500; i++) {
        reader_answer(reader, &get, 1, &reply, fixture->arena, 1 << 20);
        assert_int_equal(reply.status, STATUS_OK);
        reader_expire_streams(reader);
        arena_reset(fixture->arena);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(beside[i].rows, 20 * 200);
    }
    reader_free(&reader);
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(pieces_make_up_the_list),
        ON_A_STORE(a_large_resource_is_a_piece),
        ON_A_STORE(memory_does_not_grow_with_the_list),
        ON_A_STORE(point_reads_go_on_beside_a_stream),
        ON_A_STORE(a_snapshot_lives_so_long),
        ON_A_STORE(forgotten_streams_let_go),
        ON_A_STORE(an_ended_stream_lets_go_before_it_is_closed),
        ON_A_STORE(streams_are_bounded_in_number),
        ON_A_STORE(only_lists_stream),
        ON_A_STORE(streams_on_other_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
