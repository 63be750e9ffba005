/*
 * seeds.c - writes the binary seeds of the fuzz targets into a folder: TARGET/NAME, made by our own encoders.
 */
#include "cli/transfer.h"
#include "proto/body.h"
#include "proto/clock.h"
#include "proto/envelope.h"
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

static const char *folder;

static FILE *create(const char *target, const char *name)
{
    char path[4096];
    mkdir(folder, 0755);
    snprintf(path, sizeof path, "%s/%s", folder, target);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    FILE *out = fopen(path, "we");
    REQUIRE(out);
    return out;
}

static void finish(FILE *out)
{
    REQUIRE(fclose(out) == 0);
}

static void put(FILE *out, const void *bytes, size_t size)
{
    REQUIRE(fwrite(bytes, 1, size, out) == size);
}

/* ---- envelope ---- */

static void envelope(const char *name, uint8_t type, struct span body)
{
    struct envelope envelope = envelope_make(type, 1000 * NS_PER_S);
    uint8_t encoded[ENVELOPE_BYTES];
    envelope.first = 7;
    envelope.count = 1;
    envelope.flags = ENVELOPE_STREAM;
    envelope_encode(&envelope, encoded);
    FILE *out = create("envelope", name);
    put(out, encoded, sizeof encoded);
    put(out, body.data, body.size);
    finish(out);
}

static void envelopes(struct arena *arena)
{
    struct hello hello = {.life = 5, .writer_epoch = 2, .path = span_text("/a/b.sqlite")};
    struct worker_state state = {.role = ROLE_WRITER, .life = 3, .path = span_text("/a"), .status = span_text("{}")};
    struct control control = {.verb = CONTROL_BACKUP, .argument = span_text("/copy")};
    envelope("hello", MESSAGE_HELLO, hello_encode(&hello, arena));
    envelope("ready", MESSAGE_READY, worker_state_encode(&state, arena));
    envelope("control", MESSAGE_CONTROL, control_encode(&control, arena));
    envelope("read", MESSAGE_READ, span_text("body"));
    envelope("credit", MESSAGE_CREDIT, span_text(""));
}

/* ---- batches ---- */

static struct request save(const char *id)
{
    return (struct request){.operation = OPERATION_SAVE,
                            .condition = CONDITION_IF_REVISION,
                            .if_revision = 300,
                            .kind = span_text("skill"),
                            .id = span_text(id),
                            .data = span_text("some data"),
                            .idempotency_key = span_text("key"),
                            .deadline_ns = clock_boot_ns() + NS_PER_S};
}

static void requests(const char *name, bool session, const struct request *requests, size_t count)
{
    const struct session_header header = {.id = "0123456789abcde", .counter = 4, .floor = 9};
    const struct session_header *of = session ? &header : NULL;
    size_t size = body_requests_size(of, requests, count, clock_boot_ns());
    uint8_t *bytes = malloc(size + 1);
    REQUIRE(bytes);
    bytes[0] = 0;
    body_encode_requests(of, requests, count, clock_boot_ns(), bytes + 1);
    FILE *out = create("batch", name);
    put(out, bytes, size + 1);
    finish(out);
    free(bytes);
}

static void replies(void)
{
    const struct item items[] = {
        {.kind = span_text("skill"), .id = span_text("a"), .data = span_text("x"), .revision = 4},
        {.kind = span_text("skill"), .id = span_text("b"), .status = STATUS_NOT_FOUND}};
    const struct reply all[] = {{.status = STATUS_OK, .revision = 300, .items = items, .item_count = 2},
                                {.status = -1, .message = span_text("no"), .retry_after_ms = 20}};
    size_t size = body_replies_size(all, 2);
    uint8_t *bytes = malloc(size + 1);
    REQUIRE(bytes);
    bytes[0] = 1;
    body_encode_replies(all, 2, bytes + 1);
    FILE *out = create("batch", "replies");
    put(out, bytes, size + 1);
    finish(out);
    free(bytes);
}

static void batches(void)
{
    const struct request parts[] = {save("a"), save("b")};
    const struct request get = {.operation = OPERATION_GET, .kind = span_text("skill"), .id = span_text("a")},
                         list = {.operation = OPERATION_LIST, .kind = span_text("skill"), .after = span_text("a")};
    const struct request writes[] = {{.operation = OPERATION_TRANSACT, .parts = parts, .part_count = 2}, parts[0]},
                         reads[] = {get, list};
    requests("writes", true, writes, 2);
    requests("reads", false, reads, 2);
    replies();
}

/* ---- import ---- */

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void write_header(FILE *out)
{
    Stigstore__Transfer__V1__Header header = STIGSTORE__TRANSFER__V1__HEADER__INIT;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    header.format = (char *)(uintptr_t)TRANSFER_FORMAT;
    header.version = TRANSFER_VERSION;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_HEADER;
    record.header = &header;
    REQUIRE(transfer_write(out, &record));
}

static void write_resource(FILE *out, const char *id)
{
    Stigstore__Transfer__V1__Resource resource = STIGSTORE__TRANSFER__V1__RESOURCE__INIT;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    resource.kind = binary("skill");
    resource.id = binary(id);
    resource.data = binary("data");
    resource.created_ms = resource.updated_ms = 1000;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_RESOURCE;
    record.resource = &resource;
    REQUIRE(transfer_write(out, &record));
}

static void write_version(FILE *out, const char *id)
{
    Stigstore__Transfer__V1__Version version = STIGSTORE__TRANSFER__V1__VERSION__INIT;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    version.kind = binary("skill");
    version.resource_id = binary(id);
    version.data = binary("old");
    version.hash = binary("aa");
    version.archived_ms = 900;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_VERSION;
    record.version = &version;
    REQUIRE(transfer_write(out, &record));
}

static void write_end(FILE *out, uint64_t resources, uint64_t versions)
{
    Stigstore__Transfer__V1__End end = STIGSTORE__TRANSFER__V1__END__INIT;
    transfer_record record = STIGSTORE__TRANSFER__V1__RECORD__INIT;
    end.resources = resources;
    end.versions = versions;
    record.record_case = STIGSTORE__TRANSFER__V1__RECORD__RECORD_END;
    record.end = &end;
    REQUIRE(transfer_write(out, &record));
}

static void imports(void)
{
    FILE *out = create("import", "whole");
    put(out, "", 1);
    write_header(out);
    write_resource(out, "a");
    write_resource(out, "b");
    write_version(out, "a");
    write_version(out, "a");
    write_end(out, 2, 2);
    finish(out);
}

/* ---- broker: a reader comes, a client asks, answers come back, time passes ---- */

static void brokers(void)
{
    static const uint8_t reads[] = {0x11, 2, 0xc1, 5, 0, 0,  0,  20, 15, 0x80, 1,   0, 0, 16, 16, 6,
                                    0,    0, 4,    6, 0, 40, 15, 1,  1,  0,    0x7, 4, 3, 0,  4,  0x14};
    uint8_t mixed[400];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof mixed; i++) {
        random = random * 1103515245 + 12345;
        mixed[i] = (uint8_t)(random >> 16);
    }
    FILE *out = create("broker", "reads");
    put(out, reads, sizeof reads);
    finish(out);
    out = create("broker", "mixed");
    put(out, mixed, sizeof mixed);
    finish(out);
}

int main(int argc, char **argv)
{
    REQUIRE(argc == 2);
    folder = argv[1];
    struct arena *arena = arena_new(0);
    REQUIRE(arena);
    envelopes(arena);
    batches();
    imports();
    brokers();
    arena_free(&arena);
    return 0;
}
