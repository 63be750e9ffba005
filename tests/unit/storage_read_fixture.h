/*
 * storage_read_fixture.h - a database made by plain SQL, as another program may have, and a connection that reads it.
 *
 * The rows are written by the test itself, so that reading is judged without the writing side.
 */
#ifndef TESTS_STORAGE_READ_FIXTURE_H
#define TESTS_STORAGE_READ_FIXTURE_H
#include "proto/arena.h"
#include "storage/storage.h"
#include "tests/support/cmocka_all.h"

#include <sqlite3.h>

struct fixture {
    char *folder, *path;
    sqlite3 *db;             /* writes; NULL: closed */
    struct storage *storage; /* reads, keeping snapshots */
    struct arena *arena;
    uint64_t revision;
};

/* Setup with an empty store and nobody reading yet; and its end. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The database file at `path`, in WAL mode, with our tables. The connection is the caller's. */
sqlite3 *fixture_create(const char *path);
void fixture_run(struct fixture *fixture, const char *sql);
/* Closes the writing connection in order: neither -wal nor -shm is left. */
void fixture_close_writer(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
int fixture_try_open(const char *path, struct storage **storage, struct failure *failure);

/* One commit each, with one revision. */
void fixture_put(struct fixture *fixture, const char *kind, struct span id, struct span data);
void fixture_archive(struct fixture *fixture, const char *kind, const char *id, const char *hash, const char *tag,
                     const char *archived_at, struct span data);

struct request fixture_request(uint32_t operation, const char *kind, const char *id);
/* One request on the fixture's connection, with room for 16 MiB. */
struct reply fixture_ask(struct fixture *fixture, struct request request);
/* A batch, again until its first `wanted` requests are read: one that had to wait for the processor is cut. The status
 * of the whole. */
int fixture_ask_all(struct fixture *fixture, const struct request *requests, size_t count, struct reply *replies,
                    size_t most_bytes, size_t wanted);
void assert_span_equal(struct span got, struct span wanted);
#endif
