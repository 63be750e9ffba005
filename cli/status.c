/*
 * status.c - `stigstore status`: what the service says of itself, its health files, and who holds a snapshot.
 */
#include "actor/health.h"
#include "cli/cli.h"
#include "cli/holders.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The handle's own report, with the health files of its service's actors and the snapshots' holders beside it. */
static json_t *gather(stigstore *store, bool *fresh)
{
    char *text = NULL;
    *fresh = true;
    if (stigstore_status_json(store, &text) != STIGSTORE_OK)
        return NULL;
    json_t *object = json_loads(text, 0, NULL);
    stigstore_memory_free(text);
    const char *path = json_string_value(json_object_get(object, "path"));
    if (path && *path)
        json_object_set_new(object, "snapshot_holders", holders_of(path));
    const char *endpoint = json_string_value(json_object_get(object, "endpoint"));
    if (endpoint && strncmp(endpoint, "ipc://", 6) == 0) {
        char *collected = health_collect(endpoint, fresh);
        json_object_set_new(object, "health", collected ? json_loads(collected, 0, NULL) : json_null());
        free(collected);
    }
    return object;
}

/* ---- for people ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static json_t *worker_status(const json_t *service, const char *role)
{
    size_t index = 0;
    json_t *worker = NULL;
    json_array_foreach(json_object_get(service, "workers"), index, worker)
    {
        if (strcmp(text_of(worker, "role"), role) == 0)
            return json_object_get(worker, "status");
    }
    return NULL;
}

static void print_actors(const json_t *health)
{
    size_t index = 0;
    json_t *actor = NULL;
    json_array_foreach(json_object_get(health, "actors"), index, actor)
    {
        printf("%-11s pid %-8" JSON_INTEGER_FORMAT " %-9s", text_of(actor, "actor"), number_of(actor, "pid"),
               text_of(actor, "state"));
        if (json_object_get(actor, "latency_p50_us")) {
            printf(" p50 %.0f us, p99 %.0f us", json_number_value(json_object_get(actor, "latency_p50_us")),
                   json_number_value(json_object_get(actor, "latency_p99_us")));
        }
        putchar('\n');
    }
}

/* "name value, name value" of the members that are not zero. */
static void print_members(const char *title, const json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    bool any = false;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (json_number_value(value) != 0) {
            printf("%s %s %.10g", any ? "," : title, name, json_number_value(value));
            any = true;
        }
    }
    if (any)
        putchar('\n');
}

static void print_holders(const json_t *holders)
{
    size_t index = 0;
    json_t *holder = NULL;
    json_array_foreach(holders, index, holder)
    {
        printf("snapshot    held by pid %" JSON_INTEGER_FORMAT " (%s)\n", number_of(holder, "pid"),
               text_of(holder, "program"));
    }
}

static void print_report(const json_t *report)
{
    json_t *service = json_object_get(report, "service");
    if (json_is_null(service))
        service = NULL;
    json_t *broker = json_object_get(service, "broker");
    json_t *writer = service ? worker_status(service, "writer") : json_object_get(report, "store");
    printf("store       %s\n", text_of(report, "path"));
    if (!service) {
        print_holders(json_object_get(report, "snapshot_holders"));
        return;
    }
    printf("endpoint    %s\n", text_of(report, "endpoint"));
    print_actors(json_object_get(report, "health"));
    printf("revision    %" JSON_INTEGER_FORMAT ", epoch %" JSON_INTEGER_FORMAT "\n", number_of(writer, "revision"),
           number_of(writer, "epoch"));
    printf("file        %" JSON_INTEGER_FORMAT " bytes, WAL %" JSON_INTEGER_FORMAT " bytes\n",
           number_of(writer, "database_bytes"), number_of(writer, "wal_bytes"));
    print_members("load       ", json_object_get(broker, "load"));
    print_members("latency    ", json_object_get(broker, "latency"));
    print_members("counters   ", json_object_get(broker, "counters"));
    print_holders(json_object_get(report, "snapshot_holders"));
    if (*text_of(writer, "sqlite_warning"))
        printf("warning     %s\n", text_of(writer, "sqlite_warning"));
}

int cli_status(int argc, char **argv)
{
    static const struct argp argp = {
        .doc =
            "Shows actors and pids, revision, queue depths, counters, WAL size, latencies, and who holds a snapshot; "
            "--json shows everything there is. Exits 0 only if the health files are fresh and the service answers, "
            "else 4."};
    cli_parse(&argp, argc, argv, NULL);
    stigstore *store = NULL;
    int code = cli_try_open(CLI_READS, 0, &store);
    if (code != CLI_OK)
        return code == CLI_USAGE ? CLI_USAGE : CLI_LATER;
    bool fresh = false;
    json_t *report = gather(store, &fresh);
    stigstore_free(&store);
    if (!report) {
        cli_error("UNAVAILABLE: the service does not answer; try again later");
        return CLI_LATER;
    }
    bool answers = json_is_object(json_object_get(report, "service"));
    if (cli_common.json) {
        json_dumpf(report, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        print_report(report);
    }
    json_decref(report);
    if (!answers)
        cli_error("UNAVAILABLE: no service answers for this store; `stigstore serve` starts one");
    else if (!fresh)
        cli_error("UNAVAILABLE: an actor's health file is missing or older than %d s", HEALTH_STALE_MS / 1000);
    return cli_finish(answers && fresh ? CLI_OK : CLI_LATER);
}
