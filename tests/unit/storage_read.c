/* storage_read.c - single reads and batches: values, metadata, audit, bounds of an answer, damage. */
#include "tests/unit/storage_read_fixture.h"

#include "proto/clock.h"
#include "proto/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FEB_29_NOON_MS INT64_C(1709208000000) /* 2024-02-29 12:00:00 */
#define MARCH_1_MS     INT64_C(1709251200000) /* 2024-03-01 00:00:00 */

static struct reply get(struct fixture *fixture, const char *kind, const char *id)
{
    return fixture_ask(fixture, fixture_request(OPERATION_GET, kind, id));
}

static void values_come_back_bit_for_bit(void **state)
{
    struct fixture *fixture = *state;
    static const size_t sizes[] = {0, 1, 100, 4000, 4096, 5000, 70000, 4 * 1024 * 1024};
    unsigned char *bytes = malloc(sizes[7]);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizes[7]; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < 8; i++) {
        char id[] = {(char)('a' + i), '\0'};
        fixture_put(fixture, "kind", span_text(id), (struct span){bytes, sizes[i]});
    }
    fixture_open(fixture);
    for (size_t i = 0; i < 8; i++) {
        char id[] = {(char)('a' + i), '\0'};
        struct reply reply = get(fixture, "kind", id);
        assert_int_equal(reply.status, STATUS_OK);
        assert_int_equal(reply.item_count, 1);
        assert_non_null(reply.items[0].data.data);
        assert_span_equal(reply.items[0].data, (struct span){bytes, sizes[i]});
        assert_int_equal(reply.items[0].data_bytes, sizes[i]);
        assert_span_equal(reply.items[0].kind, span_text("kind"));
        assert_span_equal(reply.items[0].id, span_text(id));
        assert_int_equal(reply.items[0].revision, i + 1);
        assert_int_equal(reply.revision, 8);
    }
    free(bytes);
}

static void absence_is_a_status(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "kind", span_text("id"), span_text("x"));
    fixture_open(fixture);
    const char *absent[][2] = {{"kind", "ID"}, {"kind", "i"}, {"kind", "id "}, {"Kind", "id"}, {"kin", "did"}};
    for (size_t i = 0; i < 5; i++) {
        struct reply reply = get(fixture, absent[i][0], absent[i][1]);
        assert_int_equal(reply.status, STATUS_NOT_FOUND);
        assert_int_equal(reply.item_count, 0);
        assert_int_equal(reply.revision, 1);
    }
    assert_int_equal(fixture_ask(fixture, fixture_request(OPERATION_STAT, "kind", "no")).status, STATUS_NOT_FOUND);
}

static void stat_tells_all_but_data(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "kind", span_text("id"), span_text("twelve bytes"));
    fixture_open(fixture);
    struct reply reply = fixture_ask(fixture, fixture_request(OPERATION_STAT, "kind", "id"));
    assert_int_equal(reply.status, STATUS_OK);
    assert_null(reply.items[0].data.data);
    assert_int_equal(reply.items[0].data_bytes, 12);
    assert_int_equal(reply.items[0].revision, 1);
    assert_int_equal(reply.items[0].created_ms, FEB_29_NOON_MS + 250);
    assert_int_equal(reply.items[0].updated_ms, MARCH_1_MS + 1);
}

static void rows_of_other_programs(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, "INSERT INTO resources (kind, id, updated_at, data) VALUES"
                         " ('k', 'plain', '2024-02-29 12:00:00', x'00ff'),"
                         " ('k', 'iso', '2024-02-29T12:00:00Z', x'01'),"
                         " ('k', 'text', '2024-02-29 12:00:00.5', 'gr\xC3\xBC\xC3\x9F'),"
                         " ('k', 'bad', 'yesterday', x'')");
    fixture_open(fixture);
    struct item item = get(fixture, "k", "plain").items[0];
    assert_int_equal(item.revision, 0);
    assert_int_equal(item.updated_ms, FEB_29_NOON_MS);
    assert_int_equal(item.created_ms, FEB_29_NOON_MS);
    assert_span_equal(item.data, (struct span){"\0\xFF", 2});
    assert_int_equal(get(fixture, "k", "iso").items[0].updated_ms, FEB_29_NOON_MS);
    assert_int_equal(get(fixture, "k", "bad").items[0].updated_ms, 0);
    item = get(fixture, "k", "text").items[0];
    assert_int_equal(item.updated_ms, FEB_29_NOON_MS + 500);
    assert_span_equal(item.data, span_text("gr\xC3\xBC\xC3\x9F"));
    item = fixture_ask(fixture, fixture_request(OPERATION_STAT, "k", "text")).items[0];
    assert_int_equal(item.data_bytes, 6);
}

