/*
 * request.c - what each operation is, and the judgement of a request against every rule of the API.
 *
 * One table says which fields an operation takes and needs; what it does not take must be empty.
 */
#include "proto/request.h"
#include "proto/limits.h"

enum field {
    FIELD_KIND = 1u << 0,
    FIELD_ID = 1u << 1,
    FIELD_PREFIX = 1u << 2, /* the id, as any bytes */
    FIELD_DATA = 1u << 3,
    FIELD_HASH = 1u << 4,
    FIELD_TAG = 1u << 5,
    FIELD_AFTER = 1u << 6,
    FIELD_LIMIT = 1u << 7,
    FIELD_KEY = 1u << 8, /* with fingerprint and retention */
    FIELD_TIMES = 1u << 9,
    FIELD_CONDITION = 1u << 10,
    FIELD_PARTS = 1u << 11,
};

enum trait {
    TRAIT_WRITE = 1u << 0,
    TRAIT_RANGED = 1u << 1,
    TRAIT_LIST = 1u << 2,
    TRAIT_PART_ONLY = 1u << 3,
    TRAIT_PART_OF_TRANSACT = 1u << 4,
    TRAIT_PART_OF_GET_MANY = 1u << 5,
    TRAIT_WIRE = 1u << 6,
};

struct rule {
    const char *name;
    uint32_t takes; /* fields that may be there */
    uint32_t needs; /* fields that must not be empty */
    uint32_t flags; /* beside NO_WAIT */
    uint32_t traits;
};

#define RESOURCE (FIELD_KIND | FIELD_ID)

static const struct rule rules[] = {
    [OPERATION_GET] = {"GET", RESOURCE, RESOURCE, 0, TRAIT_PART_OF_GET_MANY},
    [OPERATION_STAT] = {"STAT", RESOURCE, RESOURCE, 0, 0},
    [OPERATION_GET_MANY] = {"GET_MANY", FIELD_PARTS, FIELD_PARTS, 0, 0},
    [OPERATION_LIST] = {"LIST", FIELD_KIND | FIELD_PREFIX | FIELD_AFTER | FIELD_LIMIT, FIELD_KIND, REQUEST_KEYS_ONLY,
                        TRAIT_LIST},
    [OPERATION_COUNT] = {"COUNT", FIELD_KIND | FIELD_PREFIX, FIELD_KIND, 0, 0},
    [OPERATION_KINDS] = {"KINDS", 0, 0, 0, TRAIT_LIST},
    [OPERATION_AUDIT_SCAN] = {"AUDIT_SCAN", FIELD_KIND, FIELD_KIND, 0, TRAIT_LIST},
    [OPERATION_SAVE] = {"SAVE", RESOURCE | FIELD_DATA | FIELD_KEY | FIELD_TIMES | FIELD_CONDITION, RESOURCE,
                        REQUEST_OF_UPDATE, TRAIT_WRITE | TRAIT_PART_OF_TRANSACT},
    [OPERATION_DELETE] = {"DELETE", RESOURCE | FIELD_KEY | FIELD_CONDITION, RESOURCE, REQUEST_OF_UPDATE,
                          TRAIT_WRITE | TRAIT_PART_OF_TRANSACT},
    [OPERATION_DELETE_PREFIX] = {"DELETE_PREFIX", FIELD_KIND | FIELD_PREFIX | FIELD_KEY, FIELD_KIND,
                                 REQUEST_ALL_OR_NOTHING, TRAIT_WRITE | TRAIT_RANGED},
    [OPERATION_DELETE_KIND] = {"DELETE_KIND", FIELD_KIND | FIELD_KEY, FIELD_KIND, REQUEST_ALL_OR_NOTHING,
                               TRAIT_WRITE | TRAIT_RANGED},
    [OPERATION_TRANSACT] = {"TRANSACT", FIELD_PARTS | FIELD_KEY, FIELD_PARTS, 0, TRAIT_WRITE},
    [OPERATION_CHECK] = {"CHECK", RESOURCE | FIELD_CONDITION, RESOURCE | FIELD_CONDITION, 0,
                         TRAIT_WRITE | TRAIT_PART_ONLY | TRAIT_PART_OF_TRANSACT},
    [OPERATION_AUDIT_SAVE] = {"AUDIT_SAVE", RESOURCE | FIELD_DATA | FIELD_HASH | FIELD_TAG | FIELD_KEY | FIELD_TIMES,
                              RESOURCE, REQUEST_REQUIRE_RESOURCE, TRAIT_WRITE | TRAIT_PART_OF_TRANSACT},
    [OPERATION_AUDIT_BY_HASH] = {"AUDIT_BY_HASH", RESOURCE | FIELD_HASH, RESOURCE, 0, 0},
    [OPERATION_AUDIT_BY_TAG] = {"AUDIT_BY_TAG", RESOURCE | FIELD_TAG, RESOURCE, 0, 0},
    [OPERATION_AUDIT_HISTORY] = {"AUDIT_HISTORY", RESOURCE | FIELD_LIMIT, RESOURCE, REQUEST_KEYS_ONLY, TRAIT_LIST},
    [OPERATION_AUDIT_DELETE] = {"AUDIT_DELETE", RESOURCE | FIELD_KEY, RESOURCE, 0,
                                TRAIT_WRITE | TRAIT_PART_OF_TRANSACT},
    [OPERATION_KEY_LOOKUP] = {"KEY_LOOKUP", RESOURCE | FIELD_KEY, FIELD_KEY, REQUEST_OF_UPDATE, TRAIT_WRITE},
    [OPERATION_SKIP] = {"SKIP", 0, 0, 0, TRAIT_WRITE | TRAIT_WIRE},
    [OPERATION_CLOSE_SESSION] = {"CLOSE_SESSION", 0, 0, 0, TRAIT_WRITE | TRAIT_WIRE},
};

