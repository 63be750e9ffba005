/*
 * judge.c - the promises, one check each, on what a snapshot of the file shows.
 */
#include "tests/fault/process/judge.h"

#include "stigstore.h"
#include "tests/fault/process/deeds.h"
#include "tests/fault/process/look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_ROWS = 100 /* each step is a multiple of */, BULK_ROWS = DEED_CHUNKS * DEED_CHUNK_ROWS };

struct judge {
    struct history *history;
    const struct look *look;
    struct complaints *complaints;
    struct claim { /* whose a revision is */
        uint64_t handle, number;
    } * claims;
};

static void claim(struct judge *judge, uint64_t revision, uint64_t handle, uint64_t number)
{
    if (revision == 0 || revision > judge->look->revision)
        return;
    struct claim *claimed = &judge->claims[revision];
    if (claimed->handle && (claimed->handle != handle || claimed->number != number))
        complain(judge->complaints, COMPLAINT_REVISION,
                 "revision %" PRIu64 " twice: %" PRIu64 "/%" PRIu64 ", %" PRIu64 "/%" PRIu64, revision, claimed->handle,
                 claimed->number, handle, number);
    *claimed = (struct claim){handle, number};
}

/* What the file shows of a mutation: it must have been submitted, and not be said to be without effect. */
static struct mutation *show(struct judge *judge, const char *what, uint64_t handle, uint64_t number, uint64_t revision)
{
    struct mutation *mutation = history_mutation(judge->history, handle, number);
    if (!mutation || mutation_is_refused(mutation)) {
        complain(judge->complaints, COMPLAINT_REFUSED, "%s shows %" PRIu64 "/%" PRIu64 ", %s", what, handle, number,
                 mutation ? stigstore_status_name(mutation->status) : "which nobody submitted");
        return NULL;
    }
    if (mutation->revision && mutation->revision != revision)
        complain(judge->complaints, COMPLAINT_REVISION,
                 "%s shows %" PRIu64 "/%" PRIu64 " with revision %" PRIu64 ", elsewhere %" PRIu64, what, handle, number,
                 revision, mutation->revision);
    mutation->revision = revision;
    claim(judge, revision, handle, number);
    return mutation;
}

/* Deletes of nothing take no revision. */
static bool takes_a_revision(const struct mutation *mutation)
{
    bool is_delete = mutation->deed == DEED_REMOVE || mutation->deed == DEED_ERASE;
    return mutation->deed && mutation->deed != DEED_RETRY && !(is_delete && mutation->count == 0);
}

/* ---- each promise ---- */

static void judge_records(struct judge *judge)
{
    uint64_t last = 0;
    for (size_t i = 0; i < judge->look->record_count; i++) {
        const struct look_record *record = &judge->look->records[i];
        struct mutation *mutation = show(judge, "a record", record->handle, record->number, record->revision);
        if (mutation && ++mutation->rows > 1)
            complain(judge->complaints, COMPLAINT_TWICE, "%" PRIu64 "/%" PRIu64 " has %u records", record->handle,
                     record->number, mutation->rows);
        if (record->revision <= last)
            complain(judge->complaints, COMPLAINT_REVISION, "revision %" PRIu64 " behind %" PRIu64, record->revision,
                     last);
        last = record->revision;
    }
}

static bool leaves_a_record(enum deed deed)
{
    return deed >= DEED_MARK && deed <= DEED_TRIO;
}

static void judge_acknowledged(struct judge *judge, struct judged_figures *figures)
{
    for (size_t h = 0; h < judge->history->count; h++) {
        const struct handle_history *of_handle = &judge->history->handles[h];
        for (size_t i = 0; i < of_handle->count; i++) {
            const struct mutation *mutation = &of_handle->mutations[i];
            bool is_lost = mutation->is_sure && (mutation->revision > judge->look->revision ||
                                                 (leaves_a_record(mutation->deed) && mutation->rows == 0));
            if (is_lost)
                complain(judge->complaints, COMPLAINT_LOST, "%" PRIu64 "/%zu, acknowledged with revision %" PRIu64,
                         of_handle->handle, i + 1, mutation->revision);
            figures->writes_died += mutation->has_result && mutation->status == STIGSTORE_INTERNAL;
            figures->sure += mutation->is_sure;
            figures->retried += mutation->is_retried;
            figures->unknown_found += mutation->rows && mutation_is_open(mutation);
        }
    }
}

/* By revisions, which are known of what was acknowledged and of what the file shows. */
static void judge_order(struct judge *judge)
{
    for (size_t h = 0; h < judge->history->count; h++) {
        const struct handle_history *of_handle = &judge->history->handles[h];
        uint64_t last = 0;
        for (size_t i = 0; i < of_handle->count; i++) {
            const struct mutation *mutation = &of_handle->mutations[i];
            if (mutation->revision == 0 || mutation->is_retried || !takes_a_revision(mutation))
                continue;
            if (mutation->revision <= last)
                complain(judge->complaints, COMPLAINT_ORDER,
                         "%" PRIu64 "/%zu has revision %" PRIu64 ", one before it %" PRIu64, of_handle->handle, i + 1,
                         mutation->revision, last);
            last = mutation->revision;
        }
    }
}

