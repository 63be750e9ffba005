/*
 * proto_body.c - batches of requests, held against protobuf-c field by field, both ways, and against hostile bytes.
 */
#include "proto_body_support.h"

static struct request random_request(struct fixture *fixture, bool is_part)
{
    struct request request = {
        .operation = (uint32_t)number(fixture),
        .condition = (uint32_t)number(fixture),
        .flags = (uint32_t)number(fixture),
        .limit = (uint32_t)number(fixture),
        .kind = text(fixture, 20),
        .id = text(fixture, 200),
        .data = text(fixture, 500),
        .hash = text(fixture, 20),
        .tag = text(fixture, 20),
        .after = text(fixture, 20),
        .idempotency_key = text(fixture, 20),
        .idempotency_fingerprint = text(fixture, 20),
        .if_revision = number(fixture),
        .created_ms = (int64_t)number(fixture),
        .updated_ms = -(int64_t)(number(fixture) >> 1),
        .idempotency_retention_s = number(fixture),
        .deadline_ns = fixture->base_ns,
    };

    if (is_part)
        return request;
    request.deadline_ns += ((int64_t)(next(fixture) % 120000) - 60000) * NS_PER_MS;
    request.part_count = next(fixture) % 4;
    struct request *parts = arena_calloc(fixture->arena, request.part_count, sizeof *parts);
    for (size_t i = 0; i < request.part_count; i++)
        parts[i] = random_request(fixture, true);
    request.parts = parts;
    return request;
}

static struct request *random_requests(struct fixture *fixture, size_t count)
{
    struct request *requests = arena_calloc(fixture->arena, count, sizeof *requests);

    for (size_t i = 0; i < count; i++)
        requests[i] = random_request(fixture, false);
    return requests;
}

static struct session_header random_session(struct fixture *fixture)
{
    struct session_header session = {.counter = number(fixture), .floor = number(fixture)};

    for (size_t i = 0; i < SESSION_ID_BYTES; i++) {
        session.id[i] = (uint8_t)next(fixture);
        session.incarnation[i] = (uint8_t)next(fixture);
    }
    return session;
}

static struct span encode(struct fixture *fixture, const struct session_header *session, const struct request *requests,
                          size_t count)
{
    size_t size = body_requests_size(session, requests, count, fixture->base_ns);
    uint8_t *bytes = malloc(size + 1);

    assert_non_null(bytes);
    bytes[size] = 0x5A;
    body_encode_requests(session, requests, count, fixture->base_ns, bytes);
    assert_int_equal(bytes[size], 0x5A);
    return (struct span){bytes, size};
}

/* ---- comparisons ---- */

static void same_request(const struct request *ours, const wire_request *theirs, int64_t base_ns)
{
    assert_int_equal(ours->operation, theirs->operation);
    assert_int_equal(ours->condition, theirs->condition);
    assert_int_equal(ours->flags, theirs->flags);
    assert_int_equal(ours->limit, theirs->limit);
    same_bytes(ours->kind, theirs->kind);
    same_bytes(ours->id, theirs->id);
    same_bytes(ours->data, theirs->data);
    same_bytes(ours->hash, theirs->hash);
    same_bytes(ours->tag, theirs->tag);
    same_bytes(ours->after, theirs->after);
    assert_true(ours->if_revision == theirs->if_revision);
    same_bytes(ours->idempotency_key, theirs->idempotency_key);
    same_bytes(ours->idempotency_fingerprint, theirs->idempotency_fingerprint);
    assert_true(ours->idempotency_retention_s == theirs->idempotency_retention_s);
    assert_true(ours->created_ms == theirs->created_ms);
    assert_true(ours->updated_ms == theirs->updated_ms);
    assert_true((ours->deadline_ns - base_ns) / NS_PER_MS == theirs->deadline_delta_ms);
    assert_int_equal(ours->part_count, theirs->n_parts);
    for (size_t i = 0; i < ours->part_count; i++)
        same_request(&ours->parts[i], theirs->parts[i], ours->parts[i].deadline_ns);
}

