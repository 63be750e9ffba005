/*
 * internal.h - the writer's state, shared by the files that choose, judge, apply and commit.
 */
#ifndef WRITER_INTERNAL_H
#define WRITER_INTERNAL_H
#include "writer/session_log.h"
#include "writer/writer.h"

struct writer_item {
    struct write_message *message;
    size_t index;
};

struct writer {
    struct storage *storage;
    struct session_table *sessions;
    struct session_log *session_log;
    struct writer_options options;
    struct writer_counters counters;
    size_t group_limit;    /* halves when a group fails, doubles when one succeeds */
    uint64_t delete_limit; /* rows that a ranged delete may take at once; less while the disk is full */
    uint64_t step_rows;    /* that the next step of one takes */
    bool stepped;          /* the last call was a step of a ranged delete */
    uint64_t turns;        /* steps so far */
    int64_t keys_due_ns;   /* when expired idempotency keys are looked for again */
    int64_t disk_look_ns;  /* when the disk is looked at again */
    bool is_full;
    struct writer_item items[LIMIT_GROUP_REQUESTS];
};

enum judged_verdict {
    JUDGED_FINAL,  /* the reply is filled; its number stays as it was */
    JUDGED_SETTLE, /* the reply is filled, and its number is settled with it */
    JUDGED_APPLY,
};

struct judged {
    enum judged_verdict verdict;
    struct session *session; /* NULL: none, or nothing to settle */
    bool is_replay;          /* the recorded outcome again */
};

/* Judges one request by role, session, deadline and content. */
struct judged judge_request(struct writer *writer, const struct writer_item *item, int64_t now_ns);

/* How far a ranged delete has come, by its session, or by its message when it has none. */
struct progress {
    bool active;
    uint64_t count;
    struct span last;
};
struct progress progress_of(const struct write_message *message, const struct session *session);

/* Applies `*count` items in one transaction and settles them in their messages; fewer when time is up. A ranged delete
 * is alone. Not OK: nothing has changed, it may be tried again with fewer. */
int group_run(struct writer *writer, const struct writer_item *items, size_t *count, bool first_try);
#endif
