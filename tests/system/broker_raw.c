/*
 * broker_raw.c - the real broker, driven frame by frame: exchange, junk, credit, lists, and that it serves on.
 */
#include "tests/system/raw.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

static struct raw_broker broker;
static void *client, *reader, *writer;

static int set_up(void **state)
{
    (void)state;
    raw_broker_start(&broker);
    reader = raw_worker(&broker, ROLE_READER, 1, 5);
    writer = raw_worker(&broker, ROLE_WRITER, 2, 5);
    client = raw_client(&broker);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    raw_broker_free(&broker);
    return 0;
}

/* Sends a request and answers it as its worker: the broker works. */
static void expect_service(void *by)
{
    struct envelope read = raw_envelope(MESSAGE_READ, 1000), write = raw_envelope(MESSAGE_WRITE, 2000);
    raw_send(by, &read, "get", 3);
    struct envelope got = raw_expect(reader, MESSAGE_READ, 1000, STATUS_OK);
    raw_reply(reader, &got, STATUS_OK, "value", 5);
    raw_expect(by, MESSAGE_REPLY, 1000, STATUS_OK);
    raw_send(by, &write, "put", 3);
    got = raw_expect(writer, MESSAGE_WRITE, 2000, STATUS_OK);
    raw_reply(writer, &got, STATUS_OK, "done", 4);
    assert_true(raw_expect(by, MESSAGE_REPLY, 2000, STATUS_OK).flags & ENVELOPE_WRITE);
}

static void bodies_pass_unread_both_ways(void **state)
{
    (void)state;
    static const uint8_t body[] = {0xff, 0x00, 0x80, 1, 2, 3};
    struct envelope read = raw_envelope(MESSAGE_READ, 7);
    read.role = ROLE_READER;
    memset(read.principal, 0x55, sizeof read.principal);
    raw_send(client, &read, body, sizeof body);
    struct raw_message got = raw_receive(reader);
    assert_int_equal(got.envelope.type, MESSAGE_READ);
    assert_int_equal(got.size, sizeof body);
    assert_memory_equal(got.body, body, sizeof body);
    assert_int_equal(got.envelope.role, ROLE_ADMIN);
    assert_int_equal(got.envelope.principal[3], 0);
    assert_int_not_equal(got.envelope.ticket, 0);
    assert_int_not_equal(got.envelope.life, 0);
    assert_memory_equal(got.envelope.boot_id, clock_boot_id(), BOOT_ID_SIZE);
    assert_int_equal(got.envelope.deadline_ns, read.deadline_ns);
    raw_message_free(&got);

    size_t size = 3 * MIB;
    uint8_t *answer = malloc(size);
    memset(answer, 0xA7, size);
    raw_reply(reader, &got.envelope, STATUS_OK, answer, size);
    struct raw_message reply = raw_receive(client);
    assert_int_equal(reply.envelope.first, 7);
    assert_int_equal(reply.size, size);
    assert_memory_equal(reply.body, answer, size);
    raw_message_free(&reply);
    free(answer);
    expect_service(client);
}

static void hello_names_the_store_and_tells_changes(void **state)
{
    (void)state;
    struct hello hello;
    void *watcher = raw_dealer(&broker, broker.endpoint, true);
    struct raw_message welcome = raw_receive_any(watcher);
    assert_int_equal(hello_decode(welcome.body, welcome.size, &hello), STATUS_OK);
    assert_int_equal(hello.writer_epoch, 5);
    assert_int_equal(hello.path.size, strlen("/nowhere/test.sqlite"));
    raw_message_free(&welcome);
    raw_close(&broker, &writer);
    struct raw_message news = raw_receive_any(watcher);
    assert_int_equal(news.envelope.type, MESSAGE_HELLO);
    assert_false(news.envelope.flags & ENVELOPE_WELCOME);
    assert_int_equal(hello_decode(news.body, news.size, &hello), STATUS_OK);
    assert_int_equal(hello.writer_epoch, 0);
    raw_message_free(&news);
    writer = raw_worker(&broker, ROLE_WRITER, 3, 6);
    news = raw_receive_any(watcher);
    assert_int_equal(hello_decode(news.body, news.size, &hello), STATUS_OK);
    assert_int_equal(hello.writer_epoch, 6);
    raw_message_free(&news);
    raw_close(&broker, &watcher);
    expect_service(client);
}

/* ---- junk ---- */

static void send_encoded(const struct envelope *envelope, size_t size, const char *body, size_t frames)
{
    uint8_t encoded[ENVELOPE_BYTES];
    envelope_encode(envelope, encoded);
    const struct span all[] = {{encoded, size}, span_text(body), span_text("more"), span_text("and more")};
    raw_send_frames(client, all, frames);
}