static const struct rule *find_rule(uint32_t operation)
{
    static const struct rule nothing = {.name = NULL};

    return operation < sizeof rules / sizeof *rules ? &rules[operation] : &nothing;
}

bool operation_is_write(uint32_t operation)
{
    return find_rule(operation)->traits & TRAIT_WRITE;
}

bool operation_is_wire(uint32_t operation)
{
    return find_rule(operation)->traits & TRAIT_WIRE;
}

bool operation_is_ranged_delete(uint32_t operation)
{
    return find_rule(operation)->traits & TRAIT_RANGED;
}

bool operation_is_list(uint32_t operation)
{
    return find_rule(operation)->traits & TRAIT_LIST;
}

const char *operation_name(uint32_t operation)
{
    const char *name = find_rule(operation)->name;
    return name ? name : "UNKNOWN";
}

static size_t add(size_t sum, size_t more)
{
    return more <= SIZE_MAX - sum ? sum + more : SIZE_MAX;
}

static size_t own_bytes(const struct request *request)
{
    size_t sum = add(request->kind.size, request->id.size);

    sum = add(add(sum, request->data.size), request->hash.size);
    sum = add(add(sum, request->tag.size), request->after.size);
    return add(add(sum, request->idempotency_key.size), request->idempotency_fingerprint.size);
}

size_t request_bytes(const struct request *request)
{
    size_t sum = own_bytes(request);

    for (size_t i = 0; i < request->part_count; i++)
        sum = add(sum, own_bytes(&request->parts[i]));
    return sum;
}

size_t request_message_bytes(size_t max_data_bytes)
{
    size_t with_data = (max_data_bytes ? max_data_bytes : LIMIT_DATA_BYTES) + MIB;
    return with_data > LIMIT_MESSAGE_BYTES ? with_data : LIMIT_MESSAGE_BYTES;
}

/* ---- text ---- */

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* Length of the well-formed sequence of two to four bytes at `at` (Unicode 15, table 3-7); 0: there is none. */
static size_t multibyte_length(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];

    if (lead >= 0xC2 && lead <= 0xDF)
        return left >= 2 && is_continuation(at[1]) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2]))
            return 0;
        return (lead == 0xE0 && at[1] < 0xA0) || (lead == 0xED && at[1] > 0x9F) ? 0 : 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        if (left < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3]))
            return 0;
        return (lead == 0xF0 && at[1] < 0x90) || (lead == 0xF4 && at[1] > 0x8F) ? 0 : 4;
    }
    return 0;
}

/* How many bytes from the start are, eight by eight, U+0020 to U+007E. */
static size_t plain_length(const uint8_t *bytes, size_t size)
{
    const uint64_t ones = 0x0101010101010101, tops = ones << 7;
    size_t at = 0;

    for (uint64_t word; at + sizeof word <= size; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        /* A top bit for each byte that is above 0x7F, below 0x20, or 0x7F; no sum goes beyond its byte. */
        uint64_t low = ~((word & ~tops) + ones * 0x60), del = (word & ~tops) + ones;
        if ((word | low | del) & tops)
            break;
    }
    return at;
}

/* Well-formed UTF-8 without U+0000..U+001F and U+007F. */
bool request_text_is_valid(struct span text)
{
    const uint8_t *bytes = text.data;
    size_t length;

    for (size_t at = plain_length(bytes, text.size); at < text.size; at += length) {
        length = 1;
        if (bytes[at] < 0x20 || bytes[at] == 0x7F)
            return false;
        if (bytes[at] >= 0x80)
            length = multibyte_length(bytes + at, text.size - at);
        if (length == 0)
            return false;
    }
    return true;
}