/* ---- requests ---- */

static void protobuf_c_reads_what_we_write(void **state)
{
    struct fixture *fixture = *state;

    for (size_t round = 0; round < 200; round++) {
        struct session_header session = random_session(fixture);
        size_t count = 1 + round % 7;
        struct request *requests = random_requests(fixture, count);
        struct span body = encode(fixture, round % 2 ? &session : NULL, requests, count);
        wire_request_batch *batch = stigstore__wire__v1__request_batch__unpack(NULL, body.size, body.data);
        assert_non_null(batch);
        assert_int_equal(batch->n_requests, count);
        for (size_t i = 0; i < count; i++)
            same_request(&requests[i], batch->requests[i], fixture->base_ns);
        assert_int_equal(batch->session != NULL, round % 2);
        if (batch->session) {
            same_bytes((struct span){session.id, SESSION_ID_BYTES}, batch->session->id);
            same_bytes((struct span){session.incarnation, INCARNATION_BYTES}, batch->session->incarnation);
            assert_true(batch->session->counter == session.counter);
            assert_true(batch->session->floor == session.floor);
        }
        stigstore__wire__v1__request_batch__free_unpacked(batch, NULL);
        free((void *)body.data);
    }
}

static void we_read_what_protobuf_c_writes(void **state)
{
    struct fixture *fixture = *state;

    for (size_t round = 0; round < 200; round++) {
        struct session_header session = random_session(fixture);
        size_t count = 1 + round % 7;
        struct span ours = encode(fixture, round % 2 ? &session : NULL, random_requests(fixture, count), count);
        wire_request_batch *batch = stigstore__wire__v1__request_batch__unpack(NULL, ours.size, ours.data);
        assert_non_null(batch);
        size_t size = stigstore__wire__v1__request_batch__get_packed_size(batch);
        uint8_t *theirs = malloc(size);
        assert_non_null(theirs);
        assert_int_equal(stigstore__wire__v1__request_batch__pack(batch, theirs), size);
        struct request_batch back;
        assert_int_equal(body_decode_requests(theirs, size, fixture->base_ns, fixture->arena, &back), STATUS_OK);
        memset(theirs, 0xEE, size); /* nothing may point there */
        free(theirs);
        assert_int_equal(back.count, count);
        for (size_t i = 0; i < count; i++)
            same_request(&back.requests[i], batch->requests[i], fixture->base_ns);
        assert_int_equal(back.has_session, round % 2);
        if (back.has_session) {
            assert_memory_equal(back.session.id, session.id, SESSION_ID_BYTES);
            assert_memory_equal(back.session.incarnation, session.incarnation, INCARNATION_BYTES);
            assert_true(back.session.counter == session.counter && back.session.floor == session.floor);
        }
        stigstore__wire__v1__request_batch__free_unpacked(batch, NULL);
        free((void *)ours.data);
    }
}

static int64_t deadline_after_the_wire(struct fixture *fixture, int64_t deadline_ns)
{
    struct request request = {.operation = OPERATION_GET, .deadline_ns = deadline_ns};
    struct span body = encode(fixture, NULL, &request, 1);
    struct request_batch back;

    assert_int_equal(body_decode_requests(body.data, body.size, fixture->base_ns, fixture->arena, &back), STATUS_OK);
    free((void *)body.data);
    return back.requests[0].deadline_ns;
}

static void deadlines_come_over_within_a_millisecond_and_an_hour(void **state)
{
    struct fixture *fixture = *state;
    int64_t base = fixture->base_ns;

    assert_true(deadline_after_the_wire(fixture, base) == base);
    assert_true(deadline_after_the_wire(fixture, base + 1) == base + NS_PER_MS);
    assert_true(deadline_after_the_wire(fixture, base + 7 * NS_PER_S) == base + 7 * NS_PER_S);
    assert_true(deadline_after_the_wire(fixture, base - 7 * NS_PER_S) == base - 7 * NS_PER_S);
    assert_true(deadline_after_the_wire(fixture, INT64_MIN) < 0);
    int64_t never = deadline_after_the_wire(fixture, INT64_MAX);
    assert_true(never > base && never <= clock_boot_ns() + LIMIT_DEADLINE_S * NS_PER_S);
}