static void junk_is_answered_and_harmless(void **state)
{
    (void)state;
    const struct span noise[] = {span_text("not an envelope at all"), span_text("x")};
    raw_send_frames(client, noise, 2);
    raw_expect(client, MESSAGE_REPLY, 0, STATUS_INVALID_ARGUMENT);
    raw_send_frames(client, noise, 1);
    raw_expect(client, MESSAGE_REPLY, 0, STATUS_INVALID_ARGUMENT);

    struct envelope read = raw_envelope(MESSAGE_READ, 11);
    send_encoded(&read, ENVELOPE_BYTES - 1, "half", 2);
    raw_expect(client, MESSAGE_REPLY, 0, STATUS_INVALID_ARGUMENT);
    send_encoded(&read, ENVELOPE_BYTES, "", 1);
    raw_expect(client, MESSAGE_REPLY, 11, STATUS_INVALID_ARGUMENT);
    send_encoded(&read, ENVELOPE_BYTES, "body", 3);
    raw_expect(client, MESSAGE_REPLY, 11, STATUS_INVALID_ARGUMENT);
    send_encoded(&read, ENVELOPE_BYTES, "body", 4);
    raw_expect(client, MESSAGE_REPLY, 11, STATUS_INVALID_ARGUMENT);
    assert_true(raw_is_quiet(reader, 50));
    expect_service(client);
}

static void unknown_versions_types_and_verbs_are_answered(void **state)
{
    (void)state;
    struct envelope envelope = raw_envelope(MESSAGE_READ, 12);
    envelope.version = 9;
    raw_send(client, &envelope, "x", 1);
    raw_expect(client, MESSAGE_REPLY, 12, STATUS_UNSUPPORTED);
    const uint8_t wrong[] = {0, MESSAGE_TYPE_END, 200, MESSAGE_REPLY, MESSAGE_STREAM, MESSAGE_READY, MESSAGE_DRAIN};
    for (size_t i = 0; i < sizeof wrong; i++) {
        envelope = raw_envelope(wrong[i], 13 + i);
        raw_send(client, &envelope, "x", 1);
        raw_expect(client, MESSAGE_REPLY, 13 + i, STATUS_INVALID_ARGUMENT);
    }
    envelope = raw_envelope(MESSAGE_CONTROL, 30);
    raw_send(client, &envelope, "x", 1);
    raw_expect(client, MESSAGE_REPLY, 30, STATUS_INVALID_ARGUMENT);
    expect_service(client);
}

static void workers_junk_is_counted_and_harmless(void **state)
{
    (void)state;
    struct envelope read = raw_envelope(MESSAGE_READ, 1), wrong;
    raw_send(client, &read, "get", 3);
    struct envelope got = raw_expect(reader, MESSAGE_READ, 1, STATUS_OK);
    const struct span noise[] = {span_text("noise"), span_text("x"), span_text("y")};
    for (size_t frames = 1; frames <= 3; frames++)
        raw_send_frames(reader, noise, frames);
    wrong = raw_envelope(MESSAGE_READY, 0);
    raw_send(reader, &wrong, "short", 5);
    wrong = got;
    wrong.ticket ^= 1u << 21;
    raw_reply(reader, &wrong, STATUS_OK, "wrong", 5);
    wrong = got;
    wrong.life++;
    raw_reply(reader, &wrong, STATUS_OK, "wrong", 5);
    wrong = got;
    wrong.attempt++;
    raw_reply(reader, &wrong, STATUS_OK, "wrong", 5);
    raw_reply(writer, &got, STATUS_OK, "not yours", 9);
    assert_true(raw_is_quiet(client, 50));
    raw_reply(reader, &got, STATUS_OK, "right", 5);
    raw_expect(client, MESSAGE_REPLY, 1, STATUS_OK);
    raw_reply(reader, &got, STATUS_OK, "again", 5);
    expect_service(client);
    char *json = raw_status(client);
    assert_int_equal(raw_number(json, "dropped_late"), 5);
    assert_int_equal(raw_number(json, "malformed"), 4);
    free(json);
}

/* A connection without a mechanism, closed in the middle of a greeting or of a frame. */
static void raw_bytes(const void *bytes, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *path = broker.endpoint + strlen("ipc://");
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
    close(fd);
}

