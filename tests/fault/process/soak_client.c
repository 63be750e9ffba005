/*
 * soak_client.c - fault_soak_client: every kind of call, over and over, on data that stays as large as it is.
 *
 *     fault_soak_client URL NAME SEED [memory|descriptors]
 *
 * Ends on SIGTERM, with 0 when every call had its answer and its counter is what was acknowledged. The last word makes it
 * leak, which the soak must notice.
 */
#include "stigstore.h"
#include "tests/fault/dice.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 300, DATA_MOST = 12000, DEADLINE_MS = 60000, BURST = 24, LEAK_BYTES = 64 * 1024 };

static volatile sig_atomic_t asked_to_end;

struct soak_client {
    stigstore *store;
    stigstore_queue *queue;
    stigstore_result *result;
    struct dice dice;
    const char *name, *leak;
    uint64_t counted, calls, leaked;
    bool is_good;
    char data[DATA_MOST];
};

static void ask_to_end(int signal_number)
{
    (void)signal_number;
    asked_to_end = 1;
}

static bool expect(struct soak_client *client, int status, int other, const char *what)
{
    client->calls++;
    if (status == STIGSTORE_OK || status == other)
        return true;
    fprintf(stderr, "soak client %s: %s: %s\n", client->name, what, stigstore_status_name(status));
    client->is_good = false;
    return false;
}

static stigstore_bytes draw_id(struct soak_client *client, char out[32])
{
    snprintf(out, 32, "%03u", dice_roll(&client->dice, IDS));
    return stigstore_text(out);
}

static stigstore_bytes draw_data(struct soak_client *client)
{
    uint32_t most = dice_roll(&client->dice, 10) ? 1500 : DATA_MOST;
    return (stigstore_bytes){client->data, dice_roll(&client->dice, most)};
}

/* ---- calls ---- */

static void save_and_get(struct soak_client *client)
{
    char id[32];
    stigstore_bytes kind = stigstore_text(client->name), at = draw_id(client, id);
    expect(client, stigstore_save_resource(client->store, kind, at, draw_data(client), &client->result), 0, "save");
    expect(client, stigstore_get_resource(client->store, kind, at, &client->result), 0, "get");
    expect(client, stigstore_get_resource(client->store, kind, draw_id(client, id), &client->result),
           STIGSTORE_NOT_FOUND, "get");
}

static void delete_some(struct soak_client *client)
{
    char id[32];
    draw_id(client, id);
    id[2] = '\0'; /* ten of them */
    expect(client,
           stigstore_delete_resources_by_id_prefix(client->store, stigstore_text(client->name), stigstore_text(id),
                                                   &client->result),
           0, "delete");
}

static stigstore_decision add_one(void *context, const stigstore_item *current, stigstore_bytes *data)
{
    uint64_t *number = context;
    *number = 0;
    if (current)
        memcpy(number, current->data.data, sizeof(*number));
    *number += 1;
    *data = (stigstore_bytes){number, sizeof(*number)};
    return STIGSTORE_UPDATE_SAVE;
}

static void count_up(struct soak_client *client)
{
    uint64_t number;
    stigstore_request save = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text("counter"),
                              .id = stigstore_text(client->name)};
    if (expect(client, stigstore_update(client->store, &save, add_one, &number, &client->result), 0, "update"))
        client->counted++;
}

static void archive(struct soak_client *client)
{
    char id[32];
    stigstore_bytes kind = stigstore_text(client->name), at = draw_id(client, id), tag = stigstore_text("tag");
    for (unsigned i = 0; i < 5; i++)
        expect(client, stigstore_save_audit(client->store, kind, at, draw_data(client), tag, tag, &client->result), 0,
               "save audit");
    expect(client, stigstore_get_audit_by_tag(client->store, kind, at, tag, &client->result), 0, "by tag");
    expect(client, stigstore_list_audit_history(client->store, kind, at, &client->result), 0, "history");
    expect(client, stigstore_delete_audit_by_resource_id(client->store, kind, at, &client->result), 0, "delete audit");
}