static void parts_have_the_deadline_of_their_request(void **state)
{
    struct fixture *fixture = *state;
    struct request part = {.operation = OPERATION_GET};
    struct request request = {
        .operation = OPERATION_GET_MANY, .parts = &part, .part_count = 1, .deadline_ns = fixture->base_ns + NS_PER_S};
    struct span body = encode(fixture, NULL, &request, 1);
    struct request_batch back;

    assert_int_equal(body_decode_requests(body.data, body.size, fixture->base_ns, fixture->arena, &back), STATUS_OK);
    assert_true(back.requests[0].parts[0].deadline_ns == request.deadline_ns);
    free((void *)body.data);
}

/* ---- bytes that a peer may send ---- */

static int decode(struct fixture *fixture, const void *bytes, size_t size)
{
    struct request_batch batch;
    uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a step too far */

    assert_non_null(exact);
    if (size)
        memcpy(exact, bytes, size);
    int status = body_decode_requests(exact, size, fixture->base_ns, fixture->arena, &batch);
    free(exact);
    return status;
}

static void malformed_batches_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"", 0},                                 /* nobody asks for anything */
        {"\x12", 1},                             /* cut */
        {"\x12\x02\x08", 3},                     /* a request longer than its batch */
        {"\x12\x01\x08", 3},                     /* a request with a cut field */
        {"\x10\x01", 2},                         /* requests as a number */
        {"\x12\x02\x0a\x00", 4},                 /* an operation as bytes */
        {"\x12\x02\x28\x01", 4},                 /* a kind as a number */
        {"\x12\x03\x90\x01\x01", 5},             /* parts as a number */
        {"\x12\x05\x92\x01\x02\x08\x80", 7},     /* a part with a cut field */
        {"\x12\x06\x92\x01\x03\x92\x01\x00", 8}, /* a part inside a part */
        {"\x0a\x00\x12\x00", 4},                 /* a session without an id */
        {"\x0a\x02\x08\x01\x12\x00", 6},         /* an id as a number */
        {"\x08\x01\x12\x00", 4},                 /* a session as a number */
        {"\x0a\x03\x0a\x01\x01\x12\x00", 7},     /* an id of one byte */
        {"\x12\x00\x13", 3},                     /* a group */
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (decode(fixture, cases[i].bytes, cases[i].size) != STATUS_INVALID_ARGUMENT)
            fail_msg("case %zu", i);
    assert_int_equal(decode(fixture, "\x12\x00", 2), STATUS_OK);
}

static void two_sessions_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct session_header session = {.floor = 1};
    struct request request = {.operation = OPERATION_SKIP, .deadline_ns = fixture->base_ns};
    struct span body = encode(fixture, &session, &request, 1);
    uint8_t *twice = malloc(2 * body.size);

    assert_non_null(twice);
    memcpy(twice, body.data, body.size);
    memcpy(twice + body.size, body.data, body.size);
    assert_int_equal(decode(fixture, twice, body.size), STATUS_OK);
    assert_int_equal(decode(fixture, twice, 2 * body.size), STATUS_INVALID_ARGUMENT);
    free(twice);
    free((void *)body.data);
}

static void unknown_fields_are_skipped_and_the_last_value_counts(void **state)
{
    struct fixture *fixture = *state;
    static const char bytes[] = "\x12\x1f"
                                "\x08\x01"                                 /* operation 1 */
                                "\xa0\x06\x05"                             /* field 100, a number */
                                "\xaa\x06\x01x"                            /* field 101, bytes */
                                "\xb1\x06\x01\x02\x03\x04\x05\x06\x07\x08" /* field 102, eight bytes */
                                "\xbd\x06\x01\x02\x03\x04"                 /* field 103, four */
                                "\x2a\x01k"                                /* kind "k" */
                                "\x08\x02"                                 /* operation 2 */
                                "\x18\x03";                                /* at the top: field 3 */
    struct request_batch batch;

    /* the request's length is counted, not guessed */
    char exact[sizeof bytes - 1];
    memcpy(exact, bytes, sizeof exact);
    exact[1] = (char)(sizeof exact - 4);
    assert_int_equal(body_decode_requests(exact, sizeof exact, 0, fixture->arena, &batch), STATUS_OK);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.requests[0].operation, 2);
    assert_true(span_equal(batch.requests[0].kind, span_text("k")));
}