/* ---- a handle's own resources ---- */

/* A deletion behind `number` that may have been applied. */
static bool has_later_removal(const struct handle_history *of_handle, uint32_t slot, size_t number)
{
    for (size_t i = number; i < of_handle->count; i++) {
        const struct mutation *later = &of_handle->mutations[i];
        if (later->deed == DEED_REMOVE && later->slot == slot && !mutation_is_refused(later))
            return true;
    }
    return false;
}

static void judge_slot(struct judge *judge, const struct handle_history *of_handle, uint32_t slot,
                       const struct look_resource *found)
{
    size_t sure = 0;
    for (size_t i = 0; i < of_handle->count; i++) {
        const struct mutation *mutation = &of_handle->mutations[i];
        if (mutation->is_sure && mutation->slot == slot &&
            (mutation->deed == DEED_PUT || mutation->deed == DEED_REMOVE))
            sure = i + 1;
    }
    bool is_lost =
        found ? found->number < sure
              : sure && of_handle->mutations[sure - 1].deed == DEED_PUT && !has_later_removal(of_handle, slot, sure);
    if (is_lost)
        complain(judge->complaints, COMPLAINT_LOST, "%" PRIu64 "/%zu of resource %" PRIu32 ", which shows %" PRIu64,
                 of_handle->handle, sure, slot, found ? found->number : 0);
}

static void judge_resources(struct judge *judge)
{
    for (size_t i = 0; i < judge->look->own_count; i++) {
        const struct look_resource *found = &judge->look->own[i];
        if (!found->is_whole)
            complain(judge->complaints, COMPLAINT_PART, "resource %s", found->id);
        else
            show(judge, "a resource", found->handle, found->number, found->revision);
    }
    for (size_t h = 0; h < judge->history->count; h++) {
        for (uint32_t slot = 0; slot < DEED_SLOTS; slot++) {
            char id[40];
            deed_slot_id(judge->history->handles[h].handle, slot, id);
            judge_slot(judge, &judge->history->handles[h], slot,
                       look_find(judge->look->own, judge->look->own_count, id));
        }
    }
}

/* ---- all or nothing ---- */

static void judge_trios(struct judge *judge)
{
    for (size_t h = 0; h < judge->history->count; h++) {
        uint64_t handle = judge->history->handles[h].handle, number = 0, revision = 0;
        for (size_t i = 0; i < judge->history->handles[h].count; i++) {
            const struct mutation *mutation = &judge->history->handles[h].mutations[i];
            if (mutation->deed == DEED_TRIO && mutation->rows) {
                number = i + 1;
                revision = mutation->revision;
            }
        }
        for (char part = 'a'; part < 'd'; part++) {
            char id[40];
            snprintf(id, sizeof(id), "%" PRIu64 "/%c", handle, part);
            const struct look_resource *found = look_find(judge->look->trios, judge->look->trio_count, id);
            if (found ? found->number != number || found->revision != revision || !found->is_whole : number != 0)
                complain(judge->complaints, COMPLAINT_PART, "%s shows %" PRIu64 ", its record %" PRIu64, id,
                         found ? found->number : 0, number);
        }
    }
}

static void judge_counters(struct judge *judge)
{
    for (uint32_t counter = 0; counter < DEED_COUNTERS; counter++) {
        uint64_t records = 0, revision = 0;
        for (size_t i = 0; i < judge->look->record_count; i++) {
            const struct look_record *record = &judge->look->records[i];
            if (record->counter != counter + 1)
                continue;
            records++;
            revision = record->revision;
        }
        const struct look_counter *found = &judge->look->counters[counter];
        if (found->value != records || found->revision != revision)
            complain(judge->complaints, found->value < records ? COMPLAINT_LOST : COMPLAINT_TWICE,
                     "counter %" PRIu32 " is %" PRIu64 ", with %" PRIu64 " records", counter, found->value, records);
    }
}

/* ---- the delete in steps ---- */