static void half_messages_and_huge_lengths_are_harmless(void **state)
{
    (void)state;
    /* ZMTP 3.0 greeting, NULL mechanism; READY command; then frames. */
    static const uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    static const uint8_t ready[] = {4,   27,  5,   'R', 'E', 'A', 'D', 'Y', 11, 'S', 'o', 'c', 'k', 'e', 't',
                                    '-', 'T', 'y', 'p', 'e', 0,   0,   0,   6,  'D', 'E', 'A', 'L', 'E', 'R'};
    static const uint8_t huge[] = {2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'};
    static const uint8_t half[] = {1, 128, 'S', 'T', 'I', 'G', 1};
    uint8_t stream[sizeof greeting + sizeof ready + sizeof huge];
    raw_bytes("GET / HTTP/1.1\r\n\r\n", 18);
    raw_bytes(greeting, 20);
    memcpy(stream, greeting, sizeof greeting);
    memcpy(stream + sizeof greeting, ready, sizeof ready);
    memcpy(stream + sizeof greeting + sizeof ready, huge, sizeof huge);
    raw_bytes(stream, sizeof greeting + sizeof ready + sizeof huge);
    memcpy(stream + sizeof greeting + sizeof ready, half, sizeof half);
    raw_bytes(stream, sizeof greeting + sizeof ready + sizeof half);
    expect_service(client);
}

static void a_client_without_a_probe_is_welcome_too(void **state)
{
    (void)state;
    void *plain = raw_dealer(&broker, broker.endpoint, false);
    struct envelope hello = raw_envelope(MESSAGE_HELLO, 0);
    raw_send(plain, &hello, "", 0);
    struct raw_message welcome = raw_receive_any(plain);
    assert_true(welcome.envelope.flags & ENVELOPE_WELCOME);
    raw_message_free(&welcome);
    welcome = raw_receive_any(plain);
    raw_message_free(&welcome);
    expect_service(plain);
    raw_close(&broker, &plain);
}

/* ---- credit and lists ---- */

static void a_large_body_comes_on_credit_only(void **state)
{
    (void)state;
    size_t size = 2 * MIB;
    uint8_t *body = calloc(1, size);
    struct envelope write = raw_envelope(MESSAGE_WRITE, 1), credit = raw_envelope(MESSAGE_CREDIT, 88);
    raw_send(client, &write, body, size);
    struct envelope refused = raw_expect(client, MESSAGE_REPLY, 1, STATUS_OVERLOADED);
    assert_true(refused.retry_after_ms > 0);
    assert_true(refused.flags & ENVELOPE_WRITE);
    credit.bytes = size;
    raw_send(client, &credit, "", 0);
    assert_int_equal(raw_expect(client, MESSAGE_CREDIT, 88, STATUS_OK).bytes, size);
    raw_send(client, &write, body, size);
    struct raw_message got = raw_receive(writer);
    assert_int_equal(got.envelope.first, 1);
    assert_int_equal(got.size, size);
    raw_reply(writer, &got.envelope, STATUS_OK, "ok", 2);
    raw_expect(client, MESSAGE_REPLY, 1, STATUS_OK);
    raw_message_free(&got);
    free(body);
    expect_service(client);
}

static void send_piece(void *worker, const struct envelope *to, uint32_t piece, bool last)
{
    struct envelope envelope = *to;
    envelope.type = MESSAGE_STREAM;
    envelope.piece = piece;
    envelope.flags = last ? ENVELOPE_LAST : 0;
    raw_send(worker, &envelope, "piece", 5);
}

static void lists_are_streams_with_credit_and_cancel(void **state)
{
    (void)state;
    struct envelope list = raw_envelope(MESSAGE_READ, 50), more = raw_envelope(MESSAGE_CREDIT, 50);
    list.flags = ENVELOPE_STREAM;
    list.bytes = more.bytes = 1000;
    raw_send(client, &list, "list", 4);
    struct envelope got = raw_expect(reader, MESSAGE_READ, 50, STATUS_OK);
    assert_true(got.flags & ENVELOPE_STREAM);
    assert_int_equal(got.bytes, 1000);
    send_piece(reader, &got, 0, false);
    assert_int_equal(raw_expect(client, MESSAGE_STREAM, 50, STATUS_OK).piece, 0);
    more.flags = ENVELOPE_STREAM;
    raw_send(client, &more, "", 0);
    struct envelope credit = raw_expect(reader, MESSAGE_CREDIT, 50, STATUS_OK);
    assert_int_equal(credit.ticket, got.ticket);
    assert_int_equal(credit.bytes, 1000);
    expect_service(client);
    struct envelope cancel = raw_envelope(MESSAGE_CANCEL, 50);
    raw_send(client, &cancel, "", 0);
    assert_int_equal(raw_expect(reader, MESSAGE_CANCEL, 50, STATUS_OK).ticket, got.ticket);
    send_piece(reader, &got, 1, true);
    struct envelope last = raw_expect(client, MESSAGE_STREAM, 50, STATUS_OK);
    assert_int_equal(last.piece, 1);
    assert_true(last.flags & ENVELOPE_LAST);
}

/* ---- status ---- */

static void status_is_json_about_all(void **state)
{
    (void)state;
    expect_service(client);
    char *json = raw_status(client);
    assert_int_equal(raw_number(json, "epoch"), 5);
    assert_int_equal(raw_number(json, "received"), 3);
    assert_int_equal(raw_number(json, "forwarded"), 2);
    assert_int_equal(raw_number(json, "replied"), 2);
    assert_int_equal(raw_number(json, "pid"), broker.pid);
    assert_int_equal(raw_number(json, "groups"), 12);
    assert_non_null(strstr(json, "\"role\":\"writer\""));
    assert_true(raw_number(json, "read_p99_us") >= 0);
    free(json);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bodies_pass_unread_both_ways),
        TEST(hello_names_the_store_and_tells_changes),
        TEST(junk_is_answered_and_harmless),
        TEST(unknown_versions_types_and_verbs_are_answered),
        TEST(workers_junk_is_counted_and_harmless),
        TEST(half_messages_and_huge_lengths_are_harmless),
        TEST(a_client_without_a_probe_is_welcome_too),
        TEST(a_large_body_comes_on_credit_only),
        TEST(lists_are_streams_with_credit_and_cancel),
        TEST(status_is_json_about_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