static void many_keep_the_order_asked(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "k", span_text("a"), span_text("A"));
    fixture_put(fixture, "l", span_text("b"), span_text("B"));
    fixture_open(fixture);
    struct request parts[] = {
        fixture_request(OPERATION_GET, "l", "b"),
        fixture_request(OPERATION_GET, "k", "b"),
        fixture_request(OPERATION_GET, "k", "a"),
        fixture_request(OPERATION_GET, "k", "a"),
    };
    struct request request = {
        .operation = OPERATION_GET_MANY, .parts = parts, .part_count = 4, .deadline_ns = INT64_MAX};
    struct reply reply = fixture_ask(fixture, request);
    static const char *const wanted[] = {"B", NULL, "A", "A"};
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.item_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_span_equal(reply.items[i].kind, parts[i].kind);
        assert_span_equal(reply.items[i].id, parts[i].id);
        assert_int_equal(reply.items[i].status, wanted[i] ? STATUS_OK : STATUS_NOT_FOUND);
        assert_span_equal(reply.items[i].data, span_text(wanted[i]));
    }
}

static struct reply find_audit(struct fixture *fixture, uint32_t operation, const char *hash, const char *tag)
{
    struct request request = fixture_request(operation, "skill", "s");
    request.hash = span_text(hash);
    request.tag = span_text(tag);
    return fixture_ask(fixture, request);
}

static void newest_is_the_last_inserted(void **state)
{
    struct fixture *fixture = *state;
    fixture_archive(fixture, "skill", "s", "h1", "stable", "2024-02-29 12:00:00.000", span_text("one"));
    fixture_archive(fixture, "skill", "s", "h2", "stable", "2030-01-01 00:00:00.000", span_text("two"));
    fixture_archive(fixture, "skill", "s", "h1", "stable", "2001-01-01 00:00:00.000", span_text("three"));
    fixture_archive(fixture, "skill", "s", NULL, "", "2024-02-29 12:00:00", span_text("four"));
    fixture_archive(fixture, "skill", "t", "h1", "stable", "2031-01-01 00:00:00", span_text("other"));
    fixture_open(fixture);
    struct reply reply = find_audit(fixture, OPERATION_AUDIT_BY_HASH, "h1", "");
    assert_int_equal(reply.status, STATUS_OK);
    assert_span_equal(reply.items[0].data, span_text("three"));
    assert_span_equal(reply.items[0].hash, span_text("h1"));
    assert_span_equal(reply.items[0].tag, span_text("stable"));
    assert_span_equal(reply.items[0].id, span_text("s"));
    assert_int_equal(reply.items[0].revision, 3);
    reply = find_audit(fixture, OPERATION_AUDIT_BY_TAG, "", "stable");
    assert_span_equal(reply.items[0].data, span_text("three"));
    reply = find_audit(fixture, OPERATION_AUDIT_BY_HASH, "", "");
    assert_span_equal(reply.items[0].data, span_text("four"));
    reply = find_audit(fixture, OPERATION_AUDIT_BY_TAG, "", "");
    assert_span_equal(reply.items[0].data, span_text("four"));
    assert_int_equal(reply.items[0].updated_ms, FEB_29_NOON_MS);
    assert_int_equal(find_audit(fixture, OPERATION_AUDIT_BY_HASH, "h3", "").status, STATUS_NOT_FOUND);
    assert_int_equal(find_audit(fixture, OPERATION_AUDIT_BY_TAG, "", "Stable").status, STATUS_NOT_FOUND);
}

static void an_answer_has_a_bound(void **state)
{
    struct fixture *fixture = *state;
    char kilobyte[1024] = {0};
    struct reply replies[4];
    fixture_put(fixture, "k", span_text("a"), (struct span){kilobyte, sizeof(kilobyte)});
    fixture_open(fixture);
    struct request requests[4];
    for (size_t i = 0; i < 4; i++)
        requests[i] = fixture_request(OPERATION_GET, "k", "a");
    const struct storage_ops *ops = fixture->storage->ops;
    assert_int_equal(fixture_ask_all(fixture, requests, 4, replies, 2600, 2), STATUS_OK);
    assert_int_equal(replies[0].status, STATUS_OK);
    assert_int_equal(replies[1].status, STATUS_OK);
    assert_int_equal(replies[2].status, STATUS_NOT_READ);
    assert_int_equal(replies[3].status, STATUS_NOT_READ);
    assert_int_equal(ops->answer(fixture->storage, requests, 4, replies, fixture->arena, 1000), STATUS_OK);
    assert_int_equal(replies[0].status, STATUS_TOO_LARGE);
    assert_int_equal(replies[0].item_count, 0);
    requests[0] = fixture_request(OPERATION_LIST, "k", "");
    assert_int_equal(ops->answer(fixture->storage, requests, 1, replies, fixture->arena, 1000), STATUS_OK);
    assert_int_equal(replies[0].status, STATUS_TOO_LARGE);
}