/* The service may die under a list, which then ends early. */
static void list_some(struct soak_client *client)
{
    stigstore_request list = {STIGSTORE_REQUEST(LIST), .kind = stigstore_text(client->name)};
    stigstore_cursor *cursor = NULL;
    const stigstore_item *item;
    int status = stigstore_cursor_open(client->store, &list, &cursor, &client->result);
    unsigned most = dice_roll(&client->dice, IDS);
    for (unsigned i = 0; status == STIGSTORE_OK && i < most; i++)
        status = stigstore_cursor_next(cursor, &item);
    stigstore_cursor_free(&cursor);
    expect(client, status == STIGSTORE_END || status == STIGSTORE_SNAPSHOT_EXPIRED ? 0 : status, STIGSTORE_UNAVAILABLE,
           "list");
}

static void submit_burst(struct soak_client *client)
{
    char id[32];
    size_t left = 0;
    for (unsigned i = 0; i < BURST; i++) {
        stigstore_request save = {STIGSTORE_REQUEST(SAVE), .kind = stigstore_text(client->name),
                                  .id = draw_id(client, id), .data = draw_data(client)};
        left += expect(client, stigstore_submit(client->queue, &save, i, NULL), 0, "submit");
    }
    while (left > 0) {
        stigstore_result *results[BURST] = {NULL};
        size_t count = 0;
        stigstore_queue_wait(client->queue, results, BURST, DEADLINE_MS, &count);
        for (size_t i = 0; i < count; i++)
            expect(client, results[i]->status, 0, "queued save");
        stigstore_results_free(results, count);
        left = count ? left - count : 0;
    }
}

/* ---- leaks on purpose ---- */

static void leak(struct soak_client *client)
{
    static void *volatile kept;
    if (client->calls / 50 == client->leaked)
        return;
    client->leaked = client->calls / 50;
    if (strcmp(client->leak, "memory") == 0) {
        kept = malloc(LEAK_BYTES);
        if (kept)
            memset(kept, 1, LEAK_BYTES);
    } else if (strcmp(client->leak, "descriptors") == 0) {
        open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

/* ---- life ---- */

static void judge_counter(struct soak_client *client)
{
    uint64_t number = 0;
    int status =
        stigstore_get_resource(client->store, stigstore_text("counter"), stigstore_text(client->name), &client->result);
    if (expect(client, status, STIGSTORE_NOT_FOUND, "counter") && status == STIGSTORE_OK)
        memcpy(&number, client->result->items[0].data.data, sizeof(number));
    if (number == client->counted)
        return;
    fprintf(stderr, "soak client %s: counted %" PRIu64 ", the store says %" PRIu64 "\n", client->name, client->counted,
            number);
    client->is_good = false;
}

int main(int argc, char **argv)
{
    static void (*const calls[])(struct soak_client *) = {
        save_and_get, save_and_get, save_and_get, delete_some, count_up, count_up, archive, list_some, submit_burst};
    static struct soak_client client = {.is_good = true};
    if (argc < 4)
        return 2;
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = ask_to_end}, NULL);
    client.name = argv[2];
    client.dice.state = strtoull(argv[3], NULL, 10);
    client.leak = argc > 4 ? argv[4] : "";
    const stigstore_options options = {
        .struct_size = sizeof(options), .timeout_ms = DEADLINE_MS, .open_timeout_ms = DEADLINE_MS};
    if (!expect(&client, stigstore_open(argv[1], &options, &client.store, NULL), 0, "open"))
        return 1;
    stigstore_queue_new(client.store, &client.queue);
    while (!asked_to_end && client.is_good) {
        calls[dice_roll(&client.dice, sizeof(calls) / sizeof(*calls))](&client);
        leak(&client);
    }
    judge_counter(&client);
    stigstore_result_free(&client.result);
    stigstore_queue_free(&client.queue);
    stigstore_free(&client.store);
    return client.is_good ? 0 : 1;
}
