/*
 * operation.c - one operation from its choice to its end: requests made, answers judged, mutations booked.
 */
#include "bench/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char operation_victims[] = "gone-";

/* ---- names ---- */

stigstore_bytes operation_id(const struct bench *bench, uint64_t key, char out[VALUE_ID_BYTES])
{
    enum { PREFIX = 5, DIGITS = 12 };
    bool is_victim = bench->workload->deletes && key < bench->keys;
    memcpy(out, is_victim ? operation_victims : "here-", PREFIX);
    for (size_t i = DIGITS; i > 0; i--, key /= 10)
        out[PREFIX + i - 1] = (char)('0' + key % 10);
    return (stigstore_bytes){out, PREFIX + DIGITS};
}

void operation_hash(uint64_t stamp, char out[HASH_TEXT + 1])
{
    snprintf(out, HASH_TEXT + 1, "%016" PRIx64, draw_scramble(stamp));
}

static stigstore_bytes kind_of(const struct bench *bench)
{
    return stigstore_text(bench->kind);
}

/* ---- memory ---- */

bool operation_prepare(const struct bench *bench, struct task *operation)
{
    size_t batch = bench->options.batch;
    *operation = (struct task){
        .data = malloc(bench->options.value_bytes + VALUE_STEP_BYTES),
        .parts = calloc(batch, sizeof(*operation->parts)),
        .part_keys = calloc(batch, sizeof(*operation->part_keys)),
        .part_ids = calloc(batch, sizeof(*operation->part_ids)),
    };
    return operation->data && operation->parts && operation->part_keys && operation->part_ids;
}

void operation_release(struct task *operation)
{
    free(operation->data);
    free(operation->parts);
    free(operation->part_keys);
    free(operation->part_ids);
}

/* ---- choosing ---- */

static uint64_t choose_key(struct worker *worker)
{
    const struct bench *bench = worker->bench;
    const struct phase *phase = worker->phase;
    uint64_t newest = 0;
    switch (phase->mix->choice) {
    case CHOICE_ZIPFIAN:
        return phase->first_key + draw_scramble(zipf_next(&bench->zipf, &worker->draw)) % phase->keys;
    case CHOICE_LATEST:
        newest = atomic_load_explicit(&bench->next_key, memory_order_relaxed) - 1;
        return newest - zipf_next(&bench->zipf, &worker->draw);
    case CHOICE_UNIFORM:
        break;
    }
    return phase->first_key + draw_below(&worker->draw, phase->keys);
}

static enum action choose_action(struct worker *worker)
{
    uint64_t at = draw_below(&worker->draw, 100);
    for (unsigned i = 0; i < ACTION_COUNT; i++) {
        if (at < worker->phase->mix->percent[i])
            return (enum action)i;
        at -= worker->phase->mix->percent[i];
    }
    return ACTION_PUT;
}

static uint64_t claim_new_key(struct worker *worker)
{
    struct bench *bench = worker->bench;
    uint64_t key = atomic_fetch_add_explicit(&bench->next_key, 1, memory_order_relaxed);
    if (key < ledger_keys(bench->ledger))
        return key;
    atomic_fetch_sub_explicit(&bench->next_key, 1, memory_order_relaxed);
    return choose_key(worker);
}

/* ---- requests ---- */

static void take_key(struct worker *worker, struct task *operation, uint64_t key)
{
    operation->key = key;
    operation->seen = ledger_revision(worker->bench->ledger, key);
}

static stigstore_request request_of(const struct worker *worker, struct task *operation, uint32_t number)
{
    return (stigstore_request){.struct_size = sizeof(stigstore_request),
                               .operation = number,
                               .kind = kind_of(worker->bench),
                               .id = operation_id(worker->bench, operation->key, operation->id)};
}

static void make_put(struct worker *worker, struct task *operation)
{
    const struct bench *bench = worker->bench;
    size_t bytes = bench->options.value_bytes;
    operation->stamp = ++worker->stamp;
    struct value_head head = {operation->key, operation->stamp, 0};
    if (bench->workload->documents) { /* they stand at all sizes when the run begins */
        size_t steps = bytes / VALUE_STEP_BYTES;
        bytes = (1 + operation->key * steps / bench->keys % steps) * VALUE_STEP_BYTES;
        document_fill(bench->values, &head, bytes, operation->data);
    } else {
        value_fill(bench->values, &head, bytes, operation->data);
    }
    operation->request = request_of(worker, operation, STIGSTORE_SAVE);
    operation->request.data = (stigstore_bytes){operation->data, bytes};
}

static void make_get_many(struct worker *worker, struct task *operation)
{
    unsigned batch = worker->bench->options.batch;
    for (unsigned i = 0; i < batch; i++) {
        uint64_t key = i ? choose_key(worker) : operation->key;
        operation->part_keys[i] = key;
        operation->parts[i] = (stigstore_request){STIGSTORE_REQUEST(GET), .kind = kind_of(worker->bench),
                                                  .id = operation_id(worker->bench, key, operation->part_ids[i])};
    }
    operation->request =
        (stigstore_request){STIGSTORE_REQUEST(GET_MANY), .parts = operation->parts, .part_count = batch};
}

