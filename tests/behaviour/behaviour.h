/*
 * behaviour.h - one suite for the three ways to open a store: embedded, local reads beside a service, through the broker.
 *
 * Each test works in kinds of its own, so that none depends on another.
 */
#ifndef TESTS_BEHAVIOUR_BEHAVIOUR_H
#define TESTS_BEHAVIOUR_BEHAVIOUR_H
#include "stigstore.h"
#include "tests/support/cmocka_all.h"

#include <string.h>

enum way { WAY_EMBEDDED, WAY_LOCAL, WAY_BROKER };

struct place {
    enum way way;
    char *folder;
    char database[160];
    char url[200]; /* what stigstore_open gets */
    char *bin_dir;
};
extern struct place place;

/* The suite's own handle on the place. */
extern stigstore *store;
/* Another handle on it. */
stigstore *open_another(void);
/* A kind that no other test uses. */
stigstore_bytes fresh_kind(void);

#define TEXT(text) ((stigstore_bytes){(text), sizeof(text) - 1})

/* The status by name, so that a failure says more than a number. */
#define assert_status(expected, actual) check_status(STIGSTORE_##expected, (actual), #actual, __FILE__, __LINE__)
void check_status(int expected, int actual, const char *what, const char *file, int line);
void assert_bytes(stigstore_bytes expected, stigstore_bytes actual);

/* Short forms of the calls; results are freed unless handed out. */
uint64_t save(stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data); /* must be OK; the revision */
int save_status(stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data);
void assert_stored(stigstore_bytes kind, stigstore_bytes id, stigstore_bytes data);
void assert_absent(stigstore_bytes kind, stigstore_bytes id);
uint64_t count(stigstore_bytes kind, stigstore_bytes prefix);
stigstore_result *call(const stigstore_request *request); /* any status; never NULL */
int call_status(const stigstore_request *request);
uint64_t archive(stigstore_bytes kind, stigstore_bytes id, const char *data, const char *hash, const char *tag);
/* "id-00042" into one of a few static buffers. */
stigstore_bytes numbered(const char *stem, unsigned number);

int resource_tests(void);
int condition_tests(void);
int audit_tests(void);
int queue_tests(void);
int cursor_tests(void);
int handle_tests(void);
int thread_tests(void);
int edge_tests(void);
int misuse_tests(void);
#endif
