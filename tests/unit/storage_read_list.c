/* storage_read_list.c - lists, counts and scans against a plain model: bytewise order, prefixes, `after`, limits. */
#include "tests/unit/storage_read_fixture.h"
#include "tests/unit/storage_write_fault.h"

#include <stdlib.h>

enum { MODEL_IDS = 400 };

struct model {
    char ids[MODEL_IDS][32];
    size_t sizes[MODEL_IDS];
    size_t count;
};

static struct span model_id(const struct model *model, size_t i)
{
    return (struct span){model->ids[i], model->sizes[i]};
}

static int compare_ids(const void *a, const void *b)
{
    const char *left = a, *right = b;
    return strcmp(left, right); /* of unsigned bytes, as memcmp */
}

static void add(struct model *model, const char *id)
{
    for (size_t i = 0; i < model->count; i++)
        if (strcmp(model->ids[i], id) == 0)
            return;
    snprintf(model->ids[model->count++], sizeof(model->ids[0]), "%s", id);
}

/* Ids of few pieces, among them all that a pattern would take for special, and text of two to four bytes. */
static void make_model(struct model *model, unsigned seed)
{
    static const char *const pieces[] = {
        "a", "b", "A", "%", "_", "*", "?", "[", "]", "\\", "/", "~", "\xC3\xBF", "\xEF\xBF\xBF", "\xF4\x8F\xBF\xBF",
        " ", "'", "-"};
    memset(model, 0, sizeof(*model));
    for (int i = 0; i < MODEL_IDS; i++) {
        char id[32] = "";
        int length = 1 + (int)(seed % 4);
        for (int j = 0; j < length; j++) {
            seed = seed * 1664525u + 1013904223u;
            strcat(id, pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        seed = seed * 1664525u + 1013904223u;
        add(model, id);
    }
    qsort(model->ids, model->count, sizeof(model->ids[0]), compare_ids);
    for (size_t i = 0; i < model->count; i++)
        model->sizes[i] = strlen(model->ids[i]);
}

static void fill(struct fixture *fixture, const struct model *model)
{
    for (size_t i = model->count; i-- > 0;)
        fixture_put(fixture, "k", model_id(model, i), model_id(model, i));
    fixture_put(fixture, "j", span_text("a"), span_text("before"));
    fixture_put(fixture, "l", span_text("a"), span_text("behind"));
}

static void check_list(struct fixture *fixture, const struct model *model, struct span prefix, struct span after,
                       uint32_t limit)
{
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    list.id = prefix;
    list.after = after;
    list.limit = limit;
    struct reply reply = fixture_ask(fixture, list);
    assert_int_equal(reply.status, STATUS_OK);
    size_t at = 0, matching = 0;
    for (size_t i = 0; i < model->count; i++) {
        struct span id = model_id(model, i);
        bool matches = span_begins_with(id, prefix);
        matching += matches;
        if (!matches || (after.size && span_compare(id, after) <= 0) || (limit && at >= limit))
            continue;
        assert_true(at < reply.item_count);
        assert_span_equal(reply.items[at].id, id);
        assert_span_equal(reply.items[at].data, id);
        assert_span_equal(reply.items[at].kind, span_text("k"));
        at++;
    }
    assert_int_equal(reply.item_count, at);
    list.operation = OPERATION_COUNT;
    list.after = (struct span){0};
    assert_int_equal(fixture_ask(fixture, list).count, matching);
    arena_reset(fixture->arena);
}

static void lists_agree_with_a_model(void **state)
{
    struct fixture *fixture = *state;
    struct model *model = malloc(sizeof(*model));
    assert_non_null(model);
    make_model(model, 20240229u);
    fill(fixture, model);
    fixture_open(fixture);
    check_list(fixture, model, (struct span){0}, (struct span){0}, 0);
    for (size_t i = 0; i < model->count; i += 3) {
        struct span id = model_id(model, i);
        for (size_t cut = 0; cut <= id.size; cut++) { /* also in the middle of a character */
            struct span prefix = {id.data, cut};
            check_list(fixture, model, prefix, (struct span){0}, 0);
            check_list(fixture, model, prefix, model_id(model, (i * 7) % model->count), 5);
        }
    }
    free(model);
}

static void bounds_may_be_any_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct model *model = malloc(sizeof(*model));
    assert_non_null(model);
    make_model(model, 7u);
    fill(fixture, model);
    fixture_open(fixture);
    static const struct span odd[] = {{"\xFF", 1},         {"\xFF\xFF\xFF", 3}, {"a\xFF", 2},   {"\0", 1},
                                      {"a\0", 2},          {"\xC3", 1},         {"\x80", 1},    {"\xF4\x8F\xBF", 3},
                                      {"\xEF\xBF\xFF", 3}, {"\xC3\xBF\xFF", 3}, {"\xFE\xFF", 2}};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        check_list(fixture, model, odd[i], (struct span){0}, 0);
        check_list(fixture, model, (struct span){0}, odd[i], 0);
        check_list(fixture, model, span_text("a"), odd[i], 3);
    }
    char longest[1024];
    memset(longest, 0xFF, sizeof(longest));
    check_list(fixture, model, (struct span){longest, sizeof(longest)}, (struct span){longest, sizeof(longest)}, 0);
    free(model);
}