static void make_list(struct worker *worker, struct task *operation)
{
    operation->last_id[0] = '\0';
    operation->request = (stigstore_request){STIGSTORE_REQUEST(LIST), .kind = kind_of(worker->bench)};
    if (operation->action == ACTION_SCAN) {
        operation->request.after = operation_id(worker->bench, operation->key, operation->id);
        operation->request.limit = 1 + (uint32_t)draw_below(&worker->draw, SCAN_MOST);
    }
    operation->streams = operation->action == ACTION_LIST;
}

static void make_audit_save(struct worker *worker, struct task *operation)
{
    make_put(worker, operation);
    operation->request.operation = STIGSTORE_AUDIT_SAVE;
    operation_hash(operation->stamp, operation->hash);
    snprintf(operation->tag, sizeof(operation->tag), "v%u", (unsigned)(operation->stamp % TAGS));
    operation->request.hash = stigstore_text(operation->hash);
    operation->request.tag = stigstore_text(operation->tag);
}

static void make_audit_read(struct worker *worker, struct task *operation)
{
    struct ledger_entry entry = ledger_entry(worker->bench->ledger, operation->key);
    if (!entry.revision) { /* nothing of it to read yet */
        operation->action = ACTION_AUDIT_SAVE;
        make_audit_save(worker, operation);
        return;
    }
    operation->stamp = entry.stamp;
    operation->seen = entry.revision;
    bool by_hash = operation->action == ACTION_AUDIT_BY_HASH;
    operation->request = request_of(worker, operation, by_hash ? STIGSTORE_AUDIT_BY_HASH : STIGSTORE_AUDIT_BY_TAG);
    if (by_hash) {
        operation_hash(entry.stamp, operation->hash);
        operation->request.hash = stigstore_text(operation->hash);
    } else {
        snprintf(operation->tag, sizeof(operation->tag), "v%u", (unsigned)(entry.stamp % TAGS));
        operation->request.tag = stigstore_text(operation->tag);
    }
}

static void make_read(struct worker *worker, struct task *operation)
{
    operation->seen = ledger_revision(worker->bench->ledger, operation->key);
    operation->request = request_of(worker, operation, STIGSTORE_GET);
}

static void make_request(struct worker *worker, struct task *operation)
{
    switch (operation->action) {
    case ACTION_GET:
        /* Raw, a batch is one of messages; a get stays a get. */
        if (worker->bench->options.batch > 1 && worker->bench->options.via != BENCH_RAW) {
            make_get_many(worker, operation);
            return;
        }
        make_read(worker, operation);
        return;
    case ACTION_CHANGE:
        make_read(worker, operation);
        return;
    case ACTION_SCAN:
    case ACTION_LIST:
        make_list(worker, operation);
        return;
    case ACTION_AUDIT_SAVE:
        make_audit_save(worker, operation);
        return;
    case ACTION_AUDIT_BY_HASH:
    case ACTION_AUDIT_BY_TAG:
        make_audit_read(worker, operation);
        return;
    default:
        make_put(worker, operation);
    }
}

void operation_begin(struct worker *worker, struct task *operation, uint64_t number)
{
    bool is_load = worker->phase->mix == &workload_load;
    operation->rows = 0;
    operation->streams = operation->changed = false;
    operation->action = choose_action(worker);
    if (is_load)
        take_key(worker, operation, worker->phase->first_key + number);
    else
        take_key(worker, operation, operation->action == ACTION_INSERT ? claim_new_key(worker) : choose_key(worker));
    make_request(worker, operation);
}

/* ---- answers ---- */

static void wrong(struct worker *worker, const struct task *operation, const char *what)
{
    worker->tally.wrong++;
    worker_complain(worker, "%.*s: %s", (int)operation->request.id.size, (const char *)operation->request.id.data,
                    what);
}

static bool is_content(const struct bench *bench, stigstore_bytes data, struct value_head *head)
{
    return bench->workload->documents ? document_check(bench->values, data, false, head)
                                      : value_check(bench->values, data, false, head);
}

/* A read that began after a mutation was acknowledged sees that one, or a later one. */
static void judge_row(struct worker *worker, struct task *operation, const stigstore_item *item, uint64_t key,
                      uint64_t seen)
{
    struct value_head head;
    if (!is_content(worker->bench, item->data, &head) || head.key != key)
        wrong(worker, operation, "the value is not one that was put there");
    else if (item->revision < seen)
        wrong(worker, operation, "an older value than the one acknowledged before");
}

