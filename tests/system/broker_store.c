/*
 * broker_store.c - put, get and list raw through the real broker, writer and reader.
 */
#include "tests/system/raw.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct raw_broker broker;
static char *database;
static pid_t writer, reader;
static void *client;
static struct hello hello;
static struct session_header session;
static struct arena *arena;

static pid_t start_worker(const char *program)
{
    int ready[2];
    char number[16], line[16] = {0};
    assert_int_equal(pipe(ready), 0);
    snprintf(number, sizeof number, "%d", ready[1]);
    const char *const arguments[] = {program,         "--db",       database, "--endpoint",
                                     broker.endpoint, "--ready-fd", number,   NULL};
    pid_t pid = process_start(arguments, -1, -1, ready[1]);
    close(ready[1]);
    assert_true(read(ready[0], line, sizeof line - 1) > 0);
    assert_string_equal(line, "READY\n");
    close(ready[0]);
    return pid;
}

static void wait_for_writer(void)
{
    memset(&hello, 0, sizeof hello);
    while (hello.writer_epoch == 0) {
        struct raw_message news = raw_receive_any(client);
        assert_int_equal(hello_decode(news.body, news.size, &hello), STATUS_OK);
        hello.path = (struct span){0};
        raw_message_free(&news);
    }
}

static int set_up(void **state)
{
    (void)state;
    raw_broker_start(&broker);
    arena = arena_new(0);
    database = folder_path(broker.folder, "raw.sqlite");
    client = raw_client(&broker);
    writer = start_worker("stigstore-writer");
    reader = start_worker("stigstore-reader");
    wait_for_writer();
    random_bytes(session.id, sizeof session.id);
    memcpy(session.incarnation, hello.incarnation, sizeof session.incarnation);
    session.counter = hello.session_counter;
    session.floor = 1;
    return 0;
}

static void stop(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        process_join(*pid);
    }
    *pid = 0;
}

static int tear_down(void **state)
{
    (void)state;
    stop(&writer);
    stop(&reader);
    raw_broker_free(&broker);
    arena_free(&arena);
    free(database);
    return 0;
}

static struct request request_of(uint32_t operation, const char *id, const char *data)
{
    return (struct request){
        .operation = operation,
        .kind = span_text("agent"),
        .id = span_text(id),
        .data = span_text(data),
        .deadline_ns = clock_deadline_ns(10000),
    };
}

static void send_requests(uint8_t type, uint64_t first, uint16_t flags, const struct request *requests, size_t count)
{
    struct envelope envelope = raw_envelope(type, first);
    const struct session_header *header = type == MESSAGE_WRITE ? &session : NULL;
    envelope.count = (uint32_t)count;
    envelope.flags = flags;
    envelope.bytes = flags & ENVELOPE_STREAM ? MIB : 0;
    size_t size = body_requests_size(header, requests, count, envelope.deadline_ns);
    void *body = arena_alloc(arena, size);
    body_encode_requests(header, requests, count, envelope.deadline_ns, body);
    raw_send(client, &envelope, body, size);
}

/* The first reply of the answer to `first`; it lies in the arena. */
static const struct reply *reply_to(uint64_t first, size_t count)
{
    const struct reply *replies;
    size_t got;
    struct raw_message message = raw_receive(client);
    assert_int_equal(message.envelope.first, first);
    assert_string_equal(status_name(message.envelope.status), "OK");
    assert_int_equal(body_decode_replies(message.body, message.size, arena, &replies, &got), STATUS_OK);
    assert_int_equal(got, count);
    raw_message_free(&message);
    return replies;
}

static const struct reply *save(uint64_t number, const char *id, const char *data)
{
    struct request put = request_of(OPERATION_SAVE, id, data);
    send_requests(MESSAGE_WRITE, number, 0, &put, 1);
    return reply_to(number, 1);
}

static void what_is_put_is_got(void **state)
{
    (void)state;
    const struct reply *put = save(1, "one", "first value");
    assert_int_equal(put->status, STATUS_OK);
    assert_true(put->revision > 0);
    struct request gets[] = {request_of(OPERATION_GET, "one", NULL), request_of(OPERATION_GET, "two", NULL)};
    send_requests(MESSAGE_READ, 1, 0, gets, 2);
    const struct reply *got = reply_to(1, 2);
    assert_int_equal(got[0].status, STATUS_OK);
    assert_int_equal(got[0].item_count, 1);
    assert_true(span_equal(got[0].items[0].data, span_text("first value")));
    assert_int_equal(got[1].status, STATUS_NOT_FOUND);
}

static void a_number_sent_twice_is_applied_once_also_by_the_next_writer(void **state)
{
    (void)state;
    uint64_t revision = save(1, "one", "first")->revision;
    const struct reply *again = save(1, "one", "first");
    assert_int_equal(again->status, STATUS_OK);
    assert_int_equal(again->revision, revision);
    stop(&writer);
    struct request next = request_of(OPERATION_SAVE, "two", "second");
    send_requests(MESSAGE_WRITE, 2, 0, &next, 1);
    writer = start_worker("stigstore-writer");
    assert_int_equal(reply_to(2, 1)->status, STATUS_OK);
    again = save(1, "one", "first");
    assert_int_equal(again->revision, revision);
    assert_int_equal(save(4, "four", "out of order")->status, STATUS_OUT_OF_ORDER);
}

static void a_list_comes_in_pieces(void **state)
{
    (void)state;
    save(1, "a", "1");
    save(2, "b", "2");
    save(3, "c", "3");
    struct request list = request_of(OPERATION_LIST, "", NULL);
    size_t items = 0;
    uint32_t piece = 0;
    bool last = false;
    send_requests(MESSAGE_READ, 9, ENVELOPE_STREAM, &list, 1);
    while (!last) {
        const struct reply *replies = NULL;
        size_t count = 0;
        struct raw_message message = raw_receive(client);
        assert_int_equal(message.envelope.type, MESSAGE_STREAM);
        assert_int_equal(message.envelope.piece, piece++);
        assert_int_equal(message.envelope.status, STATUS_OK);
        assert_int_equal(body_decode_replies(message.body, message.size, arena, &replies, &count), STATUS_OK);
        items += count ? replies[0].item_count : 0;
        last = message.envelope.flags & ENVELOPE_LAST;
        raw_message_free(&message);
    }
    assert_int_equal(items, 3);
}

/* What the broker lets through unread the workers refuse. */
static void bodies_that_are_junk_get_a_status(void **state)
{
    (void)state;
    const uint8_t types[] = {MESSAGE_READ, MESSAGE_WRITE};
    for (size_t i = 0; i < sizeof types; i++) {
        struct envelope envelope = raw_envelope(types[i], 70);
        raw_send(client, &envelope, "\xff\xff\xff\xff\xff\xff", 6);
        raw_expect(client, MESSAGE_REPLY, 70, STATUS_INVALID_ARGUMENT);
        raw_send(client, &envelope, "", 0);
        struct raw_message answer = raw_receive(client);
        assert_int_equal(answer.envelope.first, 70);
        raw_message_free(&answer);
    }
    struct request unknown = request_of(77, "one", NULL);
    send_requests(MESSAGE_READ, 71, 0, &unknown, 1);
    assert_int_equal(reply_to(71, 1)->status, STATUS_INVALID_ARGUMENT);
    assert_int_equal(save(1, "one", "and it works on")->status, STATUS_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_is_got),
        TEST(a_number_sent_twice_is_applied_once_also_by_the_next_writer),
        TEST(a_list_comes_in_pieces),
        TEST(bodies_that_are_junk_get_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