static void keys_only_brings_no_data(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, "k", span_text("a"), span_text("12345"));
    fixture_open(fixture);
    struct request list = fixture_request(OPERATION_LIST, "k", "");
    list.flags = REQUEST_KEYS_ONLY;
    struct reply reply = fixture_ask(fixture, list);
    assert_int_equal(reply.item_count, 1);
    assert_null(reply.items[0].data.data);
    assert_int_equal(reply.items[0].data_bytes, 5);
    assert_int_equal(reply.items[0].revision, 1);
    list.id = span_text("b");
    reply = fixture_ask(fixture, list);
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.item_count, 0);
}

static void kinds(void **state)
{
    struct fixture *fixture = *state;
    fixture_open(fixture);
    struct reply reply = fixture_ask(fixture, fixture_request(OPERATION_KINDS, "", ""));
    assert_int_equal(reply.status, STATUS_OK);
    assert_int_equal(reply.item_count, 0);
    static const char *const all[] = {"A", "a", "b", "b/c", "z"};
    for (int i = 4; i >= 0; i--) {
        if (i != 2)
            fixture_put(fixture, all[i], span_text("1"), span_text(""));
        fixture_put(fixture, all[i == 2 ? 0 : i], span_text("2"), span_text(""));
        fixture_archive(fixture, all[2], "1", "", "", "2024-01-01 00:00:00", span_text(""));
    }
    reply = fixture_ask(fixture, fixture_request(OPERATION_KINDS, "", ""));
    assert_int_equal(reply.item_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_span_equal(reply.items[i].kind, span_text(all[i]));
}

static void history_and_audit_scan(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 40; i++) {
        char data[16], archived[32];
        snprintf(data, sizeof(data), "v%d", i);
        snprintf(archived, sizeof(archived), "2024-01-01 00:00:%02d.000", (i * 17) % 60);
        fixture_archive(fixture, i % 4 == 3 ? "other" : "skill", i % 2 ? "s" : "r", data, i % 3 ? "t" : NULL, archived,
                        span_text(data));
    }
    fixture_open(fixture);
    struct request request = fixture_request(OPERATION_AUDIT_HISTORY, "skill", "s");
    struct reply reply = fixture_ask(fixture, request);
    assert_int_equal(reply.item_count, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(reply.items[i].revision, 1 + 37 - 4 * i);
        assert_span_equal(reply.items[i].data, reply.items[i].hash);
        assert_span_equal(reply.items[i].id, span_text("s"));
    }
    request.limit = 3;
    request.flags = REQUEST_KEYS_ONLY;
    reply = fixture_ask(fixture, request);
    assert_int_equal(reply.item_count, 3);
    assert_int_equal(reply.items[0].revision, 38);
    assert_null(reply.items[0].data.data);
    assert_int_equal(reply.items[0].data_bytes, 3);
    reply = fixture_ask(fixture, fixture_request(OPERATION_AUDIT_SCAN, "skill", ""));
    assert_int_equal(reply.item_count, 30);
    for (size_t i = 0; i < 30; i++) { /* by id, and of each id the oldest first */
        assert_int_equal(reply.items[i].revision, i < 20 ? 1 + 2 * i : 2 + 4 * (i - 20));
        assert_span_equal(reply.items[i].id, span_text(i < 20 ? "r" : "s"));
    }
}

