/*
 * storage_write_store.h - a store in a folder of its own, opened for writing, and requests to it one by one.
 */
#ifndef TESTS_UNIT_STORAGE_WRITE_STORE_H
#define TESTS_UNIT_STORAGE_WRITE_STORE_H
#include "proto/limits.h"
#include "storage/storage.h"
#include "tests/support/cmocka_all.h"

struct test_store {
    char *folder, *path;
    struct storage *storage; /* NULL: closed */
    struct arena *arena;
    uint8_t principal[PRINCIPAL_BYTES];
    struct storage_caller caller; /* an admin */
    int64_t now_ms;               /* of the next transaction */
    struct storage_options options;
    char log[4096]; /* all lines so far */
};

/* cmocka's; the store is open. */
int store_setup(void **state);
int store_setup_closed(void **state);
int store_teardown(void **state);
void store_open(struct test_store *store); /* must succeed */
int store_try_open(struct test_store *store, struct failure *failure);
/* Runs one statement on a connection of its own, as another program would. */
void store_execute(struct test_store *store, const char *sql);
int64_t store_number(struct test_store *store, const char *sql);

struct request store_request(uint32_t operation, const char *kind, const char *id, const char *data);
/* begin, apply, commit: all must succeed. */
struct reply store_apply(struct test_store *store, struct request request);
/* The same where the transaction may be refused: the first status that is not OK. */
int store_try_apply(struct test_store *store, struct request request, struct reply *reply);
/* A ranged delete, or one step of it, in a transaction that must succeed. */
struct reply store_delete_rows(struct test_store *store, struct request request, struct span after, uint64_t before,
                               uint64_t most, struct span *last, bool *more);
struct reply store_answer(struct test_store *store, struct request request);

uint64_t store_save(struct test_store *store, const char *kind, const char *id, const char *data);
void store_expect_data(struct test_store *store, const char *kind, const char *id, const char *data); /* NULL: absent */
uint64_t store_revision(struct test_store *store);
#endif
