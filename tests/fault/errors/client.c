/*
 * client.c - how an act is judged, and the stories that are made of them.
 */
#include "tests/fault/errors/client.h"
#include "proto/status.h"

#include <stdio.h>
#include <unistd.h>

enum { FAILURES_MOST = 3, RETRIES_MOST = 3 };

/* ---- judging ---- */

const char *scene_message(const struct scene *scene, int status)
{
    return scene->result && scene->result->status == status ? scene->result->message : "(no result)";
}

bool scene_may_be_applied(const struct scene *scene, int status)
{
    bool is_of_result = scene->result && scene->result->status == status;

    return stigstore_status_applied(status) != STIGSTORE_APPLIED_NO &&
           !(is_of_result && (scene->result->flags & STIGSTORE_NOT_APPLIED));
}

int scene_judge(struct scene *scene, int status, const struct table *after)
{
    struct table found;
    int read;

    if (status == STIGSTORE_OK) {
        scene->table = *after;
        if (scene->result->revision && scene->result->revision < scene->revision)
            errors_wrong("revision %llu comes after %llu", (unsigned long long)scene->result->revision,
                         (unsigned long long)scene->revision);
        scene->revision = scene->result->revision ? scene->result->revision : scene->revision;
        return status;
    }
    errors_check_status(status, scene_message(scene, status));
    if (!scene->store)
        return status;
    read = table_read(&found, scene->store);
    if (read != STIGSTORE_OK)
        errors_wrong("what there is cannot be read: %s", stigstore_status_name(read));
    if (!table_equal(&found, &scene->table) && !(scene_may_be_applied(scene, status) && table_equal(&found, after)))
        errors_wrong("after %s: %s", stigstore_status_name(status), table_difference(&scene->table, &found));
    scene->table = found;
    return status;
}

int scene_judge_read(struct scene *scene, int status)
{
    const struct table same = scene->table;

    if (status != STIGSTORE_OK)
        scene_judge(scene, status, &same);
    return status;
}

/* ---- acts, again and again ---- */

static bool is_of_writing(void)
{
    return errors.kind == CALL_WRITE || errors.kind == CALL_SYNC || errors.kind == CALL_TRUNCATE;
}

/* While the fault is there: what reads goes on, and what else is asked is answered clearly. */
static void use_meanwhile(struct scene *scene)
{
    int status;

    if (!scene->store)
        return;
    status = act_get(scene);
    if (status != STIGSTORE_OK && is_of_writing())
        errors_wrong("while nothing can be written reads do not go on: %s", stigstore_status_name(status));
    act_list(scene);
    if (scene->is_for_reading)
        return;
    act_save_other(scene);
    act_delete_other(scene);
}

void scene_do(struct scene *scene, const char *name, scene_act *act)
{
    unsigned failures = 0, retries = 0;

    errors.act = name;
    for (;;) {
        bool may_fail = !errors.healed && !errors.counting && (errors.stays || !errors_met());
        int status = act(scene);
        if (status == STIGSTORE_OK)
            return;
        if (!may_fail) {
            /* Whether there is space again is looked at once a second. */
            if (status != STIGSTORE_STORAGE_FULL || ++retries == RETRIES_MOST)
                errors_wrong("the fault is gone, and there is no service: %s: %s", stigstore_status_name(status),
                             scene_message(scene, status));
            errors_pass_second();
            continue;
        }
        if (errors.stays && ++failures == 1)
            use_meanwhile(scene);
        if (errors.stays && failures == FAILURES_MOST)
            errors_heal();
    }
}

#define DO(act) scene_do(&scene, #act, act_##act)

/* ---- stories ---- */

/* Opened while nothing fails. */
static struct scene begin(void)
{
    struct scene scene = {.store = NULL};
    bool healed = errors.healed;

    errors.healed = true;
    DO(open);
    errors.healed = healed;
    return scene;
}

