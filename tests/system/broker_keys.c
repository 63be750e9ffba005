/*
 * broker_keys.c - clients of other hosts: who gets in, as whom, and for how long.
 */
#include "tests/system/raw.h"

#include <czmq.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct raw_broker broker;
static char *keys, *clients;
static zcert_t *server, *alice, *stranger;
static void *local, *writer;
static char listening[256];

static char *path_in(const char *folder, const char *name)
{
    return folder_path(folder, name);
}

/* A client's file appears whole, by a rename. */
static void allow(zcert_t *cert, const char *role)
{
    char *draft = path_in(keys, "draft"), *path = path_in(clients, "alice.key");
    zcert_t *copy = zcert_new_from(zcert_public_key(cert), zcert_secret_key(cert)); /* metadata is set once */
    zcert_set_meta(copy, "role", "%s", role);
    assert_int_equal(zcert_save_public(copy, draft), 0);
    assert_int_equal(chmod(draft, 0600), 0);
    zcert_destroy(&copy);
    assert_int_equal(rename(draft, path), 0);
    free(draft);
    free(path);
}

static void take_back(void)
{
    char *path = path_in(clients, "alice.key");
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void save_server_key(void)
{
    char *path = path_in(keys, "server.key");
    assert_int_equal(zcert_save_secret(server, path), 0);
    assert_int_equal(chmod(path, 0600), 0);
    free(path);
}

static int prepare(void **state)
{
    (void)state;
    raw_broker_prepare(&broker);
    keys = path_in(broker.folder, "keys");
    clients = path_in(keys, "clients");
    assert_int_equal(mkdir(keys, 0700), 0);
    assert_int_equal(mkdir(clients, 0700), 0);
    server = zcert_new();
    alice = zcert_new();
    stranger = zcert_new();
    return 0;
}

static void learn_port(void)
{
    char *json = raw_status(local), *at = strstr(json, "\"listen\":\"");
    assert_non_null(at);
    at += strlen("\"listen\":\"");
    snprintf(listening, sizeof listening, "%.*s", (int)strcspn(at, "\""), at);
    /* jansson may write a slash as it is */
    assert_int_equal(strncmp(listening, "tcp://127.0.0.1:", 16), 0);
    free(json);
}

static int set_up(void **state)
{
    prepare(state);
    save_server_key();
    allow(alice, "writer");
    broker.keys = keys;
    raw_broker_again(&broker);
    local = raw_client(&broker);
    writer = raw_worker(&broker, ROLE_WRITER, 1, 1);
    learn_port();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    raw_broker_free(&broker);
    zcert_destroy(&server);
    zcert_destroy(&alice);
    zcert_destroy(&stranger);
    free(keys);
    free(clients);
    return 0;
}

/* Without waiting for a WELCOME. */
static void *connect_as(zcert_t *cert)
{
    void *socket = raw_dealer_unconnected(&broker, true);
    if (cert) {
        zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, zcert_public_key(server), 32);
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, zcert_public_key(cert), 32);
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, zcert_secret_key(cert), 32);
    }
    assert_int_equal(zmq_connect(socket, listening), 0);
    return socket;
}

static void *welcomed_as(zcert_t *cert)
{
    void *socket = connect_as(cert);
    struct raw_message welcome = raw_receive(socket);
    assert_int_equal(welcome.envelope.type, MESSAGE_HELLO);
    raw_message_free(&welcome);
    return socket;
}

static void write_as(void *by, uint64_t number)
{
    struct envelope write = raw_envelope(MESSAGE_WRITE, number);
    write.role = ROLE_ADMIN;
    memset(write.principal, 0x77, sizeof write.principal);
    raw_send(by, &write, "put", 3);
}

static void a_known_key_comes_in_with_its_role(void **state)
{
    (void)state;
    void *far = welcomed_as(alice);
    write_as(far, 1);
    struct envelope got = raw_expect(writer, MESSAGE_WRITE, 1, STATUS_OK);
    assert_int_equal(got.role, ROLE_WRITER);
    assert_memory_equal(got.principal, zcert_public_key(alice), 32);
    raw_reply(writer, &got, STATUS_OK, "done", 4);
    raw_expect(far, MESSAGE_REPLY, 1, STATUS_OK);
    write_as(local, 1);
    got = raw_expect(writer, MESSAGE_WRITE, 1, STATUS_OK);
    assert_int_equal(got.role, ROLE_ADMIN);
    assert_int_equal(got.principal[0], 0);
}

static void other_keys_and_none_stay_out(void **state)
{
    (void)state;
    void *unknown = connect_as(stranger), *plain = connect_as(NULL);
    assert_true(raw_is_quiet(unknown, 300));
    assert_true(raw_is_quiet(plain, 100));
    char *json = raw_status(local);
    assert_true(raw_number(json, "keys_refused") >= 1);
    assert_int_equal(raw_number(json, "clients"), 1);
    free(json);
}