/* ---- judgement ---- */

static int refuse(const char **why, const char *text)
{
    *why = text;
    return STATUS_INVALID_ARGUMENT;
}

static int check_unused(const struct request *request, uint32_t takes, const char **why)
{
    if (request->kind.size && !(takes & FIELD_KIND))
        return refuse(why, "this operation takes no kind");
    if (request->id.size && !(takes & (FIELD_ID | FIELD_PREFIX)))
        return refuse(why, "this operation takes no id");
    if (request->data.size && !(takes & FIELD_DATA))
        return refuse(why, "this operation takes no data");
    if (request->hash.size && !(takes & FIELD_HASH))
        return refuse(why, "this operation takes no hash");
    if (request->tag.size && !(takes & FIELD_TAG))
        return refuse(why, "this operation takes no tag");
    if (request->after.size && !(takes & FIELD_AFTER))
        return refuse(why, "this operation takes no `after`");
    if (request->limit && !(takes & FIELD_LIMIT))
        return refuse(why, "this operation takes no limit");
    if ((request->created_ms || request->updated_ms) && !(takes & FIELD_TIMES))
        return refuse(why, "this operation takes no times");
    if ((request->condition || request->if_revision) && !(takes & FIELD_CONDITION))
        return refuse(why, "this operation takes no condition");
    if (request->part_count && !(takes & FIELD_PARTS))
        return refuse(why, "this operation takes no parts");
    return STATUS_OK;
}

static bool is_borrowed(struct span bytes)
{
    return bytes.data || bytes.size == 0;
}

static int check_pointers(const struct request *request, const char **why)
{
    bool fine = is_borrowed(request->kind) && is_borrowed(request->id) && is_borrowed(request->data) &&
                is_borrowed(request->hash) && is_borrowed(request->tag) && is_borrowed(request->after) &&
                is_borrowed(request->idempotency_key) && is_borrowed(request->idempotency_fingerprint) &&
                (request->parts || request->part_count == 0);
    return fine ? STATUS_OK : refuse(why, "a field has a size but no bytes");
}

static int check_names(const struct request *request, const struct rule *rule, const char **why)
{
    bool is_prefix = rule->takes & FIELD_PREFIX;

    if (request->kind.size == 0 && (rule->needs & FIELD_KIND))
        return refuse(why, "the kind is empty");
    if (request->kind.size > LIMIT_KIND_BYTES)
        return refuse(why, "the kind is longer than 128 bytes");
    if (!request_text_is_valid(request->kind))
        return refuse(why, "the kind is not UTF-8 without control characters");
    if (request->id.size == 0 && (rule->needs & FIELD_ID))
        return refuse(why, "the id is empty");
    if (request->id.size > LIMIT_ID_BYTES)
        return refuse(why, is_prefix ? "the prefix is longer than 1024 bytes" : "the id is longer than 1024 bytes");
    if (!is_prefix && !request_text_is_valid(request->id))
        return refuse(why, "the id is not UTF-8 without control characters");
    if (request->after.size > LIMIT_ID_BYTES)
        return refuse(why, "`after` is longer than 1024 bytes");
    return STATUS_OK;
}

static int check_labels(const struct request *request, const char **why)
{
    if (request->hash.size > LIMIT_HASH_BYTES)
        return refuse(why, "the hash is longer than 128 bytes");
    if (!request_text_is_valid(request->hash))
        return refuse(why, "the hash is not UTF-8 without control characters");
    if (request->tag.size > LIMIT_TAG_BYTES)
        return refuse(why, "the tag is longer than 256 bytes");
    if (!request_text_is_valid(request->tag))
        return refuse(why, "the tag is not UTF-8 without control characters");
    return STATUS_OK;
}

static int check_condition(const struct request *request, const struct rule *rule, const char **why)
{
    if (request->condition > CONDITION_IF_REVISION)
        return refuse(why, "unknown condition");
    if (request->condition == CONDITION_ALWAYS && (rule->needs & FIELD_CONDITION))
        return refuse(why, "a CHECK needs a condition");
    if (request->condition == CONDITION_IF_REVISION && request->if_revision == 0)
        return refuse(why, "IF_REVISION needs a revision; they begin at 1");
    if (request->condition != CONDITION_IF_REVISION && request->if_revision != 0)
        return refuse(why, "a revision without IF_REVISION");
    return STATUS_OK;
}