/* Nothing that was done is lost, and the file is whole. */
static void end(struct scene *scene)
{
    struct table found;
    int status;

    errors.act = "the end";
    errors.healed = true;
    stigstore_queue_free(&scene->queue);
    if (scene->store && table_read(&found, scene->store) != STIGSTORE_OK)
        errors_wrong("it cannot be read");
    if (scene->store && !table_equal(&found, &scene->table))
        errors_wrong("it does not hold what it must: %s", table_difference(&scene->table, &found));
    stigstore_free(&scene->store);
    if (!errors.is_remote)
        errors_verify(errors.path);
    status = act_open(scene);
    if (status != STIGSTORE_OK)
        errors_wrong("it cannot be opened: %s", stigstore_status_name(status));
    if (table_read(&found, scene->store) != STIGSTORE_OK || !table_equal(&found, &scene->table))
        errors_wrong("opened again it holds something else: %s", table_difference(&scene->table, &found));
    stigstore_free(&scene->store);
    stigstore_result_free(&scene->result);
}

static void open_twice(struct scene *scene)
{
    scene_do(scene, "open", act_open);
    scene_do(scene, "save", act_save);
    scene_do(scene, "close", act_close);
    scene_do(scene, "open", act_open);
    scene_do(scene, "get", act_get);
    scene_do(scene, "save_over", act_save_over);
    scene_do(scene, "close", act_close);
}

static void tell_connecting(void)
{
    struct scene scene = {.store = NULL};

    open_twice(&scene);
    end(&scene);
}

static void tell_opening(void)
{
    struct scene scene = {.store = NULL};

    open_twice(&scene);
    DO(open_for_reading);
    DO(get);
    DO(close);
    end(&scene);
}

static void tell_saving(void)
{
    struct scene scene = begin();

    DO(save);
    DO(save_large);
    DO(save_over);
    DO(save_if_absent);
    DO(save_if_revision);
    DO(save_keyed);
    DO(look_up_key);
    DO(save_records);
    DO(transact);
    end(&scene);
}

static void tell_changing(void)
{
    struct scene scene = begin();

    DO(save);
    DO(save_large);
    DO(save_records);
    DO(update);
    DO(update_keyed);
    DO(delete);
    DO(delete_records);
    DO(save_over);
    DO(delete_prefix);
    DO(delete_kind);
    end(&scene);
}

/* What is read is not in memory yet. */
static void tell_reading(void)
{
    struct scene scene = begin();
    bool healed = errors.healed;

    errors.healed = true;
    DO(save);
    DO(save_large);
    DO(save_if_absent);
    DO(save_records);
    stigstore_free(&scene.store);
    DO(open);
    errors.healed = healed;
    DO(get);
    DO(get_large);
    DO(get_absent);
    DO(get_many);
    DO(stat);
    DO(count);
    DO(list);
    DO(list_keys);
    DO(kinds);
    DO(scan_records);
    DO(history);
    DO(by_hash);
    DO(by_tag);
    DO(read_by_cursor);
    DO(status);
    end(&scene);
}

static void tell_queueing(void)
{
    struct scene scene = begin();

    DO(make_queue);
    DO(submit_writes);
    DO(submit_reads);
    DO(submit_list);
    DO(cancel);
    DO(flush);
    DO(free_queue);
    end(&scene);
}

static void tell_copying(void)
{
    struct scene scene = begin();

    DO(save);
    DO(save_large);
    DO(backup);
    DO(save_over);
    DO(close);
    end(&scene);
}

const struct story remote_stories[] = {
    {"remote-connecting", tell_connecting}, {"remote-saving", tell_saving},     {"remote-changing", tell_changing},
    {"remote-reading", tell_reading},       {"remote-queueing", tell_queueing}, {NULL, NULL},
};

const struct story client_stories[] = {
    {"client-opening", tell_opening},
    {"client-saving", tell_saving},
    {"client-changing", tell_changing},
    {"client-reading", tell_reading},
    {"client-queueing", tell_queueing},
    {"client-copying", tell_copying},
    {NULL, NULL},
};
