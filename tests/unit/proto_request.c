/*
 * proto_request.c - what operations there are, and what each of them takes.
 */
#include "proto_request_support.h"

static const uint32_t operations[] = {
    OPERATION_GET,          OPERATION_STAT,          OPERATION_GET_MANY,     OPERATION_LIST,
    OPERATION_COUNT,        OPERATION_KINDS,         OPERATION_AUDIT_SCAN,   OPERATION_SAVE,
    OPERATION_DELETE,       OPERATION_DELETE_PREFIX, OPERATION_DELETE_KIND,  OPERATION_TRANSACT,
    OPERATION_AUDIT_SAVE,   OPERATION_AUDIT_BY_HASH, OPERATION_AUDIT_BY_TAG, OPERATION_AUDIT_HISTORY,
    OPERATION_AUDIT_DELETE, OPERATION_KEY_LOOKUP,    OPERATION_SKIP,         OPERATION_CLOSE_SESSION,
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

/* ---- operations ---- */

static void the_least_of_each_operation_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct request request = make(operations[i]);
        accept(&request);
        request.flags = REQUEST_NO_WAIT;
        accept(&request);
    }
}

static void unknown_operations_are_refused(void **state)
{
    static const uint32_t unknown[] = {0, OPERATION_KEY_LOOKUP + 1, 99, 102, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        struct request request = {.operation = unknown[i], .kind = {"k", 1}, .id = {"i", 1}};
        refuse(&request);
        assert_string_equal(operation_name(unknown[i]), "UNKNOWN");
        assert_false(operation_is_write(unknown[i]));
    }
}

static void operations_know_where_they_go(void **state)
{
    (void)state;
    assert_true(operation_is_write(OPERATION_SAVE));
    assert_true(operation_is_write(OPERATION_SKIP));
    assert_true(operation_is_write(OPERATION_KEY_LOOKUP));
    assert_false(operation_is_write(OPERATION_LIST));
    assert_true(operation_is_wire(OPERATION_CLOSE_SESSION));
    assert_false(operation_is_wire(OPERATION_SAVE));
    assert_true(operation_is_ranged_delete(OPERATION_DELETE_KIND));
    assert_false(operation_is_ranged_delete(OPERATION_DELETE));
    assert_true(operation_is_list(OPERATION_AUDIT_HISTORY));
    assert_false(operation_is_list(OPERATION_GET_MANY));
    assert_string_equal(operation_name(OPERATION_DELETE_PREFIX), "DELETE_PREFIX");
}

/* Which operation takes which field: one row a field, everything not named must refuse it. */
struct field_case {
    const char *name;
    void (*set)(struct request *);
    uint32_t takers[10];
};

static void set_data(struct request *r)
{
    r->data = span_text("d");
}
static void set_hash(struct request *r)
{
    r->hash = span_text("h");
}
static void set_tag(struct request *r)
{
    r->tag = span_text("t");
}
static void set_after(struct request *r)
{
    r->after = (struct span){"\xff\0", 2};
}
static void set_limit(struct request *r)
{
    r->limit = 1;
}
static void set_key(struct request *r)
{
    r->idempotency_key = span_text("k");
    r->idempotency_fingerprint = span_text("f");
    r->idempotency_retention_s = 60;
}
static void set_times(struct request *r)
{
    r->created_ms = 1;
    r->updated_ms = LIMIT_TIME_MS;
}
static void set_condition(struct request *r)
{
    r->condition = CONDITION_IF_EXISTS;
}
static void set_keys_only(struct request *r)
{
    r->flags = REQUEST_KEYS_ONLY;
}
static void set_require(struct request *r)
{
    r->flags = REQUEST_REQUIRE_RESOURCE;
}
static void set_all_or_nothing(struct request *r)
{
    r->flags = REQUEST_ALL_OR_NOTHING;
}
static void set_of_update(struct request *r)
{
    r->flags = REQUEST_OF_UPDATE;
}

static const struct field_case field_cases[] = {
    {"data", set_data, {OPERATION_SAVE, OPERATION_AUDIT_SAVE}},
    {"hash", set_hash, {OPERATION_AUDIT_SAVE, OPERATION_AUDIT_BY_HASH}},
    {"tag", set_tag, {OPERATION_AUDIT_SAVE, OPERATION_AUDIT_BY_TAG}},
    {"after", set_after, {OPERATION_LIST}},
    {"limit", set_limit, {OPERATION_LIST, OPERATION_AUDIT_HISTORY}},
    {"key",
     set_key,
     {OPERATION_SAVE, OPERATION_DELETE, OPERATION_DELETE_PREFIX, OPERATION_DELETE_KIND, OPERATION_TRANSACT,
      OPERATION_AUDIT_SAVE, OPERATION_AUDIT_DELETE, OPERATION_KEY_LOOKUP}},
    {"times", set_times, {OPERATION_SAVE, OPERATION_AUDIT_SAVE}},
    {"condition", set_condition, {OPERATION_SAVE, OPERATION_DELETE}},
    {"KEYS_ONLY", set_keys_only, {OPERATION_LIST, OPERATION_AUDIT_HISTORY}},
    {"REQUIRE_RESOURCE", set_require, {OPERATION_AUDIT_SAVE}},
    {"ALL_OR_NOTHING", set_all_or_nothing, {OPERATION_DELETE_PREFIX, OPERATION_DELETE_KIND}},
    {"OF_UPDATE", set_of_update, {OPERATION_SAVE, OPERATION_DELETE, OPERATION_KEY_LOOKUP}},
};

static bool takes(const struct field_case *field, uint32_t operation)
{
    for (size_t i = 0; i < 10 && field->takers[i]; i++)
        if (field->takers[i] == operation)
            return true;
    return false;
}

static void an_operation_takes_its_fields_and_no_other(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof field_cases / sizeof *field_cases; f++) {
        for (size_t i = 0; i < OPERATIONS; i++) {
            struct request request = make(operations[i]);
            field_cases[f].set(&request);
            int expected = takes(&field_cases[f], operations[i]) ? STATUS_OK : STATUS_INVALID_ARGUMENT;
            if (check(&request) != expected)
                fail_msg("%s of %s", field_cases[f].name, operation_name(operations[i]));
        }
    }
}

static void parts_belong_to_two_operations(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct request request = make(operations[i]);
        request.parts = &one_get;
        request.part_count = 1;
        if (operations[i] == OPERATION_GET_MANY)
            accept(&request);
        else
            refuse(&request);
    }
}

static void unknown_flags_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct request request = make(operations[i]);
        request.flags = 1u << 31;
        refuse(&request);
        request.flags = 1u << 4;
        refuse(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_of_each_operation_is_taken),
        cmocka_unit_test(unknown_operations_are_refused),
        cmocka_unit_test(operations_know_where_they_go),
        cmocka_unit_test(an_operation_takes_its_fields_and_no_other),
        cmocka_unit_test(parts_belong_to_two_operations),
        cmocka_unit_test(unknown_flags_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
