/*
 * entry.c - who comes in over tcp, what a role may do, and that nobody gets at what belongs to another's key.
 */
#include "tests/gate/far.h"

#include <string.h>
#include <unistd.h>

static struct gate gate;

static int set_up(void **state)
{
    (void)state;
    gate_prepare(&gate);
    gate_keygen(&gate, "reader");
    gate_keygen(&gate, "writer");
    gate_keygen(&gate, "another");
    gate_keygen(&gate, "stranger");
    gate_authorize(&gate, "reader", "reader");
    gate_authorize(&gate, "writer", "writer");
    gate_authorize(&gate, "another", "writer");
    gate_start(&gate);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gate_free(&gate);
    return 0;
}

/* ---- the door ---- */

static void only_known_keys_come_in(void **state)
{
    (void)state;
    char not_the_server[GATE_KEY_CHARS + 1];
    gate_key(&gate, "another", "public-key", not_the_server);
    assert_true(far_is_let_in(&gate, "writer", gate.server_key));
    assert_true(far_is_let_in(&gate, "reader", gate.server_key));
    assert_false(far_is_let_in(&gate, "stranger", gate.server_key));
    assert_false(far_is_let_in(&gate, "writer", not_the_server)); /* nor does a client talk to another server */
    assert_false(far_is_let_in(&gate, NULL, NULL));
    assert_true(gate_number(&gate, "keys_refused") == 1 && gate_number(&gate, "keys_admitted") == 2);
}

static void the_library_says_why_it_stays_outside(void **state)
{
    (void)state;
    stigstore *store = NULL;
    assert_status(PERMISSION_DENIED, gate_enter(&gate, "stranger", 20000, &store));
    assert_null(store);
    assert_status(UNAVAILABLE, gate_enter(&gate, NULL, 500, &store));
    assert_null(store);
}

/* ---- roles ---- */

static void a_reader_reads_and_changes_nothing(void **state)
{
    (void)state;
    stigstore *writer = gate_entered(&gate, "writer"), *reader = gate_entered(&gate, "reader");
    scene_must_save(writer, "a", "first");
    scene_must_hold(reader, "a", "first");
    assert_int_equal(scene_count(reader, "k"), 1);
    assert_status(PERMISSION_DENIED, scene_save(reader, "a", "second"));
    assert_status(PERMISSION_DENIED, scene_save(reader, "b", "new"));
    const stigstore_bytes kind = stigstore_text("k"), a = stigstore_text("a");
    assert_status(PERMISSION_DENIED, stigstore_delete_resource(reader, kind, a, NULL));
    assert_status(PERMISSION_DENIED, stigstore_delete_resources_by_kind(reader, kind, NULL));
    stigstore_request audit = {STIGSTORE_REQUEST(AUDIT_SAVE), .kind = kind, .id = a, .hash = stigstore_text("h")};
    assert_status(PERMISSION_DENIED, stigstore_call(reader, &audit, NULL));
    scene_must_hold(writer, "a", "first");
    assert_int_equal(scene_count(writer, "k"), 1);
    scene_must_hold(reader, "a", "first"); /* its handle goes on */
    stigstore_free(&writer);
    stigstore_free(&reader);
}

static void only_an_admin_says_when_it_was_saved(void **state)
{
    (void)state;
    stigstore_request save = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("k"), .id = stigstore_text("a"),
                              .created_ms = 1000, .updated_ms = 1000};
    stigstore *writer = gate_entered(&gate, "writer"), *owner = gate_entered(&gate, "owner");
    assert_status(PERMISSION_DENIED, stigstore_call(writer, &save, NULL));
    assert_int_equal(scene_count(writer, "k"), 0);
    assert_status(OK, stigstore_call(owner, &save, NULL));
    stigstore_free(&writer);
    stigstore_free(&owner);
}

static void nobody_makes_a_backup_from_afar(void **state)
{
    (void)state;
    static const char *const names[] = {"reader", "writer", "owner"};
    for (size_t i = 0; i < 3; i++) {
        stigstore *store = gate_entered(&gate, names[i]);
        char path[256];
        snprintf(path, sizeof(path), "%s/copy.sqlite", gate.folder);
        assert_status(UNSUPPORTED, stigstore_backup(store, path, NULL));
        assert_int_not_equal(access(path, F_OK), 0);
        stigstore_free(&store);
    }
}

/* ---- what belongs to a key ---- */

static struct reply must_save(struct far *far, uint64_t number, const char *id, const char *data)
{
    struct request save = far_save(id, data);
    struct reply reply = far_write(far, number, &save);
    assert_string_equal(status_name(reply.status), "OK");
    return reply;
}