/* Of what is being deleted a suffix is left, which begins at a step's end, with its audit records. */
static void judge_erased(struct judge *judge, const struct handle_history *of_handle, const struct look_bulk *bulk,
                         const struct mutation *erase, struct judged_figures *figures)
{
    size_t first = bulk ? bulk->first : BULK_ROWS, rows = bulk ? bulk->rows : 0;
    size_t chunks_left = DEED_CHUNKS - (first + DEED_CHUNK_ROWS - 1) / DEED_CHUNK_ROWS;
    bool is_step = first == BULK_ROWS || first % STEP_ROWS == 0;
    if (!is_step || rows != BULK_ROWS - first || (bulk ? bulk->records : 0) != chunks_left)
        complain(judge->complaints, COMPLAINT_PART, "%" PRIu64 ": %zu rows left from %zu on, %zu records",
                 of_handle->handle, rows, first, bulk ? bulk->records : 0);
    figures->midway += rows && first;
    if (erase->is_sure && rows)
        complain(judge->complaints, COMPLAINT_LOST, "%" PRIu64 ": %zu rows left after the delete", of_handle->handle,
                 rows);
}

/* Before that, each chunk is there whole or not at all. */
static void judge_filled(struct judge *judge, const struct handle_history *of_handle, const struct look_bulk *bulk)
{
    for (uint32_t chunk = 0; chunk < DEED_CHUNKS; chunk++) {
        const struct mutation *fill = history_mutation(judge->history, of_handle->handle, chunk + 1);
        unsigned rows = bulk ? bulk->chunk_rows[chunk] : 0;
        if (rows != 0 && rows != DEED_CHUNK_ROWS)
            complain(judge->complaints, COMPLAINT_PART, "%" PRIu64 ": chunk %" PRIu32 " has %u rows", of_handle->handle,
                     chunk, rows);
        if (rows)
            show(judge, "a chunk", of_handle->handle, chunk + 1, bulk->chunk_revision[chunk]);
        else if (fill && fill->is_sure)
            complain(judge->complaints, COMPLAINT_LOST, "%" PRIu64 ": chunk %" PRIu32, of_handle->handle, chunk);
    }
}

static void judge_bulk(struct judge *judge, struct judged_figures *figures)
{
    for (size_t h = 0; h < judge->history->count; h++) {
        const struct handle_history *of_handle = &judge->history->handles[h];
        const struct mutation *erase = history_mutation(judge->history, of_handle->handle, DEED_CHUNKS + 1);
        const struct mutation *last = history_mutation(judge->history, of_handle->handle, DEED_CHUNKS);
        const struct mutation *fill = history_mutation(judge->history, of_handle->handle, 1);
        const struct look_bulk *bulk = look_bulk(judge->look, of_handle->handle);
        if (!fill || fill->deed != DEED_FILL)
            continue;
        if (!erase)
            judge_filled(judge, of_handle, bulk);
        else if (last->is_sure) /* else the look was before the delete began */
            judge_erased(judge, of_handle, bulk, erase, figures);
    }
}

/* ---- revisions ---- */

/* Each is somebody's; those of which the file shows nothing any more may be open ones'. */
static void judge_revisions(struct judge *judge)
{
    uint64_t allowed = 0, nobodys = 0, first = 0;
    for (size_t h = 0; h < judge->history->count; h++) {
        const struct handle_history *of_handle = &judge->history->handles[h];
        for (size_t i = 0; i < of_handle->count; i++) {
            const struct mutation *mutation = &of_handle->mutations[i];
            if (takes_a_revision(mutation))
                claim(judge, mutation->revision, of_handle->handle, i + 1);
            allowed += mutation->deed >= DEED_PUT && mutation_is_open(mutation);
            allowed += mutation->deed == DEED_ERASE ? BULK_ROWS / STEP_ROWS + 1 : 0;
        }
    }
    for (uint64_t revision = 1; revision <= judge->look->revision; revision++) {
        if (judge->claims[revision].handle)
            continue;
        nobodys++;
        first = first ? first : revision;
    }
    if (nobodys > allowed)
        complain(judge->complaints, COMPLAINT_REVISION,
                 "%" PRIu64 " revisions are nobody's, from %" PRIu64 " on; %" PRIu64 " mutations are open", nobodys,
                 first, allowed);
}

void judge_file(const char *database, const char *folder, struct history *history, struct complaints *complaints,
                struct judged_figures *figures)
{
    struct look look = {0};
    history_begin(history, folder);
    if (!look_at(&look, database)) {
        complain(complaints, COMPLAINT_FILE, "cannot read %s: %s", database, look.failure);
        look_free(&look);
        return;
    }
    history_gather(history, folder, complaints);
    struct judge judge = {.history = history,
                          .look = &look,
                          .complaints = complaints,
                          .claims = calloc(look.revision + 1, sizeof(struct claim))};
    if (!judge.claims)
        exit(1);
    judge_records(&judge);
    judge_acknowledged(&judge, figures);
    judge_resources(&judge);
    judge_trios(&judge);
    judge_counters(&judge);
    judge_bulk(&judge, figures);
    judge_order(&judge);
    judge_revisions(&judge);
    figures->insides += history->inside_count;
    figures->reads_died += history->reads_died;
    free(judge.claims);
    look_free(&look);
}
