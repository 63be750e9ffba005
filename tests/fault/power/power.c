/*
 * power.c - thousands of power cuts at every kind of moment in a store's life: what was acknowledged is there.
 *
 *     power [--cuts N] [--seed S] [--durability full|normal|both] [--control NAME] [--life L] [--verbose]
 *
 * A life is one file: new, or upgraded from Stigmer's, then groups, checkpoints, backups, restores, restarts after
 * kills, syncs that fail, and power cuts, all drawn from the seed.  --life begins with that one, to see it again.  With
 * --control the store or the disk does something wrong on purpose: the program then succeeds when that is found out.
 */
#include "proto/clock.h"
#include "storage/file.h"
#include "storage/wal.h"
#include "tests/fault/disk/calls.h"
#include "tests/fault/disk/disk.h"
#include "tests/fault/disk/place.h"
#include "tests/fault/power/stigmer.h"
#include "tests/fault/power/world.h"
#include "tests/fault/wrap.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_OF_LIFE = 14, STEPS_OF_ROUND = 16, OPENS_MOST = 6 };

struct power {
    unsigned long seed, cuts_wanted, first_life, life, cuts, kills, restores, upgrades;
    const char *durability;
    enum misdeed control;
    bool is_verbose;
    struct world world;
    struct storage *reader; /* holds a snapshot, as another process may */
    struct storage_scan *scan;
    bool was_cut;     /* since the store was last open */
    bool is_stigmers; /* until it was opened once */
    bool must_be_restored, may_be_restored;
};

static struct power power;
static uint8_t boot_id[BOOT_ID_BYTES];

/* In the place of the kernel's: each cut is followed by another boot. */
const uint8_t *power_boot_id(void);
const uint8_t *power_boot_id(void)
{
    return boot_id;
}

/* In the place of the storage's. */
int power_wal_rewrite(sqlite3 *db) INSTEAD_OF(wal_rewrite);
int real_wal_rewrite(sqlite3 *db) REAL(wal_rewrite);
int power_wal_rewrite(sqlite3 *db)
{
    return power.control == CONTROL_TRUSTS_WAL ? SQLITE_OK : real_wal_rewrite(db);
}

static uint32_t draw(uint32_t below)
{
    return random_draw(&power.world.random, below);
}

/* One line an event, when asked for. */
static void say(const char *event, long number)
{
    if (power.is_verbose)
        fprintf(stderr, "%-10s %4ld  acts %lu, revision %llu, last answered %llu%s\n", event, number, disk.acts,
                (unsigned long long)world_state(&power.world)->revision, (unsigned long long)power.world.issued,
                disk.is_off ? ", power off" : "");
}

static void tell(void)
{
    fprintf(stderr, "after %lu cuts: --seed %lu --life %lu --durability %s (%s)\n", power.cuts, power.seed, power.life,
            power.durability, power.world.durability_normal ? "normal" : "full");
    if (power.is_verbose)
        fprintf(stderr, "the files are left in %s\n", place_root());
    else
        place_remove();
}

/* ---- a reader beside the writer ---- */

static void drop_reader(void)
{
    if (power.scan)
        power.reader->ops->scan_close(&power.scan);
    storage_close(&power.reader);
}

static void take_snapshot(void)
{
    const struct storage_options options = {.path = power.world.path, .access = STORAGE_FOR_READING};
    const struct request request = {
        .operation = OPERATION_LIST, .kind = span_text(state_kind(0)), .deadline_ns = INT64_MAX};
    uint64_t revision;

    drop_reader();
    if (storage_open_sqlite(&options, &power.reader, NULL) == STATUS_OK)
        power.reader->ops->scan_open(power.reader, &request, &power.scan, &revision, NULL);
}

/* ---- ends ---- */

/* A backup that was reported is there; one that was not is either whole or has no name. */
static void check_backup(void)
{
    struct world *world = &power.world;

    if (!world->backup_path)
        return;
    if (file_inspect(world->backup_path, NULL) == FILE_ABSENT) {
        if (world->has_backup)
            world_wrong(world, "%s: the backup was reported done and is not there", world->backup_path);
        return;
    }
    world_check_file(world, world->backup_path, &world->backed_up);
}