static void expect_status(int expected, struct far *far, uint64_t number, const struct request *request)
{
    assert_string_equal(status_name(far_write(far, number, request).status), status_name(expected));
}

/* The same numbers under another key are another session: it learns nothing of the first, settles and ends nothing. */
static void another_keys_session_is_out_of_reach(void **state)
{
    (void)state;
    struct far owner, thief, reader;
    far_open(&owner, &gate, "writer");
    far_open(&thief, &gate, "another");
    far_open(&reader, &gate, "reader");
    uint64_t first = must_save(&owner, 1, "a", "owner's").revision,
             second = must_save(&owner, 2, "b", "owner's").revision;
    thief.session = reader.session = owner.session;

    struct request save = far_save("c", "thief's"), close = {.operation = OPERATION_CLOSE_SESSION},
                   skip = {.operation = OPERATION_SKIP};
    close.deadline_ns = skip.deadline_ns = save.deadline_ns;
    expect_status(STATUS_OUT_OF_ORDER, &thief, 3, &save); /* what was settled is the owner's */
    struct reply own = far_write(&thief, 1, &save);
    assert_int_equal(own.status, STATUS_OK);
    assert_true(own.revision != first && own.revision > second);
    expect_status(STATUS_CANCELLED, &thief, 2, &skip);
    expect_status(STATUS_CANCELLED, &thief, 3, &skip);
    expect_status(STATUS_OK, &thief, 4, &close);
    expect_status(STATUS_PERMISSION_DENIED, &reader, 2, &save);
    expect_status(STATUS_PERMISSION_DENIED, &reader, 3, &skip);
    expect_status(STATUS_PERMISSION_DENIED, &reader, 3, &close);

    assert_int_equal(must_save(&owner, 2, "b", "owner's").revision, second);
    assert_int_equal(must_save(&owner, 3, "d", "owner's").revision, own.revision + 1);
    far_close(&owner);
    far_close(&thief);
    far_close(&reader);
}

static struct request with_key(struct request request, const char *key)
{
    request.idempotency_key = span_text(key);
    return request;
}

static struct request lookup(const char *id, const char *key)
{
    struct request request = with_key(far_save(id, ""), key);
    request.operation = OPERATION_KEY_LOOKUP;
    request.data = (struct span){0};
    return request;
}

static void another_keys_idempotency_key_is_out_of_reach(void **state)
{
    (void)state;
    struct far owner, thief;
    far_open(&owner, &gate, "writer");
    far_open(&thief, &gate, "another");
    struct request save = with_key(far_save("a", "owner's"), "once"), look = lookup("a", "once"),
                   other = with_key(far_save("b", "thief's"), "once");
    struct reply reply = far_write(&owner, 1, &save);
    assert_int_equal(reply.status, STATUS_OK);
    uint64_t revision = reply.revision;

    expect_status(STATUS_NOT_FOUND, &thief, 1, &look);
    reply = far_write(&thief, 2, &other); /* for the owner this would be IDEMPOTENCY_MISMATCH */
    assert_int_equal(reply.status, STATUS_OK);
    assert_false(reply.flags & REPLY_REPLAYED);
    assert_true(reply.revision > revision);

    expect_status(STATUS_IDEMPOTENCY_MISMATCH, &owner, 2, &other);
    reply = far_write(&owner, 3, &save);
    assert_true(reply.status == STATUS_OK && (reply.flags & REPLY_REPLAYED) && reply.revision == revision);
    far_close(&owner);
    far_close(&thief);
}

/* The same scenes with one key: were keys not told apart, the tests above would see this. */
static void one_key_on_two_connections_shares_both(void **state)
{
    (void)state;
    struct far owner, twin;
    far_open(&owner, &gate, "writer");
    far_open(&twin, &gate, "writer");
    struct request save = with_key(far_save("a", "owner's"), "once"), look = lookup("a", "once"),
                   other = far_save("c", "twin's");
    uint64_t revision = far_write(&owner, 1, &save).revision;
    struct reply reply = far_write(&twin, 1, &look);
    assert_true(reply.status == STATUS_OK && (reply.flags & REPLY_REPLAYED) && reply.revision == revision);
    twin.session = owner.session;
    assert_int_equal(far_write(&twin, 1, &other).revision, revision);
    far_close(&owner);
    far_close(&twin);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_known_keys_come_in),
        TEST(the_library_says_why_it_stays_outside),
        TEST(a_reader_reads_and_changes_nothing),
        TEST(only_an_admin_says_when_it_was_saved),
        TEST(nobody_makes_a_backup_from_afar),
        TEST(another_keys_session_is_out_of_reach),
        TEST(another_keys_idempotency_key_is_out_of_reach),
        TEST(one_key_on_two_connections_shares_both),
    };
    return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
