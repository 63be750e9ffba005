/*
 * wal.c - the log begins anew under callers whose reads and writes follow each other back to back.
 */
#include "tests/support/cmocka_all.h"
#include "tests/support/service.h"
#include "tests/system/load.h"

#include <sys/stat.h>

enum { MUTATIONS = 12000, MOST_BYTES = 16 << 20 };

static long long wal_bytes(const struct service *service)
{
    char path[200];
    struct stat info;
    snprintf(path, sizeof(path), "%s-wal", service->database);
    assert_int_equal(stat(path, &info), 0);
    return (long long)info.st_size;
}

/* Compare-and-set leaves readers idle, with what they read last, just while the writer wants the log for itself. */
static void expect_short(const char *suffix)
{
    struct service service = service_start(NULL, NULL);
    char url[200];
    snprintf(url, sizeof(url), "%s%s", service.endpoint, suffix);
    struct load load = {.url = NULL};
    load_start(&load, url, 60000);
    load_wait(&load, MUTATIONS);
    load_join(&load);
    print_message("%s: %lld bytes\n", suffix, wal_bytes(&service));
    assert_true(wal_bytes(&service) < MOST_BYTES);
    service_free(&service);
}

static void with_reads_through_the_broker(void **state)
{
    (void)state;
    expect_short("?reads=broker");
}

static void with_reads_of_their_own(void **state)
{
    (void)state;
    expect_short("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_reads_through_the_broker),
        cmocka_unit_test(with_reads_of_their_own),
    };
    return cmocka_run_group_tests_name("write-ahead log", tests, NULL, NULL);
}
