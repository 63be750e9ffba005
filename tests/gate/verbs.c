/*
 * verbs.c - keygen, authorize, revoke on a folder that nobody serves from: files, modes, output, exit codes.
 */
#include "tests/gate/gate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct gate gate;

static int set_up(void **state)
{
    (void)state;
    umask(0); /* modes are what they are by design, not by luck */
    gate_prepare(&gate);
    gate_keygen(&gate, "alice");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gate_free(&gate);
    return 0;
}

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", gate.folder, name);
    return path;
}

static mode_t mode_of(const char *name)
{
    struct stat info;
    assert_int_equal(stat(in_folder(name), &info), 0);
    return info.st_mode & 07777;
}

static char *text_of(const char *name)
{
    char *text = calloc(1, 4096);
    int fd = open(in_folder(name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, 4095) > 0);
    close(fd);
    return text;
}

static bool is_there(const char *name)
{
    return access(in_folder(name), F_OK) == 0;
}

static void expect(int code, const char *printed, const char *said, const char *const *words)
{
    struct output output = scene_run(code, words, NULL, 0);
    if (printed)
        assert_string_equal(output.text, printed);
    if (said && !strstr(output.errors, said))
        fail_msg("'%s' says nothing of '%s'", output.errors, said);
    if (code != 0) { /* one line */
        assert_int_equal(strncmp(output.errors, "stigstore", 9), 0);
        assert_ptr_equal(strchr(output.errors, '\n'), output.errors + strlen(output.errors) - 1);
    }
    output_free(&output);
}
#define EXPECT(code, printed, said, ...) expect(code, printed, said, (const char *const[]){__VA_ARGS__, NULL})

static void nobody_else_can_read_a_secret_or_change_the_folder(void **state)
{
    (void)state;
    gate_authorize(&gate, "alice", "writer");
    assert_int_equal(mode_of("keys"), 0700);
    assert_int_equal(mode_of("keys/clients"), 0700);
    assert_int_equal(mode_of("keys/server.key"), 0600);
    assert_int_equal(mode_of("keys/clients/alice.key"), 0600);
    assert_int_equal(mode_of("alice.key"), 0600);
    assert_int_equal(mode_of("alice.key.pub"), 0644);
}

static void a_secret_stays_where_it_was_made(void **state)
{
    (void)state;
    char secret[GATE_KEY_CHARS + 1], public_key[GATE_KEY_CHARS + 1];
    gate_authorize(&gate, "alice", "writer");
    gate_key(&gate, "alice", "secret-key", secret);
    gate_key(&gate, "alice", "public-key", public_key);
    assert_string_not_equal(secret, public_key);
    static const char *const files[] = {"alice.key.pub", "keys/clients/alice.key"};
    for (size_t i = 0; i < 2; i++) {
        char *text = text_of(files[i]);
        assert_non_null(strstr(text, public_key));
        assert_null(strstr(text, "secret"));
        assert_null(strstr(text, secret));
        free(text);
    }
}

static void a_pair_is_never_overwritten(void **state)
{
    (void)state;
    char *before = text_of("alice.key"), *server = text_of("keys/server.key");
    EXPECT(3, "", "alice.key", "keygen", gate_key_file(&gate, "alice"));
    EXPECT(3, "", "server.key", "keygen", "--keys", gate.keys);
    char *after = text_of("alice.key"), *server_after = text_of("keys/server.key");
    assert_string_equal(before, after);
    assert_string_equal(server, server_after);
    free(before);
    free(after);
    free(server);
    free(server_after);
}

static void the_printed_key_is_the_public_one(void **state)
{
    (void)state;
    char public_key[GATE_KEY_CHARS + 1], printed[GATE_KEY_CHARS + 2];
    struct output output = scene_run(0, (const char *const[]){"keygen", gate_key_file(&gate, "bob"), NULL}, NULL, 0);
    gate_key(&gate, "bob", "public-key", public_key);
    snprintf(printed, sizeof(printed), "%s\n", public_key);
    assert_string_equal(output.text, printed);
    output_free(&output);
}

