/*
 * client.c - fault_client: a process that puts load on a store, journals all of it, and may be killed at any moment.
 *
 *     fault_client URL FOLDER HANDLE PREDECESSOR STYLE SEED DEADLINE-MS PROGRESS SLOT
 *
 * STYLE: sync (one call at a time), queue (many under way), impatient (the same, some with short deadlines), erase (fills
 * many rows, then deletes them in steps, and ends). SIGTERM: answers what is under way and ends. PREDECESSOR: the handle
 * of a killed process whose keyed mutations are tried again; 0: none. PROGRESS: a file of one counter a SLOT.
 */
#include "tests/fault/dice.h"
#include "tests/fault/process/deeds.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WINDOW = 48, ERASE_DEADLINE_FACTOR = 3, PAUSE_MS = 60 };

static volatile sig_atomic_t asked_to_end;

struct client {
    stigstore *store;
    stigstore_queue *queue;
    struct journal journal;
    struct dice dice;
    const char *folder, *style;
    uint64_t predecessor, number;
    uint32_t deadline_ms;
    _Atomic uint64_t *progress;
    struct deed_name under_way[WINDOW];
    bool is_patient[WINDOW];
    size_t under_way_count;
    struct deed_request request;
};

/* ---- one mutation ---- */

static void note_submit(struct client *client, const struct deed_name *name, uint64_t origin)
{
    struct journal_record record = {.event = EVENT_SUBMIT,
                                    .deed = name->deed,
                                    .number = client->number,
                                    .slot = name->slot,
                                    .origin = origin,
                                    .origin_number = origin ? name->number : 0};
    journal_note(&client->journal, record);
}

/* What a request gets that was alone on two workers which died; the rig counts how many may be. */
static bool died_with_its_workers(int status, const char *message)
{
    return status == STIGSTORE_INTERNAL && strstr(message, "alone on two workers that died");
}

/* What a patient call may end with; a given-up one may end with more. */
static void judge_status(struct client *client, const struct deed_name *name, uint64_t number, bool is_patient,
                         const stigstore_result *result)
{
    int status = result->status;
    if (status == STIGSTORE_OK || (status == STIGSTORE_CONFLICT && name->deed == DEED_COUNT_UP))
        return;
    bool is_late =
        status == STIGSTORE_DEADLINE_EXCEEDED || status == STIGSTORE_UNAVAILABLE || status == STIGSTORE_OVERLOADED;
    if ((is_late && !is_patient) || died_with_its_workers(status, result->message))
        return;
    journal_complain(&client->journal, is_late ? COMPLAINT_UNANSWERED : COMPLAINT_STATUS, number, "deed %d: %s, %s",
                     (int)name->deed, stigstore_status_name(status), result->message);
}

static void note_result(struct client *client, const struct deed_name *name, uint64_t number, bool is_patient,
                        const stigstore_result *result)
{
    struct journal_record record = {.event = EVENT_RESULT,
                                    .deed = name->deed,
                                    .number = number,
                                    .slot = name->slot,
                                    .revision = result->revision,
                                    .count = result->count,
                                    .status = result->status,
                                    .flags = result->flags};
    journal_note(&client->journal, record);
    judge_status(client, name, number, is_patient, result);
    if (result->status == STIGSTORE_OK)
        atomic_fetch_add(client->progress, 1);
}

static int do_now(struct client *client, struct deed_name *name, uint64_t origin, uint32_t timeout_ms,
                  stigstore_result **result)
{
    client->number++;
    if (!origin) {
        name->handle = client->journal.handle;
        name->number = client->number;
    }
    deed_fill(&client->request, name);
    client->request.request.timeout_ms = timeout_ms;
    note_submit(client, name, origin);
    int status = stigstore_call(client->store, &client->request.request, result);
    note_result(client, name, client->number, true, *result);
    return status;
}

/* ---- what a killed process left ---- */

static bool is_settled(const struct journal_record *records, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (records[i].event == EVENT_RESULT && records[i].number == number)
            return true;
    return false;
}

static void retry_keyed(struct client *client)
{
    size_t count;
    stigstore_result *result = NULL;
    struct journal_record *records = journal_read(client->folder, client->predecessor, &count);
    for (size_t i = 0; i < count && !asked_to_end; i++) {
        const struct journal_record *record = &records[i];
        bool is_keyed = record->deed == DEED_KEYED || record->deed == DEED_RETRY;
        if (record->event != EVENT_SUBMIT || !is_keyed || is_settled(records, count, record->number))
            continue;
        uint64_t origin = record->origin ? record->origin : record->handle;
        struct deed_name name = {
            .deed = DEED_RETRY, .handle = origin, .number = record->origin ? record->origin_number : record->number};
        do_now(client, &name, origin, client->deadline_ms, &result);
    }
    stigstore_result_free(&result);
    free(records);
}