/* What shared memory holds after a cut is no file of the disk's: nothing, or anything. */
static void spoil_shared_memory(void)
{
    char *path = NULL;

    if (asprintf(&path, "%s-shm", power.world.path) < 0)
        abort();
    place_spoil(path, disk_draw(2));
    free(path);
}

static void begin_boot(void)
{
    boot_id[0] = (uint8_t)(boot_id[0] + 1);
    boot_id[1] = (uint8_t)(boot_id[1] + (boot_id[0] == 0));
    boot_id[15] = 1;
}

static void cut(void)
{
    drop_reader();
    world_drop(&power.world);
    disk_cut();
    disk.lies = power.control == CONTROL_LYING_SYNC;
    spoil_shared_memory();
    begin_boot();
    power.cuts++;
    power.was_cut = true;
    say("cut", (long)power.cuts);
    check_backup();
}

/* The process dies; what it wrote stands in the page cache. */
static void kill_writer(void)
{
    world_drop(&power.world);
    disk.is_off = false;
    disk.acts_left = -1;
    power.kills++;
    say("kill", (long)power.kills);
}

/* ---- opening ---- */

static void check_after_open(void)
{
    struct world *world = &power.world;
    bool is_other = world->was_ready &&
                    memcmp(world->incarnation, world->storage->identity.incarnation, sizeof world->incarnation) != 0;

    if (power.must_be_restored && !is_other)
        world_wrong(world, "the restore was reported done, and the store is the old one");
    if (power.is_stigmers)
        stigmer_check_backup(world);
    world_check(world, power.was_cut, power.may_be_restored ? &world->backed_up : NULL);
    power.was_cut = power.is_stigmers = power.must_be_restored = power.may_be_restored = false;
}

/* As a supervisor does: again, as long as a sync fails. False: the power went. */
static bool open_store(void)
{
    struct world *world = &power.world;
    struct failure failure;

    for (unsigned i = 0; i < OPENS_MOST; i++) {
        int status = world_open(world, &failure);
        say("open", status);
        if (disk.is_off)
            return false;
        if (status == STATUS_OK) {
            check_after_open();
            return true;
        }
        if (disk.syncs_left >= 0 || disk.failed_syncs == 0)
            world_wrong(world, "it does not open: %s: %s", status_name(status), failure.message);
    }
    world_wrong(world, "it does not open any more: %s", failure.message);
}

/* After a group or a checkpoint whose end is unknown. False: the power went. */
static bool begin_again(void)
{
    if (disk.is_off)
        return false;
    world_drop(&power.world);
    return open_store() && world_check_replays(&power.world) == STATUS_OK;
}

static bool may_go_on(int status)
{
    return status == STORAGE_UNKNOWN || disk.is_off ? begin_again() : true;
}

/* ---- steps ---- */

static bool restart(bool in_order)
{
    if (in_order)
        world_close(&power.world);
    else
        world_drop(&power.world);
    power.kills += !in_order;
    return !disk.is_off && open_store() && may_go_on(world_check_replays(&power.world));
}

static bool restore(void)
{
    struct world *world = &power.world;
    struct failure failure = {0};
    int status;

    if (!world->has_backup)
        return true;
    drop_reader();
    world_close(world);
    if (disk.is_off)
        return false;
    power.may_be_restored = true;
    status = file_restore(world->backup_path, world->path, &failure);
    power.must_be_restored = status == STATUS_OK && !disk.is_off;
    power.restores += power.must_be_restored;
    if (status != STATUS_OK && !disk.is_off && disk.failed_syncs == 0)
        world_wrong(world, "the restore fails: %s", failure.message);
    return !disk.is_off && open_store();
}

static bool step(void)
{
    struct world *world = &power.world;
    uint32_t what = draw(100);

    say("step", (long)what);
    if (what < 56)
        return may_go_on(world_run_group(world));
    if (what < 68)
        return may_go_on(world_checkpoint(world));
    if (what < 82)
        return may_go_on(world_step_backup(world));
    if (what < 85)
        take_snapshot();
    else if (what < 87)
        drop_reader();
    else if (what < 90)
        return restart(true);
    else if (what < 93)
        return restart(false);
    else
        return restore();
    return !disk.is_off;
}

/* ---- lives ---- */

