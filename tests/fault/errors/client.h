/*
 * client.h - acts of a program that has a store embedded, each run until it succeeds once the fault is gone.
 *
 * Owns: the handle.  Thread: one.
 * Invariant: `table` is what the store holds.
 */
#ifndef TESTS_FAULT_ERRORS_CLIENT_H
#define TESTS_FAULT_ERRORS_CLIENT_H
#include "tests/fault/errors/errors.h"
#include "tests/fault/errors/table.h"

struct scene {
    stigstore *store;
    bool is_for_reading;
    stigstore_queue *queue;
    stigstore_result *result; /* used again by each call */
    struct table table;
    uint64_t revision; /* highest that was answered */
};

/* One attempt; OK, or how it failed, by then judged. */
typedef int scene_act(struct scene *scene);

scene_act act_open, act_open_for_reading, act_close;
scene_act act_save, act_save_large, act_save_over, act_save_if_absent, act_save_if_revision, act_save_keyed;
scene_act act_look_up_key, act_save_records, act_transact, act_update, act_update_keyed;
scene_act act_delete, act_delete_records, act_delete_prefix, act_delete_kind;
scene_act act_get, act_get_large, act_get_absent, act_get_many, act_stat, act_count, act_list, act_list_keys, act_kinds;
scene_act act_scan_records, act_history, act_by_hash, act_by_tag, act_read_by_cursor;
scene_act act_make_queue, act_submit_writes, act_submit_reads, act_submit_list, act_cancel, act_flush, act_free_queue;
scene_act act_status, act_backup;
scene_act act_save_other, act_delete_other; /* of what no other act looks at */

/* Tells the act until it succeeds; the fault goes after a few failures if it stays. */
void scene_do(struct scene *scene, const char *name, scene_act *act);
/* A call came to its end: its status is clear, and the store holds what it says. `after`: if it was applied. Returns
 * the status. */
int scene_judge(struct scene *scene, int status, const struct table *after);
/* The same of a call that changes nothing. */
int scene_judge_read(struct scene *scene, int status);
/* As the last result, which ended so, has it. */
bool scene_may_be_applied(const struct scene *scene, int status);
/* Of the last result, or what stands for it. */
const char *scene_message(const struct scene *scene, int status);
#endif