/* ---- one call at a time ---- */

/* Whether a read ended with its readers. */
static bool died_with_its_readers(struct client *client, const stigstore_result *result)
{
    bool died = died_with_its_workers(result->status, result->message);
    if (died)
        journal_note(&client->journal, (struct journal_record){.event = EVENT_READ_DIED});
    return died;
}

static void count_up(struct client *client, stigstore_result **result)
{
    struct deed_name name = {.deed = DEED_COUNT_UP, .slot = dice_roll(&client->dice, DEED_COUNTERS), .value = 1};
    char id[40], text[32] = "";
    deed_counter_id(name.slot, id);
    int status = stigstore_get_resource(client->store, stigstore_text("counter"), stigstore_text(id), result);
    if (status != STIGSTORE_OK && status != STIGSTORE_NOT_FOUND && !died_with_its_readers(client, *result))
        journal_complain(&client->journal, COMPLAINT_STATUS, 0, "get: %s", stigstore_status_name(status));
    if (status == STIGSTORE_OK) {
        const stigstore_item *item = &(*result)->items[0];
        memcpy(text, item->data.data, item->data.size < sizeof(text) - 1 ? item->data.size : sizeof(text) - 1);
        name.value = strtoull(text, NULL, 10) + 1;
        name.if_revision = item->revision;
    }
    if (status == STIGSTORE_OK || status == STIGSTORE_NOT_FOUND)
        do_now(client, &name, 0, 0, result);
}

/* Nobody else writes this handle's resources: a read after the acknowledgement shows that very save. */
static void put_and_read(struct client *client, stigstore_result **result)
{
    struct deed_name name = {.deed = DEED_PUT, .slot = dice_roll(&client->dice, DEED_SLOTS)};
    char id[40];
    uint64_t handle = 0, number = 0;
    if (do_now(client, &name, 0, 0, result) != STIGSTORE_OK || dice_roll(&client->dice, 2))
        return;
    uint64_t revision = (*result)->revision;
    deed_slot_id(client->journal.handle, name.slot, id);
    int status = stigstore_get_resource(client->store, stigstore_text("own"), stigstore_text(id), result);
    bool is_it = status == STIGSTORE_OK && (*result)->items[0].revision == revision &&
                 deed_read((*result)->items[0].data.data, (*result)->items[0].data.size, &handle, &number) &&
                 number == name.number;
    if (!is_it && !died_with_its_readers(client, *result))
        journal_complain(&client->journal, COMPLAINT_STALE, name.number, "read %s: %s, number %" PRIu64, id,
                         stigstore_status_name(status), number);
}

static void run_sync(struct client *client)
{
    static const enum deed plain[] = {DEED_MARK, DEED_MARK, DEED_KEYED, DEED_TRIO, DEED_REMOVE};
    stigstore_result *result = NULL;
    while (!asked_to_end) {
        uint32_t roll = dice_roll(&client->dice, 10);
        if (roll < 2) {
            count_up(client, &result);
        } else if (roll < 5) {
            put_and_read(client, &result);
        } else {
            struct deed_name name = {.deed = plain[roll - 5], .slot = dice_roll(&client->dice, DEED_SLOTS)};
            do_now(client, &name, 0, 0, &result);
        }
    }
    stigstore_result_free(&result);
}

/* ---- many under way ---- */

static void submit_one(struct client *client)
{
    static const enum deed deeds[] = {DEED_MARK, DEED_MARK, DEED_MARK, DEED_KEYED, DEED_TRIO,
                                      DEED_PUT,  DEED_PUT,  DEED_PUT,  DEED_REMOVE};
    size_t place = client->number % WINDOW;
    struct deed_name *name = &client->under_way[place];
    client->number++;
    *name = (struct deed_name){.deed = deeds[dice_roll(&client->dice, sizeof(deeds) / sizeof(*deeds))],
                               .handle = client->journal.handle,
                               .number = client->number,
                               .slot = dice_roll(&client->dice, DEED_SLOTS)};
    client->is_patient[place] = strcmp(client->style, "impatient") != 0 || dice_roll(&client->dice, 4) != 0;
    deed_fill(&client->request, name);
    if (!client->is_patient[place])
        client->request.request.timeout_ms = 1 + dice_roll(&client->dice, 40);
    note_submit(client, name, 0);
    int status = stigstore_submit(client->queue, &client->request.request, client->number, NULL);
    if (status != STIGSTORE_OK) {
        const stigstore_result refused = {.status = status, .flags = STIGSTORE_NOT_APPLIED, .message = "submit"};
        note_result(client, name, client->number, true, &refused);
        return;
    }
    client->under_way_count++;
}

