/*
 * history.c - journals into a table of mutations.
 */
#include "tests/fault/process/history.h"

#include "stigstore.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MOST = 12 };

void complain(struct complaints *complaints, uint32_t kind, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    complaints->of_kind[kind]++;
    if (complaints->count++ < SHOWN_MOST)
        fprintf(stderr, "%s: %s: %s\n", complaints->is_quiet ? "caught" : "FAULT", complaint_name(kind), line);
}

static void *grow(void *memory, size_t count, size_t size)
{
    void *larger = realloc(memory, count * size);
    if (!larger) {
        fprintf(stderr, "no memory for a history\n");
        exit(1);
    }
    return larger;
}

/* ---- looking up ---- */

struct handle_history *history_handle(const struct history *history, uint64_t handle)
{
    size_t low = 0, high = history->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (history->handles[middle].handle < handle)
            low = middle + 1;
        else
            high = middle;
    }
    return low < history->count && history->handles[low].handle == handle ? &history->handles[low] : NULL;
}

struct mutation *history_mutation(const struct history *history, uint64_t handle, uint64_t number)
{
    struct handle_history *of_handle = history_handle(history, handle);
    if (!of_handle || number == 0 || number > of_handle->count || !of_handle->mutations[number - 1].deed)
        return NULL;
    return &of_handle->mutations[number - 1];
}

bool mutation_is_refused(const struct mutation *mutation)
{
    return mutation->has_result && ((mutation->flags & STIGSTORE_NOT_APPLIED) ||
                                    stigstore_status_applied(mutation->status) == STIGSTORE_APPLIED_NO);
}

bool mutation_is_open(const struct mutation *mutation)
{
    return !mutation_is_refused(mutation) && !(mutation->has_result && mutation->status == STIGSTORE_OK);
}

/* ---- gathering ---- */

void history_begin(struct history *history, const char *folder)
{
    size_t count;
    uint64_t *handles = journal_handles(folder, &count);
    *history = (struct history){.count = count};
    history->handles = grow(NULL, count + 1, sizeof(*history->handles));
    for (size_t i = 0; i < count; i++) {
        size_t records;
        free(journal_read(folder, handles[i], &records));
        history->handles[i] = (struct handle_history){.handle = handles[i], .seen = records};
    }
    free(handles);
}

/* Journals that were begun meanwhile; nothing in them is sure. */
static void add_new(struct history *history, const char *folder)
{
    size_t count;
    uint64_t *handles = journal_handles(folder, &count);
    struct handle_history *all = grow(NULL, count + 1, sizeof(*all));
    for (size_t i = 0; i < count; i++) {
        struct handle_history *known = history_handle(history, handles[i]);
        all[i] = known ? *known : (struct handle_history){.handle = handles[i]};
    }
    free(history->handles);
    free(handles);
    history->handles = all;
    history->count = count;
}

static struct mutation *mutation_of(struct handle_history *of_handle, uint64_t number)
{
    if (number > of_handle->count) {
        size_t count = number > of_handle->count * 2 ? number : of_handle->count * 2;
        of_handle->mutations = grow(of_handle->mutations, count, sizeof(struct mutation));
        memset(of_handle->mutations + of_handle->count, 0, (count - of_handle->count) * sizeof(struct mutation));
        of_handle->count = count;
    }
    return &of_handle->mutations[number - 1];
}

static void take_inside(struct history *history, const struct journal_record *record)
{
    if (record->event == EVENT_OUTSIDE) {
        history->insides[history->inside_count - 1].to_ns = record->time_ns;
        return;
    }
    history->insides = grow(history->insides, history->inside_count + 1, sizeof(struct inside));
    history->insides[history->inside_count++] = (struct inside){record->handle, record->time_ns, record->time_ns};
}

static void take_record(struct history *history, struct handle_history *of_handle, const struct journal_record *record,
                        bool is_before, struct complaints *complaints)
{
    struct mutation *mutation;
    switch (record->event) {
    case EVENT_SUBMIT:
        mutation = mutation_of(of_handle, record->number);
        mutation->deed = (enum deed)record->deed;
        mutation->slot = record->slot;
        mutation->origin = record->origin;
        mutation->origin_number = record->origin_number;
        return;
    case EVENT_RESULT:
        mutation = mutation_of(of_handle, record->number);
        mutation->has_result = true;
        mutation->status = record->status;
        mutation->flags = record->flags;
        mutation->revision = record->status == STIGSTORE_OK ? record->revision : 0;
        mutation->count = record->count;
        mutation->is_sure = is_before && record->status == STIGSTORE_OK;
        return;
    case EVENT_COMPLAINT:
        complain(complaints, record->complaint, "handle %" PRIu64 ", number %" PRIu64 ": %s", record->handle,
                 record->number, record->text);
        return;
    case EVENT_READ_DIED:
        history->reads_died++;
        return;
    default:
        take_inside(history, record);
    }
}

/* What a successor heard of a keyed mutation counts for the mutation. */
static void join_retries(const struct history *history)
{
    for (size_t h = 0; h < history->count; h++) {
        for (size_t i = 0; i < history->handles[h].count; i++) {
            const struct mutation *retry = &history->handles[h].mutations[i];
            if (retry->deed != DEED_RETRY)
                continue;
            struct mutation *first = history_mutation(history, retry->origin, retry->origin_number);
            first->is_retried = true;
            if (!retry->has_result || retry->status != STIGSTORE_OK)
                continue;
            first->has_result = true;
            first->status = STIGSTORE_OK;
            first->flags = 0;
            first->is_sure = first->is_sure || retry->is_sure;
            first->revision = retry->revision;
        }
    }
}

void history_gather(struct history *history, const char *folder, struct complaints *complaints)
{
    add_new(history, folder);
    for (size_t h = 0; h < history->count; h++) {
        struct handle_history *of_handle = &history->handles[h];
        size_t count;
        struct journal_record *records = journal_read(folder, of_handle->handle, &count);
        for (size_t i = 0; i < count; i++)
            take_record(history, of_handle, &records[i], i < of_handle->seen, complaints);
        free(records);
    }
    join_retries(history);
}

void history_free(struct history *history)
{
    for (size_t h = 0; h < history->count; h++)
        free(history->handles[h].mutations);
    free(history->handles);
    free(history->insides);
    *history = (struct history){0};
}