static void unknown_operations_are_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_open(fixture);
    static const uint32_t operations[] = {
        OPERATION_SAVE, OPERATION_TRANSACT, OPERATION_KEY_LOOKUP, OPERATION_SKIP, 0, 77};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(fixture_ask(fixture, fixture_request(operations[i], "k", "a")).status,
                         STATUS_INVALID_ARGUMENT);
}

/* Overwrites the pages that hold nothing but the large value, as found by its bytes. */
static void damage_value(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    char page[4096], zero[4096] = {0};
    for (off_t at = 0; at < size; at += 4096) {
        assert_int_equal(pread(fd, page, sizeof(page), at), sizeof(page));
        if (memcmp(page + 100, "zzzzzzzzzzzzzzzz", 16) == 0 && memcmp(page + 4000, "zzzzzzzzzzzzzzzz", 16) == 0)
            assert_int_equal(pwrite(fd, zero, sizeof(zero), at), sizeof(zero));
    }
    close(fd);
}

static void damage_is_told_where_it_is(void **state)
{
    struct fixture *fixture = *state;
    char *large = malloc(200000);
    assert_non_null(large);
    memset(large, 'z', 200000);
    fixture_put(fixture, "k", span_text("a"), span_text("small"));
    fixture_put(fixture, "k", span_text("b"), (struct span){large, 200000});
    fixture_put(fixture, "k", span_text("c"), span_text("small too"));
    free(large);
    fixture_close_writer(fixture);
    damage_value(fixture->path);
    fixture_open(fixture);
    struct request requests[] = {
        fixture_request(OPERATION_GET, "k", "a"),
        fixture_request(OPERATION_GET, "k", "b"),
        fixture_request(OPERATION_GET, "k", "c"),
    };
    struct reply replies[3];
    assert_int_equal(fixture_ask_all(fixture, requests, 3, replies, LIMIT_MESSAGE_BYTES, 3), STATUS_OK);
    assert_int_equal(replies[0].status, STATUS_OK);
    assert_int_equal(replies[1].status, STATUS_CORRUPT);
    assert_int_equal(replies[2].status, STATUS_OK);
    /* What does not ask for the value does not touch it. */
    struct reply reply = fixture_ask(fixture, fixture_request(OPERATION_STAT, "k", "b"));
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.items[0].data_bytes, 200000);
    struct request keys = fixture_request(OPERATION_LIST, "k", "");
    keys.flags = REQUEST_KEYS_ONLY;
    assert_int_equal(fixture_ask(fixture, keys).item_count, 3);
    assert_int_equal(fixture_ask(fixture, fixture_request(OPERATION_LIST, "k", "")).status, STATUS_CORRUPT);
}

static void a_long_count_stops_at_its_deadline(void **state)
{
    struct fixture *fixture = *state;
    fixture_run(fixture, "INSERT INTO resources (kind, id, data) WITH RECURSIVE n(i) AS"
                         " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT 'k', i, x'' FROM n");
    fixture_open(fixture);
    struct request count = fixture_request(OPERATION_COUNT, "k", "");
    assert_int_equal(fixture_ask(fixture, count).count, 20000);
    count.deadline_ns = clock_boot_ns() - 1;
    assert_int_equal(fixture_ask(fixture, count).status, STATUS_DEADLINE_EXCEEDED);
    count.deadline_ns = clock_boot_ns() + 3600 * NS_PER_S;
    assert_int_equal(fixture_ask(fixture, count).count, 20000);
}

static void a_long_batch_is_cut(void **state)
{
    enum { COUNTS = 1000 };
    struct fixture *fixture = *state;
    static struct request requests[COUNTS];
    static struct reply replies[COUNTS];
    fixture_run(fixture, "INSERT INTO resources (kind, id, data) WITH RECURSIVE n(i) AS"
                         " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT 'k', i, x'' FROM n");
    fixture_open(fixture);
    for (int i = 0; i < COUNTS; i++)
        requests[i] = fixture_request(OPERATION_COUNT, "k", "");
    assert_int_equal(
        fixture->storage->ops->answer(fixture->storage, requests, COUNTS, replies, fixture->arena, LIMIT_MESSAGE_BYTES),
        STATUS_OK);
    assert_int_equal(replies[0].status, STATUS_OK);
    assert_int_equal(replies[0].count, 50000);
    assert_int_equal(replies[COUNTS - 1].status, STATUS_NOT_READ);
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(values_come_back_bit_for_bit), ON_A_STORE(absence_is_a_status),
        ON_A_STORE(stat_tells_all_but_data),      ON_A_STORE(rows_of_other_programs),
        ON_A_STORE(many_keep_the_order_asked),    ON_A_STORE(newest_is_the_last_inserted),
        ON_A_STORE(an_answer_has_a_bound),        ON_A_STORE(unknown_operations_are_refused),
        ON_A_STORE(damage_is_told_where_it_is),   ON_A_STORE(a_long_count_stops_at_its_deadline),
        ON_A_STORE(a_long_batch_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