/* A page of the list must not wait while records of another kind are passed over. */
static void a_rare_kind_is_found_without_reading_the_rest(void **state)
{
    struct fixture *fixture = *state;
    struct storage_scan *scan;
    struct item item;
    uint64_t revision;
    unsigned found = 0;
    for (int i = 0; i < 3; i++) {
        fixture_archive(fixture, "rare", "r", "", "", "2024-01-01 00:00:00", span_text("x"));
        fixture_run(fixture, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
                             " INSERT INTO resource_audit (kind, resource_id, revision, data)"
                             " SELECT 'common', i, 1, zeroblob(3000) FROM n");
    }
    fixture_open(fixture);
    const struct storage_ops *ops = fixture->storage->ops;
    struct request list = fixture_request(OPERATION_AUDIT_SCAN, "rare", "");
    fault.reads = 0;
    assert_int_equal(ops->scan_open(fixture->storage, &list, &scan, &revision, NULL), STATUS_OK);
    while (ops->scan_next(scan, &item, fixture->arena, NULL) == STATUS_OK)
        found++;
    ops->scan_close(&scan);
    assert_int_equal(found, 3);
    assert_in_range(fault.reads, 1, 100);
}

static void a_scan_is_one_snapshot(void **state)
{
    struct fixture *fixture = *state;
    struct storage_scan *scan;
    struct item item;
    uint64_t revision;
    char prefix[] = "a";
    for (int i = 0; i < 5; i++)
        fixture_put(fixture, "k", (struct span){&"a0a1a2a3a4"[2 * i], 2}, span_text("old"));
    fixture_open(fixture);
    const struct storage_ops *ops = fixture->storage->ops;
    struct request list = fixture_request(OPERATION_LIST, "k", prefix);
    assert_int_equal(ops->scan_open(fixture->storage, &list, &scan, &revision, NULL), STATUS_OK);
    prefix[0] = 'x'; /* the scan has its own */
    assert_int_equal(revision, 5);
    assert_true(ops->holds_snapshot(fixture->storage));
    for (int i = 0; i < 5; i++) {
        fixture_put(fixture, "k", (struct span){&"a0a1a2a3a4"[2 * i], 2}, span_text("new"));
        fixture_put(fixture, "k", span_text("a9"), span_text("new"));
        assert_int_equal(ops->scan_next(scan, &item, fixture->arena, NULL), STATUS_OK);
        assert_span_equal(item.id, (struct span){&"a0a1a2a3a4"[2 * i], 2});
        assert_span_equal(item.data, span_text("old"));
    }
    assert_int_equal(ops->scan_next(scan, &item, fixture->arena, NULL), STATUS_END);
    assert_int_equal(ops->scan_next(scan, &item, fixture->arena, NULL), STATUS_END);
    ops->scan_close(&scan);
    assert_null(scan);
    list = fixture_request(OPERATION_LIST, "k", "");
    assert_int_equal(fixture_ask(fixture, list).item_count, 6);
    assert_int_equal(fixture_ask(fixture, list).revision, 15);
}

#define ON_A_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(lists_agree_with_a_model),
        ON_A_STORE(bounds_may_be_any_bytes),
        ON_A_STORE(keys_only_brings_no_data),
        ON_A_STORE(kinds),
        ON_A_STORE(history_and_audit_scan),
        ON_A_STORE(a_scan_is_one_snapshot),
        ON_A_STORE(a_rare_kind_is_found_without_reading_the_rest),
    };
    fault_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