static void a_key_has_one_file_and_the_role_given_last(void **state)
{
    (void)state;
    const char *alice = gate_key_file(&gate, "alice");
    EXPECT(0, "alice\treader\n", NULL, "authorize", in_folder("alice.key.pub"), "--role", "reader", "--keys",
           gate.keys);
    EXPECT(0, "alice\tadmin\n", NULL, "authorize", alice, "--role", "admin", "--keys", gate.keys);
    char *text = text_of("keys/clients/alice.key");
    assert_non_null(strstr(text, "role = \"admin\""));
    free(text);
    EXPECT(0, "the boss\treader\n", NULL, "authorize", alice, "--role", "reader", "--name", "the boss", "--keys",
           gate.keys);
    assert_false(is_there("keys/clients/alice.key"));
    text = text_of("keys/clients/the boss.key");
    assert_non_null(strstr(text, "role = \"reader\""));
    free(text);
}

static void a_name_is_not_taken_from_another_key(void **state)
{
    (void)state;
    gate_authorize(&gate, "alice", "reader");
    char *before = text_of("keys/clients/alice.key");
    gate_keygen(&gate, "bob");
    EXPECT(3, "", "alice", "authorize", gate_key_file(&gate, "bob"), "--role", "admin", "--name", "alice", "--keys",
           gate.keys);
    char *after = text_of("keys/clients/alice.key");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* By whatever name it goes, and whoever wrote the file. */
static void what_is_revoked_is_gone_under_every_name(void **state)
{
    (void)state;
    char key[GATE_KEY_CHARS + 1];
    gate_authorize(&gate, "alice", "reader");
    gate_key(&gate, "alice", "public-key", key);
    static const char *const forms[] = {"\tpublic-key = '%s'\n", "    public-key = %s\n", "    public-key=\"%s\"\n"};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof(name), "keys/clients/by-hand-%zu.key", i);
        FILE *file = fopen(in_folder(name), "we");
        assert_non_null(file);
        fputs("metadata\n    role = \"admin\"\ncurve\n", file);
        fprintf(file, forms[i], key);
        fclose(file);
    }
    EXPECT(0, NULL, NULL, "revoke", gate_key_file(&gate, "alice"), "--keys", gate.keys);
    assert_false(is_there("keys/clients/alice.key"));
    assert_false(is_there("keys/clients/by-hand-0.key"));
    assert_false(is_there("keys/clients/by-hand-2.key"));
    /* Z85 has the sign that begins a comment, so a key without quotes may be cut short, for the broker too. */
    assert_true(strchr(key, '#') || !is_there("keys/clients/by-hand-1.key"));
    assert_true(is_there("keys/clients/owner.key"));
    EXPECT(1, "", "NOT_FOUND", "revoke", gate_key_file(&gate, "alice"), "--keys", gate.keys);
}

static void a_name_is_enough_to_revoke(void **state)
{
    (void)state;
    gate_authorize(&gate, "alice", "reader");
    EXPECT(0, "alice\n", NULL, "revoke", "--name", "alice", "--keys", gate.keys);
    assert_false(is_there("keys/clients/alice.key"));
    EXPECT(1, "", "NOT_FOUND", "revoke", "--name", "alice", "--keys", gate.keys);
    EXPECT(0, "owner\n", "no client's key is left", "revoke", "--name", "owner", "--keys", gate.keys);
}

