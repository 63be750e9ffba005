/*
 * client_fixture.h - a store in a folder of its own for each test of the client library, and small helpers.
 */
#ifndef TESTS_CLIENT_FIXTURE_H
#define TESTS_CLIENT_FIXTURE_H
#include "client/stigstore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(literal)    ((stigstore_bytes){(literal), sizeof(literal) - 1})
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

struct fixture {
    char folder[64];
    char path[96];
    stigstore *store;
};
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

static inline stigstore *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

/* A handle; NULL, and the reason on stderr, when it cannot be had. */
stigstore *open_with(const char *path, uint32_t flags);
/* The status of an open, and its message; a handle that it gives is freed. */
int open_status(const char *path, uint32_t flags, char *message, size_t message_bytes);

void save(stigstore *store, const char *kind, const char *id, const char *data);
void assert_data(stigstore *store, const char *kind, const char *id, const char *data);
void assert_absent(stigstore *store, const char *kind, const char *id);
uint64_t count_of(stigstore *store, const char *kind);
/* The call's status; *revision may be NULL. */
int run(stigstore *store, const stigstore_request *request, uint64_t *revision);
#endif
