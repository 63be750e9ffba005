/*
 * writer_fixture.h - a writer over the real engine in a folder of its own, whose operations can be made to fail.
 */
#ifndef TESTS_UNIT_WRITER_FIXTURE_H
#define TESTS_UNIT_WRITER_FIXTURE_H
#include "proto/clock.h"
#include "proto/limits.h"
#include "tests/support/cmocka_all.h"
#include "writer/writer.h"

/* What the engine does next; counted down where it says so. */
struct faults {
    int commits_failing; /* so many commits from now fail with `commit_status` */
    int commit_status;
    const char *poison_id; /* applying a request with this id fails with `poison_status` */
    int poison_status;
    bool poison_is_answer;      /* the transaction goes on, the reply says so */
    uint64_t rows_at_most;      /* ranged deletes of more fail with STORAGE_FULL; 0: none does */
    int64_t apply_ns;           /* so long each request takes */
    int64_t step_ns;            /* and each delete_rows call, at least */
    int64_t jump_at_step;       /* this delete_rows call, counted from 1, is past its deadline */
    int begins, commits, steps; /* met so far */
    uint64_t rows;              /* that went by delete_rows */
};
extern struct faults faults;

struct fixture {
    char *folder;
    char *path;
    struct arena *arena;
    struct writer *writer;
    struct writer_options options;
};

int fixture_set_up(void **state);
int fixture_tear_down(void **state);
void fixture_open(struct fixture *fixture);
/* As after a crash: everything in memory is gone. */
void fixture_restart(struct fixture *fixture);

/* Requests with a deadline far away. */
struct request save_request(const char *id);
struct request delete_request(const char *id);
struct request delete_prefix_request(const char *prefix);
struct request wire_request(uint32_t operation);

/* A message of session `id` in the arena; `requests` are copied. */
struct write_message *session_message(struct fixture *fixture, const char *id, uint64_t floor, uint64_t first,
                                      const struct request *requests, size_t count);
/* One request of a handle without a session. */
struct write_message *stream_message(struct fixture *fixture, uint64_t stream, struct request request);
/* Runs until every message is done. */
void run_all(struct fixture *fixture, struct write_message **messages, size_t count);
void run_one(struct fixture *fixture, struct write_message *message);
/* One message with one request of a session, run; its reply. */
struct reply run_request(struct fixture *fixture, const char *id, uint64_t floor, uint64_t number,
                         struct request request);

/* Saves resources KIND/PREFIX00000.. */
void fill_rows(struct fixture *fixture, const char *prefix, unsigned count);
uint64_t count_rows(struct fixture *fixture, const char *prefix);
struct storage_counters storage_counters_of(struct fixture *fixture);
#endif