static int check_key(const struct request *request, const struct rule *rule, const char **why)
{
    if (request->idempotency_key.size && !(rule->takes & FIELD_KEY))
        return refuse(why, "this operation takes no idempotency key");
    if (request->idempotency_key.size > LIMIT_KEY_BYTES)
        return refuse(why, "the idempotency key is longer than 256 bytes");
    if (request->idempotency_key.size == 0 && (rule->needs & FIELD_KEY))
        return refuse(why, "the idempotency key is empty");
    if (request->idempotency_key.size == 0 &&
        (request->idempotency_fingerprint.size || request->idempotency_retention_s))
        return refuse(why, "a fingerprint or retention without an idempotency key");
    if (request->idempotency_fingerprint.size > LIMIT_FINGERPRINT_BYTES)
        return refuse(why, "the idempotency fingerprint is longer than 256 bytes");
    if (request->idempotency_retention_s > LIMIT_IDEMPOTENCY_RETENTION_MOST_S)
        return refuse(why, "the idempotency key is to be kept for more than 3660 days");
    return STATUS_OK;
}

static int check_times(const struct request *request, const char **why)
{
    if (request->created_ms < 0 || request->updated_ms < 0)
        return refuse(why, "a time is negative");
    if (request->created_ms > LIMIT_TIME_MS || request->updated_ms > LIMIT_TIME_MS)
        return refuse(why, "a time is after the year 9999");
    return STATUS_OK;
}

static int check_one(const struct request *request, const struct rule *rule, size_t max_data_bytes, const char **why)
{
    int status = check_pointers(request, why);

    if (status == STATUS_OK)
        status = check_unused(request, rule->takes, why);
    if (status == STATUS_OK)
        status = check_names(request, rule, why);
    if (status == STATUS_OK)
        status = check_labels(request, why);
    if (status == STATUS_OK)
        status = check_condition(request, rule, why);
    if (status == STATUS_OK)
        status = check_key(request, rule, why);
    if (status == STATUS_OK)
        status = check_times(request, why);
    if (status == STATUS_OK && (request->flags & ~(rule->flags | REQUEST_NO_WAIT)))
        status = refuse(why, "a flag that this operation does not have");
    if (status == STATUS_OK && request->data.size > max_data_bytes) {
        *why = "the data is over its limit";
        status = STATUS_TOO_LARGE;
    }
    return status;
}

static int check_part(const struct request *part, uint32_t trait, size_t max_data_bytes, const char **why)
{
    const struct rule *rule = find_rule(part->operation);

    if (!rule->name || !(rule->traits & trait))
        return refuse(why, trait == TRAIT_PART_OF_GET_MANY
                               ? "the parts of a GET_MANY are GETs"
                               : "the parts of a TRANSACT are SAVE, DELETE, CHECK, AUDIT_SAVE and AUDIT_DELETE");
    if (part->idempotency_key.size)
        return refuse(why, "the idempotency key belongs to the TRANSACT, not to its parts");
    if (part->flags & ~(uint32_t)REQUEST_REQUIRE_RESOURCE)
        return refuse(why, "a flag that parts do not have");
    return check_one(part, rule, max_data_bytes, why);
}

/* A message must hold the whole request, with the little that each of its parts costs on the wire. */
static int check_size(const struct request *request, size_t max_data_bytes, const char **why)
{
    enum { PART_OVERHEAD_BYTES = 128 };
    size_t overhead = (request->part_count + 1) * PART_OVERHEAD_BYTES;

    if (add(request_bytes(request), overhead) <= request_message_bytes(max_data_bytes))
        return STATUS_OK;
    *why = "the request does not fit in one message";
    return STATUS_TOO_LARGE;
}

static int check_parts(const struct request *request, const struct rule *rule, size_t max_data_bytes, const char **why)
{
    uint32_t trait = request->operation == OPERATION_GET_MANY ? TRAIT_PART_OF_GET_MANY : TRAIT_PART_OF_TRANSACT;

    if (!(rule->takes & FIELD_PARTS))
        return STATUS_OK;
    if (request->part_count == 0)
        return refuse(why, "there are no parts");
    if (request->part_count > LIMIT_PARTS)
        return refuse(why, "there are more than 1024 parts");
    for (size_t i = 0; i < request->part_count; i++) {
        int status = check_part(&request->parts[i], trait, max_data_bytes, why);
        if (status != STATUS_OK)
            return status;
    }
    return check_size(request, max_data_bytes, why);
}

int request_check(const struct request *request, size_t max_data_bytes, const char **why)
{
    const struct rule *rule = find_rule(request->operation);
    const char *ignored;
    int status;

    if (!why)
        why = &ignored;
    *why = "";
    if (max_data_bytes == 0)
        max_data_bytes = LIMIT_DATA_BYTES;
    if (!rule->name)
        return refuse(why, "unknown operation");
    if (rule->traits & TRAIT_PART_ONLY)
        return refuse(why, "a CHECK stands only inside a TRANSACT");
    status = check_one(request, rule, max_data_bytes, why);
    return status == STATUS_OK ? check_parts(request, rule, max_data_bytes, why) : status;
}