/* The second half of a CHANGE: what was read, changed, on condition that it still is what was read. */
static void make_change(struct worker *worker, struct task *operation, const stigstore_item *current)
{
    const struct bench *bench = worker->bench;
    struct value_head head = {0};
    judge_row(worker, operation, current, operation->key, operation->seen);
    is_content(bench, current->data, &head);
    head = (struct value_head){operation->key, operation->stamp = ++worker->stamp, head.count + 1};
    size_t bytes = bench->options.value_bytes;
    if (!bench->workload->documents) {
        value_fill(bench->values, &head, bytes, operation->data);
    } else if (current->data.size + VALUE_STEP_BYTES <= bytes) {
        bytes = document_grow(bench->values, &head, current->data, operation->data);
    } else { /* the execution is over, and the next one begins in its place */
        bytes = VALUE_STEP_BYTES;
        document_fill(bench->values, &head, bytes, operation->data);
    }
    operation->changed = true;
    operation->request = request_of(worker, operation, STIGSTORE_SAVE);
    operation->request.condition = STIGSTORE_IF_REVISION;
    operation->request.if_revision = current->revision;
    operation->request.data = (stigstore_bytes){operation->data, bytes};
}

static void judge_listed(struct worker *worker, struct task *operation, const stigstore_item *item)
{
    struct value_head head;
    size_t size = strlen(operation->last_id);
    size_t common = item->id.size < size ? item->id.size : size;
    int order = memcmp(item->id.data, operation->last_id, common);
    if (!is_content(worker->bench, item->data, &head) || order < 0 || (order == 0 && item->id.size <= size))
        wrong(worker, operation, "a list came with rows that are not ours or out of order");
    if (item->id.size < VALUE_ID_BYTES) {
        memcpy(operation->last_id, item->id.data, item->id.size);
        operation->last_id[item->id.size] = '\0';
    }
}

static void judge_version(struct worker *worker, struct task *operation, const stigstore_item *item)
{
    bool by_hash = operation->action == ACTION_AUDIT_BY_HASH;
    stigstore_bytes asked = by_hash ? operation->request.hash : operation->request.tag;
    stigstore_bytes got = by_hash ? item->hash : item->tag;
    if (!asked.data || got.size != asked.size || memcmp(got.data, asked.data, got.size) != 0)
        wrong(worker, operation, "another version than the one asked for");
    judge_row(worker, operation, item, operation->key, operation->seen);
}

void operation_items(struct worker *worker, struct task *operation, const stigstore_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t at = operation->rows++;
        switch (operation->action) {
        case ACTION_CHANGE:
            make_change(worker, operation, &items[i]);
            break;
        case ACTION_SCAN:
        case ACTION_LIST:
            judge_listed(worker, operation, &items[i]);
            break;
        case ACTION_AUDIT_BY_HASH:
        case ACTION_AUDIT_BY_TAG:
            judge_version(worker, operation, &items[i]);
            break;
        case ACTION_GET:
            if (operation->request.part_count && items[i].status == STIGSTORE_OK)
                judge_row(worker, operation, &items[i], operation->part_keys[at % worker->bench->options.batch], 0);
            else if (!operation->request.part_count)
                judge_row(worker, operation, &items[i], operation->key, operation->seen);
            break;
        default:
            break;
        }
    }
}

static bool is_mutation(const struct task *operation)
{
    return operation->request.operation == STIGSTORE_SAVE || operation->request.operation == STIGSTORE_AUDIT_SAVE;
}

static void book_failure(struct worker *worker, struct task *operation, const struct outcome *outcome)
{
    if (outcome->status == STIGSTORE_NOT_FOUND && !is_mutation(operation)) {
        if (operation->seen)
            wrong(worker, operation, "it is not there, though it was acknowledged");
        return;
    }
    bool open = is_mutation(operation) && !(outcome->flags & STIGSTORE_NOT_APPLIED) &&
                stigstore_status_applied(outcome->status) == STIGSTORE_APPLIED_MAYBE;
    if (open)
        ledger_doubt(worker->bench->ledger, operation->key);
    worker->tally.failed++;
    worker_complain(worker, "%s: %s", stigstore_status_name(outcome->status),
                    outcome->message && *outcome->message ? outcome->message : stigstore_status_text(outcome->status));
}

bool operation_end(struct worker *worker, struct task *operation, const struct outcome *outcome)
{
    if (outcome->status == STIGSTORE_CONFLICT && operation->action == ACTION_CHANGE) {
        worker->tally.conflicts++;
        make_read(worker, operation);
        return false;
    }
    if (outcome->status != STIGSTORE_OK) {
        book_failure(worker, operation, outcome);
        return true;
    }
    if (operation->changed) { /* that was the read; what to save stands in the request */
        operation->changed = false;
        return false;
    }
    if (is_mutation(operation) && !outcome->revision)
        wrong(worker, operation, "a mutation that took no revision");
    if (is_mutation(operation)) {
        ledger_acknowledge(worker->bench->ledger, operation->key, outcome->revision, operation->stamp);
        worker->tally.acknowledged++;
    }
    if (operation->action == ACTION_LIST && operation->rows != worker->bench->keys)
        wrong(worker, operation, "a list with another number of rows than there are");
    worker->tally.rows += operation->rows;
    return true;
}
