/*
 * world_check.c - what a store holds after an end, beside what it must hold.
 */
#include "storage/file_internal.h"
#include "storage/sqlite.h"
#include "tests/fault/power/world_internal.h"

#include <stdio.h>

static void keep_first(void *context, bool is_notice, const char *line)
{
    char *first = context;

    if (!is_notice && !first[0])
        snprintf(first, 200, "%s", line);
}

static void verify(struct world *world, const char *path)
{
    char first[200] = "";
    struct failure failure = {0};
    int status = file_verify(path, keep_first, first, &failure);

    if (status != STATUS_OK)
        world_wrong(world, "%s: verify says %s: %s", path, status_name(status), first[0] ? first : failure.message);
}

static void check_integrity(struct world *world, sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    const char *text = NULL;

    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        text = (const char *)sqlite3_column_text(statement, 0);
    if (!text || strcmp(text, "ok") != 0)
        world_wrong(world, "integrity_check: %s", text ? text : sqlite3_errmsg(db));
    sqlite3_finalize(statement);
}

void world_check_file(struct world *world, const char *path, const struct state *state)
{
    struct state found;
    sqlite3 *db = NULL;
    const char *why = NULL;

    verify(world, path);
    if (file_open_for_reading(path, &db) != SQLITE_OK || !state_read(&found, db, &why))
        world_wrong(world, "%s: %s", path, why ? why : sqlite3_errmsg(db));
    if (state_difference(state, &found))
        world_wrong(world, "%s: %s", path, state_difference(state, &found));
    sqlite3_close(db);
}

/* The newest of the states that it may be; NULL: it is none. *is_pending: the one with the last transaction. */
static const struct state *find_state(const struct world *world, const struct state *found, bool was_cut,
                                      bool *is_pending)
{
    size_t oldest = world->durability_normal && was_cut ? 0 : world->state_count - 1;

    *is_pending = world->is_in_doubt && state_difference(&world->pending, found) == NULL &&
                  (world->durability_normal || world->pending.revision == found->revision);
    if (*is_pending)
        return &world->pending;
    for (size_t i = world->state_count; i-- > oldest;)
        if (state_difference(&world->states[i], found) == NULL &&
            (world->durability_normal || world->states[i].revision == found->revision))
            return &world->states[i];
    return NULL;
}

/* With the same rows, but perhaps fewer outcomes: what is surely kept of what was answered. */
static uint64_t find_oldest_revision(const struct world *world, const struct state *found)
{
    size_t i = 0;

    while (i < world->state_count && state_difference(&world->states[i], found))
        i++;
    return i < world->state_count ? world->states[i].revision : world->pending.revision;
}

static void check_epoch(struct world *world)
{
    struct storage_counters counters;

    world->storage->ops->counters(world->storage, &counters);
    if (counters.epoch <= world->epoch)
        world_wrong(world, "epoch %llu again", (unsigned long long)counters.epoch);
    world->epoch = counters.epoch;
}

static bool is_other_incarnation(const struct world *world)
{
    return memcmp(world->incarnation, world->storage->identity.incarnation, sizeof world->incarnation) != 0;
}

static void check_restored(struct world *world, const struct state *found, const struct state *restored)
{
    const char *difference = restored ? state_difference(restored, found) : "it is another store";

    if (difference)
        world_wrong(world, "another incarnation: %s", difference);
    handles_renew(world);
    world->issued = world->epoch = 0;
}

static void check_state(struct world *world, const struct state *found, bool was_cut)
{
    bool is_pending;
    const struct state *state = find_state(world, found, was_cut, &is_pending);

    if (!state) {
        const char *difference = state_difference(world_state(world), found);
        world_wrong(world, "%s%s; revision %llu found, %llu committed, %llu under way",
                    difference ? difference : "the same rows", world->is_in_doubt ? ", one transaction in doubt" : "",
                    (unsigned long long)found->revision, (unsigned long long)world_state(world)->revision,
                    (unsigned long long)world->pending.revision);
    }
    if (found->revision < world->issued)
        world_wrong(world, "the counter stands at %llu, and %llu was issued", (unsigned long long)found->revision,
                    (unsigned long long)world->issued);
    handles_learn(world, is_pending && world->pending.revision > world_state(world)->revision);
    if (world->durability_normal && was_cut)
        handles_lose(world, find_oldest_revision(world, found));
}

void world_check(struct world *world, bool was_cut, const struct state *restored)
{
    sqlite3 *db = sqlite_of(world->storage)->db;
    struct state found;
    const char *why;

    check_integrity(world, db);
    if (random_draw(&world->random, 8) == 0)
        verify(world, world->path);
    if (!state_read(&found, db, &why))
        world_wrong(world, "%s", why);
    if (world->was_ready && is_other_incarnation(world))
        check_restored(world, &found, restored);
    else
        check_state(world, &found, was_cut);
    check_epoch(world);
    world->was_ready = true;
    memcpy(world->incarnation, world->storage->identity.incarnation, sizeof world->incarnation);
    world->states[0] = found;
    world->state_count = 1;
    world->is_in_doubt = false;
}