/* What comes first, to the writer or to the client, news apart. */
static struct envelope first_of(void *far, bool *is_at_writer)
{
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = far, .events = ZMQ_POLLIN}, {.socket = writer, .events = ZMQ_POLLIN}};
        assert_true(zmq_poll(items, 2, 10000) > 0);
        *is_at_writer = items[1].revents != 0;
        struct raw_message message = raw_receive_any(*is_at_writer ? writer : far);
        raw_message_free(&message);
        if (message.envelope.type != MESSAGE_HELLO)
            return message.envelope;
    }
}

static bool is_role_now(void *far, uint64_t number, uint8_t role)
{
    bool is_at_writer;
    write_as(far, number);
    struct envelope got = first_of(far, &is_at_writer);
    assert_int_equal(got.first, number);
    if (!is_at_writer) {
        assert_int_equal(got.type, MESSAGE_REPLY);
        assert_int_equal(got.status, STATUS_PERMISSION_DENIED);
        return role == ROLE_NONE;
    }
    raw_reply(writer, &got, STATUS_OK, "done", 4);
    raw_expect(far, MESSAGE_REPLY, number, STATUS_OK);
    return got.role == role;
}

/* The very next message is judged by the folder as it is. */
static void roles_change_and_go_under_an_open_connection(void **state)
{
    (void)state;
    uint64_t number = 0;
    void *far = welcomed_as(alice);
    assert_true(is_role_now(far, ++number, ROLE_WRITER));
    for (unsigned round = 0; round < 50; round++) {
        allow(alice, "reader");
        assert_true(is_role_now(far, ++number, ROLE_READER));
        take_back();
        assert_true(is_role_now(far, ++number, ROLE_NONE));
        allow(alice, "admin");
        assert_true(is_role_now(far, ++number, ROLE_ADMIN));
    }
    char *away = path_in(keys, "away");
    assert_int_equal(rename(clients, away), 0);
    assert_true(is_role_now(far, ++number, ROLE_NONE));
    assert_int_equal(rename(away, clients), 0);
    assert_true(is_role_now(far, ++number, ROLE_ADMIN));
    allow(alice, "writer"); /* the folder is watched again */
    assert_true(is_role_now(far, ++number, ROLE_WRITER));
    free(away);
}

static void what_others_may_write_to_lets_nobody_in(void **state)
{
    (void)state;
    char *file = path_in(clients, "alice.key");
    const char *const places[] = {keys, clients, file};
    const mode_t open_modes[] = {0770, 0702, 0620}, modes[] = {0700, 0700, 0600};
    uint64_t number = 0;
    void *far = welcomed_as(alice);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_int_equal(chmod(places[i], open_modes[i]), 0);
        assert_true(is_role_now(far, ++number, ROLE_NONE));
        assert_int_equal(chmod(places[i], modes[i]), 0);
        assert_true(is_role_now(far, ++number, ROLE_WRITER));
    }
    free(file);
}

static void a_backup_is_not_for_other_hosts(void **state)
{
    (void)state;
    allow(alice, "admin");
    void *far = welcomed_as(alice);
    struct arena *arena = arena_new(0);
    struct control control = {.verb = CONTROL_BACKUP, .argument = span_text("/tmp/x")};
    struct span body = control_encode(&control, arena);
    struct envelope envelope = raw_envelope(MESSAGE_CONTROL, 5);
    raw_send(far, &envelope, body.data, body.size);
    raw_expect(far, MESSAGE_REPLY, 5, STATUS_UNSUPPORTED);
    arena_free(&arena);
}

static int refusal(const char *listen, const char *folder)
{
    const char *arguments[8] = {"stigstore-broker", "--endpoint", broker.endpoint, "--listen", listen};
    if (folder) {
        arguments[5] = "--keys";
        arguments[6] = folder;
    }
    return process_join(process_start(arguments, -1, -2, -1));
}

static void without_keys_no_port_is_bound(void **state)
{
    (void)state;
    enum { REFUSED = 11 };
    assert_int_equal(refusal("tcp://127.0.0.1:*", NULL), REFUSED);
    assert_int_equal(refusal("tcp://127.0.0.1:*", "/nonexistent"), REFUSED);
    assert_int_equal(refusal("tcp://127.0.0.1:*", keys), REFUSED);
    save_server_key();
    assert_int_equal(refusal("tcp://127.0.0.1:*", keys), REFUSED);
    allow(alice, "king");
    assert_int_equal(refusal("tcp://127.0.0.1:*", keys), REFUSED);
    allow(alice, "reader");
    assert_int_equal(refusal("ipc:///tmp/x", keys), REFUSED);
    char *path = path_in(keys, "server.key");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(refusal("tcp://127.0.0.1:*", keys), REFUSED);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(clients, 0777), 0);
    assert_int_equal(refusal("tcp://127.0.0.1:*", keys), REFUSED);
    free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    zsys_handler_set(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_keys_no_port_is_bound, prepare, tear_down),
        TEST(a_known_key_comes_in_with_its_role),
        TEST(other_keys_and_none_stay_out),
        TEST(roles_change_and_go_under_an_open_connection),
        TEST(what_others_may_write_to_lets_nobody_in),
        TEST(a_backup_is_not_for_other_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
