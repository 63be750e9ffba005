/*
 * writer.c - stories of a writer with its sessions, checkpoints, copies, restores and upgrades: world.h, with
 * errors in the place of power cuts.
 */
#include "proto/status.h"
#include "storage/file.h"
#include "tests/fault/errors/errors.h"
#include "tests/fault/power/stigmer.h"
#include "tests/fault/power/world.h"
#include "tests/fault/wrap.h"

#include <stdio.h>
#include <string.h>

enum { FAILURES_MOST = 3, RETRIES_MOST = 3, BACKUP_STEPS_MOST = 400, SEED = 7 };

static struct world world;

/* What a group is answered with is as clear as all else. */
int errors_writer_run(struct writer *writer, struct write_message *const *messages, size_t count)
    INSTEAD_OF(writer_run);
int real_writer_run(struct writer *writer, struct write_message *const *messages, size_t count) REAL(writer_run);

static bool is_of_sessions(int status)
{
    return status >= STATUS_OUT_OF_ORDER;
}

static void judge_replies(const struct write_message *message, size_t from)
{
    for (size_t i = from; i < message->settled; i++)
        if (!status_is_deterministic(message->replies[i].status) && !is_of_sessions(message->replies[i].status))
            errors_check_status(message->replies[i].status, "a reply");
}

static bool is_stuck; /* control stuck: what once had an unknown end never works again */

int errors_writer_run(struct writer *writer, struct write_message *const *messages, size_t count)
{
    enum { WATCHED = 8 };
    size_t settled[WATCHED], watched = writer == world.writer && count < WATCHED ? count : 0;
    int status;

    if (is_stuck)
        return STORAGE_UNKNOWN;
    for (size_t i = 0; i < watched; i++)
        settled[i] = messages[i]->settled;
    INSIDE(status = real_writer_run(writer, messages, count));
    for (size_t i = 0; i < watched && status == STATUS_OK; i++)
        judge_replies(messages[i], settled[i]);
    is_stuck = status == STORAGE_UNKNOWN && errors_is_control("stuck");
    return status;
}

/* ---- failures ---- */

static unsigned failures, retries;

static void say_where(void)
{
    errors_wrong("so the world says");
}

/* One more thing that failed: the fault must have been there, and goes in the end. */
static void fail(int status, const char *message, bool may_fail)
{
    errors_check_status(status == STORAGE_UNKNOWN ? STATUS_IO_ERROR : status, message);
    if (!may_fail && ++retries == RETRIES_MOST)
        errors_wrong("the fault is gone, and there is no service: %s", message);
    if (errors.stays && ++failures >= FAILURES_MOST)
        errors_heal();
    errors_pass_second();
}

static bool may_fail(void)
{
    return !errors.healed && !errors.counting && (errors.stays || !errors_met());
}

/* ---- acts ---- */

static int check_replays(void)
{
    return world_check_replays(&world);
}

static void open_world(const struct state *restored);

/* As an actor that ends and is started again. */
static void begin_again(void)
{
    INSIDE(world_close(&world));
    open_world(NULL);
}

static void run(int (*act)(void), const char *name)
{
    bool could_fail = may_fail();
    int status;

    errors.act = name;
    status = act();
    if (status == STATUS_OK)
        return;
    if (status == STORAGE_UNKNOWN) {
        fail(status, name, could_fail);
        begin_again();
    } else if (status != STATUS_BUSY) {
        fail(status, name, could_fail);
    }
}

static void open_world(const struct state *restored)
{
    struct failure failure;
    int status;

    errors.act = "open";
    for (;;) {
        bool could_fail = may_fail();
        INSIDE(status = world_open(&world, &failure));
        if (status == STATUS_OK)
            break;
        fail(status, failure.message, could_fail);
    }
    world_check(&world, false, restored);
    run(check_replays, "replays");
}

static int run_group(void)
{
    return world_run_group(&world);
}

static int checkpoint(void)
{
    int status;

    INSIDE(status = world_checkpoint(&world));
    return status;
}

static int step_backup(void)
{
    int status;

    INSIDE(status = world_step_backup(&world));
    return status;
}

static void back_up(void)
{
    for (int i = 0; i < BACKUP_STEPS_MOST; i++) {
        run(step_backup, "backup");
        if (world.has_backup)
            return;
    }
    errors_wrong("a backup does not come to an end");
}

static void close_world(void)
{
    errors.act = "close";
    INSIDE(world_close(&world));
}

/* One that failed leaves a whole file: that which was there, or the copy. */
static void restore(void)
{
    struct failure failure = {0};
    const struct state restored = world.backed_up;
    uint8_t incarnation[INCARNATION_BYTES];
    int status;

    memcpy(incarnation, world.incarnation, sizeof incarnation);
    errors.act = "restore";
    for (;;) {
        bool could_fail = may_fail();
        INSIDE(status = file_restore(world.backup_path, world.path, &failure));
        if (status == STATUS_OK)
            break;
        fail(status, failure.message, could_fail);
        errors_verify(world.path);
    }
    open_world(&restored);
    if (memcmp(incarnation, world.incarnation, sizeof incarnation) == 0)
        errors_wrong("what was restored is not there");
}

/* ---- stories ---- */

static void begin(void)
{
    failures = retries = 0;
    world_tell = say_where;
    world_new(&world, errors.path, SEED);
}

/* All that is still open is settled when it is sent again. */
static void end(void)
{
    unsigned long refused;

    errors.act = "the end";
    errors_heal();
    for (int i = 0; i < 2; i++) { /* a full disk is looked at once a second */
        errors_pass_second();
        if (world_checkpoint(&world) == STORAGE_UNKNOWN)
            errors_wrong("a checkpoint fails");
    }
    refused = world.refused;
    if (world_check_replays(&world) != STATUS_OK || world.refused != refused)
        errors_wrong("not all is settled when it is sent again");
    world_close(&world);
    errors_verify(errors.path);
    world_check_file(&world, errors.path, world_state(&world));
    world_free(&world);
}

static void run_groups(int count)
{
    while (count--)
        run(run_group, "group");
}

static void tell_groups(void)
{
    begin();
    open_world(NULL);
    run_groups(6);
    run(checkpoint, "checkpoint");
    run_groups(2);
    run(check_replays, "replays");
    close_world();
    open_world(NULL);
    end();
}

static void tell_checkpoints(void)
{
    begin();
    open_world(NULL);
    for (int i = 0; i < 4; i++) {
        run_groups(1);
        run(checkpoint, "checkpoint");
    }
    close_world();
    open_world(NULL);
    end();
}

static void tell_restoring(void)
{
    begin();
    open_world(NULL);
    run_groups(2);
    back_up();
    run_groups(1);
    close_world();
    restore();
    run_groups(1);
    end();
}

static void tell_upgrading(unsigned schema)
{
    begin();
    stigmer_make(&world, errors.path, schema);
    open_world(NULL);
    stigmer_check_backup(&world);
    run_groups(1);
    end();
}

static void tell_upgrading_1(void)
{
    tell_upgrading(1);
}

static void tell_upgrading_2(void)
{
    tell_upgrading(2);
}

const struct story writer_stories[] = {
    {"writer-groups", tell_groups},           {"writer-checkpoints", tell_checkpoints},
    {"writer-restoring", tell_restoring},     {"writer-upgrading-1", tell_upgrading_1},
    {"writer-upgrading-2", tell_upgrading_2}, {NULL, NULL},
};