static void counts_are_bounded_before_memory_is_reserved(void **state)
{
    struct fixture *fixture = *state;
    struct request *requests = calloc(LIMIT_BATCH_REQUESTS + 1, sizeof *requests);
    struct request *parts = calloc(LIMIT_PARTS + 1, sizeof *parts);
    struct arena *small = arena_new(1 << 20);
    struct request_batch batch;

    assert_true(requests && parts && small);
    for (size_t i = 0; i <= LIMIT_BATCH_REQUESTS; i++)
        requests[i].deadline_ns = fixture->base_ns;
    struct span body = encode(fixture, NULL, requests, LIMIT_BATCH_REQUESTS + 1);
    assert_int_equal(decode(fixture, body.data, body.size), STATUS_INVALID_ARGUMENT);
    assert_int_equal(decode(fixture, body.data, body.size - 2), STATUS_OK);
    free((void *)body.data);

    requests[0].parts = parts;
    requests[0].part_count = LIMIT_PARTS + 1;
    body = encode(fixture, NULL, requests, 1);
    assert_int_equal(decode(fixture, body.data, body.size), STATUS_INVALID_ARGUMENT);
    free((void *)body.data);

    /* Two bytes a part on the wire, a struct each in memory: all parts of a message are bounded together. */
    for (size_t i = 0; i < LIMIT_BATCH_REQUESTS; i++) {
        requests[i].parts = parts;
        requests[i].part_count = LIMIT_PARTS;
    }
    body = encode(fixture, NULL, requests, LIMIT_BATCH_PARTS / LIMIT_PARTS + 1);
    assert_int_equal(decode(fixture, body.data, body.size), STATUS_INVALID_ARGUMENT);
    assert_int_equal(body_decode_requests(body.data, body.size, 0, small, &batch), STATUS_NO_MEMORY);
    assert_true(arena_bytes(small) <= 1 << 20);
    free((void *)body.data);
    arena_free(&small);
    free(parts);
    free(requests);
}

/* Whatever arrives: a status, and no step outside; what protobuf-c takes apart alike comes out alike. */
static void broken_bytes_never_harm(void **state)
{
    struct fixture *fixture = *state;

    for (size_t round = 0; round < 3000; round++) {
        arena_reset(fixture->arena);
        struct session_header session = random_session(fixture);
        struct span body = encode(fixture, &session, random_requests(fixture, 2), 2);
        uint8_t *bytes = (uint8_t *)body.data;
        for (size_t i = 0; i < 1 + round % 4 && body.size; i++)
            bytes[next(fixture) % body.size] = (uint8_t)next(fixture);
        int status = decode(fixture, bytes, next(fixture) % 2 ? body.size : next(fixture) % (body.size + 1));
        assert_true(status == STATUS_OK || status == STATUS_INVALID_ARGUMENT);
        const struct reply *replies;
        size_t count;
        status = body_decode_replies(bytes, body.size, fixture->arena, &replies, &count);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        free(bytes);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(protobuf_c_reads_what_we_write),
        TEST(we_read_what_protobuf_c_writes),
        TEST(deadlines_come_over_within_a_millisecond_and_an_hour),
        TEST(parts_have_the_deadline_of_their_request),
        TEST(malformed_batches_are_refused),
        TEST(two_sessions_are_refused),
        TEST(unknown_fields_are_skipped_and_the_last_value_counts),
        TEST(counts_are_bounded_before_memory_is_reserved),
        TEST(broken_bytes_never_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