static void the_environment_names_the_folder(void **state)
{
    (void)state;
    setenv("STIGSTORE_KEYS", gate.keys, 1);
    EXPECT(0, "alice\twriter\n", NULL, "authorize", gate_key_file(&gate, "alice"), "--role", "writer");
    EXPECT(0, "alice\n", NULL, "revoke", gate_key_file(&gate, "alice"));
    EXPECT(3, "", "server.key", "keygen");
    unsetenv("STIGSTORE_KEYS");
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    const char *alice = gate_key_file(&gate, "alice");
    EXPECT(2, "", "FILE", "keygen");
    EXPECT(2, "", "--keys", "keygen", alice, "--keys", gate.keys);
    EXPECT(5, "", "/nonexistent", "keygen", "/nonexistent/alice.key");
    EXPECT(2, "", "KEYFILE", "authorize", "--role", "reader", "--keys", gate.keys);
    EXPECT(2, "", "--role", "authorize", alice, "--keys", gate.keys);
    EXPECT(2, "", "king", "authorize", alice, "--role", "king", "--keys", gate.keys);
    EXPECT(2, "", "--keys", "authorize", alice, "--role", "reader");
    EXPECT(2, "", "--name", "authorize", alice, "--role", "reader", "--name", "a/b", "--keys", gate.keys);
    EXPECT(2, "", "--name", "authorize", alice, "--role", "reader", "--name", ".a", "--keys", gate.keys);
    EXPECT(5, "", "nobody.key", "authorize", gate_key_file(&gate, "nobody"), "--role", "reader", "--keys", gate.keys);
    EXPECT(2, "", "public-key", "authorize", "/etc/passwd", "--role", "reader", "--keys", gate.keys);
    EXPECT(5, "", "/nonexistent", "authorize", alice, "--role", "reader", "--keys", "/nonexistent");
    EXPECT(2, "", "no server.key", "authorize", alice, "--role", "reader", "--keys", gate.folder);
    EXPECT(2, "", "KEYFILE", "revoke", "--keys", gate.keys);
    EXPECT(2, "", "KEYFILE", "revoke", alice, "--name", "alice", "--keys", gate.keys);
    EXPECT(2, "", "many", "revoke", alice, alice, "--keys", gate.keys);
}

static void a_folder_that_others_may_write_to_is_not_used(void **state)
{
    (void)state;
    const char *alice = gate_key_file(&gate, "alice");
    static const char *const folders[] = {"keys", "keys/clients"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(chmod(in_folder(folders[i]), 0720), 0);
        EXPECT(5, "", "others may write", "authorize", alice, "--role", "reader", "--keys", gate.keys);
        EXPECT(5, "", "others may write", "revoke", "--name", "owner", "--keys", gate.keys);
        assert_int_equal(chmod(in_folder(folders[i]), 0700), 0);
    }
    assert_true(is_there("keys/clients/owner.key"));
    assert_false(is_there("keys/clients/alice.key"));
}

/* What root would write there the service could not read. */
static void the_folder_of_another_user_is_left_to_him(void **state)
{
    (void)state;
    enum { SOMEBODY = 65534 };
    if (geteuid() != 0 || chown(gate.keys, SOMEBODY, SOMEBODY) != 0)
        skip();
    EXPECT(5, "", "65534", "authorize", gate_key_file(&gate, "alice"), "--role", "reader", "--keys", gate.keys);
    assert_false(is_there("keys/clients/alice.key"));
}

static void each_verb_has_help(void **state)
{
    (void)state;
    static const char *const verbs[] = {"keygen", "authorize", "revoke"};
    for (size_t i = 0; i < 3; i++) {
        struct output output = scene_run(0, (const char *const[]){verbs[i], "--help", NULL}, NULL, 0);
        assert_non_null(strstr(output.text, "--keys=DIR"));
        output_free(&output);
    }
    struct output output = scene_run(0, (const char *const[]){"--help", NULL}, NULL, 0);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(strstr(output.text, verbs[i]));
    output_free(&output);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_else_can_read_a_secret_or_change_the_folder),
        TEST(a_secret_stays_where_it_was_made),
        TEST(a_pair_is_never_overwritten),
        TEST(the_printed_key_is_the_public_one),
        TEST(a_key_has_one_file_and_the_role_given_last),
        TEST(a_name_is_not_taken_from_another_key),
        TEST(what_is_revoked_is_gone_under_every_name),
        TEST(a_name_is_enough_to_revoke),
        TEST(the_environment_names_the_folder),
        TEST(what_is_wrong_is_said),
        TEST(a_folder_that_others_may_write_to_is_not_used),
        TEST(the_folder_of_another_user_is_left_to_him),
        TEST(each_verb_has_help),
    };
    return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