static void arm(void)
{
    static const uint32_t spans[] = {4, 20, 40, 100, 200, 400};

    disk.acts_left = (long)draw(spans[draw(6)]);
    disk.syncs_left = draw(6) == 0 ? (long)draw(draw(2) ? 6 : 30) : -1;
    disk.failed_syncs = 0;
}

static void round_of_life(void)
{
    bool lives = true;
    uint32_t steps = 1 + draw(STEPS_OF_ROUND);

    arm();
    if (!power.world.writer)
        lives = open_store() && may_go_on(world_check_replays(&power.world));
    for (uint32_t i = 0; lives && i < steps; i++)
        lives = step();
    say("round", disk.acts_left);
    if (disk.is_off && draw(5) == 0)
        kill_writer();
    else if (!lives || draw(4))
        cut();
}

static void begin_life(void)
{
    struct world *world = &power.world;
    uint64_t seed = power.seed * 1000003 + power.life;
    char *path;

    place_clear();
    disk_start(place_folder(), seed);
    disk.lies = power.control == CONTROL_LYING_SYNC;
    calls_watch(place_root(), true);
    path = place_path(random_draw(&(struct random){seed}, 2) ? "store.sqlite" : "new/folder/store.sqlite");
    world_new(world, path, seed);
    world->control = power.control;
    world->durability_normal = strcmp(power.durability, "both") == 0 ? draw(3) == 0 : power.durability[0] == 'n';
    power.is_stigmers = draw(6) == 0;
    power.was_cut = power.must_be_restored = power.may_be_restored = false;
    if (power.is_stigmers) {
        free(path);
        path = place_path("store.sqlite");
        stigmer_make(world, path, draw(2) + 1);
        power.upgrades++;
    }
    free(path);
}

static void end_life(void)
{
    drop_reader();
    world_drop(&power.world);
    disk.is_off = false;
    disk_stop();
    world_free(&power.world);
}

static void run_lives(void)
{
    struct world sums = {.path = NULL};

    for (power.life = power.first_life; power.cuts < power.cuts_wanted; power.life++) {
        begin_life();
        for (unsigned i = 0; i < ROUNDS_OF_LIFE && power.cuts < power.cuts_wanted; i++)
            round_of_life();
        sums.groups += power.world.groups;
        sums.commits += power.world.commits;
        sums.unknown += power.world.unknown;
        sums.replays += power.world.replays;
        sums.lost += power.world.lost;
        end_life();
    }
    printf("%lu cuts in %lu lives: %lu kills, %lu restores, %lu upgrades; %lu groups, %lu commits, %lu groups of "
           "unknown end, %lu outcomes asked again, %lu lost where durability normal allows it\n",
           power.cuts, power.life - power.first_life, power.kills, power.restores, power.upgrades, sums.groups,
           sums.commits, sums.unknown, sums.replays, sums.lost);
}

/* ---- the command line ---- */

static enum misdeed control_of(const char *name)
{
    for (int i = 0; i < CONTROLS; i++)
        if (strcmp(name, control_names[i]) == 0)
            return (enum misdeed)i;
    fprintf(stderr, "%s: no such control\n", name);
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {{"cuts", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"life", required_argument, NULL, 'l'},
                                            {"durability", required_argument, NULL, 'd'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {0}};
    int option;

    power = (struct power){.seed = 1, .cuts_wanted = 1000, .first_life = 1, .durability = "both"};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'n':
            power.cuts_wanted = strtoul(optarg, NULL, 10);
            break;
        case 's':
            power.seed = strtoul(optarg, NULL, 10);
            break;
        case 'l':
            power.first_life = strtoul(optarg, NULL, 10);
            break;
        case 'd':
            power.durability = optarg;
            break;
        case 'v':
            power.is_verbose = true;
            break;
        case 'c':
            power.control = control_of(optarg);
            break;
        default:
            exit(2);
        }
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    world_tell = tell;
    printf("seed %lu, %lu cuts, control %s\n", power.seed, power.cuts_wanted, control_names[power.control]);
    fflush(stdout);
    place_make();
    run_lives();
    place_remove();
    if (power.control)
        fprintf(stderr, "control %s was not caught\n", control_names[power.control]);
    return power.control != CONTROL_NONE;
}