static void take_results(struct client *client, uint32_t timeout_ms)
{
    stigstore_result *results[WINDOW] = {NULL};
    size_t count = 0;
    stigstore_queue_wait(client->queue, results, WINDOW, timeout_ms, &count);
    for (size_t i = 0; i < count; i++) {
        size_t place = (results[i]->user - 1) % WINDOW;
        note_result(client, &client->under_way[place], results[i]->user, client->is_patient[place], results[i]);
    }
    client->under_way_count -= count;
    stigstore_results_free(results, count);
}

/* The oldest must be done before its place is taken again: results may come in another order. */
static void run_queue(struct client *client)
{
    while (!asked_to_end) {
        uint32_t burst = 1 + dice_roll(&client->dice, WINDOW);
        for (uint32_t i = 0; i < burst && !asked_to_end; i++)
            submit_one(client);
        while (client->under_way_count > 0)
            take_results(client, 1000);
        poll(NULL, 0,
             (int)dice_roll(&client->dice, PAUSE_MS)); /* the file is to stay small enough to be judged often */
    }
}

/* ---- the ranged delete ---- */

static void run_erase(struct client *client)
{
    stigstore_result *result = NULL;
    bool is_whole = true;
    for (uint32_t chunk = 0; chunk < DEED_CHUNKS && is_whole && !asked_to_end; chunk++) {
        struct deed_name name = {.deed = DEED_FILL, .slot = chunk};
        is_whole = do_now(client, &name, 0, 0, &result) == STIGSTORE_OK;
    }
    struct deed_name name = {.deed = DEED_ERASE};
    if (is_whole && !asked_to_end &&
        do_now(client, &name, 0, client->deadline_ms * ERASE_DEADLINE_FACTOR, &result) == STIGSTORE_OK &&
        result->count != DEED_CHUNKS * DEED_CHUNK_ROWS)
        journal_complain(&client->journal, COMPLAINT_PART, name.number, "%" PRIu64 " went", result->count);
    stigstore_result_free(&result);
}

/* ---- life ---- */

static void ask_to_end(int signal_number)
{
    (void)signal_number;
    asked_to_end = 1;
}

static void open_progress(struct client *client, const char *path, const char *slot)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        fprintf(stderr, "cannot map %s: %s\n", path, strerror(errno));
        exit(1);
    }
    client->progress = (_Atomic uint64_t *)page + strtoul(slot, NULL, 10);
}

static void open_store(struct client *client, const char *url)
{
    stigstore_options options = {
        .struct_size = sizeof(options), .timeout_ms = client->deadline_ms, .open_timeout_ms = client->deadline_ms};
    stigstore_result *result = NULL;
    if (stigstore_open(url, &options, &client->store, &result) != STIGSTORE_OK) {
        journal_complain(&client->journal, COMPLAINT_SERVICE, 0, "open: %s", result ? result->message : "");
        exit(1);
    }
    stigstore_result_free(&result);
    stigstore_queue_new(client->store, &client->queue);
}

int main(int argc, char **argv)
{
    static struct client client;
    if (argc != 10) {
        fprintf(stderr, "usage: fault_client URL FOLDER HANDLE PREDECESSOR STYLE SEED DEADLINE-MS PROGRESS SLOT\n");
        return 2;
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = ask_to_end}, NULL);
    client.folder = argv[2];
    client.journal = journal_open(client.folder, strtoull(argv[3], NULL, 10));
    client.predecessor = strtoull(argv[4], NULL, 10);
    client.style = argv[5];
    client.dice.state = strtoull(argv[6], NULL, 10);
    client.deadline_ms = (uint32_t)strtoul(argv[7], NULL, 10);
    open_progress(&client, argv[8], argv[9]);
    open_store(&client, argv[1]);
    if (client.predecessor)
        retry_keyed(&client);
    if (strcmp(client.style, "sync") == 0)
        run_sync(&client);
    else if (strcmp(client.style, "erase") == 0)
        run_erase(&client);
    else
        run_queue(&client);
    stigstore_queue_free(&client.queue);
    stigstore_free(&client.store);
    journal_close(&client.journal);
    return 0;
}
