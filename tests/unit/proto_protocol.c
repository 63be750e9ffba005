/*
 * proto_protocol.c - PROTOCOL.md says what the code does: its examples, its schema, its statuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "proto/body.h"
#include "proto/envelope.h"
#include "proto/limits.h"

#include <stdio.h>
#include <stdlib.h>

#define EXAMPLE_LIFE UINT64_C(0x1122334455667788)

static char *read_text(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/proto/%s", STIGSTORE_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, size, file), size);
    text[size] = '\0';
    fclose(file);
    return text;
}

static char *document;

static int setup(void **state)
{
    (void)state;
    document = read_text("PROTOCOL.md");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(document);
    return 0;
}

/* ---- examples: lines of "offset  bytes | what they are" in a block of their own ---- */

static int hex_value(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The bytes of one line; its offset must be `size`, what came before. */
static size_t read_line(const char *line, uint8_t *out, size_t size)
{
    char *at;
    assert_int_equal(strtoul(line, &at, 16), size);
    while (*at == ' ')
        at++;
    while (hex_value(at[0]) >= 0 && hex_value(at[1]) >= 0) {
        out[size++] = (uint8_t)(hex_value(at[0]) << 4 | hex_value(at[1]));
        for (at += 2; *at == ' '; at++)
            ;
    }
    assert_true(*at == '|');
    return size;
}

static size_t read_example(const char *name, uint8_t *out)
{
    char fence[64];
    snprintf(fence, sizeof fence, "```hex %s\n", name);
    const char *at = strstr(document, fence);
    assert_non_null(at);
    size_t size = 0;
    for (at += strlen(fence); strncmp(at, "```", 3) != 0; at = strchr(at, '\n') + 1)
        size = read_line(at, out, size);
    return size;
}

static void expect_example(const char *name, const void *bytes, size_t size)
{
    uint8_t found[512];
    size_t found_size = read_example(name, found);

    if (found_size == size && memcmp(found, bytes, size) == 0)
        return;
    print_message("%s:", name);
    for (size_t i = 0; i < size; i++)
        print_message(" %02x", ((const uint8_t *)bytes)[i]);
    print_message("\n");
    fail_msg("the example '%s' is another", name);
}

static void expect_envelope(const char *name, const struct envelope *envelope)
{
    uint8_t bytes[ENVELOPE_BYTES];
    struct envelope back;

    envelope_encode(envelope, bytes);
    assert_int_equal(envelope_decode(bytes, sizeof bytes, &back), STATUS_OK);
    expect_example(name, bytes, sizeof bytes);
}

static void expect_requests(const char *name, const struct session_header *session, const struct request *request)
{
    uint8_t bytes[512];
    size_t size = body_requests_size(session, request, 1, 0);

    assert_true(size <= sizeof bytes);
    body_encode_requests(session, request, 1, 0, bytes);
    expect_example(name, bytes, size);
}

static void expect_reply(const char *name, const struct reply *reply)
{
    uint8_t bytes[512];
    size_t size = body_replies_size(reply, 1);

    assert_true(size <= sizeof bytes);
    body_encode_replies(reply, 1, bytes);
    expect_example(name, bytes, size);
}

static struct envelope example_envelope(uint8_t type)
{
    return (struct envelope){.version = ENVELOPE_VERSION, .type = type, .life = EXAMPLE_LIFE, .first = 1, .count = 1};
}

static void the_put_is_what_the_encoder_makes(void **state)
{
    struct envelope envelope = example_envelope(MESSAGE_WRITE);
    struct session_header session = {.counter = 1, .floor = 1};
    struct request request = {
        .operation = OPERATION_SAVE, .kind = span_text("skill"), .id = span_text("s1"), .data = span_text("hello")};
    struct reply reply = {.revision = 42};

    (void)state;
    for (uint8_t i = 0; i < 16; i++) {
        session.id[i] = (uint8_t)(0xA0 + i);
        session.incarnation[i] = (uint8_t)(0xB0 + i);
    }
    envelope.timeout_ms = 5000;
    expect_envelope("put envelope", &envelope);
    expect_requests("put body", &session, &request);
    envelope = example_envelope(MESSAGE_REPLY);
    envelope.flags = ENVELOPE_WRITE;
    envelope.attempt = 1;
    expect_envelope("put reply envelope", &envelope);
    expect_reply("put reply body", &reply);
}

static void the_get_is_what_the_encoder_makes(void **state)
{
    struct envelope envelope = example_envelope(MESSAGE_READ);
    struct request request = {.operation = OPERATION_GET, .kind = span_text("skill"), .id = span_text("s1")};
    struct item item = {.kind = span_text("skill"),
                        .id = span_text("s1"),
                        .data = span_text("hello"),
                        .revision = 42,
                        .created_ms = INT64_C(1767225600000),
                        .updated_ms = INT64_C(1767225600000),
                        .data_bytes = 5};
    struct reply reply = {.revision = 42, .items = &item, .item_count = 1};

    (void)state;
    envelope.timeout_ms = 5000;
    expect_envelope("get envelope", &envelope);
    expect_requests("get body", NULL, &request);
    expect_reply("get reply body", &reply);
}

/* ---- what it prints of the sources ---- */

static void the_schema_is_the_one_that_is_compiled(void **state)
{
    char *schema = read_text("stigstore.proto");
    char *start = strstr(schema, "syntax = ");

    (void)state;
    assert_non_null(start);
    assert_non_null(strstr(document, start));
    free(schema);
}

static void expect_row(const char *row)
{
    if (!strstr(document, row))
        fail_msg("no row: %s", row);
}

static void every_status_has_its_row(void **state)
{
    char row[256];

    (void)state;
#define EXPECT(name, number, applied, advice, text)                                                    \
    snprintf(row, sizeof row, "| %d | %s | %s | %s | %s |\n", number, #name, #applied, #advice, text); \
    expect_row(row);
    STIGSTORE_STATUS_MAP(EXPECT)
#undef EXPECT
#define EXPECT(name, number, text)                                        \
    snprintf(row, sizeof row, "| %d | %s | %s |\n", number, #name, text); \
    expect_row(row);
    WIRE_STATUS_MAP(EXPECT)
#undef EXPECT
}

static void every_type_and_operation_has_its_row(void **state)
{
    char row[64];

    (void)state;
    for (uint8_t type = 1; type < MESSAGE_TYPE_END; type++) {
        snprintf(row, sizeof row, "\n| %d | %s | ", type, message_type_name(type));
        expect_row(row);
    }
    for (uint32_t operation = 1; operation <= OPERATION_CLOSE_SESSION; operation++) {
        if (strcmp(operation_name(operation), "UNKNOWN") == 0)
            continue;
        snprintf(row, sizeof row, "\n| %u | %s | ", operation, operation_name(operation));
        expect_row(row);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_put_is_what_the_encoder_makes),      TEST(the_get_is_what_the_encoder_makes),
        TEST(the_schema_is_the_one_that_is_compiled), TEST(every_status_has_its_row),
        TEST(every_type_and_operation_has_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
